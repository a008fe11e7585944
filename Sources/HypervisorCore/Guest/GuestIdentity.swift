// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The identification registers as a guest reads them (trapped by HCR_EL2.TID3): the CPU's own,
// less the features that a guest does not have.

import Arm
import Machine

/// What a guest reads of the CPU's identity.
enum GuestIdentity {
    /// Keeps the 4-bit fields named in `keep`: its bit 0 stands for bits 3:0, and so on.
    private static func fields(_ value: UInt64, _ keep: UInt64) -> UInt64 {
        var result: UInt64 = 0
        for field in 0..<UInt64(16) where (keep >> field) & 1 == 1 {
            result |= value & (0xF << (field &* 4))
        }
        return result
    }

    /// A field, at most `limit`, in its place. For fields that count up from 0.
    private static func capped(_ value: UInt64, _ field: UInt64, _ limit: UInt64) -> UInt64 {
        let present = (value >> (field &* 4)) & 0xF
        return (present < limit ? present : limit) << (field &* 4)
    }

    /// Writes all of them to a vCPU's page, which has zeroes in their places. They are then the same on
    /// every CPU.
    static func write(to vcpu: VCPUPage, inputBits: UInt64, on processor: some Processor) {
        let length = vcpu.vectorLength(on: processor)
        for crm in UInt64(4)..<8 {
            for op2 in UInt64(0)..<5 {
                let value = value(crm: crm, op2: op2, inputBits: inputBits, vectorLength: length, on: processor)
                vcpu.store(.identity, at: crm << 3 | op2, value, on: processor)
            }
        }
    }

    /// The value of the register op0 = 3, op1 = 0, CRn = 0 with these CRm (1…7) and op2. Registers of
    /// AArch32 and of features that no guest has read as zero.
    ///
    /// - Parameter vectorLength: quadwords of the vCPU's longest scalable vector, 0 for none.
    private static func value(
        crm: UInt64, op2: UInt64, inputBits: UInt64, vectorLength: UInt64, on processor: some Processor
    ) -> UInt64 {
        switch (crm, op2) {
        case (4, 0):  // ID_AA64PFR0_EL1: FP, AdvSIMD, GIC, DIT, the vCPU's SVE; RAS, CSV2, CSV3 of version 1
            let value = processor.read(.idAA64PFR0)
            let el0AndEL1InAArch64: UInt64 = 0x11
            return fields(value, vectorLength > 0 ? 0x1170 : 0x1070) | capped(value, 7, 1) | capped(value, 14, 1)
                | capped(value, 15, 1)
                | el0AndEL1InAArch64
        case (4, 1):  // ID_AA64PFR1_EL1: BT, SSBS
            return fields(processor.read(.idAA64PFR1), 0x0003)
        case (4, 4) where vectorLength > 0:  // ID_AA64ZFR0_EL1: all of it is about instructions
            return processor.read(.idAA64ZFR0)
        case (5, 0):  // ID_AA64DFR0_EL1: the Armv8 debug architecture, as few breakpoints as there can be
            return 6 | 1 << 12 | 1 << 20
        case (6, 0):  // ID_AA64ISAR0_EL1: all but TME
            return fields(processor.read(.idAA64ISAR0), 0xFFBE)
        case (6, 1):  // ID_AA64ISAR1_EL1: all but SPECRES, XS, LS64
            return fields(processor.read(.idAA64ISAR1), 0x3BFF)
        case (6, 2):  // ID_AA64ISAR2_EL1: RPRES, GPA3, APA3, BC, PAC_frac, CLRBHB, CSSC
            return fields(processor.read(.idAA64ISAR2), 0x20EE)
        case (7, 0):  // ID_AA64MMFR0_EL1: ASIDs, endianness, granules without LPA2; the guest's own range
            let value = processor.read(.idAA64MMFR0)
            let range: UInt64 =
                switch inputBits {
                case ..<36: 0
                case ..<40: 1
                case ..<42: 2
                case ..<44: 3
                case ..<48: 4
                default: 5
                }
            return fields(value, 0x0056) | capped(value, 5, 1) | range
        case (7, 1):  // ID_AA64MMFR1_EL1: HAFDBS, HPDS, PAN, ETS, AFP, nTLBPA, ECBHB
            let value = processor.read(.idAA64MMFR1)
            return fields(value, 0x9A28) | capped(value, 0, 2)
        case (7, 2):  // ID_AA64MMFR2_EL1: all but NV, IDS, FWB, EVT
            return fields(processor.read(.idAA64MMFR2), 0xB1BF)
        default:
            return 0
        }
    }
}
