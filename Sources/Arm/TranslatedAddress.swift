// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What an address translation instruction has found.

/// PAR_EL1 after an address translation instruction that succeeded (DDI 0487, PAR_EL1).
public struct TranslatedAddress: Sendable {
    /// The register.
    public let bits: UInt64

    /// Nil if the translation failed: F.
    @inline(__always)
    public init?(bits: UInt64) {
        guard bits & 1 == 0 else { return nil }
        self.bits = bits
    }

    /// PA: the page's first byte.
    @inline(__always)
    public var page: UInt64 { bits & 0x000F_FFFF_FFFF_F000 }

    /// ATTR, bits 7:4 of it: Device memory of any kind.
    @inline(__always)
    public var isDevice: Bool { bits >> 60 == 0 }
}
