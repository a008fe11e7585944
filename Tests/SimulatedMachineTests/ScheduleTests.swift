// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The schedule that interleaves CPUs, and the lock under it.

import Arm
import Machine
import SimulatedMachine
import Testing

@Suite("Schedules")
struct ScheduleTests {
    private struct Counter: Lockable {
        static var lockRank: LockRank { .memory }
        var value: UInt64 = 0
    }

    private final class Shared: @unchecked Sendable {
        let counter = Locked(Counter())
        var order: [Int] = []
        var unprotected: UInt64 = 0
    }

    private func machine() -> SimulatedMachine {
        var configuration = SimulatedMachine.Configuration()
        configuration.cpuCount = 3
        let machine = SimulatedMachine(configuration)
        for cpu in machine.allCPUs {
            machine.powerOn(cpu)
            cpu.invalidateLocalTLB()
        }
        return machine
    }

    private func trace(_ seed: UInt64) -> [Int] {
        let machine = machine()
        let shared = Shared()
        let schedule = Schedule(machine, seed: seed, period: 2)
        let outcome = schedule.run(
            machine.allCPUs.map { cpu in
                .init(cpu) {
                    for _ in 0..<20 {
                        _ = cpu.load64(Address(0x4000_0000))
                        shared.order.append(cpu.index)
                    }
                }
            })
        #expect(outcome == [.finished, .finished, .finished])
        return shared.order
    }

    @Test("are the same for the same seed, and others for others")
    func determinism() {
        #expect(trace(1) == trace(1))
        #expect(trace(1) != trace(2))
        #expect(Set(trace(3)) == [0, 1, 2])
    }

    @Test("make a race visible, and the lock makes it go away", arguments: 1...5 as ClosedRange<UInt64>)
    func lock(_ seed: UInt64) {
        let machine = machine()
        let shared = Shared()
        _ = Schedule(machine, seed: seed, period: 2).run(
            machine.allCPUs.map { cpu in
                .init(cpu) {
                    for _ in 0..<10 {
                        shared.counter.withLock(on: cpu) { counter in
                            let old = counter.value
                            _ = cpu.load64(Address(0x4000_0000))
                            counter.value = old + 1
                        }
                        let old = shared.unprotected
                        _ = cpu.load64(Address(0x4000_0000))
                        shared.unprotected = old + 1
                    }
                }
            })
        shared.counter.withLock(on: machine[cpu: 0]) { #expect($0.value == 30) }
        #expect(shared.unprotected < 30, "seed \(seed) switched at no step that matters")
        #expect(machine.violations.isEmpty)
    }

    @Test("notice a lock that nobody will release")
    func deadlock() {
        let machine = machine()
        let shared = Shared()
        let schedule = Schedule(machine, seed: 1)
        let parked = schedule.run([
            .init(machine[cpu: 0]) {
                shared.counter.withLock(on: machine[cpu: 0]) { counter in
                    counter.value += 1
                    if counter.value > 0 { schedule.park() }
                }
            }
        ])
        #expect(parked == [.parked])
        let stuck = schedule.run([
            .init(machine[cpu: 1]) { shared.counter.withLock(on: machine[cpu: 1]) { $0.value += 1 } },
            .init(machine[cpu: 2]) { shared.counter.withLock(on: machine[cpu: 2]) { $0.value += 1 } },
        ])
        #expect(stuck == [.stuck, .stuck])
        #expect(machine.violations.first?.rule == .deadlock)
    }
}
