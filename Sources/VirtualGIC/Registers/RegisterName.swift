// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Which register an access means: GICD_*, GICR_* by frame and offset (IHI 0069, 12.8 to 12.11).

/// How much one access reads or writes.
public enum AccessWidth: Int, Sendable {
    case byte = 1
    case halfword = 2
    case word = 4
    case doubleword = 8
}

/// Whether another redistributor follows in memory: GICR_TYPER.Last.
public enum RedistributorPosition: Sendable {
    case followed, last
}

/// A block of the controller's registers.
public enum GICRegion: Equatable, Sendable {
    /// GICD_*: 64 KiB.
    case distributor
    /// GICR_* of one vCPU: RD_base and SGI_base, 64 KiB each.
    case redistributor(VCPUIndex, RedistributorPosition)

    /// Bytes of the distributor.
    public static let distributorSize: UInt64 = 0x1_0000
    /// Bytes of one redistributor.
    public static let redistributorSize: UInt64 = 0x2_0000
}

/// A register family that has a field for each interrupt.
enum InterruptField {
    case group
    case setEnable, clearEnable
    case setPending, clearPending
    case setActive, clearActive
    case priority
    case configuration

    /// Bits of one interrupt's field.
    var width: UInt64 {
        switch self {
        case .priority: 8
        case .configuration: 2
        case .group, .setEnable, .clearEnable, .setPending, .clearPending, .setActive, .clearActive: 1
        }
    }
}

/// Which part of a 64-bit register is meant.
enum RegisterPart {
    case whole, low, high

    /// The part's place in the low bits of a value that is read.
    func extract(_ value: UInt64) -> UInt64 {
        switch self {
        case .whole: value
        case .low: value & 0xFFFF_FFFF
        case .high: value &>> 32
        }
    }
}

/// What an access means.
enum RegisterName {
    /// GICD_CTLR.
    case control
    /// GICD_TYPER.
    case type
    /// GICD_IIDR, GICR_IIDR.
    case implementer
    /// GICD_PIDR2, GICR_PIDR2.
    case peripheralID2
    /// GICR_TYPER.
    case redistributorType(RegisterPart)
    /// `count` fields of interrupts from INTID `first` on.
    case fields(InterruptField, first: Int, count: Int)
    /// GICD_IROUTER<n>.
    case route(intid: Int, RegisterPart)
    /// Reads as zero and ignores writes: what is reserved, what belongs to options that this GIC does
    /// not have (LPIs, message-based SPIs, two security states, GICv2's registers, sleep), and
    /// accesses of a width or an alignment that the register does not allow.
    case reserved

    /// The register of an access to the distributor.
    init(distributor offset: UInt64, _ width: AccessWidth) {
        switch (offset, width) {
        case (0x0000, .word): self = .control
        case (0x0004, .word): self = .type
        case (0x0008, .word): self = .implementer
        case (0xFFE8, .word): self = .peripheralID2
        case (0x6000..<0x8000, .doubleword) where offset & 7 == 0:
            self = .route(intid: Int(truncatingIfNeeded: (offset &- 0x6000) &>> 3), .whole)
        case (0x6000..<0x8000, .word) where offset & 3 == 0:
            self = .route(
                intid: Int(truncatingIfNeeded: (offset &- 0x6000) &>> 3), offset & 4 == 0 ? .low : .high)
        default: self = RegisterName.fields(at: offset, width, from: GICShape.privateInterrupts, to: 1024)
        }
    }

    /// The register of an access to a redistributor. GICR_WAKER reads as zero, awake, and stays so: a
    /// virtual redistributor has no power to save, and a sleeping vCPU is woken by `hasDeliverable`.
    init(redistributor offset: UInt64, _ width: AccessWidth) {
        switch (offset, width) {
        case (0x0004, .word): self = .implementer
        case (0x0008, .doubleword): self = .redistributorType(.whole)
        case (0x0008, .word): self = .redistributorType(.low)
        case (0x000C, .word): self = .redistributorType(.high)
        case (0xFFE8, .word): self = .peripheralID2
        case (0x1_0000..<0x2_0000, _):
            self = RegisterName.fields(at: offset &- 0x1_0000, width, from: 0, to: GICShape.privateInterrupts)
        default: self = .reserved
        }
    }

    /// The interrupt fields at an offset, if they are those of INTIDs in `first..<end`. Distributor and
    /// redistributor arrange them alike.
    private static func fields(at offset: UInt64, _ width: AccessWidth, from first: Int, to end: Int) -> RegisterName {
        guard let (field, base) = family(at: offset) else { return .reserved }
        let bytes = UInt64(truncatingIfNeeded: width.rawValue)
        guard offset & (bytes &- 1) == 0, width == .word || (width == .byte && field == .priority) else {
            return .reserved
        }
        let intid = Int(truncatingIfNeeded: (offset &- base) &* 8 / field.width)
        guard intid >= first, intid < end else { return .reserved }
        return .fields(field, first: intid, count: Int(truncatingIfNeeded: bytes &* 8 / field.width))
    }

    private static func family(at offset: UInt64) -> (InterruptField, base: UInt64)? {
        switch offset {
        case 0x080..<0x100: (.group, 0x080)
        case 0x100..<0x180: (.setEnable, 0x100)
        case 0x180..<0x200: (.clearEnable, 0x180)
        case 0x200..<0x280: (.setPending, 0x200)
        case 0x280..<0x300: (.clearPending, 0x280)
        case 0x300..<0x380: (.setActive, 0x300)
        case 0x380..<0x400: (.clearActive, 0x380)
        case 0x400..<0x800: (.priority, 0x400)
        case 0xC00..<0xD00: (.configuration, 0xC00)
        default: nil
        }
    }
}
