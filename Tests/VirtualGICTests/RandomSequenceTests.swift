// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Random devices, guests and register writes: after each step every vCPU is signalled what an ideal
// GIC would signal, with few list registers and with many.

import Testing
import VirtualGIC

/// One of these runs a seed.
private struct Sequence: ~Copyable {
    static let sgis = 0..<3
    static let ppis = 24..<27
    static let spis = 32..<42
    static let vcpus = 3

    var bench: Bench
    var ideal = IdealGIC(vcpus: vcpus, spis: spis)
    var random: SeededGenerator
    /// Interrupts that guests acknowledged: a run in which nothing happens shows nothing.
    var acknowledged = 0

    init(seed: UInt64, listRegisters: Int) throws {
        bench = try Bench(vcpus: Self.vcpus, interrupts: 64, listRegisters: listRegisters)
        random = SeededGenerator(seed: seed)
        // Few interrupts, so that much happens to each.
        for intid in Self.spis {
            let edge = intid % 4 != 0
            bench.configure(intid, priority: 0, edge: edge)
            ideal.change(ideal.name(0, intid)) {
                $0.edge = edge
                $0.enabled = true
            }
        }
    }

    mutating func number(_ range: Range<Int>) -> Int { Int.random(in: range, using: &random) }

    mutating func anyInterrupt() -> Int {
        switch number(0..<4) {
        case 0: number(Self.sgis)
        case 1: number(0..<4) == 0 ? 27 : number(Self.ppis)
        default: number(Self.spis)
        }
    }

    mutating func step() throws -> String {
        let vcpu = number(0..<Self.vcpus)
        switch number(0..<20) {
        case 0..<3: return try device()
        case 3: return sgi(vcpu)
        case 4..<8: return write(vcpu)
        case 8..<13: return acknowledge(vcpu)
        case 13..<18: return end(vcpu)
        case 18: return control(vcpu)
        default: return timer(vcpu)
        }
    }

    mutating func device() throws -> String {
        let level: LineLevel = number(0..<3) == 0 ? .low : .high
        if number(0..<4) == 0 {
            let (vcpu, intid) = (number(0..<Self.vcpus), number(Self.ppis))
            try bench.setLine(.perVCPU(intid: intid, vcpuID: UInt32(vcpu)), level)
            ideal.drive(ideal.name(vcpu, intid), level)
            return "PPI \(intid) of \(vcpu) \(level)"
        }
        let intid = number(Self.spis)
        try bench.setSPI(intid, level)
        ideal.drive(ideal.name(0, intid), level)
        return "SPI \(intid) \(level)"
    }

    mutating func timer(_ vcpu: Int) -> String {
        let level: LineLevel = number(0..<2) == 0 ? .low : .high
        bench.setTimer(vcpu, level)
        ideal.drive(ideal.name(vcpu, 27), level)
        return "timer of \(vcpu) \(level)"
    }

    mutating func sgi(_ vcpu: Int) -> String {
        let intid = number(Self.sgis)
        let list = number(0..<8)
        let toOthers = number(0..<4) == 0
        bench.sendSGI(vcpu, UInt64(intid) << 24 | (toOthers ? 1 << 40 : UInt64(list)))
        for target in 0..<Self.vcpus where toOthers ? target != vcpu : list >> target & 1 != 0 {
            ideal.change(ideal.name(target, intid)) { $0.latch = true }
        }
        return "SGI \(intid) of \(vcpu) to \(toOthers ? "others" : String(list, radix: 2))"
    }

    mutating func acknowledge(_ vcpu: Int) -> String {
        let expected = ideal.signalled(vcpu, bench.interfaces[vcpu].control)
        let intid = bench.acknowledge(vcpu)
        #expect(intid.map(expected.contains) ?? expected.isEmpty)
        if let intid {
            ideal.acknowledge(vcpu, intid)
            acknowledged += 1
        }
        return "\(vcpu) acknowledges \(intid ?? 1023)"
    }

    mutating func end(_ vcpu: Int) -> String {
        guard let intid = ideal.end(vcpu) else { return "\(vcpu) has nothing to end" }
        bench.end(vcpu, intid)
        return "\(vcpu) ends \(intid)"
    }

    mutating func control(_ vcpu: Int) -> String {
        let groups = UInt64([1, 2, 3, 3, 3, 3, 3, 0][number(0..<8)])
        let mask = UInt64([0x40, 0x80, 0xF8, 0xF8, 0xF8, 0xF8, 0xF8, 0xF8][number(0..<8)])
        bench.interfaces[vcpu].control = VirtualMachineControl(bits: mask << 24 | groups)
        bench.maintain(vcpu)
        return "\(vcpu) mask \(mask) groups \(groups)"
    }

    /// A write to a register, by one vCPU, about an interrupt of any.
    mutating func write(_ vcpu: Int) -> String {
        let intid = anyInterrupt()
        let owner = number(0..<Self.vcpus)
        let name = ideal.name(owner, intid)
        let region: GICRegion = intid < 32 ? .redistributor(owner) : .distributor
        let base: UInt64 = intid < 32 ? 0x1_0000 : 0
        let word = base + UInt64(intid / 32 * 4)
        let bit: UInt64 = 1 << UInt64(intid % 32)
        switch number(0..<12) {
        case 0..<4:
            bench.write(vcpu, region, word + 0x100, bit)
            ideal.change(name) { $0.enabled = true }
            return "\(vcpu) enables \(name)"
        case 4:
            bench.write(vcpu, region, word + 0x180, bit)
            ideal.change(name) { $0.enabled = false }
            return "\(vcpu) disables \(name)"
        case 5:
            bench.write(vcpu, region, word + 0x200, bit)
            ideal.change(name) { $0.latch = true }
            return "\(vcpu) sets \(name) pending"
        case 6:
            bench.write(vcpu, region, word + 0x280, bit)
            ideal.change(name) { $0.latch = false }
            return "\(vcpu) clears \(name) pending"
        case 7, 8:
            // Not while it is served: the running priority would be another.
            guard !ideal.serving.joined().contains(name) else { return "-" }
            let priority = UInt8(number(0..<16)) << 4
            bench.write(vcpu, region, base + 0x400 + UInt64(intid), UInt64(priority), .byte)
            ideal.change(name) { $0.priority = priority }
            return "\(vcpu) gives \(name) priority \(priority)"
        case 9:
            let old = bench.read(vcpu, region, word + 0x80)
            bench.write(vcpu, region, word + 0x80, old ^ bit)
            ideal.change(name) { $0.groupOne.toggle() }
            return "\(vcpu) moves \(name) to the other group"
        case 10 where intid >= 32:
            let target = number(0..<Self.vcpus + 1)
            bench.write(vcpu, .distributor, 0x6000 + UInt64(intid * 8), UInt64(target), .doubleword)
            ideal.change(name) { $0.target = target < Self.vcpus ? target : nil }
            return "\(vcpu) routes \(intid) to \(target)"
        case 11 where intid >= 32 && number(0..<3) == 0:
            let edge = number(0..<2) == 1
            let offset = 0xC00 + UInt64(intid / 16 * 4)
            let shift = UInt64(intid % 16 * 2)
            let old = bench.read(vcpu, .distributor, offset)
            bench.write(vcpu, .distributor, offset, old & ~(3 << shift) | (edge ? 2 : 0) << shift)
            ideal.change(name) { $0.edge = edge }
            return "\(vcpu) makes \(intid) \(edge ? "edge" : "level")-triggered"
        default:
            guard number(0..<3) == 0 else { return "-" }
            let groups = UInt64([0, 1, 2, 3, 3, 3, 3, 3][number(0..<8)])
            bench.write(vcpu, .distributor, 0, groups)
            ideal.groups = groups
            return "\(vcpu) enables groups \(groups)"
        }
    }

    func mismatch() -> String? {
        for vcpu in 0..<Self.vcpus {
            let control = bench.interfaces[vcpu].control
            let expected = ideal.signalled(vcpu, control)
            let actual = bench.interfaces[vcpu].pending
            if actual.map(expected.contains) ?? expected.isEmpty { continue }
            return "vCPU \(vcpu) is signalled \(actual ?? 1023) instead of one of \(expected.sorted())"
        }
        return nil
    }
}

@Suite struct RandomSequenceTests {
    @Test(arguments: [1, 2, 4, 16], Seeds.few(6))
    func signalsWhatAnIdealGICSignals(listRegisters: Int, seed: UInt64) throws {
        var sequence = try Sequence(seed: seed, listRegisters: listRegisters)
        var history: [String] = []
        for index in 0..<4000 {
            history.append(try sequence.step())
            if let mismatch = sequence.mismatch() {
                Issue.record(
                    "MARTLET_SEED=\(seed), \(listRegisters) list registers, step \(index): \(mismatch)\n\(history.suffix(40).joined(separator: "\n"))"
                )
                return
            }
        }
        #expect(sequence.acknowledged > 100)
    }
}
