// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What a guest's memory must be, in a form that a machine's hypervisor can carry: for each 2 MiB of the
// guest's address space how many pages are mapped, and a sum over all of them.

import HypervisorInterface
import Specification

/// The pages of one 2 MiB of a guest, as a sum that does not depend on their order.
struct PageSum: Equatable {
    private(set) var pages = 0
    private var sum: UInt64 = 0

    /// A page that maps to a frame with an access.
    private static func term(_ page: UInt64, _ mapping: Machine.Mapping) -> UInt64 {
        // The finalizer of MurmurHash3: each bit of what is mixed reaches each bit of the term.
        var bits = page &* 0x9E37_79B9_7F4A_7C15 ^ mapping.frame << 2 ^ mapping.access.rawValue
        bits = (bits ^ bits >> 33) &* 0xFF51_AFD7_ED55_8CCD
        bits = (bits ^ bits >> 33) &* 0xC4CE_B9FE_1A85_EC53
        return bits ^ bits >> 33
    }

    mutating func add(_ page: UInt64, _ mapping: Machine.Mapping) {
        pages += 1
        sum &+= Self.term(page, mapping)
    }

    mutating func remove(_ page: UInt64, _ mapping: Machine.Mapping) {
        pages -= 1
        sum &-= Self.term(page, mapping)
    }
}

/// One guest's memory.
struct GuestMemory {
    /// By guest page number without its lowest nine bits.
    private(set) var branches: [UInt64: PageSum] = [:]
    /// All pages.
    private(set) var pages = 0

    /// What is due in a 2 MiB.
    func due(_ branch: UInt64) -> PageSum { branches[branch] ?? PageSum() }

    /// A page maps something else than before.
    mutating func change(_ page: UInt64, from old: Machine.Mapping?, to new: Machine.Mapping?) {
        var branch = due(page >> 9)
        if let old { branch.remove(page, old) }
        if let new { branch.add(page, new) }
        pages += (new == nil ? 0 : 1) - (old == nil ? 0 : 1)
        branches[page >> 9] = branch.pages == 0 && branch == PageSum() ? nil : branch
    }
}
