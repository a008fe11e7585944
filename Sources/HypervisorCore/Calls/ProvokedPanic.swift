// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A bug on purpose, for the test that follows a panic from EL2 to a source line. It exists only in
// images built with MARTLET_FAULTS=PANIC.

import Synchronization

#if MARTLET_FAULT_PANIC
extension Hypervisor {
    /// The host call that provokes it.
    static var provokedPanic: UInt64 { 0xC600_4FFF }

    /// Indexes past the end of an array: a Swift run-time check fails.
    @inline(never)
    func provokePanic(_ index: UInt64) {
        let values: InlineArray<4, UInt64> = [1, 2, 3, 4]
        refusedFirmwareCalls.store(values[Int(truncatingIfNeeded: index)], ordering: .relaxed)
    }
}
#endif
