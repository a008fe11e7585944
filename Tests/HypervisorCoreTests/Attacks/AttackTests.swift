// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The attacks that the simulated machine can show, each against the hypervisor as it is, and against one
// without the defence that the table names: there it has to succeed, or it proves nothing.

import Foundation
import HypervisorInterface
import LabKit
import Synchronization
import Testing

@testable import HypervisorCore

/// What an attacker does on a machine where Martlet is installed.
struct SimulatedAttack: Sendable {
    /// The name in `Attacks`.
    let id: String
    /// - Returns: what the attacker has got; nil if nothing.
    let make: @Sendable (HostBench) throws -> String?

    static let all = memory + calls + vcpus + guests

    static func named(_ id: String) -> SimulatedAttack? { all.first { $0.id == id } }
}

struct AttackTests {
    /// What a child process says of an attack that got what it was after.
    private static let succeeded: Int32 = 86

    @Test(arguments: Attacks.all.filter { !$0.simulated.isEmpty }.map(\.id))
    func `an attack gets nothing`(_ id: String) throws {
        let attack = try #require(SimulatedAttack.named(id), "the table has it, the tests do not")
        let start = ContinuousClock.now
        let bench = try HostBench.finalised()
        let gain = try attack.make(bench)
        #expect(gain == nil, "\(id)")
        bench.expectNoViolations()
        let isClean = gain == nil && bench.machine.violations.isEmpty
        Self.note("\(id) real \(isClean ? "repelled" : "succeeded")", since: start)
    }

    @Test(arguments: Attacks.all.filter { !$0.simulated.isEmpty }.map(\.id))
    func `it succeeds without its defence`(_ id: String) async throws {
        let entry = try #require(Attacks.all.first { $0.id == id })
        let bits = Attack.bits(entry.simulated)
        let start = ContinuousClock.now
        // In a process of its own: what is taken away is away for all of a process.
        let result = await #expect(processExitsWith: .exitCode(Self.succeeded), "\(id)") {
            [id = id as String, bits = bits as UInt64] in
            var gain: String?
            // What the benches find wrong with a faulty hypervisor on the way is no news.
            withKnownIssue(isIntermittent: true) {
                // The one that installation has is away before it.
                provokeFaults(bits & Defence.carveOutIsHidden.bit)
                let bench = try HostBench.finalised()
                provokeFaults(bits)
                gain = try SimulatedAttack.named(id)?.make(bench)
            }
            exit(gain == nil ? EXIT_SUCCESS : AttackTests.succeeded)
        }
        Self.note("\(id) faulty \(result == nil ? "repelled" : "succeeded")", since: start)
    }

    @Test func `every attack of the tests is in the table, once`() {
        let ids = SimulatedAttack.all.map(\.id)
        #expect(Set(ids).count == ids.count)
        #expect(Set(ids) == Set(Attacks.all.filter { !$0.simulated.isEmpty }.map(\.id)))
    }

    @Test func `every defence that can be taken away is attacked`() {
        let used = Set(Attacks.all.flatMap { $0.simulated + $0.emulated })
        #expect(Defence.allCases.filter { !used.contains($0) } == [])
    }

    /// Tests note at once.
    private static let writing = Mutex(())

    /// A line for `lab attack`, in the file that it names.
    private static func note(_ outcome: String, since start: ContinuousClock.Instant) {
        guard let path = ProcessInfo.processInfo.environment["MARTLET_ATTACK_LOG"],
            let file = FileHandle(forWritingAtPath: path)
        else { return }
        let spent = (ContinuousClock.now - start) / .milliseconds(1)
        writing.withLock { _ in
            file.seekToEndOfFile()
            file.write(Data("MARTLET-ATTACK simulated \(outcome) \(Int(spent))\n".utf8))
        }
    }
}

extension HostBench {
    /// What the machine has found wrong, if it is this.
    func found(_ rules: SimulatedViolation...) -> String? {
        machine.violations.first { rules.contains($0.rule) }.map { "\($0.rule): \($0.message)" }
    }

    func word(_ frame: UInt64) -> UInt64 { machine.peek(.init(frame << 12)) ?? 0 }

    /// A call that should be refused; what it means if it is not.
    func gain(_ meaning: String, _ call: HostCall, _ arguments: [UInt64], on cpu: Int = 0) -> String? {
        status(call, arguments, on: cpu) == .success ? meaning : nil
    }

    /// A protected VM, and a page of host memory that its guest got.
    func victim() throws -> UInt64 {
        let vm = try makeVM(.protected)
        machine.poke(.init(Self.guestPages << 12), 0x5EC2E7)
        guard status(.donateToGuest, [vm, 0x80000, Self.guestPages, 1, GuestContent.kept.rawValue]) == .success else {
            throw CallStatus.denied
        }
        return vm
    }

    /// `destroyVM` as far as it goes.
    func end(_ vm: UInt64, on cpu: Int = 0) -> Bool {
        for _ in 0..<100_000 {
            let answer = wide(.destroyVM, [vm], on: cpu)
            guard answer[0] == 0 else { return false }
            if answer[1] == DestroyProgress.done.rawValue { return true }
        }
        return false
    }
}
