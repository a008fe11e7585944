// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// `lab tables`: the tables of docs/host-calls.md from the sources.

import ArgumentParser
import LabKit

struct WriteTables: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tables", abstract: "Write the tables of host calls in docs/ anew from the sources.")

    func run() async throws {
        let workspace = try Workspace.current()
        let page = InterfaceTables.page(workspace)
        let old = try page.readText()
        let new = try InterfaceTables(workspace).updated(old)
        if new == old { return Progress.say("\(page.string) is as the sources are.") }
        try page.write(new)
        Progress.say("\(page.string) was written.")
    }
}
