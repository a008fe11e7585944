// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Console input on its way to the guest, and the plan that a dry run prints.

import Testing
import VMMBoot
import VMMConfiguration
import VMMDevices
import VMMRun

private func take(_ bytes: [UInt8], _ kind: ConsoleKind) -> (guest: [UInt8], actions: [ConsoleInput.Action]) {
    var input = ConsoleInput(kind)
    var port = SerialPort()
    let actions = input.take(bytes.span, to: &port)
    var guest: [UInt8] = []
    while !port.input.isEmpty { guest.append(port.read(0)) }
    return (guest, actions)
}

@Suite struct ConsoleInputTests {
    @Test func aTerminalHasEscapes() {
        let (guest, actions) = take([0x61, 0x01, 0x68, 0x62, 0x01, 0x01, 0x01, 0x78, 0x63], .terminal)
        #expect(guest == [0x61, 0x62, 0x01, 0x63])
        #expect(actions == [.help, .leave])
    }

    @Test func aStreamHasNone() {
        let bytes: [UInt8] = [0x61, 0x01, 0x78, 0x00, 0xFF]
        let (guest, actions) = take(bytes, .stream)
        #expect(guest == bytes)
        #expect(actions.isEmpty)
    }

    @Test func anEscapeMaySpanTwoReads() {
        var input = ConsoleInput(.terminal)
        var port = SerialPort()
        #expect(input.take([UInt8(0x01)].span, to: &port) == [])
        #expect(input.take([UInt8(0x78)].span, to: &port) == [.leave])
    }

    @Test func readingWaitsForRoom() {
        let input = ConsoleInput(.stream)
        var port = SerialPort()
        #expect(input.wantsInput(port))
        while port.input.room >= ConsoleInput.chunk { _ = port.deliver(0x61) }
        #expect(!input.wantsInput(port))
        _ = port.read(0)
        #expect(input.wantsInput(port))
    }
}

@Suite struct OutputPacingTests {
    @Test func bytesAreGatheredForAMoment() {
        var pacing = OutputPacing()
        #expect(pacing.step(waiting: 0) == .idle)
        #expect(pacing.step(waiting: 1) == .gather)
        #expect(pacing.step(waiting: OutputPacing.enough) == .write)
        pacing.momentPassed()
        #expect(pacing.step(waiting: 1) == .write)
        // A reader that takes nothing does not start the moment again.
        #expect(pacing.step(waiting: 2) == .write)
        pacing.wrote()
        #expect(pacing.step(waiting: 1) == .gather)
        #expect(pacing.step(waiting: 0) == .idle)
    }
}

@Suite struct MachinePlanTests {
    private func plan(_ change: (inout RunOptions) -> Void = { _ in }, initrd: UInt64? = 5000) throws -> MachinePlan {
        var options = RunOptions()
        change(&options)
        let map = AddressMap(memoryBytes: options.memory.bytes, processors: options.processors.value)
        var image = [UInt8](repeating: 0, count: 64)
        image.replaceSubrange(16..<24, with: [0, 0, 0x23, 2, 0, 0, 0, 0])
        image.replaceSubrange(56..<60, with: Array("ARMd".utf8))
        let boot = try BootPlan(memory: map.memory, kernel: ImageHeader(image.span), initrdSize: initrd)
        return MachinePlan(
            map: map, boot: boot, options: options, kernelPath: "/k", initrdPath: initrd == nil ? nil : "/i")
    }

    @Test func inWords() throws {
        #expect(
            try plan().report(as: .text) == """
                martlet: plan of a normal VM
                  cpus:         1
                  memory:       512 MiB at 0x80000000
                  kernel:       0x80000000, 35848192 bytes, /k
                  initrd:       0x82400000, 5000 bytes, /i
                  device tree:  0x82600000
                  serial:       0x1000000, interrupt 32
                  GICv3:        distributor 0x3fff0000, redistributors 0x3ffd0000
                  command line: earlycon console=ttyS0 panic=-1

                """)
    }

    @Test func asJSON() throws {
        let plan = try plan({ $0.protection = .protected }, initrd: nil)
        #expect(
            plan.report(as: .json)
                == #"{"event":"plan","protection":"protected","cpus":1,"memory":536870912,"memoryAddress":2147483648,"#
                + #""kernel":"/k","kernelAddress":2147483648,"kernelSize":35848192,"deviceTreeAddress":2185232384,"#
                + #""commandLine":"earlycon console=ttyS0 panic=-1"}"# + "\n")
    }

    @Test(arguments: [("512M", 32), ("2G", 32), ("2050M", 33), ("62G", 36), ("63G", 37), ("1022G", 40)])
    func addressBits(memory: String, bits: Int) throws {
        #expect(try plan({ $0.memory = try! MemorySize(parsing: memory) }).addressBits == bits)
    }
}
