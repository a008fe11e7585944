// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Faults in what makes TLBs forget, and in the order of it.

extension Mutants {
    private static let assigning = "Tables/PageTable+Assign.swift"
    private static let invalidating = "Tables/PageTable+Invalidate.swift"
    private static let lending = "Guest/MemoryState+Lend.swift"

    static let invalidation: [Mutant] = [
        .left(
            "all-before-visible", .tlb, invalidating,
            out: "looks for old ones.\n        «processor.barrier(.storesBeforeInvalidation)»",
            "A TLB takes the old entry up again after it was made to forget."),
        .left(
            "el2-all-kept", .tlb, invalidating, out: "processor.invalidate(.wholeHypervisor)",
            "EL2 still reaches pages by tables that are gone."),
        .left(
            "vmid-all-kept", .tlb, invalidating, out: "processor.invalidate(.wholeVMID)",
            "The host or a guest still reaches pages by tables that are gone."),
        .left(
            "all-unfinished", .tlb, invalidating,
            out:
                "«processor.barrier(.invalidationComplete)»\n        processor.barrier(.contextSynchronisation)\n    }\n\n",
            "Pages change hands while TLBs still forget."),
        .left(
            "pages-before-visible", .tlb, invalidating,
            out: "«processor.barrier(.storesBeforeInvalidation)»\n        var index",
            "A TLB takes the old entry up again after it was made to forget."),
        .left(
            "el2-page-kept", .tlb, invalidating, out: "processor.invalidate(.hypervisor(Frame(page)))",
            "EL2 still reaches a page that it gave away."),
        .left(
            "stage2-page-kept", .tlb, invalidating, out: "processor.invalidate(.stage2(Frame(page)))",
            "The host or a guest still reaches a page that it lost."),
        .left(
            "combined-kept", .tlb, invalidating, out: "processor.invalidate(.combined)",
            "Entries of both stages still reach a page that is lost."),
        .left(
            "stage2-unfinished", .tlb, invalidating,
            out: "«processor.barrier(.invalidationComplete)»\n        if case .stage2",
            "A combined entry is made anew from a stage-2 entry that still goes."),
        .left(
            "combined-unfinished", .tlb, invalidating,
            out: "processor.invalidate(.combined)\n            «processor.barrier(.invalidationComplete)»",
            "Pages change hands while TLBs still forget."),
        .value(
            "last-page-kept", .tlb, invalidating, "index < «stale.count» {", is: "stale.count &- 1",
            "One of several pages is still reached."),
        .left(
            "new-entries-unordered", .tlb, invalidating,
            out: "finds the new entries.\n                «processor.barrier(.storesBeforeInvalidation)»",
            "A walk after the call does not find what the call mapped."),
        .left(
            "stale-unnoted", .tlb, assigning, out: "stale.insert(start)",
            "The host or a guest still reaches a page that it lost."),
        .left(
            "change-without-break", .tlb, assigning,
            out: "«breakEntry(at, at: start, on: processor)»\n        case .table",
            "Two CPUs hold different entries for one address."),
        .left(
            "free-before-forget", .tlb, assigning,
            out: "«invalidateAll(on: processor)»\n            free(child",
            "Walkers follow a table that is a page for something else by then."),
        .left(
            "split-without-break", .tlb, "Tables/PageTable+Assign.swift",
            out: "if !isWithout(.blocksAreBroken) { breakEntry(at, at: start, on: processor) }",
            "A TLB holds a block and pages of it."),
        .left(
            "table-before-entries", .tlb, assigning,
            out:
                "«processor.barrier(.storesBeforeInvalidation)»\n        processor.store64(at, Descriptor<Attributes>.table",
            "A walker follows a new table before its entries are there."),
        .left(
            "collapse-without-forget", .tlb, "Tables/PageTable+Assign.swift",
            out: """
                «invalidateAll(on: processor)»
                        if case .leaf(let output
                """,
            "A TLB holds pages and the block that they have become."),
        .left(
            "change-unfinished", .tlb, assigning, out: "defer { «finish(stale, on: processor)» }",
            "The host or a guest still reaches pages that it lost."),
        .left(
            "break-unfinished", .tlb, invalidating,
            out: "stale.insert(page)\n        «finish(stale, on: processor)»",
            "The make comes before the break has reached all CPUs."),
        .value(
            "vcpus-share-entries", .tlb, "Guest/Hypervisor+WorldSwitch.swift",
            "guest.vm.load(.lastRan, at: UInt64(truncatingIfNeeded: cpu), on: processor) != guest.index &+ 1",
            is: "false",
            "One vCPU uses another's translations."),
        .left(
            "confined-with-old-entries", .tlb, "Hypervisor.swift", out: "processor.invalidateLocalTLB()",
            "The host uses translations from before its stage-2."),
        .left(
            "conflict-unresolved", .tlb, "Traps/HostTraps.swift", out: "processor.invalidate(.wholeVMID)",
            "The host takes one abort for ever."),
        .value(
            "vmid-shared", .tlb, "Guest/VMTable.swift", "UInt16(truncatingIfNeeded: slot) &+ 1", is: "1",
            "One guest uses another's translations."),
        .left(
            "invalidates-the-hosts", .tlb, lending,
            out: "processor.write(.vttbrEL2, Stage2Base.bits(root: table.root, vmid: handle.vmid))",
            "A guest's entries stay, for the host's VMID was the current one."),
        .left(
            "guests-vmid-stays", .tlb, lending, out: "processor.write(.vttbrEL2, host)",
            "The host runs with a guest's tables."),
        .value(
            "guest-with-hosts-vmid", .tlb, "Guest/GuestControls.swift",
            "vmid: «handle.vmid»", is: "0",
            "A guest uses the host's translations."),
        .left(
            "walks-go-on", .tlb, lending, out: "processor.write(.tcrEL1, tcr | WorldSwitch.noWalks)",
            "A speculative walk combines the host's tables with a guest's."),
        .left(
            "branch-kept", .tlb, "Tables/PageTable+Branch.swift",
            out: """
                guard let at = entry(of: page, at: .two, on: processor) else { return }
                        processor.store64(at, 0)
                        «invalidateAll(on: processor)»
                """,
            "A guest still reaches 2 MiB that it lost."),
        .left(
            "pruned-table-walked", .tlb, "Tables/PageTable+Branch.swift",
            out: """
                «invalidateAll(on: processor)»
                        frames.returnTable
                """,
            "Walkers follow a table that is a page for something else by then."),
        .left(
            "page-without-break", .tlb, "Tables/PageTable+Page.swift",
            out: "if old & 1 == 1 { breakEntry(at, at: page, on: processor) }",
            doing: "if old & 1 == 1, new == 0 { processor.store64(at, 0) }",
            "Two CPUs hold different entries for one address."),
        .left(
            "block-without-break", .tlb, "Tables/PageTable+Page.swift",
            out: "if old & 1 == 1 { breakEntry(at, at: first, on: processor) }",
            doing: "if old & 1 == 1, new == 0 { processor.store64(at, 0) }",
            "A block stays reachable by an old entry."),
        .left(
            "published-unordered", .tlb, "Tables/PageTable+Page.swift",
            out: """
                finds the new entry.
                        «processor.barrier(.storesBeforeInvalidation)»
                """,
            "A walk after the call does not find what the call mapped."),
        .left(
            "listed-pages-kept", .tlb, "Tables/PageTable+Assign.swift",
            out: "stale.insert(page)",
            "The host or a guest still reaches a page that it lost."),
    ]
}
