// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What a person is told when something cannot be done: what, why, and the next step.

/// The process exit statuses of `martlet`. They are part of its interface and listed in `martlet --help`.
public enum ExitStatus: Equatable, Sendable {
    /// The guest powered itself off, or the command had nothing else to do.
    case success
    /// The command line cannot be understood.
    case usage
    /// A kernel or initrd is missing, unreadable, or not something an arm64 guest can boot.
    case unusableFile
    /// The kernel, the initrd or the command line is too big.
    case doesNotFit
    /// The host refuses: no `/dev/kvm`, no permission, a missing capability, a limit that is too low.
    case hostRefused
    /// The machine failed while it ran: the hypervisor reported an error, or `martlet` met one.
    case machineFailed
    /// The guest asked for a reset.
    case guestReset
    /// The guest reported that it crashed.
    case guestCrashed
    /// The person at the console left with the escape sequence.
    case consoleEscape
    /// A signal ended the run.
    case signal(Int32)

    /// The number that the process exits with.
    public var number: Int32 {
        switch self {
        case .success: 0
        case .usage: 2
        case .unusableFile: 3
        case .doesNotFit: 4
        case .hostRefused: 5
        case .machineFailed: 6
        case .guestReset: 32
        case .guestCrashed: 33
        case .consoleEscape: 34
        // The shell's convention for a command that died of a signal.
        case .signal(let number): 128 + number
        }
    }
}

/// A failure in words: what could not be done, why, and what to do next.
public struct Explanation: Equatable, Sendable {
    /// What could not be done.
    public var what: String
    /// The reason.
    public var why: String
    /// What the reader can do about it.
    public var next: String
    /// The status that the process exits with.
    public var status: ExitStatus

    /// An explanation of these three parts.
    public init(what: String, why: String, next: String, status: ExitStatus) {
        self.what = what
        self.why = why
        self.next = next
        self.status = status
    }

    /// Three lines for a person.
    public var text: String {
        "martlet: \(what)\n  why:  \(why)\n  next: \(next)\n"
    }

    /// One line of JSON for a program.
    public var json: String {
        var object = JSONObject()
        object.add("event", "error")
        object.add("what", what)
        object.add("why", why)
        object.add("next", next)
        object.add("exit", UInt64(truncatingIfNeeded: status.number))
        return object.line
    }

    /// The form that the report format asks for.
    public func rendered(as format: ReportFormat) -> String {
        switch format {
        case .text: text
        case .json: json
        }
    }
}

/// An error that can be told to a person.
public protocol Explainable: Error {
    /// The error in words.
    var explanation: Explanation { get }
}
