// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The writer of device trees, and the tree that a guest gets.

import Testing
import VMMBoot

/// What the device tree compiler (dtc 1.6.1) makes of the tree in `matchesTheCompiler`.
private let compiled = """
        d00dfeed0000012600000038000000f00000002800000011000000100000
        000000000036000000b80000000000000000000000000000000000000001
        0000000000000003000000040000000000000002000000030000000e0000
        000f6f6e652c74776f007468726565000000000000016d656d6f72794038
        303030303030300000000003000000070000001a6d656d6f727900000000
        00030000000800000026000000012345678a00000003000000030000002b
        0102030000000003000000000000003100000002000000016e6578740000
        000000000003000000020000000f78000000000000020000000200000009
        23616464726573732d63656c6c7300636f6d70617469626c650064657669
        63655f74797065007769646500627974657300666c616700
    """

private func bytes(hexadecimal text: String) -> [UInt8] {
    let digits = text.compactMap(\.hexDigitValue)
    return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}

private func guest(
    processors: Int = 2, initrd: GuestRange? = nil, seed: GuestDescription.Seed? = nil,
    commandLine: String = "console=ttyS0"
) -> GuestDescription {
    GuestDescription(
        map: AddressMap(memoryBytes: 512 << 20, processors: processors), processors: processors,
        commandLine: commandLine, initrd: initrd, seed: seed)
}

@Suite struct DeviceTreeTests {
    @Test func matchesTheCompiler() {
        let tree = FlattenedDeviceTree { root in
            root.property("#address-cells", cells: [2])
            root.property("compatible", "one,two", "three")
            root.node("memory@80000000") {
                $0.property("device_type", "memory")
                $0.property("wide", wide: [0x1_2345_678A])
                $0.property("bytes", bytes: [1, 2, 3])
                $0.property("flag")
            }
            root.node("next") { $0.property("compatible", "x") }
        }
        #expect(tree.flattened() == bytes(hexadecimal: compiled))
    }

    @Test func chosen() throws {
        let initrd = GuestRange(start: GuestAddress(0x8240_0000), count: 0x1234)
        let seed = GuestDescription.Seed(placement: 0x0102_0304_0506_0708, generator: Array(0..<64))
        let chosen = try #require(try DeviceTreeReader.read(guest(initrd: initrd, seed: seed).deviceTree())["chosen"])
        #expect(chosen.text("bootargs") == "console=ttyS0")
        #expect(chosen.text("stdout-path") == "serial0:115200n8")
        #expect(chosen.wide("linux,initrd-start") == [0x8240_0000])
        #expect(chosen.wide("linux,initrd-end") == [0x8240_1234])
        #expect(chosen.wide("kaslr-seed") == [0x0102_0304_0506_0708])
        #expect(chosen.properties["rng-seed"] == Array(0..<64))
    }

    @Test func whatIsAbsentIsNotMentioned() throws {
        let chosen = try #require(try DeviceTreeReader.read(guest().deviceTree())["chosen"])
        #expect(Set(chosen.properties.keys) == ["bootargs", "stdout-path"])
    }

    @Test func memoryAndDevices() throws {
        let root = try DeviceTreeReader.read(guest(processors: 4).deviceTree())
        #expect(root["memory@80000000"]?.wide("reg") == [0x8000_0000, 512 << 20])
        let gic = try #require(root["interrupt-controller@3fff0000"])
        #expect(gic.text("compatible") == "arm,gic-v3")
        #expect(gic.wide("reg") == [0x3FFF_0000, 0x1_0000, 0x3FF7_0000, 0x8_0000])
        #expect(gic.cells("phandle") == root.cells("interrupt-parent"))
        let serial = try #require(root["serial@1000000"])
        #expect(serial.text("compatible") == "ns16550a")
        #expect(serial.wide("reg") == [0x0100_0000, 0x1000])
        #expect(serial.cells("interrupts") == [0, 0, 4])
        #expect(root["aliases"]?.text("serial0") == "/serial@1000000")
        #expect(root["psci"]?.text("method") == "hvc")
        #expect(root["timer"]?.cells("interrupts") == [1, 13, 4, 1, 14, 4, 1, 11, 4, 1, 10, 4])
    }

    @Test(arguments: 1...8)
    func processors(count: Int) throws {
        let cpus = try #require(try DeviceTreeReader.read(guest(processors: count).deviceTree())["cpus"])
        #expect(cpus.children.count == count)
        for index in 0..<count {
            let cpu = try #require(cpus["cpu@\(index)"])
            #expect(cpu.cells("reg") == [UInt32(index)])
            // A lone CPU is on already; the others are turned on through PSCI.
            #expect(cpu.text("enable-method") == (count > 1 ? "psci" : nil))
        }
    }

    @Test func theLongestCommandLineFitsTheRoom() throws {
        let seed = GuestDescription.Seed(placement: 1, generator: Array(repeating: 7, count: 64))
        let blob = guest(processors: 8, seed: seed, commandLine: String(repeating: "x", count: 2047)).deviceTree()
        #expect(UInt64(blob.count) <= BootPlan.deviceTreeRoom)
        #expect(try DeviceTreeReader.read(blob)["chosen"]?.text("bootargs")?.utf8.count == 2047)
    }
}
