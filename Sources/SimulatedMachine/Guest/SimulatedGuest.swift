// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A guest of the simulated machine: a script that stands for its instructions.

public import Arm
public import Machine

/// What runs when EL2 enters a guest.
public protocol SimulatedGuest: Sendable {
    /// Runs on `cpu` until something takes it back to EL2. The general registers, PC and PSTATE are
    /// words of the vCPU page; system registers are the CPU's. For a synchronous exception the
    /// guest sets ESR_EL2 and its companions before it returns.
    func run(on cpu: SimulatedCPU, vcpu: Address<HypervisorVirtual>) -> GuestExit
}

extension SimulatedCPU: GuestProcessor {
    /// Guests are scripts, with all registers in their pages.
    public static var answersQuickly: Bool { false }

    /// Runs the machine's guest, or takes an interrupt at once if it has none.
    public func enterGuest(_ vcpu: Address<HypervisorVirtual>) -> GuestExit {
        machine.step(index)
        machine.noteEntry(index, vcpu)
        return machine.guest?.run(on: self, vcpu: vcpu) ?? .interrupt
    }

    /// A counter: the model's CPUs are deterministic.
    public func hardwareRandom() -> UInt64 { machine.steps }

    /// Waits for the records that units had begun, which must be off, or they begin more.
    public func drainProfiling() {
        machine.step(index)
        machine.drainRecords(index)
    }

    /// The model's guests are scripts, which have no stage-1; the machine notes whose it would be.
    public func invalidateLocalGuest() {
        machine.step(index)
        machine.forgetGuestTranslations(index)
    }

    /// The model has four list registers.
    public func clearUpperListRegisters(last: UInt64) {}

    /// The model has no instruction caches, and counts.
    public func invalidateInstructionCaches() {
        machine.step(index)
        machine.instructionCacheInvalidations += 1
    }

    /// A number that stands for the guest's vectors.
    public func guestVectors(_ mitigation: BranchMitigation) -> UInt64 { 0x1000 }

    /// A number that stands for the host's vectors.
    public func hostVectors(_ mitigation: BranchMitigation) -> UInt64 { 0x800 }

    /// Scripts' virtual addresses are physical ones, of Device memory below this one and of Normal memory from it on.
    public static var normalMemory: UInt64 { 1 << 47 }

    /// As if there were a stage-1.
    public func translateWithStage1(_ address: UInt64) -> TranslatedAddress? {
        let attributes: UInt64 = address < Self.normalMemory ? 0 : 0xFF
        return TranslatedAddress(bits: attributes << 56 | address & 0x000F_FFFF_FFFF_F000)
    }
}

extension SimulatedMachine {
    /// A vCPU runs, and its stage-1 translations come into the TLB under the current VMID.
    func noteEntry(_ cpu: Int, _ vcpu: Address<HypervisorVirtual>) {
        let state = cpus[cpu]
        expectNoLocks(cpu, at: "a guest's run")
        if let tree = state.stage2Tree, trees[tree].needsForcedWriteBack, state[.hcrEL2] >> 46 & 1 == 0 {
            report(.linesLeft, cpu: cpu, "VMID \(state.vmid) runs without HCR_EL2.FWB, which its pages rely on")
        }
        if let other = state.translationsOf[state.vmid], other != vcpu.rawValue {
            report(
                .sharedTranslations, cpu: cpu,
                "the vCPU at \(hex(vcpu.rawValue)) finds those of the one at \(hex(other)), VMID \(state.vmid)")
        }
        state.translationsOf[state.vmid] = vcpu.rawValue
    }

    func forgetGuestTranslations(_ cpu: Int) { cpus[cpu].translationsOf[cpus[cpu].vmid] = nil }

    func drainRecords(_ cpu: Int) {
        let units: [SystemRegister] = [.pmscrEL1, .trfcrEL1, .brbcrEL1]
        cpus[cpu].hasRecordsInFlight = units.contains { cpus[cpu][$0] != 0 }
    }
}
