// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The specification's state, the ledger and the tables really written, laid side by side.

import Arm
import HypervisorInterface
import SimulatedMachine
import Specification
import Testing

@testable import HypervisorCore

extension HostBench {
    /// Everything that must agree. Returns the first differences as sentences.
    /// - Parameter stride: the ledger is compared for the first and last page of each run, and for
    ///   every so-many-th page; the tables for all pages.
    func differences(from state: AbstractState, stride: UInt64 = 1) -> [String] {
        ledgerDifferences(state, stride) + hostTableDifferences(state) + hypervisorTableDifferences(state)
    }

    private func ledgerDifferences(_ state: AbstractState, _ stride: UInt64) -> [String] {
        let cpu = machine[cpu: 0]
        return hypervisor.memory.withLock(on: cpu) { memory in
            for run in state.map {
                let due: PageReport =
                    switch run.page {
                    case .device, .denied: .notMemory
                    case .host: .host
                    case .installed, .donated, .machine: .hypervisor
                    case .firmware: .firmware
                    case .guest: .guest
                    }
                var frame = run.first
                let last = run.first + run.count - 1
                while true {
                    let report = memory.report(Frame(frame), on: cpu)
                    if report != due { return ["the ledger says \(report) of \(hex(frame)), which is \(run.page)"] }
                    if frame == last { break }
                    frame = min(last, frame + stride)
                }
            }
            return []
        }
    }

    /// Host and firmware pages are mapped, RWX, write-back, at identity; nobody else's are.
    private func hostTableDifferences(_ state: AbstractState) -> [String] {
        guard let mapped = machine.hostMapping(machine[cpu: 0]) else { return ["the host has no tables"] }
        var result: [String] = []
        let memory = state.map.filter { $0.page != .denied }
        var reachable = 0 as UInt64
        for run in mapped {
            if !run.isIdentity {
                // Only a sink may stand in for a page, and only for a guest's.
                let isSink =
                    state.all(run.input, run.pages, are: .guest) && !run.executable
                    && state.page(run.frame) != .guest && state.page(run.frame) != .host
                if !isSink { result.append("the host's page \(hex(run.input)) maps to frame \(hex(run.frame))") }
                continue
            }
            let isMemory = run.memory == 0b1111
            let isDevice = run.memory == 0b0101 && run.readable && run.writable && !run.executable
            if isMemory, !run.executable || !run.readable || !run.writable {
                result.append("host memory at \(hex(run.input)) is not readable, writable and executable")
            }
            if !isMemory && !isDevice { result.append("the host maps \(hex(run.input)) with type \(run.memory)") }
            for piece in memory where piece.first < run.end && run.input < piece.first + piece.count {
                let first = max(piece.first, run.input)
                let pages = min(piece.first + piece.count, run.end) - first
                switch piece.page {
                case .host where isMemory, .firmware where isMemory: reachable += pages
                default: result.append("the host reaches \(pages) pages from \(hex(first)), which are \(piece.page)")
                }
            }
            for piece in state.map
            where piece.page == .denied && piece.first < run.end && run.input < piece.first + piece.count {
                result.append("the host reaches the denied page \(hex(piece.first))")
            }
            if isMemory {
                let covered = memory.reduce(0 as UInt64) { sum, piece in
                    let first = max(piece.first, run.input)
                    let end = min(piece.first + piece.count, run.end)
                    return sum + (end > first ? end - first : 0)
                }
                if covered != run.pages { result.append("what is no RAM at \(hex(run.input)) is mapped as memory") }
            }
        }
        let due = state.count(.host) + state.count(.firmware)
        if reachable != due { result.append("the host reaches \(reachable) pages of RAM where \(due) are due") }
        return result
    }

    /// EL2 maps its own pages, at identity below the ledger, and nothing that is another's.
    private func hypervisorTableDifferences(_ state: AbstractState) -> [String] {
        guard let mapped = machine.hypervisorMapping(machine[cpu: 0]) else { return ["EL2 has no tables"] }
        var result: [String] = []
        var own = 0 as UInt64
        for run in mapped {
            if run.writable && run.executable { result.append("EL2 maps \(hex(run.input)) writable and executable") }
            let isIdentityHalf = run.input < HypervisorAddressSpace.identityLimit >> pageShift
            if isIdentityHalf {
                own += run.pages
                if !run.isIdentity { result.append("EL2's page \(hex(run.input)) maps to \(hex(run.frame))") }
            }
            for frame in run.frame..<run.frame + run.pages {
                let page = state.page(frame)
                if page != .installed && page != .donated && page != .machine {
                    result.append("EL2 maps frame \(hex(frame)), which is \(page)")
                    break
                }
            }
        }
        // One guard page for each CPU is never mapped.
        let due =
            state.count(.installed) + state.count(.donated) + state.count(.machine) - UInt64(plan.cpuCount)
        if own != due { result.append("EL2 maps \(own) pages of its own where \(due) are due") }
        return result
    }
}

extension HostBench {
    /// Every guest reaches the pages that the specification names, as it names them, and no others.
    func guestTableDifferences(_ state: AbstractState) -> [String] {
        state.machines.compactMap { guestTableDifference($0, $1) }
    }

    private func guestTableDifference(_ handle: UInt64, _ vm: Specification.Machine) -> String? {
        let bits = vm.inputBits
        let size: UInt64 = [32: 0, 36: 1, 39: 2, 40: 2, 42: 3, 44: 4, 48: 5][bits] ?? 5
        let vtcr = 1 << 31 | size << 16 | (bits >= 44 ? 2 : 1) << 6 | (64 - bits)
        // The root goes back to the host like any other page.
        guard vm.ownPages.contains(vm.root), vm.life == .active || !vm.mappings.isEmpty else { return nil }
        guard let mapped = machine.stage2Mapping(vttbr: vm.root << pageShift, vtcr: vtcr) else {
            return "VM \(hex(handle)) has a tree that cannot be walked"
        }
        let type = hypervisor.features.hasForcedWriteBack ? Stage2Attributes.MemoryType.forcedWriteBack : .writeBack
        var count = 0
        for run in mapped {
            for page in 0..<run.pages {
                guard let due = vm.mappings[run.input + page], due.frame == run.frame + page,
                    run.readable, run.writable == due.access.contains(.write),
                    run.executable == due.access.contains(.execute), run.memory == type.rawValue
                else { return "VM \(hex(handle)) maps its page \(hex(run.input + page)) wrongly" }
                count += 1
            }
        }
        return count == vm.mappings.count
            ? nil : "VM \(hex(handle)) maps \(count) pages where \(vm.mappings.count) are due"
    }
}

func hex(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }
