// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Where things lie in EL2's virtual address space (docs/memory.md draws it).

public import Arm

/// EL2's virtual address space: 48 bits, in two halves that cannot meet.
///
/// The lower half maps the hypervisor's own pages at their physical addresses. Identity keeps one
/// address for the code that runs while the MMU is switched; nothing but the hypervisor's pages
/// is ever mapped there. The upper half holds the ledger, in one array over all frame numbers of
/// which only the parts that describe RAM are mapped.
public enum HypervisorAddressSpace {
    /// Physical addresses from here on cannot be the hypervisor's.
    public static let identityLimit: UInt64 = 1 << 47
    /// Entry of frame 0 in the ledger.
    public static let ledgerBase: UInt64 = 1 << 47

    /// 2 MiB through which EL2 reaches pages that are not its own, for the moment. One for all CPUs:
    /// whoever uses it holds the memory lock.
    public static let window: UInt64 = 3 << 46
    /// The same for a whole 2 MiB, so that the window's table can stay.
    static let blockWindow: UInt64 = window &+ pagesPerSuperpage &* pageSize

    /// Where a page of the hypervisor is mapped.
    @inlinable
    public static func identity(_ address: Address<HostPhysical>) -> Address<HypervisorVirtual> {
        Address(address.rawValue)
    }

    /// Where a page of the hypervisor is mapped.
    @inlinable
    public static func identity(_ frame: Frame<HostPhysical>) -> Frame<HypervisorVirtual> {
        Frame(frame.number)
    }
}
