// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Reading what the test host reports on its console.

/// One check and how it went.
public struct CheckResult: Codable, Equatable, Sendable {
    /// How a check went.
    public enum Verdict: String, Codable, Sendable {
        case passed, failed
    }
    /// The scenario or group, then the check.
    public let name: String
    /// How it went.
    public let verdict: Verdict
    /// What the check has to say.
    public let detail: String

    /// Notes a result.
    public init(_ name: String, _ verdict: Verdict, _ detail: String = "") {
        self.name = name
        self.verdict = verdict
        self.detail = detail
    }
}

/// What one boot of the test host has reported.
public struct HostReport: Equatable, Sendable {
    /// The checks, each called by its script and its own name.
    public private(set) var checks: [CheckResult] = []
    /// The kernel's messages of level 4 (warning) and worse.
    public private(set) var kernelLog: [String] = []
    /// Whether the report is whole.
    public private(set) var isComplete = false

    /// Reads a console.
    public init(console: String) {
        var script = ""
        var isInLog = false
        // The console ends lines with a carriage return and a line feed, which are one newline.
        for line in console.split(whereSeparator: \.isNewline) {
            // Kernel messages may share a line with a report, so the mark may be anywhere.
            guard let mark = line.firstRange(of: "MARTLET-") else {
                if isInLog { kernelLog.append(String(line)) }
                continue
            }
            let words = line[mark.lowerBound...].split(separator: " ", maxSplits: 3).map(String.init)
            switch words[0] {
            case "MARTLET-SCENARIO" where words.count > 1:
                script = words[1]
            case "MARTLET-TEST" where words.count > 2:
                let detail = words.count > 3 ? words[3] : ""
                checks.append(CheckResult("\(script)/\(words[1])", words[2] == "PASS" ? .passed : .failed, detail))
            case "MARTLET-LOG-BEGIN": isInLog = true
            case "MARTLET-LOG-END": isInLog = false
            case "MARTLET-END": isComplete = true
            default: break
            }
        }
    }

    /// Turns the report into the results of a scenario: each expected check once, then whether
    /// the console and the kernel's log are clean.
    ///
    /// - Parameters:
    ///   - scenario: what was to be reported.
    ///   - console: the console, for trouble that no script has noticed.
    public func results(for scenario: Scenario, console: String) -> [CheckResult] {
        var results: [CheckResult] = []
        for name in scenario.expectedChecks {
            let full = "\(scenario.identifier)/\(name)"
            let reports = checks.filter { $0.name == name }
            switch reports.count {
            case 0: results.append(CheckResult(full, .failed, "it was not reported"))
            case 1: results.append(CheckResult(full, reports[0].verdict, reports[0].detail))
            default: results.append(CheckResult(full, .failed, "it was reported \(reports.count) times"))
            }
        }
        for unexpected in checks where !scenario.expectedChecks.contains(unexpected.name) {
            results.append(CheckResult("\(scenario.identifier)/\(unexpected.name)", .failed, "it is not expected"))
        }
        var findings = ConsoleScanner.scan(console)
        var messages = kernelLog.filter { !KernelLog.isHarmless($0) }
        if case .panicAt = scenario.epilogue {
            // This one provokes what is trouble elsewhere, and what the module has to say of it.
            findings.removeAll { $0.kind == .hypervisorPanic }
            messages.removeAll { $0.contains("martlet: ") }
        }
        results += announcements(of: scenario, console: console)
        messages.removeAll { message in scenario.announcements.contains { Self.says(message, $0) } }
        let complaints = findings.map { "\($0.kind.rawValue): \($0.line)" } + messages
        results.append(
            CheckResult(
                "\(scenario.identifier)/kernel-log-clean", isComplete && complaints.isEmpty ? .passed : .failed,
                isComplete ? complaints.prefix(5).joined(separator: " | ") : "the machine did not get to its end"))
        return results
    }

    /// Whether a line of the kernel's log is a message of the module's; in the message, one `*`
    /// stands for a number.
    static func says(_ line: String, _ announcement: String) -> Bool {
        guard let name = line.firstRange(of: "martlet: ") else { return false }
        let message = line[name.upperBound...]
        let parts = announcement.split(separator: "*", omittingEmptySubsequences: false)
        guard parts.count == 2 else { return message == announcement }
        return message.hasPrefix(parts[0]) && message.hasSuffix(parts[1])
            && message.count > parts[0].count + parts[1].count
            && message.dropFirst(parts[0].count).dropLast(parts[1].count).allSatisfy(\.isNumber)
    }

    /// Whether the module said what it had to say. A kernel that restarts reports its log before
    /// it does so, and may have a last word on the console.
    private func announcements(of scenario: Scenario, console: String) -> [CheckResult] {
        let lines = kernelLog + console.split(whereSeparator: \.isNewline).map(String.init)
        return scenario.announcements.map { announcement in
            let isThere = lines.contains { Self.says($0, announcement) }
            return CheckResult(
                "\(scenario.identifier)/said", isThere ? .passed : .failed,
                isThere ? announcement : "the kernel's log does not have: \(announcement)")
        }
    }
}

/// What a stock kernel says at level 4 although nothing is wrong.
public enum KernelLog {
    /// Parts of such messages; each was seen on the bare machine, without Martlet.
    static let harmless: [String] = [
        // The parameter that keeps the kernel out of EL2, effective or not.
        "CPU features: SYS_ID_AA64MMFR1_EL1[11:8]: already set to 0",
        "CPU features: SYS_ID_AA64MMFR1_EL1[11:8]: forced to 0",
        // The parameter that makes addresses shorter.
        "CPU features: SYS_ID_AA64MMFR0_EL1[31:28]: forced to 0",
        "CPU features: SYS_ID_AA64MMFR0_EL1[3:0]: forced to 5",
        "CPU features: SYS_ID_AA64MMFR2_EL1[19:16]: forced to 0",
        // A limit that a scenario sets.
        "exceed data ulimit",
        // QEMU's 64-bit PCI window.
        "Memory resource size exceeds max for 32 bits",
        // Emulation is slower than the kernel expects of a timer.
        "hrtimer: interrupt took",
        // Any module that is not the distribution's.
        "loading out-of-tree module taints kernel.",
    ]

    /// Whether a line of the kernel's log is one of them.
    public static func isHarmless(_ line: String) -> Bool {
        harmless.contains(where: line.contains)
    }
}
