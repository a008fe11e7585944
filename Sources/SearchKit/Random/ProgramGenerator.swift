// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Random steps, about half of them valid: chosen with an eye on what there is at the moment, and often
// just beside it.

import HypervisorInterface
import SimulatedMachine
import Specification

/// Makes steps up.
public struct ProgramGenerator {
    private var random: SeededGenerator
    private let cpuCount: UInt64
    /// Pages of the region; the second half is for what takes whole blocks.
    private let pages: UInt64
    private let scope: Scope
    private var nextName = 0

    /// Where programs are to run.
    public enum Scope: Sendable {
        /// On the simulated machine, of whose memory everything is known.
        case simulation
        /// On any machine: nothing but the region is named, and what else there is, is left alone. Guests have no
        /// instructions to execute.
        case anywhere
    }

    /// A generator for machines of so many CPUs, whose programs have so many pages for themselves.
    public init(seed: UInt64, cpuCount: Int, pages: UInt64 = regionPages, scope: Scope = .simulation) {
        random = SeededGenerator(seed: seed)
        self.cpuCount = UInt64(cpuCount)
        self.pages = pages
        self.scope = scope
    }

    private mutating func below(_ limit: UInt64) -> UInt64 { random.next() % limit }
    private mutating func chance(_ one: UInt64) -> Bool { below(one) == 0 }
    private mutating func one<Value>(of values: [Value]) -> Value { values[Int(below(UInt64(values.count)))] }

    /// The next step for a player in its present state.
    public mutating func step(for player: Player) -> Step {
        var step = single(for: player)
        if scope == .simulation, step.deed.hostCall == .runVCPU, cpuCount > 1, chance(3) {
            step.meanwhile = (0..<1 + below(3)).map { _ in
                var other = single(for: player)
                other.cpu = (step.cpu + 1) % Int(cpuCount)
                return other
            }
        }
        return step
    }

    mutating func single(for player: Player) -> Step {
        let cpu = Int(below(cpuCount))
        switch below(32) {
        case 0..<6: return access(cpu, player)
        case 6: return firmware(cpu, player)
        case 7: return strange(cpu)
        default: return call(cpu, player)
        }
    }

    // MARK: Operands

    /// A page, most often one that the host has; sometimes one of another kind, or nonsense.
    private mutating func page(_ player: Player, count: UInt64 = 1, aligned: UInt64 = 1, isBlock: Bool = false)
        -> Operand
    {
        if chance(isBlock ? 3 : 10) { return other(player) }
        for attempt in 0..<6 {
            let half = pages / 2
            let index = ((isBlock ? half : 0) + below(isBlock ? half : half - 8)) & ~(aligned - 1)
            let first = player.region + index
            if attempt == 5 || chance(8) || player.state.all(first, count, are: .host) { return .page(Int64(index)) }
        }
        return .page(0)
    }

    /// A page of any kind but the host's own, or none.
    private mutating func other(_ player: Player) -> Operand {
        let machines = player.state.machines.values
        func frame(_ kind: VMKind) -> UInt64? {
            // The least, because a dictionary has no order that is the same tomorrow.
            machines.filter { $0.kind == kind }.compactMap { $0.mappings.values.map(\.frame).min() }.min()
        }
        let none: UInt64 = 0x10 + below(64)
        if scope == .anywhere { return otherOfRegion(player) }
        let plan = player.host.plan
        switch below(10) {
        case 0, 1: return .number(frame(.normal) ?? none)
        case 2, 3: return .number(frame(.protected) ?? none)
        case 4: return .number(player.state.map.first { $0.page == .donated }?.first ?? none)
        case 5: return .number(machines.compactMap { $0.ownPages.min() }.min() ?? none)
        case 6: return .number(plan.imageBase + below(512))
        case 7:
            let ranges = plan.ranges.filter { $0.page != .host }
            let range = one(of: ranges)
            return .number(range.first + below(range.count))
        case 8: return .number(one(of: [1 << 39, 1 << 40, (1 << 40) - 1, .max]))
        default: return .number(none)
        }
    }

    /// The same, of the region or none at all.
    private mutating func otherOfRegion(_ player: Player) -> Operand {
        let machines = player.state.machines.values
        let frames: [UInt64?] = [
            machines.filter { $0.kind == .normal }.compactMap { $0.mappings.values.map(\.frame).min() }.min(),
            machines.filter { $0.kind == .protected }.compactMap { $0.mappings.values.map(\.frame).min() }.min(),
            machines.compactMap { $0.ownPages.min() }.min(), player.state.map.first { $0.page == .donated }?.first,
        ]
        if let frame = one(of: frames) { return .page(Int64(bitPattern: frame &- player.region)) }
        return .number(one(of: [1 << 39, 1 << 40, (1 << 40) - 1, .max]))
    }

    private mutating func name(_ player: Player, _ kind: VMKind? = nil) -> Operand {
        let names = player.handles.filter { name, handle in
            guard let vm = player.state.machines[handle] else { return false }
            return kind == nil || vm.kind == kind
        }.keys.sorted()
        if names.isEmpty || chance(24) { return chance(2) ? .number(1 << 40 | below(3)) : .machine(nextName + 1) }
        return .machine(one(of: names))
    }

    private func machine(_ operand: Operand, _ player: Player) -> Specification.Machine? {
        player.state.machines[player.value(operand)]
    }

    private mutating func guestPage(_ vm: Specification.Machine?) -> UInt64 {
        if let vm, chance(3), let mapped = vm.mappings.keys.min() { return mapped }
        switch below(16) {
        case 0: return 1 << ((vm?.inputBits ?? 32) - 12) - below(2)
        case 1: return 0x1FE + below(4)
        default: return 0x80 + below(12)
        }
    }

    // MARK: Steps

    private mutating func call(_ cpu: Int, _ player: Player) -> Step {
        let running = UInt64(player.state.machines.count)
        if running < 2, chance(3) { return create(cpu, player) }
        switch below(26) {
        case 24: return create(cpu, player)
        case 25: return vcpu(cpu, player)
        case 0: return running < 4 || chance(3) ? create(cpu, player) : destroy(cpu, player)
        case 1:
            return Step(cpu, .donateToVM, name(player), page(player, count: 8), .number(chance(12) ? 0 : 1 + below(8)))
        case 2: return vcpu(cpu, player)
        case 3..<7: return give(cpu, player, .normal)
        case 7..<10:
            let vm = name(player, chance(8) ? nil : .normal)
            let count: UInt64 = chance(16) ? one(of: [0, 513, 1 << 40]) : 1 + below(3)
            return Step(cpu, .unmapGuest, vm, .number(guestPage(machine(vm, player))), .number(count))
        case 10..<13: return give(cpu, player, .protected)
        case 13:
            let vm = name(player, chance(8) ? nil : .protected)
            let first = chance(3) ? guestPage(machine(vm, player)) : 0x9000 + below(8)
            return Step(cpu, .allowMMIO, vm, .number(first), .number(chance(12) ? 0 : 1 + below(2)))
        case 14..<16:
            let count: UInt64 = chance(12) ? one(of: [0, 513, .max]) : 1 + below(5)
            return Step(cpu, .topUp, page(player, count: count & 7), .number(count))
        case 16..<18: return Step(cpu, .reclaimPool)
        case 18: return Step(cpu, .pageReport, chance(2) ? other(player) : page(player))
        case 19: return destroy(cpu, player)
        case 20: return one(of: [Step(cpu, .quiesce), Step(cpu, .version), Step(cpu, .counter, .number(below(32)))])
        case 21: return registers(cpu, player)
        default: return run(cpu, player)
        }
    }

    private mutating func create(_ cpu: Int, _ player: Player) -> Step {
        nextName += 1
        let size: UInt64 = chance(10) ? below(20) : 16
        let bits: UInt64 = chance(12) ? one(of: [31, 42, 44, 48, 49]) : one(of: [32, 36, 39, 40])
        let kind: UInt64 = chance(16) ? 2 : below(2)
        let block = page(player, count: size, aligned: 16, isBlock: true)
        return Step(cpu, .createVM, .number(kind), .number(bits), block, .number(size), binds: nextName)
    }

    private mutating func vcpu(_ cpu: Int, _ player: Player) -> Step {
        let vm = name(player)
        let block = page(player, count: 4, aligned: chance(12) ? 1 : 4, isBlock: true)
        return Step(
            cpu, .createVCPU, vm, .number(chance(12) ? 64 : below(3)), block, .number(chance(12) ? 2 : below(2)))
    }

    private mutating func give(_ cpu: Int, _ player: Player, _ kind: VMKind) -> Step {
        let vm = name(player, chance(10) ? nil : kind)
        let guest = Operand.number(guestPage(machine(vm, player)))
        let count: UInt64 = chance(16) ? one(of: [0, 513, .max]) : 1 + below(3)
        let host = page(player, count: count & 7)
        return kind == .normal
            ? Step(cpu, .mapGuest, vm, guest, host, .number(count), .number(chance(16) ? 4 : below(4)))
            : Step(cpu, .donateToGuest, vm, guest, host, .number(count), .number(chance(16) ? 2 : below(2)))
    }

    private mutating func destroy(_ cpu: Int, _ player: Player) -> Step {
        let ending = player.handles.filter { player.state.machines[$0.value]?.life == .ending }.keys.min()
        return Step(cpu, .destroyVM, ending.map { .machine($0) } ?? name(player))
    }

    private mutating func run(_ cpu: Int, _ player: Player) -> Step {
        let vm = name(player)
        let index = machine(vm, player)?.vcpus.keys.min() ?? below(3)
        // No bits that have the virtual interface interrupt the host.
        let bits: UInt64 = scope == .anywhere ? one(of: [below(12), 24 + below(16)]) : below(40)
        return Step(cpu, .runVCPU, vm, .number(chance(12) ? 70 : index), .number(chance(16) ? 1 << bits : below(2)))
    }

    private mutating func registers(_ cpu: Int, _ player: Player) -> Step {
        let vm = name(player)
        let index = machine(vm, player)?.vcpus.keys.min() ?? 0
        let register: UInt64 = chance(8) ? below(0x500) : one(of: [below(31), 0x100, 0x101, 0x10A, 0x200 + below(20)])
        switch below(4) {
        case 0: return Step(cpu, .resetVCPU, vm, .number(index), .number(chance(8) ? 2 : below(2)))
        case 1:
            // What a guest runs with stays what it is at first, where it runs for real.
            let register = scope == .anywhere ? below(40) : register
            return Step(cpu, .setRegister, vm, .number(index), .number(register), .number(below(2)), 0)
        default:
            // What a guest's count is nobody can say who does not know the machine's.
            let isUnknown = scope == .anywhere && register == VCPURegister.timerCount.number
            return Step(cpu, .getRegister, vm, .number(index), .number(isUnknown ? 0 : register))
        }
    }

    /// The host touches a page of any kind.
    private mutating func access(_ cpu: Int, _ player: Player) -> Step {
        let deed: Deed = one(of: scope == .anywhere ? [.read, .write] : [.read, .write, .fetch])
        if scope == .anywhere { return Step(cpu, deed, [.page(Int64(below(pages)))]) }
        let special: [UInt64] = [
            0x8000 + below(16), 0x43F00 + below(128), player.host.plan.imageBase + below(512), 0x9000,
        ]
        switch below(12) {
        case 0: return Step(cpu, deed, [.number(one(of: special))])
        case 1: return Step(cpu, deed, [.number(random.next() & ((1 << 40) - 1))])
        default: return Step(cpu, deed, [.page(Int64(below(pages)))])
        }
    }

    private mutating func firmware(_ cpu: Int, _ player: Player) -> Step {
        guard scope == .simulation, chance(2) else {
            return Step(cpu, .firmware(chance(2) ? 0x8400_0000 : 0xC200_0000 | below(1 << 16)))
        }
        // A CPU that is on cannot be started, wherever its entry lies.
        let frame = player.value(chance(2) ? other(player) : .page(Int64(below(pages))))
        return Step(cpu, .firmware(0xC400_0003), [.number(below(cpuCount)), .number(frame << 12), 0])
    }

    /// No call, or one at the wrong time.
    private mutating func strange(_ cpu: Int) -> Step {
        let numbers: [UInt64] = [
            0xC600_4001, 0xC600_4002, 0xC600_4003, 0xC600_4013, 0xC600_4015, 0xC600_4034, 0xC600_4000 + below(64),
            0x100 | random.next() >> below(64),
        ]
        return Step(cpu, .call(one(of: numbers)), [.number(random.next()), .number(below(8))])
    }
}
