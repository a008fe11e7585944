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
    private let round = 600

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

    @Test func noticesTheHostsTables() throws {
        let complaint = try complaintAfter { host in
            // The first GiB of RAM is gone.
            let root = Address<HypervisorVirtual>(host.hypervisor.hostRegisters.vttbr & 0xFFFF_FFFF_F000)
            let entry = root.advanced(by: (0x40000 >> 18) * 8)
            #expect(host.machine[cpu: 0].load64(entry) != 0)
            host.machine[cpu: 0].store64(entry, 0)
        }
        #expect(complaint?.contains("not in the host's tables") == true)
    }

    /// Makes a VM with memory, changes its tables, and waits for a complaint.
    private func complaintAboutGuest(
        _ lines: String, _ change: (SimulatedCPU, Address<HypervisorVirtual>) -> Void
    ) throws -> String? {
        let player = try player()
        let host = player.host
        for step in try Program(parsing: lines).steps { try player.play(step) }
        let vm = try #require(player.state.machines.values.first)
        #expect(vm.mappings.count == 4 && host.complaints.isEmpty)
        change(host.machine[cpu: 0], Address(vm.root << 12))
        for _ in 0..<round where host.complaints.isEmpty { host.call(.version) }
        return host.complaints.first
    }

    @Test func noticesTablesOfNormalGuests() throws {
        let lines = """
            0 createVM 0 39 p256 16 -> v0
            0 mapGuest v0 0x80 p3 4 3
            """
        let complaint = try complaintAboutGuest(lines) { cpu, root in cpu.store64(root, 0) }
        #expect(complaint?.contains("a guest's tables are wrong in 2 MiB from 0x0") == true)
    }

    @Test func noticesTablesOfProtectedGuests() throws {
        let lines = """
            0 createVM 1 39 p256 16 -> v0
            0 donateToGuest v0 0x80 p3 4 0
            """
        let complaint = try complaintAboutGuest(lines) { cpu, root in
            // The page beside one of its own: from level 1 to 3, all in the first entry.
            let second = cpu.load64(root) & 0xFFFF_FFFF_F000
            let third = cpu.load64(Address(second)) & 0xFFFF_FFFF_F000
            let entry = Address<HypervisorVirtual>(third + 0x80 * 8)
            cpu.store64(entry, cpu.load64(entry) ^ 0x8000)
        }
        #expect(complaint?.contains("a guest maps what is not its own") == true)
    }

    @Test func noticesAnAnswer() throws {
        let player = try player()
        let audit = try #require(player.host.audit)
        let host = player.host
        var frame = HostFrame()
        frame.syndrome = 0x16 << 26 | 1 << 25
        frame.x[0] = UInt64(HostCall.pageReport.rawValue)
        frame.x[1] = 0x42000
        let trap = audit.begin(frame, on: 0, host.hypervisor, on: host.machine[cpu: 0])
        frame.x[0] = 0
        frame.x[1] = PageReport.guest.rawValue
        let difference = #expect(throws: Difference.self) {
            try audit.end(trap, frame, on: 0, host.hypervisor, on: host.machine[cpu: 0])
        }
        #expect(difference?.description.contains("x1") == true)
    }
}
