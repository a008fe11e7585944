// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The project's rules that a program can check, beside what the formatter does.

import Foundation
import SystemPackage

/// A place where a rule is broken.
public struct RuleViolation: Equatable, Sendable {
    /// The rule.
    public let rule: HouseRule
    /// The file, from the project's folder.
    public let file: String
    /// The line, counted from one.
    public let line: Int
    /// What is there.
    public let text: String
}

/// The rules, each with the name by which a review cites it.
public enum HouseRule: String, CaseIterable, Sendable {
    /// Every source file begins with its licence.
    case licenceFirst = "licence-first"
    /// The keyword for operations that the compiler cannot check lives in few folders.
    case unsafeIsFenced = "unsafe-is-fenced"
    /// Nothing is left for later in a comment.
    case nothingLeftForLater = "nothing-left-for-later"
    /// No file names a place on somebody's machine.
    case noMachinePaths = "no-machine-paths"
    /// About 400 lines, one capability a file.
    case oneCapabilityAFile = "one-capability-a-file"

    /// The most lines of a file.
    static let lineLimit = 420
    /// Folders below `Sources` in which the keyword may stand: machine layers, bindings to C,
    /// image entry points, and the one that keeps the bytes of a value that cannot be copied.
    static let fence: Set<String> = [
        "EL2Machine", "Fuzzer", "HostModule", "HypervisorImage", "Machine", "Snapshot", "VMMLinux",
    ]
    // Put together here, so that this file does not break the rules that it checks.
    private static let keyword = ["un", "safe"].joined()
    private static let markers = [["TO", "DO"], ["FIX", "ME"], ["XX", "X"]].map { $0.joined() }
    private static let places = ["home", "Users", "opt", "work", "root"].map { "/\($0)/" }
    private static let licence = "SPDX-License-Identifier: MIT OR GPL-2.0-only"

    /// Checks all files of a project.
    public static func check(_ workspace: Workspace) throws(LabError) -> [RuleViolation] {
        var violations: [RuleViolation] = []
        for path in sources(of: workspace) {
            let name = String(path.string.dropFirst(workspace.root.string.count + 1))
            violations += check(file: name, text: try path.readText())
        }
        return violations
    }

    /// The project's own text files: no build products, no downloads, no licence texts.
    static func sources(of workspace: Workspace) -> [FilePath] {
        let built = workspace.root.entries.filter { $0.hasPrefix(".build") }
        let all = workspace.root.files(skipping: Set([".git", ".lab", "LICENSES"] + built))
        return all.filter { path in
            guard let name = path.lastComponent?.string else { return false }
            return !["Package.resolved", "LICENSE", ".DS_Store"].contains(name) && !name.hasPrefix("LICENSE")
        }
    }

    /// Checks one file.
    static func check(file: String, text: String) -> [RuleViolation] {
        var violations: [RuleViolation] = []
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        func report(_ rule: HouseRule, _ line: Int, _ text: some StringProtocol) {
            violations.append(
                RuleViolation(rule: rule, file: file, line: line, text: text.trimmingCharacters(in: .whitespaces)))
        }
        let isSource = isSource(file)
        // The first line may have to say how the file is to be read.
        if isSource, !lines.prefix(2).contains(where: { $0.contains(licence) }) {
            report(.licenceFirst, 1, lines.first ?? "")
        }
        if isSource, lines.count > lineLimit { report(.oneCapabilityAFile, lines.count, "\(lines.count) lines") }
        let isFenced = isInsideFence(file)
        for (index, line) in lines.enumerated() {
            if markers.contains(where: { containsWord($0, in: line) }) { report(.nothingLeftForLater, index + 1, line) }
            if places.contains(where: line.contains) { report(.noMachinePaths, index + 1, line) }
            if !isFenced, file.hasSuffix(".swift"), containsWord(keyword, in: code(of: line)) {
                report(.unsafeIsFenced, index + 1, line)
            }
        }
        return violations
    }

    /// Whether a file is source code rather than documentation or data.
    private static func isSource(_ file: String) -> Bool {
        let name = file.split(separator: "/").last ?? ""
        guard
            !["md", "json", "txt", "gitignore", "swift-format", "modulemap"].contains(where: {
                name.hasSuffix(".\($0)")
            })
        else { return false }
        return file.hasPrefix("Sources/") || file.hasPrefix("Tests/") || file.hasPrefix("Platforms/")
            || ["Package.swift", "Makefile", "run"].contains(String(name))
    }

    /// Tests may do what the code that they test does.
    private static func isInsideFence(_ file: String) -> Bool {
        let folders = file.split(separator: "/").map(String.init)
        return folders.first == "Tests" || folders.count > 1 && fence.contains(folders[1])
    }

    /// A line without its comment and the contents of its string literals.
    static func code(of line: Substring) -> String {
        var code = ""
        var isInString = false
        var previous: Character = " "
        for character in line {
            if character == "\"" && previous != "\\" {
                isInString.toggle()
            } else if !isInString {
                if character == "/" && previous == "/" { return String(code.dropLast()) }
                code.append(character)
            }
            previous = character
        }
        return code
    }

    /// Whether a word stands in a text by itself, not as a part of another.
    static func containsWord(_ word: String, in text: some StringProtocol) -> Bool {
        var rest = text[...]
        while let range = rest.firstRange(of: word) {
            let before = range.lowerBound > text.startIndex ? text[text.index(before: range.lowerBound)] : " "
            let after = range.upperBound < text.endIndex ? text[range.upperBound] : " "
            if !before.isLetter && !before.isNumber && before != "_" && !after.isLetter && !after.isNumber
                && after != "_"
            {
                return true
            }
            rest = rest[range.upperBound...]
        }
        return false
    }
}
