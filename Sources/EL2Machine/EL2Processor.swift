// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The machine layer at EL2: each requirement of `Processor` is one instruction, or one loop.

public import Arm
import CBootProtocol
import CEL2
public import Machine

/// The CPU that executes this.
public struct EL2Processor: Processor {
    /// The CPU itself; there is nothing to set up.
    @inlinable
    public init() {}

    // Safety of the memory accesses: an address that EL2's tables do not map ends in the panic
    // vector. What may be reached is decided by those tables, not here.

    /// LDR of a doubleword.
    public func load64(_ address: Address<HypervisorVirtual>) -> UInt64 { el2_load64(address.rawValue) }

    /// STR of a doubleword.
    public func store64(_ address: Address<HypervisorVirtual>, _ value: UInt64) {
        el2_store64(address.rawValue, value)
    }

    /// LDP.
    @inline(__always)
    public func loadPair64(_ address: Address<HypervisorVirtual>) -> (UInt64, UInt64) {
        let pair = el2_load_pair64(address.rawValue)
        return (pair.first, pair.second)
    }

    /// STP.
    @inline(__always)
    public func storePair64(_ address: Address<HypervisorVirtual>, _ first: UInt64, _ second: UInt64) {
        el2_store_pair64(address.rawValue, first, second)
    }

    /// LDAR.
    public func loadAcquire64(_ address: Address<HypervisorVirtual>) -> UInt64 {
        el2_load_acquire64(address.rawValue)
    }

    /// STLR.
    public func storeRelease64(_ address: Address<HypervisorVirtual>, _ value: UInt64) {
        el2_store_release64(address.rawValue, value)
    }

    /// LDAXR and STLXR.
    public func exchange64(_ address: Address<HypervisorVirtual>, _ expected: UInt64, for value: UInt64) -> Bool {
        el2_exchange64(address.rawValue, expected, value)
    }

    /// LDR of a word.
    public func load32(_ address: Address<HypervisorVirtual>) -> UInt32 { el2_load32(address.rawValue) }

    /// STR of a word.
    public func store32(_ address: Address<HypervisorVirtual>, _ value: UInt32) {
        el2_store32(address.rawValue, value)
    }

    /// SET instructions, DC ZVA, or stores, by what the CPU has.
    public func zeroPage(_ page: Frame<HypervisorVirtual>) { zeroPages(FrameRange(page)) }

    /// The same.
    public func zeroPages(_ pages: FrameRange<HypervisorVirtual>) {
        el2_zero_pages(pages.first.address.rawValue, pages.end.address.rawValue)
    }

    /// DC CIVAC, line by line.
    public func cleanAndInvalidatePage(_ page: Frame<HypervisorVirtual>) {
        el2_clean_invalidate_page(page.address.rawValue)
    }

    /// DC ZVA and DC CIVAC line by line, or SET instructions where there are.
    public func zeroAndCleanPages(_ pages: FrameRange<HypervisorVirtual>) {
        el2_zero_clean_pages(pages.first.address.rawValue, pages.end.address.rawValue)
    }

    /// DSB or ISB.
    public func barrier(_ barrier: Barrier) {
        switch barrier {
        case .storesBeforeInvalidation: el2_dsb_ishst()
        case .invalidationComplete: el2_dsb_ish()
        case .contextSynchronisation: el2_isb()
        case .cacheMaintenanceComplete: el2_dsb_sy()
        }
    }

    /// TLBI.
    public func invalidate(_ entries: TLBInvalidation) {
        // Operands of TLBI by address hold bits 55:12 of it in bits 43:0.
        switch entries {
        case .stage2(let frame): el2_tlbi_ipas2e1is(frame.number)
        case .combined: el2_tlbi_vmalle1is()
        case .wholeVMID: el2_tlbi_vmalls12e1is()
        case .hypervisor(let frame): el2_tlbi_vae2is(frame.number)
        case .wholeHypervisor: el2_tlbi_alle2is()
        }
    }

    /// TLBI ALLE1 and ALLE2, completed.
    public func invalidateLocalTLB() {
        el2_tlbi_alle1()
        el2_tlbi_alle2()
        // Completion on this CPU, and nothing fetched before it is used after it.
        el2_dsb_nsh()
        el2_isb()
    }

    /// Exchanges TTBR0_EL2 with the MMU off (entry.S).
    public func adoptHypervisorRoot(_ root: Frame<HostPhysical>) {
        martlet_adopt_root(root.address.rawValue, Self.finalControl)
    }

    /// SCTLR_EL2 with the final tables: RES1 bits, M, C, SA, I and WXN.
    public static let finalControl: UInt64 = 0x30C5_183D | 1 << 19

    /// SMC #0.
    public func callFirmware(_ registers: FirmwareRegisters) -> FirmwareRegisters {
        let answer = el2_smc(registers.x0, registers.x1, registers.x2, registers.x3)
        return FirmwareRegisters(answer.x0, answer.x1, answer.x2, answer.x3)
    }

    /// YIELD; or the end, when another CPU has panicked with the lock held.
    public func relax() {
        el2_yield()
        // The holder of a lock may have panicked: then waiting has no end.
        if RootFlags.hasPanicked { el2_break() }
    }

    /// The order of locks is checked where EL2's code runs in the machine model.
    @inlinable
    public func takesLock(_ rank: LockRank) {}

    /// As `takesLock`.
    @inlinable
    public func releasesLock(_ rank: LockRank) {}

    /// BRK, with the message noted in the data page.
    public func panic(_ message: StaticString) -> Never {
        // Safety: TPIDR_EL2 holds this CPU's data page; a static string lies in the image.
        let text = unsafe UInt64(UInt(bitPattern: message.utf8Start))
        el2_store64(el2_read_tpidr_el2() &+ UInt64(MARTLET_PERCPU_PANIC_MESSAGE), text)
        el2_break()
    }
}
