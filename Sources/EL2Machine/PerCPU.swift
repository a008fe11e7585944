// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// This CPU's data page, by field (martlet_percpu.h).

public import Arm
public import CBootProtocol
import CEL2

/// The data page of the CPU that executes this.
public struct PerCPU {
    /// Its address; identical as physical and virtual address.
    public let address: UInt64

    /// The current CPU's.
    public static var current: PerCPU { PerCPU(address: el2_read_tpidr_el2()) }

    /// By the address that assembly passed.
    public init(address: UInt64) { self.address = address }

    /// A field, by its offset in martlet_percpu.h.
    public subscript(offset: Int32) -> UInt64 {
        get { el2_load64(address &+ UInt64(truncatingIfNeeded: offset)) }
        nonmutating set { el2_store64(address &+ UInt64(truncatingIfNeeded: offset), newValue) }
    }

    /// The CPU's index in the boot block.
    public var index: Int { Int(truncatingIfNeeded: self[MARTLET_PERCPU_INDEX]) }

    /// Writes what this CPU needs when it comes back from firmware, to the point of coherency:
    /// its MMU will be off when it reads it.
    public func prepareForFirmwareEntry(root: Frame<HostPhysical>, tcr: UInt64, vectors: UInt64) {
        self[MARTLET_PERCPU_TTBR0] = root.address.rawValue
        self[MARTLET_PERCPU_MAIR] = el2_read_mair_el2()
        self[MARTLET_PERCPU_TCR] = tcr
        self[MARTLET_PERCPU_SCTLR] = EL2Processor.finalControl
        self[MARTLET_PERCPU_VBAR] = vectors
        el2_clean_invalidate_page(address)
        el2_dsb_sy()
    }
}
