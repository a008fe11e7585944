// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// `lab fetch`: what is not needed every day.

import ArgumentParser
import LabKit

struct Fetch: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Fetch something that only some comparisons need.")

    enum Item: String, ExpressibleByArgument, CaseIterable {
        case kernel7 = "kernel-7"
    }

    @Argument(help: "What to fetch: kernel-7, the newest backported kernel, for its KVM.")
    var item: Item

    func run() async throws {
        let workspace = try Workspace.current()
        try await MachineSetup.install(workspace)
        switch item {
        case .kernel7: print("The kernel is \(try await ComparisonKernel(workspace).fetch().string).")
        }
    }
}
