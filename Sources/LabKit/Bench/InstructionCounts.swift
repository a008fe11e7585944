// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Counts of executed instructions, by who executed them and by kind, as the counter writes them.

/// How many instructions were executed.
public struct InstructionCounts: Codable, Equatable, Sendable {
    /// Who executes; the order is the counter's.
    public enum Executor: String, CaseIterable, Codable, CodingKeyRepresentable, Sendable {
        /// A program of the host, such as the VMM.
        case hostEL0
        /// The host's kernel below EL2.
        case hostEL1
        /// EL2: a hypervisor, or with host extensions the whole host kernel.
        case el2
        /// A guest's programs.
        case guestEL0
        /// A guest's kernel.
        case guestEL1

        /// What a guest costs and does not do itself.
        static let host: [Executor] = [.hostEL0, .hostEL1, .el2]
    }

    /// What is executed; the order is the counter's.
    public enum Kind: String, CaseIterable, Codable, CodingKeyRepresentable, Sendable {
        /// Every instruction.
        case any
        /// MRS and MSR.
        case systemRegister
        /// ISB.
        case isb
        /// DSB and DMB.
        case dataBarrier
        /// ERET.
        case eret
        /// SVC, HVC and SMC.
        case call
        /// TLB invalidations.
        case tlbi
        /// DC, IC and AT.
        case cache

        /// How a table calls it.
        var title: String {
            switch self {
            case .any: "all"
            case .systemRegister: "MSR"
            case .isb: "ISB"
            case .dataBarrier: "DSB"
            case .eret: "ERET"
            case .call: "call"
            case .tlbi: "TLBI"
            case .cache: "DC/IC"
            }
        }
    }

    /// The counts; nothing for what did not occur.
    private var counts: [Executor: [Kind: Int]]

    /// From the counter's numbers, all kinds of the first executor first.
    ///
    /// - Returns: nil unless there is a number for each.
    init?(_ numbers: [Int]) {
        guard numbers.count == Executor.allCases.count * Kind.allCases.count else { return nil }
        counts = [:]
        var rest = numbers[...]
        for executor in Executor.allCases {
            for kind in Kind.allCases {
                if let number = rest.popFirst(), number != 0 { counts[executor, default: [:]][kind] = number }
            }
        }
    }

    /// How many of a kind an executor executed.
    public subscript(_ executor: Executor, _ kind: Kind = .any) -> Int { counts[executor]?[kind] ?? 0 }

    /// How many of a kind were executed for a guest, and not by it.
    public func hostSide(_ kind: Kind = .any) -> Int { Executor.host.reduce(0) { $0 + self[$1, kind] } }

    /// Reads the counts from a report, in which they stand for themselves.
    public init(from decoder: any Decoder) throws {
        counts = try decoder.singleValueContainer().decode([Executor: [Kind: Int]].self)
    }

    /// Writes the counts into a report.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(counts)
    }

    /// What was executed between two moments.
    static func - (later: InstructionCounts, earlier: InstructionCounts) -> InstructionCounts {
        var result = later
        for (executor, kinds) in earlier.counts {
            result.counts[executor, default: [:]].merge(kinds.mapValues { -$0 }, uniquingKeysWith: +)
        }
        result.counts = result.counts.mapValues { $0.filter { $0.value != 0 } }.filter { !$0.value.isEmpty }
        return result
    }

    /// What is executed on as many such occasions.
    static func * (once: InstructionCounts, times: Int) -> InstructionCounts {
        var result = once
        result.counts = once.counts.mapValues { $0.mapValues { $0 * times } }
        return result
    }
}
