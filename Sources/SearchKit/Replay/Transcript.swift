// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What a program came to on another machine, as text.

import Specification

/// The outcomes of a program's steps. One line each, with the number of the step's line in the trace:
///
///     machine 0x42000 2 0x0      first frame of the region, CPUs, scalable vectors
///     1: 0x0 0x10000000000 …     a call: x0 and following
///     2: loaded 0x0              or stored, or faulted, or left out
public struct Transcript: Sendable {
    private struct Malformed: Error {}

    /// Why there is no verdict, or a bad one.
    public enum Failure: Error, CustomStringConvertible {
        /// Something was not said, or in no form that is known.
        case incomplete(String)
        /// A step came to what the specification does not allow.
        case disagreement(String)

        /// For people.
        public var description: String {
            switch self {
            case .incomplete(let what), .disagreement(let what): what
            }
        }
    }

    private var region: UInt64 = 0
    private var cpuCount = 0
    private var vectorLengths: UInt64 = 0
    private var outcomes: [Int: Outcome] = [:]

    /// Reads lines.
    /// - Throws: if a line says nothing, or no line what the machine is.
    public init(lines: [Substring]) throws(Failure) {
        for line in lines {
            do { try read(line.split(separator: " ")) } catch {
                throw .incomplete("the machine says `\(line)`")
            }
        }
        guard cpuCount > 0 else { throw .incomplete("the machine says nothing of itself") }
    }

    private mutating func read(_ words: [Substring]) throws {
        func number(_ word: Substring) throws -> UInt64 {
            guard word.hasPrefix("0x"), let value = UInt64(word.dropFirst(2), radix: 16) else { throw Malformed() }
            return value
        }
        guard let first = words.first, words.count > 1 else { throw Malformed() }
        if first == "machine", words.count == 4, let cpus = Int(words[2]), cpus > 0 {
            (region, cpuCount, vectorLengths) = (try number(words[1]), cpus, try number(words[3]))
            return
        }
        guard first.hasSuffix(":"), let step = Int(first.dropLast()), outcomes[step] == nil else { throw Malformed() }
        switch (words[1], words.count) {
        case ("loaded", 3): outcomes[step] = .loaded(try number(words[2]))
        case ("faulted", 2): outcomes[step] = .loaded(nil)
        case ("stored", 2): outcomes[step] = .stored(true)
        case ("left", 3): outcomes[step] = .leftOut
        case (_, _) where words[words.count - 1].hasSuffix("-is-spoiled"): outcomes[step] = .spoiled
        default:
            let registers = try words.dropFirst().map { try number($0) }
            // Only a run answers in more than four registers.
            guard registers.count <= 12 else { throw Malformed() }
            outcomes[step] = .registers(registers + Array(repeating: 0, count: 12 - registers.count))
        }
    }

    /// Holds the outcomes against the specification.
    /// - Parameter inputBits: bits of the machine's physical addresses.
    /// - Returns: the judge after the last step.
    /// - Throws: the first step that is missing, or the first that the specification does not allow.
    public func judge(_ program: Program, inputBits: UInt64) throws(Failure) -> Judge {
        for (index, step) in program.steps.enumerated() where outcomes[index + 1] == nil {
            throw .incomplete("step \(index + 1) was not made: \(step)")
        }
        var judge = Judge(
            of: PlayedMachine(
                region: region, cpuCount: cpuCount, inputBits: inputBits, vectorLengths: vectorLengths))
        for (index, step) in program.steps.enumerated() {
            guard var outcome = outcomes[index + 1] else { continue }
            if step.deed == .write, outcome == .loaded(nil) { outcome = .stored(false) }
            do throws(Disagreement) { try judge.take(step, outcome, number: index + 1) } catch {
                throw .disagreement("step \(index + 1), \(step): \(error.description)")
            }
        }
        return judge
    }
}
