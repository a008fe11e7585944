// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Programs as text: one line a step, as docs/search.md describes it for whoever replays them elsewhere.

import HypervisorInterface

/// A list of steps.
public struct Program: Hashable, Sendable {
    /// The steps, in order.
    public var steps: [Step]

    /// Some steps.
    public init(_ steps: [Step] = []) { self.steps = steps }
}

/// A line that is no step.
public struct MalformedTrace: Error, CustomStringConvertible {
    /// Counted from one.
    public let line: Int
    /// What is wrong with it.
    public let reason: String

    /// For people.
    public var description: String { "line \(line): \(reason)" }
}

extension Program: LosslessStringConvertible {
    /// One line a step; a step that happens while another's guest runs begins with `>`.
    public var description: String {
        steps.map { step in
            (["\(step)"] + step.meanwhile.map { "> \($0)" }).map { $0 + "\n" }.joined()
        }.joined()
    }

    /// A program from its text; nil if a line is no step.
    public init?(_ description: String) {
        guard let program = try? Program(parsing: description) else { return nil }
        self = program
    }

    /// A program from its text. Empty lines, and what follows a `#`, mean nothing.
    public init(parsing text: String) throws(MalformedTrace) {
        steps = []
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            var words = line.prefix { $0 != "#" }.split(whereSeparator: \.isWhitespace)
            guard let first = words.first else { continue }
            let isMeanwhile = first == ">"
            if isMeanwhile { words.removeFirst() }
            let step: Step
            do throws(MalformedStep) { step = try Step(words: words) } catch {
                throw MalformedTrace(line: index + 1, reason: error.reason)
            }
            if !isMeanwhile {
                steps.append(step)
            } else if let last = steps.indices.last {
                steps[last].meanwhile.append(step)
            } else {
                throw MalformedTrace(line: index + 1, reason: "there is no step before it")
            }
        }
    }
}

struct MalformedStep: Error {
    let reason: String
}

extension Step: CustomStringConvertible {
    /// `cpu call x1 x2 … -> vN`, without what happens meanwhile.
    public var description: String {
        var words = ["\(cpu)", "\(deed)"] + arguments.map { "\($0)" }
        if let binds { words += ["->", "v\(binds)"] }
        return words.joined(separator: " ")
    }

    init(words: [Substring]) throws(MalformedStep) {
        var words = words
        var binds: Int?
        if words.count > 2, words[words.count - 2] == "->" {
            guard case .machine(let name) = Operand(words[words.count - 1]) else {
                throw MalformedStep(reason: "`->` is followed by no name like v0")
            }
            binds = name
            words.removeLast(2)
        }
        guard words.count >= 2, let cpu = Int(words[0]), (0..<64).contains(cpu) else {
            throw MalformedStep(reason: "a step begins with a CPU and what it does")
        }
        guard let deed = Deed(words[1], of: words.dropFirst(2).first) else {
            throw MalformedStep(reason: "`\(words[1])` is nothing that a CPU does")
        }
        var arguments: [Operand] = []
        let isFirmware = if case .firmware = deed { true } else { false }
        for word in words.dropFirst(isFirmware ? 3 : 2) {
            guard let operand = Operand(word) else { throw MalformedStep(reason: "`\(word)` is no argument") }
            arguments.append(operand)
        }
        if deed == .together {
            guard arguments.count % 2 == 0 else { throw MalformedStep(reason: "a switch is two numbers") }
        } else if arguments.count > 8 {
            throw MalformedStep(reason: "there are more than 8 arguments")
        }
        self.init(cpu, deed, arguments, binds: binds)
    }
}

extension Deed: CustomStringConvertible {
    /// A call by its name if it has one, and by its number otherwise.
    public var description: String {
        switch self {
        case .call(let number): HostCall(rawValue: UInt32(clamping: number)).map { "\($0)" } ?? "0x\(hexDigits(number))"
        case .firmware(let number): "smc 0x\(hexDigits(number))"
        case .read: "read"
        case .write: "write"
        case .fetch: "fetch"
        case .together: "together"
        }
    }

    fileprivate init?(_ word: Substring, of next: Substring?) {
        switch word {
        case "read": self = .read
        case "write": self = .write
        case "fetch": self = .fetch
        case "together": self = .together
        case "smc":
            guard let next, case .number(let number) = Operand(next) else { return nil }
            self = .firmware(number)
        default:
            if let call = HostCall.allCases.first(where: { "\($0)" == word }) {
                self = .call(call)
            } else if case .number(let number) = Operand(word) {
                self = .call(number)
            } else {
                return nil
            }
        }
    }
}

extension Operand: CustomStringConvertible {
    /// `p5`, `v1`, or a number.
    public var description: String {
        switch self {
        case .number(let value): value < 1024 ? "\(value)" : "0x\(hexDigits(value))"
        case .page(let index): "p\(index)"
        case .machine(let name): "v\(name)"
        }
    }

    init?(_ word: Substring) {
        if word.hasPrefix("p"), let index = Int64(word.dropFirst()) {
            self = .page(index)
        } else if word.hasPrefix("v"), let name = Int(word.dropFirst()), name >= 0 {
            self = .machine(name)
        } else if word.hasPrefix("0x"), let value = UInt64(word.dropFirst(2), radix: 16) {
            self = .number(value)
        } else if let value = UInt64(word) {
            self = .number(value)
        } else {
            return nil
        }
    }
}

private func hexDigits(_ value: UInt64) -> String { String(value, radix: 16) }
