// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The specification's own arithmetic, held against the plainest form of it: an array of pages.

import HypervisorInterface
import Specification
import Testing

@Suite("The specification")
struct AbstractStateTests {
    private func state() -> AbstractState {
        var state = AbstractState(
            Installation(
                ranges: [
                    Pages(first: 8, count: 2, .denied), Pages(first: 512, count: 2048, .host),
                    Pages(first: 2560, count: 8, .firmware), Pages(first: 3000, count: 100, .host),
                ], superpages: [1024], affinities: [0, 1]))
        state.confineAll()
        return state
    }

    private let nothingFree = Observation(freePages: 0) { _ in false }
    private let plenty = Observation(freePages: 100) { _ in false }
    private let done = CallRegisters(0)

    private func answer(_ status: CallStatus) -> CallRegisters { CallRegisters(UInt64(bitPattern: status.rawValue)) }

    @Test("splits and joins runs as single pages would")
    func runs() throws {
        var state = state()
        var plain = (0..<UInt64(4000)).map { state.page($0) }
        var seed: UInt64 = 7
        func below(_ limit: UInt64) -> UInt64 {
            seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return (seed >> 33) % limit
        }
        for _ in 0..<2000 {
            let first = below(3200), count = 1 + below(40)
            let isHost = plain[Int(first)..<Int(first + count)].allSatisfy { $0 == .host }
            if below(2) == 0 {
                let call = CallRegisters(HostCall.topUp, first, count)
                state = try state.after(call, on: 0, answer: isHost ? done : answer(.denied), observing: plenty)
                if isHost { for frame in first..<first + count { plain[Int(frame)] = .donated } }
            } else if plain[Int(first)] == .donated {
                let call = CallRegisters(HostCall.reclaimPool)
                state = try state.after(call, on: 0, answer: CallRegisters(0, first), observing: plenty)
                plain[Int(first)] = .host
            }
        }
        #expect((0..<UInt64(4000)).allSatisfy { state.page($0) == plain[Int($0)] })
        for (left, right) in zip(state.map, state.map.dropFirst()) {
            #expect(left.end < right.first || left.end == right.first && left.page != right.page)
        }
        #expect(state.count(.donated) == UInt64(plain.count { $0 == .donated }))
    }

    @Test("lets a donation succeed only for what the host owns")
    func donation() throws {
        let state = state()
        func isDenied(_ first: UInt64, _ count: UInt64) throws {
            let call = CallRegisters(HostCall.topUp, first, count)
            #expect(try state.after(call, on: 0, answer: answer(.denied), observing: plenty) == state)
            #expect(throws: Disagreement.self) { try state.after(call, on: 0, answer: done, observing: plenty) }
        }
        try isDenied(1023, 2)
        try isDenied(1024, 1)
        try isDenied(2559, 2)
        try isDenied(2560, 1)
        try isDenied(8, 1)
        try isDenied(100, 1)
        for (first, count) in [(512 as UInt64, 0 as UInt64), (512, 513), (UInt64.max, 2), (1 << 40, 1)] {
            let call = CallRegisters(HostCall.topUp, first, count)
            #expect(try state.after(call, on: 0, answer: answer(.invalidParameter), observing: plenty) == state)
        }
    }

    @Test("takes noMemory only when memory is short, and notFound only when nothing is there")
    func shortages() throws {
        let state = state()
        let gift = CallRegisters(HostCall.topUp, 600, 2)
        #expect(throws: Disagreement.self) {
            try state.after(gift, on: 0, answer: answer(.noMemory), observing: plenty)
        }
        #expect(try state.after(gift, on: 0, answer: answer(.noMemory), observing: nothingFree) == state)
        let given = try state.after(gift, on: 0, answer: done, observing: plenty)
        let reclaim = CallRegisters(HostCall.reclaimPool)
        #expect(throws: Disagreement.self) {
            try given.after(reclaim, on: 0, answer: answer(.notFound), observing: plenty)
        }
        let used = Observation(freePages: 100) { _ in true }
        #expect(try given.after(reclaim, on: 0, answer: answer(.notFound), observing: used) == given)
        #expect(throws: Disagreement.self) {
            try given.after(reclaim, on: 0, answer: CallRegisters(0, 599), observing: plenty)
        }
        #expect(try given.after(reclaim, on: 0, answer: CallRegisters(0, 600), observing: plenty).page(600) == .host)
    }

    @Test("knows which CPU may be started, and where")
    func power() throws {
        let state = state().afterCPUOff(1)
        let entry: UInt64 = 600 << 12
        let call = CallRegisters(0xC400_0003, 1, entry, 5)
        #expect(state.fate(of: call, offered: []) == .relayed)
        #expect(state.fate(of: CallRegisters(0xC400_0003, 0, entry), offered: []) == .answered(UInt64(bitPattern: -4)))
        #expect(state.fate(of: CallRegisters(0xC400_0003, 7, entry), offered: []) == .answered(UInt64(bitPattern: -2)))
        #expect(
            state.fate(of: CallRegisters(0xC400_0003, 1, 1024 << 12), offered: []) == .answered(UInt64(bitPattern: -9)))
        let starting = state.afterCPUOn(call)
        #expect(starting.fate(of: call, offered: []) == .answered(UInt64(bitPattern: -5)))
        let (running, at, context) = try starting.afterArrival(1)
        #expect(at == entry && context == 5)
        #expect(running.fate(of: call, offered: []) == .answered(UInt64(bitPattern: -4)))
        #expect(throws: Disagreement.self) { _ = try running.afterArrival(1) }
    }
}
