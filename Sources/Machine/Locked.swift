// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The lock that owns its data. A ticket lock: CPUs get it in the order in which they asked.

import Builtin
public import Synchronization

/// Storage with a fixed address for a value that a lock hands out.
@_rawLayout(like: Value, movesAsLike)
@safe
public struct Cell<Value: ~Copyable>: ~Copyable {
    /// Address of the value, stable as long as the cell does not move.
    // Safety: only `Locked` uses it, with the lock held.
    @inlinable
    var address: UnsafeMutablePointer<Value> {
        unsafe UnsafeMutablePointer<Value>(Builtin.addressOfRawLayout(self))
    }

    @inlinable
    init(_ value: consuming Value) {
        unsafe address.initialize(to: value)
    }

    @inlinable
    deinit {
        unsafe address.deinitialize(count: 1)
    }
}

/// The place of a lock in the order in which locks nest (docs/locking.md).
public enum LockRank: UInt8, Comparable, Sendable {
    /// What a hypervisor that checks itself compares itself with; in images for tests only.
    case audit
    /// Which CPUs are behind the stage-2.
    case inside
    /// The CPUs' power states.
    case power
    /// Who owns which page, and all tables.
    case memory
    /// The generator of random bits.
    case generator

    /// Whether a CPU that holds `left` may take `right`.
    @inlinable
    public static func < (left: LockRank, right: LockRank) -> Bool { left.rawValue < right.rawValue }
}

/// What can be put behind a lock.
public protocol Lockable: ~Copyable {
    /// The place of its lock in the order.
    static var lockRank: LockRank { get }
}

/// A value that only the holder of its lock reaches.
///
/// A CPU takes a lock only while it holds none, or none of the same or a later rank, and holds none over a
/// return to the host or over a guest's run. The machine model checks that; EL2 itself pays nothing for it.
/// EL2 takes no interrupts, so there is nothing to mask.
@safe
public struct Locked<State: Lockable & ~Copyable>: ~Copyable, @unchecked Sendable {
    // Safety of `@unchecked Sendable`: `cell` is touched only between `acquire` and `release`.
    @usableFromInline let next = Atomic<UInt32>(0)
    @usableFromInline let serving = Atomic<UInt32>(0)
    @usableFromInline let cell: Cell<State>

    /// Puts a value behind a lock that nobody holds.
    @inlinable
    public init(_ state: consuming State) { cell = Cell(state) }

    /// Runs `body` with the state, when all who asked before have finished.
    @inlinable
    @inline(__always)
    public borrowing func withLock<Result: ~Copyable, Failure: Error>(
        on processor: some Processor,
        _ body: (inout State) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        processor.takesLock(State.lockRank)
        let ticket = next.wrappingAdd(1, ordering: .relaxed).oldValue
        while load(.acquired, on: processor) != ticket { processor.relax() }
        // The release orders everything `body` wrote before the next holder's acquire.
        defer {
            store(ticket &+ 1, .released, on: processor)
            processor.releasesLock(State.lockRank)
        }
        // Safety: this CPU alone holds the ticket that is served.
        return try unsafe body(&cell.address.pointee)
    }

    /// Which lock this is, for the machine.
    @inlinable
    var identity: UInt {
        // Safety: only the address is looked at.
        unsafe UInt(bitPattern: cell.address)
    }

    // One value chooses the order and is what the machine is told, so that the two cannot differ.

    @inlinable
    @inline(__always)
    borrowing func load(_ handOver: HandOver, on processor: some Processor) -> UInt32 {
        let value =
            switch handOver {
            case .acquired: serving.load(ordering: .acquiring)
            case .readRelaxed, .released, .writtenRelaxed: serving.load(ordering: .relaxed)
            }
        processor.handsOver(identity, handOver)
        return value
    }

    @inlinable
    @inline(__always)
    borrowing func store(_ value: UInt32, _ handOver: HandOver, on processor: some Processor) {
        processor.handsOver(identity, handOver)
        switch handOver {
        case .released: serving.store(value, ordering: .releasing)
        case .writtenRelaxed, .acquired, .readRelaxed: serving.store(value, ordering: .relaxed)
        }
    }
}
