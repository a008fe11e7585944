// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// An image as functions and instructions, read from what llvm-objdump prints.

import Foundation
public import SystemPackage

/// One instruction.
public struct Instruction: Equatable, Sendable {
    /// Its mnemonic.
    public let mnemonic: String
    /// Its operands, without the names of symbols that the disassembler adds.
    public let operands: String
    /// The function that a branch leads to, or into.
    public let target: String?

    /// An instruction.
    public init(mnemonic: String, operands: String, target: String? = nil) {
        self.mnemonic = mnemonic
        self.operands = operands
        self.target = target
    }

    /// Whether it goes on elsewhere, always or sometimes, and does not come back.
    var isBranch: Bool { mnemonic == "b" || ["b.", "cb", "tb"].contains { mnemonic.hasPrefix($0) } }
}

/// One function and its instructions.
public struct DisassembledFunction: Equatable, Sendable {
    /// The symbol's name.
    public let name: String
    /// The instructions in order.
    public internal(set) var instructions: [Instruction]
}

/// The code of an image.
public struct Disassembly: Sendable {
    /// The functions in the order of their addresses.
    public let functions: [DisassembledFunction]

    /// Disassembles an image.
    public static func of(_ image: FilePath) async throws -> Disassembly {
        guard image.exists else { throw LabError.missingFile(image, madeBy: "lab images") }
        let objdump = try Tool.fromToolchain("llvm-objdump")
        return Disassembly(
            text: try await Tool(
                objdump, ["--disassemble", "--no-show-raw-insn", "--no-leading-addr", "--mattr=+all", image.string]
            ).capture())
    }

    /// Reads llvm-objdump's text.
    public init(text: String) {
        var functions: [DisassembledFunction] = []
        for line in text.split(separator: "\n") {
            if line.last == ":", let start = line.firstIndex(of: "<"), let end = line.lastIndex(of: ">") {
                functions.append(
                    DisassembledFunction(name: String(line[line.index(after: start)..<end]), instructions: []))
            } else if line.first == "\t" || line.first == " ", !functions.isEmpty {
                let trimmed = line.drop { $0 == " " || $0 == "\t" }
                let parts = trimmed.split(separator: "\t", maxSplits: 1)
                guard let mnemonic = parts.first else { continue }
                let operands = parts.count > 1 ? Self.withoutSymbols(parts[1]) : ""
                functions[functions.count - 1].instructions.append(
                    Instruction(
                        mnemonic: String(mnemonic), operands: operands,
                        target: parts.count > 1 ? Self.symbol(in: parts[1]) : nil))
            }
        }
        self.functions = functions
    }

    /// The name in `<symbol+offset>`.
    private static func symbol(in text: Substring) -> String? {
        guard let start = text.firstIndex(of: "<"), let end = text.lastIndex(of: ">"), start < end else { return nil }
        let name = text[text.index(after: start)..<end]
        return String(name.firstRange(of: "+0x").map { name[..<$0.lowerBound] } ?? name)
    }

    /// Drops comments and `<symbol+offset>`: a symbol's name may look like a register's.
    private static func withoutSymbols(_ text: Substring) -> String {
        let code = text.firstRange(of: "//").map { text[..<$0.lowerBound] } ?? text
        let plain = code.firstIndex(of: "<").map { code[..<$0] } ?? code
        return plain.trimmingCharacters(in: .whitespaces)
    }
}

extension DisassembledFunction {
    /// The bytes by which the function lowers the stack pointer at most, as far as the immediate
    /// operands say; a function with several ways in and out counts each once.
    public var frameSize: Int {
        instructions.reduce(0) { size, instruction in size + instruction.stackGrowth }
    }

    /// The instructions that use a floating-point, SIMD or SVE register.
    public var vectorInstructions: [Instruction] {
        instructions.filter(\.usesVectorRegister)
    }
}

extension Instruction {
    var stackGrowth: Int {
        let words = operands.split { $0 == "," || $0 == " " || $0 == "[" || $0 == "]" }.map(String.init)
        if mnemonic == "sub", words.count >= 3, words[0] == "sp", words[1] == "sp", let value = Self.immediate(words[2])
        {
            return words.count >= 5 && words[3] == "lsl" ? value << (Self.immediate(words[4]) ?? 0) : value
        }
        // A store that moves the stack pointer before it stores: `[sp, #-32]!`.
        if mnemonic.hasPrefix("st"), operands.hasSuffix("]!"), let base = words.firstIndex(of: "sp"),
            base + 1 < words.count, let value = Self.immediate(words[base + 1]), value < 0
        {
            return -value
        }
        return 0
    }

    var usesVectorRegister: Bool {
        operands.split { ", []{}/.!#".contains($0) }.contains { word in
            guard let kind = word.first, "bhsdqvz".contains(kind), let number = Int(word.dropFirst()) else {
                return false
            }
            return (0...31).contains(number)
        }
    }

    private static func immediate(_ word: String) -> Int? {
        var text = Substring(word)
        if text.first == "#" { text = text.dropFirst() }
        let isNegative = text.first == "-"
        if isNegative { text = text.dropFirst() }
        let value = text.hasPrefix("0x") ? Int(text.dropFirst(2), radix: 16) : Int(text)
        return value.map { isNegative ? -$0 : $0 }
    }
}
