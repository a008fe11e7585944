// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Where images stop themselves: BRK instructions, by the source that they come from, beside the list of
// reasons why none of them can be reached by request, or why it is right to stop there.

import Foundation
import SystemPackage

/// An instruction that stops the image.
public struct TrapSite: Equatable, Sendable {
    /// Its address, or its offset in the code of an object.
    public let address: UInt64
    /// What fails: `Swift runtime failure`s by their own name, `panic` for a call of it, `lock` for a wait that
    /// another CPU's panic ends, `unknown` where the compiler has left no name.
    public let kind: String
    /// The file of the innermost function with a place in it.
    public let file: String
    /// Its line, 0 if the compiler has merged several.
    public let line: Int
    /// The function, as far as it has a name.
    public let function: String
}

/// Why the sites of one kind in one file are right.
struct TrapReason: Equatable, Sendable {
    let file: String
    let kind: String
    /// So many there are at most: one more needs a reason of its own.
    let most: Int
    let why: String

    init(_ file: String, _ kind: String, _ most: Int, _ why: String) {
        self.file = file
        self.kind = kind
        self.most = most
        self.why = why
    }
}

/// The trap sites of an image.
public struct Traps: Sendable {
    /// The image's name in results.
    let group: String
    /// The sites, in the order of their addresses.
    public let sites: [TrapSite]
    let reasons: [TrapReason]

    /// Those of the hypervisor.
    public static func ofHypervisor(_ images: Images) async throws -> Traps {
        Traps(
            group: "hypervisor", sites: try await sites(of: images.hypervisorELF(.product)),
            reasons: TrapReasons.hypervisor)
    }

    /// Those of the module's Swift half, before its symbols are taken off.
    public static func ofModule(_ images: Images) async throws -> Traps {
        Traps(
            group: "module",
            sites: try await sites(of: images.workspace.root.appending(".build-module/kernel/swift.linked")),
            reasons: TrapReasons.module)
    }

    private static func sites(of image: FilePath) async throws -> [TrapSite] {
        guard image.exists else { throw LabError.missingFile(image, madeBy: "lab images") }
        let listing = try await Tool(
            Tool.fromToolchain("llvm-objdump"), ["--disassemble", "--no-show-raw-insn", image.string]
        ).capture()
        let addresses = addresses(in: listing)
        let chains = try await Symbolizer(image: image).resolve(addresses)
        return zip(addresses, chains).map { site(at: $0, $1) }
    }

    /// The addresses of BRK in llvm-objdump's text, but for those behind an instruction that never goes on to
    /// the next one and that nothing branches to: compilers mark so what they have proved unreachable. In a
    /// function with a table of branches, which the text does not show, all count.
    static func addresses(in listing: String) -> [UInt64] {
        let lines = listing.split(separator: "\n").map { $0.split(whereSeparator: \.isWhitespace) }
        let targets = Set(lines.flatMap { $0.dropFirst(2) }.filter { $0.hasPrefix("0x") })
        var found: [UInt64] = []
        var dead: [UInt64] = []
        var hasTable = false
        var previous: Substring = ""
        func endFunction() {
            if hasTable { found += dead }
            (dead, hasTable, previous) = ([], false, "")
        }
        for words in lines {
            guard words.count >= 2, words[0].last == ":", let address = UInt64(words[0].dropLast(), radix: 16) else {
                // The next function's name: it may be called from anywhere.
                endFunction()
                continue
            }
            if words[1] == "brk" {
                let isEnd = ["ret", "retaa", "retab", "b", "br", "brk", "eret"].contains(previous)
                if isEnd, !targets.contains("0x\(String(address, radix: 16))") {
                    dead.append(address)
                } else {
                    found.append(address)
                }
            }
            hasTable = hasTable || words[1] == "br"
            previous = words[1]
        }
        endFunction()
        return found.sorted()
    }

    /// What a chain of inlined functions, innermost first, says of a site.
    static func site(at address: UInt64, _ chain: [SourceFrame]) -> TrapSite {
        let failure = "Swift runtime failure: "
        var kind = "unknown"
        var frames = chain[...]
        if let first = chain.first?.function, let mark = first.firstRange(of: failure) {
            kind = String(first[mark.upperBound...])
            frames = chain.dropFirst()
        } else if chain.first?.function.hasSuffix("el2_break") == true {
            // The demangler marks a name that is none of Swift's.
            frames = chain.dropFirst()
            kind = frames.first?.function.contains("relax()") == true ? "lock" : "panic"
            if kind == "panic" { frames = frames.drop { $0.function.contains("panic(") } }
        } else if chain.first?.function == "_swift_exceptionPersonality" {
            kind = "no exceptions"
        }
        // The standard library's own lines are nowhere; neither are those that the compiler has merged.
        let places = frames.map { (frame: $0, place: place(of: $0.location)) }
        let known = places.first { $0.place.line > 0 } ?? places.first { $0.place.file.hasSuffix(".swift") }
        return TrapSite(
            address: address, kind: kind, file: known?.place.file ?? "", line: known?.place.line ?? 0,
            function: (known ?? places.first)?.frame.function ?? "")
    }

    /// File and line of `path:line:column`; neither for what is in no file.
    private static func place(of location: String) -> (file: String, line: Int) {
        let words = location.split(separator: ":")
        guard words.count >= 3, let line = Int(words[words.count - 2]),
            let name = words[words.count - 3].split(separator: "/").last, !name.hasPrefix("<"), !name.hasPrefix("??")
        else { return ("", 0) }
        return (String(name), line)
    }

    private struct Key: Hashable, Comparable {
        let file: String
        let kind: String

        static func < (left: Key, right: Key) -> Bool { (left.file, left.kind) < (right.file, right.kind) }
    }

    /// Sites by file and kind; by file alone where one reason is that of any kind.
    private var groups: [Key: [TrapSite]] {
        let whole = Set(reasons.filter { $0.kind == Self.anyKind }.map(\.file))
        return Dictionary(grouping: sites) { site in
            Key(file: site.file, kind: whole.contains(site.file) ? Self.anyKind : site.kind)
        }
    }

    /// In a reason: for whatever may fail in the file.
    static let anyKind = "any"

    /// Whether each site has a reason, and each reason a site.
    public func check() -> CheckResult {
        var known: [Key: Int] = [:]
        for reason in reasons { known[Key(file: reason.file, kind: reason.kind), default: 0] += reason.most }
        let groups = groups
        var complaints: [String] = []
        for (key, sites) in groups.sorted(by: { $0.key < $1.key }) where sites.count > known[key] ?? 0 {
            let lines = Set(sites.map(\.line)).sorted().map(String.init).joined(separator: " ")
            complaints.append(
                "\(key.file) has \(sites.count) sites of \(key.kind) and reasons for \(known[key] ?? 0) (lines \(lines))"
            )
        }
        complaints += known.keys.sorted().filter { groups[$0] == nil }.map { "\($0.file) has no \($0.kind) any more" }
        let isGood = complaints.isEmpty && !sites.isEmpty
        return CheckResult(
            "\(group)/traps-explained", isGood ? .passed : .failed,
            isGood ? "\(sites.count) sites" : complaints.joined(separator: "; "))
    }

    /// The sites by file and kind, each group with its reason.
    public var table: String {
        var lines = ["\(group): \(sites.count) sites"]
        for (key, sites) in groups.sorted(by: { $0.key < $1.key }) {
            lines.append("  \(key.file.isEmpty ? "(no file)" : key.file), \(key.kind): \(sites.count)")
            for reason in reasons where reason.file == key.file && reason.kind == key.kind {
                lines.append("    \(reason.why)")
            }
        }
        return lines.joined(separator: "\n")
    }

    /// Each site with its function and line.
    public var list: String {
        sites.map { "\(String($0.address, radix: 16)) \($0.kind) \($0.file):\($0.line) \($0.function)" }
            .joined(separator: "\n")
    }
}
