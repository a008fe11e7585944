// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Calling other programs. Children stay in the lab's own process group, so that an
// interrupt from the terminal reaches them too and nothing is left running.

import Foundation
public import Subprocess
public import SystemPackage

/// A program with its arguments, ready to be run in one of three ways.
public struct Tool: Sendable {
    /// The program's name, looked up on PATH, or its full path.
    public var program: String
    /// The arguments, without the program's name.
    public var arguments: [String]
    /// Variables added to the inherited environment.
    public var environment: [String: String]
    /// Where the program starts; the lab's own folder when nil.
    public var folder: FilePath?

    /// Describes a call.
    public init(
        _ program: String, _ arguments: [String], environment: [String: String] = [:], folder: FilePath? = nil
    ) {
        self.program = program
        self.arguments = arguments
        self.environment = environment
        self.folder = folder
    }

    /// What a user would type.
    public var commandLine: String {
        let words = [program] + arguments
        let plain = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=+,./:@%")
        let quoted = words.map { word in
            !word.isEmpty && word.allSatisfy(plain.contains) ? word : "'" + word.replacing("'", with: "'\\''") + "'"
        }
        let variables = environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        return (variables + quoted).joined(separator: " ")
    }

    /// The full path of a program on PATH, or nil.
    public static func find(_ program: String) -> FilePath? {
        if program.hasPrefix("/") {
            return FileManager.default.isExecutableFile(atPath: program) ? FilePath(program) : nil
        }
        // The administrator's folders are searched too: Debian leaves them out of a user's PATH.
        let path = (ProcessInfo.processInfo.environment["PATH"] ?? "") + ":/usr/sbin:/sbin"
        for folder in path.split(separator: ":") {
            let candidate = FilePath(String(folder)).appending(program)
            let real = FilePath(URL(filePath: candidate.string).resolvingSymlinksInPath().path)
            if real.kind == .typeRegular, FileManager.default.isExecutableFile(atPath: real.string) {
                return candidate
            }
        }
        return nil
    }

    /// A program of the Swift toolchain that is in use: one beside `swift`, else one on PATH.
    ///
    /// - Throws: ``LabError/missingProgram(_:)``.
    public static func fromToolchain(_ program: String) throws(LabError) -> String {
        if let swift = find("swift") {
            let real = URL(filePath: swift.string).resolvingSymlinksInPath().deletingLastPathComponent()
            let sibling = real.appending(path: program).path
            if FileManager.default.isExecutableFile(atPath: sibling) { return sibling }
        }
        guard let found = find(program) else { throw .missingProgram(program) }
        return found.string
    }

    /// The form that the subprocess library runs.
    ///
    /// - Throws: ``LabError/missingProgram(_:)``.
    public func configuration() throws(LabError) -> Configuration {
        guard let path = Tool.find(program) else { throw .missingProgram(program) }
        var additions: [Environment.Key: String?] = [:]
        for (name, value) in environment {
            // A key is made from a literal or decoded; the raw initialiser is not public.
            guard let key = Environment.Key(rawValue: name) else { continue }
            additions[key] = value
        }
        var options = PlatformOptions()
        options.teardownSequence = [.gracefulShutDown(allowedDurationToNextStep: .seconds(5))]
        return Configuration(
            executable: .path(path), arguments: Arguments(arguments), environment: .inherit.updating(additions),
            workingDirectory: folder, platformOptions: options)
    }

    /// What a program's end has to look like.
    public enum Expectation: Sendable {
        /// Exit code 0.
        case success
        /// Any end; the caller judges by the output.
        case anyStatus
    }

    /// Runs the program and returns what it printed on its standard output.
    ///
    /// - Throws: ``LabError/programFailed(command:status:tail:log:)`` when it does not end as expected.
    public func capture(_ expected: Expectation = .success) async throws -> String {
        let limit = 64 << 20
        let result = try await Subprocess.run(
            configuration(), output: .string(limit: limit), error: .string(limit: limit))
        guard expected == .anyStatus || result.terminationStatus.isSuccess else {
            throw LabError.programFailed(
                command: commandLine, status: describe(result.terminationStatus),
                tail: tail(of: result.standardError + result.standardOutput), log: nil)
        }
        return result.standardOutput
    }

    /// Runs the program with both of its outputs going to a log file.
    ///
    /// - Throws: ``LabError/programFailed(command:status:tail:log:)`` when it does not end with 0.
    public func run(log: FilePath) async throws {
        try log.removingLastComponent().makeFolder()
        let descriptor = try FileDescriptor.open(
            log, .writeOnly, options: [.create, .truncate], permissions: [.ownerReadWrite, .groupRead, .otherRead])
        let status = try await descriptor.closeAfter {
            try await Subprocess.run(
                configuration(), output: .fileDescriptor(descriptor, closeAfterSpawningProcess: false),
                error: .fileDescriptor(descriptor, closeAfterSpawningProcess: false)
            ).terminationStatus
        }
        guard status.isSuccess else {
            throw LabError.programFailed(
                command: commandLine, status: describe(status), tail: tail(of: try log.readText()), log: log)
        }
    }

    /// Runs the program on the lab's own terminal.
    ///
    /// - Returns: whether it ended with 0.
    public func runOnTerminal() async throws -> Bool {
        try await Subprocess.run(
            configuration(), input: .currentStandardInput, output: .currentStandardOutput,
            error: .currentStandardError
        ).terminationStatus.isSuccess
    }

    private func describe(_ status: TerminationStatus) -> String {
        switch status {
        case .exited(let code): return "ended with exit code \(code)"
        case .signaled(let signal): return "was ended by signal \(signal)"
        }
    }

    /// The part of a program's output that is likely to give the reason: a compiler's first errors,
    /// else the last lines.
    private func tail(of text: String) -> String {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: true)
        let errors = lines.filter { $0.contains("error:") }.prefix(8)
        return (errors.isEmpty ? lines.suffix(15) : errors).map { "    \($0)" }.joined(separator: "\n")
    }
}

extension FileDescriptor {
    /// Closes the descriptor when the body is done, whatever its outcome.
    func closeAfter<Result>(_ body: () async throws -> Result) async throws -> Result {
        do {
            let result = try await body()
            try close()
            return result
        } catch {
            try close()
            throw error
        }
    }
}
