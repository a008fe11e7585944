// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// `lab setup`: everything that a fresh machine lacks.

import ArgumentParser
import LabKit

struct Setup: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Install the distribution's tools and unpack the lab's arm64 packages.")

    @Flag(help: "Look for newer versions of the lab's packages.")
    var renew = false

    func run() async throws {
        let workspace = try Workspace.current()
        try await MachineSetup.install(workspace)
        let lock = try await LabPackages(workspace).prepare(renewing: renew ? .renew : .keep)
        print("The machine is ready: Linux \(lock.kernel) for arm64 is in .lab/packages.")
    }
}
