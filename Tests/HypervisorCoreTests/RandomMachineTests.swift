// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Random programs of a host that makes, feeds, runs and ends virtual machines, with the guests
// touching whatever they can. After every step all tables are held against the specification.

import Arm
import HypervisorInterface
import Machine
import SearchKit
import SimulatedMachine
import Specification
import Testing

@testable import HypervisorCore

/// A guest that touches pages and checks where it gets.
private final class ProbingGuest: SimulatedGuest, @unchecked Sendable {
    var due: Specification.Machine?
    var pages: [UInt64] = []
    var trouble: String?

    func run(on cpu: SimulatedCPU, vcpu: Address<HypervisorVirtual>) -> GuestExit {
        guard let due else { return .interrupt }
        for page in pages {
            for kind in AccessKind.allCases {
                let result = cpu.machine.hostAccess(cpu, Address(page << pageShift), kind)
                let mapping = due.mappings[page]
                let isAllowed =
                    switch kind {
                    case .read: mapping != nil
                    case .write: mapping?.access.contains(.write) ?? false
                    case .execute: mapping?.access.contains(.execute) ?? false
                    }
                if result.frame?.number != (isAllowed ? mapping?.frame : nil) {
                    trouble = "\(kind) of guest page \(hex(page)) came to \(result)"
                }
            }
            if due.mappings[page]?.access.contains(.write) ?? false {
                try? cpu.machine.hostStore(cpu, Address(page << pageShift), 0x5EC2E7)
            }
        }
        return .interrupt
    }
}

/// A host that does random things with VMs.
private struct RandomHypervisorUser {
    var host: RandomHost
    let guest = ProbingGuest()
    /// How often each call ended in which way.
    var tally: [HostCall: [CallStatus: Int]] = [:]

    init(_ bench: HostBench, seed: UInt64) {
        host = RandomHost(bench, seed: seed)
        bench.machine.guest = guest
    }

    var state: AbstractState {
        get { host.state }
        set { host.state = newValue }
    }
    var bench: HostBench { host.bench }

    mutating func below(_ limit: UInt64) -> UInt64 { host.below(limit) }

    /// Pages of a small part of RAM, so that calls get in each other's way.
    mutating func pages(_ count: UInt64, aligned: UInt64 = 1) -> UInt64 {
        switch below(40) {
        case 0: return host.frame() & ~(aligned &- 1)
        case 1..<8:
            // What some guest maps already, or what some VM is made of.
            let used = state.machines.values.flatMap {
                $0.mappings.values.map(\.frame) + $0.ownPages.sorted().prefix(4)
            }
            .sorted()
            if !used.isEmpty { return used[Int(below(UInt64(used.count)))] & ~(aligned &- 1) }
        default: break
        }
        return (0x42000 + below(0x600)) & ~(aligned &- 1)
    }

    mutating func handle() -> UInt64 {
        let handles = state.machines.keys.sorted()
        if handles.isEmpty || below(24) == 0 { return below(2) == 0 ? 1 << 40 | below(70) : host.random.next() }
        return handles[Int(below(UInt64(handles.count)))]
    }

    /// A guest page near the start, near a border of 2 MiB, or near the end.
    mutating func guestPage(_ machine: Specification.Machine?) -> UInt64 {
        switch below(12) {
        case 0: (1 << ((machine?.inputBits ?? 32) - 12)) - below(4)
        case 1: host.random.next() >> below(64)
        case 2...5: 0x200 - 3 + below(6)
        default: 0x400 + below(24)
        }
    }

    mutating func call() -> CallRegisters {
        let handle = handle()
        let machine = state.machines[handle]
        switch state.machines.count < 2 && below(3) == 0 ? 0 : below(20) {
        case 0, 1:
            let bits: UInt64 = [32, 36, 39, 40, 42, 44, 48, 31, 49][Int(below(9))]
            let count: UInt64 = below(6) == 0 ? below(600) : 1 << (1 + below(5))
            return CallRegisters(
                .createVM, below(16) == 0 ? below(5) : below(2), bits, pages(count, aligned: count & (0 &- count)),
                count)
        case 2, 3: return CallRegisters(.donateToVM, handle, pages(1), below(10) == 0 ? host.count() : 1 + below(12))
        case 4, 19:
            return CallRegisters(
                .createVCPU, handle, below(10) == 0 ? below(70) : below(3), pages(4, aligned: 4),
                below(12) == 0 ? below(4) : below(2))
        case 5..<9:
            if below(6) == 0 {
                // Both sides aligned: a block.
                return CallRegisters(.mapGuest, handle, 0x200, 0x42000, 512, 3)
            }
            return CallRegisters(
                .mapGuest, handle, guestPage(machine), pages(1), below(20) == 0 ? host.count() : 1 + below(8),
                below(20) == 0 ? below(8) : below(4))
        case 9..<12:
            let counts: [UInt64] = [host.count(), 1 << below(30), 400 + below(900)]
            return CallRegisters(
                .unmapGuest, handle, guestPage(machine), below(6) == 0 ? counts[Int(below(3))] : 1 + below(8))
        case 12..<15:
            return CallRegisters(
                .donateToGuest, handle, guestPage(machine), pages(1), below(20) == 0 ? host.count() : 1 + below(8),
                below(20) == 0 ? below(4) : below(2))
        case 15: return CallRegisters(.allowMMIO, handle, guestPage(machine) &+ 0x1000, 1 + below(8))
        case 16, 17: return CallRegisters(.topUp, pages(1), 1 + below(8))
        case 18:
            let vcpu = machine?.vcpus.keys.min() ?? 0
            return CallRegisters(.resetVCPU, handle, below(6) == 0 ? below(4) : vcpu, below(8) == 0 ? 2 : below(2))
        default: return CallRegisters(.reclaimPool)
        }
    }

    mutating func step() throws {
        try deed()
        try host.audit()
    }

    private mutating func deed() throws {
        let cpu = Int(below(UInt64(bench.plan.cpuCount)))
        // The host does with its own MMU what it likes.
        if below(8) == 0 {
            let processor = bench.machine[cpu: cpu]
            processor.write(.sctlrEL1, processor.read(.sctlrEL1) ^ 1)
        }
        switch below(12) {
        case 0, 1: try run(on: cpu)
        case 2 where below(6) == 0: try destroy(on: cpu)
        case 3, 4: try touch(on: cpu)
        default:
            _ = try make(call(), on: cpu)
        }
    }

    /// Makes a call and holds its answer against the specification.
    private mutating func make(_ call: CallRegisters, on cpu: Int) throws -> CallRegisters {
        let observing = bench.observation(before: state)
        let answer = bench.hvc(call, on: cpu)
        if let name = HostCall(rawValue: UInt32(truncatingIfNeeded: call.x0)),
            let status = CallStatus(rawValue: Int64(bitPattern: answer.x0))
        {
            tally[name, default: [:]][status, default: 0] += 1
        }
        do {
            state = try state.after(call, on: cpu, answer: answer, observing: observing)
        } catch {
            throw RandomHost.Failure("\(call): \(error)")
        }
        return answer
    }

    private mutating func run(on cpu: Int) throws {
        guard let handle = state.machines.keys.sorted().randomElement(using: &host.random),
            let machine = state.machines[handle], let index = machine.vcpus.keys.min()
        else { return }
        guest.due = machine
        guest.pages =
            (0..<12).map { _ in guestPage(machine) & ((1 << 40) - 1) } + machine.mappings.keys.sorted().prefix(4)
        let call = RunCall(VCPUName(handle, index))
        let refusals = state.refusals(of: call)
        let answer = bench.hvc(CallRegisters(.runVCPU, handle, index), on: cpu)
        guest.due = nil
        if let trouble = guest.trouble { throw RandomHost.Failure(trouble) }
        guard let status = CallStatus(rawValue: Int64(bitPattern: answer.x0)),
            refusals.isEmpty ? status == .success : refusals.contains(status)
        else { throw RandomHost.Failure("runVCPU answered \(answer)") }
        tally[.runVCPU, default: [:]][status, default: 0] += 1
        guard status == .success else { return }
        let start: RunStart
        (state, start) = state.afterRunBegins(call, on: cpu)
        if case .entered = start, let registers = state.vcpu(call.vcpu)?.registers {
            (state, _) = state.after(
                .interrupt, of: call.vcpu, registers, InterruptsLeft(lists: [0, 0, 0, 0], endCount: 0), syndrome: (0, 0)
            )
        }
        // The host is the host again.
        let somewhere = 0x40000 + below(0x400)
        guard
            state.page(somewhere) != .host
                || bench.touch(somewhere << pageShift, .execute, on: cpu) == somewhere
        else {
            throw RandomHost.Failure("after a run the host does not reach its memory")
        }
    }

    /// Some steps of an end, of a VM that is ending already if there is one; half of the time all of them.
    private mutating func destroy(on cpu: Int) throws {
        let handles = state.machines.keys.sorted()
        guard
            let handle = handles.first(where: { state.machines[$0]?.life == .ending })
                ?? handles.randomElement(using: &host.random),
            let machine = state.machines[handle]
        else { return }
        let memory = machine.kind == .protected ? Set(machine.mappings.values.map(\.frame)) : []
        for _ in 0..<(below(2) == 0 ? 200_000 : below(60)) {
            let answer = try make(CallRegisters(.destroyVM, handle), on: cpu)
            if answer.x0 == UInt64(bitPattern: CallStatus.noMemory.rawValue) {
                _ = try make(CallRegisters(HostCall.topUp, 0x41800, 64), on: cpu)
            }
            guard state.machines[handle] != nil else { break }
        }
        for frame in machine.ownPages.union(memory)
        where state.page(frame) == .host && !bench.machine.isZero(Frame(frame)) {
            throw RandomHost.Failure("frame \(hex(frame)) came back with something in it")
        }
        if state.machines[handle] == nil { _ = try make(CallRegisters(.destroyVM, handle), on: cpu) }
    }

    private mutating func touch(on cpu: Int) throws {
        let frame = pages(1) & ((1 << 36) - 1)
        let kind = AccessKind.allCases[Int(below(3))]
        let reached = bench.touch(frame << pageShift, kind, on: cpu)
        switch state.reach(frame) {
        case .memory:
            if reached != frame { throw RandomHost.Failure("the host lost frame \(hex(frame))") }
            if below(3) == 0 {
                try? bench.machine.hostStore(bench.machine[cpu: cpu], Address(frame << pageShift), host.random.next())
            }
        case .device: if kind != .execute, reached != frame { throw RandomHost.Failure("device \(hex(frame))") }
        case .nothing: if reached != nil { throw RandomHost.Failure("the host reaches \(hex(frame))") }
        case .sink:
            if let reached, reached == frame || kind == .execute || state.page(reached) == .guest {
                throw RandomHost.Failure("the host reaches \(hex(reached)) at a guest's frame \(hex(frame))")
            }
        }
    }

    /// All tables of all VMs.
    func compare() throws {
        try host.compare(stride: 97)
        if let first = bench.guestTableDifferences(state).first { throw RandomHost.Failure(first) }
    }
}

@Suite("A host that does random things with VMs")
struct RandomMachineTests {
    @Test(
        "never makes specification, ledger and tables disagree",
        arguments: ["two CPUs", "48-bit addresses and features"], Seeds.few(4))
    func agrees(_ name: String, _ seed: UInt64) throws {
        let plan = try #require(plans.first { $0.name == name }).plan
        var user = RandomHypervisorUser(try HostBench.finalised(plan), seed: seed)
        for step in 0..<200 {
            do {
                try user.step()
                if step % 5 == 0 || !user.bench.machine.violations.isEmpty { try user.compare() }
            } catch {
                Issue.record("seed \(seed), step \(step), \(name): \(error)")
                return
            }
        }
        try user.compare()
    }

    @Test("does them often enough, rightly and wrongly")
    func coverage() throws {
        var tally: [HostCall: [CallStatus: Int]] = [:]
        for seed in UInt64(1)...4 {
            var user = RandomHypervisorUser(try HostBench.finalised(), seed: seed)
            for _ in 0..<600 { try user.step() }
            for (name, counts) in user.tally { tally[name, default: [:]].merge(counts, uniquingKeysWith: +) }
        }
        for name in [
            HostCall.createVM, .donateToVM, .createVCPU, .resetVCPU, .mapGuest, .unmapGuest, .donateToGuest, .allowMMIO,
            .topUp,
        ] {
            let counts = tally[name] ?? [:]
            #expect(counts[.success, default: 0] >= 10, "\(name): \(counts)")
            #expect(counts.values.reduce(0, +) - counts[.success, default: 0] >= 10, "\(name): \(counts)")
        }
        #expect(tally[.runVCPU]?[.success] ?? 0 >= 20, "\(tally)")
        #expect(tally[.destroyVM]?[.success] ?? 0 >= 10, "\(tally)")
    }
}
