// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// All that one lock protects: who owns which page, and the tables that follow from it.

public import Arm
import HypervisorInterface
public import Machine

/// Ownership of memory and the tables derived from it.
public struct MemoryState: Lockable, ~Copyable, Sendable {
    /// Its place among the locks.
    public static var lockRank: LockRank { .memory }
    let stationary = Stationary()
    let features: CPUFeatures
    /// What each physical address is.
    public let map: MemoryMap
    /// Who owns each page of RAM.
    public let ledger: Ledger
    /// Free pages of the hypervisor.
    public internal(set) var pool: PagePool
    /// EL2's own tables.
    public internal(set) var hypervisorTable: PageTable<Stage1Attributes>
    /// The tables that confine the host.
    public internal(set) var hostTable: PageTable<Stage2Attributes>
    /// Pages of RAM that the hypervisor keeps.
    public internal(set) var hypervisorPages: UInt64
    /// Bytes of ledger that are mapped.
    public let ledgerBytes: UInt64
    var hostFaults = HostFaultCounters()
    /// What the host finds instead of some pages that it lost; taken from the pool when first needed.
    var sinkPage: Frame<HostPhysical>?
    /// Pages that protected guests own.
    var guestPages: UInt64 = 0
    /// What each CPU was refused last.
    var refusals = HostRefusals()
    /// The virtual machines, in pages of their own.
    var machines = MachineSlots()

    /// How often each answer to a host stage-2 abort was given.
    struct HostFaultCounters: Sendable {
        var mapped: UInt64 = 0
        var spurious: UInt64 = 0
        var refused: UInt64 = 0
        var sunk: UInt64 = 0
    }

    /// What the host may do with its RAM: everything; stage-1 decides about cacheability.
    static let hostMemory = Stage2Attributes(.writeBack, .all)
    /// What the host may do with devices. Normal non-cacheable leaves the choice between device
    /// and write-combining to stage-1; nothing executes from there.
    static let hostDevice = Stage2Attributes(.nonCacheable, .data)

    /// What guests may do with their memory.
    func guestMemory(_ access: Stage2Attributes.Access) -> Stage2Attributes {
        Stage2Attributes(features.hasForcedWriteBack ? .forcedWriteBack : .writeBack, access)
    }
}
