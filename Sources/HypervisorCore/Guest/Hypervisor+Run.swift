// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Running a vCPU: `runVCPU`, and the loop over exits that EL2 answers itself.

import Arm
import CBootProtocol
import HypervisorInterface
import Machine

/// What the host asks of a run, from x3 and x4.
struct RunArguments {
    let request: RunRequest
    let listRegisters: UInt64
    let completion: UInt64
    let interface: InterfaceControl

    /// Nil if x3 has what nothing means.
    @inline(__always)
    init?(_ bits: UInt64, completion: UInt64) {
        request = RunRequest(rawValue: bits & 0xFF)
        listRegisters = (bits >> 8) & 0xF
        self.completion = completion
        interface = InterfaceControl(rawValue: bits >> 16)
        guard bits & 0xF0FC == 0, bits >> 32 == 0, listRegisters <= HostCall.listRegisters,
            interface.isSubset(of: .all)
        else { return nil }
    }
}

extension Hypervisor {
    /// `HostCall.runVCPU`: x0…x11 of the frame become the answer.
    @inline(__always)
    func run(
        _ cpu: Int, _ data: Address<HypervisorVirtual>, _ frame: inout HostFrame, on processor: P
    ) throws(CallStatus) {
        guard let handle = VMHandle(alleged: frame.x[1]) else { throw .notFound }
        guard let arguments = RunArguments(frame.x[3], completion: frame.x[4]) else { throw .invalidParameter }
        // A guest must not inherit streaming mode; a kernel is never in it when it calls.
        if features.hasSME, processor.read(.svcr) & 1 != 0 { throw .denied }
        let index = frame.x[2]
        let claim = try memory.withLock(on: processor) { state throws(CallStatus) in
            try state.claim(handle, index: index, cpu: cpu, on: processor)
        }
        var guest = RunningGuest(vm: claim.vm, vcpu: claim.vcpu, index: index, on: processor)
        var endCount: UInt64 = 0
        if claim.power == .off {
            _ = guest.leave(.cpuOff)
        } else {
            if claim.power == .starting { start(guest.vcpu, on: processor) }
            endCount = switchAndRun(&guest, arguments, cpu, data, &frame, on: processor)
        }
        let exit = guest.exit
        // The vCPU's page is another's as soon as the claim ends.
        let interface = guest.vcpu.load(.vmcr, on: processor)
        let (timer, compare) = processor.loadPair64(guest.vcpu.address(.timerControl))
        if exit.endsMachine || (guest.kind == .protected && exit.endsGuest) {
            memory.withLock(on: processor) { _ in guest.vm.end(on: processor) }
        }
        guest.release(on: processor)
        ExitCounters(data).add(exit, on: processor)
        frame.x[1] = exit.rawValue
        // Where an unsupported exit of a protected guest happened and why is the guest's own.
        let isSilent = guest.kind == .protected && exit == .unsupported && !isWithout(.failuresSayNothing)
        frame.x[2] = isSilent ? 0 : guest.x2
        frame.x[3] = isSilent ? 0 : guest.x3
        frame.x[4] = isSilent ? 0 : guest.x4
        frame.x[9] = interface | endCount << 32
        // A protected guest's timer concerns the host when the vCPU waits for it; otherwise only
        // whether it fires, which the physical interrupt says too.
        if guest.kind == .normal || exit == .waitForInterrupt || isWithout(.timersAreHidden) {
            frame.x[10] = timer
            frame.x[11] = compare &+ guest.counterOffset
        } else {
            frame.x[10] = timer & 7 == 5 ? 5 : 0
            frame.x[11] = 0
        }
    }

    /// A vCPU that another one has turned on begins where that one said.
    private func start(_ vcpu: VCPUPage, on processor: P) {
        vcpu.reset(
            entry: vcpu.load(.startEntry, on: processor), context: vcpu.load(.startContext, on: processor),
            on: processor)
    }

    /// Both world switches around the run loop.
    /// - Returns: EOIcount.
    @inline(__always)
    private func switchAndRun(
        _ guest: inout RunningGuest, _ arguments: RunArguments, _ cpu: Int, _ data: Address<HypervisorVirtual>,
        _ frame: inout HostFrame, on processor: P
    ) -> UInt64 {
        let abort = complete(arguments, guest.vcpu, on: processor)
        // From here to the way back a panic has no host to return to.
        processor.store64(data.advanced(by: UInt64(MARTLET_PERCPU_HAS_HOST)), 0)
        let groups = groups
        let profiling = groups.isDisjoint(with: .recording) ? nil : ProfilingControls(stoppedOn: processor, groups)
        let counters = PerformanceCounters(stoppedOn: processor, groups, for: guest.kind)
        loadGuest(guest, cpu, data, on: processor)
        let host = loadInterruptInterface(arguments, guest.vcpu, &frame, on: processor)
        if let abort { injectExternalAbort(abort, guest.vcpu, on: processor) }
        while true {
            let exception = processor.enterGuest(guest.vcpu.base)
            if !P.answersQuickly, exception == .synchronous {
                switch QuickAnswers.answer(guest.vcpu.base, on: processor) {
                case .none: break
                case .answered: continue
                case .steppedOver:
                    guest.vcpu.skipInstruction(on: processor)
                    continue
                }
            }
            if next(exception, &guest, data, on: processor) == .leaves { break }
            // Another vCPU has ended the VM meanwhile.
            if guest.vcpu.power(on: processor) == .off {
                _ = guest.leave(.cpuOff)
                break
            }
        }
        let endCount = storeInterruptInterface(host, arguments, guest.vcpu, &frame, on: processor)
        if guest.hasVectors, !isWithout(.hostVectorsComeBack) { restoreHostVectors(guest.vcpu, data, on: processor) }
        loadHost(guest, data, on: processor)
        counters.resume(on: processor, groups, after: guest.kind)
        profiling?.resume(on: processor, groups)
        processor.store64(data.advanced(by: UInt64(MARTLET_PERCPU_HAS_HOST)), 1)
        return endCount
    }

    /// What follows an exception.
    @inline(__always)
    private func next(
        _ exception: GuestExit, _ guest: inout RunningGuest, _ data: Address<HypervisorVirtual>, on processor: P
    ) -> GuestTrapOutcome {
        // The state that an exception left must be one that a guest may be in, or it has used
        // AArch32 at EL0; nothing of that is answered.
        if guest.vcpu.state(on: processor).isAArch32, !isWithout(.aarch32Ends) {
            turnOff(guest.vcpu, on: processor)
            return unsupported(&guest, 0, on: processor)
        }
        switch exception {
        case .interrupt: return guest.leave(.interrupt)
        case .systemError: return unsupported(&guest, 0x2F << 26, on: processor)
        case .synchronous: return answer(&guest, data, on: processor)
        }
    }

    /// The guest did what nobody emulates.
    func unsupported(_ guest: inout RunningGuest, _ syndrome: UInt64, on processor: P) -> GuestTrapOutcome {
        guest.leave(.unsupported, syndrome, processor.read(.farEL2), guest.vcpu.programCounter(on: processor))
    }

    /// The vCPU does not run again by itself.
    func turnOff(_ vcpu: VCPUPage, on processor: P) {
        memory.withLock(on: processor) { _ in
            vcpu.store(.power, VCPUPage.Power.off.rawValue, on: processor)
        }
    }
}
