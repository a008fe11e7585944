// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// How often vCPUs have left their guests for the host, by reason: a word for each reason in each CPU's
// data page, which only that CPU writes.

import Arm
import CBootProtocol
import HypervisorInterface
import Machine

/// A CPU's counts of each `RunExit`.
struct ExitCounters {
    private let base: Address<HypervisorVirtual>

    /// - Parameter data: the CPU's data page.
    @inline(__always)
    init(_ data: Address<HypervisorVirtual>) {
        base = data.advanced(by: UInt64(MARTLET_PERCPU_EXITS))
    }

    /// Counts an exit of the CPU that executes this.
    @inline(__always)
    func add(_ exit: RunExit, on processor: some Processor) {
        let place = base.advanced(by: exit.rawValue &* 8)
        processor.store64(place, processor.load64(place) &+ 1)
    }

    /// What a counter of exits shows; 0 for all others.
    func count(of counter: Counter, on processor: some Processor) -> UInt64 {
        // The counters lie in the order of the exits.
        let place = counter.rawValue &- Counter(of: .interrupt).rawValue
        guard place < UInt64(RunExit.allCases.count) else { return 0 }
        return processor.load64(base.advanced(by: place &* 8))
    }
}
