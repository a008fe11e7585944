// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Faults of the host at frames of every kind: none may reach what the ledger does not have.

import Arm
import HypervisorInterface
import Machine
import SearchKit
import SimulatedMachine
import Testing

@testable import HypervisorCore

@Suite struct HostFaultTests {
    @Test(arguments: plans.map(\.name))
    func `a kernel's access to any frame is answered`(_ name: String) throws {
        let plan = try #require(plans.first { $0.name == name }).plan
        let bench = try HostBench.finalised(plan)
        let cpu = bench.machine[cpu: 0]
        // Each range and what lies around it, the ends of what a table can hold, and beyond.
        var frames: [UInt64] = [0, 1 << 20, 1 << 24, 1 << 28, 1 << 36, (1 << 40) - 1]
        for range in plan.ranges {
            for edge in [range.first, range.first + range.count] {
                frames += [edge &- 1, edge, edge + 1, edge + 511, edge + 1023]
            }
        }
        for frame in frames {
            // A user's process may try again and again; the kernel's access needs a way out at once.
            for access in Array(repeating: HostAccessKind.other, count: 20) + [.kernelData, .kernelData] {
                bench.hypervisor.memory.withLock(on: cpu) { state in
                    let answer = state.answerHostFault(at: Frame(frame & ((1 << 40) - 1)), by: access, of: 0, on: cpu)
                    #expect(answer != .sunk, "no guest owns frame \(frame)")
                }
            }
        }
        bench.expectNoViolations()
    }

    @Test func `refusals are counted on each CPU`() {
        var refusals = HostRefusals()
        for _ in 0..<16 {
            for cpu in 0..<4 {
                let isTooMany = refusals.isTooMany(Frame(0x1000 + UInt64(cpu)), cpu: cpu)
                #expect(!isTooMany)
            }
        }
        for cpu in 0..<4 {
            let isTooMany = refusals.isTooMany(Frame(0x1000 + UInt64(cpu)), cpu: cpu)
            #expect(isTooMany)
        }
        let begins = refusals.isTooMany(Frame(0x2000), cpu: 0)
        #expect(!begins)
    }
}
