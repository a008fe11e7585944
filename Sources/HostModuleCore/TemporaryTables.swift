// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The stage-1 tables under which the hypervisor takes its first steps at EL2: an identity map
// of its superpages and of nothing else. It leaves them as soon as it has built its own.

/// The temporary identity map: four levels of 4 KiB tables, 2 MiB blocks.
public enum TemporaryTables {
    private static let entries = 512

    /// A table descriptor (Arm ARM, D8.3.1): valid, table.
    private static let table: UInt64 = 0b11
    /// A block descriptor for the EL2 translation regime with one privilege level: valid, block;
    /// AttrIndx 0, for which `enter` sets MAIR_EL2 to Normal Write-Back; AP[1] is RES1; SH is
    /// Inner Shareable; AF, for there is nobody to take an access-flag fault; executable.
    private static let block: UInt64 = 0b01 | 1 << 6 | 0b11 << 8 | 1 << 10

    /// Bits 47:12, the address in a descriptor.
    private static let addressMask: UInt64 = 0x0000_FFFF_FFFF_F000

    /// Pages that the tables for these superpages take: the root, one table for each 512 GiB
    /// and one for each GiB that holds a superpage.
    public static func pages(for superpages: Span<UInt64>) -> UInt64 {
        var pages: UInt64 = 1
        for index in superpages.indices {
            if isFirst(index, in: superpages, shift: 39) { pages += 1 }
            if isFirst(index, in: superpages, shift: 30) { pages += 1 }
        }
        return pages
    }

    private static func isFirst(_ index: Int, in superpages: Span<UInt64>, shift: UInt64) -> Bool {
        for other in 0..<index where superpages[other] >> shift == superpages[index] >> shift { return false }
        return true
    }

    /// Builds the tables in `memory`, which is zeroed and lies at the physical address `base`.
    ///
    /// - Returns: tables used, in pages.
    /// - Throws: `Refusal.superpageTooHigh` for an address beyond 48 bits.
    @_lifetime(memory: copy memory)
    public static func build(
        in memory: inout MutableSpan<UInt64>, base: UInt64, superpages: Span<UInt64>
    ) throws(Refusal) -> UInt64 {
        var used = 1
        for index in superpages.indices {
            let address = superpages[index]
            guard address <= Limits.temporaryAddressEnd - Limits.superpageSize else {
                throw .superpageTooHigh(address)
            }
            let level1 = descend(in: &memory, base: base, from: 0, entry: address >> 39, used: &used)
            let level2 = descend(in: &memory, base: base, from: level1, entry: address >> 30, used: &used)
            memory[slot(level2, address >> 21)] = address & addressMask | block
        }
        return UInt64(used)
    }

    /// The table below `entry` of the table with this index; it is made if there is none.
    @_lifetime(memory: copy memory)
    private static func descend(
        in memory: inout MutableSpan<UInt64>, base: UInt64, from index: Int, entry: UInt64, used: inout Int
    ) -> Int {
        let slot = slot(index, entry)
        if memory[slot] == 0 {
            memory[slot] = base + UInt64(used) * Limits.pageSize | table
            used += 1
        }
        return Int((memory[slot] & addressMask - base) / Limits.pageSize)
    }

    private static func slot(_ table: Int, _ entry: UInt64) -> Int {
        table * entries + Int(truncatingIfNeeded: entry % UInt64(entries))
    }
}
