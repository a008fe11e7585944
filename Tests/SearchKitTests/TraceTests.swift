// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Traces as text.

import HypervisorInterface
import SearchKit
import Testing

@Suite("Traces")
struct TraceTests {
    @Test("are read as they were written")
    func roundTrip() throws {
        let text = """
            0 createVM 1 32 p8 16 -> v3
            1 donateToGuest v3 0x81234 p-1 1 0
            0 runVCPU v3 0
            > 1 destroyVM v3
            > 1 topUp p5 2
            1 write p7
            0 smc 0xc4000003 1 0x42000000 0
            0 0xc6004015 7
            1 together 14 0 33 1
            > 0 topUp p3 1
            > 1 reclaimPool

            """
        let program = try Program(parsing: text)
        #expect(program.steps.count == 7)
        #expect(program.steps[2].meanwhile.count == 2)
        #expect(program.steps[0].binds == 3)
        #expect("\(program)" == text)
        #expect(try Program(parsing: "# nothing\n\n 0 reclaimPool # but this\n").steps == [Step(0, .reclaimPool)])
    }

    @Test(
        "say which line is no step",
        arguments: [
            "0", "x topUp", "0 nothing", "0 topUp q", "> 0 topUp", "0 createVM 1 ->", "0 topUp p0 -> 3", "0 together 1",
        ])
    func malformed(_ line: String) {
        #expect(throws: MalformedTrace.self) { try Program(parsing: line) }
    }
}
