// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The specification's state, the ledger and the tables really written, laid side by side, for all
// pages or for some.

import Arm
import Audit
import HypervisorCore
import HypervisorInterface
import SimulatedMachine
public import Specification
import TableWalker

/// Every input page that there can be.
let allPages: Range<UInt64> = 0..<1 << 40

extension SimulatedHost {
    /// Everything that must agree, as sentences about what does not.
    /// - Parameter stride: the ledger is compared for the first and last page of each run, and for
    ///   every so-many-th page; the tables for all pages.
    public func differences(from state: AbstractState, stride: UInt64 = 1) -> [String] {
        let lent = state.lentCounts
        var result: [String] = []
        for run in state.map {
            var frame = run.first
            while true {
                if let difference = ledgerDifference(frame, run.page, state, lent) { result.append(difference) }
                if frame == run.end - 1 { break }
                frame = min(run.end - 1, frame + stride)
            }
        }
        result += hostTableDifferences(state, allPages) + hypervisorTableDifferences(state, allPages)
        let count = state.count(.installed) + state.count(.donated) + state.count(.machine)
        let (own, free) = (hypervisor.ownPages(on: machine[cpu: 0]), hypervisor.freePages(on: machine[cpu: 0]))
        if own != count { result.append("\(own) pages are counted as the hypervisor's where \(count) are") }
        if free > own { result.append("\(free) pages are free of \(own)") }
        return result
    }

    /// What the ledger says of a frame, against what it is.
    func ledgerDifference(
        _ frame: UInt64, _ page: Page, _ state: AbstractState, _ lent: [UInt64: UInt32]
    ) -> String? {
        let cpu = machine[cpu: 0]
        guard let seen = hypervisor.ownership(of: Frame(frame), on: cpu) else {
            let report = hypervisor.report(of: Frame(frame), on: cpu)
            let due: PageReport? =
                switch page {
                case .device, .denied: .notMemory
                case .firmware: .firmware
                default: nil
                }
            return report == due ? nil : "the ledger says \(report) of \(hex(frame)), which is \(page)"
        }
        let slot = page == .guest ? state.owners[frame].flatMap { Self.slot(of: $0) } : nil
        let isRight = page.agrees(with: seen, lent: page == .host ? lent[frame] ?? 0 : 0, slot: slot)
        return isRight
            ? nil : "the ledger says \(seen) of \(hex(frame)), which is \(page), lent \(lent[frame] ?? 0) times"
    }

    private static func slot(of handle: UInt64) -> UInt8? { Hypervisor<SimulatedCPU>.slot(of: handle) }

    /// VTTBR_EL2 and VTCR_EL2 that the host runs with.
    var hostRoot: (vttbr: UInt64, vtcr: UInt64) {
        // A CPU that runs a guest has the guest's; all others have the host's.
        for cpu in machine.allCPUs where cpu.read(.vttbrEL2) >> 48 == 0 && cpu.read(.hcrEL2) & 1 == 1 {
            return (cpu.read(.vttbrEL2), cpu.read(.vtcrEL2))
        }
        return (0, 0)
    }

    /// Host and firmware pages are mapped, RWX, write-back, at identity; nobody else's are.
    func hostTableDifferences(_ state: AbstractState, _ pages: Range<UInt64>) -> [String] {
        let root = hostRoot
        var result: [String] = []
        var reached: UInt64 = 0
        machine.visitStage2(vttbr: root.vttbr, vtcr: root.vtcr, pages: pages) { run in
            let covered = run.input..<run.end
            let part = covered.clamped(to: pages)
            guard run.isIdentity else {
                // Only a sink may stand in for a page, and only for a guest's.
                let sink = state.page(run.frame)
                let isSink =
                    state.all(run.input, run.pages, are: .guest) && !run.executable && sink != .guest && sink != .host
                if !isSink { result.append("the host's page \(hex(run.input)) maps to frame \(hex(run.frame))") }
                return
            }
            let isMemory = run.memory == 0b1111
            let isDevice = run.memory == 0b0101 && run.readable && run.writable && !run.executable
            if isMemory, !run.executable || !run.readable || !run.writable {
                result.append("host memory at \(hex(run.input)) is not readable, writable and executable")
            }
            if !isMemory && !isDevice { result.append("the host maps \(hex(run.input)) with type \(run.memory)") }
            var known: UInt64 = 0
            for piece in state.runs(in: part) {
                let count = UInt64((piece.first..<piece.end).clamped(to: part).count)
                known += count
                switch piece.page {
                case .host where isMemory, .firmware where isMemory: reached += count
                case .device where isDevice: break
                default:
                    result.append("the host reaches \(count) pages from \(hex(piece.first)), which are \(piece.page)")
                }
            }
            if isMemory, known != UInt64(part.count) {
                result.append("what is no RAM at \(hex(run.input)) is mapped as memory")
            }
        }
        let due = state.count(of: [.host, .firmware], in: pages)
        if reached != due {
            result.append("the host reaches \(reached) pages of RAM where \(due) are due, of \(pages)")
        }
        return result
    }

    /// EL2 maps its own pages, at identity below the ledger, and nothing that is another's.
    func hypervisorTableDifferences(_ state: AbstractState, _ pages: Range<UInt64>) -> [String] {
        var result: [String] = []
        var own: UInt64 = 0
        let limit = HypervisorAddressSpace.identityLimit >> pageShift
        machine.visitHypervisor(machine[cpu: 0], pages: pages) { run in
            if run.writable && run.executable { result.append("EL2 maps \(hex(run.input)) writable and executable") }
            let part = (run.input..<run.end).clamped(to: pages)
            if run.input < limit {
                own += UInt64(part.count)
                if !run.isIdentity { result.append("EL2's page \(hex(run.input)) maps to \(hex(run.frame))") }
            }
            let first = run.frame + (part.lowerBound - run.input)
            let frames = first..<first + UInt64(part.count)
            if state.count(of: [.installed, .donated, .machine], in: frames) != UInt64(part.count) {
                result.append("EL2 maps frames \(hex(first)) to \(hex(frames.upperBound)), which are not all its own")
            }
        }
        // One guard page for each CPU is never mapped.
        let guards = (0..<UInt64(plan.cpuCount)).count { pages.contains(plan.perCPUBase + $0 * Plan.perCPUPages) }
        let due = state.count(of: [.installed, .donated, .machine], in: pages.clamped(to: 0..<limit)) - UInt64(guards)
        if own != due { result.append("EL2 maps \(own) pages of its own where \(due) are due, of \(pages)") }
        return result
    }

    /// Every guest reaches the pages that the specification names, as it names them, and no others.
    public func guestTableDifferences(_ state: AbstractState) -> [String] {
        state.machines.compactMap { guestTables($0, $1).difference }
    }

    /// A VM's tables: what is wrong with them, and which pages they are.
    func guestTables(_ handle: UInt64, _ vm: Specification.Machine) -> (difference: String?, tables: [UInt64]) {
        // The root goes back to the host like any other page.
        guard vm.ownPages.contains(vm.root), vm.life == .active || !vm.mappings.isEmpty else { return (nil, []) }
        guard let shape = WalkShape(guestRoot: vm.root, inputBits: vm.inputBits) else {
            return ("VM \(hex(handle)) has \(vm.inputBits) bits of address", [])
        }
        let type = WalkShape.memoryType(isForced: hypervisor.features.hasForcedWriteBack)
        var count = 0
        var wrong: UInt64?
        let tables = machine.visitStage2(shape, pages: 0..<1 << (shape.inputBits - pageShift)) {
            run in
            for page in 0..<run.pages {
                guard let due = vm.mappings[run.input + page], due.frame == run.frame + page,
                    run.readable, run.writable == due.access.contains(.write),
                    run.executable == due.access.contains(.execute), run.memory == type
                else {
                    wrong = wrong ?? run.input + page
                    continue
                }
                count += 1
            }
        }
        if let wrong { return ("VM \(hex(handle)) maps its page \(hex(wrong)) wrongly", tables) }
        if let foreign = tables.first(where: { !vm.ownPages.contains($0) }) {
            return ("VM \(hex(handle)) has a table at \(hex(foreign)), which is not its own", tables)
        }
        let isComplete = count == vm.mappings.count
        return (
            isComplete ? nil : "VM \(hex(handle)) maps \(count) pages where \(vm.mappings.count) are due", tables
        )
    }
}

extension AbstractState {
    /// How often each frame is lent, as far as it is.
    var lentCounts: [UInt64: UInt32] {
        var counts: [UInt64: UInt32] = [:]
        for machine in machines.values where machine.kind == .normal {
            for mapping in machine.mappings.values { counts[mapping.frame, default: 0] += 1 }
        }
        return counts
    }

    /// The VM of each frame that a guest owns.
    var owners: [UInt64: UInt64] {
        var owners: [UInt64: UInt64] = [:]
        for (handle, machine) in machines where machine.kind == .protected {
            for mapping in machine.mappings.values { owners[mapping.frame] = handle }
        }
        return owners
    }

    /// The number of pages of some kinds among some frames.
    func count(of kinds: Set<Page>, in frames: Range<UInt64>) -> UInt64 {
        runs(in: frames).reduce(0) {
            kinds.contains($1.page) ? $0 + UInt64(($1.first..<$1.end).clamped(to: frames).count) : $0
        }
    }
}

func hex(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }
