// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Exits are counted by their reason.

import HypervisorInterface
import Testing

@testable import HypervisorCore

struct ExitCounterTests {
    @Test func `each exit has a counter of its own, in the order of the exits`() {
        var counters = ExitCounters()
        for exit in RunExit.allCases {
            for _ in 0...exit.rawValue { counters.add(exit) }
        }
        for exit in RunExit.allCases { #expect(counters.count(of: Counter(of: exit)) == exit.rawValue + 1) }
        #expect(counters.count(of: .guestPages) == 0)
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
