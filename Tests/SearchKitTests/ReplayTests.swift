// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Judging answers from afar: of a machine that agrees, and of some that do not.

import Arm
import HypervisorInterface
import SearchKit
import SimulatedMachine
import Specification
import Testing

@Suite("Programs on another machine")
struct ReplayTests {
    private static let region: UInt64 = 0x42200

    /// Another machine: its region is elsewhere, and its EL2 has been at work before.
    private final class Other {
        let host: SimulatedHost
        private var handles: [Int: UInt64] = [:]

        init() throws {
            host = try SimulatedHost()
            try host.finalise()
            let handle = host.hvc(CallRegisters(.createVM, 0, 32, 0x43000, 16)).x1
            while host.hvc(CallRegisters(.destroyVM, handle)).x0 == 0 {}
            for word in UInt64(0)..<512 {
                host.machine.poke(Address((ReplayTests.region + word) << 12), 0)
            }
        }

        private func value(_ operand: Operand) -> UInt64 {
            switch operand {
            case .number(let value): value
            case .page(let index): ReplayTests.region &+ UInt64(bitPattern: index)
            case .machine(let name): handles[name] ?? 0
            }
        }

        /// What the program of the system tests prints.
        func line(_ step: Step, _ number: Int) throws -> String {
            let values = step.arguments.map { value($0) }
            func x(_ index: Int) -> UInt64 { index <= values.count ? values[index - 1] : 0 }
            func line(_ words: [UInt64]) -> String {
                "\(number): " + words.map { "0x" + String($0, radix: 16) }.joined(separator: " ")
            }
            switch step.deed {
            case .call(let call) where step.deed.hostCall == .runVCPU:
                return line(host.longCall([call, x(1), x(2), x(3), x(4), 0, 0, 0, 0], on: step.cpu))
            case .call(let call):
                let answer = host.hvc(CallRegisters(call, x(1), x(2), x(3), x(4), x(5)), on: step.cpu)
                if let binds = step.binds, answer.x0 == 0 { handles[binds] = answer.x1 }
                return line([answer.x0, answer.x1, answer.x2, answer.x3])
            case .firmware(let call): return line([host.smc(CallRegisters(call, x(1)), on: step.cpu).x0])
            case .read, .write:
                let kind = step.deed == .write ? AccessKind.write : .read
                guard host.touch(x(1) << 12, kind, on: step.cpu) == x(1) else { return "\(number): faulted" }
                let address = Address<HostPhysical>(x(1) << 12)
                guard step.deed == .write else {
                    return "\(number): loaded 0x" + String(host.machine.peek(address) ?? 0, radix: 16)
                }
                try host.machine.hostStore(
                    host.machine[cpu: step.cpu], Address(address.rawValue), Judge.stored(by: number))
                return "\(number): stored"
            case .fetch, .together: return "\(number): left out"
            }
        }
    }

    private static func played(_ program: Program) throws -> [String] {
        let other = try Other()
        let lines = try program.steps.enumerated().map { try other.line($1, $0 + 1) }
        return ["machine 0x\(String(region, radix: 16)) 2 0x0"] + lines
    }

    private static func verdict(_ program: Program, _ lines: [String]) throws -> Judge {
        try Transcript(lines: lines.map { $0[...] }).judge(program, inputBits: 44)
    }

    @Test("agree, with many calls that succeed", arguments: [1, 2, 3] as [UInt64])
    func agrees(_ seed: UInt64) throws {
        let program = try Player().programForAnyMachine(seed: seed, steps: 600)
        let judge = try Self.verdict(program, try Self.played(program))
        #expect(judge.judged == program.steps.count)
        #expect(judge.successes > 150)
        #expect(judge.leftOut == 0)
    }

    @Test("do not agree when an answer, a register or a page is another")
    func disagrees() throws {
        let program = try Program(
            parsing: """
                0 createVM 1 32 p256 16 -> v0
                0 createVCPU v0 0 p272 1
                0 write p3
                0 donateToGuest v0 0x80 p3 1 0
                0 read p3
                1 pageReport p3
                0 runVCPU v0 0
                0 destroyVM v0
                0 destroyVM v0
                1 pageReport p3
                0 read p3
                0 smc 0xc2000001

                """)
        let lines = try Self.played(program)
        _ = try Self.verdict(program, lines)
        let changes: [(line: Int, text: String)] = [
            (1, "1: 0xfffffffffffffffc 0x0 0x0 0x0"), (2, "2: 0x0 0x1 0x0 0x0"), (4, "4: 0xfffffffffffffffb 0x0"),
            (5, "5: loaded 0x5ec2e70000000003"), (6, "6: 0x0 0x1 0x0 0x0"), (8, "8: 0x0 0x2 0x0 0x0"),
            (10, "10: 0x0 0x2 0x0 0x0"), (11, "11: loaded 0x5ec2e70000000003"), (11, "11: faulted"), (12, "12: 0x0"),
            (3, "3: faulted"),
            (2, "2: 0x0 0x0 0x0 0x0 x7-is-spoiled"), (9, ""), (0, ""),
            (7, lines[7].replacing("7: 0x0 0x", with: "7: 0x0 0x1")),
        ]
        for change in changes {
            var lines = lines
            lines[change.line] = change.text
            let isAccepted = (try? Self.verdict(program, lines.filter { !$0.isEmpty })) != nil
            #expect(!isAccepted, "\(change)")
        }
    }
}
