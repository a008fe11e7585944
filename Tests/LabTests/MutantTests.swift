// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The mutants fit the sources, and are put into them as they should be.

import Foundation
import SystemPackage
import Testing

@testable import LabKit

@Suite("Mutants") struct MutantTests {
    private let root = FilePath(URL(filePath: #filePath).deletingLastPathComponent().path)
        .removingLastComponent().removingLastComponent()

    @Test("fit the sources: each text is there once, and no two overlap")
    func fit() throws {
        for (file, mutants) in Dictionary(grouping: Mutants.select(nil), by: \.mutant.file) {
            let text = try root.appending("Sources/HypervisorCore").appending(file).readText()
            let mutated = try MutatedSources.mutate(text, with: mutants)
            #expect(mutated.places.flatMap(\.numbers).sorted() == mutants.map(\.number).sorted())
        }
    }

    @Test("have names of their own, and change something")
    func names() {
        #expect(Set(Mutants.all.map(\.name)).count == Mutants.all.count)
        #expect(Mutants.all.count >= 60)
        for mutant in Mutants.all { #expect(mutant.replacement != mutant.original, "\(mutant.name)") }
        for area in Mutant.Area.allCases { #expect(Mutants.all.contains { $0.area == area }, "\(area)") }
    }

    @Test("become a choice, as a value and as statements")
    func choices() throws {
        let value = Mutant.unchecked("a", .validation, "f", "guard «x < 3» else", "")
        let statement = Mutant.left("b", .cache, "f", out: "clean(page)", "")
        let other = Mutant.left("c", .cache, "f", out: "clean(page)", doing: "wipe(page)", "")
        let text = "guard x < 3 else { return }\nclean(page)\n"
        let mutated = try MutatedSources.mutate(text, with: [(7, value), (8, statement), (9, other)])
        #expect(
            mutated.text == """
                guard (isMutant(7) ? (true) : (x < 3)) else { return }
                if isMutant(8) {

                } else if isMutant(9) {
                wipe(page)
                } else {
                clean(page)
                }

                """)
        #expect(
            mutated.places == [
                MutatedSources.Place(lines: 1...1, numbers: [7]), MutatedSources.Place(lines: 2...8, numbers: [8, 9]),
            ])
    }

    @Test("that no longer fit are an error")
    func misfits() {
        let mutant = Mutant.unchecked("a", .validation, "f", "x < 3", "")
        #expect(throws: MutatedSources.Misfit.found(0, mutant: "a")) {
            try MutatedSources.mutate("x < 4", with: [(1, mutant)])
        }
        #expect(throws: MutatedSources.Misfit.found(2, mutant: "a")) {
            try MutatedSources.mutate("x < 3, x < 3", with: [(1, mutant)])
        }
        let wider = Mutant.unchecked("b", .validation, "f", "x < 3, y", "")
        #expect(throws: MutatedSources.Misfit.overlap("a", "b")) {
            try MutatedSources.mutate("x < 3, y", with: [(1, mutant), (2, wider)])
        }
    }

    @Test("that do not compile are known by the compiler's complaint")
    func complaints() {
        let places = ["Sources/A.swift": [MutatedSources.Place(lines: 10...14, numbers: [3, 4])]]
        let log = """
            [1/2] Compiling A
            /there/Sources/A.swift:12:8: error: cannot find 'q' in scope
            /there/Sources/A.swift:20:8: error: something else
            /there/Sources/B.swift:12:8: error: something else
            /there/Sources/A.swift:13:1: warning: not an error
            """
        #expect(MutantPackage.blamed(in: log, places) == [3, 4])
        #expect(MutantPackage.blamed(in: "", places) == [])
    }

    @Test("are noticed by the first test that fails")
    func failures() {
        #expect(MutantRun.failure(in: "✘ Test \"a b\" recorded an issue at F.swift:3:1") == "\"a b\"")
        #expect(MutantRun.failure(in: "✔ Test \"a b\" passed after 1.0 seconds.") == nil)
    }
}
