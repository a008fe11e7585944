// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The buddy allocator and the ledger entries that it lives in.

import Arm
import HypervisorInterface
import Machine
import SearchKit
import SimulatedMachine
import Specification
import Testing

@testable import HypervisorCore

@Suite("The page pool")
struct PagePoolTests {
    /// Frames of the pool that are free, as the ledger tells it, and whether it tells it rightly.
    private func freeFrames(_ bench: HostBench, _ state: borrowing MemoryState) -> Set<UInt64> {
        let cpu = bench.machine[cpu: 0]
        var free: Set<UInt64> = []
        for range in bench.plan.ranges where range.page == .host {
            var frame = range.first
            while frame < range.end {
                if case .hypervisor(.free(let origin, let order)) = state.ledger.state(of: Frame(frame), on: cpu) {
                    let size: UInt64 = 1 << UInt64(order)
                    #expect(frame & (size - 1) == 0, "a block is aligned to its size")
                    for tail in frame + 1..<frame + size {
                        let state = state.ledger.state(of: Frame(tail), on: cpu)
                        #expect(state == .hypervisor(.freeTail(origin)))
                        if state != .hypervisor(.freeTail(origin)) { return free }
                    }
                    free.formUnion(frame..<frame + size)
                    frame += size
                } else {
                    frame += 1
                }
            }
        }
        return free
    }

    @Test("hands no page out twice and loses none", arguments: Seeds.few(2))
    func random(_ seed: UInt64) throws {
        let bench = try HostBench.finalised()
        let cpu = bench.machine[cpu: 0]
        var random = SeededGenerator(seed: seed)
        bench.hypervisor.memory.withLock(on: cpu) { state in
            let atFirst = freeFrames(bench, state)
            #expect(UInt64(atFirst.count) == state.pool.freePages)
            var taken: [UInt64] = []
            for _ in 0..<400 {
                if random.next() % 2 == 0 || taken.isEmpty {
                    guard let frame = state.pool.takeTable(on: cpu)?.number else { continue }
                    #expect(atFirst.contains(frame) && !taken.contains(frame), "seed \(seed)")
                    #expect(bench.machine.isZero(Frame(frame)))
                    cpu.store64(Address(frame << pageShift), random.next())
                    taken.append(frame)
                } else {
                    let frame = taken.remove(at: Int(random.next() % UInt64(taken.count)))
                    state.pool.returnTable(Frame(frame), on: cpu)
                }
                #expect(state.pool.freePages == UInt64(atFirst.count - taken.count))
            }
            for frame in taken { state.pool.returnTable(Frame(frame), on: cpu) }
            #expect(freeFrames(bench, state) == atFirst, "seed \(seed)")
        }
        bench.expectNoViolations()
    }

    @Test("puts buddies together up to 2 MiB, and no further")
    func merging() throws {
        let bench = try HostBench.finalised()
        let cpu = bench.machine[cpu: 0]
        bench.hypervisor.memory.withLock(on: cpu) { state in
            func order(_ frame: UInt64) -> UInt8? {
                guard case .hypervisor(.free(_, let order)) = state.ledger.state(of: Frame(frame), on: cpu) else {
                    return nil
                }
                return order
            }
            // The last superpage was never touched: one block of the largest size.
            #expect(order(bench.plan.moreSuperpages[1]) == PagePool.maximumOrder)
            var taken: [UInt64] = []
            while state.pool.freePages > 0, let frame = state.pool.takeTable(on: cpu)?.number { taken.append(frame) }
            #expect(state.pool.takeTable(on: cpu) == nil)
            for frame in taken.reversed() { state.pool.returnTable(Frame(frame), on: cpu) }
            #expect(order(bench.plan.moreSuperpages[1]) == PagePool.maximumOrder)
        }
    }

    @Test("keeps donated pages apart from those that can never go back")
    func origins() throws {
        let bench = try HostBench.finalised()
        // Two halves of 2 MiB whose other halves are not the pool's.
        #expect(bench.call(.topUp, 0x42000, 256).x0 == 0)
        #expect(bench.call(.topUp, 0x42300, 256).x0 == 0)
        let cpu = bench.machine[cpu: 0]
        bench.hypervisor.memory.withLock(on: cpu) { state in
            #expect(state.ledger.state(of: Frame(0x42000), on: cpu) == .hypervisor(.free(.toppedUp, order: 8)))
            #expect(Bool(state.pool.hasToppedUpPages))
            var taken: Set<UInt64> = []
            while let frame = state.pool.takeToppedUp(on: cpu)?.number { taken.insert(frame) }
            #expect(taken == Set(0x42000..<0x42100).union(0x42300..<0x42400))
            #expect(Bool(!state.pool.hasToppedUpPages))
            for frame in taken { state.pool.returnTable(Frame(frame), on: cpu) }
            #expect(state.ledger.state(of: Frame(0x42300), on: cpu) == .hypervisor(.free(.toppedUp, order: 8)))
        }
        #expect(bench.call(.counter, 1).x1 == bench.observation.freePages)
    }

    @Test("leaves a reserve for changes of ownership, and limits devices' tables")
    func reserve() throws {
        let bench = try HostBench.finalised()
        let cpu = bench.machine[cpu: 0]
        bench.hypervisor.memory.withLock(on: cpu) { state in
            state.pool.purpose = .deviceMapping
            var taken: [Frame<HostPhysical>] = []
            while let frame = state.pool.takeTable(on: cpu) { taken.append(frame) }
            #expect(UInt64(taken.count) <= PagePool.deviceTableLimit)
            for frame in taken { state.pool.returnTable(frame, on: cpu) }
            state.pool.forgetDeviceTables()
            state.pool.purpose = .ownershipChange
            taken = []
            while state.pool.freePages > PagePool.ownershipThreshold, let frame = state.pool.takeTable(on: cpu) {
                taken.append(frame)
            }
            #expect(Bool(state.pool.canChangeOwnership))
            #expect(state.pool.takeTable(on: cpu) != nil)
            #expect(Bool(!state.pool.canChangeOwnership))
            while state.pool.freePages > PagePool.reserve, let frame = state.pool.takeTable(on: cpu) {
                taken.append(frame)
            }
            state.pool.purpose = .deviceMapping
            #expect(state.pool.takeTable(on: cpu) == nil, "devices do not get the reserve")
            state.pool.purpose = .ownershipChange
            #expect(state.pool.takeTable(on: cpu) != nil)
        }
    }
}

@Suite("A pool that runs low")
struct LowPoolTests {
    /// One superpage for a GiB of RAM: tables become scarce soon.
    private func bench() throws -> HostBench {
        var plan = Plan()
        plan.ranges = [Pages(first: 0x40000, count: 0x40000, .host)]
        plan.moreSuperpages = []
        return try HostBench.finalised(plan)
    }

    @Test("refuses before a change could fail half-way, and can always be helped")
    func recovery() throws {
        let bench = try bench()
        var state = AbstractState(bench.plan.installation)
        state.confineAll()
        var calls = 0
        // Single pages of different blocks each take more tables than they bring.
        for block in UInt64(8)..<500 {
            let call = CallRegisters(HostCall.topUp, 0x40000 + block * 512 + 7, 1)
            let before = bench.observation
            let answer = bench.hvc(call)
            state = try state.after(call, on: 0, answer: answer, observing: before)
            calls += 1
            if answer.x0 != 0 { break }
        }
        #expect(calls > 20 && calls < 490, "\(calls) donations")
        #expect(bench.differences(from: state) == [])
        let reclaim = CallRegisters(HostCall.reclaimPool)
        let before = bench.observation
        state = try state.after(reclaim, on: 0, answer: bench.hvc(reclaim), observing: before)
        // A larger gift brings more than it takes, and is never refused.
        for block in UInt64(3)..<7 {
            #expect(bench.call(.topUp, 0x40000 + block * 512 + 100, 32).x0 == 0)
        }
        #expect(bench.call(.reclaimPool).x0 == 0)
        bench.expectNoViolations()
    }

    @Test("still answers device accesses, by taking other devices' mappings away")
    func devices() throws {
        let bench = try bench()
        for block in UInt64(8)..<500 {
            guard bench.call(.topUp, 0x40000 + block * 512 + 7, 1).x0 == 0 else { break }
        }
        for gibibyte in UInt64(2)..<60 {
            #expect(bench.touch(gibibyte << 30 | 0x5000, .read) == gibibyte << 18 | 5)
        }
        #expect(bench.call(.topUp, 0x40600, 64).x0 == 0)
        bench.expectNoViolations()
    }
}

@Suite("The ledger")
struct LedgerTests {
    @Test("reads back what was recorded, and nothing else")
    func roundTrip() {
        var states: [PageState] = [.exclusiveToHost, .host(lent: 1), .host(lent: PageState.maximumLent)]
        for origin in [PageState.Origin.superpage, .toppedUp] {
            states += [.hypervisor(.occupied(origin)), .hypervisor(.freeTail(origin))]
            states += (0...UInt8(9)).map { .hypervisor(.free(origin, order: $0)) }
        }
        for state in states { #expect(PageState(bits: state.bits) == state) }
        #expect(Set(states.map(\.bits)).count == states.count)
        #expect(PageState(bits: 0) == nil)
        #expect(PageState(bits: 0xF) == nil)
    }

    @Test("takes four bytes a page, in the upper half of EL2's addresses")
    func layout() {
        #expect(Ledger.entrySize == 4)
        #expect(Ledger.entryAddress(of: Frame(0)).rawValue == 1 << 47)
        #expect(Ledger.entryAddress(of: Frame((1 << 36) - 1)).rawValue < 1 << 48)
    }

    @Test("knows the kind of every frame of the address map")
    func map() throws {
        let bench = try HostBench.finalised(try #require(plans.last).plan)
        let state = AbstractState(bench.plan.installation)
        bench.hypervisor.memory.withLock(on: bench.machine[cpu: 0]) { memory in
            for range in bench.plan.ranges {
                for frame in [range.first - 1, range.first, range.end - 1, range.end] {
                    let report = memory.report(Frame(frame), on: bench.machine[cpu: 0])
                    switch state.page(frame) {
                    case .device, .denied: #expect(report == .notMemory)
                    case .host: #expect(report == .host)
                    case .installed, .donated, .machine: #expect(report == .hypervisor)
                    case .guest: #expect(report == .guest)
                    case .firmware: #expect(report == .firmware)
                    }
                }
            }
        }
    }
}
