// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Random programs of a host, half of whose calls are valid. After every step the answer, the
// ledger, the host's tables and EL2's are held against the specification.

import Arm
import HypervisorInterface
import Machine
import SearchKit
import SimulatedMachine
import Specification
import Testing

@testable import HypervisorCore

/// A host that does random things.
struct RandomHost {
    let bench: HostBench
    let auditor: Auditor
    var state: AbstractState
    var random: SeededGenerator

    init(_ bench: HostBench, seed: UInt64) {
        self.bench = bench
        var state = AbstractState(bench.plan.installation)
        state.confineAll()
        self.state = state
        auditor = Auditor(bench, state)
        random = SeededGenerator(seed: seed)
    }

    mutating func below(_ limit: UInt64) -> UInt64 { random.next() % limit }

    /// A frame at or near something that matters.
    mutating func frame() -> UInt64 {
        let ranges = bench.plan.ranges
        let range = ranges[Int(below(UInt64(ranges.count)))]
        switch below(8) {
        case 0: return range.first &- 1 &+ below(3)
        case 1: return range.first + range.count - 1 + below(3)
        case 2: return bench.plan.imageBase + below(512)
        case 3: return random.next() >> below(64)
        case 4:
            // Where the last donations were.
            let donated = state.donatedPages
            return donated.isEmpty ? range.first : donated[Int(below(UInt64(donated.count)))]
        default: return range.first + below(range.count)
        }
    }

    /// A count that is small, around a limit, or absurd.
    mutating func count() -> UInt64 {
        switch below(10) {
        case 0: return 510 + below(5)
        case 1: return random.next() >> below(64)
        case 2, 3: return 1 + below(512)
        case 4: return 0
        default: return 1 + below(6)
        }
    }

    /// A call, valid about half of the time.
    mutating func call() -> CallRegisters {
        switch below(16) {
        case 0..<5: return CallRegisters(HostCall.topUp, frame(), count())
        case 5:
            // A whole superpage: the case in which blocks are made and unmade.
            return CallRegisters(HostCall.topUp, frame() & ~511, 512)
        case 6..<11: return CallRegisters(HostCall.reclaimPool)
        case 11, 12: return CallRegisters(HostCall.pageReport, frame())
        case 13: return CallRegisters(HostCall.counter, below(32))
        case 14: return CallRegisters(UInt64(0xC600_4000) + below(0x20) | below(4) << 32 | below(2) << 16, frame(), 1)
        default: return CallRegisters(random.next() >> below(64) | 0x100, frame(), count())
        }
    }

    /// One step: a call or an access, after which everything that it may have changed is compared.
    mutating func step() throws {
        try deed()
        try audit()
    }

    /// Whatever has changed must be as the specification has it now.
    func audit() throws {
        if let first = auditor.differences(from: state).first { throw Failure(first) }
    }

    private mutating func deed() throws {
        let cpu = Int(below(UInt64(bench.plan.cpuCount)))
        if below(4) == 0 {
            try access(on: cpu)
            return
        }
        let call = call()
        // HVC 0…3 are the kernel stub's calls, of which one means something here.
        let before = bench.observation
        let used = Set(state.donatedPages.filter { before.isInUse($0) })
        let answer = bench.hvc(call, on: cpu)
        let observing = Observation(freePages: before.freePages, isInUse: { used.contains($0) })
        do {
            let next = try state.after(call, on: cpu, answer: answer, observing: observing)
            if answer.x0 == 0, UInt32(truncatingIfNeeded: call.x0) & ~0x1_0000 == HostCall.reclaimPool.rawValue {
                #expect(bench.machine.isZero(Frame(answer.x1)), "a page that comes back is zero")
            }
            state = next
        } catch {
            throw Failure("\(call): \(error)")
        }
    }

    private mutating func access(on cpu: Int) throws {
        let frame = frame() & ((1 << 40) - 1)
        let kind = AccessKind.allCases[Int(below(3))]
        let reached = bench.touch(frame << pageShift | below(512) * 8, kind, on: cpu)
        let due: UInt64? =
            switch state.reach(frame) {
            case .memory: frame
            case .device: kind == .execute ? nil : frame
            case .nothing, .sink: nil
            }
        if reached != due { throw Failure("\(kind) of frame \(hex(frame)) reached \(String(describing: reached))") }
        if reached != nil, state.page(frame) == .host {
            try? bench.machine.hostStore(bench.machine[cpu: cpu], Address(frame << pageShift), random.next())
        }
    }

    /// Everything must agree.
    func compare(stride: UInt64 = 1) throws {
        if let first = bench.differences(from: state, stride: stride).first { throw Failure(first) }
        if let first = bench.machine.violations.first { throw Failure(first.description) }
    }

    struct Failure: Error, CustomStringConvertible {
        let description: String
        init(_ description: String) { self.description = description }
    }
}

@Suite("A host that does random things")
struct RandomCallTests {
    @Test("never makes specification, ledger and tables disagree", arguments: plans.map(\.name), Seeds.few(2))
    func agrees(_ name: String, _ seed: UInt64) throws {
        let plan = try #require(plans.first { $0.name == name }).plan
        var host = RandomHost(try HostBench.finalised(plan), seed: seed)
        for step in 0..<150 {
            do {
                try host.step()
                if step % 10 == 0 || !host.bench.machine.violations.isEmpty { try host.compare(stride: 61) }
            } catch {
                Issue.record("seed \(seed), step \(step), \(name): \(error)")
                return
            }
        }
        try host.compare()
    }

    @Test("gets everything back that it gave", arguments: Seeds.few(2))
    func returnsEverything(_ seed: UInt64) throws {
        var host = RandomHost(try HostBench.finalised(), seed: seed)
        let blocks = try #require(host.bench.machine.hostLeaves(host.bench.machine[cpu: 0]))
        for _ in 0..<40 { try host.step() }
        let gift = CallRegisters(HostCall.topUp, 0x42000, 512)
        let seen = host.bench.observation
        host.state = try host.state.after(gift, on: 0, answer: host.bench.hvc(gift), observing: seen)
        var returned = 0
        while true {
            let call = CallRegisters(HostCall.reclaimPool)
            let before = host.bench.observation
            let answer = host.bench.hvc(call)
            host.state = try host.state.after(call, on: 0, answer: answer, observing: before)
            guard answer.x0 == 0 else { break }
            returned += 1
        }
        try host.compare()
        let left = host.state.count(.donated)
        #expect(left == 0, "seed \(seed): \(left) pages did not come back")
        let after = try #require(host.bench.machine.hostLeaves(host.bench.machine[cpu: 0]))
        #expect(after.blocks2M >= blocks.blocks2M, "seed \(seed): blocks were not put together again")
        #expect(returned > 0)
    }

    @Test("cannot reach a page between its donation and its return, whatever another CPU does", arguments: Seeds.few(3))
    func interposed(_ seed: UInt64) throws {
        let bench = try HostBench.finalised()
        var host = RandomHost(bench, seed: seed)
        let other = bench.machine[cpu: 1]
        let spy = Spy(machine: bench.machine, seed: seed)
        for step in 0..<60 {
            // A run of pages somewhere, and a spy that writes into it at every step EL2 makes.
            let first = 0x40000 + host.below(0x3E00)
            spy.frames = (first, 1 + host.below(40))
            bench.machine.beforeStep = { cpu in if cpu.index == 0 { spy.write(as: other) } }
            let call =
                step % 3 == 2
                ? CallRegisters(HostCall.reclaimPool) : CallRegisters(HostCall.topUp, spy.frames.0, spy.frames.1)
            let before = bench.observation
            let answer = bench.hvc(call, on: 0)
            bench.machine.beforeStep = nil
            host.state = try host.state.after(call, on: 0, answer: answer, observing: before)
            if answer.x0 == 0, step % 3 != 2 {
                for frame in spy.frames.0..<spy.frames.0 + spy.frames.1 {
                    #expect(bench.touch(frame << pageShift, .write, on: 1) == nil, "seed \(seed), step \(step)")
                }
            }
        }
        try host.compare()
        #expect(spy.writes > 0)
    }

    /// Writes junk wherever it can, through the host's tables.
    final class Spy: @unchecked Sendable {
        let machine: SimulatedMachine
        var random: SeededGenerator
        var frames: (UInt64, UInt64) = (0, 0)
        var writes = 0

        init(machine: SimulatedMachine, seed: UInt64) {
            self.machine = machine
            random = SeededGenerator(seed: seed)
        }

        func write(as cpu: SimulatedCPU) {
            let frame = frames.0 + random.next() % frames.1
            if (try? machine.hostStore(cpu, Address(frame << pageShift | random.next() % 2 * 8), random.next())) != nil
            {
                writes += 1
            }
        }
    }
}
