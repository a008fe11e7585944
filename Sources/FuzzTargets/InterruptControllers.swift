// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The interrupt controller: what a process sets, what a guest writes, and what runs bring back.

import Arm
import VirtualGIC

private struct Words: InterruptStore {
    var words: [UInt64]

    var count: Int { words.count }

    subscript(place: Int) -> UInt64 {
        get { words[place] }
        set { words[place] = newValue }
    }
}

/// The device's attributes first, then a guest's life.
func checkInterruptController(_ input: inout FuzzInput) throws(BrokenProperty) {
    let vcpus = Int(input.byte() % 8) + 1
    var device = GICDevice(addressBits: 32 + UInt64(input.byte() % 17))
    let attributes = input.byte() % 8
    for _ in 0..<attributes {
        let group = UInt32(input.byte() % 6)
        guard let attribute = GICAttribute(group: group, attribute: UInt64(input.byte() % 8)) else { continue }
        let value = input.number()
        _ = try? device.set(attribute, to: value, VCPUCount(online: vcpus, created: vcpus))
        _ = try? device.get(attribute, value: value)
    }
    _ = try? device.checkReadyToRun(vcpus: vcpus)
    if let location = device.locate(Address(input.number()), vcpus: vcpus) {
        switch location.region {
        case .distributor: try hold(location.offset < GICRegion.distributorSize, "\(location)")
        case .redistributor(let vcpu, _):
            try hold(location.offset < GICRegion.redistributorSize, "\(location)")
            try hold(vcpu.rawValue < vcpus, "the redistributor of \(vcpu) of \(vcpus)")
        }
    }
    guard let shape = device.shape(vcpus: vcpus) ?? GICShape(vcpus: vcpus, interrupts: 32 * (2 + Int(input.byte() % 3)))
    else { return }
    let identifiers = (0..<UInt32(vcpus)).map { $0 }
    let words = Array(repeating: UInt64(0xA5A5_A5A5_A5A5_A5A5), count: shape.words)
    guard var gic = VirtualGIC(shape: shape, vcpuIDs: identifiers.span, store: Words(words: words)) else {
        throw BrokenProperty("no controller of \(shape)")
    }
    try live(&gic, vcpus, &input)
}

private func live(_ gic: inout VirtualGIC<Words>, _ vcpus: Int, _ input: inout FuzzInput) throws(BrokenProperty) {
    var lists = Array(repeating: Array(repeating: UInt64(0), count: 4), count: vcpus)
    var steps = 0
    while !input.isEmpty, steps < 128 {
        steps += 1
        let choice = input.byte()
        let index = Int(input.byte()) % vcpus
        let vcpu = VCPUIndex(index)
        let control = VirtualMachineControl(bits: choice & 0x80 == 0 ? 0xFF00_0203 : input.word())
        switch choice % 8 {
        case 0, 1:
            let region: GICRegion = choice & 0x40 == 0 ? .distributor : .redistributor(vcpu, .last)
            let width = [AccessWidth.byte, .halfword, .word, .doubleword][Int(choice >> 4 & 3)]
            let offset = (UInt64(input.byte()) << 8 | UInt64(input.byte())) & 0x1_FFFF | UInt64(choice & 8) << 13
            let aligned = offset & ~(UInt64(width.rawValue) - 1)
            if choice & 1 == 0 {
                _ = gic.writeRegister(region, offset: aligned, width: width, value: input.number())
            } else {
                let value = gic.readRegister(region, offset: aligned, width: width)
                try hold(width == .doubleword || value >> UInt64(width.rawValue * 8) == 0, "\(width) reads \(value)")
                _ = gic.holders(of: region, offset: aligned, width: width)
            }
        case 2:
            if let line = try? InterruptLine(alleged: UInt32(truncatingIfNeeded: input.number())) {
                _ = try? gic.setLine(line, to: choice & 16 == 0 ? .low : .high)
            }
        case 3: _ = gic.generateSGI(from: vcpu, .groupOne, input.number())
        case 4: _ = gic.deactivate(input.number(), by: vcpu)
        case 5: _ = try? gic.connect(ppi: Int(input.byte()), of: vcpu, toPhysical: Int(input.byte()))
        case 6: try enter(&gic, vcpu, &lists[index], control)
        default:
            // What comes back need not be what went in: a guest's run may end in any way.
            if choice & 16 != 0 { lists[index][Int(choice >> 5 & 3)] = input.word() }
            let registers = lists[index]
            _ = gic.fold(vcpu, from: registers.span, endCount: Int(input.byte() & 31), control: control)
        }
    }
}

private func enter(
    _ gic: inout VirtualGIC<Words>, _ vcpu: VCPUIndex, _ lists: inout [UInt64], _ control: VirtualMachineControl
) throws(BrokenProperty) {
    var registers = lists
    var span = registers.mutableSpan
    let result = gic.flush(vcpu, into: &span, control: control)
    lists = registers
    try hold(result.used <= 4, "\(result.used) list registers are used")
    let used = lists.map { ListRegister(bits: $0) }.filter { $0.isPending || $0.isActive }
    try hold(used.count <= result.used, "\(used.count) list registers of \(result.used) hold something")
    try hold(Set(used.map(\.intid)).count == used.count, "two list registers hold one interrupt")
    for list in used { try hold(list.intid < 1020, "a list register holds \(list.intid)") }
}
