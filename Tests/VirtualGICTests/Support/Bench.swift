// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A GIC with its vCPUs' CPU interfaces, as a module would run them: one list of calls a test line.

import Testing
import VirtualGIC

/// Words in an array, each of which starts with junk: a store needs no initial value.
struct ArrayStore: InterruptStore {
    var words: [UInt64]

    init(count: Int) { words = Array(repeating: 0xA5A5_A5A5_A5A5_A5A5, count: count) }

    var count: Int { words.count }

    subscript(place: Int) -> UInt64 {
        get { words[place] }
        set { words[place] = newValue }
    }
}

/// All vCPUs are in the guest all the time, but for the moments in which something takes them out.
struct Bench: ~Copyable {
    var gic: VirtualGIC<ArrayStore>
    var interfaces: [CPUInterface]
    /// The vCPUs that the last change made look again.
    var kicked = VCPUSet()
    /// The timers' outputs, which the module samples after each exit.
    var timers: [LineLevel]

    init(vcpus: Int, interrupts: Int = 256, listRegisters: Int = 4, ids: [UInt32]? = nil) throws {
        gic = try Self.gic(vcpus, interrupts, ids ?? (0..<UInt32(vcpus)).map { $0 })
        interfaces = Array(repeating: CPUInterface(listRegisters: listRegisters), count: vcpus)
        timers = Array(repeating: .low, count: vcpus)
        for index in 0..<vcpus { enter(VCPUIndex(index)) }
    }

    /// A GIC with both groups enabled and the timers connected.
    private static func gic(_ vcpus: Int, _ interrupts: Int, _ ids: [UInt32]) throws -> VirtualGIC<ArrayStore> {
        guard let shape = GICShape(vcpus: vcpus, interrupts: interrupts),
            var gic = VirtualGIC(shape: shape, vcpuIDs: ids.span, store: ArrayStore(count: shape.words))
        else { throw GICError.invalid }
        _ = gic.writeRegister(.distributor, offset: 0, width: .word, value: 3)
        for index in 0..<vcpus { try gic.connect(ppi: 27, of: VCPUIndex(index), toPhysical: 27) }
        return gic
    }

    mutating func enter(_ vcpu: VCPUIndex) {
        var interface = interfaces[vcpu.rawValue]
        var registers = interface.registers
        var span = registers.mutableSpan
        let result = gic.flush(vcpu, into: &span, control: interface.control)
        interface.enter(registers, result)
        interfaces[vcpu.rawValue] = interface
    }

    mutating func exit(_ vcpu: VCPUIndex) {
        let interface = interfaces[vcpu.rawValue]
        handle(
            gic.fold(vcpu, from: interface.registers.span, endCount: interface.endCount, control: interface.control),
            but: vcpu)
        interfaces[vcpu.rawValue].leave()
        handle(gic.setConnectedLine(ppi: 27, of: vcpu, to: timers[vcpu.rawValue]), but: vcpu)
    }

    /// Takes vCPUs out of the guest and in again.
    mutating func handle(_ set: VCPUSet, but absent: VCPUIndex? = nil) {
        kicked = set
        var rest = set
        while let vcpu = rest.popFirst() {
            if vcpu == absent { continue }
            exit(vcpu)
            enter(vcpu)
        }
    }

    /// Something that one vCPU does by leaving the guest.
    mutating func outside(_ vcpu: Int, _ body: (inout VirtualGIC<ArrayStore>) -> VCPUSet) {
        exit(VCPUIndex(vcpu))
        let kicks = body(&gic)
        handle(kicks, but: VCPUIndex(vcpu))
        kicked = kicks
        enter(VCPUIndex(vcpu))
    }

    mutating func write(
        _ vcpu: Int, _ region: GICRegion, _ offset: UInt64, _ value: UInt64, _ width: AccessWidth = .word
    ) {
        outside(vcpu) { $0.writeRegister(region, offset: offset, width: width, value: value) }
    }

    mutating func read(_ vcpu: Int, _ region: GICRegion, _ offset: UInt64, _ width: AccessWidth = .word) -> UInt64 {
        exit(VCPUIndex(vcpu))
        defer { enter(VCPUIndex(vcpu)) }
        return gic.readRegister(region, offset: offset, width: width)
    }

    mutating func sendSGI(_ vcpu: Int, _ value: UInt64, _ register: SGIRegister = .groupOne) {
        outside(vcpu) { $0.generateSGI(from: VCPUIndex(vcpu), register, value) }
    }

    mutating func setLine(_ line: InterruptLine, _ level: LineLevel) throws {
        let kicks = try gic.setLine(line, to: level)
        handle(kicks)
        kicked = kicks
    }

    mutating func setSPI(_ intid: Int, _ level: LineLevel) throws { try setLine(.shared(intid: intid), level) }

    /// A timer's output changes. The physical interrupt, or the guest's access, takes the vCPU out.
    mutating func setTimer(_ vcpu: Int, _ level: LineLevel) {
        timers[vcpu] = level
        outside(vcpu) { _ in VCPUSet() }
    }

    /// The guest reads ICC_IAR<n>_EL1; nil stands for 1023.
    mutating func acknowledge(_ vcpu: Int) -> Int? {
        let intid = interfaces[vcpu].acknowledge()
        maintain(vcpu)
        return intid
    }

    /// The guest writes ICC_EOIR<n>_EL1.
    mutating func end(_ vcpu: Int, _ intid: Int) {
        interfaces[vcpu].end(intid)
        maintain(vcpu)
    }

    /// The guest writes ICC_DIR_EL1.
    mutating func deactivate(_ vcpu: Int, _ intid: Int) {
        if interfaces[vcpu].deactivate(intid: intid) {
            outside(vcpu) { $0.deactivate(UInt64(intid), by: VCPUIndex(vcpu)) }
        }
        maintain(vcpu)
    }

    /// Serves maintenance interrupts until there are none.
    mutating func maintain(_ vcpu: Int) {
        var turns = 0
        while interfaces[vcpu].wantsMaintenance {
            turns += 1
            guard turns < 4 else {
                Issue.record("maintenance does not end")
                return
            }
            interfaces[vcpu].exits += 1
            exit(VCPUIndex(vcpu))
            enter(VCPUIndex(vcpu))
        }
    }

    /// Enables an SPI with a priority and a trigger, routed to a vCPU's affinity.
    mutating func configure(_ intid: Int, priority: UInt64 = 0xA0, edge: Bool = false, route: UInt64 = 0) {
        let bit: UInt64 = 1 << UInt64(intid % 32)
        let word = UInt64(intid / 32 * 4)
        let shift = UInt64(intid % 16 * 2)
        let configurationWord = 0xC00 + UInt64(intid / 16 * 4)
        let old = read(0, .distributor, configurationWord)
        write(0, .distributor, configurationWord, old & ~(3 << shift) | (edge ? 2 : 0) << shift)
        write(0, .distributor, 0x400 + UInt64(intid), priority, .byte)
        write(0, .distributor, 0x6000 + UInt64(intid * 8), route, .doubleword)
        write(0, .distributor, 0x100 + word, bit)
    }
}

extension GICRegion {
    static func redistributor(_ vcpu: Int) -> GICRegion { .redistributor(VCPUIndex(vcpu), .last) }
}
