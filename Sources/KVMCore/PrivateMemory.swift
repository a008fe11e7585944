// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The pages of a private-memory descriptor: which there are, and whose each is. Such a descriptor
// (`guest_memfd` in Linux' words) holds memory that a process can map while the host has it, and
// that vanishes from every mapping when a protected guest gets it.

/// What `PrivateMemory` needs of the kernel, and the words that it keeps its state in.
public protocol PrivateMemoryStore {
    /// The word of a chunk; 0 at first.
    subscript(chunk chunk: UInt64) -> UInt64 { get set }
    /// A word of a leaf that `takeLeaf` gave; `place` is below 512, and words are 0 at first.
    subscript(leaf leaf: UInt64, place place: UInt64) -> UInt64 { get set }
    /// Zeroed memory for 512 words, at a multiple of 4 that is not 0; 0 without memory.
    mutating func takeLeaf() -> UInt64
    /// Frees a leaf.
    mutating func giveLeaf(_ leaf: UInt64)
    /// The first frame of 512 zeroed pages, aligned to as many; 0 if there are none at hand.
    mutating func takeBlock() -> UInt64
    /// The frame of a zeroed page; 0 without memory.
    mutating func takePage() -> UInt64
    /// Frees pages, singly or not, however they were taken.
    mutating func givePages(_ first: UInt64, _ pages: UInt64)
    /// Takes pages out of every mapping of the process before a guest gets them.
    mutating func hide(_ index: UInt64, frame: UInt64, pages: UInt64)
    /// Pages are the host's again, and zeroed.
    mutating func reveal(_ frame: UInt64, pages: UInt64)
}

/// The pages of one descriptor, by their index in it.
///
/// 512 pages that begin at a multiple of 512 are a chunk. A chunk is one block of 2 MiB with one
/// owner wherever possible, which costs a word; else it has a leaf with a word for each page.
/// Callers hold a lock.
public struct PrivateMemory<Store: PrivateMemoryStore>: ~Copyable {
    private var store: Store
    /// Pages that the descriptor has.
    public let pages: UInt64

    /// No page so far.
    public init(pages: UInt64, store: consuming Store) {
        self.pages = pages
        self.store = store
    }

    /// Pages of a chunk.
    public static var chunkPages: UInt64 { 512 }
    /// Chunks of a descriptor.
    public static func chunks(pages: UInt64) -> UInt64 { (pages &+ chunkPages &- 1) / chunkPages }

    /// What a word says. The kind is in bits 1:0, and a frame or a leaf's address above.
    private enum Content {
        case absent
        case host(UInt64)
        case guest(UInt64)
        case leaf(UInt64)

        init(_ word: UInt64) {
            switch word & 3 {
            case 1: self = .host(word >> 2)
            case 2: self = .guest(word >> 2)
            case 3: self = .leaf(word & ~3)
            default: self = .absent
            }
        }

        var word: UInt64 {
            switch self {
            case .absent: 0
            case .host(let frame): frame << 2 | 1
            case .guest(let frame): frame << 2 | 2
            case .leaf(let address): address | 3
            }
        }
    }

    /// What a process finds at a page.
    public enum HostPage: Equatable, Sendable {
        /// This frame.
        case frame(UInt64)
        /// Nothing: it is a guest's, or behind the end.
        case refused
        /// Nothing, since there is no memory.
        case noMemory
    }

    /// The page that a process touches, made if there is none.
    public mutating func hostPage(_ index: UInt64) -> HostPage {
        guard index < pages else { return .refused }
        let (chunk, place) = index.quotientAndRemainder(dividingBy: Self.chunkPages)
        switch Content(store[chunk: chunk]) {
        case .host(let first): return .frame(first &+ place)
        case .guest: return .refused
        case .leaf(let leaf): return hostPage(leaf, place)
        case .absent:
            if let first = takeBlock(for: chunk) {
                store[chunk: chunk] = Content.host(first).word
                return .frame(first &+ place)
            }
            guard let leaf = makeLeaf(chunk) else { return .noMemory }
            return hostPage(leaf, place)
        }
    }

    /// The first frame of the block that is all of the host's and begins with a page, made if there is none; nil if
    /// its pages are single ones, or not all the host's, or there is no block.
    public mutating func hostBlock(_ index: UInt64) -> UInt64? {
        let (chunk, place) = index.quotientAndRemainder(dividingBy: Self.chunkPages)
        guard place == 0, index < pages else { return nil }
        switch Content(store[chunk: chunk]) {
        case .host(let first): return first
        case .guest, .leaf: return nil
        case .absent:
            guard let first = takeBlock(for: chunk) else { return nil }
            store[chunk: chunk] = Content.host(first).word
            return first
        }
    }

    private mutating func hostPage(_ leaf: UInt64, _ place: UInt64) -> HostPage {
        switch Content(store[leaf: leaf, place: place]) {
        case .host(let frame): return .frame(frame)
        case .guest, .leaf: return .refused
        case .absent:
            let frame = store.takePage()
            guard frame != 0 else { return .noMemory }
            store[leaf: leaf, place: place] = Content.host(frame).word
            return .frame(frame)
        }
    }

    /// Pages that are no longer the process's, on their way to a guest.
    public struct Parcel: Equatable, Sendable {
        /// The first page's index.
        public let index: UInt64
        /// Its frame.
        public let frame: UInt64
        /// How many pages follow one another.
        public let pages: UInt64
    }

    /// What comes of taking pages for a guest.
    public enum Taking: Equatable, Sendable {
        /// These; `takeBack` undoes it.
        case parcel(Parcel)
        /// A guest has the page already.
        case isGuests
        /// There is no memory, or no such page.
        case noMemory
    }

    /// Takes a page for a guest, made if there is none, and the rest of its chunk with it where that is one block
    /// and within `first ..< end`, the part of the descriptor that this guest may have.
    public mutating func take(_ index: UInt64, from first: UInt64, to end: UInt64) -> Taking {
        guard index >= first, index < end, end <= pages else { return .noMemory }
        let (chunk, place) = index.quotientAndRemainder(dividingBy: Self.chunkPages)
        let start = chunk &* Self.chunkPages
        let isWhole = start >= first && start &+ Self.chunkPages <= end
        switch Content(store[chunk: chunk]) {
        case .guest: return .isGuests
        case .host(let frame):
            if isWhole { return takeBlock(chunk, frame) }
        case .absent:
            if isWhole, let frame = takeBlock(for: chunk) { return takeBlock(chunk, frame) }
        case .leaf: break
        }
        guard let leaf = makeLeaf(chunk) else { return .noMemory }
        switch hostPage(leaf, place) {
        case .frame(let frame): return .parcel(takePage(leaf, index, frame))
        case .refused: return .isGuests
        case .noMemory: return .noMemory
        }
    }

    /// Takes the next pages for a guest that a process has touched, from `index` on and before `end`: nil if there
    /// is none.
    /// - Parameter first: where the part of the descriptor begins that this guest may have; `end` is where it ends.
    public mutating func takeTouched(_ index: UInt64, from first: UInt64, to end: UInt64) -> Taking? {
        var index = index
        while index < end, end <= pages {
            let (chunk, place) = index.quotientAndRemainder(dividingBy: Self.chunkPages)
            switch Content(store[chunk: chunk]) {
            case .host: return take(index, from: first, to: end)
            case .leaf(let leaf):
                if case .host = Content(store[leaf: leaf, place: place]) { return take(index, from: first, to: end) }
                index &+= 1
            case .absent, .guest: index = (chunk &+ 1) &* Self.chunkPages
            }
        }
        return nil
    }

    /// The guest did not get these pages after all.
    public mutating func takeBack(_ parcel: Parcel) {
        let (chunk, place) = parcel.index.quotientAndRemainder(dividingBy: Self.chunkPages)
        store.reveal(parcel.frame, pages: parcel.pages)
        let word = Content.host(parcel.frame).word
        if case .leaf(let leaf) = Content(store[chunk: chunk]) {
            store[leaf: leaf, place: place] = word
        } else {
            store[chunk: chunk] = word
        }
    }

    /// All pages of a chunk are the host's again: the guest is gone.
    public mutating func guestLeft(chunk: UInt64) {
        switch Content(store[chunk: chunk]) {
        case .absent, .host: return
        case .guest(let frame):
            store.reveal(frame, pages: Self.chunkPages)
            store[chunk: chunk] = Content.host(frame).word
        case .leaf(let leaf):
            for place in 0..<Self.chunkPages {
                guard case .guest(let frame) = Content(store[leaf: leaf, place: place]) else { continue }
                store.reveal(frame, pages: 1)
                store[leaf: leaf, place: place] = Content.host(frame).word
            }
        }
    }

    /// Frees a chunk that nobody can reach any more. Pages that a guest has are never freed.
    public mutating func free(chunk: UInt64) {
        switch Content(store[chunk: chunk]) {
        case .absent: return
        case .host(let frame): store.givePages(frame, Self.chunkPages)
        case .guest: return
        case .leaf(let leaf):
            for place in 0..<Self.chunkPages {
                if case .host(let frame) = Content(store[leaf: leaf, place: place]) { store.givePages(frame, 1) }
            }
            store.giveLeaf(leaf)
        }
        store[chunk: chunk] = Content.absent.word
    }

    private mutating func takeBlock(_ chunk: UInt64, _ frame: UInt64) -> Taking {
        let index = chunk &* Self.chunkPages
        store[chunk: chunk] = Content.guest(frame).word
        store.hide(index, frame: frame, pages: Self.chunkPages)
        return .parcel(Parcel(index: index, frame: frame, pages: Self.chunkPages))
    }

    private mutating func takePage(_ leaf: UInt64, _ index: UInt64, _ frame: UInt64) -> Parcel {
        store[leaf: leaf, place: index % Self.chunkPages] = Content.guest(frame).word
        store.hide(index, frame: frame, pages: 1)
        return Parcel(index: index, frame: frame, pages: 1)
    }

    /// A block for a chunk that the descriptor has as a whole; nil if there is none.
    private mutating func takeBlock(for chunk: UInt64) -> UInt64? {
        guard (chunk &+ 1) &* Self.chunkPages <= pages else { return nil }
        let first = store.takeBlock()
        return first == 0 ? nil : first
    }

    /// The leaf of a chunk of which no guest has the whole.
    private mutating func makeLeaf(_ chunk: UInt64) -> UInt64? {
        let content = Content(store[chunk: chunk])
        if case .leaf(let leaf) = content { return leaf }
        let leaf = store.takeLeaf()
        guard leaf != 0 else { return nil }
        if case .host(let first) = content {
            for place in 0..<Self.chunkPages { store[leaf: leaf, place: place] = Content.host(first &+ place).word }
        }
        store[chunk: chunk] = Content.leaf(leaf).word
        return leaf
    }
}

extension PrivateMemory.Parcel: BitwiseCopyable {}

/// `struct kvm_create_guest_memfd`.
public struct PrivateMemoryArgument: Equatable, Sendable {
    /// Flags of a descriptor.
    public struct Flags: OptionSet, Sendable {
        /// The bits.
        public let rawValue: UInt64
        /// The flags of these bits.
        public init(rawValue: UInt64) { self.rawValue = rawValue }

        /// GUEST_MEMFD_FLAG_MMAP: a process can map it.
        public static let mappable = Flags(rawValue: 1 << 0)
        /// GUEST_MEMFD_FLAG_INIT_SHARED: a page is the host's before it is the guest's. Without it a touch is
        /// refused at any time.
        public static let initiallyShared = Flags(rawValue: 1 << 1)
        /// All that there are, which is the answer to KVM_CAP_GUEST_MEMFD_FLAGS.
        public static let all: Flags = [.mappable, .initiallyShared]
    }

    /// Pages.
    public let pages: UInt64
    /// The flags.
    public let flags: Flags

    /// Most pages of a descriptor: 1 TiB, for which the state of its chunks takes 4 MiB.
    public static let maximumPages: UInt64 = 1 << 28

    /// Decodes and checks the structure. Reserved words are not looked at, as in Linux.
    public init(_ words: InlineArray<8, UInt64>) throws(LinuxError) {
        let (size, bits) = (words[0], words[1])
        guard bits & ~Flags.all.rawValue == 0, size > 0, size & (PageUnit.size &- 1) == 0,
            size >> PageUnit.shift <= Self.maximumPages
        else { throw .invalid }
        pages = size >> PageUnit.shift
        flags = Flags(rawValue: bits)
    }
}
