// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The host's performance counters, which stand still while a protected guest runs.

import Arm
import HypervisorInterface
import Machine

/// The switch of the host's counters.
struct PerformanceCounters {
    private var control: UInt64 = 0

    /// PMCR_EL0.E: without it, no counter below MDCR_EL2.HPMN counts, and neither does PMCCNTR_EL0. The
    /// others obey MDCR_EL2.HPME, which is zero while a guest runs.
    private static var enable: UInt64 { 1 }

    /// What a protected guest does is not counted: not even what it makes EL2 do. The exception return
    /// synchronises that.
    @inline(__always)
    init(stoppedOn processor: some Processor, _ groups: RegisterGroups, for kind: VMKind) {
        guard kind == .protected, groups.contains(.performanceCounters) else { return }
        control = processor.read(.pmcrEL0)
        processor.write(.pmcrEL0, control & ~Self.enable)
    }

    /// Gives the host its counters back.
    @inline(__always)
    func resume(on processor: some Processor, _ groups: RegisterGroups, after kind: VMKind) {
        guard kind == .protected, groups.contains(.performanceCounters) else { return }
        processor.write(.pmcrEL0, control)
    }
}
