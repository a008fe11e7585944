// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Exits are counted by their reason.

import HypervisorInterface
import Testing

@testable import HypervisorCore

struct ExitCounterTests {
    @Test func `each exit has a counter of its own, in the order of the exits, on each CPU`() throws {
        let bench = try HostBench.finalised()
        let counters = (0..<2).map { cpu in
            ExitCounters(HypervisorAddressSpace.identity(bench.hypervisor.boot.dataPage(of: cpu)))
        }
        for exit in RunExit.allCases {
            for _ in 0...exit.rawValue { counters[0].add(exit, on: bench.machine[cpu: 0]) }
            counters[1].add(exit, on: bench.machine[cpu: 1])
        }
        let reader = bench.machine[cpu: 1]
        for exit in RunExit.allCases {
            let counter = Counter(of: exit)
            #expect(counters[0].count(of: counter, on: reader) == exit.rawValue + 1)
            #expect(bench.call(.counter, counter.rawValue).x1 == exit.rawValue + 2, "the sum")
        }
        #expect(counters[0].count(of: .guestPages, on: reader) == 0)
    }

    @Test(arguments: [VMKind.normal, .protected])
    func `a run counts once, a refused one not at all`(kind: VMKind) throws {
        let bench = try HostBench.finalised()
        let vm = try bench.makeVM(kind)
        func count(_ exit: RunExit) -> UInt64 { bench.call(.counter, Counter(of: exit).rawValue).x1 }
        let exits = [bench.run(vm), bench.run(vm), bench.run(vm, 7)].map(\.exit)
        #expect(exits.filter { $0 == .interrupt }.count >= 2)
        #expect(count(.interrupt) == 2)
        #expect(RunExit.allCases.allSatisfy { $0 == .interrupt || count($0) == 0 })
    }
}
