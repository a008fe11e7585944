// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The control registers with which a guest runs: fixed when a vCPU is made, and kept in its page.

import Arm
import HypervisorInterface
import Machine

/// Values of EL2's control registers while a guest runs.
struct GuestControls: Sendable {
    let hcr: UInt64
    /// With vector registers trapped.
    let cptr: UInt64
    let mdcr: UInt64

    /// CPTR_EL2.TFP.
    static var trapVectors: UInt64 { 1 << 10 }
    /// CPTR_EL2.TZ; RES1 without SVE.
    static var trapScalableVectors: UInt64 { 1 << 8 }

    /// - Parameter mdcr: the host's MDCR_EL2, whose HPMN must stay as it is.
    init(features: CPUFeatures, mdcr host: UInt64) {
        // VM, SWIO, PTW, FMO, IMO, AMO, FB, BSU=IS, TWI, TID3, TSC, TIDCP, TACR, TSW, RW, TLOR.
        var hcr: UInt64 = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 9 | 1 << 10
        hcr |= 1 << 13 | 1 << 18 | 1 << 19 | 1 << 20 | 1 << 21 | 1 << 22 | 1 << 31 | 1 << 35
        if features.hasRAS { hcr |= 1 << 36 | 1 << 37 }  // TERR, TEA
        if features.hasPointerAuthentication { hcr |= 1 << 40 | 1 << 41 }  // APK, API
        // FWB: what a guest does with its caches off goes through them all the same.
        if features.hasForcedWriteBack { hcr |= 1 << 46 }
        // TSC, TIDCP, TACR, TSW.
        if isWithout(.guestInstructionsTrap) { hcr &= ~(0xF << 19) }
        self.hcr = hcr
        // RES1 bits; TZ, TFP, TSM, TTA, TAM.
        cptr = 0x33FF | Self.trapVectors | 1 << 20 | 1 << 30
        // TPMCR, TPM, TDA, TDOSA, TDRA, TPMS, TTRF, TDCC; the profiling and trace buffers are
        // nobody's (E2PB, E2TB zero).
        // HPMN, HPMD and HCCD are the host's.
        let kept: UInt64 = 0x1F | 1 << 17 | 1 << 23
        let counters: UInt64 = isWithout(.performanceCountersTrap) ? 0 : 1 << 5 | 1 << 6
        mdcr = host & kept | counters | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 14 | 1 << 19 | 1 << 27
    }
}

extension VCPUPage {
    /// Where each register stands in `Field.controls`.
    enum Control: UInt64 {
        case vtcr, vttbr, hcr, cptr, mdcr, vmpidr
    }

    /// The place of a register and, if its number is even, of the next one.
    @inline(__always)
    func address(_ control: Control) -> Address<HypervisorVirtual> { address(.controls, control.rawValue) }

    /// Input bits of the VM's stage-2, from VTCR_EL2.T0SZ.
    @inline(__always)
    func inputBits(on processor: some Processor) -> UInt64 {
        64 &- (processor.load64(address(.vtcr)) & 0x3F)
    }

    /// Whether the VM's stage-2 maps a page below its end: the walk that the CPU makes, from VTTBR_EL2 as
    /// VTCR_EL2 says. The memory lock is held.
    @inline(__always)
    func isMapped(_ page: UInt64, on processor: some Processor) -> Bool {
        let (control, base) = processor.loadPair64(address(.vtcr))
        // SL0: 2 starts at level 0. The mask keeps speculation within the root.
        var shift: UInt64 = control & (1 << 7) != 0 ? 27 : 18
        var index = (page & (~0 >> ((control & 0x3F) &+ pageShift))) >> shift
        var table = base & 0x0000_FFFF_FFFF_FFFE
        while true {
            let entry = Address<HostPhysical>(table).advanced(by: index &* 8)
            let bits = processor.load64(HypervisorAddressSpace.identity(entry))
            // Invalid, a block or a page, a table (DDI 0487, D8.3.1).
            if bits & 1 == 0 { return false }
            if shift == 0 || bits & 2 == 0 { return true }
            table = bits & 0x0000_FFFF_FFFF_F000
            shift &-= 9
            index = (page >> shift) & (entriesPerTable &- 1)
        }
    }
}

extension MemoryState {
    /// Writes a new vCPU's control registers to its page. Nothing in them ever changes.
    /// - Parameter mdcr: the host's MDCR_EL2.
    func setControls(
        _ handle: VMHandle, index: UInt64, mdcr: UInt64, on processor: some Processor
    ) throws(CallStatus) {
        let vm = try activeVM(handle, on: processor)
        guard let vcpu = vm.vcpu(index, on: processor), let table = vm.table(on: processor) else { throw .notFound }
        let controls = GuestControls(features: features, mdcr: mdcr)
        let vtcr = Stage2Control.bits(
            table.geometry, physicalAddressBits: features.physicalAddressBits, hasVMID16: features.hasVMID16)
        let vttbr = Stage2Base.bits(root: table.root, vmid: handle.vmid)
        let affinity = vcpu.load(.affinity, on: processor)
        processor.storePair64(vcpu.address(.vtcr), vtcr, vttbr)
        processor.storePair64(vcpu.address(.hcr), controls.hcr, controls.cptr)
        processor.storePair64(vcpu.address(.mdcr), controls.mdcr, 1 << 31 | affinity)
    }
}
