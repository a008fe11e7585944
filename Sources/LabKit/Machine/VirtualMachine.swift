// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A running machine: QEMU as a child, its serial port on a pipe and a file.

import Subprocess
public import SystemPackage

/// A machine that a script talks to.
public struct VirtualMachine: Sendable {
    /// What it prints.
    public let console: Console
    private let writer: StandardInputWriter

    /// Types text at the console.
    public func type(_ text: String) async throws {
        _ = try await writer.write(text)
    }

    /// Starts a machine, runs a script with it, and ends it whatever happens.
    ///
    /// - Parameters:
    ///   - configuration: the machine.
    ///   - boot: what it starts.
    ///   - folder: where the console, the command line and the disk are kept.
    ///   - script: what to do; the machine is ended when it returns.
    /// - Returns: the script's result.
    public static func run<Result: Sendable>(
        _ configuration: MachineConfiguration, boot: MachineBoot, folder: FilePath,
        script: @Sendable (VirtualMachine) async throws -> Result
    ) async throws -> Result {
        try folder.makeFolder()
        let disk = try configuration.disk.map { try blankDisk(mebibytes: $0, folder: folder) }
        let tree = configuration.firmware == .editedTree ? try await EditedTree.make(configuration, in: folder) : nil
        let arguments = try configuration.arguments(for: boot, disk: disk, tree: tree)
        return try await run(arguments: arguments, folder: folder, script: script)
    }

    /// The same for a machine that is described by QEMU's own arguments. Its serial port has to be the
    /// standard streams.
    static func run<Result: Sendable>(
        arguments: [String], folder: FilePath, script: @Sendable (VirtualMachine) async throws -> Result
    ) async throws -> Result {
        try folder.makeFolder()
        let console = try Console(file: folder.appending("console.log"))
        let tool = Tool("qemu-system-aarch64", arguments)
        try folder.appending("command").write(tool.commandLine + "\n")
        // The serial port goes straight into the file; the end of the error stream is the machine's.
        let record = try FileDescriptor.open(console.file, .writeOnly, options: .append)
        return try await record.closeAfter {
            try await Subprocess.run(
                tool.configuration(), input: .inputWriter,
                output: .fileDescriptor(record, closeAfterSpawningProcess: false), error: .sequence
            ) { execution in
                let machine = VirtualMachine(console: console, writer: execution.standardInputWriter)
                return try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask {
                        for try await line in execution.standardError.strings() { console.note(complaint: line) }
                        console.finish()
                    }
                    do {
                        let result = try await script(machine)
                        await end(execution)
                        try await group.waitForAll()
                        return result
                    } catch {
                        await end(execution)
                        try? await group.waitForAll()
                        throw error
                    }
                }
            }.closureResult
        }
    }

    private static func end<Input, Output, Failure>(_ execution: Execution<Input, Output, Failure>) async {
        await execution.teardown(using: [.gracefulShutDown(allowedDurationToNextStep: .seconds(5))])
    }

    /// A sparse disk image full of zeros.
    private static func blankDisk(mebibytes: Int, folder: FilePath) throws -> FilePath {
        let path = folder.appending("disk.img")
        let file = try FileDescriptor.open(
            path, .writeOnly, options: [.create, .truncate], permissions: [.ownerReadWrite, .groupRead, .otherRead])
        defer { try? file.close() }
        try file.resize(to: Int64(mebibytes) << 20)
        return path
    }
}
