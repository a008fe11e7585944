// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The simulated host as tests use it: what must not happen is a failure of the test.

import HypervisorInterface
import SearchKit
import SimulatedMachine
import Testing

@testable import HypervisorCore

/// A simulated host whose complaints are failures.
final class HostBench: SimulatedHost, @unchecked Sendable {
    override func complain(_ message: String) { Issue.record(Comment(rawValue: message)) }

    /// A machine with every CPU behind the stage-2.
    static func finalised(_ plan: Plan = Plan(), prepare: (PSCIFirmware) -> Void = { _ in }) throws -> HostBench {
        let bench = try HostBench(plan, prepare: prepare)
        try bench.finalise()
        bench.expectNoViolations()
        return bench
    }

    func expectNoViolations(sourceLocation: SourceLocation = #_sourceLocation) {
        for violation in machine.violations.prefix(3) {
            Issue.record("\(violation)", sourceLocation: sourceLocation)
        }
    }
}

func hex(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }
