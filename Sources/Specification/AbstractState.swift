// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The abstract state of the machine: who owns each page, what each CPU may do next, and how far
// the take-over has got. Nothing here knows of tables, lists, locks or registers.

/// Who a page belongs to, and what that means for the host.
public enum Page: UInt8, Equatable, Sendable {
    /// Not RAM: a device or nothing. The host reaches it.
    case device
    /// Not RAM, and out of bounds for the host.
    case denied
    /// The host's.
    case host
    /// The hypervisor's since its installation, and for ever.
    case installed
    /// The hypervisor's because the host gave it; it may come back.
    case donated
    /// Firmware's RAM: the host reaches it, nobody is ever given it.
    case firmware
    /// The hypervisor's, given for a VM's tables or vCPUs; comes back when the VM ends.
    case machine
    /// Memory of a protected guest; comes back when the VM ends.
    case guest
}

/// What a CPU does, from the host's point of view.
public enum Power: Equatable, Sendable {
    case on
    case off
    /// Asked to start at an entry, with a context.
    case starting(entry: UInt64, context: UInt64)
    /// Lost its power in a suspend; goes on at an entry, with a context.
    case suspended(entry: UInt64, context: UInt64)
}

/// How far the take-over has got.
public enum Phase: UInt64, Equatable, Sendable {
    case initialised = 1
    case deprivileging = 2
    case finalised = 3
}

/// A run of pages, by frame number.
public struct Pages: Equatable, Sendable {
    /// The first frame.
    public let first: UInt64
    /// How many frames.
    public let count: UInt64
    /// What each of them is.
    public let page: Page

    /// A run of pages.
    public init(first: UInt64, count: UInt64, _ page: Page) {
        self.first = first
        self.count = count
        self.page = page
    }

    /// The frame behind the last.
    public var end: UInt64 { first + count }
}

/// What the host kernel tells the hypervisor at installation.
public struct Installation: Sendable {
    /// RAM, firmware's RAM and forbidden device pages: sorted and disjoint.
    public var ranges: [Pages]
    /// First frames of the 2 MiB superpages that the hypervisor gets.
    public var superpages: [UInt64]
    /// Affinities of the CPUs that are on.
    public var affinities: [UInt64]
    /// Bits of the machine's physical addresses.
    public var inputBits: UInt64
    /// `VectorLengths.bits` that every CPU has.
    public var vectorLengths: UInt64
    /// What the machine's CPUs have.
    public var features: ProcessorFeatures

    /// What a host tells.
    public init(
        ranges: [Pages], superpages: [UInt64], affinities: [UInt64], inputBits: UInt64 = 48, vectorLengths: UInt64 = 0,
        features: ProcessorFeatures = ProcessorFeatures()
    ) {
        self.ranges = ranges
        self.superpages = superpages
        self.affinities = affinities
        self.inputBits = min(48, inputBits)
        self.vectorLengths = vectorLengths
        self.features = features
    }
}

/// The abstract state.
public struct AbstractState: Equatable, Sendable {
    /// Every page that is not a plain device, in ascending order, as runs; neighbours differ.
    public internal(set) var map: [Pages] = []
    /// What each CPU does, by index.
    public internal(set) var cpus: [Power]
    /// The CPUs' affinities, by index.
    public let affinities: [UInt64]
    /// CPUs that are behind the host's stage-2.
    public internal(set) var confined: Set<Int> = []
    /// Virtual machines, by handle.
    public internal(set) var machines: [UInt64: Machine] = [:]
    /// Handles that were ever given.
    var usedHandles: Set<UInt64> = []
    /// Bits of the machine's physical addresses.
    public let inputBits: UInt64
    /// `VectorLengths.bits` that guests may have.
    public let vectorLengths: UInt64
    /// What the machine's CPUs have.
    public let features: ProcessorFeatures
    /// Of a part of a state: frames that are lent by mappings that the part leaves out.
    var lentElsewhere: Set<UInt64> = []
    /// CPUs on which the host finds the virtual timer's interrupt asserted, a guest's last word.
    public internal(set) var firingTimers: Set<Int> = []

    /// The state right after `initialise`: the superpages are the hypervisor's, all other RAM is
    /// the host's, and all CPUs run the host unconfined.
    public init(_ installation: Installation) {
        affinities = installation.affinities
        inputBits = installation.inputBits
        vectorLengths = installation.vectorLengths
        features = installation.features
        cpus = installation.affinities.map { _ in .on }
        for range in installation.ranges { append(range) }
        for superpage in installation.superpages {
            precondition(all(superpage, 512, are: .host), "a superpage is not RAM, or is there twice")
            set(superpage, 512, .installed)
        }
    }

    /// All CPUs are behind the host's stage-2.
    public mutating func confineAll() { confined = Set(cpus.indices) }

    /// How far the take-over has got.
    public var phase: Phase {
        if confined.isEmpty { return .initialised }
        return confined.count == cpus.count ? .finalised : .deprivileging
    }

    /// Whose page a frame is.
    public func page(_ frame: UInt64) -> Page {
        let index = firstRun(reaching: frame)
        guard index < map.count, map[index].first <= frame else { return .device }
        return map[index].page
    }

    /// Whether all of some pages are of one kind.
    public func all(_ first: UInt64, _ count: UInt64, are page: Page) -> Bool {
        var frame = first
        while frame < first + count {
            let index = firstRun(reaching: frame)
            guard index < map.count, map[index].first <= frame, map[index].page == page else { return false }
            frame = map[index].end
        }
        return true
    }

    /// The number of pages of a kind.
    public func count(_ page: Page) -> UInt64 {
        map.reduce(0) { $0 + ($1.page == page ? $1.count : 0) }
    }

    /// The runs of `map` that reach into some frames.
    public func runs(in frames: Range<UInt64>) -> ArraySlice<Pages> {
        let from = firstRun(reaching: frames.lowerBound)
        var to = from
        while to < map.count, map[to].first < frames.upperBound { to += 1 }
        return map[from..<to]
    }

    /// The frames of which another state may say something else: one range that has them all.
    public func changedFrames(from before: AbstractState) -> Range<UInt64>? {
        if map == before.map { return nil }
        var first = 0
        while first < min(map.count, before.map.count), map[first] == before.map[first] { first += 1 }
        var last = 0
        while last < min(map.count, before.map.count) - first,
            map[map.count - 1 - last] == before.map[before.map.count - 1 - last]
        { last += 1 }
        let mine = map[first..<map.count - last]
        let theirs = before.map[first..<before.map.count - last]
        var start = min(mine.first?.first ?? .max, theirs.first?.first ?? .max)
        var end = max(mine.last?.end ?? 0, theirs.last?.end ?? 0)
        // A run that both begin with, or end with, differs only in how far it goes.
        if let mine = mine.first, let theirs = theirs.first, mine.first == theirs.first, mine.page == theirs.page {
            start = min(mine.end, theirs.end)
        }
        if let mine = mine.last, let theirs = theirs.last, mine.end == theirs.end, mine.page == theirs.page {
            end = max(mine.first, theirs.first)
        }
        return start < end ? start..<end : nil
    }

    /// Index of the first run that ends behind a frame.
    private func firstRun(reaching frame: UInt64) -> Int {
        var low = 0
        var high = map.count
        while low < high {
            let middle = (low + high) / 2
            if map[middle].end <= frame { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private mutating func append(_ run: Pages) {
        guard run.count > 0 else { return }
        if let last = map.last, last.end == run.first, last.page == run.page {
            map[map.count - 1] = Pages(first: last.first, count: last.count + run.count, run.page)
        } else {
            map.append(run)
        }
    }

    /// Changes whose the pages are. All of them are in the map already.
    mutating func set(_ first: UInt64, _ count: UInt64, _ page: Page) {
        let end = first + count
        let from = firstRun(reaching: first)
        var to = from
        while to < map.count, map[to].first < end { to += 1 }
        var pieces: [Pages] = []
        if from < to, map[from].first < first {
            pieces.append(Pages(first: map[from].first, count: first - map[from].first, map[from].page))
        }
        pieces.append(Pages(first: first, count: count, page))
        if from < to, map[to - 1].end > end {
            pieces.append(Pages(first: end, count: map[to - 1].end - end, map[to - 1].page))
        }
        map.replaceSubrange(from..<to, with: pieces)
        joinNeighbours(max(0, from - 1), min(map.count, from + pieces.count + 1))
    }

    private mutating func joinNeighbours(_ from: Int, _ to: Int) {
        var index = to - 1
        while index > from {
            let left = map[index - 1]
            let right = map[index]
            if left.end == right.first, left.page == right.page {
                map[index - 1] = Pages(first: left.first, count: left.count + right.count, left.page)
                map.remove(at: index)
            }
            index -= 1
        }
    }
}

/// The implementation did what the specification does not allow.
public struct Disagreement: Error, CustomStringConvertible {
    /// What was seen, and what was due.
    public let description: String

    /// What was seen, and what was due.
    public init(_ description: String) { self.description = description }
}
