// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The bytes of a value that cannot be copied, kept to put the value back into the state that it had.

/// What a value in place consisted of at some moment.
///
/// Only for values without references: of the hypervisor's state that holds, because it has no heap.
public struct ValueBytes: Sendable {
    private var bytes: [UInt8] = []

    /// The bytes of a value.
    public init<Value: ~Copyable>(of value: inout Value) {
        // Safety: the buffer is the value's own storage, which is only read here.
        unsafe withUnsafeMutableBytes(of: &value) { storage in
            bytes = unsafe Array(storage)
        }
    }

    /// Makes a value what it was. It has not moved since, and is of the type that was kept.
    public func restore<Value: ~Copyable>(_ value: inout Value) {
        // Safety: the bytes were those of this value, and none of them is a reference.
        unsafe withUnsafeMutableBytes(of: &value) { storage in
            precondition(storage.count == bytes.count)
            unsafe storage.copyBytes(from: bytes)
        }
    }
}
