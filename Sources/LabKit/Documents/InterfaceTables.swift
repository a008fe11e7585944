// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Tables of documents that are made from the sources: the numbers of the host calls with their comments.

public import SystemPackage

/// Tables of enumerations between marks in a page:
///
///     <!-- table HostCall 0xC6004010 0xC600401F -->
///     | number | call | … |
///     |---|---|---|
///     | … rows … |
///     <!-- end of table -->
///
/// The numbers are the first and the last one of a part of the enumeration, and may be left out. The two
/// lines of the head stay as they are written.
public struct InterfaceTables {
    /// A case of an enumeration with a number.
    struct Entry: Equatable {
        let name: String
        let number: Int64
        /// Whether the source writes the number with hexadecimal digits.
        let isHexadecimal: Bool
        let comment: String
    }

    /// What is wrong with a page or with the sources.
    enum Defect: Error, Equatable, CustomStringConvertible {
        case unknownTable(String)
        case unendedTable(String)
        case uncommented(String)

        var description: String {
            switch self {
            case .unknownTable(let mark): "`\(mark)` names no enumeration with numbers"
            case .unendedTable(let mark): "`\(mark)` has no end"
            case .uncommented(let name): "\(name) has no comment that could stand in a table"
            }
        }
    }

    /// The enumerations, by name.
    let enumerations: [String: [Entry]]

    /// The page that the tables are in.
    public static func page(_ workspace: Workspace) -> FilePath { workspace.root.appending("docs/host-calls.md") }

    /// The enumerations of the interface between host and hypervisor.
    public init(_ workspace: Workspace) throws {
        let folder = workspace.root.appending("Sources/HypervisorInterface")
        var all: [String: [Entry]] = [:]
        for file in folder.files() {
            all.merge(Self.enumerations(in: try file.readText())) { first, _ in first }
        }
        enumerations = all
    }

    init(source: String) { enumerations = Self.enumerations(in: source) }

    /// Reads enumerations with raw values: a line for each case, behind its comment.
    static func enumerations(in source: String) -> [String: [Entry]] {
        var all: [String: [Entry]] = [:]
        var current: String?
        var comment: [String] = []
        for line in source.split(separator: "\n", omittingEmptySubsequences: false) {
            let text = line.drop { $0 == " " }
            if text.hasPrefix("/// ") {
                comment.append(String(text.dropFirst(4)))
                continue
            }
            if line.hasPrefix("public enum ") {
                current = String(line.dropFirst(12).prefix { $0.isLetter || $0.isNumber })
            } else if line.hasPrefix("}") || line.hasPrefix("extension ") {
                current = nil
            } else if text.hasPrefix("case "), let current, let entry = entry(text.dropFirst(5), comment) {
                all[current, default: []].append(entry)
            }
            comment = []
        }
        return all
    }

    private static func entry(_ text: Substring, _ comment: [String]) -> Entry? {
        let sides = text.split(separator: " = ")
        guard sides.count == 2 else { return nil }
        let digits = sides[1].filter { $0 != "_" }
        let isHexadecimal = digits.hasPrefix("0x")
        guard let number = isHexadecimal ? Int64(digits.dropFirst(2), radix: 16) : Int64(digits) else { return nil }
        return Entry(
            name: String(sides[0]), number: number, isHexadecimal: isHexadecimal,
            comment: comment.joined(separator: " "))
    }

    /// A page with its tables as the sources are now.
    public func updated(_ page: String) throws -> String {
        var result: [Substring] = []
        var mark: Substring?
        var head = 0
        for line in page.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("<!-- table ") {
                mark = line
                head = 2
                result.append(line)
            } else if line == "<!-- end of table -->", let start = mark {
                result += try rows(start).map { Substring($0) }
                result.append(line)
                mark = nil
            } else if mark == nil {
                result.append(line)
            } else if head > 0 {
                head -= 1
                result.append(line)
            }
        }
        if let mark { throw Defect.unendedTable(String(mark)) }
        return result.joined(separator: "\n")
    }

    private func rows(_ mark: Substring) throws(Defect) -> [String] {
        let words = mark.split(separator: " ").dropFirst(2).dropLast()
        let limits = words.dropFirst().compactMap { Int64($0.replacing("0x", with: ""), radix: 16) }
        guard let name = words.first, let entries = enumerations[String(name)], limits.count == words.count - 1 else {
            throw .unknownTable(String(mark))
        }
        var rows: [String] = []
        for entry in entries.sorted(by: { abs($0.number) < abs($1.number) }) {
            if limits.count == 2, entry.number < limits[0] || entry.number > limits[1] { continue }
            guard !entry.comment.isEmpty else { throw .uncommented("\(name).\(entry.name)") }
            let number =
                entry.isHexadecimal
                ? "`0x\(String(entry.number, radix: 16, uppercase: true))`" : "\(entry.number)"
            rows.append("| \(number) | `\(entry.name)` | \(entry.comment) |")
        }
        return rows
    }
}
