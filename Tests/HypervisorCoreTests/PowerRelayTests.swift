// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// CPUs that go and come: every one of them comes back through EL2, confined, whatever way it went.

import Arm
import CBootProtocol
import HypervisorInterface
import Machine
import SearchKit
import SimulatedMachine
import Specification
import Testing

@testable import HypervisorCore

extension HostBench {
    /// Makes an SMC on a CPU in a thread of its own, because the call may never come back.
    func smcThatMayPark(_ registers: CallRegisters, on cpu: Int) -> (Schedule.Outcome, CallRegisters?) {
        let schedule = Schedule(machine, seed: 1)
        let box = Box()
        firmware.whenParked = { _ in schedule.park() }
        defer { firmware.whenParked = nil }
        let outcome = schedule.run([.init(machine[cpu: cpu]) { box.answer = self.smc(registers, on: cpu) }])
        return (outcome[0], box.answer)
    }

    final class Box: @unchecked Sendable { var answer: CallRegisters? }

    /// What EL2's entry does on a CPU that firmware has started.
    func arrive(_ cpu: Int) throws -> (start: PSCIFirmware.Start, frame: HostFrame) {
        let processor = machine[cpu: cpu]
        let start = try #require(firmware.takeStart(processor))
        processor.invalidateLocalTLB()
        let root = hypervisor.memory.withLock(on: machine[cpu: 0]) { $0.hypervisorTable.root }
        plan.useTables(processor, root: root.number)
        processor.write(.sctlrEL2, processor.read(.sctlrEL2) | 1 << 19)
        let frame = hypervisor.arrive(cpu, on: processor)
        machine.returnToHost(processor)
        return (start, frame)
    }

    func dataPage(_ cpu: Int) -> UInt64 {
        (plan.perCPUBase + UInt64(cpu) * Plan.perCPUPages) << pageShift + UInt64(MARTLET_PERCPU_DATA)
    }
}

@Suite("The power relay")
struct PowerRelayTests {
    static let off = CallRegisters(0x8400_0002)
    static let entry: UInt64 = 0x4010_0000

    private func on(_ affinity: UInt64, _ context: UInt64 = 99) -> CallRegisters {
        CallRegisters(0xC400_0003, affinity, Self.entry, context)
    }

    private func info(_ bench: HostBench, _ affinity: UInt64) -> UInt64 {
        bench.smc(CallRegisters(0xC400_0004, affinity, 0)).x0
    }

    @Test(
        "brings a CPU back through EL2, confined like the others",
        arguments: ["two CPUs", "48-bit addresses and features"])
    func hotplug(_ name: String) throws {
        let plan = try #require(plans.first { $0.name == name }).plan
        let bench = try HostBench.finalised(plan)
        #expect(info(bench, 1) == 0)
        #expect(bench.smcThatMayPark(Self.off, on: 1).0 == .parked)
        #expect(info(bench, 1) == 1)
        #expect(bench.smc(on(1)).x0 == 0)
        #expect(info(bench, 1) == 2)
        #expect(bench.smc(on(1)).x0 == PSCIStatus.onPending.register)
        let (start, frame) = try bench.arrive(1)
        #expect(start == .init(entry: HostBench.entryPoints.cpuOn, context: bench.dataPage(1)))
        #expect(frame.programCounter == Self.entry && frame.x[0] == 99 && frame.savedState == 0x3C5)
        #expect(info(bench, 1) == 0)
        #expect(bench.smc(on(1)).x0 == PSCIStatus.alreadyOn.register)
        #expect(bench.call(.counter, Counter.cpusRelayed.rawValue).x1 == 1)

        let features = CPUFeatures(plan.identification)
        var compared: [SystemRegister] = [.hcrEL2, .vtcrEL2, .vttbrEL2, .cptrEL2, .mdcrEL2, .cnthctlEL2, .iccSreEL2]
        if features.hasSVE { compared.append(.zcrEL2) }
        if features.hasFineGrainedTraps { compared += [.hfgrtrEL2, .hfgwtrEL2, .hfgitrEL2] }
        if features.hasHCRX { compared.append(.hcrxEL2) }
        for register in compared {
            #expect(bench.machine[cpu: 1].read(register) == bench.machine[cpu: 0].read(register), "\(register)")
        }
        let arrived = bench.machine[cpu: 1]
        #expect(arrived.read(.vmpidrEL2) == arrived.read(.mpidrEL1))
        #expect(arrived.read(.sctlrEL1) & 1 == 0, "EL1 starts with its MMU off")
        #expect(bench.touch(plan.imageBase << pageShift, .read, on: 1) == nil)
        #expect(bench.touch(Self.entry, .execute, on: 1) == Self.entry >> pageShift)
        bench.expectNoViolations()
    }

    @Test("sees donations that were made while the CPU was off")
    func donationMeanwhile() throws {
        let bench = try HostBench.finalised()
        _ = bench.smcThatMayPark(Self.off, on: 1)
        #expect(bench.call(.topUp, 0x42000, 512).x0 == 0)
        #expect(bench.smc(on(1)).x0 == 0)
        _ = try bench.arrive(1)
        #expect(bench.touch(0x4200_0000, .read, on: 1) == nil)
        bench.expectNoViolations()
    }

    @Test("starts nobody at an address that is not the host's, and nobody it does not know")
    func refusals() throws {
        let bench = try HostBench.finalised()
        _ = bench.smcThatMayPark(Self.off, on: 1)
        #expect(bench.call(.topUp, 0x42000, 1).x0 == 0)
        var state = AbstractState(bench.plan.installation)
        state.confineAll()
        state = state.afterCPUOff(1)
        state = try state.after(
            CallRegisters(HostCall.topUp, 0x42000, 1), on: 0, answer: CallRegisters(0), observing: bench.observation)
        let entries: [UInt64] = [0x4040_0000, 0x4200_0000, 0x0900_0000, 0x0800_0000, Self.entry + 2, 1 << 50, .max]
        for affinity in [1, 0, 2, 0x100, 1 << 40, 0x8000_0001] as [UInt64] {
            for entry in entries + [Self.entry, 0x43F0_0000] {
                let call = CallRegisters(0xC400_0003, affinity, entry, 1)
                guard case .answered(let due) = state.fate(of: call, offered: []) else { continue }
                let calls = bench.firmware.calls.count
                #expect(bench.smc(call).x0 == due, "CPU \(hex(affinity)) at \(hex(entry))")
                #expect(bench.firmware.calls.count == calls, "firmware must not hear of it")
            }
        }
        for entry in entries {
            for call in [CallRegisters(0xC400_0001, 1 << 16, entry, 1), CallRegisters(0xC400_000E, entry, 1)] {
                #expect(bench.smc(call).x0 == PSCIStatus.invalidAddress.register)
            }
        }
        #expect(info(bench, 1) == 1)
        #expect(bench.smc(CallRegisters(0xC400_0004, 0, 1)).x0 == PSCIStatus.invalidParameters.register)
        #expect(bench.smc(CallRegisters(0xC400_0004, 77, 0)).x0 == PSCIStatus.invalidParameters.register)
        bench.expectNoViolations()
    }

    @Test("believes firmware that refuses")
    func firmwareRefuses() throws {
        let bench = try HostBench.finalised()
        // CPU_OFF refused: the CPU goes on.
        bench.firmware.overrides[0x8400_0002] = FirmwareRegisters(PSCIStatus.denied.register)
        #expect(bench.smc(Self.off, on: 1).x0 == PSCIStatus.denied.register)
        #expect(info(bench, 1) == 0)
        bench.firmware.overrides = [:]
        _ = bench.smcThatMayPark(Self.off, on: 1)
        // CPU_ON refused: the CPU stays off and can be started later.
        bench.firmware.overrides[0xC400_0003] = FirmwareRegisters(PSCIStatus.internalFailure.register)
        #expect(bench.smc(on(1)).x0 == PSCIStatus.internalFailure.register)
        #expect(info(bench, 1) == 1)
        bench.firmware.overrides = [:]
        #expect(bench.smc(on(1, 5)).x0 == 0)
        #expect(try bench.arrive(1).frame.x[0] == 5)
        bench.expectNoViolations()
    }

    @Test("suspends a CPU that keeps its state, or wakes before it loses it")
    func standby() throws {
        let bench = try HostBench.finalised()
        #expect(bench.smc(CallRegisters(0xC400_0001, 0, Self.entry, 3), on: 1).x0 == 0)
        bench.firmware.wakesAtOnce = true
        #expect(bench.smc(CallRegisters(0xC400_0001, 1 << 16, Self.entry, 3), on: 1).x0 == 0)
        #expect(info(bench, 1) == 0)
        // A CPU that is awake again must not be brought to EL1 by a stray arrival.
        #expect(bench.firmware.starts.isEmpty)
        bench.expectNoViolations()
    }

    @Test("suspends a CPU to a state without power, and resumes it where the host wanted")
    func powerDown() throws {
        let bench = try HostBench.finalised()
        let call = CallRegisters(0xC400_0001, 1 << 16, Self.entry, 0x1234)
        #expect(bench.smcThatMayPark(call, on: 1).0 == .parked)
        #expect(info(bench, 1) == 0, "a suspended CPU counts as on")
        #expect(bench.smc(on(1)).x0 == PSCIStatus.alreadyOn.register)
        let (start, frame) = try bench.arrive(1)
        #expect(start == .init(entry: HostBench.entryPoints.resume, context: bench.dataPage(1)))
        #expect(frame.programCounter == Self.entry && frame.x[0] == 0x1234)
        #expect(bench.touch(bench.plan.imageBase << pageShift, .write, on: 1) == nil)
        bench.expectNoViolations()
    }

    @Test("suspends the whole system from its last CPU, and resumes it")
    func systemSuspend() throws {
        let bench = try HostBench.finalised()
        let call = CallRegisters(0xC400_000E, Self.entry, 0x77)
        #expect(bench.smc(call).x0 == PSCIStatus.denied.register, "another CPU is on")
        _ = bench.smcThatMayPark(Self.off, on: 1)
        #expect(bench.smcThatMayPark(call, on: 0).0 == .parked)
        #expect(bench.firmware.system == .suspended(cpu: 0))
        let (start, frame) = try bench.arrive(0)
        #expect(start.entry == HostBench.entryPoints.resume)
        #expect(frame.programCounter == Self.entry && frame.x[0] == 0x77)
        #expect(bench.firmware.system == .running)
        #expect(bench.smc(on(1)).x0 == 0)
        _ = try bench.arrive(1)
        #expect(bench.touch(bench.plan.imageBase << pageShift, .read, on: 0) == nil)
        bench.expectNoViolations()
    }

    @Test("switches off a CPU that nobody had asked for")
    func uninvited() throws {
        let bench = try HostBench.finalised()
        _ = bench.smcThatMayPark(Self.off, on: 1)
        let processor = bench.machine[cpu: 1]
        bench.machine.powerOn(processor)
        processor.invalidateLocalTLB()
        let root = bench.hypervisor.memory.withLock(on: bench.machine[cpu: 0]) { $0.hypervisorTable.root }
        bench.plan.useTables(processor, root: root.number)
        let schedule = Schedule(bench.machine, seed: 1)
        bench.firmware.whenParked = { _ in schedule.park() }
        let outcome = schedule.run([.init(processor) { _ = bench.hypervisor.arrive(1, on: processor) }])
        #expect(outcome == [.parked])
        #expect(!bench.machine.isOn(processor))
        #expect(bench.smc(on(1)).x0 == 0, "it can be started in the proper way")
    }

    @Test("keeps its word when one CPU goes while another starts it", arguments: Seeds.few(12))
    func race(_ seed: UInt64) throws {
        let bench = try HostBench.finalised()
        let schedule = Schedule(bench.machine, seed: seed, period: 2)
        bench.firmware.whenParked = { _ in schedule.park() }
        let box = HostBench.Box()
        let outcome = schedule.run([
            .init(bench.machine[cpu: 1]) { _ = bench.smc(Self.off, on: 1) },
            .init(bench.machine[cpu: 0]) {
                for _ in 0..<6 {
                    box.answer = bench.smc(CallRegisters(0xC400_0003, 1, Self.entry, 4))
                    if box.answer?.x0 == 0 { return }
                }
            },
        ])
        #expect(outcome == [.parked, .finished])
        if box.answer?.x0 == 0 {
            #expect(info(bench, 1) == 2)
            #expect(try bench.arrive(1).frame.x[0] == 4)
        } else {
            #expect(box.answer?.x0 == PSCIStatus.alreadyOn.register, "seed \(seed)")
            #expect(info(bench, 1) == 1)
            #expect(bench.smc(on(1)).x0 == 0)
        }
        bench.expectNoViolations()
    }
}
