// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Where the guest's files go.

import Testing
import VMMBoot

private func header(size: UInt64, textOffset: UInt64 = 0) throws -> ImageHeader {
    try ImageHeader(Sample.image(size: size, textOffset: textOffset).span)
}

private let mebibyte: UInt64 = 1 << 20

private func memory(_ mebibytes: UInt64) -> GuestRange {
    AddressMap(memoryBytes: mebibytes * mebibyte, processors: 1).memory
}

@Suite struct BootPlanTests {
    @Test func kernelInitrdAndDeviceTreeFollowEachOther() throws {
        let plan = try BootPlan(
            memory: memory(256), kernel: header(size: 35 * mebibyte + 5), initrdSize: 3 * mebibyte + 1)
        #expect(plan.kernel == GuestRange(start: GuestAddress(0x8000_0000), count: 35 * mebibyte + 5))
        #expect(plan.initrd == GuestRange(start: GuestAddress(0x8240_0000), count: 3 * mebibyte + 1))
        #expect(plan.deviceTree.start == GuestAddress(0x8280_0000))
    }

    @Test func withoutInitrd() throws {
        let plan = try BootPlan(memory: memory(64), kernel: header(size: 2 * mebibyte), initrdSize: nil)
        #expect(plan.initrd == nil)
        #expect(plan.deviceTree.start == GuestAddress(0x8020_0000))
    }

    @Test func anOldKernelKeepsItsTextOffset() throws {
        let plan = try BootPlan(
            memory: memory(64), kernel: header(size: 2 * mebibyte, textOffset: 0x8_0000), initrdSize: nil)
        #expect(plan.kernel.start == GuestAddress(0x8008_0000))
        #expect(plan.deviceTree.start == GuestAddress(0x8040_0000))
    }

    @Test func theKernelMustFit() throws {
        _ = try BootPlan(memory: memory(64), kernel: header(size: 60 * mebibyte), initrdSize: nil)
        #expect(throws: PlacementError.kernelLargerThanMemory(needed: 66 * mebibyte, available: 64 * mebibyte)) {
            try BootPlan(memory: memory(64), kernel: header(size: 60 * mebibyte + 1), initrdSize: nil)
        }
    }

    @Test func theInitrdMustFit() throws {
        _ = try BootPlan(memory: memory(64), kernel: header(size: 20 * mebibyte), initrdSize: 40 * mebibyte)
        for size in [40 * mebibyte + 1, 64 * mebibyte, 65 * mebibyte, UInt64.max] {
            #expect(throws: PlacementError.initrdTooBig(size: size, available: 40 * mebibyte)) {
                try BootPlan(memory: memory(64), kernel: header(size: 20 * mebibyte), initrdSize: size)
            }
        }
    }

    @Test func nothingOverlapsAndNothingLeavesMemory() throws {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<2000 {
            let memory = memory(2 * UInt64.random(in: 16...512, using: &generator))
            let header = try header(size: UInt64.random(in: 1...(128 << 20), using: &generator))
            let initrd = Bool.random(using: &generator) ? UInt64.random(in: 1...(256 << 20), using: &generator) : nil
            guard let plan = try? BootPlan(memory: memory, kernel: header, initrdSize: initrd) else { continue }
            var last = memory.start
            for part in [plan.kernel, plan.initrd, plan.deviceTree].compactMap(\.self) {
                #expect(part.start >= last)
                #expect(memory.contains(part))
                last = part.end
            }
            let first = plan.deviceTree.start.value >> 21
            #expect(first == (plan.deviceTree.end.value - 1) >> 21, "the device tree crosses a 2 MiB boundary")
        }
    }

    @Test func windowsDoNotOverlap() {
        for processors in 1...8 {
            let map = AddressMap(memoryBytes: 64 << 20, processors: processors)
            #expect(map.serial.end <= map.redistributors.start)
            #expect(map.redistributors.end == map.distributor.start)
            #expect(map.distributor.end <= map.memory.start)
            #expect(map.redistributors.start.value % 0x1_0000 == 0)
        }
    }

    @Test func rangesKnowTheirInside() {
        let range = GuestRange(start: GuestAddress(0x1000), count: 0x100)
        #expect(range.offset(of: GuestAddress(0xFFF)) == nil)
        #expect(range.offset(of: GuestAddress(0x1000)) == 0)
        #expect(range.offset(of: GuestAddress(0x10FF)) == 0xFF)
        #expect(range.offset(of: GuestAddress(0x1100)) == nil)
        #expect(range.contains(GuestRange(start: GuestAddress(0x10FF), count: 1)))
        #expect(!range.contains(GuestRange(start: GuestAddress(0x10FF), count: 2)))
    }
}
