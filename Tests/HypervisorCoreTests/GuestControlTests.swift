// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The control registers under which a guest runs, bit by bit as the manual has them, and what the host
// finds in them afterwards.

import Arm
import HypervisorInterface
import Machine
import SearchKit
import SimulatedMachine
import Testing

@testable import HypervisorCore

@Suite("A guest's controls")
struct GuestControlTests {
    /// A CPU with RAS, MPAM, activity monitors, fine-grained traps and HCRX_EL2.
    private func bench() throws -> HostBench {
        var plan = Plan()
        plan.identification.pfr0 |= 1 << 28 | 1 << 40 | 1 << 44
        plan.identification.mmfr0 |= 1 << 56
        plan.identification.mmfr1 |= 1 << 40
        return try HostBench.finalised(plan)
    }

    private static let watched: [SystemRegister] = [
        .hcrEL2, .cptrEL2, .mdcrEL2, .hstrEL2, .hcrxEL2, .mpam2EL2, .vdisrEL2, .vmpidrEL2, .vbarEL2, .cnthctlEL2,
        .cntvoffEL2, .vtcrEL2, .vttbrEL2, .hfgrtrEL2, .hfgwtrEL2, .hfgitrEL2, .hdfgrtrEL2, .hdfgwtrEL2, .hafgrtrEL2,
        .ichHcrEL2, .cntvCtlEL0, .cntvCvalEL0,
    ]

    @Test("are set before it runs, and the host's come back", arguments: [VMKind.normal, .protected])
    func registers(_ kind: VMKind) throws {
        let bench = try bench()
        let cpu = bench.machine[cpu: 0]
        let vm = try bench.makeVM(kind, vcpus: 2)
        let before = Dictionary(uniqueKeysWithValues: Self.watched.map { ($0, cpu.read($0)) })
        // What the guest must not find. None of these is the host's to write, so that nobody misses them.
        cpu.write(.vdisrEL2, 0x77)
        for register: SystemRegister in [.hfgrtrEL2, .hfgwtrEL2, .hfgitrEL2, .hdfgrtrEL2, .hdfgwtrEL2, .hafgrtrEL2] {
            cpu.write(register, 1 << 5)
        }
        cpu.write(.hcrxEL2, 1 << 6)
        var seen: [SystemRegister: UInt64] = [:]
        bench.machine.guest = ScriptedGuest([
            { cpu, _ in
                for register in Self.watched { seen[register] = cpu.read(register) }
                cpu.write(.cntvCtlEL0, 1)
                cpu.write(.cntvCvalEL0, 0x1234)
                return .interrupt
            }
        ])
        #expect(bench.run(vm).exit == .interrupt)
        func expect(_ register: SystemRegister, has bits: [UInt64], not absent: [UInt64] = []) {
            let value = seen[register] ?? 0
            for bit in bits { #expect(value >> bit & 1 == 1, "\(register) lacks bit \(bit)") }
            for bit in absent { #expect(value >> bit & 1 == 0, "\(register) has bit \(bit)") }
        }
        // VM, SWIO, PTW, FMO, IMO, AMO, FB, TWI, TID3, TSC, TIDCP, TACR, TSW, RW, TLOR, TERR, TEA; not TGE, E2H.
        expect(
            .hcrEL2, has: [0, 1, 2, 3, 4, 5, 9, 13, 18, 19, 20, 21, 22, 31, 35, 36, 37], not: [27, 34])
        expect(.cptrEL2, has: [8, 10, 12, 20, 30])
        expect(.mdcrEL2, has: [5, 6, 9, 10, 11, 14, 19, 27], not: [12, 13, 24, 25])
        expect(.hstrEL2, has: [15])
        expect(.mpam2EL2, has: [48, 49])
        // EL1 reads the counter (EL1PCTEN), and does not touch the physical timer (EL1PCEN).
        expect(.cnthctlEL2, has: [0], not: [1])
        let zero: [SystemRegister] = [
            .hcrxEL2, .vdisrEL2, .hfgrtrEL2, .hfgwtrEL2, .hfgitrEL2, .hdfgrtrEL2, .hdfgwtrEL2, .hafgrtrEL2,
        ]
        for register in zero { #expect(seen[register] == 0, "\(register)") }
        #expect(seen[.vmpidrEL2] == 1 << 31)
        #expect(seen[.vbarEL2] == cpu.guestVectors(.none))
        let offset = kind == .protected ? 0 : bench.offset(of: vm)
        #expect(seen[.cntvoffEL2] == offset)
        #expect(seen[.vttbrEL2] == 1 << 48 | HostBench.vmBlock << 12, "the first VMID behind the host's")
        #expect(seen[.ichHcrEL2] == 1)

        let changed: Set<SystemRegister> = [.vdisrEL2]
        for register in Self.watched where !changed.contains(register) {
            let due: UInt64? =
                switch register {
                case .vbarEL2: cpu.hostVectors(.none)
                case .vmpidrEL2: cpu.read(.mpidrEL1)
                case .cntvCtlEL0, .cntvCvalEL0, .ichHcrEL2: 0
                default: before[register]
                }
            #expect(cpu.read(register) == due, "\(register) after the run")
        }
        bench.expectNoViolations()
    }

    @Test("leave the host one bit of the guest's timer: that it fires")
    func timer() throws {
        let bench = try bench()
        let cpu = bench.machine[cpu: 0]
        let vm = try bench.makeVM(.normal)
        // ENABLE and ISTATUS, without and with IMASK.
        for (control, left) in [(5, 1), (7, 0), (1, 0), (0, 0)] as [(UInt64, UInt64)] {
            bench.machine.guest = ScriptedGuest([
                { cpu, _ in
                    cpu.write(.cntvCtlEL0, control)
                    cpu.write(.cntvCvalEL0, 0x1234)
                    return .interrupt
                }
            ])
            #expect(bench.run(vm).exit == .interrupt)
            #expect(cpu.read(.cntvCtlEL0) == left, "control \(control)")
            #expect(cpu.read(.cntvCvalEL0) == 0)
        }
    }

    @Test("drop what the host executed from instruction caches when a guest gets a page, zeroed or not")
    func instructions() throws {
        let bench = try bench()
        let vm = try bench.makeVM(.protected)
        let page = HostBench.guestPages
        let before = bench.machine.instructionCacheInvalidations
        #expect(bench.status(.donateToGuest, [vm, 0x80000, page, 1, GuestContent.zero.rawValue]) == .success)
        #expect(bench.machine.instructionCacheInvalidations == before + 1)
        #expect(bench.status(.donateToGuest, [vm, 0x80001, page + 1, 1, GuestContent.kept.rawValue]) == .success)
        #expect(bench.machine.instructionCacheInvalidations == before + 2)
    }
}

extension HostBench {
    /// CNTVOFF_EL2 of a VM.
    fileprivate func offset(of vm: UInt64) -> UInt64? {
        let cpu = machine[cpu: 0]
        return hypervisor.memory.withLock(on: cpu) { state in
            guard let handle = VMHandle(alleged: vm) else { return nil }
            return state.machines[handle]?.load(.counterOffset, on: cpu)
        }
    }
}
