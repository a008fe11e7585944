// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The machine's package sources, in both forms that apt reads: one line each, and the
// deb822 stanzas. The lab never names a package host; it takes what the machine uses.

import Foundation
public import SystemPackage

/// One stanza of package sources, in the deb822 form (sources.list(5)).
///
/// Fields keep their order and their value as written, so that options which the lab does not
/// know, such as an inline key, survive unchanged.
public struct AptSource: Equatable, Sendable {
    /// Field names as written, with their values; a value of several lines keeps them all.
    public var fields: [(name: String, value: String)]

    /// Makes a stanza.
    public init(fields: [(name: String, value: String)]) {
        self.fields = fields
    }

    /// A field's value by its name, which apt compares without regard to case; nil when absent.
    public subscript(name: String) -> String? {
        get { fields.first { $0.name.lowercased() == name.lowercased() }?.value }
        set {
            let index = fields.firstIndex { $0.name.lowercased() == name.lowercased() }
            switch (index, newValue) {
            case (let index?, let value?): fields[index].value = value
            case (let index?, nil): fields.remove(at: index)
            case (nil, let value?): fields.append((name, value))
            case (nil, nil): break
            }
        }
    }

    /// A field's value as words.
    public func words(_ name: String) -> [String] {
        (self[name] ?? "").split { $0 == " " || $0 == "\t" || $0 == "\n" }.map(String.init)
    }

    /// Whether apt would use it.
    public var isEnabled: Bool {
        !["no", "false", "0", "off", "disable", "without"].contains((self["Enabled"] ?? "yes").lowercased())
    }

    /// The stanza as text.
    public var text: String {
        fields.map { "\($0.name): \($0.value)" }.joined(separator: "\n") + "\n"
    }

    /// Equal when the fields are.
    public static func == (left: AptSource, right: AptSource) -> Bool {
        left.fields.elementsEqual(right.fields) { $0.name == $1.name && $0.value == $1.value }
    }
}

/// Reading and writing lists of package sources.
public enum AptSources {
    /// Reads every list that apt on this machine reads, without the disabled entries.
    ///
    /// - Parameter folder: apt's configuration folder, when it is not the usual one.
    public static func ofThisMachine(folder: FilePath? = nil) throws(LabError) -> [AptSource] {
        let folder = folder ?? "/etc/apt"
        var sources: [AptSource] = []
        let main = folder.appending("sources.list")
        if main.exists { sources += parseOneLine(try main.readText()) }
        let parts = folder.appending("sources.list.d")
        for name in parts.entries {
            let file = parts.appending(name)
            // As apt does: other endings, such as those of backups, are not read.
            if name.hasSuffix(".list") { sources += parseOneLine(try file.readText()) }
            if name.hasSuffix(".sources") { sources += parseStanzas(try file.readText()) }
        }
        return sources.filter(\.isEnabled)
    }

    /// Parses the one-line form: `deb [option=value …] uri suite component …`.
    ///
    /// Lines that apt would reject are left out: the machine's own apt reports them.
    public static func parseOneLine(_ text: String) -> [AptSource] {
        var sources: [AptSource] = []
        for line in text.split(separator: "\n") {
            let content = line.prefix { $0 != "#" }.trimmingCharacters(in: .whitespaces)
            var rest = Substring(content)
            guard let type = takeWord(&rest), type == "deb" || type == "deb-src" else { continue }
            var fields = [(name: "Types", value: type)]
            var options: [(name: String, value: String)] = []
            if rest.hasPrefix("[") {
                guard let end = rest.firstIndex(of: "]") else { continue }
                options = parseOptions(rest[rest.index(after: rest.startIndex)..<end])
                rest = rest[rest.index(after: end)...].drop { $0 == " " || $0 == "\t" }
            }
            guard let uri = takeWord(&rest), let suite = takeWord(&rest) else { continue }
            fields.append(("URIs", uri))
            fields.append(("Suites", suite))
            let components = rest.split { $0 == " " || $0 == "\t" }
            if !components.isEmpty { fields.append(("Components", components.joined(separator: " "))) }
            sources.append(AptSource(fields: fields + options))
        }
        return sources
    }

    /// Parses deb822 stanzas: fields with continuation lines, separated by blank lines.
    public static func parseStanzas(_ text: String) -> [AptSource] {
        var sources: [AptSource] = []
        var fields: [(name: String, value: String)] = []
        func finish() {
            if !fields.isEmpty { sources.append(AptSource(fields: fields)) }
            fields = []
        }
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("#") { continue }
            if line.allSatisfy(\.isWhitespace) {
                finish()
            } else if line.first == " " || line.first == "\t" {
                guard !fields.isEmpty else { continue }
                fields[fields.count - 1].value += "\n" + line
            } else if let colon = line.firstIndex(of: ":") {
                let value = line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
                fields.append((String(line[..<colon]), value))
            }
        }
        finish()
        return sources
    }

    /// Sources as the text of one deb822 file.
    public static func text(of sources: [AptSource]) -> String {
        sources.map(\.text).joined(separator: "\n")
    }

    private static func takeWord(_ rest: inout Substring) -> String? {
        let word = rest.prefix { $0 != " " && $0 != "\t" }
        guard !word.isEmpty else { return nil }
        rest = rest[word.endIndex...].drop { $0 == " " || $0 == "\t" }
        return String(word)
    }

    /// The two forms name some options differently; the others differ only in capitals.
    private static func parseOptions(_ text: Substring) -> [(name: String, value: String)] {
        text.split { $0 == " " || $0 == "\t" }.compactMap { option in
            let parts = option.split(separator: "=", maxSplits: 1)
            guard parts.count == 2 else { return nil }
            let value = parts[1].split(separator: ",").joined(separator: " ")
            switch parts[0] {
            case "arch": return ("Architectures", value)
            case "lang": return ("Languages", value)
            case "target": return ("Targets", value)
            default:
                let words = parts[0].split(separator: "-").map { $0.prefix(1).uppercased() + $0.dropFirst() }
                return (words.joined(separator: "-"), value)
            }
        }
    }
}
