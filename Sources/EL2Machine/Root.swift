// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The one root value, in memory that the image reserves for it.

import CBootProtocol
import CEL2

/// Where the image keeps its root value.
@safe
public enum RootStorage<Root: ~Copyable> {
    // Safety: `place` checks size and alignment and runs once, before any other CPU is in EL2's
    // Swift code; the value is never destroyed.
    private static var pointer: UnsafeMutablePointer<Root>? {
        unsafe UnsafeMutablePointer(
            bitPattern: UInt(el2_address_of_root_storage()) &+ UInt(MARTLET_ROOT_VALUE))
    }

    /// Puts the value in place, once.
    public static func place(_ root: consuming Root) {
        precondition(MemoryLayout<Root>.size + Int(MARTLET_ROOT_VALUE) <= Int(MARTLET_ROOT_SIZE))
        precondition(MemoryLayout<Root>.alignment <= 64)
        guard let pointer = unsafe pointer else { el2_break() }
        unsafe pointer.initialize(to: root)
        RootFlags.isInitialised = true
    }

    /// Lends the value. Only once `RootFlags.isInitialised`.
    @inline(__always)
    public static func borrow<Result>(_ body: (borrowing Root) -> Result) -> Result {
        guard let pointer = unsafe pointer else { el2_break() }
        return unsafe body(pointer.pointee)
    }
}
