// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A 16550A serial port (National Semiconductor PC16550D data sheet, section 8), as `ns16550a` in a device tree.

/// The state of a 16550A with byte-wide registers.
///
/// The line behind it is a pair of queues: `output` is what the guest sent and nobody has read yet, `input` is what
/// the guest has not read yet. A transmitter whose queue is nearly full reports that it is busy, so that a guest
/// waits for a slow terminal and loses nothing.
public struct SerialPort: Sendable {
    /// What the guest sent.
    public private(set) var output = ByteQueue(capacity: 4096)
    /// What the guest has not read yet.
    public private(set) var input = ByteQueue(capacity: 256)

    private var interruptEnable: UInt8 = 0
    private var fifoControl: UInt8 = 0
    private var lineControl: UInt8 = 0
    private var modemControl: UInt8 = 0
    private var scratch: UInt8 = 0
    private var divisor: UInt16 = 1
    private var overrun = false
    /// The transmitter-empty interrupt is an event: it comes once for each time that the transmitter runs empty.
    private var transmitterEvent = false

    private static let fifoDepth = 16

    private enum Enable {
        static let received: UInt8 = 1
        static let transmitterEmpty: UInt8 = 2
        static let lineStatus: UInt8 = 4
        static let all: UInt8 = 0x0F
    }

    private static let divisorAccess: UInt8 = 0x80
    private static let loopback: UInt8 = 0x10

    /// A port after reset.
    public init() {}

    /// Whether the transmitter takes a whole FIFO of bytes. A driver that sees it empty writes that many at once.
    private var transmitterIsEmpty: Bool { output.room >= SerialPort.fifoDepth }

    /// The level of the interrupt line.
    public var interruptLevel: Bool { pendingInterrupt != .none }

    private enum Interrupt: UInt8 {
        case none = 0x01
        case transmitterEmpty = 0x02
        case received = 0x04
        case lineStatus = 0x06
    }

    /// The pending interrupt of the highest priority (data sheet, table V).
    private var pendingInterrupt: Interrupt {
        if overrun, interruptEnable & Enable.lineStatus != 0 { return .lineStatus }
        if !input.isEmpty, interruptEnable & Enable.received != 0 { return .received }
        if transmitterEvent, transmitterIsEmpty, interruptEnable & Enable.transmitterEmpty != 0 {
            return .transmitterEmpty
        }
        return .none
    }

    /// The guest reads the register at `offset`. Only the low three bits of the offset are decoded.
    public mutating func read(_ offset: UInt64) -> UInt8 {
        switch offset & 7 {
        case 0:
            if lineControl & SerialPort.divisorAccess != 0 { return UInt8(truncatingIfNeeded: divisor) }
            return input.pop() ?? 0
        case 1:
            if lineControl & SerialPort.divisorAccess != 0 { return UInt8(truncatingIfNeeded: divisor >> 8) }
            return interruptEnable
        case 2:
            let pending = pendingInterrupt
            // Reading the identification acknowledges the transmitter's event, and only that.
            if pending == .transmitterEmpty { transmitterEvent = false }
            let fifos: UInt8 = fifoControl & 1 != 0 ? 0xC0 : 0
            return pending.rawValue | fifos
        case 3: return lineControl
        case 4: return modemControl
        case 5: return readLineStatus()
        case 6: return modemStatus
        default: return scratch
        }
    }

    /// The guest writes the register at `offset`.
    public mutating func write(_ offset: UInt64, _ value: UInt8) {
        switch offset & 7 {
        case 0:
            if lineControl & SerialPort.divisorAccess != 0 {
                divisor = divisor & 0xFF00 | UInt16(value)
            } else {
                transmit(value)
            }
        case 1:
            if lineControl & SerialPort.divisorAccess != 0 {
                divisor = divisor & 0x00FF | UInt16(value) << 8
            } else {
                let enabled = value & Enable.all
                // Enabling the interrupt while the transmitter is empty raises it, which drivers rely on to start.
                if enabled & ~interruptEnable & Enable.transmitterEmpty != 0 { transmitterEvent = true }
                interruptEnable = enabled
            }
        case 2: writeFIFOControl(value)
        case 3: lineControl = value
        case 4: modemControl = value & 0x1F
        case 7: scratch = value
        default: break  // Line and modem status are read-only.
        }
    }

    private mutating func transmit(_ value: UInt8) {
        transmitterEvent = true
        if modemControl & SerialPort.loopback != 0 {
            receive(value)
        } else {
            // A driver that ignores the status register overwrites what it sent before, as on the real device.
            _ = output.push(value)
        }
    }

    private mutating func writeFIFOControl(_ value: UInt8) {
        // Changing the enable bit clears both FIFOs. The transmit side has left the port already: the queue stands
        // for the line, and what is on the line arrives.
        let toggled = (value ^ fifoControl) & 1 != 0
        fifoControl = value & 0xC9
        if toggled || value & 2 != 0 { input.clear() }
    }

    private mutating func readLineStatus() -> UInt8 {
        var status: UInt8 = 0
        if !input.isEmpty { status |= 0x01 }
        if overrun { status |= 0x02 }
        if transmitterIsEmpty { status |= 0x60 }
        overrun = false
        return status
    }

    private var modemStatus: UInt8 {
        guard modemControl & SerialPort.loopback != 0 else {
            // Carrier, data set ready and clear to send: somebody listens.
            return 0xB0
        }
        // In loopback the outputs RTS, DTR, OUT1, OUT2 come back as CTS, DSR, RI, DCD.
        let outputs = modemControl
        return (outputs & 2) << 3 | (outputs & 1) << 5 | (outputs & 4) << 4 | (outputs & 8) << 4
    }

    private mutating func receive(_ byte: UInt8) {
        if !input.push(byte) { overrun = true }
    }

    /// A byte comes in over the line, and the result says whether it found room.
    public mutating func deliver(_ byte: UInt8) -> Bool {
        guard input.room > 0 else { return false }
        receive(byte)
        return true
    }

    /// The next bytes that go out over the line; they stay in the queue until `sent` is called.
    public func bytesToSend(limit: Int) -> [UInt8] { output.peek(limit: limit) }

    /// The first `count` bytes of the output have left.
    public mutating func sent(_ count: Int) {
        let wasBusy = !transmitterIsEmpty
        output.drop(count)
        if wasBusy, transmitterIsEmpty { transmitterEvent = true }
    }
}
