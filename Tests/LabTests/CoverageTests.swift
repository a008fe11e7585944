// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Coverage is read as llvm-cov writes it.

import Testing

@testable import LabKit

@Suite("Coverage") struct CoverageTests {
    private let export = """
        SF:/here/Sources/B.swift
        FN:3,f
        DA:3,1
        DA:4,0
        DA:5,12
        end_of_record
        SF:/here/Sources/A.swift
        DA:1,2
        end_of_record
        """

    @Test("is counted in lines, by file")
    func lines() {
        let coverage = Coverage(lcov: export, root: "/here")
        #expect(
            coverage.files == [
                Coverage.File(path: "Sources/A.swift", lines: 1, executed: 1, missed: []),
                Coverage.File(path: "Sources/B.swift", lines: 3, executed: 2, missed: [4]),
            ])
        #expect(coverage.lines == 4 && coverage.executed == 3)
        #expect(
            coverage.table == """
                66.6 %  Sources/B.swift, not executed: 4
                75.0 % of 4 lines of the hypervisor's core; 1 of 2 files completely
                """)
    }

    @Test("is not enough below the limit, nor when nothing was counted")
    func limit() {
        #expect(!Coverage(lcov: export, root: "/here").isEnough)
        #expect(!Coverage(lcov: "", root: "/here").isEnough)
        #expect(Coverage(lcov: "SF:/here/A\nDA:1,1\nend_of_record", root: "/here").isEnough)
    }
}
