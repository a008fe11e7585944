// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Running a vCPU: claiming it, the world switch there and back, and the loop over exits that EL2
// answers itself.

import Arm
import CBootProtocol
import HypervisorInterface
import Machine

/// What the host hands over with a run, copied from its registers once.
struct RunArguments {
    let request: RunRequest
    let listRegisters: UInt64
    let completion: UInt64
    let interface: InterfaceControl
    var lists: InlineArray<4, UInt64>
}

/// What an exit tells the host. Every field that an exit does not use is zero.
struct RunReport {
    var exit: RunExit
    var x2: UInt64 = 0
    var x3: UInt64 = 0
    var x4: UInt64 = 0
    /// ICH_HCR_EL2.EOIcount.
    var endCount: UInt64 = 0

    init(_ exit: RunExit, _ x2: UInt64 = 0, _ x3: UInt64 = 0, _ x4: UInt64 = 0) {
        self.exit = exit
        self.x2 = x2
        self.x3 = x3
        self.x4 = x4
    }
}

/// A vCPU that this CPU has claimed, and all that its run needs of its VM.
struct RunningGuest {
    let handle: VMHandle
    let vm: VMPage
    let index: UInt64
    let vcpu: VCPUPage
    let table: PageTable<Stage2Attributes>
    let counterOffset: UInt64
    let kind: VMKind
    /// What the vCPU is doing at the beginning of the run.
    let power: VCPUPage.Power
    /// Whether its vector registers are loaded.
    var hasVectors = false
}

extension Hypervisor {
    /// `HostCall.runVCPU`: x0…x11 of the frame become the answer.
    func run(_ cpu: Int, _ frame: inout HostFrame, on processor: P) throws(CallStatus) {
        guard let handle = VMHandle(alleged: frame.x[1]) else { throw .notFound }
        let bits = frame.x[3]
        let arguments = RunArguments(
            request: RunRequest(rawValue: bits & 0xFF), listRegisters: (bits >> 8) & 0xF,
            completion: frame.x[4], interface: InterfaceControl(rawValue: bits >> 16),
            lists: [frame.x[5], frame.x[6], frame.x[7], frame.x[8]])
        guard bits & 0xF0FC == 0, bits >> 32 == 0, arguments.listRegisters <= HostCall.listRegisters,
            arguments.interface.isSubset(of: .all)
        else { throw .invalidParameter }
        // A guest must not inherit streaming mode; a kernel is never in it when it calls.
        if features.hasSME, processor.read(.svcr) & 1 != 0 { throw .denied }
        let index = frame.x[2]
        var guest = try memory.withLock(on: processor) { state throws(CallStatus) in
            try state.claim(handle, index: index, cpu: cpu, on: processor)
        }
        var report: RunReport
        if guest.power == .off {
            report = RunReport(.cpuOff)
        } else {
            report = switchAndRun(&guest, arguments, cpu, &frame, on: processor)
        }
        // The vCPU's page is another's as soon as the claim ends.
        let interface = guest.vcpu.load(.vmcr, on: processor)
        let timer = guest.vcpu.load(.timerControl, on: processor)
        let compare = guest.vcpu.load(.timerCompare, on: processor) &+ guest.counterOffset
        let isOver = report.exit.endsMachine || (guest.kind == .protected && report.exit.endsGuest)
        memory.withLock(on: processor) { state in
            if isOver { guest.vm.end(on: processor) }
            state.release(guest, on: processor)
            state.exits.add(report.exit)
        }
        if guest.kind == .protected, report.exit == .unsupported {
            // Where it happened and why is the guest's own.
            (report.x2, report.x3, report.x4) = (0, 0, 0)
        }
        frame.x[1] = report.exit.rawValue
        frame.x[2] = report.x2
        frame.x[3] = report.x3
        frame.x[4] = report.x4
        frame.x[9] = interface | report.endCount << 32
        // A protected guest's timer concerns the host when the vCPU waits for it; otherwise only
        // whether it fires, which the physical interrupt says too.
        let showsTimer = guest.kind == .normal || report.exit == .waitForInterrupt
        frame.x[10] = showsTimer ? timer : timer & 7 == 5 ? 5 : 0
        frame.x[11] = showsTimer ? compare : 0
    }

    /// Both world switches around the run loop.
    private func switchAndRun(
        _ guest: inout RunningGuest, _ arguments: RunArguments, _ cpu: Int, _ frame: inout HostFrame,
        on processor: P
    ) -> RunReport {
        let vcpu = guest.vcpu
        if guest.power == .starting {
            vcpu.reset(
                entry: vcpu.load(.startEntry, on: processor), context: vcpu.load(.startContext, on: processor),
                on: processor)
        }
        let abort = complete(arguments, vcpu, on: processor)
        // From here to the way back a panic has no host to return to.
        let data = HypervisorAddressSpace.identity(boot.dataPage(of: cpu))
        processor.store64(data.advanced(by: UInt64(MARTLET_PERCPU_HAS_HOST)), 0)
        let profiling = ProfilingControls(stoppedOn: processor, features, for: guest.kind)
        loadGuest(guest, cpu, data, on: processor)
        var interface = loadInterruptInterface(arguments, vcpu, on: processor)
        if let abort { injectExternalAbort(abort, vcpu, on: processor) }
        var report: RunReport?
        while report == nil {
            let exception = processor.enterGuest(vcpu.base)
            // The state that an exception left must be one that a guest may be in, or it has used
            // AArch32 at EL0; nothing of that is answered.
            let isForeign = vcpu.state(on: processor).mode == .aarch32
            switch exception {
            case .interrupt: report = RunReport(.interrupt)
            case .systemError: report = RunReport(.unsupported, 0x2F << 26)
            case .synchronous: if !isForeign { report = answer(&guest, data, on: processor) }
            }
            if isForeign {
                report = RunReport(.unsupported, 0)
                memory.withLock(on: processor) { _ in
                    vcpu.store(.power, VCPUPage.Power.off.rawValue, on: processor)
                }
            }
            // Another vCPU has ended the VM meanwhile.
            if report == nil, vcpu.power(on: processor) == .off { report = RunReport(.cpuOff) }
            if report?.exit == .unsupported {
                report?.x3 = processor.read(.farEL2)
                report?.x4 = vcpu.programCounter(on: processor)
            }
        }
        storeInterruptInterface(&interface, vcpu, on: processor)
        if guest.hasVectors { restoreHostVectors(vcpu, data, on: processor) }
        loadHost(guest, data, on: processor)
        profiling.resume(on: processor, features, after: guest.kind)
        processor.store64(data.advanced(by: UInt64(MARTLET_PERCPU_HAS_HOST)), 1)
        for index in 0..<4 { frame.x[5 &+ index] = interface.lists[index] }
        var answer = report ?? RunReport(.interrupt)
        answer.endCount = interface.endCount
        return answer
    }

    /// Saves the host's EL1 state and loads the guest's, in the order that keeps speculative
    /// walks from mixing the two (Cortex-A72 erratum 1319367 and its kin).
    private func loadGuest(
        _ guest: RunningGuest, _ cpu: Int, _ data: Address<HypervisorVirtual>, on processor: P
    ) {
        let host = data.advanced(by: UInt64(MARTLET_PERCPU_HOST_CONTEXT))
        let context = guest.vcpu.address(.context)
        WorldSwitch.save(to: host, features: features, on: processor)
        // With the MMU on and no walks, speculation finds nothing to combine.
        processor.write(.sctlrEL1, processor.read(.sctlrEL1) | 1)
        processor.write(.tcrEL1, processor.read(.tcrEL1) | WorldSwitch.noWalks)
        processor.barrier(.contextSynchronisation)
        WorldSwitch.restoreBody(from: context, features: features, on: processor)
        let controls = GuestControls(
            features: features, geometry: guest.table.geometry, mdcr: snapshot.mdcr)
        processor.write(.vtcrEL2, controls.vtcr)
        processor.write(.vttbrEL2, Stage2Base.bits(root: guest.table.root, vmid: guest.handle.vmid))
        processor.barrier(.contextSynchronisation)
        // Two vCPUs have translations of their own under one VMID, and this CPU's TLB cannot tell
        // whose they are.
        if guest.vm.load(.lastRan, at: UInt64(truncatingIfNeeded: cpu), on: processor) != guest.index &+ 1 {
            processor.invalidateLocalGuest()
            guest.vm.store(.lastRan, at: UInt64(truncatingIfNeeded: cpu), guest.index &+ 1, on: processor)
        }
        processor.write(.hcrEL2, controls.hcr)
        processor.write(.cptrEL2, controls.cptr)
        processor.write(.mdcrEL2, controls.mdcr)
        processor.write(.hstrEL2, 1 << 15)
        if features.hasHCRX { processor.write(.hcrxEL2, 0) }
        if features.hasFineGrainedTraps { closeFineGrainedTraps(on: processor) }
        if features.hasMPAM { processor.write(.mpam2EL2, snapshot.mpam | 3 << 48) }
        if features.hasRAS { processor.write(.vdisrEL2, 0) }
        processor.write(.vmpidrEL2, 1 << 31 | guest.vcpu.load(.affinity, on: processor))
        processor.write(.vbarEL2, processor.guestVectors(mitigation))
        // EL1 reads the counter; the physical timer traps.
        processor.write(.cnthctlEL2, 1)
        processor.write(.cntvCtlEL0, 0)
        processor.write(.cntvoffEL2, guest.counterOffset)
        processor.write(.cntvCvalEL0, guest.vcpu.load(.timerCompare, on: processor))
        processor.write(.cntvCtlEL0, guest.vcpu.load(.timerControl, on: processor) & 3)
        processor.barrier(.contextSynchronisation)
        processor.write(.sctlrEL1, WorldSwitch.word(.sctlr, of: context, on: processor))
        processor.barrier(.contextSynchronisation)
        processor.write(.tcrEL1, WorldSwitch.word(.tcr, of: context, on: processor))
    }

    /// The way back. On return EL1 and EL0 hold nothing of the guest.
    private func loadHost(
        _ guest: RunningGuest, _ data: Address<HypervisorVirtual>, on processor: P
    ) {
        let host = data.advanced(by: UInt64(MARTLET_PERCPU_HOST_CONTEXT))
        WorldSwitch.save(to: guest.vcpu.address(.context), features: features, on: processor)
        storeTimer(guest, on: processor)
        processor.write(.tcrEL1, processor.read(.tcrEL1) | WorldSwitch.noWalks)
        processor.barrier(.contextSynchronisation)
        processor.write(.sctlrEL1, processor.read(.sctlrEL1) | 1)
        processor.barrier(.contextSynchronisation)
        snapshot.replayForHost(on: processor)
        processor.write(.vbarEL2, processor.hostVectors(mitigation))
        useHostTable(on: processor)
        processor.write(.vmpidrEL2, processor.read(.mpidrEL1))
        WorldSwitch.restoreBody(from: host, features: features, on: processor)
        processor.barrier(.contextSynchronisation)
        processor.write(.sctlrEL1, WorldSwitch.word(.sctlr, of: host, on: processor))
        processor.barrier(.contextSynchronisation)
        processor.write(.tcrEL1, WorldSwitch.word(.tcr, of: host, on: processor))
    }

    /// Keeps the guest's timer; leaves the host the one bit that it needs of it, whether it fires.
    private func storeTimer(_ guest: RunningGuest, on processor: P) {
        let control = processor.read(.cntvCtlEL0)
        guest.vcpu.store(.timerControl, control, on: processor)
        guest.vcpu.store(.timerCompare, processor.read(.cntvCvalEL0), on: processor)
        // ENABLE and ISTATUS without IMASK: the interrupt is asserted, and stays so for the host's
        // handler, with a compare value that says nothing.
        let fires = control & 7 == 5
        processor.write(.cntvCtlEL0, 0)
        processor.write(.cntvCvalEL0, 0)
        if fires { processor.write(.cntvCtlEL0, 1) }
    }

    /// Traps every register of the features that guests don't have: the bits that trap when they
    /// are zero, and none of the others.
    private func closeFineGrainedTraps(on processor: P) {
        processor.write(.hfgrtrEL2, 0)
        processor.write(.hfgwtrEL2, 0)
        processor.write(.hfgitrEL2, 0)
        processor.write(.hdfgrtrEL2, 0)
        processor.write(.hdfgwtrEL2, 0)
        if features.hasActivityMonitorTraps { processor.write(.hafgrtrEL2, 0) }
    }
}

extension MemoryState {
    /// Claims a vCPU for this CPU.
    mutating func claim(
        _ handle: VMHandle, index: UInt64, cpu: Int, on processor: some Processor
    ) throws(CallStatus) -> RunningGuest {
        let vm = try activeVM(handle, on: processor)
        guard let vcpu = vm.vcpu(index, on: processor), let table = vm.table(on: processor) else { throw .notFound }
        guard vcpu.load(.runner, on: processor) == 0 else { throw .busy }
        vcpu.store(.runner, UInt64(truncatingIfNeeded: cpu) &+ 1, on: processor)
        vm.store(.running, vm.load(.running, on: processor) &+ 1, on: processor)
        vm.store(.hasRun, 1, on: processor)
        let power: VCPUPage.Power = vm.load(.isOver, on: processor) == 0 ? vcpu.power(on: processor) : .off
        if power == .starting { vcpu.store(.power, VCPUPage.Power.on.rawValue, on: processor) }
        return RunningGuest(
            handle: handle, vm: vm, index: index, vcpu: vcpu, table: table,
            counterOffset: vm.load(.counterOffset, on: processor), kind: vm.kind(on: processor), power: power)
    }

    /// Ends a claim.
    mutating func release(_ guest: RunningGuest, on processor: some Processor) {
        guest.vcpu.store(.runner, 0, on: processor)
        guest.vm.store(.running, guest.vm.load(.running, on: processor) &- 1, on: processor)
    }
}
