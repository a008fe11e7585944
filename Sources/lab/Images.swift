// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// `lab images`: everything that is built.

import ArgumentParser
import LabKit

struct BuildImages: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "images", abstract: "Build every image that is not up to date.")

    func run() async throws {
        let images = try await preparedImages()
        print("The images are in \(images.workspace.images.string).")
    }
}

/// Prepares the machine and builds what is out of date: the start of most subcommands.
func preparedImages() async throws -> Images {
    let workspace = try Workspace.current()
    try await MachineSetup.install(workspace)
    let lock = try await LabPackages(workspace).prepare()
    let images = Images(workspace: workspace, lock: lock)
    let built = try await images.build()
    Progress.say(built.isEmpty ? "All images are up to date." : "Built: \(built.joined(separator: ", ")).")
    return images
}
