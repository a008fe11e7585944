// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Trap sites are found in disassemblies, named by their source, and held to the list of reasons.

import Testing

@testable import LabKit

@Suite("Traps") struct TrapTests {
    private static let listing = """
        image: file format elf64-littleaarch64

        0000000000001000 <first>:
            1000:      \tcbz\tx0, 0x1010 <first+0x10>
            1004:      \tret
            1008:      \tbrk\t#0x1
            100c:      \tret
            1010:      \tbrk\t#0x1

        0000000000001014 <table>:
            1014:      \tbr\tx8
            1018:      \tbrk\t#0x1

        000000000000101c <start>:
            101c:      \tbrk\t#0x4d
        """

    @Test("are BRKs that something reaches, as far as a disassembly can tell")
    func addresses() {
        #expect(Traps.addresses(in: Self.listing) == [0x1010, 0x1018, 0x101C])
    }

    private func site(_ frames: (String, String)...) -> TrapSite {
        Traps.site(at: 0, frames.map { SourceFrame(function: $0.0, location: $0.1) })
    }

    @Test("have the kind of what fails, and the place of the innermost line that there is")
    func sites() {
        let bounds = site(
            ("Swift runtime failure: Index out of bounds", "/r/<compiler-generated>:0:0"),
            ("InlineArray.subscript", "/r/<compiler-generated>:59:28"), ("f()", "/r/A.swift:7:3"))
        #expect(bounds.kind == "Index out of bounds" && bounds.file == "A.swift" && bounds.line == 7)
        let panic = site(
            ("$el2_break", "/r/el2.h:69:5"), ("EL2Processor.panic(_:)", "/r/EL2Processor.swift:100:9"),
            ("g()", "/r/B.swift:8:1"))
        #expect(panic.kind == "panic" && panic.file == "B.swift" && panic.function == "g()")
        let lock = site(
            ("$el2_break", "/r/el2.h:69:5"), ("EL2Processor.relax()", "/r/EL2Processor.swift:92:9"),
            ("g()", "/r/B.swift:8:1"))
        #expect(lock.kind == "lock" && lock.file == "EL2Processor.swift")
        #expect(site(("h()", "??:0:0")).kind == "unknown")
    }

    private func traps(_ kinds: [String], _ reasons: [TrapReason]) -> CheckResult {
        let sites = kinds.map { TrapSite(address: 0, kind: $0, file: "A.swift", line: 1, function: "f") }
        return Traps(group: "image", sites: sites, reasons: reasons).check()
    }

    @Test("need reasons, as many as there are, and no reason stays behind")
    func reasons() {
        let one = TrapReason("A.swift", "x", 1, "why")
        #expect(traps(["x"], [one]).verdict == .passed)
        #expect(traps(["x", "x"], [one]).verdict == .failed)
        #expect(traps(["x", "y"], [one]).verdict == .failed)
        #expect(traps(["x"], [one, TrapReason("B.swift", "x", 1, "why")]).verdict == .failed)
        #expect(traps(["x", "y"], [TrapReason("A.swift", Traps.anyKind, 2, "why")]).verdict == .passed)
        #expect(traps(["x", "y"], [TrapReason("A.swift", Traps.anyKind, 1, "why")]).verdict == .failed)
        #expect(traps([], []).verdict == .failed, "an image without traps was not read")
    }
}
