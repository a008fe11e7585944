// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The part of the host: it makes VMs, runs their vCPUs on whatever CPU is free, reads and writes their
// registers, gives and takes memory, and ends them. One call in ten makes no sense.

import Arm
import HypervisorInterface
import Machine
import SearchKit
import SimulatedMachine
import Specification

@testable import HypervisorCore

extension RandomGuests {
    /// Indices that vCPUs of these VMs may have; 17 is in a cluster of its own.
    static let indices: [UInt64] = [0, 1, 2, 17]

    /// One step of the host on a CPU that runs no guest.
    func step(on cpu: Int) throws {
        try deed(on: cpu)
        if let first = auditor.differences(from: state).first { throw RandomHost.Failure(first) }
    }

    private func deed(on cpu: Int) throws {
        count += below(100)
        for processor in bench.machine.allCPUs { processor.write(.cntpctEL0, count) }
        if state.machines.count < 3, below(4) == 0 { try makeVM(on: cpu) }
        // What never runs again makes room.
        if below(6) == 0, state.machines.values.contains(where: \.isDead) { try destroy(on: cpu) }
        switch below(20) {
        case 0..<10: try run(on: cpu)
        case 10..<14: try registers(on: cpu)
        case 14..<17: try memory(on: cpu)
        case 17: try make(CallRegisters(.quiesce), on: cpu)
        case 18 where below(3) == 0: try destroy(on: cpu)
        default: try anything(on: cpu)
        }
        let control = bench.machine[cpu: cpu].read(.cntvCtlEL0)
        guard control == (state.firingTimers.contains(cpu) ? 1 : 0) else {
            throw RandomHost.Failure("the host finds \(control) in CNTV_CTL_EL0")
        }
    }

    /// Makes a call and holds its answer against the specification.
    @discardableResult
    func make(_ call: CallRegisters, on cpu: Int) throws -> CallRegisters {
        let observing = bench.observation(before: state, physicalCount: count)
        let answer = bench.hvc(call, on: cpu)
        let name = HostCall(rawValue: UInt32(truncatingIfNeeded: call.x0)).map { "\($0)" } ?? "?"
        let status = CallStatus(rawValue: Int64(bitPattern: answer.x0)).map { "\($0)" } ?? "?"
        note("\(name): \(status)")
        if let kind = state.machines[call.x1]?.kind { note("\(kind) \(name): \(status)") }
        do {
            state = try state.after(call, on: cpu, answer: answer, observing: observing)
        } catch {
            throw RandomHost.Failure("\(name) \(call), CPU \(cpu): \(error)")
        }
        return answer
    }

    func anyHandle() -> UInt64 {
        let handles = state.machines.keys.sorted()
        return handles.isEmpty || below(16) == 0 ? 1 << 40 | below(1 << 16) : one(of: handles)
    }

    func anyIndex(_ handle: UInt64) -> UInt64 {
        let indices = state.machines[handle]?.vcpus.keys.sorted() ?? []
        return indices.isEmpty || below(12) == 0 ? below(70) : one(of: indices)
    }

    // MARK: Running

    private func anyList() -> UInt64 {
        let number = below(8) == 0 ? one(of: [1019, 1020, 1023, 8192, 0xFFFF_FFFF]) : below(40)
        let physical: UInt64 = below(3) == 0 ? 1 << 61 | one(of: [27, 27, number, 30]) << 32 : random.next() & 1 << 41
        let rest = random.next() & (0xFF << 48 | 0xF << 56 | 1 << 60)
        let interrupt: UInt64 = below(4) == 0 ? 27 : number
        return below(4) << 62 | physical | rest | interrupt
    }

    /// A vCPU, most often one that another CPU does not run and that is not off.
    private func anyVCPU() -> VCPUName {
        // One that was just turned on waits, so that others meet it like that.
        let isPatient = below(6) > 0
        let ready = state.machines.filter { !$0.value.isDead }.flatMap { handle, machine in
            machine.vcpus.filter {
                $0.value.runner == nil && (isPatient ? $0.value.power == .on : $0.value.power != .off)
            }.keys.map { VCPUName(handle, $0) }
        }
        let handle = anyHandle()
        guard !ready.isEmpty, below(6) > 0 else { return VCPUName(handle, anyIndex(handle)) }
        return one(of: ready.sorted { ($0.machine, $0.index) < ($1.machine, $1.index) })
    }

    private func run(on cpu: Int) throws {
        let listCount = below(16) == 0 ? below(16) : below(5)
        var request = below(4) | listCount << 8 | (below(2) == 0 ? random.next() & 0x40FE << 16 : 0)
        if below(16) == 0 { request |= 1 << below(64) }
        let call = RunCall(
            anyVCPU(), request: request, completion: random.next() >> below(64),
            lists: (0..<4).map { _ in anyList() })
        let processor = bench.machine[cpu: cpu]
        if below(4) == 0 { HostView.fill(processor, &random) }
        let refusals = state.refusals(of: call)
        let host = HostView(processor)
        if refusals.isEmpty {
            let (next, start) = state.afterRunBegins(call, on: cpu)
            state = next
            switch start {
            case .entered(let lists, let control):
                visits[cpu] = Visit(name: call.vcpu, lists: lists, control: control)
            case .off(let report):
                visits[cpu] = Visit(name: call.vcpu, lists: [], control: 0, due: .leaves(report))
                note("off")
            }
        }
        let answer = bench.wide(.runVCPU, call.arguments, on: cpu)
        let visit = visits.removeValue(forKey: cpu)
        if let trouble { throw RandomHost.Failure(trouble) }
        guard let status = CallStatus(rawValue: Int64(bitPattern: answer[0])) else {
            throw RandomHost.Failure("runVCPU answered \(answer)")
        }
        note("runVCPU: \(status)")
        guard refusals.isEmpty else {
            guard refusals.contains(status), answer[1...3].allSatisfy({ $0 == 0 }) else {
                throw RandomHost.Failure("runVCPU \(call) answered \(status) where one of \(refusals) was due")
            }
            return
        }
        guard status == .success, case .leaves(let due) = visit?.due else {
            throw RandomHost.Failure("runVCPU \(call) answered \(status) where a guest goes on")
        }
        guard RunReport(registers: Array(answer[1...11])) == due else {
            throw RandomHost.Failure("the host is told \(answer.map(hex)) where \(due) was due")
        }
        if let difference = HostView(processor).difference(from: host) {
            throw RandomHost.Failure("after a run the host's \(difference)")
        }
        if bench.touch(0x40000 << pageShift, .execute, on: cpu) != 0x40000 {
            throw RandomHost.Failure("after a run the host does not reach its memory")
        }
    }

    // MARK: Registers

    private func registers(on cpu: Int) throws {
        // One that its guest has just turned on, and that its host turns on too, or off.
        let starting = state.machines.flatMap { handle, machine in
            machine.vcpus.filter { $0.value.isStarting }.keys.map { VCPUName(handle, $0) }
        }
        if let name = starting.min(by: { ($0.machine, $0.index) < ($1.machine, $1.index) }), below(3) == 0 {
            let power = VCPURegister.power.number
            try make(CallRegisters(.setRegister, name.machine, name.index, power, min(1, below(4))), on: cpu)
            return
        }
        let handle = anyHandle()
        let numbers: [UInt64] = [
            below(31), below(31), 0x100 + below(11), 0x101, 0x102, 0x200 + below(0x18), 0x300 + below(32),
            0x400 + below(0x40), 0x1000 + below(0x90), 0x1000 + below(0x480),
        ]
        let number = below(12) == 0 ? below(0x400) : one(of: numbers)
        let index = anyIndex(handle)
        let isProtected = state.machines[handle]?.kind == .protected
        guard below(isProtected ? 5 : 2) > 0 else {
            try make(CallRegisters(.getRegister, handle, index, number), on: cpu)
            return
        }
        var value = random.next()
        if number == 0x108 {
            value = below(4) == 0 ? below(20) : 1 << below(5)
            // Afterwards there is nothing in the vector registers that means anything.
            let registers = state.vcpu(VCPUName(handle, index))?.registers
            if let registers, registers.vectors.contains(where: { $0 != 0 }) { return }
        }
        if number == 0x10A { value = below(8) == 0 ? value : below(2) }
        if number == 0x102 { value = below(3) == 0 ? random.next() : randomState() | random.next() & 0xF << 8 }
        // With all walks off nothing in the model is translated.
        if number == 0x204 { value &= ~(1 << 7 | 1 << 23) }
        try make(CallRegisters(.setRegister, handle, index, number, value, random.next()), on: cpu)
    }

    // MARK: Memory

    private func anyGuestPage() -> UInt64 { one(of: [0x80000, 0x80004, 0x200, 0x203, 0x9000, 0x9001]) + below(3) }

    private func memory(on cpu: Int) throws {
        let handle = anyHandle()
        let frame = 0x42800 + below(0x200)
        let isProtected = state.machines[handle]?.kind == .protected
        switch below(isProtected ? 8 : 6) {
        case 0..<3:
            try make(CallRegisters(.mapGuest, handle, anyGuestPage(), frame, 1 + below(3), below(4)), on: cpu)
        case 3..<5:
            try make(CallRegisters(.unmapGuest, handle, anyGuestPage(), 1 + below(3)), on: cpu)
        case 5, 6:
            try make(CallRegisters(.donateToGuest, handle, anyGuestPage(), frame, 1 + below(2), below(2)), on: cpu)
        default: try make(CallRegisters(.allowMMIO, handle, 0x9000 + below(3), 1 + below(2)), on: cpu)
        }
    }

    // MARK: Making and ending

    /// An aligned block of pages that are the host's and lent to nobody.
    private func freeBlock(_ pages: UInt64) -> UInt64? {
        for _ in 0..<40 {
            let first = (0x42000 + below(0x800)) & ~(pages - 1)
            if first < 0x42800, state.all(first, pages, are: .host) { return first }
        }
        return nil
    }

    /// A VM that works, and a pool that lasts.
    private func makeVM(on cpu: Int) throws {
        if bench.observation.freePages < 2 * mostTablesForOneChange {
            try make(CallRegisters(HostCall.topUp, nextGift, 64), on: cpu)
            nextGift = nextGift >= 0x43C00 ? 0x43000 : nextGift + 64
        }
        guard let block = freeBlock(32) else { return }
        let kind: VMKind = below(2) == 0 ? .normal : .protected
        let made = try make(CallRegisters(.createVM, kind.rawValue, one(of: [36, 40, 32]), block, 32), on: cpu)
        guard made.x0 == 0 else { return }
        let handle = made.x1
        for index in Self.indices.prefix(Int(1 + below(4))) {
            guard let pages = freeBlock(HostCall.pagesPerVCPU) else { return }
            let start: VCPUStart = index == 0 || kind == .normal && below(4) == 0 ? .on : .off
            try make(CallRegisters(.createVCPU, handle, index, pages, start.rawValue), on: cpu)
            guard below(2) == 0 else { continue }
            let length = VCPURegister.vectorLength.number
            try make(CallRegisters(.setRegister, handle, index, length, one(of: [1, 2, 4, 8, 16])), on: cpu)
        }
        for page: UInt64 in [0x80000, 0x200] {
            let frame = 0x42800 + below(0x200)
            try make(
                kind == .normal
                    ? CallRegisters(.mapGuest, handle, page, frame, 2, below(4))
                    : CallRegisters(.donateToGuest, handle, page, frame, 2, below(2)), on: cpu)
        }
        if kind == .protected { try make(CallRegisters(.allowMMIO, handle, 0x9000, 2), on: cpu) }
        // Where the first vCPU starts, and with what.
        for number: UInt64 in [0, 3, 0x101, 0x102] where below(2) == 0 {
            let value = number == 0x102 ? randomState() : random.next()
            try make(CallRegisters(.setRegister, handle, 0, number, value), on: cpu)
        }
    }

    /// The first step of an end, some, or all of them.
    private func destroy(on cpu: Int) throws {
        let dead = state.machines.filter { $0.value.isDead }.keys.sorted()
        let handle = dead.first ?? anyHandle()
        for _ in 0..<one(of: [1, 3, 60, 2000]) {
            let answer = try make(CallRegisters(.destroyVM, handle), on: cpu)
            guard state.machines[handle] != nil, answer.x0 == 0 else { break }
        }
    }

    /// A call about a VM that is as likely to be nonsense.
    private func anything(on cpu: Int) throws {
        let handle = anyHandle()
        switch below(7) {
        case 6: try make(CallRegisters(.resetVCPU, handle, anyIndex(handle), below(8) == 0 ? 2 : below(2)), on: cpu)
        case 0: try make(CallRegisters(.donateToVM, handle, freeBlock(4) ?? 0, below(3)), on: cpu)
        case 1:
            guard let pages = freeBlock(HostCall.pagesPerVCPU) else { return }
            try make(CallRegisters(.createVCPU, handle, one(of: Self.indices), pages, below(3)), on: cpu)
        case 2: try make(CallRegisters(.createVM, below(4), 30 + below(20), freeBlock(4) ?? 0, below(5)), on: cpu)
        case 3: try make(CallRegisters(HostCall.pageReport, 0x42000 + below(0x1000)), on: cpu)
        case 4: try make(CallRegisters(.destroyVM, 1 << 40 | below(1 << 16)), on: cpu)
        default: try make(CallRegisters(.reclaimPool), on: cpu)
        }
    }

    /// All tables, and the ledger.
    func compare() throws {
        if let first = bench.differences(from: state, stride: 97).first { throw RandomHost.Failure(first) }
        if let first = bench.guestTableDifferences(state).first { throw RandomHost.Failure(first) }
        if let first = bench.machine.violations.first { throw RandomHost.Failure(first.description) }
    }
}

extension VCPU {
    fileprivate var isStarting: Bool {
        if case .starting = power { true } else { false }
    }
}

extension Specification.Machine {
    /// Whether nothing of it will ever run again by itself.
    fileprivate var isDead: Bool {
        life == .ending || isOver || vcpus.values.allSatisfy { $0.power == .off && $0.runner == nil }
    }
}
