// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Vector registers: a guest gets them at its first use, and the host has all of its own back
// before it runs again.

import Arm
import CBootProtocol
import Machine

extension Hypervisor {
    /// The guest's first use of a vector register in this run.
    func giveVectors(_ guest: inout RunningGuest, _ data: Address<HypervisorVirtual>, on processor: P) {
        let area = data.advanced(by: UInt64(MARTLET_PERCPU_HOST_VECTORS))
        // The host may use scalable vectors even if no guest does: writing v0…v31 would clear
        // their upper parts.
        openVectors(on: processor)
        if features.hasSVE {
            processor.saveScalableVectors(to: area)
        } else {
            processor.saveVectors(to: area)
        }
        processor.restoreVectors(from: guest.vcpu.vectors)
        processor.write(.cptrEL2, processor.read(.cptrEL2) | guestOnlyTraps)
        guest.hasVectors = true
    }

    /// The guest's registers go to its pages, the host's come back.
    func restoreHostVectors(_ vcpu: VCPUPage, _ data: Address<HypervisorVirtual>, on processor: P) {
        let area = data.advanced(by: UInt64(MARTLET_PERCPU_HOST_VECTORS))
        openVectors(on: processor)
        processor.saveVectors(to: vcpu.vectors)
        if features.hasSVE {
            processor.restoreScalableVectors(from: area)
        } else {
            processor.restoreVectors(from: area)
        }
    }

    /// CPTR_EL2.TZ: a guest has no scalable vectors.
    private var guestOnlyTraps: UInt64 { 1 << 8 }

    /// EL2 itself may touch vector registers, of the length that the kernel's start-up code chose.
    private func openVectors(on processor: P) {
        let cptr = processor.read(.cptrEL2) & ~(GuestControls.trapVectors | guestOnlyTraps)
        processor.write(.cptrEL2, features.hasSVE ? cptr : cptr | guestOnlyTraps)
        processor.barrier(.contextSynchronisation)
    }
}
