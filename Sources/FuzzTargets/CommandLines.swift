// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Command lines: what is accepted is within its limits, and what is refused is refused in words that a
// program can read.

import Foundation
import VMMConfiguration

/// Words that end with a zero byte. One byte stands for an option, so that a fuzzer finds them.
func checkCommandLine(_ input: inout FuzzInput) throws(BrokenProperty) {
    let known = [
        "run", "--kernel", "--initrd", "--cmdline", "--cpus", "--memory", "--protected", "--private-memory", "--json",
        "--dry-run", "--help", "--version", "none", "512M", "K",
    ]
    let words = input.rest().split(separator: 0, omittingEmptySubsequences: false).map { bytes in
        if bytes.count == 1, let byte = bytes.first, (1...15).contains(byte) { return known[Int(byte) - 1] }
        return String(decoding: bytes, as: UTF8.self)
    }
    do {
        guard case .run(let options) = try CommandLineParser.parse(words) else { return }
        let bytes = options.memory.bytes
        try keepsTo(bytes >= MemorySize.minimum && bytes <= MemorySize.maximum, "a memory of \(bytes) bytes")
        try keepsTo(bytes % MemorySize.granule == 0, "a memory of \(bytes) bytes")
        let again = try MemorySize(parsing: "\(bytes)")
        try keepsTo(again == options.memory, "\(bytes) bytes that are \(again.bytes) when written out")
        try keepsTo(options.commandLine.text.utf8.count <= KernelCommandLine.limit, "a long command line")
        let report = CommandLineParser.reportFormat(in: words)
        try keepsTo(options.report == .text || report == .json, "a report that was not asked for")
    } catch let broken as BrokenProperty {
        throw broken
    } catch let error as UsageError {
        try checkExplanation(error.explanation)
    } catch {
        throw BrokenProperty("an error that cannot be explained: \(error)")
    }
}

/// `hold`, for where errors of other kinds are thrown too.
private func keepsTo(_ holds: Bool, _ description: @autoclosure () -> String) throws {
    try hold(holds, description())
}

private func checkExplanation(_ explanation: Explanation) throws(BrokenProperty) {
    try hold(explanation.status.number != 0, "a failure that looks like success")
    for part in [explanation.what, explanation.why, explanation.next] {
        try hold(!part.isEmpty, "an explanation without words: \(explanation)")
    }
    let json = explanation.json
    try hold(json.utf8.count { $0 == 0x0A } == 1 && json.last == "\n", "JSON that is not one line: \(json)")
    let object = try? JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any]
    try hold(object?["what"] as? String == explanation.what, "JSON that says something else: \(json)")
}
