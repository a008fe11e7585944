// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The device's attributes, with Linux's errors, and where its registers are.

import Arm
import Testing
import VirtualGIC

private let four = VCPUCount(online: 4, created: 4)

/// A value of attribute REDIST_REGION.
private func region(_ index: UInt64, _ base: UInt64, count: UInt64, flags: UInt64 = 0) -> UInt64 {
    count << 52 | base | flags << 12 | index
}

private func location(_ device: borrowing GICDevice, _ address: UInt64, vcpus: Int = 4) -> GICLocation? {
    device.locate(Address<GuestPhysical>(address), vcpus: vcpus)
}

@Suite struct DeviceTests {
    @Test func attributeNumbers() {
        func attribute(_ group: UInt32, _ number: UInt64) -> GICAttribute? {
            GICAttribute(group: group, attribute: number)
        }
        #expect(attribute(0, 2) == .distributorAddress)
        #expect(attribute(0, 3) == .redistributorAddress)
        #expect(attribute(0, 5) == .redistributorRegion)
        #expect(attribute(3, 0) == .interrupts)
        #expect(attribute(4, 0) == .initialise)
        for number in [0, 1, 4, 6, UInt64.max] {
            #expect(attribute(0, number) == .unknownAddress)
            #expect(attribute(0, number)?.exists == false)
        }
        for (group, number) in [(4, 1), (4, 3), (8, 0), (9, 0), (UInt32.max, 0)] as [(UInt32, UInt64)] {
            #expect(attribute(group, number) == nil)
        }
        #expect(GICAttribute.distributorAddress.payload == .doubleword)
        #expect(GICAttribute.interrupts.payload == .word)
        #expect(GICAttribute.initialise.payload == .none)
        #expect(GICAttribute.redistributorRegion.isReadByValue && !GICAttribute.interrupts.isReadByValue)
    }

    @Test func errorNumbersAreLinuxs() {
        #expect(GICError.invalid.errno == 22 && GICError.alreadyConfigured.errno == 17 && GICError.busy.errno == 16)
        #expect(GICError.noSuchThing.errno == 6 && GICError.beyondAddressSpace.errno == 7)
        #expect(GICError.noSuchRegion.errno == 2 && GICError.noMemory.errno == 12)
    }

    @Test func distributorAddress() throws {
        var device = GICDevice(addressBits: 40)
        #expect(try device.get(.distributorAddress, value: 0) == UInt64.max)
        #expect(throws: GICError.invalid) { try device.set(.distributorAddress, to: 0x800_1000, four) }
        #expect(throws: GICError.invalid) { try device.set(.distributorAddress, to: UInt64.max & ~0xFFFF, four) }
        #expect(throws: GICError.beyondAddressSpace) { try device.set(.distributorAddress, to: 1 << 40, four) }
        try device.set(.distributorAddress, to: 0x800_0000, four)
        #expect(throws: GICError.alreadyConfigured) { try device.set(.distributorAddress, to: 0x800_0001, four) }
        #expect(try device.get(.distributorAddress, value: 0) == 0x800_0000)
        #expect(throws: GICError.noSuchThing) { try device.set(.unknownAddress, to: 0, four) }
        #expect(throws: GICError.noSuchThing) { _ = try device.get(.unknownAddress, value: 0) }
        #expect(throws: GICError.noSuchThing) { _ = try device.get(.initialise, value: 0) }
    }

    @Test func oneRedistributorRegion() throws {
        var device = GICDevice(addressBits: 40)
        #expect(try device.get(.redistributorAddress, value: 0) == UInt64.max)
        try device.set(.distributorAddress, to: 0x800_0000, four)
        #expect(throws: GICError.invalid) { try device.set(.redistributorAddress, to: 0x80A_1000, four) }
        #expect(throws: GICError.invalid) { try device.set(.redistributorAddress, to: 0x7FF_0000, four) }
        #expect(throws: GICError.invalid) { try device.set(.redistributorAddress, to: UInt64.max & ~0xFFFF, four) }
        #expect(throws: GICError.beyondAddressSpace) {
            try device.set(.redistributorAddress, to: (1 << 40) - 0x2_0000, four)
        }
        try device.set(.redistributorAddress, to: 0x80A_0000, four)
        #expect(throws: GICError.alreadyConfigured) { try device.set(.redistributorAddress, to: 0x90A_0000, four) }
        #expect(try device.get(.redistributorAddress, value: 0) == 0x80A_0000)
        #expect(throws: GICError.invalid) {
            try device.set(.redistributorRegion, to: region(0, 0x90A_0000, count: 4), four)
        }
    }

    @Test func redistributorRegions() throws {
        var device = GICDevice(addressBits: 40)
        try device.set(.distributorAddress, to: 0x800_0000, four)
        func set(_ value: UInt64) throws { try device.set(.redistributorRegion, to: value, four) }
        #expect(throws: GICError.invalid) { try set(region(0, 0x900_0000, count: 0)) }
        #expect(throws: GICError.invalid) { try set(region(0, 0x900_0000, count: 1, flags: 1)) }
        #expect(throws: GICError.invalid) { try set(region(1, 0x900_0000, count: 1)) }
        #expect(throws: GICError.noSuchRegion) { _ = try device.get(.redistributorRegion, value: 0) }
        #expect(throws: GICError.invalid) { try set(region(0, 0x7FF_0000, count: 1)) }
        #expect(throws: GICError.beyondAddressSpace) { try set(region(0, 1 << 40, count: 1)) }
        try set(region(0, 0x900_0000, count: 2))
        #expect(throws: GICError.invalid) { try set(region(0, 0xA00_0000, count: 2)) }
        #expect(throws: GICError.invalid) { try set(region(2, 0xA00_0000, count: 2)) }
        #expect(throws: GICError.invalid) { try set(region(1, 0x903_0000, count: 2)) }
        #expect(throws: GICError.invalid) { try device.set(.redistributorAddress, to: 0xA00_0000, four) }
        try set(region(1, 0xA00_0000, count: 2))
        #expect(try device.get(.redistributorRegion, value: 1) == region(1, 0xA00_0000, count: 2))
        #expect(throws: GICError.noSuchRegion) { _ = try device.get(.redistributorRegion, value: 2) }
        // All vCPUs have theirs: more regions may be anywhere, up to what there is room for.
        for index in 2..<16 { try set(region(UInt64(index), 0x1000_0000 + UInt64(index) << 20, count: 1)) }
        #expect(throws: GICError.noMemory) { try set(region(16, 0x3000_0000, count: 1)) }
    }

    @Test func numberOfInterrupts() throws {
        var device = GICDevice(addressBits: 40)
        #expect(try device.get(.interrupts, value: 0) == 32)
        for number in [0, 32, 63, 65, 1000, 1024, 1056, UInt64.max] {
            #expect(throws: GICError.invalid) { try device.set(.interrupts, to: number, four) }
        }
        try device.set(.interrupts, to: 992, four)
        #expect(throws: GICError.busy) { try device.set(.interrupts, to: 64, four) }
        #expect(throws: GICError.invalid) { try device.set(.interrupts, to: 1024, four) }
        #expect(try device.get(.interrupts, value: 0) == 992)
    }

    @Test func initialisation() throws {
        var device = GICDevice(addressBits: 40)
        #expect(device.shape(vcpus: 4) == nil)
        #expect(throws: GICError.busy) { try device.set(.initialise, to: 0, VCPUCount(online: 3, created: 4)) }
        #expect(device.phase == .configuring)
        try device.set(.initialise, to: 0, four)
        try device.set(.initialise, to: 0, four)
        #expect(device.phase == .initialised)
        #expect(device.shape(vcpus: 4) == GICShape(vcpus: 4, interrupts: 256))
        #expect(try device.get(.interrupts, value: 0) == 256)
        #expect(throws: GICError.busy) { try device.set(.interrupts, to: 64, four) }
        #expect(device.shape(vcpus: 65) == nil)
    }

    @Test func whatTheFirstRunNeeds() throws {
        var device = GICDevice(addressBits: 40)
        func check() throws { try device.checkReadyToRun(vcpus: 4) }
        #expect(throws: GICError.noSuchThing) { try check() }
        try device.set(.redistributorRegion, to: region(0, 0x900_0000, count: 3), four)
        try device.set(.distributorAddress, to: 0x800_0000, four)
        #expect(throws: GICError.noSuchThing) { try check() }
        try device.set(.redistributorRegion, to: region(1, 0xA00_0000, count: 1), four)
        #expect(throws: GICError.busy) { try check() }
        try device.set(.initialise, to: 0, four)
        #expect(throws: Never.self) { try check() }
    }

    @Test func overlapIsFoundAtTheLatestByTheFirstRun() throws {
        var device = GICDevice(addressBits: 40)
        let none = VCPUCount(online: 0, created: 0)
        try device.set(.redistributorAddress, to: 0x800_0000, none)
        try device.set(.distributorAddress, to: 0x804_0000, none)
        #expect(throws: Never.self) { try device.set(.initialise, to: 0, four) }
        #expect(throws: Never.self) { try device.checkReadyToRun(vcpus: 2) }
        #expect(throws: GICError.invalid) { try device.checkReadyToRun(vcpus: 3) }
    }

    @Test func addresses() throws {
        var device = GICDevice(addressBits: 40)
        #expect(location(device, 0) == nil)
        try device.set(.distributorAddress, to: 0x800_0000, four)
        try device.set(.redistributorAddress, to: 0x80A_0000, four)
        #expect(location(device, 0x7FF_FFFF) == nil)
        #expect(location(device, 0x800_0000) == GICLocation(region: .distributor, offset: 0))
        #expect(location(device, 0x800_FFFC) == GICLocation(region: .distributor, offset: 0xFFFC))
        #expect(location(device, 0x801_0000) == nil)
        #expect(location(device, 0x809_FFFF) == nil)
        #expect(location(device, 0x80A_0008) == GICLocation(region: .redistributor(VCPUIndex(0), .followed), offset: 8))
        #expect(
            location(device, 0x80B_0100)
                == GICLocation(region: .redistributor(VCPUIndex(0), .followed), offset: 0x1_0100))
        #expect(
            location(device, 0x811_FFFF)
                == GICLocation(region: .redistributor(VCPUIndex(3), .last), offset: 0x1_FFFF))
        #expect(location(device, 0x812_0000) == nil)
        #expect(location(device, UInt64.max) == nil)
    }

    @Test func addressesInRegions() throws {
        var device = GICDevice(addressBits: 40)
        // The second lies behind the first without a gap; the third before both, with room to spare.
        try device.set(.redistributorRegion, to: region(0, 0x900_0000, count: 1), four)
        try device.set(.redistributorRegion, to: region(1, 0x902_0000, count: 1), four)
        try device.set(.redistributorRegion, to: region(2, 0x700_0000, count: 8), four)
        func of(_ address: UInt64) -> GICRegion? { location(device, address)?.region }
        #expect(of(0x900_0000) == .redistributor(VCPUIndex(0), .followed))
        #expect(of(0x903_FFFF) == .redistributor(VCPUIndex(1), .last))
        #expect(of(0x904_0000) == nil)
        #expect(of(0x700_0000) == .redistributor(VCPUIndex(2), .followed))
        #expect(of(0x702_0000) == .redistributor(VCPUIndex(3), .last))
        #expect(of(0x704_0000) == nil)
    }

    @Test func interruptLines() throws {
        #expect(try InterruptLine(alleged: 0x0100_0020) == .shared(intid: 32))
        #expect(try InterruptLine(alleged: 0x0203_0010) == .perVCPU(intid: 16, vcpuID: 3))
        #expect(try InterruptLine(alleged: 0x1203_0010) == .perVCPU(intid: 16, vcpuID: 259))
        #expect(throws: GICError.noSuchThing) { _ = try InterruptLine(alleged: 0) }
        for type in 3..<16 as Range<UInt32> {
            #expect(throws: GICError.invalid) { _ = try InterruptLine(alleged: type << 24) }
        }
        var bench = try Bench(vcpus: 2, ids: [0, 5])
        for line in [
            InterruptLine.shared(intid: 31), .shared(intid: 256), .shared(intid: 0xFFFF),
            .perVCPU(intid: 15, vcpuID: 0), .perVCPU(intid: 32, vcpuID: 0), .perVCPU(intid: 16, vcpuID: 1),
        ] {
            #expect(throws: GICError.invalid) { _ = try bench.gic.setLine(line, to: .high) }
        }
        bench.write(0, .redistributor(1), 0x1_0100, 1 << 16)
        try bench.setLine(.perVCPU(intid: 16, vcpuID: 5), .high)
        #expect(bench.acknowledge(1) == 16)
        #expect(bench.acknowledge(0) == nil)
    }
}
