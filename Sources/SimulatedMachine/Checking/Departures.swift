// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Cache lines of those who have lost a page. While a world maps a page cacheable its CPUs may fetch lines
// of it at any time, also by speculation; when it has lost the page, and every TLB has forgotten that, the
// lines are still there. Whoever gets the page may read with its caches off, which finds what is behind
// them, or write so, which they hide later (DDI 0487, B2.8). So they have to be cleaned and invalidated to
// the point of coherency in between, unless stage-2 forces write-back on both (FEAT_S2FWB).

import Arm
import TableWalker

/// Pages that a VMID has lost and of which its cache lines may be left: sorted and disjoint.
struct Departures {
    private struct Run {
        var first: UInt64
        var end: UInt64
        var vmid: UInt16
        /// Its lines are on their way out, and the barrier that completes it is missing.
        var isCleaning = false
    }

    private var runs: [Run] = []

    private func firstRun(reaching frame: UInt64) -> Int {
        var low = 0
        var high = runs.count
        while low < high {
            let middle = (low + high) / 2
            if runs[middle].end <= frame { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Whether nothing is known of any of these frames.
    func isClear(_ frames: Range<UInt64>) -> Bool {
        let index = firstRun(reaching: frames.lowerBound)
        return index == runs.count || runs[index].first >= frames.upperBound
    }

    /// Takes frames out; gives what was known of them.
    @discardableResult
    private mutating func cut(_ frames: Range<UInt64>) -> [Run] {
        let from = firstRun(reaching: frames.lowerBound)
        var to = from
        var gone: [Run] = []
        var left: [Run] = []
        while to < runs.count, runs[to].first < frames.upperBound {
            var (before, inside, behind) = (runs[to], runs[to], runs[to])
            before.end = min(before.end, frames.lowerBound)
            inside.first = max(inside.first, frames.lowerBound)
            inside.end = min(inside.end, frames.upperBound)
            behind.first = max(behind.first, frames.upperBound)
            if before.first < before.end { left.append(before) }
            if behind.first < behind.end { left.append(behind) }
            gone.append(inside)
            to += 1
        }
        if from < to { runs.replaceSubrange(from..<to, with: left) }
        return gone
    }

    /// A world has lost pages.
    mutating func note(_ frames: Range<UInt64>, of vmid: UInt16) {
        cut(frames)
        let run = Run(first: frames.lowerBound, end: frames.upperBound, vmid: vmid)
        runs.insert(run, at: firstRun(reaching: frames.lowerBound))
    }

    /// A page's lines are cleaned and invalidated; it is not complete yet.
    mutating func beginCleaning(_ frame: UInt64) {
        for run in cut(frame..<frame + 1) {
            var run = run
            run.isCleaning = true
            runs.insert(run, at: firstRun(reaching: frame))
        }
    }

    /// It is complete.
    mutating func finishCleaning(_ frame: UInt64) {
        let index = firstRun(reaching: frame)
        if index < runs.count, runs[index].first <= frame, runs[index].isCleaning { cut(frame..<frame + 1) }
    }

    /// Pages are given to a world; those of them of which another's lines may be left.
    mutating func give(_ frames: Range<UInt64>, to vmid: UInt16) -> [(frame: UInt64, vmid: UInt16)] {
        guard !isClear(frames) else { return [] }
        return cut(frames).filter { $0.vmid != vmid }.map { ($0.first, $0.vmid) }
    }
}

extension SimulatedMachine {
    /// A world loses pages that it may have had in caches.
    func noteDeparture(_ leaf: Reading.Leaf, pages: UInt64, of vmid: UInt16) {
        guard configuration.checksCacheMaintenance, leaf.isCacheable, leaf.accessFlag else { return }
        departures.note(leaf.frame..<leaf.frame + pages, of: vmid)
    }

    /// DC CIVAC of a page: in vain as long as a TLB entry lets somebody fetch lines of it again.
    func cleanDeparted(_ frame: UInt64) {
        guard !departures.isClear(frame..<frame + 1) else { return }
        let isReached = stale.contains { entry in
            guard entry.regime == .stage2, case .leaf(let leaf) = entry.target else { return false }
            return leaf.isCacheable && frame >= leaf.frame && frame - leaf.frame < entry.pages
        }
        if !isReached { departures.beginCleaning(frame) }
    }

    /// A stage-2 leaf is made: nobody else's lines may be left of its pages, unless they are the other's too,
    /// whose business it is then.
    func checkDepartures(_ cpu: Int, _ leaf: Reading.Leaf, pages: UInt64, for vmid: UInt16) {
        for left in departures.give(leaf.frame..<leaf.frame + pages, to: vmid) {
            let isShared = trees.indices.contains { index in
                guard trees[index].isTracked, trees[index].regime == .stage2, trees[index].vmid != vmid,
                    case .leaf(let other, _) = walk(index, left.frame)
                else { return false }
                return other.frame == left.frame
            }
            guard !isShared else { continue }
            report(
                .linesLeft, cpu: cpu,
                "frame \(hex(left.frame)) is mapped under VMID \(vmid), and lines of VMID \(left.vmid) may be in caches"
            )
        }
    }
}

extension Reading.Leaf {
    /// Normal memory, cacheable in some cache (MemAttr of stage-2).
    var isCacheable: Bool { memory >> 2 >= 2 || memory >> 2 == 1 && memory & 0b11 >= 2 }
    /// With HCR_EL2.FWB, MemAttr that makes every access write-back (D8.6.7).
    var isForcedWriteBack: Bool { memory & 0b111 == 0b110 }
}
