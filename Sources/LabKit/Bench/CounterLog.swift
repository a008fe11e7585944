// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The counter's log: what was executed between the markers of each row, and one row's profile.

/// A counter's log.
struct CounterLog: Equatable, Sendable {
    /// A block of code and how many instructions of it were executed.
    struct Block: Equatable, Sendable {
        /// Who executed it.
        let executor: InstructionCounts.Executor
        /// Its first instruction's virtual address.
        let address: UInt64
        /// The instructions.
        let instructions: Int
    }

    /// How often one block was executed right after another.
    struct Step: Equatable, Sendable {
        /// Who executed the second.
        let executor: InstructionCounts.Executor
        /// The first one's address.
        let from: UInt64
        /// The second one's address.
        let to: UInt64
        /// How often.
        let count: Int
    }

    /// The counts of each row by its number. Of a row that was measured several times it is the median of them, by
    /// what the host's side executed, as often as there are measurements: what happened to fall into some of
    /// them is no part of the row.
    private(set) var rows: [Int: InstructionCounts] = [:]
    /// The same of the measurement in which EL2 executed least. Where the host's allocator finds memory for a VM
    /// decides whether EL2 has to split a block of the host's; in this one it splits as few as it ever does.
    private(set) var least: [Int: InstructionCounts] = [:]
    /// The profile, if there is one.
    private(set) var blocks: [Block] = []
    /// The profile's steps within one executor.
    private(set) var steps: [Step] = []

    /// Reads a log.
    ///
    /// - Throws: ``LabError/malformed(file:why:)`` for a line that the counter does not write, an end
    ///   without a beginning, or a log without its last line.
    init(text: String, file: String) throws(LabError) {
        var begun: [Int: InstructionCounts] = [:]
        var measurements: [Int: [InstructionCounts]] = [:]
        var isComplete = false
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            func bad() -> LabError { .malformed(file: file, why: "`\(line.prefix(60))` is not a line of the counter") }
            if words[0] == "block" {
                guard words.count == 4, let executor = Int(words[1]), let address = UInt64(words[2], radix: 16),
                    let instructions = Int(words[3]),
                    InstructionCounts.Executor.allCases.indices.contains(executor)
                else { throw bad() }
                blocks.append(
                    Block(
                        executor: InstructionCounts.Executor.allCases[executor], address: address,
                        instructions: instructions))
                continue
            }
            if words[0] == "step" {
                guard words.count == 6, let executor = Int(words[3]), let from = UInt64(words[2], radix: 16),
                    let to = UInt64(words[4], radix: 16), let count = Int(words[5]),
                    InstructionCounts.Executor.allCases.indices.contains(executor)
                else { throw bad() }
                // Between executors it is an exception or a return from it, and no call.
                if words[1] == words[3] {
                    let executor = InstructionCounts.Executor.allCases[executor]
                    steps.append(Step(executor: executor, from: from, to: to, count: count))
                }
                continue
            }
            let numbers = words.dropFirst().compactMap { Int($0) }
            guard numbers.count == words.count - 1, let row = numbers.first,
                let counts = InstructionCounts(Array(numbers.dropFirst()))
            else { throw bad() }
            switch words[0] {
            case "begin": begun[row] = counts
            case "end":
                // Row 0 is what nobody asks for.
                if row == 0 { continue }
                guard let start = begun.removeValue(forKey: row) else {
                    throw .malformed(file: file, why: "row \(row) ends and has not begun")
                }
                measurements[row, default: []].append(counts - start)
            case "total": isComplete = true
            default: throw bad()
            }
        }
        guard isComplete else { throw .malformed(file: file, why: "its last line is missing") }
        rows = measurements.compactMapValues { all in
            let sorted = all.sorted { $0.hostSide() < $1.hostSide() }
            return sorted.isEmpty ? nil : sorted[(sorted.count - 1) / 2] * sorted.count
        }
        least = measurements.compactMapValues { all in all.min { $0[.el2] < $1[.el2] }.map { $0 * all.count } }
    }
}
