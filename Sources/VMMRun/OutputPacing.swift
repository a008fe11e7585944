// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// When to write the guest's output: a guest sends single bytes, and a system call for each would
// cost more than the byte.

/// Gathers bytes for a moment before they are written.
public struct OutputPacing: Equatable, Sendable {
    private enum State {
        /// Nothing waits, or what waits has only just come.
        case fresh
        /// The moment has passed.
        case due
    }

    private var state: State = .fresh

    /// How long bytes are gathered, in milliseconds: less than a person notices.
    public static let moment: Int32 = 2
    /// How many bytes are written without waiting for more.
    public static let enough = 1024

    /// What to do about output.
    public enum Step: Equatable, Sendable {
        /// There is none.
        case idle
        /// Wait for at most `moment`, then call `momentPassed`.
        case gather
        /// Write it as soon as the reader takes it.
        case write
    }

    /// A pacing with no output before it.
    public init() {}

    /// What to do about `waiting` bytes.
    public func step(waiting: Int) -> Step {
        if waiting == 0 { return .idle }
        return state == .due || waiting >= OutputPacing.enough ? .write : .gather
    }

    /// The time of gathering is over.
    public mutating func momentPassed() { state = .due }

    /// Bytes were written: the next ones may be gathered again.
    public mutating func wrote() { state = .fresh }
}
