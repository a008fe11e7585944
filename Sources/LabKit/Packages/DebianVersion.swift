// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Debian's order of package versions, because "newest" is not the order of strings:
// 6.12.9 comes before 6.12.10, and a tilde sorts before nothing at all.

/// A Debian package version: `[epoch:]upstream[-revision]` (Debian Policy, section 5.6.12).
public struct DebianVersion: Comparable, Hashable, Sendable, CustomStringConvertible {
    /// The version as written.
    public let description: String
    /// The part before the colon; 0 when absent.
    public let epoch: Int
    /// The part that the program's authors number.
    public let upstream: String
    /// The part that Debian numbers; empty when absent, which sorts like `0`.
    public let revision: String

    /// Splits a version into its parts. Any string is accepted: an odd one still has an order.
    public init(_ text: String) {
        description = text
        var rest = Substring(text)
        if let colon = rest.firstIndex(of: ":"), let number = Int(rest[..<colon]) {
            epoch = number
            rest = rest[rest.index(after: colon)...]
        } else {
            epoch = 0
        }
        if let dash = rest.lastIndex(of: "-") {
            upstream = String(rest[..<dash])
            revision = String(rest[rest.index(after: dash)...])
        } else {
            upstream = String(rest)
            revision = ""
        }
    }

    /// Debian's order.
    public static func < (left: DebianVersion, right: DebianVersion) -> Bool {
        if left.epoch != right.epoch { return left.epoch < right.epoch }
        switch compare(left.upstream, right.upstream) {
        case ..<0: return true
        case 1...: return false
        default: return compare(left.revision, right.revision) < 0
        }
    }

    /// Equal when the order cannot tell them apart, however they are written.
    public static func == (left: DebianVersion, right: DebianVersion) -> Bool {
        left.epoch == right.epoch && compare(left.upstream, right.upstream) == 0
            && compare(left.revision, right.revision) == 0
    }

    /// Equal versions must hash alike, so only the epoch takes part.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(epoch)
    }

    /// Compares two parts: alternately a run of non-digits, letters before other signs and the
    /// tilde before the end, and a run of digits by value.
    private static func compare(_ left: String, _ right: String) -> Int {
        var a = Substring(left)[...]
        var b = Substring(right)[...]
        while !a.isEmpty || !b.isEmpty {
            while (a.first.map { !$0.isASCIIDigit } ?? false) || (b.first.map { !$0.isASCIIDigit } ?? false) {
                let weights = (weight(a.first), weight(b.first))
                if weights.0 != weights.1 { return weights.0 < weights.1 ? -1 : 1 }
                a = a.dropFirst()
                b = b.dropFirst()
            }
            let digits = (a.prefix { $0.isASCIIDigit }, b.prefix { $0.isASCIIDigit })
            a = a.dropFirst(digits.0.count)
            b = b.dropFirst(digits.1.count)
            // Without leading zeros a longer number is a larger one, whatever its size.
            let numbers = (digits.0.drop { $0 == "0" }, digits.1.drop { $0 == "0" })
            if numbers.0.count != numbers.1.count { return numbers.0.count < numbers.1.count ? -1 : 1 }
            if numbers.0 != numbers.1 { return numbers.0 < numbers.1 ? -1 : 1 }
        }
        return 0
    }

    private static func weight(_ sign: Character?) -> Int {
        guard let sign, !sign.isASCIIDigit else { return 0 }
        if sign == "~" { return -1 }
        let value = Int(sign.unicodeScalars.first?.value ?? 0)
        return sign.isLetter ? value : value + 256
    }
}

extension Character {
    fileprivate var isASCIIDigit: Bool { ("0"..."9").contains(self) }
}
