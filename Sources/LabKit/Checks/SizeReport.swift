// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The project in figures: what is trusted, how large it is, in which language it is written.

import SystemPackage

/// The privilege at which a folder's code runs.
public enum Privilege: String, CaseIterable, Sendable {
    case hypervisor = "EL2, trusted by a protected VM"
    case shared = "shared by several privileges"
    case module = "host EL1, untrusted"
    case userspace = "host EL0, untrusted"
    case developer = "developer's machine"
    case tests = "tests"

    /// The privilege of a folder below `Sources`; new tools need no entry.
    static func of(target: String) -> Privilege {
        switch target {
        case "CEL2", "EL2Machine", "HypervisorCore", "HypervisorImage": .hypervisor
        case "Arm", "CBootProtocol", "HypervisorInterface", "Machine": .shared
        case "CHostKernel", "HostModule", "HostModuleCore", "KVMCore", "VirtualGIC": .module
        case "CLinux", "martlet": .userspace
        case _ where target.hasPrefix("VMM"): .userspace
        default: .developer
        }
    }
}

/// Lines of code, without blank lines and comments.
public struct LineCount: Sendable {
    /// Lines by privilege and language.
    public private(set) var lines: [Privilege: [String: Int]] = [:]

    /// Counts a project's sources.
    public init(_ workspace: Workspace) throws(LabError) {
        for path in HouseRule.sources(of: workspace) {
            let parts = path.string.dropFirst(workspace.root.string.count + 1).split(separator: "/").map(String.init)
            guard parts.count > 2, let language = Self.language(of: parts[parts.count - 1]) else { continue }
            let privilege: Privilege
            switch parts[0] {
            case "Sources": privilege = .of(target: parts[1])
            case "Tests": privilege = .tests
            default: continue
            }
            lines[privilege, default: [:]][language, default: 0] += Self.count(try path.readText())
        }
    }

    static func language(of file: String) -> String? {
        switch file.split(separator: ".").last {
        case "swift": "Swift"
        case "c", "h": "C"
        case "S", "s": "assembly"
        default: nil
        }
    }

    /// Lines that are neither blank nor only a comment.
    static func count(_ text: String) -> Int {
        var count = 0
        var isInBlock = false
        for line in text.split(separator: "\n") {
            let content = line.drop { $0 == " " || $0 == "\t" }
            if isInBlock {
                isInBlock = !content.contains("*/")
            } else if content.hasPrefix("/*") {
                isInBlock = !content.contains("*/")
            } else if !content.isEmpty && !content.hasPrefix("//") {
                count += 1
            }
        }
        return count
    }

    /// The figures as a table.
    public var table: String {
        let languages = ["Swift", "C", "assembly"]
        func row(_ name: String, _ values: [String]) -> String {
            name.padded(to: 36) + values.map { $0.padded(to: 10, side: .left) }.joined()
        }
        var rows = [row("Lines of code", languages)]
        for privilege in Privilege.allCases {
            guard let counts = lines[privilege] else { continue }
            rows.append(row("  \(privilege.rawValue)", languages.map { "\(counts[$0] ?? 0)" }))
        }
        return rows.joined(separator: "\n")
    }
}

extension String {
    /// On which side blanks are added.
    enum Side { case left, right }

    /// The text with blanks up to a width.
    func padded(to width: Int, side: Side = .right) -> String {
        let blanks = String(repeating: " ", count: max(0, width - count))
        return side == .left ? blanks + self : self + blanks
    }
}
