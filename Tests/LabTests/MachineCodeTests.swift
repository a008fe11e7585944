// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Reading disassembly, and the checks made on it.

import Testing

@testable import LabKit

@Suite("Machine code")
struct MachineCodeTests {
    static func function(_ lines: String...) -> Disassembly {
        Disassembly(text: "\nsample:\tfile format elf64\n\n<f>:\n" + lines.map { "    \t\($0)\n" }.joined())
    }

    @Test("functions and instructions")
    func parsing() throws {
        let code = Self.function("mov\tx0, #0x6000 // =24576", "bl\t0x1000 <d0>", "ret")
        try #require(code.functions.count == 1)
        #expect(code.functions[0].name == "f")
        #expect(
            code.functions[0].instructions == [
                Instruction(mnemonic: "mov", operands: "x0, #0x6000"),
                Instruction(mnemonic: "bl", operands: "0x1000", target: "d0"),
                Instruction(mnemonic: "ret", operands: ""),
            ])
    }

    @Test(
        "vector registers are seen",
        arguments: [
            "ldr\tq0, [x0]", "movi\tv0.2d, #0", "fmov\td1, x0", "str\ts31, [sp, #-16]!", "stp\tq0, q1, [x0, #0x20]",
            "ld1\t{ v0.16b }, [x0]", "ptrue\tz3.b", "ldr\tb7, [x1]", "fcvt\th2, s4",
        ])
    func vector(line: String) {
        let result = MachineCode.noVectorRegisters(Self.function(line), group: "g")
        #expect(result.verdict == .failed, "\(result.detail)")
        #expect(MachineCode.noVectorRegisters(Self.function(line), but: ["f"], group: "g").verdict == .passed)
    }

    @Test(
        "general registers, numbers and system registers are not",
        arguments: [
            "ldr\tx0, [x0, #0xd0]", "msr\tS3_0_C1_C2_3, x0", "b\t0xd1 <s1>", "mov\tw8, #0xb3", "b.eq\t0x40",
            "add\tx0, sp, x8, lsl #3", "tlbi\tVMALLE1IS", "dsb\tsy",
        ])
    func general(line: String) {
        #expect(MachineCode.noVectorRegisters(Self.function(line), group: "g").verdict == .passed)
    }

    @Test("an image without code proves nothing")
    func empty() {
        let code = Disassembly(text: "")
        #expect(MachineCode.noVectorRegisters(code, group: "g").verdict == .failed)
        #expect(MachineCode.smallFrames(code, limit: 1024, group: "g").verdict == .failed)
    }

    @Test("frames are added up")
    func frames() {
        let code = Self.function(
            "stp\tx29, x30, [sp, #-0x60]!", "sub\tsp, sp, #0x3a0", "str\tx0, [sp, #-16]", "ldp\tx29, x30, [sp], #0x60")
        #expect(code.functions[0].frameSize == 1024)
        #expect(MachineCode.smallFrames(code, limit: 1024, group: "g").verdict == .passed)
        #expect(MachineCode.smallFrames(code, limit: 1023, group: "g").verdict == .failed)
        #expect(Self.function("sub\tsp, sp, #0x1, lsl #12").functions[0].frameSize == 4096)
    }

    @Test("the stack is as deep as the frames of the deepest chain of calls")
    func stack() {
        let code = Disassembly(
            text: """
                sample:\tfile format elf64

                <entry>:
                    \tsub\tsp, sp, #0x10
                    \tbl\t0x100 <shallow>
                    \tbl\t0x200 <middle>
                <shallow>:
                    \tsub\tsp, sp, #0x100
                    \tb.eq\t0x108 <shallow+0x8>
                <middle>:
                    \tstp\tx29, x30, [sp, #-0x20]!
                    \tcbz\tx0, 0x300 <levels>
                <levels>:
                    \tsub\tsp, sp, #0x100
                    \tbl\t0x300 <levels>

                """)
        let known = [StackDepth.Recursion(name: "levels", times: 3, why: "levels are three")]
        let depth = StackDepth.of(code, recursions: known)
        #expect(depth.chain == ["entry", "middle", "levels"] && depth.bytes == 0x10 + 0x20 + 3 * 0x100)
        #expect(depth.unknown.isEmpty)
        #expect(MachineCode.boundedStack(code, limit: 0x330, recursions: known).verdict == .passed)
        #expect(MachineCode.boundedStack(code, limit: 0x32F, recursions: known).verdict == .failed)
        #expect(MachineCode.boundedStack(code, limit: 0x1000, recursions: []).verdict == .failed)
        let indirect = Disassembly(
            text: """
                sample:\tfile format elf64

                <outer>:
                    \tsub\tsp, sp, #0x200
                    \tbl\t0x100 <caller>
                <caller>:
                    \tsub\tsp, sp, #0x10
                    \tblr\tx8
                <callee>:
                    \tsub\tsp, sp, #0x40

                """)
        #expect(StackDepth.of(indirect, recursions: []).chain == ["outer", "caller", "callee"])
        #expect(StackDepth.of(indirect, recursions: []).bytes == 0x250)
        #expect(MachineCode.boundedStack(Disassembly(text: ""), limit: 1, recursions: []).verdict == .failed)
    }

    @Test("symbols of an allocator are seen, defined or not")
    func allocator() {
        #expect(MachineCode.noAllocator(.init(text: "main T 0 4\nmalloc U\n"), group: "g").verdict == .failed)
        #expect(MachineCode.noAllocator(.init(text: "swift_slowAlloc T 10 4\n"), group: "g").verdict == .failed)
        #expect(MachineCode.noAllocator(.init(text: "main T 0 4\nmemcpy t 10 4\n"), group: "g").verdict == .passed)
    }

    @Test("section sizes")
    func sections() {
        let table = """
            Idx Name               Size     VMA              Type
              0                    00000000 0000000000000000
              1 .text              0000b000 0000000000000000 TEXT
              2 .rodata            000009c8 000000000000b000 DATA
              4 .data              00000008 000000000000c000 DATA
              5 .bss               00001000 000000000000c040 BSS
              6 .debug_loc         000168a2 0000000000000000 DEBUG
            """
        let sizes = SectionSizes(text: table)
        #expect(sizes.text == 0xB000)
        #expect(sizes.constants == 0x9C8)
        #expect(sizes.data == 0x1008)
    }
}
