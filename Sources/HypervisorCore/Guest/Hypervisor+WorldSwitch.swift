// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The world switch there and back: EL2's control registers, translation, timer, and EL1's state.

import Arm
import CBootProtocol
import HypervisorInterface
import Machine

/// CNTV_CTL_EL0 and CNTV_CVAL_EL0 as a guest has left them, the latter in the host's count.
struct GuestTimer {
    let control: UInt64
    let compare: UInt64
}

extension Hypervisor {
    /// Saves the host's EL1 state and loads the guest's, in the order that keeps speculative
    /// walks from mixing the two (Cortex-A72 erratum 1319367 and its kin).
    @inline(__always)
    func loadGuest(
        _ guest: borrowing RunningGuest, _ cpu: Int, _ data: Address<HypervisorVirtual>, on processor: P
    ) {
        let groups = groups
        let vcpu = guest.vcpu
        let host = WorldSwitch.save(
            to: data.advanced(by: UInt64(MARTLET_PERCPU_HOST_CONTEXT)), groups: groups, on: processor)
        // With the MMU on and no walks, speculation finds nothing to combine.
        processor.write(.sctlrEL1, host.sctlr | 1)
        processor.write(.tcrEL1, host.tcr | WorldSwitch.noWalks)
        processor.barrier(.contextSynchronisation)
        let own = WorldSwitch.restoreGuest(from: vcpu.address(.context), groups: groups, on: processor)
        let (vtcr, vttbr) = processor.loadPair64(vcpu.address(.vtcr))
        processor.write(.vtcrEL2, vtcr)
        processor.write(.vttbrEL2, vttbr)
        processor.barrier(.contextSynchronisation)
        // Two vCPUs have translations of their own under one VMID, and this CPU's TLB cannot tell
        // whose they are.
        if guest.origin == .claimed,
            guest.vm.load(.lastRan, at: UInt64(truncatingIfNeeded: cpu), on: processor) != guest.index &+ 1,
            !isWithout(.translationsAreOnesOwn)
        {
            processor.invalidateLocalGuest()
            guest.vm.store(.lastRan, at: UInt64(truncatingIfNeeded: cpu), guest.index &+ 1, on: processor)
        }
        let (hcr, cptr) = processor.loadPair64(vcpu.address(.hcr))
        processor.write(.hcrEL2, hcr)
        processor.write(.cptrEL2, cptr)
        let (mdcr, vmpidr) = processor.loadPair64(vcpu.address(.mdcr))
        processor.write(.mdcrEL2, mdcr)
        processor.write(.vmpidrEL2, vmpidr)
        processor.write(.hstrEL2, 1 << 15)
        if !groups.isDisjoint(with: .controls) { loadGuestControls(groups, on: processor) }
        processor.write(.vbarEL2, guestVectors)
        // EL1 reads the counter; the physical timer traps.
        processor.write(.cnthctlEL2, 1)
        let (control, compare) = processor.loadPair64(vcpu.address(.timerControl))
        processor.write(.cntvCtlEL0, 0)
        processor.write(.cntvoffEL2, guest.vm.load(.counterOffset, on: processor))
        processor.write(.cntvCvalEL0, compare)
        processor.write(.cntvCtlEL0, control & 3)
        processor.barrier(.contextSynchronisation)
        processor.write(.sctlrEL1, own.sctlr)
        processor.barrier(.contextSynchronisation)
        processor.write(.tcrEL1, own.tcr)
    }

    /// The way back. On return EL1 and EL0 hold nothing of the guest, and what an exception leaves is zero: the
    /// kernel's code that called has nothing there that it needs.
    /// - Returns: the guest's timer.
    @inline(__always)
    func loadHost(_ guest: borrowing RunningGuest, _ data: Address<HypervisorVirtual>, on processor: P) -> GuestTimer {
        let groups = groups
        let own = WorldSwitch.saveGuest(to: guest.vcpu.address(.context), groups: groups, on: processor)
        let timer = storeTimer(guest.vcpu, on: processor)
        processor.write(.tcrEL1, own.tcr | WorldSwitch.noWalks)
        processor.barrier(.contextSynchronisation)
        processor.write(.sctlrEL1, own.sctlr | 1)
        processor.barrier(.contextSynchronisation)
        snapshot.replayForHost(groups, on: processor)
        processor.write(.vbarEL2, hostVectors)
        useHostTable(on: processor)
        processor.write(.vmpidrEL2, processor.read(.mpidrEL1))
        let left = isWithout(.hostContextComesBack) ? guest.vcpu.address(.context) : nil
        let host = WorldSwitch.restoreHost(
            from: left ?? data.advanced(by: UInt64(MARTLET_PERCPU_HOST_CONTEXT)), groups: groups, on: processor)
        processor.barrier(.contextSynchronisation)
        processor.write(.sctlrEL1, host.sctlr)
        processor.barrier(.contextSynchronisation)
        processor.write(.tcrEL1, host.tcr)
        return timer
    }

    /// Keeps the guest's timer; leaves the host the one bit that it needs of it, whether it fires.
    @inline(__always)
    private func storeTimer(_ vcpu: VCPUPage, on processor: P) -> GuestTimer {
        let control = processor.read(.cntvCtlEL0)
        let compare = processor.read(.cntvCvalEL0)
        processor.storePair64(vcpu.address(.timerControl), control, compare)
        // ENABLE and ISTATUS without IMASK: the interrupt is asserted, and stays so for the host's
        // handler, with a compare value that says nothing.
        processor.write(.cntvCtlEL0, 0)
        processor.write(.cntvCvalEL0, 0)
        if control & 7 == 5 { processor.write(.cntvCtlEL0, 1) }
        // The VM's offset may be another for its next run.
        return GuestTimer(control: control, compare: compare &+ processor.read(.cntvoffEL2))
    }

    /// The control registers that not every CPU has.
    private func loadGuestControls(_ groups: RegisterGroups, on processor: P) {
        if groups.contains(.hcrx) { processor.write(.hcrxEL2, 0) }
        // Traps every register of the features that guests don't have: the bits that trap when they
        // are zero, and none of the others.
        if groups.contains(.fineGrainedTraps) {
            processor.write(.hfgrtrEL2, 0)
            processor.write(.hfgwtrEL2, 0)
            processor.write(.hfgitrEL2, 0)
            processor.write(.hdfgrtrEL2, 0)
            processor.write(.hdfgwtrEL2, 0)
            if groups.contains(.activityMonitorTraps) { processor.write(.hafgrtrEL2, 0) }
        }
        if groups.contains(.mpam) { processor.write(.mpam2EL2, snapshot.mpam | 3 << 48) }
        if groups.contains(.ras) { processor.write(.vdisrEL2, 0) }
    }
}
