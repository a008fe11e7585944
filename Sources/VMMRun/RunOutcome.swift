// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// How a guest's life ended, in words and as an exit status.

public import VMMConfiguration

/// Why a machine stopped.
public enum RunOutcome: Equatable, Sendable {
    /// The guest powered off.
    case poweredOff
    /// The guest asked for a reset.
    case reset
    /// The guest reported a crash.
    case crashed
    /// The person at the console left.
    case escaped
    /// A signal asked the program to end.
    case signal(Int32)
    /// Nobody reads the console any more.
    case consoleClosed
    /// The hypervisor could not enter the guest on this CPU.
    case entryFailed(processor: Int, reason: UInt64)
    /// The hypervisor gave up on this CPU.
    case internalError(processor: Int, code: UInt32)
    /// The hypervisor asked for something unknown.
    case unknownExit(processor: Int, reason: UInt32, detail: UInt32)
    /// KVM_RUN failed on this CPU.
    case runFailed(processor: Int, SystemError)
    /// KVM refused to drive the serial port's interrupt line.
    case interruptLineFailed(SystemError)
    /// Waiting for the console and for signals failed.
    case waitFailed(SystemError)

    /// The process exit status.
    public var status: ExitStatus {
        switch self {
        case .poweredOff: .success
        case .reset: .guestReset
        case .crashed: .guestCrashed
        case .escaped: .consoleEscape
        case .signal(let number): .signal(number)
        case .consoleClosed, .entryFailed, .internalError, .unknownExit, .runFailed,
            .interruptLineFailed, .waitFailed:
            .machineFailed
        }
    }

    /// One word for programs.
    public var word: String {
        switch self {
        case .poweredOff: "poweroff"
        case .reset: "reset"
        case .crashed: "crash"
        case .escaped: "escape"
        case .signal: "signal"
        case .consoleClosed: "console-closed"
        case .entryFailed: "entry-failed"
        case .internalError: "internal-error"
        case .unknownExit: "unknown-exit"
        case .runFailed: "run-failed"
        case .interruptLineFailed: "interrupt-line-failed"
        case .waitFailed: "wait-failed"
        }
    }

    /// One sentence for people.
    public var sentence: String {
        switch self {
        case .poweredOff: "the guest powered off"
        case .reset: "the guest asked for a reset"
        case .crashed: "the guest crashed"
        case .escaped: "left by the console escape; the guest was ended"
        case .signal(let number): "ended by signal \(number)"
        case .consoleClosed: "standard output was closed; the guest was ended"
        case .entryFailed(let processor, let reason):
            "CPU \(processor) cannot enter the guest (reason 0x\(String(reason, radix: 16)))"
        case .internalError(let processor, let code): "KVM gave up on CPU \(processor) (internal error \(code))"
        case .unknownExit(let processor, let reason, let detail):
            "CPU \(processor) stopped for a reason unknown to martlet (exit \(reason), detail \(detail))"
        case .runFailed(let processor, let error): "running CPU \(processor) failed: \(RunOutcome.why(error))"
        case .interruptLineFailed(let error): "KVM refused to drive an interrupt line: \(error.text)"
        case .waitFailed(let error): "waiting for the console failed: \(error.text)"
        }
    }

    private static func why(_ error: SystemError) -> String {
        switch error.name {
        case .notImplemented:
            "the guest accessed an address without memory with an instruction that KVM cannot describe"
        case .badAddress: "the guest's memory is not accessible to KVM (\(error.text))"
        default: error.text
        }
    }

    /// The report at the end of a run.
    public func report(as format: ReportFormat) -> String {
        switch format {
        case .text: return "martlet: \(sentence)\n"
        case .json:
            var object = JSONObject()
            object.add("event", "end")
            object.add("reason", word)
            object.add("message", sentence)
            object.add("exit", UInt64(truncatingIfNeeded: status.number))
            return object.line
        }
    }
}
