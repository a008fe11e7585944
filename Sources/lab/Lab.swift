// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The developer's command: one subcommand a task; the work is done in LabKit.

import ArgumentParser
import LabKit

@main
struct Lab: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lab",
        abstract: "Prepares the machine, builds Martlet's images, runs and tests them in QEMU.",
        subcommands: [
            Setup.self, Fetch.self, BuildImages.self, RunHost.self, Demo.self, RunTests.self, RunAttacks.self,
            Bench.self, RunLint.self, Sizes.self, ExplainPanic.self, RunMutants.self, MeasureCoverage.self,
            Fuzz.self, RunSearch.self, RunReplay.self, ListTraps.self, WriteTables.self,
        ])
}
