// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// ESR_ELx as a value (DDI 0487, D24.2.40).

/// Why an exception was taken to EL2, or is to be taken to EL1.
public struct ExceptionSyndrome: Equatable, Sendable {
    /// The register.
    public let bits: UInt64

    /// From the register, or from the fault status field.
    @inlinable
    public init(bits: UInt64) { self.bits = bits }

    /// Exception classes (ESR_ELx.EC) that this hypervisor tells apart.
    public enum Class: UInt64, Sendable {
        case unknown = 0x00
        case wfx = 0x01
        /// An access to a vector register, trapped by CPTR_EL2.TFP.
        case vectorRegisters = 0x07
        case hvc64 = 0x16
        case smc64 = 0x17
        case systemRegister = 0x18
        /// An access to a scalable vector register, trapped by CPTR_EL2.TZ.
        case scalableVectors = 0x19
        case instructionAbortLower = 0x20
        case instructionAbortSame = 0x21
        case dataAbortLower = 0x24
        case dataAbortSame = 0x25
    }

    /// The exception class, or nil if it is none of `Class`.
    @inlinable
    public var exceptionClass: Class? { Class(rawValue: (bits >> 26) & 0x3F) }

    /// The immediate of HVC or SMC.
    @inlinable
    public var immediate: UInt16 { UInt16(truncatingIfNeeded: bits) }

    /// The fault status code of an abort (DFSC or IFSC).
    @inlinable
    public var faultStatus: FaultStatus { FaultStatus(bits: bits & 0x3F) }

    /// S1PTW: the abort was on a stage-2 translation of a stage-1 table walk.
    @inlinable
    public var isOnTableWalk: Bool { bits & (1 << 7) != 0 }

    /// CM: a data abort came from cache maintenance or address translation.
    @inlinable
    public var isCacheMaintenance: Bool { bits & (1 << 8) != 0 }

    /// Whether it is a data abort of EL1 or EL0.
    @inlinable
    public var isDataAbortLower: Bool { bits >> 26 == Class.dataAbortLower.rawValue }

    /// Whether an abort is a translation fault, of any level.
    @inlinable
    public var isTranslationFault: Bool { bits & 0x3C == 0x04 }

    /// Whether an abort is a permission fault, of any level.
    @inlinable
    public var isPermissionFault: Bool { bits & 0x3C == 0x0C }

    /// Whether an abort is what a descriptor says: a translation, access flag or permission fault.
    @inlinable
    public var isTableFault: Bool { bits & 0x30 == 0 && bits & 0x0C != 0 }

    /// FnV: FAR_EL2 does not hold the address.
    @inlinable
    public var hasNoAddress: Bool { bits & (1 << 10) != 0 }

    /// A fault status code, reduced to what decides here.
    public enum FaultStatus: Equatable, Sendable {
        case translation(Level)
        case accessFlag(Level)
        case permission(Level)
        case other(UInt64)

        /// From the register, or from the fault status field.
        @inlinable
        public init(bits: UInt64) {
            let level = Level(rawValue: UInt8(truncatingIfNeeded: bits & 3)) ?? .three
            self =
                switch bits >> 2 {
                case 0b0001: .translation(level)
                case 0b0010: .accessFlag(level)
                case 0b0011: .permission(level)
                default: .other(bits)
                }
        }
    }

    /// Whether it is HVC #0 from AArch64.
    @inlinable
    public var isPlainHypervisorCall: Bool {
        let iss2IsElsewhere = UInt32(truncatingIfNeeded: bits)
        return iss2IsElsewhere & (0x3F << 26 | 0xFFFF) == UInt32(truncatingIfNeeded: Class.hvc64.rawValue) << 26
    }

    /// An exception of an unknown reason, as for an undefined instruction. IL is set.
    public static let undefined = ExceptionSyndrome(bits: 1 << 25)

    /// An abort of EL1 or EL0 with the given fault status.
    @inlinable
    public static func abort(_ kind: Class, status: UInt64) -> ExceptionSyndrome {
        ExceptionSyndrome(bits: kind.rawValue << 26 | 1 << 25 | status)
    }

    /// DFSC/IFSC of an alignment fault.
    public static let alignmentFault: UInt64 = 0x21
    /// DFSC/IFSC of a synchronous external abort, not on a table walk.
    public static let externalAbort: UInt64 = 0x10
}
