// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What the host's traps are to the specification: calls, aborts, runs of vCPUs, and the rest.

import Arm
public import HypervisorCore
import HypervisorInterface
public import Machine
public import Specification

/// What a trap of the host is, and what had to be seen before it is answered.
public enum AuditedTrap {
    /// Nothing that changes memory and of which anything is known: system registers, registers of guests, calls that
    /// only a test's image knows.
    case other
    /// SMC, and what it comes to; nil if that depends on what other CPUs do.
    case firmware(FirmwareFate?)
    /// A call that changes nothing. A host makes hundreds of thousands of them in a row.
    case question(CallRegisters)
    /// HVC #0.
    case call(AuditedCall)
    /// HVC with an immediate, which is no call at all.
    case noCall
    /// A stage-2 translation fault at a page.
    case fault(UInt64, programCounter: UInt64)
    /// `runVCPU`.
    case run

    /// Whether it takes as long as a guest or firmware likes.
    public var isLong: Bool {
        switch self {
        case .run, .firmware: true
        case .other, .question, .call, .noCall, .fault: false
        }
    }
}

extension Audit {
    /// Before EL2 answers the host's trap. Others' traps may come before the end of what `isLong`, and no others' before
    /// the end of anything else.
    public func begin<P: GuestProcessor>(
        _ frame: HostFrame, on cpu: Int, _ hypervisor: borrowing Hypervisor<P>, on processor: P
    ) -> AuditedTrap {
        let syndrome = ExceptionSyndrome(bits: frame.syndrome)
        switch syndrome.exceptionClass {
        case .hvc64:
            let call = CallRegisters(frame.x[0], frame.x[1], frame.x[2], frame.x[3], frame.x[4], frame.x[5])
            if call.x0 == stubSoftRestart || Self.isOnlyForTests(call.x0) { return .other }
            guard syndrome.immediate == 0 else { return .noCall }
            if Self.name(of: call) == .runVCPU {
                running[cpu] = VCPUName(call.x1, call.x2)
                return .run
            }
            switch Self.name(of: call) {
            // What registers hold is what guests left there, which nobody here has seen.
            case .getRegister, .setRegister: return .other
            case .version, .counter, .pageReport, .panicRecord, nil: return .question(call)
            default: return .call(seen(before: call, hypervisor, on: processor))
            }
        case .smc64:
            let call = CallRegisters(frame.x[0], frame.x[1], frame.x[2], frame.x[3])
            return .firmware(fate(of: call, immediate: syndrome.immediate, hypervisor))
        case .dataAbortLower, .instructionAbortLower:
            switch syndrome.faultStatus {
            case .translation, .accessFlag:
                let page = (processor.read(.hpfarEL2) >> 4) & ((1 << 40) - 1)
                return .fault(page, programCounter: frame.programCounter)
            default: return .other
            }
        default: return .other
        }
    }

    /// When EL2 is about to return to the host.
    public func end<P: GuestProcessor>(
        _ trap: AuditedTrap, _ frame: HostFrame, on cpu: Int, _ hypervisor: borrowing Hypervisor<P>, on processor: P
    ) throws(Difference) {
        switch trap {
        case .other: return try checkSliceAtTimes(hypervisor, on: processor)
        case .firmware(let fate):
            let due: UInt64? =
                switch fate {
                case .refused: UInt64(bitPattern: -1)
                case .answered(let answer): answer
                case .forwarded, .coldReset, .relayed, .asked, nil: nil
                }
            if let due, frame.x[0] != due { throw Difference("SMC was answered:", frame.x[0]) }
            return try checkSliceAtTimes(hypervisor, on: processor)
        case .question(let call):
            let answer = CallRegisters(frame.x[0], frame.x[1], frame.x[2], frame.x[3])
            try check(call, answer, on: cpu, on: processor)
            counts.calls += 1
            return try checkSliceAtTimes(hypervisor, on: processor)
        case .noCall:
            guard frame.x[0] == UInt64(bitPattern: CallStatus.notSupported.rawValue) else {
                throw Difference("HVC with an immediate was answered:", frame.x[0])
            }
        case .run:
            running[cpu] = nil
            counts.runs += 1
        case .call(let call):
            let answer = CallRegisters(frame.x[0], frame.x[1], frame.x[2], frame.x[3])
            try check(call, answer, on: cpu, hypervisor, on: processor)
            counts.calls += 1
        case .fault(let page, let programCounter):
            try check(faultAt: page, isRefused: frame.programCounter != programCounter, on: processor)
            counts.faults += 1
        }
        try checkSlice(hypervisor, on: processor)
    }

    /// What an SMC comes to. Which CPUs are on is not known here.
    private func fate<P: GuestProcessor>(
        of call: CallRegisters, immediate: UInt16, _ hypervisor: borrowing Hypervisor<P>
    ) -> FirmwareFate? {
        let number = UInt32(truncatingIfNeeded: call.x0) & ~0x1_0000
        if number == Function.cpuOn || Function.affinityInfo.contains(number) { return nil }
        let entry = (number == Function.cpuSuspend ? call.x2 : call.x1) >> pageShift
        return core.part([Pages(first: entry, count: 1, page(entry))])
            .fate(of: call, immediate: immediate, offered: Set(hypervisor.offeredFirmwareCalls))
    }

    /// Compares the answer to a question, and what the ledger says of the page that it is about.
    private func check<P: GuestProcessor>(
        _ call: CallRegisters, _ answer: CallRegisters, on cpu: Int, on processor: P
    ) throws(Difference) {
        var state = core
        if Self.name(of: call) == .pageReport, call.x1 < 1 << 40 {
            state = core.part([Pages(first: call.x1, count: 1, page(call.x1))])
            if let owner = owners[call.x1] { try check(owner, of: call.x1, on: processor) }
        }
        do throws(Disagreement) {
            _ = try state.after(call, on: cpu, answer: answer, observing: Observation(freePages: 0) { _ in false })
        } catch {
            throw Difference(error.description)
        }
    }

    private func check<P: GuestProcessor>(
        faultAt frame: UInt64, isRefused: Bool, on processor: P
    ) throws(Difference) {
        switch core.reach(frame, as: page(frame)) {
        case .memory, .device:
            if isRefused { throw Difference("\(page(frame).name), and the host was refused", frame) }
        case .nothing:
            if !isRefused { throw Difference("\(page(frame).name), and the host was not refused", frame) }
            return
        case .sink: break
        }
        try check(frame..<frame + 1, on: processor)
    }

    /// Compares some pages more after one of so many traps that change nothing: a host must not wait for all that it
    /// asks longer than its watchdogs do.
    private func checkSliceAtTimes<P: GuestProcessor>(
        _ hypervisor: borrowing Hypervisor<P>, on processor: P
    ) throws(Difference) {
        questions = (questions + 1) % Self.questionsPerSlice
        if questions == 0 { try checkSlice(hypervisor, on: processor) }
    }

    /// Compares some pages more, so that after a bounded number of traps all of memory was looked at.
    private func checkSlice<P: GuestProcessor>(
        _ hypervisor: borrowing Hypervisor<P>, on processor: P
    ) throws(Difference) {
        let (pages, slices) = (64, 512 / 64)
        if nextSlice >= blocks.count * slices { nextSlice = 0 }
        let first = blocks[nextSlice / slices] + UInt64(nextSlice % slices * pages)
        try check(first..<first + UInt64(pages), on: processor)
        nextSlice += 1
        // 512 pages of a guest are more work.
        if nextSlice % 16 == 0 { try checkNextBranch(hypervisor, on: processor) }
    }

    private func checkNextBranch<P: GuestProcessor>(
        _ hypervisor: borrowing Hypervisor<P>, on processor: P
    ) throws(Difference) {
        guard !core.machines.isEmpty else { return }
        let handle = core.machines.keys.sorted()[nextGuest % core.machines.count]
        var branch: UInt64?
        for due in guests[handle]?.branches.keys ?? [:].keys where due >= nextBranch && due < branch ?? .max {
            branch = due
        }
        guard let branch else {
            nextBranch = 0
            nextGuest = (nextGuest + 1) % core.machines.count
            return
        }
        try checkBranch(branch, of: handle, hypervisor, on: processor)
        nextBranch = branch + 1
    }

    /// The call of a number, as SMCCC has it: bits 31:0 but for the SVE hint.
    static func name(of call: CallRegisters) -> HostCall? {
        HostCall(rawValue: UInt32(truncatingIfNeeded: call.x0) & ~0x1_0000)
    }

    /// SOFT_RESTART of the kernel's stub, after which another kernel is the host.
    private var stubSoftRestart: UInt64 { 1 }

    /// Numbers that no product answers.
    private static func isOnlyForTests(_ number: UInt64) -> Bool { (0xC600_4FF0...0xC600_4FFF).contains(number) }
}
