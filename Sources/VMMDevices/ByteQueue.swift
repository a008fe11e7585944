// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A first-in, first-out queue of bytes with a fixed capacity.

/// A queue of bytes that refuses what does not fit.
public struct ByteQueue: Sendable {
    private var storage: [UInt8]
    private var head = 0
    /// How many bytes wait.
    public private(set) var count = 0

    /// An empty queue for at most `capacity` bytes.
    public init(capacity: Int) {
        storage = Array(repeating: 0, count: capacity)
    }

    /// How many bytes fit altogether.
    public var capacity: Int { storage.count }
    /// How many more bytes fit.
    public var room: Int { capacity - count }
    /// Whether no byte waits.
    public var isEmpty: Bool { count == 0 }

    /// Adds `byte` at the end, and says whether it fitted.
    public mutating func push(_ byte: UInt8) -> Bool {
        guard room > 0 else { return false }
        storage[(head + count) % capacity] = byte
        count += 1
        return true
    }

    /// Takes the first byte.
    public mutating func pop() -> UInt8? {
        guard count > 0 else { return nil }
        let byte = storage[head]
        head = (head + 1) % capacity
        count -= 1
        return byte
    }

    /// The first bytes, at most `limit` of them, which stay in the queue.
    public func peek(limit: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        for index in 0..<min(limit, count) { bytes.append(storage[(head + index) % capacity]) }
        return bytes
    }

    /// Forgets the first `number` bytes, or all of them if there are fewer.
    public mutating func drop(_ number: Int) {
        let dropped = min(max(number, 0), count)
        head = (head + dropped) % capacity
        count -= dropped
    }

    /// Forgets everything.
    public mutating func clear() {
        count = 0
    }
}
