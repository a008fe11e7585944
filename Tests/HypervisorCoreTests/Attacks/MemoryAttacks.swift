// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A. The host against who owns memory.

import Arm
import HypervisorInterface
import Machine
import SimulatedMachine

@testable import HypervisorCore

typealias SimulatedViolation = Violation.Rule

extension SimulatedAttack {
    private static let page = HostBench.guestPages

    static let memory: [SimulatedAttack] = owners + tables + contents

    private static let owners: [SimulatedAttack] = [
        SimulatedAttack(id: "A01") { bench in
            _ = try bench.victim()
            for kind in AccessKind.allCases where bench.touch(page << 12, kind) == page {
                return "a \(kind) gets through"
            }
            return nil
        },
        SimulatedAttack(id: "A03") { bench in
            _ = try bench.victim()
            let other = try bench.makeVM(.protected, block: HostBench.vmBlock + 0x40)
            return bench.gain("two guests have one page", .donateToGuest, [other, 0x80000, page, 1, 1])
        },
        SimulatedAttack(id: "A03b") { bench in
            _ = try bench.victim()
            let normal = try bench.makeVM(.normal, block: HostBench.vmBlock + 0x40)
            return bench.gain("a normal guest has the page", .mapGuest, [normal, 0x80000, page, 1, 3])
        },
        SimulatedAttack(id: "A04") { bench in
            for frame in [bench.plan.imageBase + 1, bench.plan.poolStart, bench.plan.perCPUBase + 1] {
                if bench.call(.topUp, frame, 1).x0 == 0 { return "EL2 took its own page \(hex(frame))" }
            }
            return nil
        },
        SimulatedAttack(id: "A05") { bench in
            let vm = try bench.makeVM(.protected)
            // Firmware's memory, which shares a page of the ledger with RAM; devices; no address at all.
            for frame: UInt64 in [0x43F10, 0x9000, 1 << 40] {
                if let gain = bench.gain("\(hex(frame)) is the guest's", .donateToGuest, [vm, 0x80000, frame, 1, 1]) {
                    return gain
                }
                if bench.call(.topUp, frame, 1).x0 == 0 { return "\(hex(frame)) is EL2's" }
            }
            return nil
        },
        SimulatedAttack(id: "A06") { bench in
            let normal = try bench.makeVM(.normal)
            return bench.gain("a page beyond all addresses is mapped", .mapGuest, [normal, 1 << 28, page, 1, 3])
                ?? bench.gain("a range wraps", .mapGuest, [normal, UInt64.max, page, 2, 3])
        },
        SimulatedAttack(id: "A08") { bench in
            let vm = try bench.victim()
            var gain: String?
            bench.machine.guest = ScriptedGuest([
                { _, _ in
                    if bench.end(vm, on: 1), bench.touch(page << 12, on: 1) == page {
                        gain = "the host has the page under a running guest"
                    }
                    return .interrupt
                }
            ])
            _ = bench.run(vm)
            return gain
        },
        SimulatedAttack(id: "A17") { bench in
            let vm = try bench.victim()
            return bench.gain("the guest has a page that the host can write", .mapGuest, [vm, 0x80001, page + 1, 1, 3])
                ?? bench.gain("the guest lost a page", .unmapGuest, [vm, 0x80000, 1])
        },
    ]

    private static let tables: [SimulatedAttack] = [
        SimulatedAttack(id: "A11") { bench in
            let vm = try bench.makeVM(.protected)
            _ = bench.touch(page << 12, .write, on: 1)
            _ = bench.status(.donateToGuest, [vm, 0x80000, page, 1, 0])
            if bench.touch(page << 12, .write, on: 1) == page { return "CPU 1 still writes to the page" }
            return bench.found(.missingInvalidation, .incompleteInvalidation, .staleHypervisorTranslation)
        },
        SimulatedAttack(id: "A13") { bench in
            let vm = try bench.makeVM(.protected)
            _ = bench.status(.donateToGuest, [vm, 0x80000, page + 7, 1, 0])
            for neighbour in [page + 6, page + 8] where bench.touch(neighbour << 12) != neighbour {
                return "the host lost a neighbour"
            }
            return bench.found(.missingBreak, .makeBeforeInvalidation)
        },
        SimulatedAttack(id: "A13b") { bench in
            let vm = try bench.makeVM(.protected)
            let other = try bench.makeVM(.protected, block: HostBench.vmBlock + 0x40)
            _ = bench.status(.donateToGuest, [vm, 0x80000, page + 100, 1, 0])
            _ = bench.status(.donateToGuest, [other, 0x80000, page + 300, 1, 0])
            _ = bench.end(other)
            return bench.touch((page + 100) << 12) == page + 100 ? "a block covers the guest's page" : nil
        },
        SimulatedAttack(id: "A14") { bench in
            let vm = try bench.victim()
            let other = try bench.makeVM(.normal, block: HostBench.vmBlock + 0x40)
            return bench.gain("tables of another VM lie in the guest's page", .donateToVM, [other, page, 1])
                ?? bench.gain("a vCPU lies there", .createVCPU, [other, 1, page, 0])
                ?? bench.gain("the pool has it", .topUp, [page, 1])
                ?? bench.gain("the VM has it twice", .donateToVM, [vm, page, 1])
        },
        SimulatedAttack(id: "A15") { bench in
            let vm = try bench.makeVM(.normal)
            _ = bench.status(.donateToVM, [vm, page, 1])
            return bench.touch(page << 12, .write) == page ? "the host writes to a page for tables" : nil
        },
    ]

    private static let contents: [SimulatedAttack] = [
        SimulatedAttack(id: "A09") { bench in
            let vm = try bench.victim()
            _ = bench.end(vm)
            return bench.word(page) == 0x5EC2E7 ? "the host reads the guest's word" : nil
        },
        SimulatedAttack(id: "A09b") { bench in
            let vm = try bench.victim()
            _ = bench.end(vm)
            return bench.found(.notCleaned)
        },
        SimulatedAttack(id: "A18") { bench in
            let vm = try bench.victim()
            _ = bench.run(vm)
            bench.machine.poke(Address((page + 1) << 12), 0xBAD)
            _ = bench.status(.donateToGuest, [vm, 0x80001, page + 1, 1, GuestContent.kept.rawValue])
            return bench.report(page + 1) == .guest ? "the guest has the host's content" : nil
        },
    ]
}
