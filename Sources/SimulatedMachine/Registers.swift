// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// System registers: one value each, except that some exist only with a feature and that the
// translation registers decide which trees are live.

import Arm

extension SimulatedMachine {
    /// Whether this machine's CPUs have the register; reading another is UNDEFINED at EL2 and, on
    /// silicon, ended in a hang when it was tried.
    func exists(_ register: SystemRegister) -> Bool {
        switch register {
        case .hcrxEL2: features.hasHCRX
        case .zcrEL2, .zcrEL1: features.hasSVE
        case .smcrEL2, .smpriEL2: features.hasSME
        case .mpam2EL2: features.hasMPAM
        case .hfgrtrEL2, .hfgwtrEL2, .hfgitrEL2, .hdfgrtrEL2, .hdfgwtrEL2: features.hasFineGrainedTraps
        case .hafgrtrEL2: features.hasActivityMonitorTraps
        case .pmcrEL0: features.hasPerformanceCounters
        case .pmscrEL1: features.hasStatisticalProfiling
        case .trfcrEL1: features.hasTraceFilter
        case .brbcrEL1: features.hasBranchRecords
        case .iccSreEL2, .ichHcrEL2: features.hasGICSystemRegisters
        default: true
        }
    }

    func readRegister(_ cpu: Int, _ register: SystemRegister) -> UInt64 {
        guard exists(register) else {
            report(.undefinedRegister, cpu: cpu, "EL2 reads \(register), which this CPU does not have")
            return 0
        }
        return cpus[cpu][register]
    }

    /// The bits of a register that are not RES0.
    private func writable(_ register: SystemRegister) -> UInt64 {
        switch register {
        case .afsr0EL1, .afsr1EL1, .amairEL1: configuration.identification.auxiliary
        default: ~0
        }
    }

    func writeRegister(_ cpu: Int, _ register: SystemRegister, _ value: UInt64) {
        guard exists(register) else {
            report(.undefinedRegister, cpu: cpu, "EL2 writes \(register), which this CPU does not have")
            return
        }
        guard !CPUState.identity.contains(register) else {
            report(.undefinedRegister, cpu: cpu, "EL2 writes \(register), which is read-only")
            return
        }
        let old = cpus[cpu][register]
        cpus[cpu][register] = value & writable(register)
        switch register {
        case .pmscrEL1, .trfcrEL1, .brbcrEL1:
            if value != 0 { cpus[cpu].hasRecordsInFlight = true }
        case .ttbr0EL2, .tcrEL2, .sctlrEL2, .hcrEL2, .vttbrEL2, .vtcrEL2:
            if register == .vttbrEL2, value != old, cpus[cpu].hasRecordsInFlight {
                report(
                    .recordsInFlight, cpu: cpu,
                    "VTTBR_EL2 becomes \(hex(value)) with records of EL1 not written yet")
            }
            trace.record(
                Event(
                    kind: .register, cpu: UInt8(cpu), detail: UInt64(register.rawValue), old: old, new: value))
            updateTrees(cpu)
        case .sctlrEL1, .tcrEL1:
            updateTrees(cpu)
        case .zcrEL2:
            changeVectorLength(cpu, from: old, to: value)
        default:
            break
        }
    }

    /// Gives a CPU its power: at EL2 with everything zero that a reset does not set, its MMU off and
    /// its TLB holding anything.
    public func powerOn(_ cpu: SimulatedCPU) {
        let state = cpus[cpu.index]
        for register in SystemRegister.allCases where !CPUState.identity.contains(register) {
            state[register] = 0
        }
        state.isOn = true
        state.hasRecordsInFlight = false
        state.translationsOf = [:]
        state.hasUnknownTLB = true
        state.walks = Array(repeating: CPUState.CachedWalk(), count: state.walks.count)
        trace.record(Event(kind: .power, cpu: UInt8(cpu.index), detail: 1))
        updateTrees(cpu.index)
    }

    /// Takes a CPU's power away, and its TLB with it.
    public func powerOff(_ cpu: SimulatedCPU) {
        let bit = cpus[cpu.index].bit
        cpus[cpu.index].isOn = false
        cpus[cpu.index].bypassVMID = nil
        trace.record(Event(kind: .power, cpu: UInt8(cpu.index), detail: 0))
        updateTrees(cpu.index)
        for index in trees.indices { trees[index].cached &= ~bit }
        for index in stale.indices { stale[index].cpus &= ~bit }
        removeEndedEntries()
        dropUnusedTrees()
    }

    /// Whether a CPU has power.
    public func isOn(_ cpu: SimulatedCPU) -> Bool { cpus[cpu.index].isOn }
}
