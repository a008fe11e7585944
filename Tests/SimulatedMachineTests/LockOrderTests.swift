// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The order of locks: taken rightly, wrongly, and held for too long.

import Arm
import Machine
import SimulatedMachine
import Testing

@Suite("The order of locks")
struct LockOrderTests {
    private struct Power: Lockable {
        static var lockRank: LockRank { .power }
    }

    private struct Memory: Lockable {
        static var lockRank: LockRank { .memory }
    }

    private final class Locks: Sendable {
        let power = Locked(Power())
        let memory = Locked(Memory())
        let otherMemory = Locked(Memory())
    }

    private let bench = Bench()
    private let locks = Locks()

    private var broken: [Violation.Rule] { bench.machine.violations.map(\.rule) }

    @Test("is kept by locks one after the other, and by a later one inside an earlier one")
    func right() {
        locks.memory.withLock(on: bench.cpu) { _ in }
        locks.power.withLock(on: bench.cpu) { _ in
            locks.memory.withLock(on: bench.cpu) { _ in }
            locks.otherMemory.withLock(on: bench.cpu) { _ in }
        }
        bench.returnToHost()
        #expect(broken == [])
    }

    @Test("is broken by an earlier one inside a later one, though nobody waits for either")
    func wrong() {
        locks.memory.withLock(on: bench.cpu) { _ in
            locks.power.withLock(on: bench.cpu) { _ in }
        }
        #expect(broken == [.lockOrder])
    }

    @Test("is broken by two of one rank")
    func same() {
        locks.memory.withLock(on: bench.cpu) { _ in
            locks.otherMemory.withLock(on: bench.cpu) { _ in }
        }
        #expect(broken == [.lockOrder])
    }

    @Test("is each CPU's own")
    func others() {
        locks.memory.withLock(on: bench.cpu) { _ in
            locks.power.withLock(on: bench.other) { _ in }
        }
        #expect(broken == [])
    }

    @Test("knows no lock over a return to the host, nor over a guest's run")
    func held() {
        locks.memory.withLock(on: bench.cpu) { _ in bench.returnToHost() }
        #expect(broken == [.lockOrder])
        locks.memory.withLock(on: bench.other) { _ in _ = bench.other.enterGuest(Address(0x4000_0000)) }
        #expect(broken == [.lockOrder, .lockOrder])
    }
}
