// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The guest frames at which a vCPU has met the VM's own devices and no memory.

/// A few guest frames of which a vCPU knows that no memory slot has them, so that an access to a device
/// there need not look for one.
public struct DeviceFrames: Sendable {
    // A place of the table is a frame's number plus one, so that a zeroed one is none.
    private var frames: InlineArray<4, UInt64> = [0, 0, 0, 0]
    /// The state of the slots for which this holds.
    private var slotChanges: UInt64 = 0

    /// None.
    public init() {}

    // Blocks of a GIC's registers are 64 KiB each.
    private static func place(_ address: UInt64) -> Int { Int(truncatingIfNeeded: address >> 16 & 3) }
    private static func entry(_ address: UInt64) -> UInt64 { address >> PageUnit.shift &+ 1 }

    /// Notes the frame of an address at which no slot was found after the slots had changed this often.
    public mutating func note(_ address: UInt64, slotChanges changes: UInt64) {
        if changes != slotChanges {
            frames = [0, 0, 0, 0]
            slotChanges = changes
        }
        frames[Self.place(address)] = Self.entry(address)
    }

    /// Whether it is known that no slot has an address, if the slots have changed this often by now.
    public func contains(_ address: UInt64, slotChanges changes: UInt64) -> Bool {
        changes == slotChanges && frames[Self.place(address)] == Self.entry(address)
    }
}
