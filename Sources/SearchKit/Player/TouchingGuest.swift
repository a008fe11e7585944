// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A guest that touches what it has, what it may not, and what it has not.

import Arm
import Machine
import SimulatedMachine
import Specification

/// The guest of all vCPUs of a player.
final class TouchingGuest: SimulatedGuest, @unchecked Sendable {
    // Safety of `@unchecked Sendable`: as for the machine, one thread at a time.

    /// What happens at the entry that is due; nil if none is.
    var entered: ((SimulatedCPU) throws(Disagreement) -> Void)?
    /// What went wrong at an entry.
    var failure: Disagreement?
    /// What the host has to be told of it.
    var report: RunReport?

    func run(on cpu: SimulatedCPU, vcpu: Address<HypervisorVirtual>) -> GuestExit {
        guard let entered else {
            failure = failure ?? Disagreement("a guest runs that nobody asked for")
            return .interrupt
        }
        self.entered = nil
        do throws(Disagreement) { try entered(cpu) } catch { failure = error }
        return .interrupt
    }

    /// Touches pages in each way, and writes where it may.
    func touch(_ vm: Specification.Machine, on cpu: SimulatedCPU, counting coverage: inout Coverage?)
        throws(Disagreement)
    {
        let windows = vm.windows.map(\.first)
        let pages = vm.mappings.keys.sorted().prefix(6) + windows.prefix(1) + [7]
        for page in pages {
            let mapping = vm.mappings[page]
            for kind in AccessKind.allCases {
                let isAllowed =
                    switch kind {
                    case .read: mapping != nil
                    case .write: mapping?.access.contains(.write) ?? false
                    case .execute: mapping?.access.contains(.execute) ?? false
                    }
                let result = cpu.machine.hostAccess(cpu, Address(page << pageShift), kind)
                guard result.frame?.number == (isAllowed ? mapping?.frame : nil) else {
                    throw Disagreement("\(kind) of guest page \(hex(page)) came to \(result)")
                }
                coverage?.noteGuest(kind, page, vm)
            }
            if mapping?.access.contains(.write) ?? false {
                try? cpu.machine.hostStore(cpu, Address(page << pageShift), 0x5EC2E7)
            }
        }
    }
}
