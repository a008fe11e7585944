// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What the demonstration has shown, for a reader who sees Martlet for the first time, and for
// programs.

/// All that one demonstration has shown.
struct DemonstrationAccount: Codable {
    let kernel: String
    let machine: String
    /// From power-on to power-off.
    let seconds: Int
    let installation: InstallationObservations?
    let guests: [GuestObservations]
    let checks: [CheckResult]

    /// Reads a console.
    init(kernel: String, machine: String, console: String, checks: [CheckResult], seconds: Int) {
        self.kernel = kernel
        self.machine = machine
        self.seconds = seconds
        self.checks = checks
        installation = InstallationObservations(console: console)
        guests = GuestObservations.read(console)
    }

    /// The account in lines of text.
    var lines: [String] {
        takeOver + secrets + readings + searches + health + summary
    }

    private static let labels = 48
    private static let columns = 26

    private func row(_ label: String, _ values: [String]) -> String {
        var line = "  " + label.padded(to: Self.labels)
        for value in values { line += value.padded(to: Self.columns) }
        return String(line.reversed().drop { $0 == " " }.reversed())
    }

    private func row(_ label: String, _ value: (GuestObservations) -> String) -> String {
        row(label, guests.map(value))
    }

    /// The names of the columns.
    private var heads: [String] {
        guests.map { GuestKind(rawValue: $0.kind)?.title ?? $0.kind }
    }

    private var takeOver: [String] {
        guard let installation else { return ["", "Martlet did not take EL2."] }
        return [
            "", "1. The kernel loses EL2",
            "  The module installed the hypervisor in \(Self.number(installation.milliseconds)) ms; all CPUs stood still"
                + " for \(Self.number(installation.standstillMilliseconds)) ms of it.",
            "  From then on the kernel lives behind tables that it does not control. What it tried to get back:",
        ] + verdicts("takeover", skipping: ["loaded", "own-memory-readable", "carve-out-found"])
    }

    private var secrets: [String] {
        [
            "", "2. Guests with a secret",
            "  Each guest drew 48 random digits and keeps them in one page of its memory. It told the console where,",
            "  and the digits mirrored (0 for f, 1 for e …), so that the console's copy is not what the host finds.",
        ]
            + guests.map { guest in
                "  \((GuestKind(rawValue: guest.kind)?.title ?? guest.kind).padded(to: 24))"
                    + "page \(guest.page)  \(guest.secret)"
            }
    }

    private static let ways = [
        ("mapping", "a load in the VMM itself, through its mapping"), ("mem", "/proc/PID/mem"),
        ("vm", "process_vm_readv"), ("kernel", "kernel module, linear map, with a fixup"),
        ("plain", "kernel module, linear map, plain load"),
    ]

    private var readings: [String] {
        ["", "3. Root and the kernel read that very page", row("", heads)]
            + Self.ways.map { way, label in
                row(label) { guest in
                    guard let attempt = guest.attempts.first(where: { $0.way == way }) else { return "–" }
                    switch attempt.outcome {
                    case .secret: return "read: \(attempt.detail.prefix(16))…"
                    case .refused: return "refused: \(attempt.detail)"
                    case .other: return "junk: \(attempt.detail)"
                    }
                }
            } + [
                "  Junk is the sink, a page that the kernel gets instead of a fault that it could not survive. It is",
                "  the kernel that copies for /proc/PID/mem and process_vm_readv. Where no mapping leads to the page any",
                "  more, the module reads every page that a guest owns, this one among them.",
            ]
    }

    private static let places = [
        ("kernel", "the kernel, in all of RAM"), ("owned", "the kernel, in what guests own"),
        ("read", "process_vm_readv, in the VMM's memory"),
        ("mem", "/proc/PID/mem, in the VMM's memory"),
    ]

    private var searches: [String] {
        ["", "4. They search for the secret everywhere", row("", heads)]
            + Self.places.map { way, label in
                row(label) { guest in
                    guard let search = guest.searches.first(where: { $0.way == way }) else { return "–" }
                    return search.found == 0
                        ? "nothing in \(search.pages) pages"
                        : search.found == 1 ? "found once" : "found \(search.found) times"
                }
            }
    }

    private var health: [String] {
        func verdict(_ suffix: String) -> String {
            let found = checks.filter { $0.name.hasSuffix(suffix) }
            return found.allSatisfy { $0.verdict == .passed } && !found.isEmpty ? "yes" : "NO"
        }
        return [
            "", "5. Everybody is well",
            row("guest goes on, its secret unaltered") { guest in verdict("/guests/\(guest.kind)-goes-on") },
            row("accesses that the hypervisor refused") { guest in "\(guest.growth["host_faults_refused"] ?? 0)" },
            row("pages where the kernel met the sink") { guest in "\(guest.growth["sunk_pages"] ?? 0)" },
            row("all memory came back, zeroed") { guest in
                guest.kind == GuestKind.normal.rawValue ? "–" : verdict("/guests/\(guest.kind)-memory-back")
            },
            row("the host's kernel has nothing to complain of", [verdict("/kernel-log-clean")]),
            row("the hypervisor is still there, out of reach", [verdict("/aftermath/still-refused")]),
        ]
    }

    private var summary: [String] {
        let reasons = guests.flatMap { $0.exits.map(\.reason) }.reduce(into: [String]()) { all, reason in
            if !all.contains(reason) { all.append(reason) }
        }
        let passed = checks.count { $0.verdict == .passed }
        return [
            "", "6. In figures", row("", heads),
            row("seconds until the guest's own program ran") { guest in guest.seconds.map(Self.number) ?? "–" },
            row("the guest's own memory (KiB)") { guest in "\((guest.counters["guest_pages"] ?? 0) * 4)" },
            row("the hypervisor's memory (KiB)") { guest in "\((guest.counters["hypervisor_pages"] ?? 0) * 4)" },
            row("  of it in use (KiB)") { guest in
                "\(((guest.counters["hypervisor_pages"] ?? 0) - (guest.counters["free_pages"] ?? 0)) * 4)"
            },
            "  exits to the host, by kind",
        ]
            + reasons.map { reason in
                row("  \(reason.replacing("_", with: " "))") { guest in "\(guest.growth["exits_\(reason)"] ?? 0)" }
            } + [
                "",
                "\(passed) of \(checks.count) observations were as they should be;"
                    + " from power-on to power-off it took \(seconds) s.",
            ]
            + checks.filter { $0.verdict == .failed }.map { "  NOT AS IT SHOULD BE: \($0.name) \($0.detail)" }
    }

    /// The checks of a script, one a line.
    private func verdicts(_ script: String, skipping: Set<String>) -> [String] {
        checks.compactMap { check in
            let words = check.name.split(separator: "/").map(String.init)
            guard words.count == 4, words[2] == script, !skipping.contains(words[3]) else { return nil }
            let verdict = check.verdict == .passed ? "as it should be" : "NOT AS IT SHOULD BE"
            return "  \(words[3].replacing("-", with: " ").padded(to: Self.labels))\(verdict)"
        }
    }

    /// A number with one digit behind the point.
    private static func number(_ value: Double) -> String {
        let tenths = Int((value * 10).rounded())
        return "\(tenths / 10).\(tenths % 10)"
    }
}
