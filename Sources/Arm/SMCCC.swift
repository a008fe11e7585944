// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The SMC calling convention (DEN0028): how a function identifier is put together, the
// architecture calls, and what a call takes and returns.

/// A 32-bit SMCCC function identifier.
public struct FunctionID: Hashable, Sendable {
    /// The identifier.
    public let rawValue: UInt32

    /// From the identifier, or from the registers of a call.
    @inlinable
    public init(_ rawValue: UInt32) { self.rawValue = rawValue }

    /// From a register: the upper half is ignored, and so is the SVE hint (bit 16, SMCCC 1.3),
    /// which only says that the caller keeps no live SVE state.
    @inlinable
    public init(register: UInt64) {
        rawValue = UInt32(truncatingIfNeeded: register) & ~(1 << 16)
    }

    /// The bits of a register that an argument has: a 32-bit call's arguments are W registers, and
    /// what stands above them means nothing (DEN0028, section 3.1).
    @inlinable
    public var argumentMask: UInt64 { rawValue & (1 << 30) != 0 ? ~0 : 0xFFFF_FFFF }

    // Arm Architecture Calls.
    /// SMCCC_VERSION.
    public static let version = FunctionID(0x8000_0000)
    /// SMCCC_ARCH_FEATURES.
    public static let archFeatures = FunctionID(0x8000_0001)
    /// SMCCC_ARCH_SOC_ID.
    public static let socID = FunctionID(0x8000_0002)
    /// SMCCC_ARCH_WORKAROUND_1, against Spectre v2.
    public static let workaround1 = FunctionID(0x8000_8000)
    /// SMCCC_ARCH_WORKAROUND_2, against Spectre v4.
    public static let workaround2 = FunctionID(0x8000_7FFF)
    /// SMCCC_ARCH_WORKAROUND_3, against branch history injection.
    public static let workaround3 = FunctionID(0x8000_3FFF)

    // True Random Number Generator Firmware Interface (DEN0098).
    /// TRNG_VERSION.
    public static let trngVersion = FunctionID(0x8400_0050)
    /// TRNG_FEATURES.
    public static let trngFeatures = FunctionID(0x8400_0051)
    /// TRNG_GET_UUID.
    public static let trngGetUUID = FunctionID(0x8400_0052)
    /// TRNG_RND32.
    public static let trngRandom32 = FunctionID(0x8400_0053)
    /// TRNG_RND64.
    public static let trngRandom64 = FunctionID(0xC400_0053)
}

/// Results that SMCCC itself defines.
public enum SMCCCStatus {
    /// Done.
    public static let success: UInt64 = 0
    /// -1 as a 64-bit value.
    public static let notSupported: UInt64 = ~0
    /// -3 as a 64-bit value.
    public static let invalidParameter: UInt64 = ~2
}

/// `x0`…`x3` of a call to firmware, before or after it.
public struct FirmwareRegisters: Equatable, Sendable {
    /// Function or status.
    public var x0: UInt64
    /// First argument or result.
    public var x1: UInt64
    /// Second argument or result.
    public var x2: UInt64
    /// Third argument or result.
    public var x3: UInt64

    /// From the identifier, or from the registers of a call.
    @inlinable
    public init(_ x0: UInt64, _ x1: UInt64 = 0, _ x2: UInt64 = 0, _ x3: UInt64 = 0) {
        self.x0 = x0
        self.x1 = x1
        self.x2 = x2
        self.x3 = x3
    }

    /// From the identifier, or from the registers of a call.
    @inlinable
    public init(_ function: FunctionID, _ x1: UInt64 = 0, _ x2: UInt64 = 0, _ x3: UInt64 = 0) {
        self.init(UInt64(function.rawValue), x1, x2, x3)
    }
}
