// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A guest's HVC and SMC: SMCCC (DEN0028), PSCI (DEN0022) and the random numbers of DEN0098. Normal and
// protected guests hear the same; the host hears only of what it must act on.

import HypervisorInterface

/// What becomes of a guest after something that brought it to EL2.
public enum GuestNext: Equatable, Sendable {
    /// It goes on, and the host hears nothing.
    case goesOn
    /// The run ends with this.
    case leaves(RunReport)
}

extension Function {
    /// CPU_SUSPEND, 32-bit.
    public static let cpuSuspend32: UInt32 = 0x8400_0001
    /// CPU_ON, 32-bit.
    public static let cpuOn32: UInt32 = 0x8400_0003
    /// TRNG_VERSION.
    public static let randomVersion: UInt32 = 0x8400_0050
    /// TRNG_FEATURES.
    public static let randomFeatures: UInt32 = 0x8400_0051
    /// TRNG_GET_UUID.
    public static let randomUUID: UInt32 = 0x8400_0052
    /// TRNG_RND, 32-bit and 64-bit.
    public static let random32: UInt32 = 0x8400_0053
    /// TRNG_RND, 64-bit.
    public static let random64: UInt32 = 0xC400_0053

    /// What PSCI_FEATURES says is there. SYSTEM_SUSPEND and PSCI_SET_SUSPEND_MODE are not.
    static let ofGuests: Set<UInt32> = affinityInfo.union(systemReset2).union([
        psciVersion, cpuSuspend, cpuSuspend32, cpuOff, cpuOn, cpuOn32, migrateInfoType, systemOff, systemReset,
        psciFeatures, smcccVersion,
    ])
}

/// What a guest's call comes to.
private enum Outcome {
    /// It returns this.
    case answer(UInt64)
    /// It returns this in x0…x3, of which x1…x3 may be any of the values that the choices leave open.
    case choices(UInt64, [Choice])
    /// It returns this, and the run ends first.
    case leave(UInt64, RunExit, [UInt64])
}

extension AbstractState {
    private static let notSupported = UInt64(bitPattern: -1)
    private static let internalFailure = UInt64(bitPattern: -6)

    /// A guest has called.
    /// - Parameters:
    ///   - isSMC: SMC traps before it is done, and the guest goes on behind it.
    ///   - registers: the guest's registers as it calls; for HVC the PC is the next instruction's already.
    ///   - interrupts: as the guest leaves them.
    public func afterCall(
        _ name: VCPUName, isSMC: Bool, _ registers: GuestRegisters, _ interrupts: InterruptsLeft
    ) -> (AbstractState, GuestNext) {
        var next = self
        let outcome = next.perform(registers, of: name)
        next.change(name) {
            $0.registers = registers
            if isSMC { $0.registers.programCounter &+= 4 }
            switch outcome {
            case .answer(let x0), .leave(let x0, _, _): $0.registers.general[0] = x0
            case .choices(let x0, let choices):
                $0.registers.general[0] = x0
                for (index, choice) in choices.enumerated() { $0.choices[index + 1] = choice }
            }
        }
        if case .leave(_, let exit, let values) = outcome { return next.leaving(name, exit, values, interrupts) }
        return next.goingOn(name, interrupts)
    }

    private mutating func perform(_ registers: GuestRegisters, of name: VCPUName) -> Outcome {
        let function = UInt32(truncatingIfNeeded: registers.general[0]) & ~0x1_0000
        // A 32-bit call has 32-bit arguments (DEN0028, 3.1): what stands above them means nothing.
        let mask: UInt64 = function >> 30 & 1 == 1 ? ~0 : 0xFFFF_FFFF
        let (x1, x2, x3) = (registers.general[1] & mask, registers.general[2] & mask, registers.general[3] & mask)
        switch function {
        case Function.psciVersion, Function.smcccVersion: return .answer(0x1_0001)
        case Function.psciFeatures:
            let asked = UInt32(truncatingIfNeeded: x1) & ~0x1_0000
            return .answer(Function.ofGuests.contains(asked) ? 0 : Self.notSupported)
        case Function.migrateInfoType: return .answer(2)
        case let info where Function.affinityInfo.contains(info): return .answer(affinityInfo(x1, x2, of: name))
        case Function.cpuOn, Function.cpuOn32: return turnOn(x1, entry: x2, context: x3, by: name)
        case Function.cpuOff:
            change(name) { $0.power = .off }
            return .leave(Self.notSupported, .cpuOff, [])
        case Function.cpuSuspend, Function.cpuSuspend32:
            // Always a standby state, which keeps everything.
            return .leave(0, .waitForInterrupt, [])
        case Function.systemOff: return .leave(Self.internalFailure, .systemOff, [])
        case Function.systemReset: return .leave(Self.internalFailure, .systemReset, [])
        case let reset where Function.systemReset2.contains(reset):
            return .leave(Self.internalFailure, .systemReset, [])
        case Function.archFeatures: return .answer(workaround(UInt32(truncatingIfNeeded: x1) & ~0x1_0000))
        case let workaround where Function.workarounds.contains(workaround):
            // EL2's own entry has done it; where it is not offered it is not there.
            return .answer(self.workaround(workaround) == Self.notSupported ? Self.notSupported : 0)
        case let random where Function.trng.contains(random): return randomNumbers(random, x1)
        default: return .answer(Self.notSupported)
        }
    }

    /// What SMCCC_ARCH_FEATURES says: 0 for what must be called, 1 for what need not be.
    private func workaround(_ function: UInt32) -> UInt64 {
        switch function {
        case Function.smcccVersion, Function.archFeatures: 0
        case 0x8000_8000 where features.firmwareCalls.contains(function): 0
        case 0x8000_8000: features.isFreeOfSpectreV2 ? 1 : Self.notSupported
        case 0x8000_3FFF where features.firmwareCalls.contains(function): 0
        default: Self.notSupported
        }
    }

    // MARK: Power

    private func target(_ affinity: UInt64, of name: VCPUName) -> VCPUName? {
        machines[name.machine]?.vcpus.keys.map { VCPUName(name.machine, $0) }.first { $0.affinity == affinity }
    }

    private func affinityInfo(_ affinity: UInt64, _ level: UInt64, of name: VCPUName) -> UInt64 {
        guard level == 0, let target = target(affinity, of: name), let vcpu = vcpu(target) else {
            return Self.invalidParameters
        }
        return switch vcpu.power {
        case .on: 0
        case .off: 1
        case .starting: 2
        }
    }

    private mutating func turnOn(_ affinity: UInt64, entry: UInt64, context: UInt64, by name: VCPUName) -> Outcome {
        // A vCPU of a VM that has just ended turns nothing on.
        guard vcpu(name)?.power != .off else { return .answer(Self.internalFailure) }
        guard let target = target(affinity, of: name), let vcpu = vcpu(target) else {
            return .answer(Self.invalidParameters)
        }
        switch vcpu.power {
        case .on: return .answer(Self.alreadyOn)
        case .starting: return .answer(Self.onPending)
        case .off:
            change(target) { $0.power = .starting(entry: entry, context: context) }
            // The host hears which vCPU, and not where it starts.
            return .leave(0, .cpuOn, [target.index])
        }
    }

    // MARK: Random numbers

    private func randomNumbers(_ function: UInt32, _ x1: UInt64) -> Outcome {
        func of(_ fixed: UInt64...) -> [Choice] { fixed.map { Choice(free: 0, fixed: $0) } }
        switch function {
        case Function.randomVersion: return .choices(0x1_0000, of(0, 0, 0))
        case Function.randomFeatures:
            let isKnown = Function.trng.contains(UInt32(truncatingIfNeeded: x1) & ~0x1_0000)
            return .choices(isKnown ? 0 : Self.notSupported, of(0, 0, 0))
        case Function.randomUUID:
            // 7f0c5a3e-91d4-4b6e-a2f8-6d3b1c9e5072, four bytes a register, the first in the lowest place.
            return .choices(0x3E5A_0C7F, of(0x6E4B_D491, 0x3B6D_F8A2, 0x7250_9E1C))
        default:
            let wordBits: UInt64 = function == Function.random64 ? 64 : 32
            guard x1 >= 1, x1 <= 3 * wordBits else { return .choices(Self.invalidParameters, of(0, 0, 0)) }
            // x3 has the lowest bits; above the number asked for there is nothing.
            return .choices(
                0,
                [2 as UInt64, 1, 0].map { word in
                    let below = word * wordBits
                    let count = x1 > below ? min(wordBits, x1 - below) : 0
                    return Choice(free: count == 64 ? ~0 : (1 << count) - 1)
                })
        }
    }
}
