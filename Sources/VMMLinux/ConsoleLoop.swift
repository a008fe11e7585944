// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The main thread's loop: standard input to the guest, the guest's output to standard output,
// signals, and the end.

internal import CLinux
public import VMMConfiguration
internal import VMMDevices
public import VMMRun

/// The signals that end, stop or continue the program, as a file.
public struct Signals: ~Copyable {
    let descriptor: Descriptor

    /// Takes the signals over. It must be called before any thread starts, since threads inherit what is blocked.
    public init() throws(HostFailure) {
        do throws(SystemError) {
            descriptor = try Descriptor(owning: clinux_signals_to_file())
        } catch {
            throw .step(.signals, error)
        }
    }

    /// The next signal that waits, or nil.
    func next() -> Int32? {
        let number = clinux_next_signal(descriptor.number)
        return number > 0 ? number : nil
    }
}

/// The loop around a running machine.
public struct ConsoleLoop: ~Copyable {
    private let machine: RunningMachine
    private let terminal: Terminal
    private let signals: Signals
    private var input: ConsoleInput
    private var inputIsOpen = true
    private var pacing = OutputPacing()

    private static let writeChunk = 4096
    /// How long the last output may take to leave, in milliseconds, when nobody seems to read it.
    private static let drainPatience: Int32 = 2000

    /// A loop between this terminal and this machine.
    public init(_ machine: RunningMachine, terminal: consuming Terminal, signals: consuming Signals) {
        self.machine = machine
        input = ConsoleInput(terminal.kind)
        self.terminal = terminal
        self.signals = signals
    }

    /// Runs the machine until it stops, and leaves the terminal as it was found.
    public mutating func run() throws(HostFailure) -> RunOutcome {
        try terminal.makeRaw()
        let threads: [Thread]
        do throws(HostFailure) {
            threads = try machine.startProcessors()
        } catch {
            terminal.restore()
            throw error
        }
        while !machine.isStopping {
            do throws(SystemError) {
                try turn()
            } catch {
                machine.stop(.waitFailed(error))
            }
        }
        machine.join(threads)
        // The loop above ends only after somebody gave an outcome.
        let outcome = machine.finalOutcome ?? .escaped
        if outcome != .consoleClosed { drain() }
        terminal.restore()
        return outcome
    }

    /// Waits once, and serves whatever happened.
    private mutating func turn() throws(SystemError) {
        let (wantsInput, outputStep) = machine.withSerialPort { [input, pacing] port in
            (input.wantsInput(port), pacing.step(waiting: port.output.count))
        }
        let read = CLINUX_POLL_READ.rawValue
        var entries = [
            clinux_poll_entry(fd: signals.descriptor.number, wanted: read, happened: 0),
            clinux_poll_entry(fd: machine.wake.descriptor.number, wanted: read, happened: 0),
            // poll ignores negative numbers, which keeps the places fixed.
            clinux_poll_entry(fd: inputIsOpen && wantsInput ? Terminal.input : -1, wanted: read, happened: 0),
            clinux_poll_entry(
                fd: outputStep == .write ? terminal.guestOutput : -1, wanted: CLINUX_POLL_WRITE.rawValue, happened: 0),
        ]
        // Safety: the pointer is valid for the call and the count is the array's.
        let result = unsafe entries.withUnsafeMutableBufferPointer { buffer in
            unsafe clinux_poll(
                buffer.baseAddress, UInt32(buffer.count), outputStep == .gather ? OutputPacing.moment : -1)
        }
        if result == 0 { pacing.momentPassed() }
        if result < 0 {
            let error = SystemError(result)
            if error.name == .interrupted { return }
            throw error
        }
        if entries[1].happened != 0 { machine.wake.clear() }
        if entries[0].happened != 0 { serveSignals() }
        if entries[2].happened != 0 { readInput() }
        if entries[3].happened != 0 { writeOutput() }
    }

    private mutating func serveSignals() {
        while let number = signals.next() {
            switch number {
            case Int32(bitPattern: CLINUX_SIGNAL_STOP.rawValue):
                terminal.restore()
                clinux_stop_self()
                resumeTerminal()
            case Int32(bitPattern: CLINUX_SIGNAL_CONTINUE.rawValue): resumeTerminal()
            default: machine.stop(.signal(number))
            }
        }
    }

    private func resumeTerminal() {
        do throws(HostFailure) {
            try terminal.makeRaw()
        } catch {
            // A terminal that is gone sends SIGHUP too, which ends the program in an orderly way.
        }
    }

    private mutating func readInput() {
        var bytes: [UInt8] = Array(repeating: 0, count: ConsoleInput.chunk)
        // Safety: the pointer is valid for the call and the count is the array's.
        let result = unsafe bytes.withUnsafeMutableBytes { buffer in
            unsafe clinux_read(Terminal.input, buffer.baseAddress, UInt64(buffer.count))
        }
        if result <= 0 {
            let error = SystemError(truncatingIfNeeded: result)
            // The end of the input, or a terminal that is gone: the guest goes on without.
            if result == 0 || (error.name != .interrupted && error.name != .tryAgain) { inputIsOpen = false }
            return
        }
        bytes.removeLast(bytes.count - Int(result))
        var input = input
        let actions = machine.withSerialPort { port in input.take(bytes.span, to: &port) }
        self.input = input
        for action in actions {
            switch action {
            case .help: Terminal.say(ConsoleEscape.help)
            case .leave: machine.stop(.escaped)
            }
        }
    }

    /// Writes what fits, and says whether writing can go on.
    private mutating func writeOutput() {
        let bytes = machine.withSerialPort { $0.bytesToSend(limit: ConsoleLoop.writeChunk) }
        guard !bytes.isEmpty else { return }
        // Safety: the pointer is valid for the call and the count is the array's.
        let result = unsafe bytes.withUnsafeBytes { buffer in
            unsafe clinux_write(terminal.guestOutput, buffer.baseAddress, UInt64(buffer.count))
        }
        if result > 0 {
            machine.withSerialPort { $0.sent(Int(result)) }
            pacing.wrote()
        } else {
            let error = SystemError(truncatingIfNeeded: result)
            if error.name != .interrupted && error.name != .tryAgain { machine.stop(.consoleClosed) }
        }
    }

    /// Writes what the guest said last, for as long as somebody takes it.
    private mutating func drain() {
        while machine.withSerialPort({ !$0.output.isEmpty }), machine.finalOutcome != .consoleClosed {
            var entry = clinux_poll_entry(
                fd: terminal.guestOutput, wanted: CLINUX_POLL_WRITE.rawValue, happened: 0)
            // Safety: the pointer is to a live local.
            let result = unsafe clinux_poll(&entry, 1, ConsoleLoop.drainPatience)
            if result < 0, SystemError(result).name == .interrupted { continue }
            guard result > 0, entry.happened & CLINUX_POLL_WRITE.rawValue != 0 else { return }
            let before = machine.withSerialPort { $0.output.count }
            writeOutput()
            if machine.withSerialPort({ $0.output.count }) == before { return }
        }
    }
}
