// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The audit that an image for tests makes at its exits, made on the simulated machine: it agrees with what
// the hypervisor does, and notices what it must not have done.

import Arm
import Audit
import HypervisorCore
import HypervisorInterface
import SearchKit
import SimulatedMachine
import Specification
import TableWalker
import Testing

@Suite struct AuditTests {
    /// A player whose host is audited from the beginning.
    private func player(cpus: Int = 1) throws -> Player {
        var plan = Plan()
        plan.cpuCount = cpus
        let player = try Player(plan)
        player.host.beginAudit()
        return player
    }

    @Test(arguments: [1, 2])
    func agreesWithRandomPrograms(cpus: Int) throws {
        let player = try player(cpus: cpus)
        var calls: UInt64 = 0
        var faults: UInt64 = 0
        var runs: UInt64 = 0
        var guestPages: UInt64 = 0
        var all: UInt64 = 0
        for seed in UInt64(1)...12 {
            if let finding = player.search(seed: seed, steps: 400) {
                let short = player.shrink(finding)
                Issue.record("seed \(seed): \(short.reason)\n\(short.program)")
                return
            }
            // Each program has an audit of its own.
            let counts = try #require(player.host.audit).counts
            calls += counts.calls
            faults += counts.faults
            runs += counts.runs
            guestPages += counts.guestPages
            all += counts.all
        }
        #expect(calls > 2000 && faults > 100 && runs > 100, "\(calls) calls, \(faults) faults, \(runs) runs")
        #expect(guestPages > 2000 && all > 50, "\(guestPages) pages of guests, \(all) times everything")
    }

    /// Traps after which all of memory was looked at, with a margin.
    private let round = 600 * Audit.questionsPerSlice

    private func complaintAfter(_ change: (SimulatedHost) -> Void) throws -> String? {
        let player = try player()
        let host = player.host
        host.call(.version)
        #expect(host.complaints.isEmpty)
        change(host)
        for _ in 0..<round where host.complaints.isEmpty { host.call(.version) }
        return host.complaints.first
    }

    @Test func noticesAnEntryOfTheLedger() throws {
        let complaint = try complaintAfter { host in
            Ledger().record(.host(lent: 1), of: Frame(0x42345), on: host.machine[cpu: 0])
        }
        #expect(complaint?.contains("0x42345") == true && complaint?.contains("ledger") == true)
    }

    /// The tables on the way to a page.
    private func tables(
        to page: UInt64, in shape: WalkShape, _ regime: Regime, _ machine: SimulatedMachine
    ) -> [UInt64] {
        var found: [UInt64] = []
        machine.forEachLeaf(of: shape, regime, in: page..<page + 1, foundTable: { found.append($0) }) { _, _, _ in
            true
        }
        return found
    }

    /// The table of a tree that has the entry of 2 MiB, and where in it that is.
    private func entry(of page: UInt64, in shape: WalkShape, _ regime: Regime, _ machine: SimulatedMachine) -> UInt64 {
        tables(to: page, in: shape, regime, machine)[Int(2 - shape.startLevel)] << 12 | (page >> 9 & 511) << 3
    }

    @Test func noticesWhatTheHostLost() throws {
        let complaint = try complaintAfter { host in
            let registers = host.hypervisor.hostRegisters
            guard let shape = WalkShape(vttbr: registers.vttbr, vtcr: registers.vtcr) else { return }
            let entry = entry(of: 0x42345, in: shape, .stage2, host.machine)
            host.machine[cpu: 0].store64(Address(entry), 0)
        }
        #expect(complaint?.contains("the host's, not in the host's tables: 0x42") == true)
    }

    @Test func noticesWhatTheHostReaches() throws {
        let complaint = try complaintAfter { host in
            let registers = host.hypervisor.hostRegisters
            guard let shape = WalkShape(vttbr: registers.vttbr, vtcr: registers.vtcr) else { return }
            let entry = entry(of: 0x42345, in: shape, .stage2, host.machine)
            let cpu = host.machine[cpu: 0]
            // The 2 MiB are EL2's now, all of them.
            let bits = cpu.load64(Address(entry)) & ~0xFFFF_FFFF_F000
            cpu.store64(Address(entry), bits | host.plan.superpages[0] << 12)
        }
        #expect(complaint?.contains("the host maps in no way that is due: 0x42") == true)
    }

    @Test func noticesWhatEL2Maps() throws {
        let complaint = try complaintAfter { host in
            let cpu = host.machine[cpu: 0]
            let root = host.hypervisor.hypervisorRoot(on: cpu).address.rawValue
            guard let shape = WalkShape(ttbr: root, tcr: 16) else { return }
            let installed = entry(of: host.plan.superpages[0], in: shape, .hypervisor, host.machine)
            let entry = installed & ~0xFFF | (0x42345 >> 9 & 511) << 3
            // A block of the host's, writable, in the same table of level 2.
            cpu.store64(Address(entry), 0x42200 << 12 | 1 << 54 | 1 << 10 | 3 << 8 | 1)
        }
        #expect(complaint?.contains("the host's, not in EL2's tables: 0x42") == true)
    }

    @Test func noticesWhatAGuestMaps() throws {
        let complaint = try complaintAfter { host in
            let cpu = host.machine[cpu: 0]
            let handle = host.hvc(CallRegisters(.createVM, VMKind.normal.rawValue, 40, 0x42000, 16)).x1
            let answer = host.hvc(CallRegisters(.mapGuest, handle, 0x100, 0x42100, 4, 3))
            #expect(handle != 0 && answer.x0 == 0 && host.complaints.isEmpty)
            guard let shape = WalkShape(guestRoot: 0x42000, inputBits: 40) else { return }
            let tables = tables(to: 0x100, in: shape, .stage2, host.machine)
            let entry = Address<HypervisorVirtual>(tables[2] << 12 | 0x100 << 3)
            // Another page of the host's, which it has not lent.
            cpu.store64(entry, cpu.load64(entry) & ~0xFFFF_FFFF_F000 | 0x42180 << 12)
        }
        #expect(complaint?.contains("a guest maps what is not its own: 0x42180") == true)
    }

    /// What the audit makes of an answer that the hypervisor never gave.
    private func difference(
        _ exceptionClass: UInt64, _ call: CallRegisters, answer: CallRegisters
    ) throws -> Difference? {
        let player = try player()
        let audit = try #require(player.host.audit)
        let host = player.host
        var frame = HostFrame()
        frame.syndrome = exceptionClass << 26 | 1 << 25
        frame.x[0] = call.x0
        frame.x[1] = call.x1
        let trap = audit.begin(frame, on: 0, host.hypervisor, on: host.machine[cpu: 0])
        frame.x[0] = answer.x0
        frame.x[1] = answer.x1
        return #expect(throws: Difference.self) {
            try audit.end(trap, frame, on: 0, host.hypervisor, on: host.machine[cpu: 0])
        }
    }

    @Test func noticesAnAnswer() throws {
        let difference = try difference(
            0x16, CallRegisters(.pageReport, 0x42000), answer: CallRegisters(0, PageReport.guest.rawValue))
        #expect(difference?.description.contains("x1") == true)
    }

    @Test func noticesAnAnswerOfFirmware() throws {
        let difference = try difference(0x17, CallRegisters(0xC200_0001), answer: CallRegisters(0))
        #expect(difference?.description == "SMC was answered: 0x0")
    }
}
