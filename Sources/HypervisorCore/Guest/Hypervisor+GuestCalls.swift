// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A guest's HVC and SMC: SMCCC and PSCI, answered here. The host hears of what it must act on.

import Arm
import HypervisorInterface
import Machine

extension Hypervisor {
    /// Answers a call.
    func guestCall(_ guest: inout RunningGuest, on processor: P) -> GuestTrapOutcome {
        let vcpu = guest.vcpu
        let function = FunctionID(register: vcpu.general(0, on: processor))
        let x1 = vcpu.general(1, on: processor) & function.argumentMask
        let x2 = vcpu.general(2, on: processor) & function.argumentMask
        let x3 = vcpu.general(3, on: processor) & function.argumentMask
        var answer = SMCCCStatus.notSupported
        var next = GuestTrapOutcome.resumes
        switch PSCIFunction(rawValue: function.rawValue) {
        case .version: answer = QuickAnswers.powerVersion
        case .features: answer = guestFeatures(FunctionID(register: x1))
        case .migrateInfoType: answer = 2  // No trusted OS that could be migrated.
        case .affinityInfo, .affinityInfo32:
            answer = guestAffinityInfo(guest, x1, x2, on: processor)
        case .cpuOn, .cpuOn32:
            let status = guestCPUOn(guest, x1, entry: x2, context: x3, on: processor)
            answer = status.register
            if status == .success, let index = index(ofAffinity: x1) { next = guest.leave(.cpuOn, index) }
        case .cpuOff:
            turnOff(vcpu, on: processor)
            next = guest.leave(.cpuOff)
        case .cpuSuspend, .cpuSuspend32:
            // A standby state: the CPU keeps everything and waits (DEN0022, section 5.4).
            answer = PSCIStatus.success.register
            next = guest.leave(.waitForInterrupt)
        // A guest that goes on after these, because its host turned it on again, hears of a failure.
        case .systemOff:
            answer = PSCIStatus.internalFailure.register
            next = guest.leave(.systemOff)
        case .systemReset, .systemReset2, .systemReset2x32:
            answer = PSCIStatus.internalFailure.register
            next = guest.leave(.systemReset)
        case .systemSuspend, .systemSuspend32, .setSuspendMode: break
        case nil:
            if let entropy = entropyCall(function, x1, on: processor) {
                vcpu.setGeneral(1, entropy.x1, on: processor)
                vcpu.setGeneral(2, entropy.x2, on: processor)
                vcpu.setGeneral(3, entropy.x3, on: processor)
                answer = entropy.x0
            }
            if function == .version { answer = QuickAnswers.conventionVersion }
            if function == .archFeatures { answer = workaround(FunctionID(register: x1)) }
            if function == .workaround1 || function == .workaround3, workaround(function) != SMCCCStatus.notSupported {
                answer = SMCCCStatus.success
            }
        }
        vcpu.setGeneral(0, answer, on: processor)
        return next
    }

    private func guestFeatures(_ function: FunctionID) -> UInt64 {
        switch PSCIFunction(rawValue: function.rawValue) {
        case .systemSuspend, .systemSuspend32, .setSuspendMode: PSCIStatus.notSupported.register
        case .some: PSCIStatus.success.register
        case nil: function == .version ? PSCIStatus.success.register : PSCIStatus.notSupported.register
        }
    }

    /// SMCCC_ARCH_FEATURES: the workaround calls that a guest needs, which EL2's own entry carries
    /// out on every trap; 1 says that this CPU is not affected.
    private func workaround(_ function: FunctionID) -> UInt64 {
        switch function {
        case .version, .archFeatures: 0
        case .workaround1: firmware.hasWorkaround1 ? 0 : features.isFreeOfSpectreV2 ? 1 : SMCCCStatus.notSupported
        case .workaround3: firmware.hasWorkaround3 ? 0 : SMCCCStatus.notSupported
        default: SMCCCStatus.notSupported
        }
    }

    /// The index of the vCPU with an affinity.
    private func index(ofAffinity argument: UInt64) -> UInt64? {
        guard Affinity(argument: argument) != nil, argument & ~0x30F == 0 else { return nil }
        return argument & 0xF | (argument >> 8 & 3) << 4
    }

    private func guestAffinityInfo(
        _ guest: borrowing RunningGuest, _ target: UInt64, _ level: UInt64, on processor: P
    ) -> UInt64 {
        guard level == 0, let index = index(ofAffinity: target) else {
            return PSCIStatus.invalidParameters.register
        }
        let vm = guest.vm
        return memory.withLock(on: processor) { _ in
            guard let vcpu = vm.vcpu(index, on: processor) else {
                return PSCIStatus.invalidParameters.register
            }
            return switch vcpu.power(on: processor) {
            case .off: AffinityInfo.off.rawValue
            case .on: AffinityInfo.on.rawValue
            case .starting: AffinityInfo.onPending.rawValue
            }
        }
    }

    /// CPU_ON: EL2 decides and remembers where the vCPU starts; the host learns that it may run it.
    private func guestCPUOn(
        _ guest: borrowing RunningGuest, _ target: UInt64, entry: UInt64, context: UInt64, on processor: P
    ) -> PSCIStatus {
        guard let index = index(ofAffinity: target) else { return .invalidParameters }
        let (vm, vcpu) = (guest.vm, guest.vcpu)
        return memory.withLock(on: processor) { _ in
            // The VM may have ended under this vCPU.
            guard vcpu.power(on: processor) != .off else { return .internalFailure }
            guard let other = vm.vcpu(index, on: processor) else { return .invalidParameters }
            switch other.power(on: processor) {
            case .on: return .alreadyOn
            case .starting: return .onPending
            case .off: break
            }
            other.store(.startEntry, entry, on: processor)
            other.store(.startContext, context, on: processor)
            other.store(.power, VCPUPage.Power.starting.rawValue, on: processor)
            return .success
        }
    }
}
