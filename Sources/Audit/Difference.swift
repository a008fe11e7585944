// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What is found to be wrong, in few characters: a panic record has room for 64.

/// The hypervisor did, or holds, what the specification does not allow.
public struct Difference: Error, Equatable, CustomStringConvertible, Sendable {
    /// Which page, and what differs.
    public let description: String

    init(_ description: String) { self.description = description }

    /// Something about a page.
    init(_ what: String, _ page: UInt64) { description = "\(what) 0x\(String(page, radix: 16))" }
}
