// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Guests that do random things, half of them sensible: calls, accesses, instructions that trap. At each
// entry everything that a guest finds is held against the specification, and so is every exit.

import Arm
import HypervisorInterface
import Machine
import SearchKit
import SimulatedMachine
import Specification

@testable import HypervisorCore

/// One run of a vCPU, from the host's call to its answer.
struct Visit {
    let name: VCPUName
    let lists: [UInt64]
    let control: UInt64
    /// What the guest's last deed has to come to; nil before the first.
    var due: GuestNext?
    var hasVectors = false
    var entries = 0
}

/// The host and the guests of one machine; the part of the guests.
final class RandomGuests: SimulatedGuest, @unchecked Sendable {
    // Safety of `@unchecked Sendable`: as for the machine, one thread at a time.

    let bench: HostBench
    let auditor: Auditor
    var state: AbstractState
    var random: SeededGenerator
    /// What each CPU runs.
    var visits: [Int: Visit] = [:]
    /// The first thing that was not as specified.
    var trouble: String?
    /// How often what happened.
    var tally: [String: Int] = [:]
    /// CNTPCT_EL0 of all CPUs.
    var count: UInt64 = 1000
    /// Frames from here on up were not given to the pool yet.
    var nextGift: UInt64 = 0x43000

    init(_ plan: Plan, seed: UInt64) throws {
        bench = try HostBench.finalised(plan) { $0.architectureFeatures[0x8000_3FFF] = plan.cpuCount > 2 ? 0 : nil }
        var installation = bench.plan.installation
        installation.features = ProcessorFeatures(
            CPUFeatures(plan.identification), firmwareCalls: plan.cpuCount > 2 ? [0x8000_3FFF] : [])
        state = AbstractState(installation)
        state.confineAll()
        auditor = Auditor(bench, state)
        random = SeededGenerator(seed: seed)
        bench.machine.guest = self
    }

    func below(_ limit: UInt64) -> UInt64 { random.next() % limit }
    func one<Value>(of values: [Value]) -> Value { values[Int(below(UInt64(values.count)))] }
    func note(_ what: String) { tally[what, default: 0] += 1 }

    // MARK: Being entered

    func run(on cpu: SimulatedCPU, vcpu: Address<HypervisorVirtual>) -> GuestExit {
        guard trouble == nil else { return .interrupt }
        do {
            return try enter(cpu, VCPUPage(Frame(vcpu.rawValue >> pageShift)))
        } catch {
            let visit = visits[cpu.index].map { "\($0.name), entry \($0.entries)" } ?? "no run"
            trouble = "CPU \(cpu.index), \(visit): \(error)"
            return .interrupt
        }
    }

    private func enter(_ cpu: SimulatedCPU, _ page: VCPUPage) throws -> GuestExit {
        guard var visit = visits[cpu.index] else { throw RandomHost.Failure("a guest runs that nobody asked for") }
        if case .leaves(let report) = visit.due { throw RandomHost.Failure("it goes on instead of \(report)") }
        let view = GuestView(cpu: cpu, page: page, hasVectors: visit.hasVectors)
        if visit.entries == 0 { try checkFirstEntry(visit, view) }
        let before = state.vcpu(visit.name)?.registers ?? GuestRegisters(entry: 0, context: 0)
        state = try state.afterEntry(visit.name, finding: view.registers(before))
        // TFP and TZ: everything traps until the first use, and scalable vectors where there are none.
        let traps: UInt64 = !visit.hasVectors ? 0x500 : before.vectorLength == 0 ? 0x100 : 0
        guard cpu.read(.cptrEL2) & 0x500 == traps else {
            throw RandomHost.Failure("vector registers trap as \(hex(cpu.read(.cptrEL2)))")
        }
        if visit.hasVectors, before.vectorLength > 0, cpu.read(.zcrEL2) != before.vectorLength - 1 {
            throw RandomHost.Failure("the guest has a vector length of \(cpu.read(.zcrEL2))")
        }
        visit.entries += 1
        visits[cpu.index] = visit
        // Meanwhile the host is at work on other CPUs, and runs other guests there.
        for _ in 0..<below(3) {
            let idle = (0..<bench.plan.cpuCount).filter { visits[$0] == nil }
            if !idle.isEmpty, below(2) == 0 { try step(on: one(of: idle)) }
        }
        guard let registers = state.vcpu(visit.name)?.registers else { throw RandomHost.Failure("its VM is gone") }
        let changed = mutated(registers, hasVectors: visit.hasVectors)
        view.set(changed)
        // What a CPU changes is the state of an interrupt: a list register without one stays empty.
        for (index, register) in GuestView.lists.enumerated() where below(4) == 0 && visit.lists[index] != 0 {
            cpu.write(register, one(of: [0, visit.lists[index] & ~(0b11 << 62), visit.lists[index] ^ 0b11 << 62]))
        }
        // EOIcount.
        if below(4) == 0 { cpu.write(.ichHcrEL2, visit.control | below(32) << 27) }
        // A host may turn a vCPU on again that had used AArch32.
        if changed.processorState >> 4 & 1 == 1 { return try event(.narrowState, visit, view) }
        return visit.entries > 12 ? try event(.interrupt, visit, view) : try deed(visit, view)
    }

    private func checkFirstEntry(_ visit: Visit, _ view: GuestView) throws {
        let cpu = view.cpu
        guard view.lists == visit.lists else { throw RandomHost.Failure("list registers are \(view.lists.map(hex))") }
        guard cpu.read(.ichHcrEL2) == visit.control else {
            throw RandomHost.Failure("ICH_HCR_EL2 is \(hex(cpu.read(.ichHcrEL2)))")
        }
        guard cpu.read(.vmpidrEL2) == 1 << 31 | visit.name.affinity else {
            throw RandomHost.Failure("MPIDR_EL1 is \(hex(cpu.read(.vmpidrEL2)))")
        }
        guard cpu.read(.cntvoffEL2) == state.vcpu(visit.name)?.counterOffset else {
            throw RandomHost.Failure("CNTVOFF_EL2 is \(hex(cpu.read(.cntvoffEL2)))")
        }
    }

    /// The guest computes.
    private func mutated(_ registers: GuestRegisters, hasVectors: Bool) -> GuestRegisters {
        var new = registers
        for _ in 0..<below(6) { new.general[Int(below(31))] = random.next() >> below(64) }
        for _ in 0..<below(4) {
            let name = one(of: VCPURegister.System.allCases.filter { $0 != .mpidr })
            // With all walks off nothing in the model is translated.
            new[name] = name == .tcr ? random.next() & ~(1 << 7 | 1 << 23) : random.next()
        }
        if below(3) == 0 { new.programCounter = random.next() & ~3 }
        if below(3) == 0 { new.processorState = randomState() }
        if below(4) == 0 { new.stackPointerEL0 = random.next() }
        if below(4) == 0, state.features.hasPointerAuthentication { new.keys[Int(below(10))] = random.next() }
        if below(2) == 0, hasVectors {
            new.vectors[Int(below(UInt64(new.vectors.count)))] = random.next()
            new.vectorStatus[Int(below(2))] = random.next() & 0xFFFF_FFFF
            if new.vectorLength > 0 {
                new.predicates[Int(below(UInt64(new.predicates.count)))] = UInt16(below(1 << 16))
                new.vectorControl = below(16)
            }
        }
        if below(3) == 0 { (new.timerControl, new.timerCompare) = (below(8), random.next()) }
        if below(4) == 0 { new.interface = random.next() & 0xFFFF_FFFF }
        if below(4) == 0 { new.activePriorities[one(of: [0, 4])] = random.next() & 0xFFFF_FFFF }
        return new
    }

    /// NZCV and DIT with EL0, or EL1 on either stack.
    func randomState() -> UInt64 { random.next() & 0xF140_03C0 | one(of: [0, 4, 5]) }

    // MARK: Doing something

    private func deed(_ visit: Visit, _ view: GuestView) throws -> GuestExit {
        switch below(20) {
        case 0..<8: return call(visit, view)
        case 8..<14: return try access(visit, view)
        case 14, 15: return try trap(visit, view)
        case 16: return try event(one(of: [.waitForInterrupt, .waitForEvent]), visit, view)
        case 17 where !visit.hasVectors: return try event(.firstVector, visit, view)
        case 18:
            let rare: [GuestEvent] = [.undefined, .undefined, .undefined, .systemError, .narrowState, .interrupt]
            return try event(one(of: rare), visit, view)
        default: return try event(.interrupt, visit, view)
        }
    }

    /// What the guest leaves in its registers, as the specification wants to hear it.
    private func left(_ visit: Visit, _ view: GuestView) -> GuestRegisters {
        view.registers(state.vcpu(visit.name)?.registers ?? GuestRegisters(entry: 0, context: 0))
    }

    /// Remembers what must follow.
    private func expect(_ next: (AbstractState, GuestNext), _ view: GuestView, _ what: String) {
        state = next.0
        visits[view.cpu.index]?.due = next.1
        guard let name = visits[view.cpu.index]?.name, let machine = state.machines[name.machine] else { return }
        if case .leaves(let report) = next.1 {
            note("\(machine.kind) \(what): \(report.exit)")
        } else {
            note("\(machine.kind) \(what): goes on")
        }
    }

    private func call(_ visit: Visit, _ view: GuestView) -> GuestExit {
        var registers = left(visit, view)
        let wide: UInt64 = 0xFFFF_FFFF_FFFF_FFFF
        // What stands above a 32-bit argument is nothing.
        func argument(_ value: UInt64, _ function: UInt64) -> UInt64 {
            function >> 30 & 1 == 0 && below(4) == 0 ? value | random.next() << 32 : value
        }
        let functions = Function.ofEverybody
        let ends: Set<UInt32> = [0x8400_0008, 0x8400_0009, 0x8400_0012, 0xC400_0012]
        var choice = one(of: functions)
        // What ends a VM ends a test of it.
        if ends.contains(choice), below(6) > 0 { choice = Function.cpuOn }
        let function = below(20) == 0 ? random.next() : UInt64(choice)
        registers.general[0] = function | (below(8) == 0 ? random.next() << 32 : 0) | (below(8) == 0 ? 1 << 16 : 0)
        let affinities: [UInt64] = [0, 1, 1, 1, 2, 2, 2, 0x101, 0x101, 0x101, 0, 0x10, 0x400, wide]
        let first: UInt64 =
            switch UInt32(truncatingIfNeeded: function) {
            case Function.psciFeatures, Function.archFeatures, Function.randomFeatures: UInt64(one(of: functions))
            case Function.random32, Function.random64: below(8) == 0 ? random.next() : below(200)
            default: one(of: affinities)
            }
        registers.general[1] = argument(first, function)
        registers.general[2] = argument(below(2) == 0 ? 0 : random.next() & 0xFFFF_F000, function)
        registers.general[3] = argument(random.next() >> below(64), function)
        view.set(registers)
        let isSMC = below(2) == 0
        expect(state.afterCall(visit.name, isSMC: isSMC, registers, view.interrupts), view, "call")
        let status = Int64(bitPattern: state.vcpu(visit.name)?.registers.general[0] ?? 0)
        let number = UInt32(truncatingIfNeeded: function) & 0xFFFE_FFFF
        note("call \(functions.contains(number) ? hex(UInt64(number)) : "unknown"): \(status)")
        return ScriptedGuest.trap((isSMC ? 0x17 : 0x16) << 26 | 1 << 25, on: view.cpu)
    }

    private func access(_ visit: Visit, _ view: GuestView) throws -> GuestExit {
        guard let machine = state.machines[visit.name.machine] else { return .interrupt }
        let pages = [0x9000, 0x9001, 0x9002, 0x200, 0x201, 0x203, 0x80000, 0x80001, 0x80003, 0x80007] as [UInt64]
        let end: UInt64 = 1 << (machine.inputBits - 12)
        let page = one(of: pages + [below(end), end + below(end)])
        let bytes: UInt64 = 1 << below(4)
        let offset = below(6) == 0 ? below(0xFF8) : below(6) == 0 ? 0 : below(0x200) * 8
        let address = page << pageShift | offset
        // HPFAR_EL2 tells the page of what is not mapped; the rest is the guest's virtual address.
        let isMapped = machine.mappings[page] != nil
        let virtual = isMapped ? address : random.next() << 12 | address & 0xFFF
        var access = GuestMemoryAccess(
            address: address, virtualAddress: virtual, direction: one(of: [.read, .read, .write, .write, .fetch]))
        access.isNormal = virtual >= SimulatedCPU.normalMemory
        if access.direction != .fetch, below(6) > 0 {
            access.instruction = .init(
                register: below(32), bytes: bytes, isSigned: access.direction == .read && below(3) == 0,
                isWide: below(2) == 0)
        } else if access.direction != .fetch {
            access.isMaintenance = below(3) == 0
            access.isWalk = !access.isMaintenance && below(2) == 0
        }
        let kind: AccessKind =
            switch access.direction {
            case .read: .read
            case .write: .write
            case .fetch: .execute
            }
        let registers = left(visit, view)
        let fate = state.fate(of: access, by: visit.name, registers)
        switch (view.cpu.machine.hostAccess(view.cpu, Address(address), kind), fate) {
        case (.memory(let frame, _), .memory(let due)):
            guard frame.number == due else { throw RandomHost.Failure("page \(hex(page)) is frame \(frame)") }
            note("\(machine.kind) access: memory")
            return try event(.interrupt, visit, view)
        case (.abort(let abort), .leaves), (.abort(let abort), .aborts):
            expect(state.afterAccess(access, by: visit.name, registers, view.interrupts), view, "access")
            view.cpu.write(.esrEL2, abort.esr | access.syndrome)
            view.cpu.write(.farEL2, virtual)
            view.cpu.write(.hpfarEL2, abort.hpfar)
            return .synchronous
        case (let result, _):
            throw RandomHost.Failure("\(kind) of page \(hex(page)) came to \(result) where \(fate) was due")
        }
    }

    private func trap(_ visit: Visit, _ view: GuestView) throws -> GuestExit {
        let known: [[UInt64]] = [
            [3, 0, 12, 11, 5], [3, 0, 12, 11, 5], [3, 0, 12, 11, 1], [3, 0, 12, 11, 1], [3, 0, 12, 11, 6],
            [3, 0, 12, 11, 7], [3, 0, 12, 12, 5],
            [2, 0, 1, 1, 4], [2, 0, 0, below(16), 4], [3, 3, 14, 2, below(3)], [1, 0, 7, 14, 2], [1, 0, 7, 6, 2],
            [3, 0, 1, 0, 1], [3, 0, 0, 1 + below(7), below(8)], [3, 0, 0, 4, below(5)], [3, 0, 0, 6, below(3)],
            [3, 0, 0, 7, below(3)],
        ]
        let name = below(5) == 0 ? [below(4), below(8), below(16), below(16), below(8)] : one(of: known)
        let trap = RegisterTrap(name, isRead: below(2) == 0, register: below(32))
        return try event(.register(trap), visit, view)
    }

    private func event(_ event: GuestEvent, _ visit: Visit, _ view: GuestView) throws -> GuestExit {
        var registers = left(visit, view)
        if event == .narrowState {
            registers.processorState = 0x6000_0010
            view.set(registers)
        }
        let wait: UInt64 = below(2) * 2
        let isScalable = registers.vectorLength > 0
        let esr: UInt64 =
            switch event {
            case .interrupt, .systemError, .narrowState: random.next()
            case .waitForInterrupt: 0x01 << 26 | 1 << 25 | wait
            case .waitForEvent: 0x01 << 26 | 1 << 25 | wait | 1
            case .firstVector: (isScalable && below(2) == 0 ? 0x19 : 0x07) << 26 | 1 << 25
            case .undefined: one(of: isScalable ? [0x00, 0x06, 0x1D] : [0x00, 0x19, 0x06, 0x1D]) << 26 | 1 << 25
            case .register(let trap): trap.syndrome
            }
        let far = random.next()
        view.cpu.write(.esrEL2, esr)
        view.cpu.write(.farEL2, far)
        let name =
            switch event {
            case .register(let trap): trap.isRead ? "MRS" : "MSR"
            default: "\(event)"
            }
        expect(
            state.after(event, of: visit.name, registers, view.interrupts, syndrome: (esr, far)), view, name)
        if event == .firstVector { visits[view.cpu.index]?.hasVectors = true }
        return switch event {
        case .interrupt, .narrowState: .interrupt
        case .systemError: .systemError
        default: .synchronous
        }
    }
}

extension Function {
    /// Every call that has a name, some of no service that guests have, and those that matter most often.
    fileprivate static let ofEverybody: [UInt32] = [
        0x8400_0000, 0x8400_0001, 0x8400_0002, 0x8400_0003, 0x8400_0004, 0x8400_0005, 0x8400_0006, 0x8400_0007,
        0x8400_0008, 0x8400_0009, 0x8400_000A, 0x8400_000B, 0x8400_000E, 0x8400_000F, 0x8400_0010, 0x8400_0012,
        0xC400_0001, 0xC400_0003, 0xC400_0004, 0xC400_0005, 0xC400_000E, 0xC400_0012, 0x8000_0000, 0x8000_0001,
        0x8000_0002, 0x8000_8000, 0x8000_7FFF, 0x8000_3FFF, 0x8400_0050, 0x8400_0051, 0x8400_0052, 0x8400_0053,
        0xC400_0053,
        0xC600_4000, 0xC600_4030, 0x8600_FF01, 0xC400_0003, 0xC400_0003, 0x8400_0003, 0xC400_0004, 0x8400_000A,
        0x8000_0001, 0xC400_0053, 0xC400_0003, 0xC400_0003, 0xC400_0004, 0xC400_0004,
    ]
}

extension GuestMemoryAccess {
    /// What of ESR_EL2 describes the instruction (DDI 0487, ISS of a data abort).
    fileprivate var syndrome: UInt64 {
        guard direction != .fetch else { return 0 }
        let write: UInt64 = direction == .write || isMaintenance ? 1 << 6 : 0
        let base = write | (isMaintenance ? 1 << 8 : 0) | (isWalk ? 1 << 7 : 0)
        guard let instruction else { return base }
        return base | 1 << 24 | UInt64(instruction.bytes.trailingZeroBitCount) << 22
            | (instruction.isSigned ? 1 << 21 : 0) | instruction.register << 16 | (instruction.isWide ? 1 << 15 : 0)
    }
}

extension RegisterTrap {
    /// ESR_EL2.
    fileprivate var syndrome: UInt64 {
        0x18 << 26 | 1 << 25 | name[0] << 20 | name[4] << 17 | name[1] << 14 | name[2] << 10 | register << 5
            | name[3] << 1 | (isRead ? 1 : 0)
    }
}

extension ProcessorFeatures {
    /// What the CPUs of a plan have.
    fileprivate init(_ features: CPUFeatures, firmwareCalls: Set<UInt32>) {
        self.init()
        hasPAN = features.hasPAN
        hasSSBS = features.hasSSBS
        hasMTE = features.hasMTE
        hasNMI = features.hasNMI
        hasPointerAuthentication = features.hasPointerAuthentication
        isFreeOfSpectreV2 = features.isFreeOfSpectreV2
        self.firmwareCalls = firmwareCalls
    }
}
