// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Reading consoles: waiting for text, finding trouble, collecting reports.

import Foundation
import SystemPackage
import Testing

@testable import LabKit

@Suite("Consoles")
struct ConsoleTests {
    @Test(
        "trouble is found and named",
        arguments: [
            ("[    1.2] Kernel panic - not syncing: Attempted to kill init!", ConsoleFinding.Kind.panic),
            ("[    1.2] Internal error: Oops: 0000000096000006 [#1] SMP", .oops),
            ("[    1.2] Unable to handle kernel NULL pointer dereference at virtual address 0", .oops),
            ("[    1.2] WARNING: CPU: 0 PID: 1 at kernel/cpu.c:1 f+0x0/0x4", .warning),
            ("[    1.2] kernel BUG at mm/slub.c:1!", .bug),
            ("[    1.2] BUG: sleeping function called from invalid context", .bug),
            ("[    1.2] watchdog: BUG: soft lockup - CPU#2 stuck for 22s! [a:1]", .lockup),
            ("[    1.2] rcu: INFO: rcu_preempt self-detected stall on CPU", .lockup),
            ("[    1.2] INFO: task init:1 blocked for more than 120 seconds.", .lockup),
            ("[    1.2] martlet-panic: elr=0x1 base=0x1", .hypervisorPanic),
        ])
    func trouble(line: String, kind: ConsoleFinding.Kind) {
        #expect(ConsoleScanner.scan("fine\r\n\(line)\r\nfine\r\n") == [ConsoleFinding(kind: kind, line: line)])
    }

    @Test("an uneventful console has none")
    func uneventful() {
        #expect(
            ConsoleScanner.scan("[    0.1] Debug: no bugs\r\n[    0.2] rcu: Hierarchical RCU implementation.\r\n")
                .isEmpty)
    }

    static let scenario = Scenario(
        "sample", subject: .bareKernel, machine: MachineConfiguration(cpu: .max, processors: 2),
        scripts: [HostScript("boot", checks: ["one", "two"])], extent: .short)

    static let whole = """
        MARTLET-BEGIN\r
        MARTLET-SCENARIO boot\r
        MARTLET-TEST one PASS fine\r
        [    1.0] noise MARTLET-TEST two FAIL exit code 1: no such file\r
        MARTLET-LOG-BEGIN\r
        <4>[    0.9] loading out-of-tree module taints kernel.\r
        MARTLET-LOG-END\r
        MARTLET-END\r
        """

    @Test("a whole report")
    func report() {
        let results = HostReport(console: Self.whole).results(for: Self.scenario, console: Self.whole)
        let prefix = "sample/max-smp2-1g-dt"
        #expect(
            results == [
                CheckResult("\(prefix)/boot/one", .passed, "fine"),
                CheckResult("\(prefix)/boot/two", .failed, "exit code 1: no such file"),
                CheckResult("\(prefix)/kernel-log-clean", .passed, ""),
            ])
    }

    @Test("a check that is missing, doubled or unknown fails")
    func irregular() {
        let console = Self.whole.replacing("noise MARTLET-TEST two FAIL", with: "MARTLET-TEST one PASS")
            .replacing("MARTLET-LOG-BEGIN", with: "MARTLET-TEST three PASS\r\nMARTLET-LOG-BEGIN")
        let results = HostReport(console: console).results(for: Self.scenario, console: console)
        #expect(results.map(\.verdict) == [.failed, .failed, .failed, .passed])
        #expect(results[0].detail == "it was reported 2 times")
        #expect(results[1].detail == "it was not reported")
        #expect(results[2].detail == "it is not expected")
    }

    @Test("the kernel's log has to be clean, and the report whole")
    func unclean() {
        let warned = Self.whole.replacing("loading out-of-tree module taints kernel.", with: "something odd")
        #expect(HostReport(console: warned).results(for: Self.scenario, console: warned).last?.verdict == .failed)
        let cut = Self.whole.replacing("MARTLET-END", with: "")
        #expect(
            HostReport(console: cut).results(for: Self.scenario, console: cut).last?.detail
                == "the machine did not get to its end")
    }

    @Test("what the module has to say is awaited, and no complaint")
    func announcements() {
        let scenario = Scenario(
            "sample", subject: .bareKernel, machine: MachineConfiguration(cpu: .max, processors: 2),
            scripts: [HostScript("boot", checks: ["one"])], extent: .short, announcements: ["not installed: * MiB lack"]
        )
        func results(_ line: String) -> [CheckResult.Verdict] {
            let console = Self.whole.replacing("noise MARTLET-TEST two FAIL", with: "noise")
                .replacing("MARTLET-LOG-END", with: "<3>[    1.0] \(line)\r\nMARTLET-LOG-END")
            return HostReport(console: console).results(for: scenario, console: console).map(\.verdict)
        }
        #expect(results("martlet: not installed: 16 MiB lack") == [.passed, .passed, .passed])
        #expect(results("martlet: not installed: some MiB lack") == [.passed, .failed, .failed])
        #expect(results("martlet: not installed:  MiB lack") == [.passed, .failed, .failed])
        #expect(results("other: not installed: 16 MiB lack") == [.passed, .failed, .failed])
    }

    /// A console whose machine is this test.
    private func console() throws -> Console {
        let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
        return try Console(file: FilePath(folder.path).appending("console.log"))
    }

    private func print(_ text: String, on console: Console) throws {
        let file = try FileHandle(forWritingTo: URL(filePath: console.file.string))
        try file.seekToEnd()
        try file.write(contentsOf: Data(text.utf8))
        try file.close()
    }

    @Test("the earliest text wins, and is consumed")
    func expect() async throws {
        let console = try console()
        try print("login: password: login: ", on: console)
        #expect(try await console.expect(["password:", "login:"]) == "login:")
        #expect(try await console.expect(["password:", "login:"]) == "password:")
        #expect(try await console.expect(["password:", "login:"]) == "login:")
        #expect(try console.text == "login: password: login: ")
    }

    @Test("a machine that ends, or is silent, is not waited for")
    func impatience() async throws {
        let ended = try console()
        try print("last words", on: ended)
        ended.note(complaint: "qemu: no such device")
        ended.finish()
        #expect(try await ended.expect(["last"]) == "last")
        let error = await #expect(throws: LabError.self) { try await ended.expect(["more"]) }
        #expect(error?.description.contains("no such device") == true)
        let silent = try console()
        await #expect(throws: LabError.self) {
            try await silent.expect(["anything"], patience: Patience(silence: .milliseconds(100)))
        }
    }
}
