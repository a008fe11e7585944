// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A thread that can be interrupted and joined.

internal import CLinux
public import VMMConfiguration

/// A running thread. `join` must be called once.
public struct Thread: Sendable {
    private let handle: UInt64

    /// Keeps a closure alive while C holds the pointer to it.
    private final class Body: Sendable {
        let call: @Sendable () -> Void
        init(_ call: @escaping @Sendable () -> Void) { self.call = call }
    }

    /// Starts a thread that calls `body`.
    public init(_ body: @escaping @Sendable () -> Void) throws(SystemError) {
        // Safety: the reference is given to the thread, which consumes it exactly once; if there is no thread, it is
        // taken back here.
        let context = unsafe Unmanaged.passRetained(Body(body)).toOpaque()
        var handle: UInt64 = 0
        let result = unsafe clinux_thread_start(
            { context in unsafe Unmanaged<Body>.fromOpaque(context).takeRetainedValue().call() }, context, &handle)
        guard result == 0 else {
            unsafe Unmanaged<Body>.fromOpaque(context).release()
            throw SystemError(result)
        }
        self.handle = handle
    }

    /// Interrupts the system call that the thread is in. It may have returned already, but not been joined.
    public func kick() { _ = clinux_thread_kick(handle) }

    /// Waits until the thread has returned.
    public func join() { _ = clinux_thread_join(handle) }
}
