// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The order in which a CPU takes locks. Two orders of one pair can end in a deadlock, which a test sees
// only when two CPUs get in each other's way; the order itself is seen each time.

public import Machine

extension SimulatedCPU {
    /// Notes a lock, and reports one that comes after a later one.
    public func takesLock(_ rank: LockRank) {
        let state = machine.cpus[index]
        if let held = state.locks.last, !(held < rank) {
            machine.report(.lockOrder, cpu: index, "\(rank) is taken while \(held) is held")
        }
        state.locks.append(rank)
    }

    /// Forgets a lock.
    public func releasesLock(_ rank: LockRank) {
        let state = machine.cpus[index]
        if state.locks.popLast() != rank {
            machine.report(.lockOrder, cpu: index, "\(rank) is released, and was not the last that was taken")
        }
    }
}

extension SimulatedMachine {
    /// Reports what a CPU still holds when EL2 leaves it to others.
    func expectNoLocks(_ index: Int, at moment: String) {
        guard !cpus[index].locks.isEmpty else { return }
        report(.lockOrder, cpu: index, "\(cpus[index].locks) held over \(moment)")
    }
}
