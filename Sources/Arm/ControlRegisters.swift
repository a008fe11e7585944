// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Values of the control registers that EL2 writes, built from named fields.

/// HCR_EL2, Hypervisor Configuration Register (DDI 0487, D24.2.60).
public struct HypervisorConfiguration: Equatable, Sendable {
    /// The register.
    public let bits: UInt64

    /// From the register.
    @inlinable
    public init(bits: UInt64) { self.bits = bits }

    /// Stage-2 translation for EL1 and EL0.
    public static let stage2Enable = HypervisorConfiguration(bits: 1 << 0)
    /// Traps SMC from EL1.
    public static let trapFirmwareCalls = HypervisorConfiguration(bits: 1 << 19)
    /// Traps IMPLEMENTATION DEFINED system registers and instructions.
    public static let trapImplementationDefined = HypervisorConfiguration(bits: 1 << 20)
    /// Traps ACTLR_EL1 and other auxiliary control registers.
    public static let trapAuxiliaryControl = HypervisorConfiguration(bits: 1 << 21)
    /// EL1 is AArch64.
    public static let lowerIsAArch64 = HypervisorConfiguration(bits: 1 << 31)

    /// Bits that hand EL2 itself, or what EL2 relies on, to someone else: TGE, E2H, NV, NV1, NV2,
    /// and routing of interrupts and aborts to EL2 (FMO, IMO, AMO), which the host does without.
    @inlinable
    static var neverForHost: UInt64 {
        1 << 27 | 1 << 34 | 1 << 42 | 1 << 43 | 1 << 45 | 1 << 3 | 1 << 4 | 1 << 5
    }

    /// What the host runs with: what the kernel's own start-up code chose, plus protection.
    @inlinable
    public func protectingHost() -> HypervisorConfiguration {
        HypervisorConfiguration(
            bits: bits & ~Self.neverForHost
                | Self.stage2Enable.bits
                | Self.trapFirmwareCalls.bits
                | Self.trapImplementationDefined.bits
                | Self.trapAuxiliaryControl.bits
                | Self.lowerIsAArch64.bits)
    }

    /// Whether all bits of the other are set.
    @inlinable
    public func contains(_ other: Self) -> Bool { bits & other.bits == other.bits }
}

/// VTCR_EL2, Virtualization Translation Control Register (DDI 0487, D24.2.189).
public enum Stage2Control {
    /// The register's value for a geometry: write-back inner-shareable walks, 4 KiB granule.
    /// - Parameters:
    ///   - physicalAddressBits: of the machine; cut to 48. Outputs may be that wide.
    ///   - hasVMID16: use 16-bit VMIDs.
    public static func bits(
        _ geometry: TranslationGeometry, physicalAddressBits: UInt64, hasVMID16: Bool
    ) -> UInt64 {
        let reserved: UInt64 = 1 << 31
        let sizeField: UInt64 =
            switch physicalAddressBits {
            case ...32: 0
            case ...36: 1
            case ...40: 2
            case ...42: 3
            case ...44: 4
            default: 5
            }
        let startField: UInt64 = geometry.rootLevel == .zero ? 2 : 1
        let innerShareable: UInt64 = 3 << 12
        let writeBack: UInt64 = 1 << 10 | 1 << 8
        return reserved
            | sizeField << 16
            | innerShareable
            | writeBack
            | startField << 6
            | (64 &- geometry.inputBits)
            | (hasVMID16 ? 1 << 19 : 0)
    }
}

/// VTTBR_EL2, Virtualization Translation Table Base Register.
public enum Stage2Base {
    /// The register's value for a root and a VMID. Bit 0 (CnP) stays clear.
    @inlinable
    public static func bits(root: Frame<HostPhysical>, vmid: UInt16) -> UInt64 {
        UInt64(vmid) << 48 | root.address.rawValue
    }
}

/// TCR_EL2 with HCR_EL2.E2H = 0 (DDI 0487, D24.2.177).
public enum Stage1Control {
    /// 48-bit input, 4 KiB granule, write-back inner-shareable walks.
    /// - Parameter physicalAddressBits: of the machine; cut to 48.
    public static func bits(physicalAddressBits: UInt64) -> UInt64 {
        let reserved: UInt64 = 1 << 31 | 1 << 23
        let sizeField: UInt64 =
            switch physicalAddressBits {
            case ...32: 0
            case ...36: 1
            case ...40: 2
            case ...42: 3
            case ...44: 4
            default: 5
            }
        return reserved | sizeField << 16 | 3 << 12 | 1 << 10 | 1 << 8 | 16
    }
}
