// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The 16550A as drivers see it.

import Testing
import VMMBoot
import VMMDevices

private enum Register {
    static let data: UInt64 = 0
    static let interruptEnable: UInt64 = 1
    static let interruptIdentification: UInt64 = 2
    static let fifoControl: UInt64 = 2
    static let lineControl: UInt64 = 3
    static let modemControl: UInt64 = 4
    static let lineStatus: UInt64 = 5
    static let modemStatus: UInt64 = 6
    static let scratch: UInt64 = 7
}

@Suite struct SerialPortTests {
    @Test func afterReset() {
        var port = SerialPort()
        #expect(port.read(Register.lineStatus) == 0x60)
        #expect(port.read(Register.interruptIdentification) == 0x01)
        #expect(port.read(Register.interruptEnable) == 0)
        #expect(port.read(Register.modemStatus) == 0xB0)
        #expect(!port.interruptLevel)
    }

    @Test func whatIsSentComesOutInOrder() {
        var port = SerialPort()
        for byte in "hello".utf8 { port.write(Register.data, byte) }
        #expect(port.bytesToSend(limit: 3) == Array("hel".utf8))
        port.sent(3)
        #expect(port.bytesToSend(limit: 100) == Array("lo".utf8))
        port.sent(2)
        #expect(port.output.isEmpty)
    }

    @Test func theDivisorHidesDataAndInterruptEnable() {
        var port = SerialPort()
        port.write(Register.interruptEnable, 0x05)
        port.write(Register.lineControl, 0x83)
        port.write(Register.data, 0x0C)
        port.write(Register.interruptEnable, 0x01)
        #expect(port.read(Register.data) == 0x0C)
        #expect(port.read(Register.interruptEnable) == 0x01)
        port.write(Register.lineControl, 0x03)
        #expect(port.read(Register.interruptEnable) == 0x05)
        #expect(port.output.isEmpty)
    }

    @Test func registersKeepWhatTheyShould() {
        var port = SerialPort()
        port.write(Register.scratch, 0xA5)
        #expect(port.read(Register.scratch) == 0xA5)
        port.write(Register.interruptEnable, 0xFF)
        #expect(port.read(Register.interruptEnable) == 0x0F)
        port.write(Register.modemControl, 0xEB)
        #expect(port.read(Register.modemControl) == 0x0B)
        port.write(Register.fifoControl, 0x01)
        #expect(port.read(Register.interruptIdentification) & 0xC0 == 0xC0)
        // Read-only registers stay as they are.
        port.write(Register.lineStatus, 0)
        #expect(port.read(Register.lineStatus) == 0x60)
    }

    @Test func receiving() {
        var port = SerialPort()
        port.write(Register.interruptEnable, 0x01)
        #expect(!port.interruptLevel)
        #expect(port.deliver(0x41) == true)
        #expect(port.deliver(0x42) == true)
        #expect(port.interruptLevel)
        #expect(port.read(Register.interruptIdentification) == 0x04)
        #expect(port.read(Register.lineStatus) & 1 == 1)
        #expect(port.read(Register.data) == 0x41)
        #expect(port.interruptLevel)
        #expect(port.read(Register.data) == 0x42)
        #expect(!port.interruptLevel)
        #expect(port.read(Register.lineStatus) & 1 == 0)
        #expect(port.read(Register.data) == 0)
    }

    @Test func aFullReceiverRefuses() {
        var port = SerialPort()
        for _ in 0..<port.input.capacity { #expect(port.deliver(1) == true) }
        #expect(port.deliver(2) == false)
        #expect(port.read(Register.lineStatus) & 0x02 == 0)
    }

    @Test func theTransmitterInterruptIsAnEvent() {
        var port = SerialPort()
        port.write(Register.interruptEnable, 0x02)
        // Enabling it raises it: the transmitter is empty.
        #expect(port.interruptLevel)
        #expect(port.read(Register.interruptIdentification) == 0x02)
        // Reading the identification acknowledged it.
        #expect(!port.interruptLevel)
        #expect(port.read(Register.interruptIdentification) == 0x01)
        // Sending makes it come again.
        port.write(Register.data, 0x41)
        #expect(port.interruptLevel)
        // Linux' test for a lost interrupt: disabling hides it, enabling again raises it.
        _ = port.read(Register.interruptIdentification)
        port.write(Register.interruptEnable, 0x00)
        #expect(port.read(Register.interruptIdentification) == 0x01)
        port.write(Register.interruptEnable, 0x02)
        #expect(port.read(Register.interruptIdentification) == 0x02)
    }

    @Test func receptionComesBeforeTransmission() {
        var port = SerialPort()
        port.write(Register.interruptEnable, 0x03)
        _ = port.deliver(0x41)
        #expect(port.read(Register.interruptIdentification) == 0x04)
        // The transmitter's event was not acknowledged by that.
        _ = port.read(Register.data)
        #expect(port.read(Register.interruptIdentification) == 0x02)
    }

    @Test func aSlowTerminalHoldsTheGuestAndLosesNothing() {
        var port = SerialPort()
        port.write(Register.interruptEnable, 0x02)
        var sent: [UInt8] = []
        var next: UInt8 = 0
        // A driver writes whole FIFOs for as long as the transmitter says that it is empty.
        while port.read(Register.lineStatus) & 0x20 != 0 {
            for _ in 0..<16 {
                port.write(Register.data, next)
                sent.append(next)
                next &+= 1
            }
        }
        #expect(sent.count <= port.output.capacity)
        _ = port.read(Register.interruptIdentification)
        #expect(!port.interruptLevel)
        #expect(port.bytesToSend(limit: 8192) == sent)
        port.sent(100)
        // There is room again, and the interrupt says so.
        #expect(port.interruptLevel)
        #expect(port.read(Register.lineStatus) & 0x60 == 0x60)
    }

    @Test func loopback() {
        var port = SerialPort()
        port.write(Register.modemControl, 0x10 | 0x0F)
        #expect(port.read(Register.modemStatus) == 0xF0)
        port.write(Register.modemControl, 0x10 | 0x02)
        #expect(port.read(Register.modemStatus) == 0x10)
        port.write(Register.data, 0x5A)
        #expect(port.read(Register.data) == 0x5A)
        #expect(port.output.isEmpty)
        // An overrun is reported once.
        for _ in 0...port.input.capacity { port.write(Register.data, 1) }
        #expect(port.read(Register.lineStatus) & 0x02 == 0x02)
        #expect(port.read(Register.lineStatus) & 0x02 == 0)
    }

    @Test func clearingTheReceiverKeepsWhatWasSent() {
        var port = SerialPort()
        port.write(Register.data, 0x41)
        _ = port.deliver(0x42)
        port.write(Register.fifoControl, 0x07)
        #expect(port.read(Register.lineStatus) & 1 == 0)
        #expect(port.bytesToSend(limit: 9) == [0x41])
    }

    @Test func noAccessTraps() {
        var port = SerialPort()
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<100_000 {
            let offset = UInt64.random(in: 0...0xFFF, using: &generator)
            switch Int.random(in: 0..<4, using: &generator) {
            case 0: _ = port.read(offset)
            case 1: port.write(offset, UInt8.random(in: 0...255, using: &generator))
            case 2: _ = port.deliver(UInt8.random(in: 0...255, using: &generator))
            default: port.sent(Int.random(in: -1...5000, using: &generator))
            }
            #expect(port.output.count <= port.output.capacity && port.input.count <= port.input.capacity)
        }
    }
}

@Suite struct DeviceBusTests {
    private let map = AddressMap(memoryBytes: 64 << 20, processors: 1)

    @Test func theSerialPortAnswersInItsWindow() {
        var bus = DeviceBus(map: map)
        _ = bus.perform(DeviceAccess(address: map.serial.start, size: 1, direction: .write(0x141)))
        #expect(bus.serial.bytesToSend(limit: 9) == [0x41])
        #expect(bus.perform(DeviceAccess(address: map.serial.start.advanced(by: 5), size: 1, direction: .read)) == 0x60)
    }

    @Test func nothingAnswersElsewhere() {
        var bus = DeviceBus(map: map)
        for address in [GuestAddress(0), map.serial.end, map.memory.end, GuestAddress(.max)] {
            #expect(bus.perform(DeviceAccess(address: address, size: 8, direction: .read)) == 0)
            #expect(bus.perform(DeviceAccess(address: address, size: 8, direction: .write(.max))) == 0)
        }
        #expect(bus.serial.output.isEmpty)
    }
}
