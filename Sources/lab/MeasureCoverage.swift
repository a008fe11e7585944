// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// `lab coverage`: how much of the hypervisor's core the unit tests execute.

import ArgumentParser
import LabKit

struct MeasureCoverage: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "coverage", abstract: "Print which lines of the hypervisor's core no unit test executes.")

    func run() async throws {
        let coverage = try await Coverage.measure(try Workspace.current())
        print(coverage.table)
        if !coverage.isEnough {
            print("At least \(Coverage.wanted) % of the lines have to be executed.")
            throw ExitCode.failure
        }
    }
}
