// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The distribution's tools on this machine: which are needed, which are missing, and
// installing them after saying so. Nothing is written to apt's configuration.

import Foundation
import Glibc
import Subprocess
import SystemPackage

/// A package that the lab needs installed on this machine.
public struct NeededTool: Equatable, Sendable {
    /// The package's name.
    public let package: String
    /// The oldest version that will do; nil when any will.
    public let minimum: DebianVersion?
    /// What it is for, in a few words.
    public let purpose: String
}

/// Prepares the machine.
public enum MachineSetup {
    /// Everything that is needed on the machine besides Swift.
    public static let needed: [NeededTool] = [
        // Older versions lack what the reference machine needs.
        NeededTool(package: "qemu-system-arm", minimum: DebianVersion("1:10.0"), purpose: "runs the arm64 machines"),
        NeededTool(package: "qemu-efi-aarch64", minimum: nil, purpose: "UEFI firmware for them"),
        NeededTool(package: "gcc-aarch64-linux-gnu", minimum: nil, purpose: "compiles the kernel module's C"),
        NeededTool(package: "libc6-dev-arm64-cross", minimum: nil, purpose: "C library of the static arm64 programs"),
        NeededTool(package: "device-tree-compiler", minimum: nil, purpose: "edits device trees"),
        NeededTool(package: "make", minimum: nil, purpose: "drives the kernel's build system"),
        NeededTool(package: "xz-utils", minimum: nil, purpose: "unpacks kernel modules"),
        NeededTool(package: "ca-certificates", minimum: nil, purpose: "lets apt use https sources"),
    ]

    /// The needed packages that are not installed, or too old.
    public static func missing() async throws -> [NeededTool] {
        let output = try await Tool(
            "dpkg-query", ["-W", "-f=${Package}\t${db:Status-Status}\t${Version}\n"] + needed.map(\.package)
        ).capture(.anyStatus)
        return missing(needed, status: output)
    }

    /// The decision behind ``missing()``, on dpkg-query's output.
    static func missing(_ needed: [NeededTool], status: String) -> [NeededTool] {
        var installed: [String: DebianVersion] = [:]
        for line in status.split(separator: "\n") {
            let columns = line.split(separator: "\t").map(String.init)
            guard columns.count == 3, columns[1] == "installed" else { continue }
            installed[columns[0]] = DebianVersion(columns[2])
        }
        return needed.filter { tool in
            guard let version = installed[tool.package] else { return true }
            return tool.minimum.map { version < $0 } ?? false
        }
    }

    /// Installs what is missing, after saying what.
    ///
    /// - Throws: ``LabError/needsRoot(packages:)`` when it may not, and
    ///   ``LabError/unsupportedMachine(_:)`` when it does not know how.
    public static func install(_ workspace: Workspace) async throws {
        let missing = try await missing()
        guard !missing.isEmpty else { return }
        Progress.say("These Debian packages are missing on this machine and will now be installed:")
        for tool in missing {
            let version = tool.minimum.map { " (\($0) or newer)" } ?? ""
            Progress.say("  \(tool.package)\(version): \(tool.purpose)")
        }
        let release = try DebianRelease.ofThisMachine()
        let prefix = try privilege(for: missing)

        let root = AptRoot(workspace: workspace, purpose: .tools)
        let sources = try AptSources.derive(from: try AptSources.ofThisMachine(), release: release, for: .tools)
        try await Progress.step("fetching package lists") {
            try await root.update(sources: sources, log: workspace.logs.appending("tools-update.log"))
        }
        // Backports are opt-in: only what has to be newer than the release comes from there.
        let offers = try await root.offers(missing.map(\.package))
        let fromRelease = missing.filter { tool in
            offers.contains { $0.name == tool.package && !$0.isBackport && $0.version >= tool.minimum ?? $0.version }
        }
        let fromBackports = missing.filter { !fromRelease.contains($0) }
        let install = prefix + ["apt-get"] + root.options + ["install", "--yes", "--no-install-recommends"]
        for (tools, target) in [(fromRelease, []), (fromBackports, ["-t", release.backports])] where !tools.isEmpty {
            let names = tools.map(\.package)
            let command = install + target + names
            try await Progress.step("installing \(names.joined(separator: " "))") {
                try await Tool(
                    command[0], Array(command.dropFirst()),
                    environment: ["DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"]
                ).run(log: workspace.logs.appending("tools-install.log"))
            }
        }
        let still = try await Self.missing()
        guard still.isEmpty else {
            throw LabError.packageUnavailable(
                still.map { "\($0.package) in the version needed" }.joined(separator: ", "))
        }
    }

    /// The words to put before a command that needs to be root.
    private static func privilege(for tools: [NeededTool]) throws(LabError) -> [String] {
        if geteuid() == 0 { return [] }
        // The variable has to survive sudo, or a package may stop to ask a question.
        if Tool.find("sudo") != nil { return ["sudo", "--preserve-env=DEBIAN_FRONTEND,LC_ALL"] }
        throw .needsRoot(packages: tools.map(\.package))
    }
}

extension OfferedPackage {
    /// Whether this is a rebuild of a newer release's package.
    public var isBackport: Bool { version.description.contains("~bpo") }
}
