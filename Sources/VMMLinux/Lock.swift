// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A lock that owns what it guards.

internal import CLinux

/// State that one thread at a time can touch.
@safe public final class Lock<State: Sendable>: @unchecked Sendable {
    // The state is touched between acquire and release only, which is what makes the class Sendable.
    private var state: State
    private let mutex: UnsafeMutableRawPointer

    /// A free lock around `state`.
    public init(_ state: State) {
        guard let mutex = unsafe clinux_lock_create() else {
            fatalError("out of memory for a lock")
        }
        unsafe self.mutex = unsafe mutex
        self.state = state
    }

    // Safety: the mutex was made by the initializer and nobody can hold it when the last reference goes.
    deinit { unsafe clinux_lock_destroy(mutex) }

    /// Calls `body` with the state while no other thread can.
    public func withLock<Result>(_ body: (inout State) -> Result) -> Result {
        // Safety: the mutex lives as long as the object.
        unsafe clinux_lock_acquire(mutex)
        defer { unsafe clinux_lock_release(mutex) }
        return body(&state)
    }
}
