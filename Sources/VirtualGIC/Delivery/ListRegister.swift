// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The registers through which hardware delivers virtual interrupts, as values (IHI 0069, 12.4).

/// ICH_LR<n>_EL2: one interrupt that the virtual CPU interface holds.
public struct ListRegister: Equatable, Sendable {
    /// The register.
    public var bits: UInt64

    /// A register with this value.
    @inlinable
    public init(bits: UInt64) { self.bits = bits }

    /// No interrupt.
    @inlinable
    public static var empty: ListRegister { ListRegister(bits: 0) }

    static let groupOne: UInt64 = 1 << 60
    static let hardware: UInt64 = 1 << 61
    static let pending: UInt64 = 1 << 62
    static let active: UInt64 = 1 << 63
    /// With HW = 0: the end of the interrupt raises a maintenance interrupt.
    static let maintenanceOnEnd: UInt64 = 1 << 41

    /// vINTID.
    public var intid: UInt32 { UInt32(truncatingIfNeeded: bits) }
    /// pINTID, if HW is set.
    public var physical: UInt16? {
        bits & Self.hardware != 0 ? UInt16(truncatingIfNeeded: bits &>> 32 & 0x1FFF) : nil
    }
    /// The priority; 0 is the highest.
    public var priority: UInt8 { UInt8(truncatingIfNeeded: bits &>> 48) }
    /// The group.
    public var group: InterruptGroup { bits & Self.groupOne != 0 ? .one : .zero }
    /// State bit 0: pending, or pending and active.
    public var isPending: Bool { bits & Self.pending != 0 }
    /// State bit 1: active, or pending and active.
    public var isActive: Bool { bits & Self.active != 0 }
    /// Whether the guest has ended an interrupt whose end was to be told: the line is to be looked
    /// at again, and whoever waits for that end is to be told.
    public var signalsEnd: Bool {
        bits & (Self.pending | Self.active | Self.hardware) == 0 && bits & Self.maintenanceOnEnd != 0
    }
}

/// ICH_VMCR_EL2: what the guest set in its CPU interface.
public struct VirtualMachineControl: Equatable, Sendable {
    /// The register.
    public var bits: UInt64

    /// A register with this value.
    @inlinable
    public init(bits: UInt64) { self.bits = bits }

    /// Whether ICC_IGRPEN<n>_EL1 enables a group.
    public func enables(_ group: InterruptGroup) -> Bool { bits & (group == .zero ? 1 : 2) != 0 }
    /// VEOIM: whether the end of an interrupt (ICC_EOIR<n>_EL1) deactivates it, and not a write of
    /// ICC_DIR_EL1 later.
    public var deactivatesAtEnd: Bool { bits & 1 << 9 == 0 }
    /// ICC_PMR_EL1: only what is of higher priority, a smaller number, is signalled.
    public var priorityMask: UInt8 { UInt8(truncatingIfNeeded: bits &>> 24) }
}

/// ICH_HCR_EL2: when the virtual CPU interface wants to be looked after.
public struct HypervisorControl: Equatable, Sendable {
    /// The register.
    public var bits: UInt64

    /// A register with this value.
    @inlinable
    public init(bits: UInt64) { self.bits = bits }

    /// En: the virtual CPU interface works.
    public static let enabled = HypervisorControl(bits: 1 << 0)
    /// LRENPIE: maintenance once the guest has ended an interrupt that is in no list register.
    public static let onMissingEntry = HypervisorControl(bits: 1 << 2)
    /// NPIE: maintenance while no list register is pending.
    public static let onNonePending = HypervisorControl(bits: 1 << 3)
    /// VGrp0EIE: maintenance while the guest has group 0 enabled.
    public static let onGroupZeroEnabled = HypervisorControl(bits: 1 << 4)
    /// VGrp0DIE: maintenance while the guest has group 0 disabled.
    public static let onGroupZeroDisabled = HypervisorControl(bits: 1 << 5)
    /// VGrp1DIE: maintenance while the guest has group 1 disabled.
    public static let onGroupOneDisabled = HypervisorControl(bits: 1 << 7)
    /// VGrp1EIE: maintenance while the guest has group 1 enabled.
    public static let onGroupOneEnabled = HypervisorControl(bits: 1 << 6)
    /// TDIR: writes of ICC_DIR_EL1 trap, see `VirtualGIC.deactivate(_:by:)`.
    public static let trapsDeactivation = HypervisorControl(bits: 1 << 14)

    /// Whether all bits of another value are set.
    public func contains(_ other: HypervisorControl) -> Bool { bits & other.bits == other.bits }

    /// Sets all bits of another value.
    public mutating func insert(_ other: HypervisorControl) { bits |= other.bits }

    /// EOIcount: how many interrupts that are in no list register the guest has ended.
    public var endCount: Int { Int(truncatingIfNeeded: bits &>> 27 & 0x1F) }
}
