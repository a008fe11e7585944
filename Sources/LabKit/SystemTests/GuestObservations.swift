// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What the scripts with guests say beside their checks, as values: what was read where, what was
// found, how long it took and what was counted.

/// What was observed with one guest.
struct GuestObservations: Codable, Equatable {
    /// One way of reading the page in which the guest keeps its secret.
    struct Attempt: Codable, Equatable {
        /// What came of it.
        enum Outcome: String, Codable {
            /// The secret was read.
            case secret
            /// The access was refused, with an error or a signal.
            case refused
            /// Something else was read: the sink page.
            case other
        }
        let way: String
        let outcome: Outcome
        /// The secret, the name of the error, or the first eight bytes.
        let detail: String
    }

    /// One search for the secret.
    struct Search: Codable, Equatable {
        let way: String
        /// How often the secret was found.
        let found: Int
        /// How many pages were looked at, and how many of them could not be read.
        let pages: Int
        let refused: Int
    }

    /// The kind of VM, as the scripts call it.
    let kind: String
    /// The guest-physical address of the page with the secret.
    var page = ""
    /// The secret.
    var secret = ""
    /// Seconds from the start of the VMM until the guest's own program has run.
    var seconds: Double?
    var attempts: [Attempt] = []
    var searches: [Search] = []
    /// The hypervisor's counters while the guest still ran.
    var counters: [String: Int] = [:]
    /// How much they had grown since before its start.
    var growth: [String: Int] = [:]

    /// Returns to the host by their reason, the most frequent first.
    var exits: [(reason: String, count: Int)] {
        growth.compactMap { name, count in
            name.hasPrefix("exits_") && count > 0 ? (String(name.dropFirst(6)), count) : nil
        }.sorted { ($1.count, $0.reason) < ($0.count, $1.reason) }
    }

    /// Reads what a console says of all guests, in the order in which they ran.
    static func read(_ console: String) -> [GuestObservations] {
        var guests: [GuestObservations] = []
        for line in console.split(whereSeparator: \.isNewline) {
            guard let mark = line.firstRange(of: "MARTLET-") else { continue }
            let words = line[mark.upperBound...].split(separator: " ").map(String.init)
            guard words.count >= 3, ["BEFORE", "AFTER", "TIME", "SECRET", "ATTEMPT", "SEARCH"].contains(words[0])
            else { continue }
            if guests.last?.kind != words[1] { guests.append(GuestObservations(kind: words[1])) }
            guests[guests.count - 1].add(words[0], Array(words.dropFirst(2)))
        }
        return guests
    }

    private mutating func add(_ mark: String, _ words: [String]) {
        switch mark {
        case "TIME": seconds = Double(words[0]).map { $0 / 100 }
        case "BEFORE" where words.count == 2: counters[words[0]] = Int(words[1])
        case "AFTER" where words.count == 2:
            guard let now = Int(words[1]) else { return }
            growth[words[0]] = now - (counters[words[0]] ?? 0)
            counters[words[0]] = now
        case "SECRET" where words.count == 2:
            page = words[0]
            secret = String(words[1].map { $0.hexDigitValue.map { Character(String(15 - $0, radix: 16)) } ?? $0 })
        case "ATTEMPT" where words.count == 3:
            guard let outcome = Attempt.Outcome(rawValue: words[1]) else { return }
            attempts.append(Attempt(way: words[0], outcome: outcome, detail: words[2]))
        case "SEARCH":
            func value(_ name: String) -> Int? {
                words.first { $0.hasPrefix("\(name)=") }.flatMap { Int($0.dropFirst(name.count + 1)) }
            }
            guard let found = value("found"), let pages = value("pages"), let refused = value("refused") else { return }
            searches.append(Search(way: words[0], found: found, pages: pages, refused: refused))
        default: break
        }
    }
}

/// What the module's report of the installation says.
struct InstallationObservations: Codable, Equatable {
    /// Milliseconds from the loading of the module until all CPUs are behind the stage-2.
    let milliseconds: Double
    /// How long of this all CPUs stood still.
    let standstillMilliseconds: Double
    /// Memory that the hypervisor reserved, in MiB.
    let reservedMebibytes: Int

    /// Reads a console; nil if it has no such report.
    init?(console: String) {
        var loaded: Double?
        for line in console.split(whereSeparator: \.isNewline) {
            guard let mark = line.firstRange(of: "MARTLET-NOTE [") else { continue }
            let rest = line[mark.upperBound...]
            let time = rest.prefix { $0 != "]" }
            guard let seconds = Double(String(time.drop { $0 == " " })) else { continue }
            if loaded == nil { loaded = seconds }
            guard rest.contains("the hypervisor owns EL2"), let loaded else { continue }
            let words = rest.split(separator: " ")
            guard let unit = words.firstIndex(of: "MiB"), unit > 0, let reserved = Int(words[unit - 1]),
                words.last == "us", words.count > 1, let standstill = Double(words[words.count - 2])
            else { return nil }
            milliseconds = (seconds - loaded) * 1000
            standstillMilliseconds = standstill / 1000
            reservedMebibytes = reserved
            return
        }
        return nil
    }
}
