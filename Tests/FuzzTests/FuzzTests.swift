// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What the fuzzer has found stays found, and some thousand inputs are tried without it.

import Foundation
import FuzzTargets
import Testing

@Suite("Bytes from outside")
struct FuzzTests {
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Fuzz")

    /// A small generator with a state of 64 bits (SplitMix64), for the same inputs each time.
    private struct Generator: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var z = state
            z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
            return z ^ z >> 31
        }
    }

    private static func inputs(_ target: FuzzTarget) throws -> [[UInt8]] {
        let text = try String(contentsOf: folder.appending(path: "\(target.rawValue).txt"), encoding: .utf8)
        return try text.split(separator: "\n").filter { !$0.hasPrefix("#") }.map { line in
            let digits = Array(line.prefix { $0 != "#" }.filter { !$0.isWhitespace })
            return try stride(from: 0, to: digits.count, by: 2).map { place in
                try #require(UInt8(String(digits[place..<place + 2]), radix: 16), "\(target): \(line)")
            }
        }
    }

    @Test("that were kept are right", arguments: FuzzTarget.allCases)
    func kept(_ target: FuzzTarget) throws {
        let inputs = try Self.inputs(target)
        #expect(!inputs.isEmpty)
        for input in inputs { try target.check(input) }
    }

    @Test("that nobody chose are right, and so are changes of those that were kept", arguments: FuzzTarget.allCases)
    func random(_ target: FuzzTarget) throws {
        var random = Generator(state: 1)
        let kept = try Self.inputs(target)
        for round in 0..<400 {
            var input: [UInt8]
            if round.isMultiple(of: 2), var chosen = kept.randomElement(using: &random), !chosen.isEmpty {
                for _ in 0..<Int.random(in: 1...4, using: &random) {
                    chosen[Int.random(in: 0..<chosen.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
                }
                input = chosen
            } else {
                let count = Int.random(in: 0...300, using: &random)
                input = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
            }
            do {
                try target.check(input)
            } catch {
                let digits = input.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
                Issue.record("\(target.rawValue): \(error)\n\(digits)")
            }
        }
    }

    @Test("have a file for each target and no other")
    func files() throws {
        let names = try FileManager.default.contentsOfDirectory(atPath: Self.folder.path)
        #expect(Set(names) == Set(FuzzTarget.allCases.map { "\($0.rawValue).txt" }))
    }
}
