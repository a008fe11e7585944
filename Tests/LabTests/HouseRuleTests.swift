// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The rules that a program checks.

import Testing

@testable import LabKit

@Suite("House rules")
struct HouseRuleTests {
    static let licence = "// SPDX-License-Identifier: MIT OR GPL-2.0-only\n"
    // Put together here, because these files are checked too.
    static let keyword = "un" + "safe"

    @Test("the keyword is seen in code only, and outside the fence only")
    func fence() {
        let line = "let value = \(Self.keyword) pointer.pointee\n"
        func rules(_ file: String, _ text: String) -> [HouseRule] {
            HouseRule.check(file: file, text: Self.licence + text).map(\.rule)
        }
        #expect(rules("Sources/Arm/A.swift", line) == [.unsafeIsFenced])
        #expect(rules("Sources/EL2Machine/A.swift", line).isEmpty)
        #expect(rules("Tests/ArmTests/A.swift", line).isEmpty)
        #expect(rules("Sources/Arm/A.swift", "// \(Self.keyword)\n").isEmpty)
        #expect(rules("Sources/Arm/A.swift", "let a = \"\(Self.keyword)\"\n").isEmpty)
        #expect(rules("Sources/Arm/A.swift", "withUnsafePointer(to: a)\n").isEmpty)
    }

    @Test("the licence comes first")
    func licence() {
        #expect(HouseRule.check(file: "Sources/Arm/A.swift", text: "import B\n").map(\.rule) == [.licenceFirst])
        #expect(HouseRule.check(file: "Tests/a.sh", text: "#!/bin/sh\n#\(Self.licence.dropFirst(2))").isEmpty)
        #expect(HouseRule.check(file: "README.md", text: "# Martlet\n").isEmpty)
    }

    @Test("nothing is left for later, and no machine is named")
    func words() {
        let later = Self.licence + "// " + "TO" + "DO: later\n"
        #expect(HouseRule.check(file: "Sources/Arm/A.swift", text: later).map(\.rule) == [.nothingLeftForLater])
        let path = "See /" + "home/me/notes.\n"
        #expect(HouseRule.check(file: "README.md", text: path).map(\.rule) == [.noMachinePaths])
        #expect(HouseRule.check(file: "README.md", text: "AUTODOC and /homepage/\n").isEmpty)
    }

    @Test("long files are seen")
    func length() {
        let long = Self.licence + String(repeating: "let a = 1\n", count: 500)
        #expect(HouseRule.check(file: "Sources/Arm/A.swift", text: long).map(\.rule) == [.oneCapabilityAFile])
    }

    @Test("lines of code")
    func lines() {
        #expect(LineCount.count("// a\n\nlet b = 1 // c\n/* d\n e */\n  /* f */\nlet g = 2\n") == 2)
    }

    @Test("reports of unit tests")
    func xunit() {
        let xml = """
            <testsuites><testsuite name="TestResults" errors="0" tests="2" failures="1">
            <testcase classname="A.B" name="one()" time="0.1" />
            <testcase classname="A.B" name="two()" time="0.1"><failure message="no" /></testcase>
            </testsuite></testsuites>
            """
        #expect(UnitTests.parse(xml).map(\.verdict) == [.passed, .failed])
        #expect(UnitTests.parse(xml)[1].name == "unit/A.B.two()")
    }
}
