// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Running guests at EL2.

public import Arm
import CEL2
public import Machine

extension EL2Processor: GuestProcessor {
    /// vectors.S calls `martlet_answer_quickly`.
    public static var answersQuickly: Bool { true }

    /// ERET to the guest and back (vectors.S).
    @inline(__always)
    public func enterGuest(_ vcpu: Address<HypervisorVirtual>) -> GuestExit {
        GuestExit(rawValue: martlet_enter_guest(vcpu.rawValue)) ?? .systemError
    }

    /// RNDR.
    public func hardwareRandom() -> UInt64 { el2_rndr() }

    /// PSB CSYNC, TSB CSYNC, DSB NSH.
    public func drainProfiling() { el2_drain_profiling() }

    /// TLBI VMALLE1, IC IALLU, completed.
    public func invalidateLocalGuest() { el2_tlbi_vmalle1_local() }

    /// Zeroes ICH_LR4_EL2 and above.
    public func clearUpperListRegisters(last: UInt64) { el2_clear_upper_lists(last) }

    /// IC IALLUIS, completed.
    public func invalidateInstructionCaches() { el2_ic_ialluis() }

    /// The table whose entries save a guest.
    public func guestVectors(_ mitigation: BranchMitigation) -> UInt64 {
        switch mitigation {
        case .none: el2_address_of_guest_vectors()
        case .clearBranchHistory: el2_address_of_guest_vectors_clear()
        case .loop: el2_address_of_guest_vectors_loop()
        case .firmware1: el2_address_of_guest_vectors_firmware1()
        case .firmware3: el2_address_of_guest_vectors_firmware3()
        }
    }

    /// The table whose entries save the host.
    public func hostVectors(_ mitigation: BranchMitigation) -> UInt64 {
        switch mitigation {
        case .none: el2_address_of_vectors()
        case .clearBranchHistory: el2_address_of_vectors_clear()
        case .loop: el2_address_of_vectors_loop()
        case .firmware1: el2_address_of_vectors_firmware1()
        case .firmware3: el2_address_of_vectors_firmware3()
        }
    }

    /// AT S1E1R.
    public func translateWithStage1(_ address: UInt64) -> TranslatedAddress? {
        let before = read(.parEL1)
        el2_at_s1e1r(address)
        let result = read(.parEL1)
        write(.parEL1, before)
        return TranslatedAddress(bits: result)
    }

    /// Stores of q registers (fpsimd.S).
    public func saveVectors(to area: Address<HypervisorVirtual>) { martlet_vectors_save(area.rawValue) }

    /// Loads of q registers.
    public func restoreVectors(from area: Address<HypervisorVirtual>) { martlet_vectors_restore(area.rawValue) }

    /// Stores of z and p registers and FFR.
    public func saveScalableVectors(to area: Address<HypervisorVirtual>) { martlet_scalable_save(area.rawValue) }

    /// Loads of z and p registers and FFR.
    public func restoreScalableVectors(from area: Address<HypervisorVirtual>) {
        martlet_scalable_restore(area.rawValue)
    }

    /// RDVL (fpsimd.S).
    public func scalableVectorBytes() -> UInt64 { martlet_scalable_length() }
}
