// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The control registers with which a guest runs, and what it reads of the CPU's identity.

import Arm
import Machine

/// Values of EL2's control registers while a guest runs.
struct GuestControls: Sendable {
    let hcr: UInt64
    /// With vector registers trapped.
    let cptr: UInt64
    let mdcr: UInt64
    let vtcr: UInt64

    /// CPTR_EL2.TFP.
    static var trapVectors: UInt64 { 1 << 10 }
    /// CPTR_EL2.TZ; RES1 without SVE.
    static var trapScalableVectors: UInt64 { 1 << 8 }

    /// - Parameter mdcr: the host's MDCR_EL2, whose HPMN must stay as it is.
    init(features: CPUFeatures, geometry: TranslationGeometry, mdcr host: UInt64) {
        // VM, SWIO, PTW, FMO, IMO, AMO, FB, BSU=IS, TWI, TID3, TSC, TIDCP, TACR, TSW, RW, TLOR.
        var hcr: UInt64 = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 9 | 1 << 10
        hcr |= 1 << 13 | 1 << 18 | 1 << 19 | 1 << 20 | 1 << 21 | 1 << 22 | 1 << 31 | 1 << 35
        if features.hasRAS { hcr |= 1 << 36 | 1 << 37 }  // TERR, TEA
        if features.hasPointerAuthentication { hcr |= 1 << 40 | 1 << 41 }  // APK, API
        // FWB: what a guest does with its caches off goes through them all the same.
        if features.hasForcedWriteBack { hcr |= 1 << 46 }
        self.hcr = hcr
        // RES1 bits; TZ, TFP, TSM, TTA, TAM.
        cptr = 0x33FF | Self.trapVectors | 1 << 20 | 1 << 30
        // TPMCR, TPM, TDA, TDOSA, TDRA, TPMS, TTRF, TDCC; the profiling and trace buffers are
        // nobody's (E2PB, E2TB zero).
        // HPMN, HPMD and HCCD are the host's.
        let kept: UInt64 = 0x1F | 1 << 17 | 1 << 23
        mdcr = host & kept | 1 << 5 | 1 << 6 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 14 | 1 << 19 | 1 << 27
        vtcr = Stage2Control.bits(
            geometry, physicalAddressBits: features.physicalAddressBits, hasVMID16: features.hasVMID16)
    }
}
