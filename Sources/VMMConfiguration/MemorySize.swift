// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The guest's memory size, as a person writes it and as the machine needs it.

/// How much RAM a guest has. Validated once, here: between 32 MiB and 1022 GiB, a multiple of 2 MiB.
public struct MemorySize: Equatable, Sendable {
    /// The size in bytes.
    public let bytes: UInt64

    /// The smallest guest: less cannot hold any distribution's kernel.
    public static let minimum: UInt64 = 32 << 20
    /// The largest guest: RAM starts at 2 GiB in an address space of 40 bits.
    public static let maximum: UInt64 = (1 << 40) - (2 << 30)
    /// Sizes are multiples of one stage-2 block, so that the whole of RAM can be mapped by blocks.
    public static let granule: UInt64 = 2 << 20
    /// What a guest gets when nothing is said.
    public static let standard = MemorySize(trusted: 512 << 20)

    private init(trusted bytes: UInt64) { self.bytes = bytes }

    /// Reads a size such as `512M`, `2G` or `524288K`. Units are powers of 1024; a bare number is bytes.
    public init(parsing text: String) throws(UsageError) {
        guard let bytes = MemorySize.bytes(in: text) else { throw .memoryNotASize(text) }
        guard bytes >= MemorySize.minimum else { throw .memoryTooSmall(text) }
        guard bytes <= MemorySize.maximum else { throw .memoryTooLarge(text) }
        guard bytes % MemorySize.granule == 0 else { throw .memoryNotWhole(text) }
        self.bytes = bytes
    }

    /// The number of bytes that `text` names; nil if it is not a size. A number too big for 64 bits counts as
    /// the largest there is, so that it is refused for being too large and not for being unreadable.
    private static func bytes(in text: String) -> UInt64? {
        var digits = 0
        var value: UInt64 = 0
        var overflow = false
        var shift: UInt64?
        for byte in text.utf8 {
            guard shift == nil else { return nil }
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                digits += 1
                let (product, carry) = value.multipliedReportingOverflow(by: 10)
                let (sum, carryAgain) = product.addingReportingOverflow(UInt64(byte - UInt8(ascii: "0")))
                overflow = overflow || carry || carryAgain
                value = sum
            case UInt8(ascii: "k"), UInt8(ascii: "K"): shift = 10
            case UInt8(ascii: "m"), UInt8(ascii: "M"): shift = 20
            case UInt8(ascii: "g"), UInt8(ascii: "G"): shift = 30
            default: return nil
            }
        }
        guard digits > 0 else { return nil }
        guard !overflow else { return .max }
        let scale = shift ?? 0
        return value > UInt64.max >> scale ? .max : value << scale
    }

    /// The size in the largest unit that divides it, such as `512 MiB`.
    public var description: String { MemorySize.describe(bytes) }

    /// Any number of bytes in the largest binary unit that divides it.
    public static func describe(_ bytes: UInt64) -> String {
        if bytes >= 1 << 30, bytes % (1 << 30) == 0 { return "\(bytes >> 30) GiB" }
        if bytes >= 1 << 20, bytes % (1 << 20) == 0 { return "\(bytes >> 20) MiB" }
        if bytes >= 1 << 10, bytes % (1 << 10) == 0 { return "\(bytes >> 10) KiB" }
        return "\(bytes) bytes"
    }
}
