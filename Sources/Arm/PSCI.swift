// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Power State Coordination Interface (DEN0022): function identifiers and return codes.

/// The PSCI calls that Martlet knows. Those it does not name are refused.
public enum PSCIFunction: UInt32, CaseIterable, Sendable {
    case version = 0x8400_0000
    case cpuSuspend32 = 0x8400_0001
    case cpuSuspend = 0xC400_0001
    case cpuOff = 0x8400_0002
    case cpuOn32 = 0x8400_0003
    case cpuOn = 0xC400_0003
    case affinityInfo32 = 0x8400_0004
    case affinityInfo = 0xC400_0004
    case migrateInfoType = 0x8400_0006
    case systemOff = 0x8400_0008
    case systemReset = 0x8400_0009
    case features = 0x8400_000A
    case systemSuspend32 = 0x8400_000E
    case systemSuspend = 0xC400_000E
    case setSuspendMode = 0x8400_000F
    case systemReset2x32 = 0x8400_0012
    case systemReset2 = 0xC400_0012
}

/// What a PSCI call answers in `x0` (DEN0022, section 5.2.2).
public enum PSCIStatus: Int64, Error, Sendable {
    case success = 0
    case notSupported = -1
    case invalidParameters = -2
    case denied = -3
    case alreadyOn = -4
    case onPending = -5
    case internalFailure = -6
    case notPresent = -7
    case disabled = -8
    case invalidAddress = -9

    /// The value as it stands in a register.
    @inlinable
    public var register: UInt64 { UInt64(bitPattern: rawValue) }
}

/// What AFFINITY_INFO answers for one CPU (DEN0022, section 5.7.2).
public enum AffinityInfo: UInt64, Sendable {
    case on = 0
    case off = 1
    case onPending = 2
}

/// The affinity fields of MPIDR_EL1, which name a CPU to PSCI.
public struct Affinity: Hashable, Sendable {
    /// The fields in their places.
    public let rawValue: UInt64

    /// Bits 39:32 and 23:0.
    public static let mask: UInt64 = 0xFF_00FF_FFFF

    /// From MPIDR_EL1: everything but the affinity fields is dropped.
    @inlinable
    public init(mpidr: UInt64) { rawValue = mpidr & Self.mask }

    /// From a PSCI argument: any other bit makes it invalid (DEN0022, section 5.1.4).
    @inlinable
    public init?(argument: UInt64) {
        guard argument & ~Self.mask == 0 else { return nil }
        rawValue = argument
    }
}
