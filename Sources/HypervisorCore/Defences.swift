// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Taking a defence away, for the attacks that must succeed then. In the product `isWithout` is false at
// compile time and nothing of this is left; tests on the developer's machine, and images built with
// MARTLET_FAULTS=SWITCHES, choose.

import Arm
import HypervisorInterface
import Machine
import Synchronization

#if MARTLET_FAULT_SWITCHES
/// The `Defence` bits of those that are away. Set before the attack, by whoever tests.
let defencesAway = Atomic<UInt64>(0)

/// Takes away the defences of these bits, and puts all others back.
@inline(never)
func provokeFaults(_ bits: UInt64) { defencesAway.store(bits, ordering: .sequentiallyConsistent) }

extension Hypervisor {
    /// The host call of such an image that does it. No other image knows it.
    static var provokedFaults: UInt64 { 0xC600_4FFE }
}

@inline(__always)
func isWithout(_ defence: Defence) -> Bool { defencesAway.load(ordering: .relaxed) & defence.bit != 0 }
#else
@inline(__always)
func isWithout(_ defence: Defence) -> Bool { false }
#endif

extension Processor {
    /// Pages go back to the host: zeroed, and the zeroes in memory.
    @inline(__always)
    func wipe(_ pages: FrameRange<HypervisorVirtual>) {
        if isWithout(.returnedPagesAreZeroed) { return }
        if isWithout(.returnedPagesAreCleaned) {
            zeroPages(pages)
            return
        }
        zeroAndCleanPages(pages)
    }
}
