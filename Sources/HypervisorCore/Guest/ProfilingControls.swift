// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Profiling, trace and branch records of EL1 and EL0, stopped for the moment.

import Arm
import Machine

/// The controls of the units that write records of what EL1 and EL0 do to addresses of the host's
/// choice.
struct ProfilingControls {
    private var profiling: UInt64 = 0
    private var trace: UInt64 = 0
    private var branches: UInt64 = 0

    /// Stops the units and waits until they have written what they had. Only then may translation
    /// change: a late record would land wherever the new tables lead.
    init(stoppedOn processor: some GuestProcessor, _ groups: RegisterGroups) {
        guard !groups.isDisjoint(with: .recording) else { return }
        if groups.contains(.statisticalProfiling) {
            profiling = processor.read(.pmscrEL1)
            processor.write(.pmscrEL1, 0)
        }
        if groups.contains(.traceFilter) {
            trace = processor.read(.trfcrEL1)
            processor.write(.trfcrEL1, 0)
        }
        if groups.contains(.branchRecords) {
            branches = processor.read(.brbcrEL1)
            processor.write(.brbcrEL1, 0)
        }
        processor.drainProfiling()
    }

    /// Gives the host its controls back.
    func resume(on processor: some GuestProcessor, _ groups: RegisterGroups) {
        guard !groups.isDisjoint(with: .recording) else { return }
        if groups.contains(.statisticalProfiling) { processor.write(.pmscrEL1, profiling) }
        if groups.contains(.traceFilter) { processor.write(.trfcrEL1, trace) }
        if groups.contains(.branchRecords) { processor.write(.brbcrEL1, branches) }
    }
}
