// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Memory slots: every refusal with Linux's error, and what changes mean for the guest.

import KVMCore
import Testing

private struct Places: SlotStore {
    private var places = [MemorySlot](
        repeating: MemorySlot(number: 9, firstFrame: 9, pages: 9, userAddress: 9), count: MemorySlot.capacity)

    subscript(place: Int) -> MemorySlot {
        get { places[place] }
        set { places[place] = newValue }
    }
}

/// The table behind a reference, because expectations copy what they look at.
private final class Table {
    private var slots = MemorySlots(store: Places())
    var end: Int { slots.end }
    func slot(of frame: UInt64) -> MemorySlot? { slots.slot(of: frame) }
    func run(at place: Int, behind start: UInt64, _ end: UInt64) -> GuestRun? {
        slots.run(at: place, behind: start, end)
    }
    func leavingRun(behind start: UInt64, _ end: UInt64) -> GuestRun? { slots.leavingRun(behind: start, end) }
    func hasLeft() { slots.hasLeft() }
    func change(
        _ region: MemoryRegionArgument, _ limits: RegionLimits, source: PrivateSource? = nil
    ) throws(LinuxError) -> SlotChange {
        try slots.change(region, source: source, limits: limits)
    }
}

@Suite struct MemorySlotTests {
    private static let limits = RegionLimits(addressBits: 40, userLimit: 1 << 48)

    private func region(
        _ slot: UInt32 = 0, at guest: UInt64 = 0x8000_0000, size: UInt64 = 0x10_0000,
        user: UInt64 = 0x7F00_0000_0000, flags: UInt32 = 0
    ) -> MemoryRegionArgument {
        MemoryRegionArgument(slot: slot, flags: flags, guestAddress: guest, size: size, userAddress: user)
    }

    @Test func slotsOfPrivateMemory() throws {
        let table = Table()
        let source = PrivateSource(object: 0x1000, firstPage: 16)
        let flag = MemoryRegionArgument.privateFlag
        let private0 = region(flags: flag)
        // The flag and the memory belong together.
        #expect(throws: LinuxError.invalid) { try table.change(private0, Self.limits) }
        #expect(try table.change(private0, Self.limits, source: source) == .added)
        #expect(table.slot(of: 0x8_0001)?.source == source)
        // The process's mappings mean nothing to it.
        #expect(table.run(at: 0, behind: 0, .max) == nil)
        // It cannot be changed, not even into itself, and no page of it is at two places.
        #expect(throws: LinuxError.invalid) { try table.change(private0, Self.limits, source: source) }
        #expect(throws: LinuxError.invalid) { try table.change(region(), Self.limits) }
        let elsewhere = region(1, at: 0x9000_0000, flags: flag)
        for first: UInt64 in [16, 0, 1, 271] {
            #expect(throws: LinuxError.exists) {
                try table.change(elsewhere, Self.limits, source: PrivateSource(object: 0x1000, firstPage: first))
            }
        }
        #expect(
            try table.change(elsewhere, Self.limits, source: PrivateSource(object: 0x1000, firstPage: 272)) == .added)
        #expect(
            try table.change(region(size: 0, flags: flag), Self.limits)
                == .released(GuestRun(first: 0x8_0000, pages: 256), source))
        #expect(table.slot(of: 0x8_0001) == nil)
        #expect(try table.change(region(), Self.limits) == .added)
        #expect(table.slot(of: 0x8_0001)?.source == nil)
    }

    @Test func theStructureIsLinux() {
        let argument = MemoryRegionArgument([0x0000_0003_0000_0001, 0x8000_0000, 0x2000, 0x7F00_0000_1000])
        #expect(argument == region(1, size: 0x2000, user: 0x7F00_0000_1000, flags: 3))
    }

    @Test(arguments: [
        (MemoryRegionArgument(slot: 0, flags: 1, guestAddress: 0, size: 4096, userAddress: 0), LinuxError.invalid),
        (MemoryRegionArgument(slot: 0, flags: 2, guestAddress: 0, size: 4096, userAddress: 0), .invalid),
        (MemoryRegionArgument(slot: 0, guestAddress: 1, size: 4096, userAddress: 0), .invalid),
        (MemoryRegionArgument(slot: 0, guestAddress: 0, size: 4095, userAddress: 0), .invalid),
        (MemoryRegionArgument(slot: 0, guestAddress: 0, size: 4096, userAddress: 8), .invalid),
        (MemoryRegionArgument(slot: 128, guestAddress: 0, size: 4096, userAddress: 0), .invalid),
        (MemoryRegionArgument(slot: 1 << 16, guestAddress: 0, size: 4096, userAddress: 0), .invalid),
        (MemoryRegionArgument(slot: 0, guestAddress: 0, size: 4096, userAddress: 1 << 48), .invalid),
        (MemoryRegionArgument(slot: 0, guestAddress: 0, size: 8192, userAddress: (1 << 48) - 4096), .invalid),
        (MemoryRegionArgument(slot: 0, guestAddress: 0, size: 4096, userAddress: 0xFF00_0000_0000_0000), .invalid),
        (MemoryRegionArgument(slot: 0, guestAddress: ~0xFFF, size: 8192, userAddress: 0), .invalid),
        (MemoryRegionArgument(slot: 0, guestAddress: 0, size: 1 << 43, userAddress: 0), .invalid),
        (MemoryRegionArgument(slot: 0, guestAddress: 0, size: 0, userAddress: 0), .invalid),
        (MemoryRegionArgument(slot: 0, guestAddress: 1 << 40, size: 4096, userAddress: 0), .fault),
        (MemoryRegionArgument(slot: 0, guestAddress: (1 << 40) - 4096, size: 8192, userAddress: 0), .fault),
    ])
    func refusals(argument: MemoryRegionArgument, error: LinuxError) {
        let slots = Table()
        #expect(throws: error) { try slots.change(argument, Self.limits) }
        #expect(slots.end == 0)
    }

    @Test func slotsNeverOverlap() throws {
        let slots = Table()
        #expect(try slots.change(region(0), Self.limits) == .added)
        #expect(throws: LinuxError.exists) { try slots.change(region(1), Self.limits) }
        #expect(throws: LinuxError.exists) {
            try slots.change(region(1, at: 0x8000_0000 + 0xF_F000, size: 0x1000), Self.limits)
        }
        #expect(throws: LinuxError.exists) {
            try slots.change(region(1, at: 0x7FF0_0000, size: 0x10_1000), Self.limits)
        }
        #expect(try slots.change(region(1, at: 0x8010_0000), Self.limits) == .added)
        #expect(try slots.change(region(2, at: 0x7FF0_0000), Self.limits) == .added)
    }

    @Test func whatIsTakenOutIsFoundUntilItHasLeft() throws {
        let slots = Table()
        _ = try slots.change(region(5), Self.limits)
        #expect(slots.leavingRun(behind: 0, .max) == nil)
        // Moved: the process's pages are behind the new frames, and may still be behind the old ones.
        _ = try slots.change(region(5, at: 0x9000_0000), Self.limits)
        let second: UInt64 = 0x7F00_0000_1000
        #expect(slots.run(at: 0, behind: second, second + 1) == GuestRun(first: 0x90001, pages: 1))
        #expect(slots.leavingRun(behind: second, second + 1) == GuestRun(first: 0x80001, pages: 1))
        #expect(slots.slot(of: 0x80001) == nil, "the guest gets nothing there any more")
        slots.hasLeft()
        #expect(slots.leavingRun(behind: 0, .max) == nil)
        _ = try slots.change(region(5, size: 0), Self.limits)
        #expect(slots.run(at: 0, behind: 0, .max) == nil)
        #expect(slots.leavingRun(behind: 0, .max) == GuestRun(first: 0x90000, pages: 256))
        slots.hasLeft()
        #expect(slots.leavingRun(behind: 0, .max) == nil)
    }

    @Test func aSlotMovesAndGoesButNeverChangesItsMemory() throws {
        let slots = Table()
        _ = try slots.change(region(5), Self.limits)
        #expect(try slots.change(region(5), Self.limits) == .none)
        #expect(throws: LinuxError.invalid) { try slots.change(region(5, size: 0x20_0000), Self.limits) }
        #expect(throws: LinuxError.invalid) {
            try slots.change(region(5, user: 0x7E00_0000_0000), Self.limits)
        }
        let moved = try slots.change(region(5, at: 0x8008_0000), Self.limits)
        #expect(moved == .removed(GuestRun(first: 0x80000, pages: 256)))
        #expect(slots.slot(of: 0x80000) == nil)
        #expect(slots.slot(of: 0x80080)?.userAddress(of: 0x80081) == 0x7F00_0000_1000)
        #expect(try slots.change(region(5, size: 0), Self.limits) == .removed(GuestRun(first: 0x80080, pages: 256)))
        #expect(slots.slot(of: 0x80080) == nil)
    }

    @Test func allNumbersFitAndOneMoreDoesNot() throws {
        let slots = Table()
        for number in 0..<UInt32(MemorySlot.capacity) {
            _ = try slots.change(region(number, at: UInt64(number) << 20), Self.limits)
        }
        #expect(slots.end == MemorySlot.capacity)
        _ = try slots.change(region(7, size: 0), Self.limits)
        _ = try slots.change(region(7, at: 1 << 39), Self.limits)
        #expect(slots.end == MemorySlot.capacity)
    }

    @Test func aSlotKeepsItsPlaceWhenOthersGo() throws {
        let slots = Table()
        for number in 0..<UInt32(3) {
            _ = try slots.change(
                region(number, at: UInt64(number) << 20, user: 0x1000_0000 + UInt64(number) << 20), Self.limits)
        }
        let before = slots.run(at: 2, behind: 0, .max)
        _ = try slots.change(region(0, size: 0), Self.limits)
        #expect(slots.run(at: 2, behind: 0, .max) == before)
        #expect(slots.run(at: 0, behind: 0, .max) == nil)
    }

    @Test func userAddressesFindTheirGuestPages() throws {
        let slots = Table()
        _ = try slots.change(region(0), Self.limits)
        let base: UInt64 = 0x7F00_0000_0000
        #expect(slots.run(at: 0, behind: base, base + 1) == GuestRun(first: 0x80000, pages: 1))
        #expect(slots.run(at: 0, behind: base + 0xFFF, base + 0x1001) == GuestRun(first: 0x80000, pages: 2))
        #expect(slots.run(at: 0, behind: 0, base) == nil)
        #expect(slots.run(at: 0, behind: base + 0x10_0000, .max) == nil)
        #expect(slots.run(at: 0, behind: base + 0xF_F000, .max) == GuestRun(first: 0x800FF, pages: 1))
        #expect(slots.run(at: -1, behind: 0, .max) == nil)
        #expect(slots.run(at: 1, behind: 0, .max) == nil)
    }

    @Test func aRunAdvancesAsFarAsItIsLong() {
        var run = GuestRun(first: 5, pages: 2000)
        for frame: UInt64 in [0, 5, 2006, .max] {
            let hasAdvanced = run.advance(to: frame)
            #expect(!hasAdvanced)
        }
        #expect(run == GuestRun(first: 5, pages: 2000))
        let hasAdvanced = run.advance(to: 512)
        #expect(hasAdvanced)
        #expect(run == GuestRun(first: 512, pages: 1493))
        let hasEnded = run.advance(to: 2005)
        #expect(hasEnded)
        #expect(run.pages == 0)
    }

    @Test func aRunGrowsToTheBlocksThatItIsIn() {
        var run = GuestRun(first: 511, pages: 2)
        let hasGrown = run.growToBlocks(limit: 1 << 28)
        #expect(hasGrown)
        #expect(run == GuestRun(first: 0, pages: 1024))
        let growsAgain = run.growToBlocks(limit: 1 << 28)
        #expect(!growsAgain)
        var last = GuestRun(first: (1 << 20) - 1, pages: 1)
        let lastHasGrown = last.growToBlocks(limit: 1 << 20)
        #expect(lastHasGrown)
        #expect(last == GuestRun(first: (1 << 20) - 512, pages: 512))
    }
}

@Suite struct BlockTests {
    private let slot = MemorySlot(number: 0, firstFrame: 0x80000, pages: 2048, userAddress: 0x7F00_0000_0000)

    @Test func aBlockIsLentWhole() {
        #expect(slot.block(around: 0x80205, backedBy: 0x4_0005, isHuge: true) == GuestRun(first: 0x80200, pages: 512))
        #expect(slot.block(around: 0x80000, backedBy: 0x4_0000, isHuge: true) == GuestRun(first: 0x80000, pages: 512))
    }

    @Test func aPageIsLentWhereABlockDoesNotFit() {
        let page = GuestRun(first: 0x80205, pages: 1)
        #expect(slot.block(around: 0x80205, backedBy: 0x4_0005, isHuge: false) == page)
        #expect(slot.block(around: 0x80205, backedBy: 0x4_0006, isHuge: true) == page)
        var other = slot
        other.userAddress += 0x1000
        #expect(other.block(around: 0x80205, backedBy: 0x4_0005, isHuge: true) == page)
        other = slot
        other.firstFrame = 0x80201
        #expect(other.block(around: 0x80205, backedBy: 0x4_0005, isHuge: true) == page)
        other = slot
        other.pages = 1023
        #expect(other.block(around: 0x80205, backedBy: 0x4_0005, isHuge: true) == page)
    }
}
