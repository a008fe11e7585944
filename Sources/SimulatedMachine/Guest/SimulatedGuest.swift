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
    /// Runs the machine's guest, or takes an interrupt at once if it has none.
    public func enterGuest(_ vcpu: Address<HypervisorVirtual>) -> GuestExit {
        machine.step(index)
        return machine.guest?.run(on: self, vcpu: vcpu) ?? .interrupt
    }

    /// A counter: the model's CPUs are deterministic.
    public func hardwareRandom() -> UInt64 { machine.steps }

    /// The model has no profiling.
    public func drainProfiling() { machine.step(index) }

    /// The model's guests are scripts, which have no stage-1.
    public func invalidateLocalGuest() { machine.step(index) }

    /// The model has four list registers.
    public func clearUpperListRegisters(last: UInt64) {}

    /// The model has no instruction caches.
    public func invalidateInstructionCaches() { machine.step(index) }

    /// A number that stands for the guest's vectors.
    public func guestVectors(_ mitigation: BranchMitigation) -> UInt64 { 0x1000 }

    /// A number that stands for the host's vectors.
    public func hostVectors(_ mitigation: BranchMitigation) -> UInt64 { 0x800 }

    /// Scripts run with their stage-1 off.
    public func translateWithStage1(_ address: UInt64) -> Address<GuestPhysical>? { Address(address) }
}
