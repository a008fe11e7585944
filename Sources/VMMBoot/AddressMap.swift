// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Where things are in a guest's physical address space, and which interrupt belongs to what.

/// The guest's fixed address map: devices below 1 GiB, RAM from 2 GiB on.
public struct AddressMap: Equatable, Sendable {
    /// RAM.
    public let memory: GuestRange
    /// The GICv3 distributor: 64 KiB below 1 GiB.
    public let distributor: GuestRange
    /// The GICv3 redistributors: 128 KiB a CPU, just below the distributor.
    public let redistributors: GuestRange
    /// The serial port. It has a page to itself, so that a protected guest can allow exactly this window.
    public let serial: GuestRange

    /// Where RAM starts.
    public static let memoryBase = GuestAddress(0x8000_0000)
    /// The interrupt of the serial port: the first shared peripheral interrupt.
    public static let serialInterrupt = SharedInterrupt(index: 0)
    /// How many interrupts the GIC has: 32 private ones and 32 shared ones, the least that the device accepts.
    public static let interruptCount: UInt32 = 64

    /// The map of a guest with this much memory and this many CPUs.
    public init(memoryBytes: UInt64, processors: Int) {
        memory = GuestRange(start: AddressMap.memoryBase, count: memoryBytes)
        distributor = GuestRange(start: GuestAddress(0x3FFF_0000), count: 0x1_0000)
        let redistributorBytes = UInt64(processors) * 0x2_0000
        redistributors = GuestRange(
            start: GuestAddress(0x3FFF_0000 - redistributorBytes), count: redistributorBytes)
        serial = GuestRange(start: GuestAddress(0x0100_0000), count: 0x1000)
    }
}

/// A shared peripheral interrupt of the GIC.
public struct SharedInterrupt: Equatable, Sendable {
    /// Its number among the shared interrupts, as a device tree counts them.
    public let index: UInt32

    /// The shared interrupt of this index.
    public init(index: UInt32) { self.index = index }

    /// Its number among all interrupts of the GIC (INTID).
    public var number: UInt32 { index + 32 }
}
