// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// EL2's control registers as the kernel's own start-up code left them, so that a CPU that comes
// up through the relay looks to the host like one that it prepared itself.

public import Arm
public import Machine

/// The control registers of EL2 that decide what EL1 may do.
///
/// Taken once, on the CPU that initialises, before anything is changed. Registers of features that
/// the CPU lacks are neither read nor written.
public struct ControlSnapshot: ~Copyable, Sendable {
    private let stationary = Stationary()
    private let features: CPUFeatures
    private let values: InlineArray<18, UInt64>
    /// HCR_EL2 with the host's stage-2 and traps.
    private let hostConfiguration: UInt64

    /// The registers, each with the feature that it needs.
    private static func register(_ index: Int, _ features: CPUFeatures) -> SystemRegister? {
        switch index {
        case 0: .hcrEL2
        case 1: .cptrEL2
        case 2: .mdcrEL2
        case 3: .hstrEL2
        case 4: .cnthctlEL2
        case 5: .cntvoffEL2
        case 6: features.hasGICSystemRegisters ? .iccSreEL2 : nil
        case 7: features.hasSVE ? .zcrEL2 : nil
        case 8: features.hasSME ? .smcrEL2 : nil
        case 9: features.hasSME ? .smpriEL2 : nil
        case 10: features.hasMPAM ? .mpam2EL2 : nil
        case 11: features.hasFineGrainedTraps ? .hfgrtrEL2 : nil
        case 12: features.hasFineGrainedTraps ? .hfgwtrEL2 : nil
        case 13: features.hasFineGrainedTraps ? .hfgitrEL2 : nil
        case 14: features.hasFineGrainedTraps ? .hdfgrtrEL2 : nil
        case 15: features.hasFineGrainedTraps ? .hdfgwtrEL2 : nil
        case 16: features.hasActivityMonitorTraps ? .hafgrtrEL2 : nil
        case 17: features.hasHCRX ? .hcrxEL2 : nil
        default: nil
        }
    }

    /// Reads the registers of this CPU.
    public init(features: CPUFeatures, on processor: some Processor) {
        self.features = features
        var values = InlineArray<18, UInt64>(repeating: 0)
        for index in 0..<18 {
            if let register = Self.register(index, features) { values[index] = processor.read(register) }
        }
        hostConfiguration = HypervisorConfiguration(bits: values[0]).protectingHost().bits
        // The host's performance counters stand still at EL2 (HPMD, HCCD).
        values[2] |= 1 << 17 | 1 << 23
        // Nobody but EL2 touches ICC_SRE_EL1 (Enable), so that host and guests can have the same one.
        values[6] &= ~(1 << 3)
        self.values = values
    }

    /// Gives a CPU that has just come up the same control registers, with the host's protection.
    public func replay(on processor: some Processor) {
        for index in 1..<18 {
            if let register = Self.register(index, features) { processor.write(register, values[index]) }
        }
        if features.hasGICSystemRegisters { processor.write(.ichHcrEL2, 0) }
        // Nobody profiles, traces or records EL2.
        if features.hasStatisticalProfiling { processor.write(.pmscrEL2, 0) }
        if features.hasTraceFilter { processor.write(.trfcrEL2, 0) }
        if features.hasBranchRecords { processor.write(.brbcrEL2, 0) }
        processor.write(.vpidrEL2, processor.read(.midrEL1))
        processor.write(.vmpidrEL2, processor.read(.mpidrEL1))
        protect(on: processor)
    }

    /// The host's MDCR_EL2.
    var mdcr: UInt64 { values[2] }
    /// ZCR_EL2; 0 without SVE.
    var vectorControl: UInt64 { values[7] }
    /// MPAM2_EL2.
    var mpam: UInt64 { values[10] }

    /// Gives the host its control registers back after a guest: all that a guest's run changes.
    @inline(__always)
    func replayForHost(_ groups: RegisterGroups, on processor: some Processor) {
        let (hstr, cnthctl) = (values[3], values[4])
        let (cptr, mdcr) = (values[1], values[2])
        processor.write(.cptrEL2, cptr)
        processor.write(.mdcrEL2, mdcr)
        processor.write(.hstrEL2, hstr)
        processor.write(.cnthctlEL2, cnthctl)
        processor.write(.cntvoffEL2, values[5])
        if !groups.isDisjoint(with: .controls) { replayRareForHost(groups, on: processor) }
        processor.write(.hcrEL2, hostConfiguration)
    }

    private func replayRareForHost(_ groups: RegisterGroups, on processor: some Processor) {
        if groups.contains(.fineGrainedTraps) {
            processor.write(.hfgrtrEL2, values[11])
            processor.write(.hfgwtrEL2, values[12])
            processor.write(.hfgitrEL2, values[13])
            processor.write(.hdfgrtrEL2, values[14])
            processor.write(.hdfgwtrEL2, values[15])
            if groups.contains(.activityMonitorTraps) { processor.write(.hafgrtrEL2, values[16]) }
        }
        if groups.contains(.hcrx) { processor.write(.hcrxEL2, values[17]) }
        if groups.contains(.mpam) { processor.write(.mpam2EL2, values[10]) }
    }

    /// ICC_SRE_EL1 of the host and of guests: SRE, and DFB and DIB, which follow EL2's or EL3's.
    static var systemRegistersOnly: UInt64 { 7 }

    /// Turns the host's stage-2 and traps on. VTCR_EL2 and VTTBR_EL2 hold the host's already.
    func protect(on processor: some Processor) {
        if features.hasGICSystemRegisters {
            processor.write(.iccSreEL2, values[6])
            // SRE of EL2 allows that of EL1 (IHI 0069, ICC_SRE_EL1).
            processor.barrier(.contextSynchronisation)
            processor.write(.iccSreEL1, Self.systemRegistersOnly)
        }
        processor.write(.mdcrEL2, values[2])
        processor.write(.hcrEL2, hostConfiguration)
        // Later instructions at EL1 and EL0 are translated; the exception return would do as well,
        // but the TLB invalidation that follows must already act on this regime.
        processor.barrier(.contextSynchronisation)
    }

    /// Whether the kernel left EL2 as an nVHE kernel leaves it: E2H and TGE clear, EL1 in AArch64.
    public var isUsable: Bool {
        let hcr = values[0]
        return hcr & (1 << 34 | 1 << 27) == 0 && hcr & (1 << 31) != 0
    }
}
