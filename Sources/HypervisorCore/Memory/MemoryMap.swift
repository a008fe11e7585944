// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What every physical address is, as the host kernel described it before de-privilege.

public import Arm
public import Machine

/// The machine's physical address map: sorted, disjoint ranges; what no range covers is a device
/// or nothing at all.
///
/// The ranges stay where the boot block holds them, in pages that became the hypervisor's; this
/// value knows where, and that they were checked.
public struct MemoryMap: Sendable {
    /// What a range of frames is. The numbers are martlet_boot.h's.
    public enum Kind: UInt32, Sendable {
        /// Ordinary RAM; the ledger has an entry for each page.
        case ram = 1
        /// RAM that firmware keeps: the host reaches it, nobody else ever will.
        case firmware = 2
        /// Device frames that nobody but EL2 may reach.
        case deny = 3
        /// Everything else.
        case device = 0
    }

    /// A range and what it is.
    public struct Entry: Sendable {
        /// The frames.
        public let range: FrameRange<HostPhysical>
        /// What they are.
        public let kind: Kind
    }

    private let base: Address<HypervisorVirtual>
    /// The number of ranges.
    public let count: Int

    /// Bytes of one range in the boot block.
    private static var stride: UInt64 { 24 }

    /// Checks `count` ranges: each page-aligned, not empty, of a known kind, behind the one before.
    init?(checking base: Address<HypervisorVirtual>, count: Int, on processor: some Processor) {
        self.base = base
        self.count = count
        var behind = Frame<HostPhysical>(0)
        var index = 0
        while index < count {
            let at = base.advanced(by: UInt64(truncatingIfNeeded: index) &* Self.stride)
            let bytes = processor.load64(at) | processor.load64(at.advanced(by: 8))
            guard bytes & (pageSize &- 1) == 0, let entry = entry(index, on: processor),
                entry.kind != .device, entry.range.first >= behind
            else { return nil }
            behind = entry.range.end
            index &+= 1
        }
    }

    /// The range with the given index, in ascending order; nil past the last.
    public func entry(_ index: Int, on processor: some Processor) -> Entry? {
        guard index >= 0, index < count else { return nil }
        let at = base.advanced(by: UInt64(truncatingIfNeeded: index) &* Self.stride)
        guard
            let range = FrameRange<HostPhysical>(
                alleged: processor.load64(at) >> pageShift, count: processor.load64(at.advanced(by: 8)) >> pageShift),
            let kind = Kind(rawValue: processor.load32(at.advanced(by: 16)))
        else { return nil }
        return Entry(range: range, kind: kind)
    }

    /// The range that holds a frame; nil for devices.
    public func entry(containing frame: Frame<HostPhysical>, on processor: some Processor) -> Entry? {
        var low = 0
        var high = count
        while low < high {
            let middle = (low &+ high) >> 1
            guard let entry = entry(middle, on: processor) else { return nil }
            if frame < entry.range.first {
                high = middle
            } else if frame < entry.range.end {
                return entry
            } else {
                low = middle &+ 1
            }
        }
        return nil
    }

    /// What a frame is.
    public func kind(of frame: Frame<HostPhysical>, on processor: some Processor) -> Kind {
        entry(containing: frame, on: processor)?.kind ?? .device
    }

    /// Whether one range of the given kind covers all of `range`.
    public func covers(
        _ range: FrameRange<HostPhysical>, with kind: Kind, on processor: some Processor
    ) -> Bool {
        guard let entry = entry(containing: range.first, on: processor) else { return false }
        return entry.kind == kind && entry.range.contains(range)
    }

    /// Whether nothing but devices lies in `range`.
    public func isDeviceOnly(_ range: FrameRange<HostPhysical>, on processor: some Processor) -> Bool {
        var index = 0
        while let entry = entry(index, on: processor) {
            if entry.range.overlaps(range) { return false }
            index &+= 1
        }
        return true
    }
}
