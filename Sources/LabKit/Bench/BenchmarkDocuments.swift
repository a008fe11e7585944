// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What the documentation quotes of the benchmark, written from the counts that are kept beside it, and
// checked against them.

public import SystemPackage

/// The documents that quote the benchmark.
public struct BenchmarkDocuments: Sendable {
    private let workspace: Workspace

    /// The documents of a project.
    public init(_ workspace: Workspace) {
        self.workspace = workspace
    }

    private var folder: FilePath { workspace.root.appending("docs/benchmarks") }

    /// Where the counts of a machine are kept.
    public func counts(of machine: BenchmarkMachine) -> FilePath { folder.appending("\(machine.rawValue).json") }

    private func picture(of machine: BenchmarkMachine) -> FilePath { folder.appending("\(machine.rawValue).svg") }

    /// A file and what it has to be.
    struct Document: Equatable {
        let path: FilePath
        let text: String
    }

    /// All documents as the counts would have them.
    ///
    /// - Throws: ``LabError/malformed(file:why:)`` for a mark that nobody knows or that does not end.
    func documents() throws(LabError) -> [Document] {
        var reports: [BenchmarkMachine: BenchmarkReport] = [:]
        for machine in BenchmarkMachine.allCases {
            reports[machine] = try BenchmarkReport(reading: counts(of: machine))
        }
        var documents: [Document] = []
        for name in ["README.md", "docs/benchmarks.md"] {
            let path = workspace.root.appending(name)
            let text = try Self.filled(try path.readText(), file: name) { words in
                guard words.count == 2, let machine = BenchmarkMachine(rawValue: words[1]) else { return nil }
                return reports[machine].flatMap { Self.quote(words[0], $0) }
            }
            documents.append(Document(path: path, text: text))
        }
        for machine in BenchmarkMachine.allCases {
            guard let report = reports[machine] else { continue }
            documents.append(Document(path: picture(of: machine), text: BenchmarkPicture(report).svg))
        }
        return documents
    }

    /// Writes the documents.
    public func write() throws(LabError) {
        for document in try documents() { try document.path.write(document.text) }
    }

    /// The documents that quote something else than the counts.
    ///
    /// - Throws: ``LabError`` when counts or documents are missing.
    public func stale() throws(LabError) -> [String] {
        var stale: [String] = []
        for document in try documents() {
            if document.path.exists, try document.path.readText() == document.text { continue }
            stale.append(String(document.path.string.dropFirst(workspace.root.string.count + 1)))
        }
        return stale
    }

    // A quotation stands between a mark that names it and one that ends it.
    private static let begin = "<!-- benchmark: "
    private static let beginEnd = " -->"
    private static let end = "<!-- end of benchmark -->"

    /// A text whose quotations are what `quote` gives for the words of their marks.
    static func filled(
        _ text: String, file: String, _ quote: ([String]) -> String?
    ) throws(LabError) -> String {
        var result = ""
        var rest = text[...]
        while let mark = rest.firstRange(of: begin) {
            guard let close = rest[mark.upperBound...].firstRange(of: beginEnd),
                let end = rest[close.upperBound...].firstRange(of: end)
            else { throw .malformed(file: file, why: "a quotation of the benchmark does not end") }
            let words = rest[mark.upperBound..<close.lowerBound].split(separator: " ").map(String.init)
            guard let quotation = quote(words) else {
                throw .malformed(file: file, why: "nobody knows the benchmark's \(words.joined(separator: " "))")
            }
            result += rest[..<close.upperBound] + "\n" + quotation + "\n" + Self.end
            rest = rest[end.upperBound...]
        }
        return result + rest
    }

    /// What a mark's word means.
    private static func quote(_ word: String, _ report: BenchmarkReport) -> String? {
        let table = BenchmarkTable(report)
        return switch word {
        case "comparison": table.comparison
        case "host": table.host
        case "sizes": table.sizes
        case "summary": table.summary
        case "origin": table.origin
        default: nil
        }
    }
}
