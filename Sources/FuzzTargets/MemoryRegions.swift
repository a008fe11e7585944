// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Memory slots beside a model of them: a list of regions, and nothing else.

import KVMCore

private struct Slots: SlotStore {
    var slots = Array(
        repeating: MemorySlot(number: 0xDEAD, firstFrame: 0xDEAD, pages: 0xDEAD, userAddress: 0xDEAD),
        count: MemorySlot.capacity)

    subscript(place: Int) -> MemorySlot {
        get { slots[place] }
        set { slots[place] = newValue }
    }
}

/// Regions, each followed by questions about it.
func checkMemorySlots(_ input: inout FuzzInput) throws(BrokenProperty) {
    let limits = RegionLimits(addressBits: 32 + UInt64(input.byte() % 17), userLimit: 1 << 48)
    let frames: UInt64 = 1 << (limits.addressBits - 12)
    var slots = MemorySlots(store: Slots())
    var model: [UInt32: MemorySlot] = [:]
    var steps = 0
    while !input.isEmpty, steps < 64 {
        steps += 1
        let region = MemoryRegionArgument(
            slot: UInt32(truncatingIfNeeded: input.number()), flags: UInt32(input.byte() & 7),
            guestAddress: input.number(), size: input.number(), userAddress: input.number())
        let source =
            region.flags & MemoryRegionArgument.privateFlag != 0 && region.size > 0
            ? PrivateSource(object: UInt64(input.byte() & 1) + 1, firstPage: UInt64(input.byte())) : nil
        if let change = try? slots.change(region, source: source, limits: limits) {
            try follow(change, region, source, &model)
        }
        try compare(slots, model, frames, around: region, input.number())
    }
}

private func follow(
    _ change: SlotChange, _ region: MemoryRegionArgument, _ source: PrivateSource?, _ model: inout [UInt32: MemorySlot]
) throws(BrokenProperty) {
    let old = model[region.slot]
    switch change {
    case .none: try hold(old?.firstFrame == region.guestAddress >> 12, "nothing changed for \(region)")
    case .added: try hold(old == nil, "\(region) is new, and was there")
    case .removed(let run): try hold(old?.run == run, "\(run) was removed, where \(String(describing: old)) was")
    case .released(let run, let gone):
        try hold(old?.run == run && old?.source == gone, "\(run) was released, where \(String(describing: old)) was")
    }
    let new = MemorySlot(
        number: region.slot, firstFrame: region.guestAddress >> 12, pages: region.size >> 12,
        userAddress: region.userAddress, source: source)
    model[region.slot] = region.size == 0 ? nil : new
}

private func compare(
    _ slots: borrowing MemorySlots<Slots>, _ model: [UInt32: MemorySlot], _ frames: UInt64,
    around region: MemoryRegionArgument, _ any: UInt64
) throws(BrokenProperty) {
    for (number, slot) in model {
        try hold(slot.pages > 0 && slot.pages <= frames && slot.firstFrame <= frames - slot.pages, "\(slot) fits")
        for (other, rival) in model where other != number {
            try hold(
                slot.firstFrame + slot.pages <= rival.firstFrame || rival.firstFrame + rival.pages <= slot.firstFrame,
                "\(slot) and \(rival) overlap")
        }
    }
    let first = region.guestAddress >> 12
    for frame in [0, first, first &- 1, first &+ region.size >> 12, any, frames &- 1] {
        let wanted = model.values.first { frame >= $0.firstFrame && frame - $0.firstFrame < $0.pages }
        try hold(slots.slot(of: frame) == wanted, "frame \(frame)")
        if let slot = wanted {
            try hold(slot.userAddress(of: frame) == slot.userAddress &+ (frame - slot.firstFrame) << 12, "\(frame)")
            let block = slot.block(around: frame, backedBy: any, isHuge: true)
            try hold(
                block.first >= slot.firstFrame && block.first + block.pages <= slot.firstFrame + slot.pages
                    && block.first <= frame && frame - block.first < block.pages, "\(block) around \(frame)")
        }
        guard let gap = slots.gap(from: frame, limit: frames) else { continue }
        try hold(gap.pages > 0 && gap.first >= frame && gap.first + gap.pages <= frames, "\(gap) from \(frame)")
        for slot in model.values {
            try hold(
                gap.first + gap.pages <= slot.firstFrame || slot.firstFrame + slot.pages <= gap.first,
                "\(gap) has memory")
        }
    }
    try compareBehind(slots, model, region.userAddress, any)
}

/// What is behind a range of the process's addresses.
private func compareBehind(
    _ slots: borrowing MemorySlots<Slots>, _ model: [UInt32: MemorySlot], _ start: UInt64, _ size: UInt64
) throws(BrokenProperty) {
    let (end, overflow) = start.addingReportingOverflow(size)
    guard !overflow, end > start else { return }
    for place in 0..<slots.end {
        guard let slot = slots[place: place] else { continue }
        let run = slots.run(at: place, behind: start, end)
        let ownEnd = slot.userAddress + slot.pages << 12
        let isConcerned = slot.source == nil && (start & ~0xFFF) < ownEnd && slot.userAddress < end
        try hold((run != nil) == isConcerned, "\(slot) behind \(start) to \(end): \(String(describing: run))")
        guard let run else { continue }
        try hold(
            run.pages > 0 && run.first >= slot.firstFrame
                && run.first + run.pages <= slot.firstFrame + slot.pages, "\(run) of \(slot)")
        // All of the range's pages and no more.
        let from = slot.userAddress + (run.first - slot.firstFrame) << 12
        try hold(from == max(start & ~0xFFF, slot.userAddress), "\(run) begins at \(from)")
        let to = from + run.pages << 12
        try hold(to >= min(end, ownEnd) && to - min(end, ownEnd) < 0x1000, "\(run) ends at \(to)")
    }
}
