// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The boot protocol's limits as Swift integers; the C header stays their one source.

internal import CBootProtocol

/// What the boot protocol can carry, and its units in bytes.
public enum Limits {
    /// Bytes of a page.
    public static var pageSize: UInt64 { UInt64(MARTLET_PAGE_SIZE) }
    /// Bytes of a superpage.
    public static var superpageSize: UInt64 { UInt64(MARTLET_SUPERPAGE_SIZE) }
    /// Bytes of one CPU's area.
    public static var perCPUSize: UInt64 { UInt64(MARTLET_PERCPU_SIZE) }
    /// Most CPUs.
    public static var cpus: Int { Int(MARTLET_MAX_CPUS) }
    /// Most superpages.
    public static var superpages: Int { Int(MARTLET_MAX_SUPERPAGES) }
    /// Most physical ranges.
    public static var ranges: Int { Int(MARTLET_MAX_RANGES) }
    /// Pages of the boot block.
    public static var bootBlockPages: UInt64 {
        (UInt64(MemoryLayout<martlet_boot>.size) + pageSize - 1) / pageSize
    }
    /// Physical addresses below this one are within what the temporary tables map: four levels
    /// of 4 KiB tables translate 48 bits (Arm ARM, D8.2).
    public static var temporaryAddressEnd: UInt64 { 1 << 48 }
}
