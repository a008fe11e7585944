// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Comparing after every step without looking at everything: what a step has written, and what it has
// changed in the abstract state, is all that can have come to disagree.

import Arm
import HypervisorCore
import SimulatedMachine
public import Specification

/// Holds what a step did against the specification.
///
/// If everything agreed before a step, then it agrees afterwards exactly if it does in the pages that a
/// written word of a table or of the ledger is about, and in those whose abstract state is another.
public final class Auditor {
    private let host: SimulatedHost
    private let machine: SimulatedMachine
    /// For each frame of the ledger the first frame that it describes.
    private var ledger: [UInt64: UInt64] = [:]
    /// What is known of the state in which everything agreed last.
    private(set) var agreement: Agreement

    /// A state in which everything agreed, and what follows from it.
    struct Agreement: Sendable {
        fileprivate var state: AbstractState
        /// The VM of each page that is a table of a VM.
        fileprivate var guestTables: [UInt64: UInt64] = [:]
        /// How often each frame is lent.
        fileprivate var lent: [UInt64: UInt32]

        fileprivate init(_ state: AbstractState) {
            self.state = state
            lent = state.lentCounts
        }

        fileprivate mutating func note(_ tables: [UInt64], of handle: UInt64) {
            for table in tables { guestTables[table] = handle }
        }
    }

    /// An auditor for a host whose hypervisor is final, and where everything agrees with a state.
    public init(_ host: SimulatedHost, _ state: AbstractState) {
        self.host = host
        machine = host.machine
        agreement = Agreement(state)
        machine.logWrites()
        let base = HypervisorAddressSpace.ledgerBase >> pageShift
        let window = HypervisorAddressSpace.window >> pageShift
        machine.visitHypervisor(machine[cpu: 0], pages: base..<window) { [self] run in
            for page in 0..<run.pages { ledger[run.frame + page] = (run.input + page - base) * (pageSize / 4) }
        }
        adopt(state)
    }

    /// Begins anew with a state in which everything agrees.
    public func adopt(_ state: AbstractState) {
        agreement = Agreement(state)
        for (handle, vm) in state.machines { agreement.note(host.guestTables(handle, vm).tables, of: handle) }
        machine.takeWrites()
    }

    /// Goes back to a state that had been come to by playing, with the machine as it was.
    func adopt(_ agreement: Agreement) {
        self.agreement = agreement
        machine.takeWrites()
    }

    /// What does not agree after all that has happened since the last time, as sentences.
    public func differences(from after: AbstractState) -> [String] {
        let before = agreement.state
        defer { agreement.state = after }
        if let violation = machine.violations.first { return [violation.description] }
        if let complaint = host.complaints.first { return [complaint] }
        var frames = Ranges()
        var inputs = Ranges()
        var own = Ranges()
        var vms: Set<UInt64> = []
        if let changed = after.changedFrames(from: before) {
            frames.insert(changed)
            inputs.insert(changed)
            own.insert(changed)
        }
        let hostRoot = (host.hostRoot.vttbr << 16) >> 28
        machine.takeWrites { word in
            let page = word >> pageShift
            if let first = ledger[page] {
                let frame = first + (word & 0xFFF) / 4
                frames.insert(frame..<frame + 2)
            }
            if let handle = agreement.guestTables[page] { vms.insert(handle) }
            guard let entry = machine.tableWord(at: word) else { return }
            let range = entry.input..<entry.input + entry.pages
            if entry.isHypervisors {
                own.insert(range)
            } else if entry.root == hostRoot {
                inputs.insert(range)
            }
        }
        noteChangedMachines(before, after, &vms, &frames)
        return ledgerDifferences(frames, after) + inputs.merged.flatMap { host.hostTableDifferences(after, $0) }
            + own.merged.flatMap { host.hypervisorTableDifferences(after, $0) }
            + vms.compactMap { difference($0, after) }
    }

    private func noteChangedMachines(
        _ before: AbstractState, _ after: AbstractState, _ vms: inout Set<UInt64>, _ frames: inout Ranges
    ) {
        // Most steps leave the VMs alone, and then both states have the very same.
        if before.machines == after.machines { return }
        var hasNewCounts = false
        func compare(_ handle: UInt64, _ old: Specification.Machine?, _ new: Specification.Machine?) {
            guard old?.mappings != new?.mappings || old?.life != new?.life || old == nil || new == nil else { return }
            vms.insert(handle)
            let (was, now) = (old?.mappings ?? [:], new?.mappings ?? [:])
            for (page, mapping) in was where now[page]?.frame != mapping.frame {
                frames.insert(mapping.frame..<mapping.frame + 1)
            }
            for (page, mapping) in now where was[page]?.frame != mapping.frame {
                frames.insert(mapping.frame..<mapping.frame + 1)
            }
            hasNewCounts = true
        }
        for (handle, new) in after.machines { compare(handle, before.machines[handle], new) }
        for (handle, old) in before.machines where after.machines[handle] == nil { compare(handle, old, nil) }
        if hasNewCounts { agreement.lent = after.lentCounts }
    }

    private func ledgerDifferences(_ frames: Ranges, _ state: AbstractState) -> [String] {
        var result: [String] = []
        for range in frames.merged {
            for run in state.runs(in: range) {
                for frame in (run.first..<run.end).clamped(to: range) {
                    if let difference = host.ledgerDifference(frame, run.page, state, agreement.lent) {
                        result.append(difference)
                    }
                }
            }
        }
        return result
    }

    private func difference(_ handle: UInt64, _ state: AbstractState) -> String? {
        guard let vm = state.machines[handle] else {
            agreement.guestTables = agreement.guestTables.filter { $0.value != handle }
            return nil
        }
        let found = host.guestTables(handle, vm)
        agreement.note(found.tables, of: handle)
        return found.difference
    }
}

/// Ranges of pages, gathered in any order.
private struct Ranges {
    private var ranges: [Range<UInt64>] = []

    mutating func insert(_ range: Range<UInt64>) {
        if let last = ranges.last, last.lowerBound <= range.lowerBound, range.lowerBound <= last.upperBound {
            ranges[ranges.count - 1] = last.lowerBound..<max(last.upperBound, range.upperBound)
        } else {
            ranges.append(range)
        }
    }

    /// The same pages, each once.
    var merged: [Range<UInt64>] {
        guard ranges.count > 1 else { return ranges }
        var result = Ranges()
        for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) { result.insert(range) }
        return result.ranges
    }
}
