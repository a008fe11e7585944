// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Registers of a normal VM's vCPU, for its host.

import Arm
import HypervisorInterface
import Machine

extension MemoryState {
    /// A vCPU that no CPU is running.
    private func idle(
        _ handle: VMHandle, _ index: UInt64, on processor: some Processor
    ) throws(CallStatus) -> (vm: VMPage, vcpu: VCPUPage) {
        let vm = try activeVM(handle, on: processor)
        guard let vcpu = vm.vcpu(index, on: processor) else { throw .notFound }
        guard vcpu.isIdle(on: processor) else { throw .busy }
        return (vm, vcpu)
    }

    /// `HostCall.resetVCPU`.
    func resetVCPU(
        _ handle: VMHandle, index: UInt64, start: VCPUStart, on processor: some Processor
    ) throws(CallStatus) {
        let (vm, vcpu) = try idle(handle, index, on: processor)
        try checkStart(start, of: index, in: vm, on: processor)
        vcpu.reset(entry: 0, context: 0, on: processor)
        vcpu.store(.power, VCPUPage.Power(start).rawValue, on: processor)
    }

    private func slot(_ index: UInt8) -> WorldSwitch.Slot? {
        switch VCPURegister.System(rawValue: index) {
        case .sctlr: .sctlr
        case .cpacr: .cpacr
        case .ttbr0: .ttbr0
        case .ttbr1: .ttbr1
        case .tcr: .tcr
        case .esr: .esr
        case .afsr0: .afsr0
        case .afsr1: .afsr1
        case .far: .far
        case .mair: .mair
        case .amair: .amair
        case .vbar: .vbar
        case .contextidr: .contextidr
        case .cntkctl: .cntkctl
        case .par: .par
        case .tpidrEL1: .tpidrEL1
        case .tpidrEL0: .tpidrEL0
        case .tpidrroEL0: .tpidrroEL0
        case .spEL1: .spEL1
        case .elr: .elr
        case .spsr: .spsr
        case .mdscr: .mdscr
        case .csselr: .csselr
        case .mpidr, nil: nil
        }
    }

    /// Where ZCR_EL1 or a part of the scalable registers is.
    private func scalablePlace(
        _ register: VCPURegister, _ vcpu: VCPUPage, on processor: some Processor
    ) throws(CallStatus) -> Address<HypervisorVirtual> {
        let length = vcpu.vectorLength(on: processor)
        guard length > 0 else { throw .notFound }
        guard case .scalable(let index) = register else { return vcpu.vectors.advanced(by: 16) }
        guard UInt64(index) < VCPURegister.scalableDoublewords(length) else { throw .invalidParameter }
        return vcpu.vectors.advanced(by: 64 &+ 8 &* UInt64(index))
    }

    /// `HostCall.getRegister`.
    func register(
        _ handle: VMHandle, _ index: UInt64, number: UInt64, on processor: some Processor
    ) throws(CallStatus) -> (low: UInt64, high: UInt64) {
        let (vm, vcpu) = try idle(handle, index, on: processor)
        guard let register = VCPURegister(number: number) else { throw .invalidParameter }
        // Whether a vCPU is off is what a run of it says.
        guard vm.kind(on: processor) == .normal || register == .power || isWithout(.registersAreHidden) else {
            throw .denied
        }
        switch register {
        case .general(let index): return (vcpu.general(UInt64(index), on: processor), 0)
        case .stackPointerEL0:
            return (vcpu.load(.context, at: UInt64(WorldSwitch.Slot.spEL0.rawValue), on: processor), 0)
        case .programCounter: return (vcpu.programCounter(on: processor), 0)
        case .processorState: return (vcpu.state(on: processor).bits, 0)
        case .fpcr: return (processor.load64(vcpu.vectors), 0)
        case .fpsr: return (processor.load64(vcpu.vectors.advanced(by: 8)), 0)
        case .timerControl: return (vcpu.load(.timerControl, on: processor), 0)
        case .timerCompare: return (vcpu.load(.timerCompare, on: processor), 0)
        case .timerCount:
            return (processor.read(.cntpctEL0) &- vm.load(.counterOffset, on: processor), 0)
        case .vectorLength: return (vcpu.vectorLength(on: processor), 0)
        case .vectorControl, .scalable:
            return (processor.load64(try scalablePlace(register, vcpu, on: processor)), 0)
        case .power:
            return (vcpu.power(on: processor) == .off ? VCPUStart.off.rawValue : VCPUStart.on.rawValue, 0)
        case .system(let index):
            if index == VCPURegister.System.mpidr.rawValue {
                return (1 << 31 | vcpu.load(.affinity, on: processor), 0)
            }
            guard let slot = slot(index) else { throw .invalidParameter }
            return (vcpu.load(.context, at: UInt64(slot.rawValue), on: processor), 0)
        case .identity(let index):
            return (vcpu.load(.identity, at: UInt64(index & 0x3F), on: processor), 0)
        case .vector(let index):
            let at = vcpu.vector(index, on: processor)
            return (processor.load64(at), processor.load64(at.advanced(by: 8)))
        }
    }

    /// Of a protected VM, the host chooses where the first vCPU starts and with which general
    /// registers, and whether a vCPU has scalable vectors, before the first run, and nothing else ever.
    private func checkInitialRegister(
        _ register: VCPURegister, _ vm: VMPage, _ index: UInt64, on processor: some Processor
    ) throws(CallStatus) {
        guard vm.load(.hasRun, on: processor) == 0 else { throw .denied }
        switch register {
        case .vectorLength: break
        case .general, .programCounter, .processorState: guard index == 0 else { throw .denied }
        default: throw .denied
        }
    }

    /// `HostCall.setRegister`.
    /// - Parameter lengths: the vector lengths that guests may have.
    func setRegister(
        _ handle: VMHandle, _ index: UInt64, number: UInt64, low: UInt64, high: UInt64, lengths: VectorLengths,
        on processor: some Processor
    ) throws(CallStatus) {
        let (vm, vcpu) = try idle(handle, index, on: processor)
        guard let register = VCPURegister(number: number) else { throw .invalidParameter }
        if vm.kind(on: processor) == .protected, !isWithout(.registersAreHidden) {
            try checkInitialRegister(register, vm, index, on: processor)
        }
        switch register {
        case .general(let index): vcpu.setGeneral(UInt64(index), low, on: processor)
        case .stackPointerEL0:
            vcpu.store(.context, at: UInt64(WorldSwitch.Slot.spEL0.rawValue), low, on: processor)
        case .programCounter: vcpu.setProgramCounter(low, on: processor)
        case .processorState:
            // EL1 or EL0 in AArch64 and nothing else: EL2 returns to this state.
            let state = ProcessorState(bits: low & 0xF3E0_13DF)
            guard low & 0x1F == state.bits & 0x1F else { throw .denied }
            if isWithout(.guestStatesAreChecked) { return vcpu.setState(state, on: processor) }
            switch state.mode {
            case .el0, .el1t, .el1h: vcpu.setState(state, on: processor)
            case .aarch32, .forbidden: throw .denied
            }
        case .fpcr: processor.store64(vcpu.vectors, low)
        case .fpsr: processor.store64(vcpu.vectors.advanced(by: 8), low)
        case .timerControl: vcpu.store(.timerControl, low & 3, on: processor)
        case .timerCompare: vcpu.store(.timerCompare, low, on: processor)
        case .timerCount: vm.store(.counterOffset, processor.read(.cntpctEL0) &- low, on: processor)
        case .vectorLength:
            guard lengths.contains(low) else { throw .invalidParameter }
            // The vectors' places follow from it.
            guard vcpu.vectorLength(on: processor) == 0 else { throw .denied }
            vcpu.store(.vectorLength, low, on: processor)
            GuestIdentity.write(to: vcpu, inputBits: vm.load(.inputBits, on: processor), on: processor)
        case .vectorControl, .scalable:
            processor.store64(try scalablePlace(register, vcpu, on: processor), low)
        case .identity: throw .denied
        case .power:
            guard let start = VCPUStart(rawValue: low) else { throw .invalidParameter }
            // One that another vCPU has just turned on still starts where that one said.
            if start == .off || vcpu.power(on: processor) == .off {
                vcpu.store(.power, VCPUPage.Power(start).rawValue, on: processor)
            }
        case .system(let index):
            guard index != VCPURegister.System.mpidr.rawValue, let slot = slot(index) else { throw .denied }
            vcpu.store(.context, at: UInt64(slot.rawValue), low, on: processor)
        case .vector(let index):
            let at = vcpu.vector(index, on: processor)
            processor.store64(at, low)
            processor.store64(at.advanced(by: 8), high)
        }
    }
}
