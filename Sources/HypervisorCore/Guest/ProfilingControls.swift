// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Profiling, trace and branch records of EL1 and EL0, and the host's performance counters, stopped for
// the moment.

import Arm
import HypervisorInterface
import Machine

/// The controls of the units that write records of what EL1 and EL0 do to addresses of the host's
/// choice, and of those that count it.
struct ProfilingControls {
    private var counters: UInt64 = 0
    private var profiling: UInt64 = 0
    private var trace: UInt64 = 0
    private var branches: UInt64 = 0

    /// PMCR_EL0.E: without it, no counter below MDCR_EL2.HPMN counts, and neither does PMCCNTR_EL0. The
    /// others obey MDCR_EL2.HPME, which is zero while a guest runs.
    private static var enable: UInt64 { 1 }

    /// Stops the units and waits until they have written what they had. Only then may translation
    /// change: a late record would land wherever the new tables lead. What a protected guest does is
    /// not counted; the exception return synchronises that.
    @inline(__always)
    init(stoppedOn processor: some GuestProcessor, _ features: CPUFeatures, for kind: VMKind) {
        if kind == .protected, features.hasPerformanceCounters {
            counters = processor.read(.pmcrEL0)
            processor.write(.pmcrEL0, counters & ~Self.enable)
        }
        guard features.canRecord else { return }
        if features.hasStatisticalProfiling {
            profiling = processor.read(.pmscrEL1)
            processor.write(.pmscrEL1, 0)
        }
        if features.hasTraceFilter {
            trace = processor.read(.trfcrEL1)
            processor.write(.trfcrEL1, 0)
        }
        if features.hasBranchRecords {
            branches = processor.read(.brbcrEL1)
            processor.write(.brbcrEL1, 0)
        }
        processor.drainProfiling()
    }

    /// Gives the host its controls back.
    @inline(__always)
    func resume(on processor: some GuestProcessor, _ features: CPUFeatures, after kind: VMKind) {
        // Of what lies between, the counters tell the host what it costs EL2 to come back.
        if kind == .protected, features.hasPerformanceCounters { processor.write(.pmcrEL0, counters) }
        guard features.canRecord else { return }
        if features.hasStatisticalProfiling { processor.write(.pmscrEL1, profiling) }
        if features.hasTraceFilter { processor.write(.trfcrEL1, trace) }
        if features.hasBranchRecords { processor.write(.brbcrEL1, branches) }
    }
}

extension CPUFeatures {
    /// Whether the CPU has any unit that writes records of its own.
    var canRecord: Bool { hasStatisticalProfiling || hasTraceFilter || hasBranchRecords }
}
