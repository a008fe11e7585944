// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The physical map for EL2: resources as the kernel names them become page-aligned ranges that
// are sorted, disjoint and merged.

internal import CBootProtocol

/// What a range of physical addresses is, with the boot protocol's numbers.
public enum RangeKind: UInt32, CaseIterable, BitwiseCopyable, Sendable {
    /// Ordinary RAM of the host.
    case ram = 1
    /// RAM that firmware keeps; the host may use it and never donate it.
    case firmware = 2
    /// Device addresses that the host must never reach.
    case deny = 3
}

/// A page-aligned, non-empty range of physical addresses.
public struct PhysicalRange: Equatable, BitwiseCopyable, Sendable {
    /// The first address.
    public var base: UInt64
    /// The address after the last one.
    public var end: UInt64
    /// What it is.
    public var kind: RangeKind

    /// Bytes.
    public var size: UInt64 { end - base }
    /// Pages.
    public var pages: UInt64 { size / Limits.pageSize }

    /// A range that is page-aligned already.
    public init(base: UInt64, end: UInt64, kind: RangeKind) {
        self.base = base
        self.end = end
        self.kind = kind
    }

    /// Rounds what the kernel says to whole pages: RAM inwards, because a page that is RAM in
    /// part must not be donated; everything else outwards, because a page that is denied or
    /// firmware's in part is so as a whole. `nil` when no page remains.
    ///
    /// - Parameter last: the last address, inclusive, as resources are kept.
    public init?(rounding first: UInt64, through last: UInt64, kind: RangeKind) {
        let mask = Limits.pageSize - 1
        // No implementation has addresses above 52 bits; a resource that claims one is nonsense.
        guard first <= last, last < 1 << 52 else { return nil }
        switch kind {
        case .ram:
            base = (first + mask) & ~mask
            end = (last + 1) & ~mask
        case .firmware, .deny:
            base = first & ~mask
            end = (last + 1 + mask) & ~mask
        }
        self.kind = kind
        guard base < end else { return nil }
    }
}

/// The ranges for the boot block: sorted, disjoint, neighbours of one kind merged.
///
/// Storage is the caller's, so that nothing of this size stands on a kernel stack. Where kinds
/// overlap, the stricter one wins (deny, then firmware, then RAM).
public struct RangeList: ~Copyable, ~Escapable {
    private var storage: MutableSpan<PhysicalRange>
    /// How many ranges the list has.
    public private(set) var count = 0

    /// An empty list in `storage`, whose count is the capacity.
    @_lifetime(copy storage)
    public init(storage: consuming MutableSpan<PhysicalRange>) {
        self.storage = storage
    }

    /// The range at `index`.
    public subscript(index: Int) -> PhysicalRange {
        precondition(index < count)
        return storage[index]
    }

    /// Pages of RAM and firmware RAM: what the ledger has entries for.
    public var ledgerPages: UInt64 {
        var pages: UInt64 = 0
        for index in 0..<count where storage[index].kind != .deny { pages += storage[index].pages }
        return pages
    }

    /// Adds a range and keeps the list sorted, disjoint and merged.
    @_lifetime(self: copy self)
    public mutating func insert(_ new: PhysicalRange) throws(Refusal) {
        // What the stricter neighbours leave of `new` goes in piece by piece.
        var rest = new
        var index = 0
        while index < count {
            let old = storage[index]
            if old.end <= rest.base {
                index += 1
            } else if old.base >= rest.end {
                break
            } else if old.kind.rawValue >= rest.kind.rawValue {
                if rest.base < old.base {
                    try place(PhysicalRange(base: rest.base, end: old.base, kind: rest.kind), at: index)
                    index += 1
                }
                guard old.end < rest.end else { return merge() }
                rest.base = old.end
                index += 1
            } else {
                try yield(old, at: index, to: rest)
            }
        }
        try place(rest, at: index)
        merge()
    }

    /// Cuts `strict` out of the laxer `old`, which lies at `index`.
    @_lifetime(self: copy self)
    private mutating func yield(
        _ old: PhysicalRange, at index: Int, to strict: PhysicalRange
    ) throws(Refusal) {
        let head = PhysicalRange(base: old.base, end: max(old.base, strict.base), kind: old.kind)
        let tail = PhysicalRange(base: min(old.end, strict.end), end: old.end, kind: old.kind)
        switch (head.size > 0, tail.size > 0) {
        case (true, true):
            try place(head, at: index)
            storage[index + 1] = tail
        case (true, false): storage[index] = head
        case (false, true): storage[index] = tail
        case (false, false): remove(at: index)
        }
    }

    @_lifetime(self: copy self)
    private mutating func place(_ range: PhysicalRange, at index: Int) throws(Refusal) {
        guard count < storage.count else { throw .tooManyRanges }
        var position = count
        while position > index {
            storage[position] = storage[position - 1]
            position -= 1
        }
        storage[index] = range
        count += 1
    }

    @_lifetime(self: copy self)
    private mutating func remove(at index: Int) {
        for position in index..<(count - 1) { storage[position] = storage[position + 1] }
        count -= 1
    }

    @_lifetime(self: copy self)
    private mutating func merge() {
        var index = 0
        while index + 1 < count {
            if storage[index].end == storage[index + 1].base, storage[index].kind == storage[index + 1].kind {
                storage[index].end = storage[index + 1].end
                remove(at: index + 1)
            } else {
                index += 1
            }
        }
    }
}
