// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What each SMC of the host comes to: which reach firmware, which EL2 answers, and what power calls
// do to the CPUs.

/// Function identifiers, written down here a second time from DEN0022, DEN0028 and DEN0098.
public enum Function {
    /// PSCI_VERSION.
    public static let psciVersion: UInt32 = 0x8400_0000
    /// CPU_SUSPEND, 64-bit.
    public static let cpuSuspend: UInt32 = 0xC400_0001
    /// CPU_OFF.
    public static let cpuOff: UInt32 = 0x8400_0002
    /// CPU_ON, 64-bit.
    public static let cpuOn: UInt32 = 0xC400_0003
    /// AFFINITY_INFO, both widths.
    public static let affinityInfo: Set<UInt32> = [0x8400_0004, 0xC400_0004]
    /// MIGRATE_INFO_TYPE.
    public static let migrateInfoType: UInt32 = 0x8400_0006
    /// SYSTEM_OFF.
    public static let systemOff: UInt32 = 0x8400_0008
    /// SYSTEM_RESET.
    public static let systemReset: UInt32 = 0x8400_0009
    /// PSCI_FEATURES.
    public static let psciFeatures: UInt32 = 0x8400_000A
    /// SYSTEM_SUSPEND, 64-bit.
    public static let systemSuspend: UInt32 = 0xC400_000E
    /// PSCI_SET_SUSPEND_MODE.
    public static let setSuspendMode: UInt32 = 0x8400_000F
    /// SYSTEM_RESET2, both widths.
    public static let systemReset2: Set<UInt32> = [0x8400_0012, 0xC400_0012]
    /// SMCCC_VERSION.
    public static let smcccVersion: UInt32 = 0x8000_0000
    /// SMCCC_ARCH_FEATURES.
    public static let archFeatures: UInt32 = 0x8000_0001
    /// SMCCC_ARCH_SOC_ID.
    public static let socID: UInt32 = 0x8000_0002
    /// SMCCC_ARCH_WORKAROUND_1, _2 and _3.
    public static let workarounds: Set<UInt32> = [0x8000_8000, 0x8000_7FFF, 0x8000_3FFF]
    /// The true random number generator's calls.
    public static let trng: Set<UInt32> = [0x8400_0050, 0x8400_0051, 0x8400_0052, 0x8400_0053, 0xC400_0053]
}

/// What an SMC of the host may come to at firmware.
public enum FirmwareFate: Equatable, Sendable {
    /// It never reaches firmware, and the host reads NOT_SUPPORTED.
    case refused
    /// It never reaches firmware, and the host reads this.
    case answered(UInt64)
    /// Firmware gets it as it is, and the host reads firmware's answer.
    case forwarded
    /// Firmware gets SYSTEM_RESET in its place.
    case coldReset
    /// Firmware gets the call with an entry point of EL2's in place of the host's.
    case relayed
    /// EL2 answers from what it knows, or passes firmware's answer on.
    case asked
}

extension AbstractState {
    static let invalidParameters = UInt64(bitPattern: -2)
    static let alreadyOn = UInt64(bitPattern: -4)
    static let onPending = UInt64(bitPattern: -5)
    static let invalidAddress = UInt64(bitPattern: -9)

    /// What an SMC comes to.
    /// - Parameters:
    ///   - immediate: of the SMC instruction; only 0 is a call.
    ///   - offered: workaround, entropy and SoC identity calls that firmware said it has at installation.
    public func fate(of call: CallRegisters, immediate: UInt16 = 0, offered: Set<UInt32>) -> FirmwareFate {
        guard immediate == 0 else { return .refused }
        let number = UInt32(truncatingIfNeeded: call.x0) & ~0x1_0000
        switch number {
        case Function.archFeatures:
            // The answer about a call is the answer of the call.
            let asked = UInt32(truncatingIfNeeded: call.x1) & ~0x1_0000
            let isKnown = asked == Function.smcccVersion || asked == Function.archFeatures || offered.contains(asked)
            return isKnown ? .forwarded : .refused
        case Function.socID where offered.contains(Function.socID):
            return call.x1 & 0xFFFF_FFFF <= 1 ? .forwarded : .answered(UInt64(bitPattern: -3))
        case Function.smcccVersion, Function.psciVersion, Function.migrateInfoType, Function.systemOff,
            Function.systemReset, Function.setSuspendMode, Function.cpuOff:
            return .forwarded
        case Function.psciFeatures:
            return isRelayed(UInt32(truncatingIfNeeded: call.x1) & ~0x1_0000) ? .forwarded : .refused
        case let reset where Function.systemReset2.contains(reset):
            return .coldReset
        case let info where Function.affinityInfo.contains(info):
            return fateOfAffinityInfo(call)
        case Function.cpuOn:
            return fateOfCPUOn(call)
        case Function.cpuSuspend:
            return canStart(at: call.x2) ? .relayed : .answered(Self.invalidAddress)
        case Function.systemSuspend:
            return canStart(at: call.x1) ? .relayed : .answered(Self.invalidAddress)
        case let number where Function.workarounds.contains(number) || Function.trng.contains(number):
            return offered.contains(number) ? .forwarded : .refused
        default:
            return .refused
        }
    }

    private func isRelayed(_ number: UInt32) -> Bool {
        switch number {
        case Function.psciVersion, Function.cpuSuspend, Function.cpuOff, Function.cpuOn,
            Function.migrateInfoType, Function.systemOff, Function.systemReset, Function.psciFeatures,
            Function.systemSuspend, Function.setSuspendMode, Function.smcccVersion:
            true
        default:
            Function.systemReset2.contains(number) || Function.affinityInfo.contains(number)
        }
    }

    /// A CPU may start only where the host could run code: in its own RAM or firmware's.
    private func canStart(at entry: UInt64) -> Bool {
        entry & 3 == 0 && (page(entry >> 12) == .host || page(entry >> 12) == .firmware)
    }

    private func target(_ argument: UInt64) -> Int? { affinities.firstIndex(of: argument) }

    private func fateOfCPUOn(_ call: CallRegisters) -> FirmwareFate {
        // Of several errors in one call any may be reported; here the order is: a malformed
        // affinity, the address, an unknown CPU, its state.
        guard call.x1 & ~0xFF_00FF_FFFF == 0 else { return .answered(Self.invalidParameters) }
        guard canStart(at: call.x2) else { return .answered(Self.invalidAddress) }
        guard let target = target(call.x1) else { return .answered(Self.invalidParameters) }
        switch cpus[target] {
        case .on, .suspended: return .answered(Self.alreadyOn)
        case .starting: return .answered(Self.onPending)
        case .off: return .relayed
        }
    }

    private func fateOfAffinityInfo(_ call: CallRegisters) -> FirmwareFate {
        guard let target = target(call.x1), call.x2 == 0 else { return .answered(Self.invalidParameters) }
        return switch cpus[target] {
        case .on, .suspended: .answered(0)
        case .starting: .answered(2)
        case .off: .asked
        }
    }

    /// The state after a CPU_ON that firmware accepted.
    public func afterCPUOn(_ call: CallRegisters) -> AbstractState {
        var next = self
        if let target = target(call.x1) { next.cpus[target] = .starting(entry: call.x2, context: call.x3) }
        return next
    }

    /// The state after a CPU has switched itself off.
    public func afterCPUOff(_ cpu: Int) -> AbstractState {
        var next = self
        next.cpus[cpu] = .off
        return next
    }

    /// The state after a CPU has lost its power in CPU_SUSPEND or SYSTEM_SUSPEND.
    public func afterSuspend(_ cpu: Int, entry: UInt64, context: UInt64) -> AbstractState {
        var next = self
        next.cpus[cpu] = .suspended(entry: entry, context: context)
        return next
    }

    /// Where a CPU that firmware started goes on at EL1, and the state then.
    public func afterArrival(_ cpu: Int) throws(Disagreement) -> (AbstractState, entry: UInt64, context: UInt64) {
        var next = self
        next.cpus[cpu] = .on
        switch cpus[cpu] {
        case .starting(let entry, let context), .suspended(let entry, let context): return (next, entry, context)
        case .on, .off: throw Disagreement("CPU \(cpu) arrived though nobody had started it")
        }
    }
}
