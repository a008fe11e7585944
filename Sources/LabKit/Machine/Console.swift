// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A machine's console as it grows: kept whole, written to a file, and searched by scripts.

import Foundation
import Synchronization
public import SystemPackage

/// How long a script waits.
public struct Patience: Sendable {
    /// The longest time without a byte from the machine.
    public var silence: Duration
    /// The longest time in all.
    public var total: Duration

    /// Generous by default: emulation on a busy machine is slow, and a test never measures time.
    public init(silence: Duration = .seconds(180), total: Duration = .seconds(1200)) {
        self.silence = silence
        self.total = total
    }
}

/// The text that a machine has printed so far.
public final class Console: Sendable {
    private struct State {
        var bytes = Data()
        /// Everything before this was consumed by a match.
        var position = 0
        var lastGrowth = ContinuousClock.now
        var isFinished = false
        var complaints: [String] = []
    }

    /// Where the console is recorded, by the machine itself.
    public let file: FilePath
    private let reader: FileHandle
    private let state = Mutex(State())

    /// Starts a record, replacing an older one.
    public init(file: FilePath) throws {
        self.file = file
        try file.removingLastComponent().makeFolder()
        try file.remove()
        try file.write("")
        reader = try FileHandle(forReadingFrom: URL(filePath: file.string))
    }

    /// Notes what the emulator itself, rather than the machine, has to say.
    func note(complaint: String) {
        state.withLock { $0.complaints.append(complaint) }
    }

    /// Notes that the machine is gone.
    func finish() {
        state.withLock { $0.isFinished = true }
    }

    /// All text so far.
    public var text: String {
        get throws {
            try state.withLock { state in
                try refresh(&state)
                return String(decoding: state.bytes, as: UTF8.self)
            }
        }
    }

    /// Reads what the machine has added to its record.
    ///
    /// - Returns: if the machine is gone, the words for it.
    @discardableResult
    private func refresh(_ state: inout State) throws -> String? {
        // Whether it is gone is read first: what it printed before is in the file by then.
        let isFinished = state.isFinished
        while let more = try reader.read(upToCount: 1 << 20), !more.isEmpty {
            state.bytes.append(more)
            state.lastGrowth = .now
        }
        return isFinished ? (["The machine ended"] + state.complaints.suffix(5)).joined(separator: "\n  ") : nil
    }

    /// Waits until one of several texts appears after the last match.
    ///
    /// - Parameters:
    ///   - texts: what to look for; the earliest in the console wins.
    ///   - patience: how long to wait.
    /// - Returns: the one that appeared.
    /// - Throws: ``LabError/machine(_:console:)`` when the machine ends, falls silent, or takes
    ///   too long.
    @discardableResult
    public func expect(_ texts: [String], patience: Patience = Patience()) async throws -> String {
        let wanted = texts.map { "`\($0)`" }.joined(separator: " or ")
        let found = try await wait(for: "\(wanted) was awaited", patience: patience) { state, end in
            if let match = Self.take(texts, from: &state) { return match }
            if let end { throw LabError.machine("\(end)\nbefore it printed \(wanted)", console: self.file) }
            return nil
        }
        return found
    }

    /// Waits until the machine is gone.
    public func expectEnd(patience: Patience = Patience()) async throws {
        try await wait(for: "its end was awaited", patience: patience) { _, end in end.map { _ in () } }
    }

    /// Looks at the console again and again until a check has a result.
    private func wait<Result: Sendable>(
        for reason: String, patience: Patience, check: (inout State, _ end: String?) throws -> Result?
    ) async throws -> Result {
        let start = ContinuousClock.now
        var examined = -1
        while true {
            let (result, quiet) = try state.withLock { state in
                let end = try refresh(&state)
                // A check searches all that is new to it, so it is not repeated without need.
                let isNew = state.bytes.count != examined || end != nil
                examined = state.bytes.count
                return (isNew ? try check(&state, end) : nil, ContinuousClock.now - state.lastGrowth)
            }
            if let result { return result }
            if quiet > patience.silence {
                throw LabError.machine(
                    "The machine was silent for \(patience.silence) while \(reason)", console: file)
            }
            if ContinuousClock.now - start > patience.total {
                throw LabError.machine("\(patience.total) were not enough while \(reason)", console: file)
            }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    /// Finds the earliest of several texts in what is not consumed, and consumes up to its end.
    private static func take(_ texts: [String], from state: inout State) -> String? {
        let rest = state.bytes[(state.bytes.startIndex + state.position)...]
        var earliest: (text: String, range: Range<Data.Index>)?
        for text in texts {
            if let range = rest.range(of: Data(text.utf8)),
                range.lowerBound < earliest?.range.lowerBound ?? .max
            {
                earliest = (text, range)
            }
        }
        guard let earliest else { return nil }
        state.position = earliest.range.upperBound - state.bytes.startIndex
        return earliest.text
    }
}
