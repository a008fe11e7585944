// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Panic records and symbols.

import Testing

@testable import LabKit

@Suite("Panic records")
struct PanicTests {
    static let log = """
        <0>[   12.3] martlet: something before
        <0>[   12.4] martlet: martlet-panic: elr=0x42001008 esr=0xf2000001 far=0x0 lr=0x42001100 base=0x42000000 cpu=2 message=a trap, in text = code
        <0>[   12.5] martlet: martlet-panic: frame 0x42001100
        <0>[   12.6] martlet: martlet-panic: frame 0x42002000
        """

    @Test("a record out of a kernel log")
    func record() throws {
        let panic = try HypervisorPanic(log: Self.log)
        #expect(panic.elr == 0x4200_1008)
        #expect(panic.base == 0x4200_0000)
        #expect(panic.esr == 0xF200_0001)
        #expect(panic.cpu == 2)
        #expect(panic.message == "a trap, in text = code")
        #expect(panic.frames == [0x4200_1100, 0x4200_2000])
        // The link register and the first frame are the same call.
        #expect(panic.addresses == [0x4200_1008, 0x4200_1100, 0x4200_2000])
    }

    @Test("of two records the last counts, with its own frames")
    func twice() throws {
        let second = Self.log.replacing("elr=0x42001008", with: "elr=0x42003000").replacing(
            "frame 0x42002000", with: "frame 0x42004000")
        let panic = try HypervisorPanic(log: Self.log + "\n" + second)
        #expect(panic.elr == 0x4200_3000)
        #expect(panic.frames == [0x4200_1100, 0x4200_4000])
    }

    @Test(
        "no record", arguments: ["", "martlet-panic: elr=0x1 base=0x0 message=x", "martlet-panic: frame nothing"])
    func none(log: String) {
        #expect(throws: LabError.self) { try HypervisorPanic(log: log) }
    }

    @Test("inline chains")
    func chains() {
        let output = """
            inner
            Sources/A.swift:10:5
            outer
            Sources/B.swift:20:9

            alone
            ??:0

            """
        #expect(
            Symbolizer.parse(output) == [
                [
                    SourceFrame(function: "inner", location: "Sources/A.swift:10:5"),
                    SourceFrame(function: "outer", location: "Sources/B.swift:20:9"),
                ],
                [SourceFrame(function: "alone", location: "??:0")],
            ])
    }
}
