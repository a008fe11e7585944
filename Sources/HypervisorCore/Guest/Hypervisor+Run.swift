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

/// What the host is told of a vCPU's registers at each exit.
struct LeftState {
    /// ICH_VMCR_EL2, and EOIcount above it: interrupts in no list register that the guest has ended.
    let interface: UInt64
    let timer: GuestTimer

    init(interface: UInt64, timer: GuestTimer) {
        self.interface = interface
        self.timer = timer
    }

    /// Of a vCPU that has not run.
    init(of vcpu: VCPUPage, in vm: VMPage, on processor: some Processor) {
        let (control, compare) = processor.loadPair64(vcpu.address(.timerControl))
        let timer = GuestTimer(control: control, compare: compare &+ vm.load(.counterOffset, on: processor))
        self.init(interface: vcpu.load(.vmcr, on: processor), timer: timer)
    }
}

extension Hypervisor {
    /// `HostCall.runVCPU`: x0…x11 of the frame become the answer.
    @inline(__always)
    func run(
        _ cpu: Int, _ data: Address<HypervisorVirtual>, _ frame: inout HostFrame, on processor: P
    ) throws(CallStatus) {
        guard let arguments = RunArguments(frame.x[3], completion: frame.x[4]) else {
            throw refusal(.invalidParameter)
        }
        // A guest must not inherit streaming mode; a kernel is never in it when it calls.
        if features.hasSME, processor.read(.svcr) & 1 != 0 { throw refusal(.denied) }
        let claim = KeptClaim(data)
        var guest: RunningGuest
        if let again = claim.takeUp(frame.x[1], index: frame.x[2], on: processor) {
            guest = RunningGuest(vm: again.vm, vcpu: again.vcpu, index: frame.x[2], .kept)
        } else {
            guest = try self.claim(frame.x[1], index: frame.x[2], data, on: processor)
        }
        let left: LeftState
        if guest.exit == .cpuOff {
            left = LeftState(of: guest.vcpu, in: guest.vm, on: processor)
        } else {
            left = switchAndRun(&guest, arguments, cpu, data, &frame, on: processor)
        }
        let exit = guest.exit
        if exit.endsGuest { end(&guest, on: processor) }
        // The VM may be gone as soon as the claim ends.
        let kind = guest.kind(on: processor)
        claim.keep(guest.vcpu, on: processor)
        ExitCounters(data).add(exit, on: processor)
        frame.x[1] = exit.rawValue
        frame.x[2] = guest.x2
        frame.x[3] = guest.x3
        frame.x[4] = guest.x4
        frame.x[9] = left.interface
        // A protected guest's timer concerns the host when the vCPU waits for it; otherwise only
        // whether it fires, which the physical interrupt says too.
        if kind == .normal || exit == .waitForInterrupt || isWithout(.timersAreHidden) {
            frame.x[10] = left.timer.control
            frame.x[11] = left.timer.compare
        } else {
            frame.x[10] = left.timer.control & 7 == 5 ? 5 : 0
            frame.x[11] = 0
        }
    }

    /// Why there is no run: before EL2 is final there is no such call. A CPU keeps no claim by then either.
    private func refusal(_ status: CallStatus) -> CallStatus { isFinal ? status : .notSupported }

    /// Claims a vCPU that this CPU did not keep.
    /// - Returns: the vCPU; if it is off, with that as its exit.
    @inline(never)
    private func claim(
        _ number: UInt64, index: UInt64, _ data: Address<HypervisorVirtual>, on processor: P
    ) throws(CallStatus) -> RunningGuest {
        guard isFinal, let handle = VMHandle(alleged: number) else { throw refusal(.notFound) }
        let claim = try memory.withLock(on: processor) { state throws(CallStatus) in
            try state.claim(handle, index: index, data: data, on: processor)
        }
        var guest = RunningGuest(vm: claim.vm, vcpu: claim.vcpu, index: index, .claimed)
        switch claim.power {
        case .on: break
        case .off: _ = guest.leave(.cpuOff)
        case .starting: start(guest.vcpu, on: processor)
        }
        return guest
    }

    /// The guest never goes on.
    @inline(never)
    private func end(_ guest: inout RunningGuest, on processor: P) {
        let exit = guest.exit
        if exit.endsMachine || (guest.kind(on: processor) == .protected && exit.endsGuest) {
            memory.withLock(on: processor) { _ in guest.vm.end(on: processor) }
        }
        // Where an unsupported exit of a protected guest happened and why is the guest's own.
        if guest.kind(on: processor) == .protected && exit == .unsupported && !isWithout(.failuresSayNothing) {
            _ = guest.leave(exit)
        }
    }

    /// A vCPU that another one has turned on begins where that one said.
    private func start(_ vcpu: VCPUPage, on processor: P) {
        vcpu.reset(
            entry: vcpu.load(.startEntry, on: processor), context: vcpu.load(.startContext, on: processor),
            on: processor)
    }

    /// Both world switches around the run loop.
    @inline(__always)
    private func switchAndRun(
        _ guest: inout RunningGuest, _ arguments: RunArguments, _ cpu: Int, _ data: Address<HypervisorVirtual>,
        _ frame: inout HostFrame, on processor: P
    ) -> LeftState {
        complete(arguments, guest.vcpu, on: processor)
        // From here to the way back a panic has no host to return to.
        processor.store64(data.advanced(by: UInt64(MARTLET_PERCPU_HAS_HOST)), 0)
        let groups = groups
        let profiling = groups.isDisjoint(with: .recording) ? nil : ProfilingControls(stoppedOn: processor, groups)
        let counters = PerformanceCounters(stoppedOn: processor, groups, for: guest.kind(on: processor))
        loadGuest(guest, cpu, data, on: processor)
        loadInterruptInterface(arguments, guest.vcpu, &frame, on: processor)
        if arguments.request.contains(.injectExternalAbort) { injectPendingAbort(guest.vcpu, on: processor) }
        while true {
            let exception = processor.enterGuest(guest.vcpu.base)
            if !P.answersQuickly, exception == .synchronous {
                switch QuickAnswers.answer(guest.vcpu.base, syndrome: processor.read(.esrEL2), on: processor) {
                case .none: break
                case .answered: continue
                case .steppedOver:
                    guest.vcpu.skipInstruction(on: processor)
                    continue
                }
            }
            // The state that an exception left must be one that a guest may be in, or it has used
            // AArch32 at EL0; nothing of that is answered.
            if guest.vcpu.state(on: processor).isAArch32, !isWithout(.aarch32Ends) {
                turnOff(guest.vcpu, on: processor)
                _ = unsupported(&guest, 0, on: processor)
                break
            }
            if exception != .synchronous {
                leave(&guest, by: exception, on: processor)
                break
            }
            if answer(&guest, data, on: processor) == .leaves { break }
            // Another vCPU has ended the VM meanwhile.
            if guest.vcpu.power(on: processor) == .off {
                _ = guest.leave(.cpuOff)
                break
            }
        }
        let interface = storeInterruptInterface(arguments, guest.vcpu, &frame, on: processor)
        if guest.hasVectors, !isWithout(.hostVectorsComeBack) { restoreHostVectors(guest.vcpu, data, on: processor) }
        let timer = loadHost(guest, data, on: processor)
        counters.resume(on: processor, groups, after: guest.kind(on: processor))
        profiling?.resume(on: processor, groups)
        // Any value but zero will do.
        processor.store64(data.advanced(by: UInt64(MARTLET_PERCPU_HAS_HOST)), data.rawValue)
        return LeftState(interface: interface, timer: timer)
    }

    /// What the host is told of an exception that is not the guest's doing.
    private func leave(_ guest: inout RunningGuest, by exception: GuestExit, on processor: P) {
        if exception == .interrupt {
            _ = guest.leave(.interrupt)
        } else {
            _ = unsupported(&guest, 0x2F << 26, on: processor)
        }
    }

    /// The guest did what nobody emulates.
    @inline(never)
    func unsupported(_ guest: inout RunningGuest, _ syndrome: UInt64, on processor: P) -> GuestTrapOutcome {
        guest.leave(.unsupported, syndrome, processor.read(.farEL2), guest.vcpu.programCounter(on: processor))
    }

    /// The vCPU does not run again by itself.
    @inline(never)
    func turnOff(_ vcpu: VCPUPage, on processor: P) {
        memory.withLock(on: processor) { _ in
            vcpu.store(.power, VCPUPage.Power.off.rawValue, on: processor)
        }
    }
}
