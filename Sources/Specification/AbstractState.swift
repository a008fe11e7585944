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
    public let first: UInt64
    public let count: UInt64
    public let page: Page

    public init(first: UInt64, count: UInt64, _ page: Page) {
        self.first = first
        self.count = count
        self.page = page
    }
}

/// What the host kernel tells the hypervisor at installation.
public struct Installation: Sendable {
    /// RAM, firmware's RAM and forbidden device pages: sorted and disjoint.
    public var ranges: [Pages]
    /// First frames of the 2 MiB superpages that the hypervisor gets.
    public var superpages: [UInt64]
    /// Affinities of the CPUs that are on.
    public var affinities: [UInt64]

    public init(ranges: [Pages], superpages: [UInt64], affinities: [UInt64]) {
        self.ranges = ranges
        self.superpages = superpages
        self.affinities = affinities
    }
}

/// The abstract state.
public struct AbstractState: Equatable, Sendable {
    /// One run of consecutive pages that are not plain devices, with a state for each page.
    struct Run: Equatable, Sendable {
        let first: UInt64
        var pages: [Page]
    }

    var runs: [Run]
    public internal(set) var cpus: [Power]
    /// The CPUs' affinities, by index.
    public let affinities: [UInt64]
    /// CPUs that are behind the host's stage-2.
    public internal(set) var confined: Set<Int> = []
    /// How many pages the host has donated and not got back.
    public internal(set) var donatedCount: UInt64 = 0

    /// The state right after `initialise`: the superpages are the hypervisor's, all other RAM is
    /// the host's, and all CPUs run the host unconfined.
    public init(_ installation: Installation) {
        runs = installation.ranges.map { range in
            Run(first: range.first, pages: Array(repeating: range.page, count: Int(range.count)))
        }
        affinities = installation.affinities
        cpus = installation.affinities.map { _ in .on }
        for superpage in installation.superpages {
            for frame in superpage..<superpage + 512 {
                let wasHost = set(frame, .installed) == .host
                precondition(wasHost, "a superpage is not RAM, or is there twice")
            }
        }
    }

    /// How far the take-over has got.
    public var phase: Phase {
        if confined.isEmpty { return .initialised }
        return confined.count == cpus.count ? .finalised : .deprivileging
    }

    /// Whose page a frame is.
    public func page(_ frame: UInt64) -> Page {
        for run in runs where frame >= run.first && frame - run.first < UInt64(run.pages.count) {
            return run.pages[Int(frame - run.first)]
        }
        return .device
    }

    /// Changes whose page a frame is; the answer is whose it was.
    @discardableResult
    mutating func set(_ frame: UInt64, _ page: Page) -> Page {
        for index in runs.indices
        where frame >= runs[index].first && frame - runs[index].first < UInt64(runs[index].pages.count) {
            let place = Int(frame - runs[index].first)
            let old = runs[index].pages[place]
            runs[index].pages[place] = page
            return old
        }
        return .device
    }

    /// Every page that is not a plain device, in ascending order, as runs of equal pages.
    public var map: [Pages] {
        var result: [Pages] = []
        for run in runs {
            var start = 0
            for place in 1...run.pages.count
            where place == run.pages.count || run.pages[place] != run.pages[start] {
                result.append(
                    Pages(first: run.first + UInt64(start), count: UInt64(place - start), run.pages[start]))
                start = place
            }
        }
        return result
    }

    /// The number of pages of a kind.
    public func count(_ page: Page) -> UInt64 {
        map.reduce(0) { $0 + ($1.page == page ? $1.count : 0) }
    }
}

/// The implementation did what the specification does not allow.
public struct Disagreement: Error, CustomStringConvertible {
    public let description: String

    init(_ description: String) { self.description = description }
}
