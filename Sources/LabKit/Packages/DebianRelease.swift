// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Which distribution this is, and what follows from it.

import Foundation
import SystemPackage

/// A Debian release on which the lab prepares everything by itself.
public enum DebianRelease: String, CaseIterable, Sendable {
    /// Debian 12.
    case bookworm
    /// Debian 13.
    case trixie

    /// Reads the release of this machine.
    ///
    /// - Throws: ``LabError/unsupportedMachine(_:)`` on anything but Debian 12 and 13.
    public static func ofThisMachine() throws(LabError) -> DebianRelease {
        let file = FilePath("/etc/os-release")
        guard file.exists else { throw .unsupportedMachine("it has no /etc/os-release") }
        return try DebianRelease(osRelease: file.readText())
    }

    /// Reads the text of an os-release file (os-release(5)).
    public init(osRelease text: String) throws(LabError) {
        var fields: [String: String] = [:]
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: "=", maxSplits: 1)
            guard parts.count == 2 else { continue }
            fields[String(parts[0])] = parts[1].trimmingCharacters(in: CharacterSet(charactersIn: "\"'"))
        }
        guard fields["ID"] == "debian", let codename = fields["VERSION_CODENAME"],
            let release = DebianRelease(rawValue: codename)
        else {
            throw .unsupportedMachine("it runs \(fields["PRETTY_NAME"] ?? fields["ID"] ?? "an unknown system")")
        }
        self = release
    }

    /// The suite of newer packages rebuilt for this release.
    public var backports: String { "\(rawValue)-backports" }

    /// The suite that carries the newest kernel to compare with Linux's own KVM. Debian 12 has
    /// none of its own any more, so the next release's serves: only a kernel image is unpacked.
    public var newestKernelSuite: String { "trixie-backports" }
}
