// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What the lab makes of searches, and of programs that a machine has played.

import Foundation
import HypervisorInterface
import SearchKit
import SystemPackage
import Testing

@testable import LabKit

@Suite("Searches of the lab")
struct SearchingTests {
    private func workspace() throws -> Workspace {
        let folder = FileManager.default.temporaryDirectory.appending(path: "martlet-search-\(UUID())")
        let workspace = Workspace(root: FilePath(folder.path))
        try workspace.logs.makeFolder()
        return workspace
    }

    @Test("fail when the tool finds something, and say what it printed")
    func failure() async throws {
        let workspace = try workspace()
        defer { try? workspace.root.remove() }
        let script = "echo seed 7, step 3: wrong; exit 1"
        let found = try await Searching(workspace).search("sh", "random", ["-c", script])
        #expect(found.verdict == .failed)
        #expect(found.detail.contains("seed 7, step 3: wrong"))
        let nothing = try await Searching(workspace).search("sh", "random", ["-c", "echo 9 steps a second; echo more"])
        #expect(nothing == CheckResult("search/random", .passed, "9 steps a second"))
    }
}

@Suite("Programs that a machine has played")
struct ReplayTests {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    private static let program = "0 topUp p3 1\n0 read p3\n"

    private func result(_ due: Replay.Verdict, _ answers: [String]) throws -> CheckResult {
        let file = FileManager.default.temporaryDirectory.appending(path: "martlet-\(UUID()).trace")
        try Self.program.write(to: file, atomically: true, encoding: .utf8)
        defer { try? FileManager.default.removeItem(at: file) }
        let path = FilePath(file.path)
        let console = answers.map { "MARTLET-ANSWER \($0)\r\n" }.joined(separator: "[    1.0] a message\r\n")
        return Replay(source: .file(path), due: due).result(
            "replay", console: console, program: path, machine: MachineConfiguration(memory: 512))
    }

    @Test("pass if the specification says what is due, and only then")
    func verdicts() throws {
        let good = ["machine 0x50000 2 0x0", "1: 0x0 0x0 0x0 0x0", "2: faulted"]
        let bad = ["machine 0x50000 2 0x0", "1: 0x0 0x0 0x0 0x0", "2: loaded 0x0"]
        #expect(try result(.agrees, good).verdict == .passed)
        #expect(try result(.agrees, bad).verdict == .failed)
        #expect(try result(.agrees, bad).detail.hasPrefix("step 2, 0 read p3: the host reaches frame 0x50003"))
        #expect(try result(.disagrees, bad).verdict == .passed)
        #expect(try result(.disagrees, good).verdict == .failed)
        #expect(try result(.agrees, Array(good.dropLast())).verdict == .failed)
        #expect(try result(.agrees, []).verdict == .failed)
        // A machine that did not play to the end proves nothing about a defence either.
        #expect(try result(.disagrees, Array(good.dropLast())).verdict == .failed)
        #expect(try result(.disagrees, []).verdict == .failed)
    }

    @Test("call each host call by its name and number")
    func names() throws {
        let file = Self.root.appending(path: "Tests/System/kvm/replay.c")
        let text = try String(contentsOf: file, encoding: .utf8).filter { !$0.isWhitespace }
        for call in HostCall.allCases {
            let number = String(call.rawValue - 0xC600_4000, radix: 16)
            let digits = number.count == 1 ? "0" + number : number
            #expect(text.contains("{\"\(call)\",0x\(digits)}"), "\(call)")
        }
    }

    @Test("name no memory by its number")
    func region() throws {
        #expect(try Program(parsing: Self.program).firstStepOfOneMachine == nil)
        #expect(try Program(parsing: "0 topUp 0x8000000000 1\n").firstStepOfOneMachine == nil)
        #expect(try Program(parsing: "0 version\n0 createVM 0 32 0x40400 8\n").firstStepOfOneMachine == 2)
    }
}
