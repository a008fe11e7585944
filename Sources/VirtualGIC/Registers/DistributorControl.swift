// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The registers that say what this GIC is.

/// GICD_CTLR with one security state (IHI 0069, 12.9.4).
struct DistributorControl: Equatable {
    /// EnableGrp0 and EnableGrp1, the bits that a guest writes.
    private var enables: UInt64 = 0

    private static let affinityRouting: UInt64 = 1 << 4
    private static let oneSecurityState: UInt64 = 1 << 6

    /// Neither group enabled.
    init() {}

    /// What a guest wrote.
    init(written value: UInt64) { enables = value & 3 }

    /// The register as it reads.
    var bits: UInt64 { enables | Self.affinityRouting | Self.oneSecurityState }

    /// Whether the distributor forwards interrupts of a group.
    func enables(_ group: InterruptGroup) -> Bool { enables & (group == .zero ? 1 : 2) != 0 }
}

/// Values of identification registers.
enum Identification {
    /// GICD_IIDR and GICR_IIDR (IHI 0069, 12.9.15): product 'M', revision 1; no implementer is
    /// claimed. Linux takes an all-zero value for a chip with an erratum.
    static let implementer: UInt64 = 0x4D00_1000
    /// GICD_PIDR2 and GICR_PIDR2: ArchRev is GICv3.
    static let peripheralID2: UInt64 = 0x30

    /// GICD_TYPER (IHI 0069, 12.9.38): ITLinesNumber; ten bits of INTID; no LPIs, no message-based SPIs,
    /// no range selector, no Aff3; and No1N: an SPI goes to one named vCPU.
    static func distributorType(_ shape: GICShape) -> UInt64 {
        let lines = UInt64(truncatingIfNeeded: shape.interrupts &>> 5 &- 1) & 0x1F
        return lines | 9 &<< 19 | 1 &<< 25
    }

    /// GICR_TYPER (IHI 0069, 12.11.35): affinity, processor number, Last; neither LPIs nor DPG bits.
    static func redistributorType(number: UInt32, _ position: RedistributorPosition) -> UInt64 {
        UInt64(Affinity(vcpuID: number).bits) &<< 32 | UInt64(number & 0xFFFF) &<< 8
            | (position == .last ? 1 &<< 4 : 0)
    }
}
