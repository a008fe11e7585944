// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// `lab demo`: what Martlet does, shown on a stock kernel.

import ArgumentParser
import LabKit
import SystemPackage

struct Demo: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Boot a stock kernel, take EL2 from it, and show what it can no longer see.")

    @Option(help: "Write what was shown to this file as JSON.", completion: .file())
    var json: String?

    func run() async throws {
        let images = try await preparedImages()
        try await Demonstration(images: images).run(json: json.map { FilePath($0) })
    }
}
