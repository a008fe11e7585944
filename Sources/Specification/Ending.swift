// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// `HostCall.destroyVM`, step by step: first nothing runs any more, then the guest has no memory any
// more, then everything comes back.

import HypervisorInterface

/// How far a VM has come.
public enum Life: Equatable, Sendable {
    /// It may be used.
    case active
    /// It is being ended: every other call is refused.
    case ending
}

/// The most pages of memory that one step may take from a guest: it stops at 512, and a block that it
/// meets before goes as a whole.
public let mostPagesForOneStep = 1023

extension AbstractState {
    func afterDestroyStep(
        _ call: CallRegisters, _ machine: Machine, _ answer: CallRegisters, _ observing: Observation
    ) throws(Disagreement) -> AbstractState {
        if !machine.isEnding {
            let isRunning = machine.vcpus.values.contains { $0.runner != nil }
            return try judge(answer, isRunning ? [.busy] : [], x1: DestroyProgress.more.rawValue) {
                var next = self
                next.machines[call.x1]?.life = .ending
                return next
            }
        }
        if answer.x0 == UInt64(bitPattern: CallStatus.noMemory.rawValue) {
            return try judge(answer, [], observing.freePages < mostTablesForOneChange ? [.noMemory] : []) { self }
        }
        guard answer.x0 == 0, let progress = DestroyProgress(rawValue: answer.x1) else {
            throw Disagreement("a step of destroyVM answered \(hex(answer.x0)), \(hex(answer.x1))")
        }
        var next = try afterTakingBack(call.x1, machine, observing)
        if answer.x3 > 0 { try next.giveBack(answer.x2, answer.x3, of: call.x1) }
        guard let left = next.machines[call.x1] else { return next }
        let isEmpty = left.ownPages.isEmpty && left.memoryPages == 0
        switch progress {
        case .more:
            // The VM's own page is the last, and with it the VM is gone.
            guard !isEmpty else { throw Disagreement("there is more to do, but nothing is left") }
        case .done:
            guard isEmpty else {
                throw Disagreement("\(left.ownPages.count) pages of the VM did not come back")
            }
            next.machines[call.x1] = nil
        }
        return next
    }

    /// What the guest has lost in a step: as much as is observed, but not more than a step may take.
    /// A protected guest's pages are the host's at once.
    private func afterTakingBack(
        _ handle: UInt64, _ machine: Machine, _ observing: Observation
    ) throws(Disagreement) -> AbstractState {
        var next = self
        let lost = machine.mappings.filter { !observing.isMapped(handle, $0.key) }
        guard lost.count <= mostPagesForOneStep else { throw Disagreement("one step took \(lost.count) pages") }
        for (page, mapping) in lost {
            next.machines[handle]?.mappings[page] = nil
            if machine.kind == .protected { next.set(mapping.frame, 1, .host) }
        }
        return next
    }

    /// Pages that the VM was made of are the host's again.
    private mutating func giveBack(_ first: UInt64, _ count: UInt64, of handle: UInt64) throws(Disagreement) {
        guard count <= UInt64(mostPagesForOneStep) else { throw Disagreement("one step returned \(count) pages") }
        guard let machine = machines[handle], machine.ownPages.isSuperset(of: first..<first + count) else {
            throw Disagreement("\(count) pages from \(hex(first)) came back that are not the VM's")
        }
        // Its tables must last as long as its memory.
        guard machine.memoryPages == 0 else { throw Disagreement("a table came back before the guest's memory") }
        set(first, count, .host)
        machines[handle]?.ownPages.subtract(first..<first + count)
    }
}
