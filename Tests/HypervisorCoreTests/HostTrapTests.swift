// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What the host runs into at its stage-2 and traps, and what it gets instead.

import Arm
import HypervisorInterface
import Machine
import SearchKit
import SimulatedMachine
import Specification
import Testing

@testable import HypervisorCore

@Suite("Host traps")
struct HostTrapTests {
    /// A state from which the host may come, and what EL1 must see of it.
    struct Origin: Sendable {
        let state: UInt64
        let vector: UInt64
        let isSame: Bool

        init(_ state: UInt64, vector: UInt64, isSame: Bool) {
            self.state = state
            self.vector = vector
            self.isSame = isSame
        }
    }

    static let origins = [
        Origin(0x6000_0005, vector: 0x200, isSame: true),
        Origin(0x8000_0004, vector: 0x000, isSame: true),
        Origin(0x2000_0000, vector: 0x400, isSame: false),
        Origin(0x0000_0010, vector: 0x600, isSame: false),
    ]

    private func deliver(
        _ bench: HostBench, _ abort: HostAbort, from state: UInt64
    ) -> HostFrame {
        let cpu = bench.machine[cpu: 0]
        bench.machine.take(abort, on: cpu)
        var frame = HostFrame()
        frame.programCounter = 0xFFFF_8000_0000_1234
        frame.savedState = state
        frame.syndrome = abort.esr
        _ = bench.hypervisor.hostTrap(0, &frame, on: cpu)
        bench.machine.returnToHost(cpu)
        return frame
    }

    @Test("An access to a page of EL2 becomes an alignment fault of EL1", arguments: origins, AccessKind.allCases)
    func refusedAccess(_ origin: Origin, _ kind: AccessKind) throws {
        let bench = try HostBench.finalised()
        let cpu = bench.machine[cpu: 0]
        let address = bench.plan.imageBase << pageShift | 0x40
        guard case .abort(let abort) = bench.machine.hostAccess(cpu, Address(address), kind) else {
            Issue.record("the host reaches EL2's image")
            return
        }
        let frame = deliver(bench, abort, from: origin.state)
        let exceptionClass: UInt64 = (kind == .execute ? 0x20 : 0x24) + (origin.isSame ? 1 : 0)
        let write: UInt64 = kind == .write ? 1 << 6 : 0
        #expect(cpu.read(.esrEL1) == exceptionClass << 26 | 1 << 25 | 0x21 | write)
        #expect(cpu.read(.farEL1) == abort.far)
        #expect(cpu.read(.elrEL1) == 0xFFFF_8000_0000_1234)
        #expect(cpu.read(.spsrEL1) == origin.state)
        #expect(frame.programCounter == cpu.read(.vbarEL1) + origin.vector)
        #expect(frame.savedState & 0x3FF == 0x3C5, "EL1h with D, A, I and F masked")
        #expect(bench.call(.counter, Counter.hostFaultsRefused.rawValue).x1 == 1)
        bench.expectNoViolations()
    }

    @Test("A conflict of TLB entries is resolved, and the host goes on")
    func conflict() throws {
        let bench = try HostBench.finalised()
        let cpu = bench.machine[cpu: 0]
        // What a conflict needs: an entry that the tables do not hold any more.
        let page: UInt64 = 0x42000
        bench.hypervisor.memory.withLock(on: cpu) { state in
            var table = state.hostTable.root
            var level = state.hostTable.geometry.rootLevel
            while true {
                let at = state.hostTable.entry(table, level, for: page)
                guard case .table(let next) = Descriptor<Stage2Attributes>(bits: cpu.load64(at), level: level),
                    let below = level.next
                else {
                    cpu.store64(at, 0)
                    break
                }
                (table, level) = (next, below)
            }
            cpu.barrier(.storesBeforeInvalidation)
        }
        #expect(bench.machine.hostAccess(cpu, Address(page << 12), .read).isMemory, "the entry is there")
        let frame = deliver(bench, HostAbort(esr: 0x24 << 26 | 1 << 25 | 0x30, hpfar: page << 4, far: 0), from: 5)
        #expect(frame.programCounter == 0xFFFF_8000_0000_1234, "the access is made again")
        #expect(!bench.machine.hostAccess(cpu, Address(page << 12), .read).isMemory)
        bench.expectNoViolations()
    }

    @Test("A trapped system register is undefined to the host")
    func systemRegister() throws {
        let bench = try HostBench.finalised()
        let trap = HostAbort(esr: 0x6232_0300, hpfar: 0, far: 0)
        let frame = deliver(bench, trap, from: 5)
        let cpu = bench.machine[cpu: 0]
        #expect(cpu.read(.esrEL1) == 1 << 25)
        #expect(cpu.read(.elrEL1) == 0xFFFF_8000_0000_1234, "the instruction is not stepped over")
        #expect(frame.programCounter == cpu.read(.vbarEL1) + 0x200)
        #expect(bench.call(.counter, Counter.hostSystemRegistersRefused.rawValue).x1 == 1)
    }

    @Test("ICC_SRE_EL1 can be read by the host, and is not the host's")
    func interruptInterfaceEnable() throws {
        let bench = try HostBench.finalised()
        let cpu = bench.machine[cpu: 0]
        let access: UInt64 = 0x18 << 26 | 1 << 25 | 3 << 20 | 5 << 17 | 12 << 10 | 12 << 1
        #expect(cpu.read(.iccSreEL2) & 1 << 3 == 0, "both come to EL2")
        let read = deliver(bench, HostAbort(esr: access | 3 << 5 | 1, hpfar: 0, far: 0), from: 5)
        #expect(read.x[3] == 7)
        #expect(read.programCounter == 0xFFFF_8000_0000_1238)
        let write = deliver(bench, HostAbort(esr: access | 3 << 5, hpfar: 0, far: 0), from: 5)
        #expect(write.programCounter == 0xFFFF_8000_0000_1238)
        #expect(cpu.read(.iccSreEL1) == 7)
        #expect(bench.call(.counter, Counter.hostSystemRegistersRefused.rawValue).x1 == 0)
        // Of one that is like it, nothing.
        let other = deliver(bench, HostAbort(esr: access ^ 1 << 17 | 3 << 5 | 1, hpfar: 0, far: 0), from: 5)
        #expect(other.programCounter == cpu.read(.vbarEL1) + 0x200)
    }

    @Test("Devices are mapped when they are touched, 2 MiB at once where nothing else lies there")
    func devices() throws {
        let bench = try HostBench.finalised()
        #expect(bench.touch(0x0900_0000, .write) == 0x9000)
        #expect(bench.call(.counter, Counter.hostFaultsMapped.rawValue).x1 == 1)
        #expect(bench.touch(0x0900_0000 + 0x1F_F000, .read, on: 1) == 0x91FF)
        #expect(bench.call(.counter, Counter.hostFaultsMapped.rawValue).x1 == 1, "one block, one abort")
        // The denied pages from 0x8000 on share 2 MiB with devices behind them.
        #expect(bench.touch(0x0801_0000, .read) == 0x8010)
        #expect(bench.touch(0x0801_1000, .read) == 0x8011)
        #expect(bench.call(.counter, Counter.hostFaultsMapped.rawValue).x1 == 3)
        #expect(bench.touch(0x0800_F000, .read) == nil)
        #expect(bench.touch(0x0900_0000, .execute) == nil, "nothing executes from devices")
        let mapped = try #require(bench.machine.hostMapping(bench.machine[cpu: 0]))
        let device = try #require(mapped.first { $0.input == 0x9000 })
        #expect(device.pages == 512 && device.memory == 0b0101 && !device.executable)
        #expect(bench.differences(from: confined(bench)) == [])
        bench.expectNoViolations()
    }

    private func confined(_ bench: HostBench) -> AbstractState {
        var state = AbstractState(bench.plan.installation)
        state.confineAll()
        return state
    }

    @Test("An abort that another CPU has answered already is no abort")
    func spurious() throws {
        let bench = try HostBench.finalised()
        let page = HostAbort(esr: 0x24 << 26 | 1 << 25 | 0b000111, hpfar: 0x40005 << 4, far: 0x4000_5000)
        #expect(deliver(bench, page, from: 5).programCounter == 0xFFFF_8000_0000_1234)
        #expect(bench.call(.counter, Counter.hostFaultsSpurious.rawValue).x1 == 1)
        let conflict = HostAbort(esr: 0x24 << 26 | 1 << 25 | 0x30, hpfar: 0, far: 0x4000_5000)
        #expect(deliver(bench, conflict, from: 5).programCounter == 0xFFFF_8000_0000_1234)
        bench.expectNoViolations()
    }

    @Test("Addresses beyond the machine's are refused")
    func beyond() throws {
        let bench = try HostBench.finalised()
        #expect(bench.touch(1 << 44, .read) == nil)
        #expect(bench.touch((1 << 44) - 4096, .read) == (1 << 32) - 1)
        bench.expectNoViolations()
    }

    @Test("Any number of devices can be touched, and the pool keeps what donations need")
    func manyDevices() throws {
        let bench = try HostBench.finalised()
        let before = bench.observation.freePages
        // Each GiB needs a table of its own, and the map allows far fewer tables than that.
        for gibibyte in UInt64(2)..<200 {
            #expect(bench.touch(gibibyte << 30 | 0x1000, .write) == gibibyte << 18 | 1)
            #expect(bench.observation.freePages >= before - PagePool.deviceTableLimit - 2)
        }
        #expect(bench.touch(0x4000_5000, .execute) == 0x40005, "RAM stays where it is")
        #expect(bench.differences(from: confined(bench)) == [])
        bench.expectNoViolations()
    }

    @Test("SOFT_RESTART of the kernel's stub stays at EL1 once everything is confined")
    func softRestart() throws {
        let bench = try HostBench.finalised()
        var frame = HostFrame()
        frame.syndrome = 0x5A00_0000
        frame.savedState = 0x6000_0005
        for index in 0..<5 { frame.x[index] = [1, 0x4000_0000, 11, 12, 13][index] }
        _ = bench.hypervisor.hostTrap(0, &frame, on: bench.machine[cpu: 0])
        #expect(frame.programCounter == 0x4000_0000)
        #expect(frame.savedState == 0x3C5)
        #expect(frame.x[0] == 11 && frame.x[1] == 12 && frame.x[2] == 13)
        #expect(bench.machine[cpu: 0].read(.hcrEL2) & 1 == 1)
    }

    @Test("The stub's other calls, and any other immediate, are refused", arguments: [0 as UInt64, 2, 3])
    func stubCalls(_ number: UInt64) throws {
        let bench = try HostBench.finalised()
        let refused = UInt64(bitPattern: CallStatus.notSupported.rawValue)
        #expect(bench.hvc(CallRegisters(number, 0x4000_0000)).x0 == refused)
        #expect(bench.hvc(CallRegisters(HostCall.reclaimPool), immediate: 1).x0 == refused)
    }
}

extension HostAccessResult {
    fileprivate var isMemory: Bool {
        if case .memory = self { true } else { false }
    }
}
