// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The abstract map of memory in a form that a machine's hypervisor can carry: two bytes a page of RAM. It
// changes by what the specification says, and by nothing else.

import Specification

/// What a page of RAM is, how often it is lent, and whose it is if it is a VM's.
struct Owner: Equatable {
    /// 0 and 1: installed and donated. From 2 on: the host's, lent so many times. From `machine` on: a VM's
    /// table or vCPU; from `guest` on: a guest's memory; each with the slot of its VM.
    let code: UInt16

    fileprivate static let lentNever: UInt16 = 2
    private static let machine: UInt16 = 0x4000
    private static let guest: UInt16 = 0x8000

    init(code: UInt16) { self.code = code }

    /// The host's, lent so many times; nil if that is more than can be counted.
    init?(lent: Int) {
        guard lent >= 0, lent < Int(Self.machine - Self.lentNever) else { return nil }
        code = UInt16(truncatingIfNeeded: lent) + Self.lentNever
    }

    /// A page of RAM of a kind, never lent; nil if RAM is never that.
    init?(_ page: Page, slot: UInt8?) {
        switch page {
        case .installed: code = 0
        case .donated: code = 1
        case .host: code = Self.lentNever
        case .machine:
            guard let slot else { return nil }
            code = Self.machine | UInt16(slot)
        case .guest:
            guard let slot else { return nil }
            code = Self.guest | UInt16(slot)
        case .device, .denied, .firmware: return nil
        }
    }

    var page: Page {
        switch code {
        case 0: .installed
        case 1: .donated
        case ..<Self.machine: .host
        case ..<Self.guest: .machine
        default: .guest
        }
    }

    /// How often it is lent.
    var lent: UInt32 { page == .host ? UInt32(code - Self.lentNever) : 0 }

    /// The slot of the VM that it belongs to.
    var slot: UInt8? {
        switch page {
        case .machine, .guest: UInt8(truncatingIfNeeded: code)
        default: nil
        }
    }
}

/// Owners of all RAM, by frame number.
struct OwnershipMap {
    /// A range of RAM and where its pages begin in `codes`.
    private struct Region {
        let first: UInt64
        let end: UInt64
        let offset: Int
    }

    private var regions: [Region] = []
    private var codes: [UInt16] = []

    /// The owners in a map in which nothing is a VM's yet.
    init(_ map: [Pages]) {
        var count = 0
        for run in map {
            guard Owner(run.page, slot: nil) != nil else { continue }
            if let last = regions.last, last.end == run.first {
                regions[regions.count - 1] = Region(first: last.first, end: run.end, offset: last.offset)
            } else {
                regions.append(Region(first: run.first, end: run.end, offset: count))
            }
            count += Int(run.count)
        }
        codes = [UInt16](repeating: 0, count: count)
        for run in map {
            guard let owner = Owner(run.page, slot: nil), let index = index(run.first) else { continue }
            for place in index..<index + Int(run.count) { codes[place] = owner.code }
        }
    }

    private func index(_ frame: UInt64) -> Int? {
        for region in regions where frame >= region.first && frame < region.end {
            return region.offset + Int(frame - region.first)
        }
        return nil
    }

    /// The owner of a page of RAM; nil for what is no RAM.
    subscript(frame: UInt64) -> Owner? {
        index(frame).map { Owner(code: codes[$0]) }
    }

    /// Records an owner; false if the frame is no RAM.
    mutating func record(_ owner: Owner, of frame: UInt64) -> Bool {
        guard let index = index(frame) else { return false }
        codes[index] = owner.code
        return true
    }

    /// Whether all of some pages are RAM of the host's that is lent never.
    func areNeverLent(_ pages: Range<UInt64>) -> Bool {
        // What lies between two regions has no places here.
        guard let first = index(pages.lowerBound), let last = index(pages.upperBound - 1),
            last - first == pages.count - 1
        else { return false }
        for place in first...last where codes[place] != Owner.lentNever { return false }
        return true
    }

    /// All pages that the host gave to the pool.
    var donated: [UInt64] {
        var result: [UInt64] = []
        for region in regions {
            for frame in region.first..<region.end
            where codes[region.offset + Int(frame - region.first)] == 1 { result.append(frame) }
        }
        return result
    }
}
