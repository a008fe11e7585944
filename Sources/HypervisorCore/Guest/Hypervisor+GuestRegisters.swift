// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// System registers that trap from a guest.

import Arm
import HypervisorInterface
import Machine

/// A trapped MRS or MSR, decoded (ESR_ELx, ISS of class 0x18).
struct RegisterAccess {
    let bits: UInt64

    var isRead: Bool { bits & 1 == 1 }
    var crm: UInt64 { (bits >> 1) & 0xF }
    var target: UInt64 { (bits >> 5) & 0x1F }
    var crn: UInt64 { (bits >> 10) & 0xF }
    var op1: UInt64 { (bits >> 14) & 7 }
    var op2: UInt64 { (bits >> 17) & 7 }
    var op0: UInt64 { (bits >> 20) & 3 }

    /// ICC_SRE_EL1.
    var isInterruptInterfaceEnable: Bool {
        switch (op0, op1, crn, crm, op2) {
        case (3, 0, 12, 12, 5): true
        default: false
        }
    }
}

extension Hypervisor {
    /// Answers a trapped access.
    func registerAccess(
        _ syndrome: ExceptionSyndrome, _ guest: inout RunningGuest, on processor: P
    ) -> GuestTrapOutcome {
        let access = RegisterAccess(bits: syndrome.bits)
        let vcpu = guest.vcpu
        var value: UInt64 = 0
        switch (access.op0, access.op1, access.crn, access.crm, access.op2) {
        case (3, 0, 0, 1...7, _) where access.isRead:
            value = vcpu.load(.identity, at: access.crm << 3 | access.op2, on: processor)
        case (3, 0, 12, 11, 5) where !access.isRead:
            // ICC_SGI1R_EL1
            vcpu.skipInstruction(on: processor)
            return guest.leave(.softwareInterrupt, vcpu.general(access.target, on: processor))
        case (3, 0, 12, 11, 1) where !access.isRead:
            // ICC_DIR_EL1, where the host has asked for it: the interrupt may be in no list register.
            vcpu.skipInstruction(on: processor)
            return guest.leave(.deactivation, vcpu.general(access.target, on: processor))
        case (3, 0, 12, 11, 6) where !access.isRead, (3, 0, 12, 11, 7) where !access.isRead:
            // ICC_ASGI1R_EL1 and ICC_SGI0R_EL1: there are no other groups.
            break
        case (3, 0, 12, 12, 5):
            // ICC_SRE_EL1: system registers only, always.
            value = 7
        case (2, 0, _, _, _):
            // Breakpoints, watchpoints, the OS lock, the debug communication channel: none of them
            // does anything (MDCR_EL2.TDA, TDOSA, TDRA, TDCC). OSLSR_EL1 says that the lock exists.
            if access.crn == 1, access.crm == 1, access.op2 == 4 { value = 1 << 3 }
        case (3, 3, 14, 2, 0...2):
            // The physical timer: disabled, and deaf. CNTPCT_EL0 is not trapped.
            break
        case (1, 0, 7, 6, 2), (1, 0, 7, 10, 2), (1, 0, 7, 14, 2):
            // DC by set and way. The host keeps a guest's memory coherent by address, which is the
            // only way that reaches all caches of a system.
            break
        case (3, 0, 1, 0, 1):
            // ACTLR_EL1.
            break
        case _ where isWithout(.unknownRegistersAreUndefined): break
        default:
            injectUndefined(vcpu, on: processor)
            return .resumes
        }
        if access.isRead { vcpu.setGeneral(access.target, value, on: processor) }
        vcpu.skipInstruction(on: processor)
        return .resumes
    }
}
