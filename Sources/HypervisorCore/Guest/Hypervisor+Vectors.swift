// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Vector registers: a guest gets them at its first use, and the host has all of its own back
// before it runs again.
//
// An area is FPCR, FPSR, ZCR_EL1, and the registers from byte 64 on. The host's holds scalable
// registers of the CPU's length if the CPU has them; a vCPU's holds them at the vCPU's own length, or
// v0…v31 if it has none.

import Arm
import CBootProtocol
import HypervisorInterface
import Machine
import Synchronization

extension Hypervisor {
    /// The vector lengths that guests may have.
    var guestVectorLengths: VectorLengths { VectorLengths(bits: vectorLengths.load(ordering: .acquiring)) }

    /// What `vectorLengths` holds before the first CPU has said what it has.
    static var unknownVectorLengths: UInt64 { 1 << 63 }

    /// Adds this CPU's lengths to what is known of them, for a guest may run on any CPU.
    func noteVectorLengths(_ cpu: Int, on processor: P) {
        let own = features.hasSVE ? measureVectorLengths(cpu, on: processor) : .none
        let first = vectorLengths.compareExchange(
            expected: Self.unknownVectorLengths, desired: own.bits, ordering: .acquiringAndReleasing)
        guard !first.exchanged else { return }
        // Other CPUs may be here too; what any of them takes away stays away.
        let common = VectorLengths(bits: first.original).virtualisable(with: own)
        _ = vectorLengths.bitwiseAnd(common.bits, ordering: .acquiringAndReleasing)
    }

    /// The lengths of this CPU, as far as the host itself may use them.
    private func measureVectorLengths(_ cpu: Int, on processor: P) -> VectorLengths {
        let cptr = processor.read(.cptrEL2)
        let area = HypervisorAddressSpace.identity(boot.dataPage(of: cpu)).advanced(
            by: UInt64(MARTLET_PERCPU_HOST_VECTORS))
        openVectors(on: processor)
        // Shorter vectors may cost the host's registers their upper parts.
        processor.saveScalableVectors(to: area)
        var bits: UInt64 = 0
        var length: UInt64 = 0
        while length <= snapshot.vectorControl & 0xF {
            limitVectors(to: length, on: processor)
            // A length that the CPU does not have becomes the next shorter one.
            bits |= 1 << ((processor.scalableVectorBytes() >> 4 &- 1) & 0xF)
            length &+= 1
        }
        limitVectors(to: snapshot.vectorControl, on: processor)
        processor.restoreScalableVectors(from: area)
        processor.write(.cptrEL2, cptr)
        return VectorLengths(bits: bits)
    }

    /// ZCR_EL2, in force from the next instruction on.
    private func limitVectors(to control: UInt64, on processor: P) {
        processor.write(.zcrEL2, control)
        processor.barrier(.contextSynchronisation)
    }

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
        let own = guest.vcpu.vectors
        let length = guest.vcpu.vectorLength(on: processor)
        if length > 0 {
            exchangeVectorControl(from: area, to: own, limit: length &- 1, on: processor)
            processor.restoreScalableVectors(from: own)
        } else {
            processor.restoreVectors(from: own)
            processor.write(.cptrEL2, processor.read(.cptrEL2) | GuestControls.trapScalableVectors)
        }
        guest.hasVectors = true
    }

    /// The guest's registers go to its pages, the host's come back.
    func restoreHostVectors(_ vcpu: VCPUPage, _ data: Address<HypervisorVirtual>, on processor: P) {
        let area = data.advanced(by: UInt64(MARTLET_PERCPU_HOST_VECTORS))
        openVectors(on: processor)
        if vcpu.vectorLength(on: processor) > 0 {
            processor.saveScalableVectors(to: vcpu.vectors)
            exchangeVectorControl(from: vcpu.vectors, to: area, limit: snapshot.vectorControl, on: processor)
        } else {
            processor.saveVectors(to: vcpu.vectors)
        }
        if features.hasSVE {
            processor.restoreScalableVectors(from: area)
        } else {
            processor.restoreVectors(from: area)
        }
    }

    /// ZCR_EL1 goes to one area and comes from another; ZCR_EL2 gets the limit of the latter's world.
    /// What a register has above that limit is out of that world's reach.
    private func exchangeVectorControl(
        from old: Address<HypervisorVirtual>, to new: Address<HypervisorVirtual>, limit: UInt64, on processor: P
    ) {
        let control: UInt64 = 16
        processor.store64(old.advanced(by: control), processor.read(.zcrEL1))
        processor.write(.zcrEL1, processor.load64(new.advanced(by: control)))
        limitVectors(to: limit, on: processor)
    }

    /// EL2 itself may touch vector registers, of the length that ZCR_EL2 says.
    private func openVectors(on processor: P) {
        let traps = GuestControls.trapVectors | GuestControls.trapScalableVectors
        let cptr = processor.read(.cptrEL2) & ~traps
        processor.write(.cptrEL2, features.hasSVE ? cptr : cptr | GuestControls.trapScalableVectors)
        processor.barrier(.contextSynchronisation)
    }
}
