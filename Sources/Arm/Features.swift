// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What the CPU can do, decoded once from its identification registers (DDI 0487, D24.2) and
// handed to code that must not touch a register that isn't there.

/// Features of a CPU, as far as this hypervisor cares.
public struct CPUFeatures: Equatable, Sendable {
    /// Bits of a physical address, 32…52.
    public let physicalAddressBits: UInt64
    /// 16-bit VMIDs (FEAT_VMID16).
    public let hasVMID16: Bool
    /// FEAT_VHE: HCR_EL2.E2H.
    public let hasVHE: Bool
    /// FEAT_PAN.
    public let hasPAN: Bool
    /// FEAT_SSBS.
    public let hasSSBS: Bool
    /// FEAT_MTE2: tags in memory.
    public let hasMTE: Bool
    /// FEAT_NMI.
    public let hasNMI: Bool
    /// FEAT_SVE.
    public let hasSVE: Bool
    /// FEAT_SME.
    public let hasSME: Bool
    /// FEAT_RAS.
    public let hasRAS: Bool
    /// FEAT_PAuth, with any algorithm.
    public let hasPointerAuthentication: Bool
    /// FEAT_FGT: HFGRTR_EL2 and its companions.
    public let hasFineGrainedTraps: Bool
    /// FEAT_AMUv1 with FGT: HAFGRTR_EL2.
    public let hasActivityMonitorTraps: Bool
    /// FEAT_HCX: HCRX_EL2.
    public let hasHCRX: Bool
    /// FEAT_MPAM.
    public let hasMPAM: Bool
    /// FEAT_RNG: RNDR.
    public let hasRandomNumbers: Bool
    /// FEAT_SPE: PMSCR_EL1.
    public let hasStatisticalProfiling: Bool
    /// FEAT_PMUv3: PMCR_EL0. Registers of a PMU of another kind are nobody's (HCR_EL2.TIDCP).
    public let hasPerformanceCounters: Bool
    /// FEAT_TRF: TRFCR_EL1.
    public let hasTraceFilter: Bool
    /// FEAT_BRBE: BRBCR_EL1.
    public let hasBranchRecords: Bool
    /// ID_AA64PFR0_EL1.GIC is not zero: the GIC has a system register interface.
    public let hasGICSystemRegisters: Bool
    /// FEAT_CSV2: branch predictions of one context do not steer another.
    public let isFreeOfSpectreV2: Bool
    /// FEAT_ECBHB: exceptions already clear the branch history.
    public let clearsBranchHistoryOnException: Bool
    /// FEAT_CLRBHB: the CLRBHB instruction.
    public let hasClearBranchHistory: Bool
    /// Stage-1 granule of 4 KiB is there (ID_AA64MMFR0_EL1.TGran4 and TGran4_2).
    public let hasGranule4K: Bool
    /// FEAT_S2FWB: a stage-2 can make memory write-back, whatever stage-1 says.
    public let hasForcedWriteBack: Bool
    /// Whether a fetch finds what data accesses have left in the caches: a stage-2 forces write-back, and nothing has to
    /// be cleaned to the point of unification (CTR_EL0.IDC).
    public let fetchesFindData: Bool
    /// Whether any of AFSR0_EL1, AFSR1_EL1 and AMAIR_EL1 is implemented. On most CPUs they are RES0.
    public let hasAuxiliaryRegisters: Bool

    /// Values of the identification registers, by name.
    public struct Registers: Equatable, Sendable {
        /// ID_AA64PFR0_EL1.
        public var pfr0: UInt64 = 0
        /// ID_AA64PFR1_EL1.
        public var pfr1: UInt64 = 0
        /// ID_AA64DFR0_EL1.
        public var dfr0: UInt64 = 0
        /// ID_AA64ISAR0_EL1.
        public var isar0: UInt64 = 0
        /// ID_AA64ISAR1_EL1.
        public var isar1: UInt64 = 0
        /// ID_AA64ISAR2_EL1.
        public var isar2: UInt64 = 0
        /// ID_AA64MMFR0_EL1.
        public var mmfr0: UInt64 = 0
        /// ID_AA64MMFR1_EL1.
        public var mmfr1: UInt64 = 0
        /// ID_AA64MMFR2_EL1.
        public var mmfr2: UInt64 = 0
        /// CTR_EL0.
        public var ctr: UInt64 = 0
        /// What AFSR0_EL1, AFSR1_EL1 and AMAIR_EL1 keep of what is written to them: no register identifies that.
        public var auxiliary: UInt64 = 0

        /// All zero: a CPU without any feature.
        @inlinable
        public init() {}
    }

    /// Decodes the identification registers.
    public init(_ id: Registers) {
        func field(_ register: UInt64, _ shift: UInt64) -> UInt64 { (register >> shift) & 0xF }
        physicalAddressBits =
            switch field(id.mmfr0, 0) {
            case 0: 32
            case 1: 36
            case 2: 40
            case 3: 42
            case 4: 44
            case 5: 48
            case 6: 52
            default: 48
            }
        hasVMID16 = field(id.mmfr1, 4) == 2
        hasVHE = field(id.mmfr1, 8) != 0
        hasPAN = field(id.mmfr1, 20) != 0
        hasSSBS = field(id.pfr1, 4) != 0
        hasMTE = field(id.pfr1, 8) >= 2
        hasNMI = field(id.pfr1, 36) != 0
        hasSVE = field(id.pfr0, 32) != 0
        hasSME = field(id.pfr1, 24) != 0
        hasRAS = field(id.pfr0, 28) != 0
        hasPointerAuthentication =
            field(id.isar1, 4) != 0 || field(id.isar1, 8) != 0 || field(id.isar2, 12) != 0
        hasFineGrainedTraps = field(id.mmfr0, 56) != 0
        hasActivityMonitorTraps = field(id.mmfr0, 56) != 0 && field(id.pfr0, 44) != 0
        hasHCRX = field(id.mmfr1, 40) != 0
        hasMPAM = field(id.pfr0, 40) != 0 || field(id.pfr1, 16) != 0
        hasRandomNumbers = field(id.isar0, 60) != 0
        hasStatisticalProfiling = field(id.dfr0, 32) != 0
        hasPerformanceCounters = field(id.dfr0, 8) != 0 && field(id.dfr0, 8) != 0xF
        hasTraceFilter = field(id.dfr0, 40) != 0
        hasBranchRecords = field(id.dfr0, 52) != 0
        hasGICSystemRegisters = field(id.pfr0, 24) != 0
        isFreeOfSpectreV2 = field(id.pfr0, 56) != 0
        clearsBranchHistoryOnException = field(id.mmfr1, 60) != 0
        hasClearBranchHistory = field(id.isar2, 28) != 0
        hasGranule4K = field(id.mmfr0, 28) != 0xF
        hasForcedWriteBack = field(id.mmfr2, 40) != 0
        fetchesFindData = field(id.mmfr2, 40) != 0 && id.ctr & (1 << 28) != 0
        hasAuxiliaryRegisters = id.auxiliary != 0
    }

    /// The fields of PSTATE that exist on this CPU.
    public var processorStateFeatures: ProcessorState.Features {
        .init(hasPAN: hasPAN, hasSSBS: hasSSBS, hasMTE: hasMTE, hasNMI: hasNMI)
    }
}
