// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A copy of the package with mutants in the hypervisor's core, and its build.

import SystemPackage

/// The copy. It is the world `core`, which needs no other package.
struct MutantPackage {
    private let workspace: Workspace
    private let folder: FilePath
    private let scratch: FilePath
    private let log: FilePath

    init(_ workspace: Workspace) {
        self.workspace = workspace
        folder = workspace.cache.appending("mutants/package")
        scratch = workspace.cache.appending("mutants/build")
        log = workspace.logs.appending("mutants.log")
    }

    /// The program of all unit tests.
    var tests: FilePath { scratch.appending("debug/martletPackageTests.xctest") }

    /// Builds the tests with as many of the mutants as compile.
    ///
    /// - Returns: the numbers of those that do not.
    func build(_ mutants: [(number: Int, mutant: Mutant)]) async throws -> Set<Int> {
        var broken: Set<Int> = []
        while true {
            let places = try write(mutants.filter { !broken.contains($0.number) })
            do {
                try await Tool(
                    // Optimised, with all run-time checks: the tests run some hundred times.
                    "swift", ["build", "--build-tests", "--scratch-path", scratch.string, "-Xswiftc", "-O"],
                    environment: ["MARTLET_WORLD": "core"], folder: folder
                ).run(log: log)
                return broken
            } catch {
                let blamed = Self.blamed(in: try log.readText(), places)
                // Nothing that a mutant did: then the sources themselves do not compile.
                if blamed.isEmpty { throw error }
                broken.formUnion(blamed)
            }
        }
    }

    /// Brings the copy up to date. Files that are as they should be stay untouched, so that a build
    /// does not compile them again.
    ///
    /// - Returns: by file, where mutants are.
    private func write(_ mutants: [(number: Int, mutant: Mutant)]) throws -> [String: [MutatedSources.Place]] {
        let core = "Sources/HypervisorCore/"
        let byFile = Dictionary(grouping: mutants) { core + $0.mutant.file }
        var places: [String: [MutatedSources.Place]] = [:]
        var wanted: Set<String> = [core + "MutantChoice.swift"]
        try put(MutatedSources.selector, at: core + "MutantChoice.swift")
        for file in try sources() {
            wanted.insert(file)
            var text = try workspace.root.appending(file).readText()
            if let here = byFile[file] {
                let mutated = try MutatedSources.mutate(text, with: here)
                text = mutated.text
                places[file] = mutated.places
            }
            try put(text, at: file)
        }
        let prefix = folder.string + "/"
        for old in folder.files() where !wanted.contains(String(old.string.dropFirst(prefix.count))) {
            try old.remove()
        }
        return places
    }

    private func put(_ text: String, at file: String) throws(LabError) {
        let path = folder.appending(file)
        if path.exists, try path.readText() == text { return }
        try path.removingLastComponent().makeFolder()
        try path.write(text)
    }

    /// The manifest, the sources and the tests, relative to the project's folder.
    private func sources() throws -> [String] {
        let prefix = workspace.root.string + "/"
        let folders = ["Sources", "Tests"].flatMap { workspace.root.appending($0).files() }
        return ["Package.swift"] + folders.map { String($0.string.dropFirst(prefix.count)) }
    }

    /// The mutants on the lines that a compiler complains of: `path:line:column: error: …`.
    static func blamed(in log: String, _ places: [String: [MutatedSources.Place]]) -> Set<Int> {
        var blamed: Set<Int> = []
        for line in log.split(separator: "\n") where line.contains(" error: ") {
            let words = line.split(separator: ":", maxSplits: 3)
            guard words.count > 2, let number = Int(words[1]),
                let file = places.keys.first(where: { words[0].hasSuffix($0) })
            else { continue }
            for place in places[file] ?? [] where place.lines.contains(number) { blamed.formUnion(place.numbers) }
        }
        return blamed
    }
}
