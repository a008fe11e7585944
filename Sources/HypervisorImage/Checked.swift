// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// An image for tests that holds itself against the specification whenever it returns to the host
// (MARTLET_FAULTS=CHECKED, docs/specification.md). In the product there is nothing of it.

#if MARTLET_FAULT_CHECKED
import Arm
import Audit
import CAudit
import CBootProtocol
import CEL2
import EL2Machine
import HypervisorCore
import HypervisorInterface
import Machine

/// The audit, once the hypervisor is final.
struct AuditState: Lockable, ~Copyable {
    static var lockRank: LockRank { .audit }
    var audit: Audit?
    /// The machine is being switched off or reset: EL2 takes guests apart then, and nothing follows any more.
    var isOver = false
    /// Ticks of CNTPCT_EL0 that the longest step took. Other CPUs may wait for its end.
    var longest: UInt64 = 0
}

/// One trap on its way through the audit. Lives on the CPU's own stack, while the audit has one that all share.
private struct AuditStep {
    var frame: HostFrame
    let cpu: Int
    var trap = AuditedTrap.other
    var audit: Audit?
}

extension Root {
    /// Answers a trap of the host, and checks the answer and what it has changed. Traps come one after the other,
    /// but for runs of vCPUs, and for SMC, which may not come back.
    func checkedTrap(
        _ cpu: PerCPU, _ frame: UnsafeMutablePointer<HostFrame>, on processor: EL2Processor
    ) -> HostCallOutcome {
        // Safety: the frame is this CPU's, as in `hostTrap`.
        let syndrome = unsafe ExceptionSyndrome(bits: frame.pointee.syndrome)
        let data = Address<HypervisorVirtual>(cpu.address)
        guard hypervisor.phase == .finalised else {
            return unsafe hypervisor.hostTrap(cpu.index, data: data, &frame.pointee, on: processor)
        }
        if syndrome.exceptionClass == .smc64, syndrome.immediate == 0, unsafe endsMachine(frame.pointee.x[0]) {
            audit.withLock(on: processor) { $0.isOver = true }
        }
        // Safety: as above.
        var step = unsafe AuditStep(frame: frame.pointee, cpu: cpu.index)
        if syndrome.exceptionClass == .hvc64, unsafe answersTest(&frame.pointee, on: processor) { return .answered }
        var outcome = HostCallOutcome.answered
        var isHeld = true
        audit.withLock(on: processor) { state in
            let start = processor.read(.cntpctEL0)
            defer { state.longest = max(state.longest, processor.read(.cntpctEL0) &- start) }
            if !state.isOver { begin(&step, &state) }
            // What takes as long as a guest or firmware likes is done without the lock.
            isHeld = !state.isOver && !step.trap.isLong
            guard isHeld else { return }
            unsafe outcome = hypervisor.hostTrap(cpu.index, data: data, &frame.pointee, on: processor)
            if case .panicRecord = outcome {
                unsafe frame.pointee.x[0] = UInt64(bitPattern: CallStatus.notFound.rawValue)
                outcome = .answered
            }
            unsafe end(&step, frame.pointee, &state)
        }
        if isHeld { return outcome }
        unsafe outcome = hypervisor.hostTrap(cpu.index, data: data, &frame.pointee, on: processor)
        audit.withLock(on: processor) { state in
            unsafe end(&step, frame.pointee, &state)
        }
        return outcome
    }

    private func begin(_ step: inout AuditStep, _ state: inout AuditState) {
        step.audit = state.audit
        // Safety: both are called with a step that outlives them, and with nothing else.
        unsafe withUnsafeMutablePointer(to: &step) { unsafe audit_on_stack(beginAudit, $0) }
        state.audit = step.audit
        step.audit = nil
    }

    private func end(_ step: inout AuditStep, _ frame: HostFrame, _ state: inout AuditState) {
        guard !state.isOver else { return }
        step.frame = frame
        step.audit = state.audit
        // Safety: as in `begin`.
        unsafe withUnsafeMutablePointer(to: &step) { unsafe audit_on_stack(endAudit, $0) }
        step.audit = nil
    }

    private func endsMachine(_ number: UInt64) -> Bool {
        switch PSCIFunction(rawValue: FunctionID(register: number).rawValue) {
        case .systemOff, .systemReset, .systemReset2, .systemReset2x32: true
        default: false
        }
    }

    /// Two calls that only such an image knows.
    private func answersTest(_ frame: inout HostFrame, on processor: EL2Processor) -> Bool {
        switch frame.x[0] {
        case provokedDifference:
            provokeDifference(frame.x[1], on: processor)
            frame.x[0] = 0
            return true
        case auditCounts:
            audit.withLock(on: processor) { state in
                let counts = state.audit?.counts ?? Audit.Counts()
                let values: [8 of UInt64] = [
                    counts.calls, counts.faults, counts.runs, counts.pages, counts.guestPages, counts.all,
                    audit_heap_peak(), state.longest,
                ]
                frame.x[0] = 0
                frame.x[1] = values[Int(truncatingIfNeeded: frame.x[1] & 7)]
            }
            return true
        default: return false
        }
    }
}

/// Reads how often what was checked: x1 is the index of a count, and then the count.
private let auditCounts: UInt64 = 0xC600_4FFD
/// Makes the ledger say of the page in x1 that the host has lent it once more, which nobody has asked for.
private let provokedDifference: UInt64 = 0xC600_4FFC

@inline(never)
private func provokeDifference(_ frame: UInt64, on processor: EL2Processor) {
    Ledger().record(.host(lent: 1), of: Frame(frame), on: processor)
}

/// On the audit's stack, before the trap is answered.
private func beginAudit(_ step: UnsafeMutableRawPointer?) {
    // Safety: `Root.begin` passes a step.
    guard let step = unsafe step?.assumingMemoryBound(to: AuditStep.self) else { return }
    RootStorage<Root>.borrow { root in
        do throws(Difference) {
            let audit: Audit
            if let present = unsafe step.pointee.audit {
                audit = present
            } else {
                audit = try Audit.start(root.hypervisor, on: EL2Processor())
                unsafe step.pointee.audit = audit
            }
            unsafe step.pointee.trap = audit.begin(
                step.pointee.frame, on: step.pointee.cpu, root.hypervisor, on: EL2Processor())
        } catch {
            disagree(error)
        }
    }
}

/// On the audit's stack, when it has been.
private func endAudit(_ step: UnsafeMutableRawPointer?) {
    // Safety: `Root.end` passes a step.
    guard let step = unsafe step?.assumingMemoryBound(to: AuditStep.self) else { return }
    RootStorage<Root>.borrow { root in
        do throws(Difference) {
            try unsafe step.pointee.audit?.end(
                step.pointee.trap, step.pointee.frame, on: step.pointee.cpu, root.hypervisor, on: EL2Processor())
        } catch {
            disagree(error)
        }
    }
}

/// Panics with what is wrong: nothing that EL2 does from here on can be trusted.
@inline(never)
private func disagree(_ difference: Difference) -> Never {
    var index: UInt = 0
    for byte in difference.description.utf8 {
        audit_set_message(index, byte)
        index += 1
    }
    PerCPU.current[MARTLET_PERCPU_PANIC_MESSAGE] = audit_message()
    el2_break()
}
#endif
