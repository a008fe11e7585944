// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The unit tests, run by SwiftPM and counted from its report.

import Foundation

/// Runs `swift test`.
public enum UnitTests {
    /// Runs all unit tests on the terminal and gives one result a test.
    public static func run(_ workspace: Workspace) async throws -> [CheckResult] {
        let report = workspace.cache.appending("unit-tests.xml")
        // Swift Testing writes beside the name that it is given.
        let written = workspace.cache.appending("unit-tests-swift-testing.xml")
        try workspace.cache.makeFolder()
        try written.remove()
        let succeeded = try await Tool(
            "swift", ["test", "--parallel", "--xunit-output", report.string], folder: workspace.root
        ).runOnTerminal()
        let results = written.exists ? parse(try written.readText()) : []
        // A crash, or a test that does not compile, leaves no failed test behind.
        if !succeeded && !results.contains(where: { $0.verdict == .failed }) {
            return results + [CheckResult("unit/swift-test", .failed, "`swift test` ended with an error")]
        }
        if results.isEmpty { return [CheckResult("unit/swift-test", .failed, "no test was run")] }
        return results
    }

    /// Reads an xunit report: `testcase` elements, the failed ones with a `failure` inside.
    static func parse(_ xml: String) -> [CheckResult] {
        var results: [CheckResult] = []
        for element in xml.split(separator: "<testcase ").dropFirst() {
            let text = " \(element)"
            func attribute(_ name: String) -> String {
                // With the blank before it, for one attribute's name ends like another's.
                guard let start = text.firstRange(of: " \(name)=\"") else { return "" }
                return String(text[start.upperBound...].prefix { $0 != "\"" })
            }
            let failed = element.contains("<failure")
            results.append(
                CheckResult("unit/\(attribute("classname")).\(attribute("name"))", failed ? .failed : .passed))
        }
        return results
    }
}
