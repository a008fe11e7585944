// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// KVM_GET_REG_LIST: every register that KVM_GET_ONE_REG and KVM_SET_ONE_REG know of a vCPU.

public import HypervisorInterface

/// What KVM_GET_REG_LIST lists.
public struct RegisterList: Sendable {
    private static let doubleword: UInt64 = 0x6030_0000_0010_0000
    private static let quadword: UInt64 = 0x6040_0000_0010_0000
    private static let word: UInt64 = 0x6020_0000_0010_0000
    private static let system: UInt64 = 0x6030_0000_0013_0000
    private static let scalableVector: UInt64 = 0x6080_0000_0015_0000
    private static let predicate: UInt64 = 0x6050_0000_0015_0400
    private static let vectorLengths: UInt64 = 0x6060_0000_0015_FFFF
    private static let psciVersion: UInt64 = 0x6030_0000_0014_0000

    // x0…x30, SP, PC, PSTATE, SP_EL1, ELR_EL1, SPSR[5]
    private static let general: UInt64 = 39

    private let kind: VMKind
    private let isScalable: Bool

    /// The list of a vCPU.
    public init(_ kind: VMKind, _ vectors: ScalableVectors) {
        self.kind = kind
        isScalable = vectors != .absent
    }

    /// How many identifiers there are.
    public var count: UInt64 {
        var count: UInt64 = 0
        forEach { _ in count += 1 }
        return count
    }

    /// Calls `body` with each identifier, in a fixed order: all that KVM_GET_ONE_REG gives.
    public func forEach<Failure: Error>(
        _ body: (UInt64) throws(Failure) -> Void
    ) throws(Failure) {
        guard kind == .normal else {
            try body(Self.system | SystemRegisterEncoding.mpidr.rawValue)
            try body(Self.psciVersion)
            if isScalable { try body(Self.vectorLengths) }
            return
        }
        for index in 0..<Self.general { try body(Self.doubleword | index * 2) }
        try body(Self.word | 0xD4)
        try body(Self.word | 0xD5)
        for register in VCPURegister.System.allCases {
            // SP_EL1, ELR_EL1 and SPSR_EL1 are core registers.
            if let encoding = SystemRegisterEncoding(of: register) { try body(Self.system | encoding.rawValue) }
        }
        try body(Self.system | SystemRegisterEncoding.timerControl.rawValue)
        try body(Self.system | SystemRegisterEncoding.timerCompare.rawValue)
        try body(Self.system | SystemRegisterEncoding.counter.rawValue)
        for encoding in SystemRegisterEncoding.identity { try body(Self.system | encoding) }
        try body(Self.psciVersion)
        guard isScalable else {
            for index in 0..<UInt64(32) { try body(Self.quadword | (0x54 + index * 4)) }
            return
        }
        try body(Self.vectorLengths)
        try body(Self.system | SystemRegisterEncoding.vectorControl.rawValue)
        for index in 0..<UInt64(32) { try body(Self.scalableVector | index << 5) }
        for index in 0...UInt64(16) { try body(Self.predicate + index << 5) }
    }
}
