// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// `lab traps`: where the images stop themselves, and why that is right.

import ArgumentParser
import LabKit

struct ListTraps: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "traps", abstract: "Print where the hypervisor and the module trap, and why each place is right.")

    @Flag(help: "Print each site with its address, function and line.")
    var sites = false

    func run() async throws {
        let images = try await preparedImages()
        var report = TestReport()
        for traps in [try await Traps.ofHypervisor(images), try await Traps.ofModule(images)] {
            Progress.say(sites ? traps.list : traps.table)
            report.add([traps.check()])
        }
        if report.count(.failed) > 0 { throw ExitCode.failure }
    }
}
