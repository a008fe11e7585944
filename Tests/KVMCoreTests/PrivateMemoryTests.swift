// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Whose the pages of private memory are: blocks and single pages, a kernel that has no blocks or no
// memory at all, and random sequences beside a plain table of owners.

import KVMCore
import Testing

/// What became of frames, shared between the store and its test.
private final class Kernel {
    var hasBlocks = true
    var freePages = Int.max
    var nextFrame: UInt64 = 512
    /// Frames that are taken.
    var taken: Set<UInt64> = []
    /// Taken frames that no process maps or may map.
    var hidden: Set<UInt64> = []
    /// Indices that were taken out of mappings, with their frames.
    var unmapped: [UInt64: UInt64] = [:]
    var leaves: [UInt64: [UInt64]] = [:]
    var chunks: [UInt64: UInt64] = [:]

    func take(_ pages: UInt64) -> UInt64 {
        guard freePages >= Int(pages) else { return 0 }
        freePages -= Int(pages)
        let first = (nextFrame + pages - 1) / pages * pages
        nextFrame = first + pages
        for frame in first..<(first + pages) { taken.insert(frame) }
        return first
    }
}

private struct Store: PrivateMemoryStore {
    let kernel: Kernel

    subscript(chunk chunk: UInt64) -> UInt64 {
        get { kernel.chunks[chunk, default: 0] }
        set { kernel.chunks[chunk] = newValue }
    }
    subscript(leaf leaf: UInt64, place place: UInt64) -> UInt64 {
        get { kernel.leaves[leaf]?[Int(place)] ?? .max }
        set { kernel.leaves[leaf]?[Int(place)] = newValue }
    }
    func takeLeaf() -> UInt64 {
        guard kernel.freePages > 0 else { return 0 }
        let leaf = UInt64(kernel.leaves.count + 1) << 12
        kernel.leaves[leaf] = Array(repeating: 0, count: 512)
        return leaf
    }
    func giveLeaf(_ leaf: UInt64) { kernel.leaves[leaf] = nil }
    func takeBlock() -> UInt64 { kernel.hasBlocks ? kernel.take(512) : 0 }
    func takePage() -> UInt64 { kernel.take(1) }
    func givePages(_ first: UInt64, _ pages: UInt64) {
        for frame in first..<(first + pages) {
            #expect(kernel.taken.remove(frame) != nil, "frame \(frame) is freed twice")
            #expect(!kernel.hidden.contains(frame), "frame \(frame) is freed while a guest has it")
        }
    }
    func hide(_ index: UInt64, frame: UInt64, pages: UInt64) {
        for page in 0..<pages {
            #expect(kernel.hidden.insert(frame + page).inserted)
            kernel.unmapped[index + page] = frame + page
        }
    }
    func reveal(_ frame: UInt64, pages: UInt64) {
        for page in 0..<pages { #expect(kernel.hidden.remove(frame + page) != nil) }
    }
}

/// The memory behind a reference, because expectations copy what they look at.
private final class Memory {
    let kernel = Kernel()
    private var memory: PrivateMemory<Store>
    let pages: UInt64

    init(pages: UInt64) {
        memory = PrivateMemory(pages: pages, store: Store(kernel: kernel))
        self.pages = pages
    }
    func hostPage(_ index: UInt64) -> PrivateMemory<Store>.HostPage { memory.hostPage(index) }
    func hostBlock(_ index: UInt64) -> UInt64? { memory.hostBlock(index) }
    func take(_ index: UInt64, _ first: UInt64 = 0, _ end: UInt64? = nil) -> PrivateMemory<Store>.Taking {
        memory.take(index, from: first, to: end ?? pages)
    }
    func takeTouched(_ index: UInt64, _ first: UInt64 = 0, _ end: UInt64? = nil) -> PrivateMemory<Store>.Taking? {
        memory.takeTouched(index, from: first, to: end ?? pages)
    }
    func takeBack(_ parcel: PrivateMemory<Store>.Parcel) { memory.takeBack(parcel) }
    func guestLeft() { for chunk in 0..<chunks { memory.guestLeft(chunk: chunk) } }
    func free() { for chunk in 0..<chunks { memory.free(chunk: chunk) } }
    var chunks: UInt64 { PrivateMemory<Store>.chunks(pages: pages) }
}

private func parcel(_ taking: PrivateMemory<Store>.Taking?) -> PrivateMemory<Store>.Parcel? {
    guard case .parcel(let parcel) = taking else { return nil }
    return parcel
}

@Suite struct PrivateMemoryTests {
    @Test func aWholeChunkIsOneBlock() throws {
        let memory = Memory(pages: 1024)
        let first = try #require(parcel(memory.take(700)))
        #expect(first.index == 512 && first.pages == 512 && first.frame % 512 == 0)
        #expect(memory.kernel.unmapped[700] == first.frame + 188)
        #expect(memory.take(512) == .isGuests)
        #expect(memory.hostPage(1023) == .refused)
        #expect(memory.kernel.leaves.isEmpty)
    }

    @Test func whatAProcessWroteGoesWithTheBlock() throws {
        let memory = Memory(pages: 1024)
        guard case .frame(let frame) = memory.hostPage(3) else { throw Failure() }
        #expect(memory.hostPage(4) == .frame(frame + 1))
        let taken = try #require(parcel(memory.takeTouched(0)))
        #expect(taken.index == 0 && taken.pages == 512 && taken.frame == frame - 3)
        // The second chunk was never touched.
        #expect(memory.takeTouched(512) == nil)
    }

    @Test func onlyABlockThatIsAllTheHostsIsMappedAsOne() throws {
        let memory = Memory(pages: 1536 + 100)
        let first = try #require(memory.hostBlock(512))
        #expect(memory.hostPage(700) == .frame(first + 188))
        #expect(memory.hostBlock(512) == first)
        // Not from within, not the tail, not behind the end.
        for index: UInt64 in [513, 1023, 1536, 2048] { #expect(memory.hostBlock(index) == nil) }
        // A guest has a page of it, or all.
        #expect(parcel(memory.take(600, 600, 601)) != nil)
        #expect(memory.hostBlock(512) == nil)
        #expect(parcel(memory.take(0))?.pages == 512)
        #expect(memory.hostBlock(0) == nil)
        // Without blocks at hand, pages are made, and stay pages.
        memory.kernel.hasBlocks = false
        #expect(memory.hostBlock(1024) == nil)
        #expect(memory.hostPage(1030) != .noMemory)
        memory.kernel.hasBlocks = true
        #expect(memory.hostBlock(1024) == nil)
    }

    @Test func aTailAndPartsOfChunksArePages() throws {
        let memory = Memory(pages: 600)
        let tail = try #require(parcel(memory.take(599)))
        #expect(tail.index == 599 && tail.pages == 1)
        // A slot that has only a part of a block does not give the rest away.
        guard case .frame(let frame) = memory.hostPage(10) else { throw Failure() }
        let part = try #require(parcel(memory.take(10, 8, 20)))
        #expect(part.index == 10 && part.pages == 1 && part.frame == frame)
        #expect(memory.hostPage(11) == .frame(frame + 1))
        #expect(memory.hostPage(10) == .refused)
        #expect(parcel(memory.takeTouched(8, 8, 20))?.index == 8)
        #expect(memory.take(20, 8, 20) == .noMemory)
        #expect(memory.take(7, 8, 20) == .noMemory)
    }

    @Test func withoutBlocksThereArePages() throws {
        let memory = Memory(pages: 512)
        memory.kernel.hasBlocks = false
        #expect(memory.hostPage(5) != .noMemory)
        #expect(parcel(memory.take(6))?.pages == 1)
        #expect(parcel(memory.takeTouched(0))?.index == 5)
        #expect(memory.takeTouched(0) == nil)
        // Later there are blocks again; what is in pages stays so.
        memory.kernel.hasBlocks = true
        #expect(parcel(memory.take(7))?.pages == 1)
    }

    @Test func withoutMemoryNothingChanges() throws {
        let memory = Memory(pages: 1024)
        memory.kernel.freePages = 0
        #expect(memory.hostPage(0) == .noMemory)
        #expect(memory.take(0) == .noMemory)
        memory.kernel.freePages = .max
        #expect(memory.hostPage(0) != .noMemory)
        #expect(memory.hostPage(1024) == .refused)
    }

    @Test func aParcelComesBack() throws {
        let memory = Memory(pages: 513)
        for index: UInt64 in [0, 512] {
            let taken = try #require(parcel(memory.take(index)))
            memory.takeBack(taken)
            #expect(memory.hostPage(index) == .frame(taken.frame))
        }
        #expect(memory.kernel.hidden.isEmpty)
    }

    @Test func whatAGuestHasIsNotFreed() throws {
        let memory = Memory(pages: 1024)
        _ = memory.take(0)
        _ = memory.hostPage(512)
        memory.free()
        #expect(memory.kernel.taken.count == 512)
        #expect(memory.kernel.taken == memory.kernel.hidden)
    }

    /// Random touches and takings by several slots, beside a table of what each page is.
    @Test(arguments: 0..<24) func randomSequences(_ seed: UInt64) {
        var random = Generator(state: seed &* 0x9E37_79B9_7F4A_7C15 | 1)
        let pages = UInt64.random(in: 1...2100, using: &random)
        let memory = Memory(pages: pages)
        var frames: [UInt64: UInt64] = [:]
        var guests: Set<UInt64> = []
        for _ in 0..<400 {
            let index = UInt64.random(in: 0..<pages, using: &random)
            memory.kernel.hasBlocks = .random(using: &random)
            let isScarce = Int.random(in: 0..<4, using: &random) == 0
            memory.kernel.freePages = isScarce ? .random(in: 0...1, using: &random) : .max
            if Bool.random(using: &random) {
                let page = memory.hostPage(index)
                if guests.contains(index) {
                    #expect(page == .refused, "seed \(seed)")
                } else if case .frame(let frame) = page {
                    #expect(frames[index] == nil || frames[index] == frame, "seed \(seed)")
                    frames[index] = frame
                } else {
                    #expect(page == .noMemory && memory.kernel.freePages < 512, "seed \(seed)")
                }
            } else {
                // The part of the descriptor that a slot has.
                let first = UInt64.random(in: 0...index, using: &random)
                let end = UInt64.random(in: (index + 1)...pages, using: &random)
                let taking = memory.take(index, first, end)
                guard case .parcel(let taken) = taking else {
                    #expect((taking == .isGuests) == guests.contains(index), "seed \(seed)")
                    continue
                }
                #expect(taken.index >= first && taken.index + taken.pages <= end, "seed \(seed)")
                if Int.random(in: 0..<8, using: &random) == 0 {
                    memory.takeBack(taken)
                    continue
                }
                for page in 0..<taken.pages {
                    let known = frames[taken.index + page]
                    #expect(known == nil || known == taken.frame + page, "seed \(seed)")
                    frames[taken.index + page] = taken.frame + page
                    #expect(guests.insert(taken.index + page).inserted, "seed \(seed)")
                }
            }
        }
        #expect(memory.kernel.hidden == Set(guests.compactMap { frames[$0] }), "seed \(seed)")
        memory.guestLeft()
        #expect(memory.kernel.hidden.isEmpty, "seed \(seed)")
        memory.free()
        #expect(memory.kernel.taken.isEmpty && memory.kernel.leaves.isEmpty, "seed \(seed)")
    }

    @Test func theArgumentIsChecked() throws {
        let argument = try PrivateMemoryArgument([0x20_0000, 3, 9, 9, 9, 9, 9, 9])
        #expect(argument.pages == 512 && argument.flags == .all)
        for (size, flags): (UInt64, UInt64) in [
            (0, 0), (4095, 0), (4097, 0), (4096, 4), (4096, 1 << 63), (1 << 63, 0), ((1 << 40) + 4096, 0), (.max, 0),
        ] {
            #expect(throws: LinuxError.invalid) { try PrivateMemoryArgument([size, flags, 0, 0, 0, 0, 0, 0]) }
        }
    }

    @Test func regionsOfADescriptor() throws {
        func region(offset: UInt64, size: UInt64 = 0x4000, flags: UInt64 = 4) -> PrivateRegionArgument {
            var words = InlineArray<20, UInt64>(repeating: 0)
            words[0] = flags << 32 | 1
            words[1] = 0x8000_0000
            words[2] = size
            words[4] = offset
            words[5] = 0xFFFF_FFFF_0000_0007
            return PrivateRegionArgument(words)
        }
        #expect(region(offset: 0).descriptor == 7 && region(offset: 0).isPrivate)
        #expect(!region(offset: 0, flags: 0).isPrivate)
        #expect(!region(offset: 0, size: 0).isPrivate)
        #expect(try region(offset: 0x1000).firstPage(of: 5) == 1)
        for offset: UInt64 in [1, 0x2000, .max - 0xFFF] {
            #expect(throws: LinuxError.invalid) { try region(offset: offset).firstPage(of: 5) }
        }
    }
}

private struct Failure: Error {}

private struct Generator: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state
    }
}
