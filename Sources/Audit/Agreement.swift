// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// When the ledger agrees with the specification about one page: the same judgement wherever the two are
// laid side by side.

public import HypervisorCore
public import Specification

extension Page {
    /// Whether an entry of the ledger says what the page is.
    ///
    /// - Parameters:
    ///   - seen: the entry of a page of RAM.
    ///   - lent: how often the page is lent.
    ///   - slot: the VM table's slot of the VM that the page belongs to, if it is a guest's.
    public func agrees(with seen: PageState, lent: UInt32, slot: UInt8?) -> Bool {
        switch (self, seen) {
        case (.host, .host(let count)): count == lent
        case (.installed, .hypervisor(let use)): use.origin == .superpage
        case (.donated, .hypervisor(let use)): use.origin == .toppedUp
        case (.machine, .hypervisor(.occupied(.toppedUp))): true
        case (.guest, .guest(let owner, _)): owner == slot
        default: false
        }
    }
}

extension PageState.HypervisorUse {
    var origin: PageState.Origin {
        switch self {
        case .occupied(let origin), .free(let origin, _), .freeTail(let origin): origin
        }
    }
}
