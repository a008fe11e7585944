// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// `lab panic`: a hypervisor's panic record as files and lines.

import ArgumentParser
import Foundation
import LabKit
import SystemPackage

struct ExplainPanic: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "panic", abstract: "Read a kernel log with a panic record on standard input and explain it.")

    @Option(help: "The hypervisor's image with symbols, when it is not the one just built.", completion: .file())
    var image: String?

    func run() async throws {
        let log = String(decoding: FileHandle.standardInput.readDataToEndOfFile(), as: UTF8.self)
        let panic = try HypervisorPanic(log: log)
        let elf: FilePath
        if let image {
            elf = FilePath(image)
        } else {
            // Not built anew: another build would have other addresses than the record.
            elf = try Workspace.current().images.appending("hypervisor.elf")
        }
        print(try await Symbolizer(image: elf).report(panic))
    }
}
