// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Which lines of the hypervisor's core the unit tests execute.

import Foundation
import SystemPackage

/// The coverage of the hypervisor's core by the unit tests.
public struct Coverage: Equatable, Sendable {
    /// One source file.
    public struct File: Equatable, Sendable {
        /// Its path below the project's folder.
        public let path: String
        /// Lines with code.
        public let lines: Int
        /// Those that were executed.
        public let executed: Int
        /// The numbers of the others.
        public let missed: [Int]
    }

    /// Of the lines of all files, so many hundredths have to be executed.
    public static let wanted = 95

    /// The files, in the order of their paths.
    public let files: [File]

    /// Lines with code.
    public var lines: Int { files.reduce(0) { $0 + $1.lines } }
    /// Lines that were executed.
    public var executed: Int { files.reduce(0) { $0 + $1.executed } }
    /// Whether enough of them were.
    public var isEnough: Bool { executed * 100 >= lines * Self.wanted && lines > 0 }

    /// Builds the unit tests of the core with counters, runs them, and reads what they counted.
    ///
    /// - Throws: ``LabError/programFailed(command:status:tail:log:)`` if a test fails.
    public static func measure(_ workspace: Workspace) async throws -> Coverage {
        let scratch = workspace.root.appending(".build-core")
        let log = workspace.logs.appending("coverage.log")
        let program = scratch.appending("debug/martletPackageTests.xctest").string
        let counts = workspace.cache.appending("coverage.profraw")
        let merged = workspace.cache.appending("coverage.profdata").string
        try await Progress.step("building the unit tests with counters") {
            try await Tool(
                "swift",
                [
                    "build", "--build-tests", "--scratch-path", scratch.string, "-Xswiftc", "-profile-generate",
                    "-Xswiftc", "-profile-coverage-mapping",
                ], environment: ["MARTLET_WORLD": "core"], folder: workspace.root
            ).run(log: log)
        }
        try counts.remove()
        try await Progress.step("running them") {
            try await Tool(
                program, ["--testing-library", "swift-testing"], environment: ["LLVM_PROFILE_FILE": counts.string]
            ).run(log: log)
        }
        // Counters have the format of the compiler that made them.
        try await Tool(Tool.fromToolchain("llvm-profdata"), ["merge", counts.string, "-o", merged]).run(log: log)
        let sources = workspace.root.appending("Sources/HypervisorCore").string
        let export = try await Tool(
            Tool.fromToolchain("llvm-cov"), ["export", "-format", "lcov", "-instr-profile", merged, program, sources]
        ).capture()
        return Coverage(lcov: export, root: workspace.root.string)
    }

    /// Reads a tracefile: `SF:` begins a file, `DA:line,count` is a line of it.
    ///
    /// - Parameter root: the project's folder, which is left out of paths.
    init(lcov: String, root: String) {
        var files: [File] = []
        var path = ""
        var lines = 0
        var missed: [Int] = []
        for line in lcov.split(separator: "\n") {
            if line.hasPrefix("SF:") {
                path = String(line.dropFirst(3))
                if path.hasPrefix(root + "/") { path.removeFirst(root.count + 1) }
                (lines, missed) = (0, [])
            } else if line.hasPrefix("DA:") {
                let numbers = line.dropFirst(3).split(separator: ",").compactMap { Int($0) }
                guard numbers.count == 2 else { continue }
                lines += 1
                if numbers[1] == 0 { missed.append(numbers[0]) }
            } else if line == "end_of_record" {
                files.append(File(path: path, lines: lines, executed: lines - missed.count, missed: missed))
            }
        }
        self.files = files.sorted { $0.path < $1.path }
    }

    /// Hundredths with one decimal, never rounded up.
    static func share(_ executed: Int, of lines: Int) -> String {
        let thousandths = lines == 0 ? 0 : executed * 1000 / lines
        return "\(thousandths / 10).\(thousandths % 10) %"
    }

    /// The files with lines that were not executed, those lines, and the total.
    public var table: String {
        let incomplete = files.filter { !$0.missed.isEmpty }.map { file in
            let missed = file.missed.map(String.init).joined(separator: " ")
            return "\(Self.share(file.executed, of: file.lines))  \(file.path), not executed: \(missed)"
        }
        let total =
            "\(Self.share(executed, of: lines)) of \(lines) lines of the hypervisor's core; "
            + "\(files.count - incomplete.count) of \(files.count) files completely"
        return (incomplete + [total]).joined(separator: "\n")
    }
}
