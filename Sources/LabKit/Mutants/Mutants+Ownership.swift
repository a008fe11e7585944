// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Faults in who owns a page.

extension Mutants {
    static let ownership: [Mutant] = donation + lending + hostFaults

    private static let donation: [Mutant] = [
        .unchecked(
            "take-anyones-page", .ownership, "Memory/MemoryState+Donate.swift",
            "ledger.all(range, are: .exclusiveToHost, on: processor)",
            "The host donates a page that a guest has."),
        .unchecked(
            "take-what-is-no-memory", .ownership, "Memory/MemoryState+Donate.swift",
            "map.covers(range, with: .ram, on: processor)",
            "A device's frame becomes a page of EL2."),
        .left(
            "host-keeps-donated", .ownership, "Memory/MemoryState+Donate.swift",
            out: "if !isWithout(.takenPagesLeaveHost) { takeFromHostTable(range, on: processor) }",
            "The host still reaches pages that EL2 uses."),
        .left(
            "donation-unrecorded", .ownership, "Memory/MemoryState+Donate.swift",
            out: "ledger.record(.hypervisor(.occupied(.toppedUp)), of: range, on: processor)",
            "The host donates one page twice."),
        .left(
            "return-unrecorded", .ownership, "Memory/MemoryState+Donate.swift",
            out: "ledger.record(.exclusiveToHost, of: frames, on: processor)",
            "A page that the host has back stays EL2's."),
        .left(
            "return-with-content", .ownership, "Memory/MemoryState+Donate.swift",
            out: "processor.wipe(pages)",
            doing: """
                var page = pages.first
                while page < pages.end {
                    processor.cleanAndInvalidatePage(page)
                    page = page.advanced(by: 1)
                }
                """,
            "The host reads what EL2 had in a page."),
        .left(
            "el2-keeps-returned", .ownership, "Memory/MemoryState+Donate.swift",
            out: "try hypervisorTable.assign(InputRange(pages), .nothing, tablesFrom: &pool, on: processor)",
            "EL2 still maps a page that the host has back."),
        .unchecked(
            "guest-gets-anyones-page", .ownership, "Guest/MemoryState+Private.swift",
            "ledger.all(pages.host, are: .exclusiveToHost, on: processor)",
            "A page of one guest is given to another."),
        .unchecked(
            "content-after-first-run", .ownership, "Guest/MemoryState+Private.swift",
            "content == .zero || vm.load(.hasRun, on: processor) == 0",
            "The host puts code into a guest that runs."),
        .left(
            "host-keeps-guests-page", .ownership, "Guest/MemoryState+Private.swift",
            out: "takeFromHostTable(pages.host, on: processor)",
            "The host still reaches a guest's page."),
        .unchecked(
            "guest-page-replaced", .ownership, "Guest/MemoryState+Private.swift",
            "table.isEmpty(pages.guest.input, on: processor)",
            "The host swaps a page under a protected guest."),
        .unchecked(
            "memory-in-window", .ownership, "Guest/MemoryState+Private.swift",
            "!vm.hasWindow(in: pages.guest, on: processor)",
            "What the guest takes for a device is memory."),
        .left(
            "guest-page-unwiped", .ownership, "Guest/MemoryState+Private.swift",
            out: "processor.zeroAndCleanPages(window)",
            "The guest finds what the host wrote."),
        .left(
            "forced-page-unwiped", .ownership, "Guest/MemoryState+Private.swift",
            out: "processor.zeroPages(window)",
            "The guest finds what the host wrote, where stage-2 forces write-back."),
        .left(
            "guest-page-unrecorded", .ownership, "Guest/MemoryState+Private.swift",
            out: """
                ledger.record(
                            .guest(slot: UInt8(truncatingIfNeeded: handle.slot), .nothing), of: pages.host, on: processor)
                """,
            "A guest's page can be donated again."),
        .left(
            "guests-secrets-returned", .ownership, "Guest/MemoryState+Private.swift",
            out: """
                let window = openWindow(range, on: processor)
                        «processor.wipe(window)»
                """,
            doing: """
                var page = window.first
                while page < window.end {
                    processor.cleanAndInvalidatePage(page)
                    page = page.advanced(by: 1)
                }
                """,
            "The host reads what a guest had in a block."),
        .left(
            "guest-return-unrecorded", .ownership, "Guest/MemoryState+Private.swift",
            out: "ledger.record(.exclusiveToHost, of: range, on: processor)",
            "A page that the host has back stays a guest's."),
        .unchecked(
            "window-after-first-run", .ownership, "Guest/MemoryState+Private.swift",
            "vm.load(.hasRun, on: processor) == 0 || isWithout(.windowsAreFixed)",
            "Addresses of a running guest become a device of the host's."),
        .unchecked(
            "window-over-memory", .ownership, "Guest/MemoryState+Private.swift",
            "table.isEmpty(range.input, on: processor) || isWithout(.windowsAreFixed)",
            "What the guest has as memory becomes a device."),
    ]

    private static let lending: [Mutant] = [
        .unchecked(
            "range-lent-too-often", .ownership, "Memory/Ledger.swift",
            "«bits >> 8 < PageState.maximumLent» else",
            "The count of loans begins anew, and a lent page looks unlent."),
        .value(
            "range-uncounted", .ownership, "Memory/Ledger.swift",
            "processor.load32(at) &+ PageState.lentOnce", is: "processor.load32(at)",
            "A page that a guest uses can be donated."),
        .value(
            "range-lent-by-anyone", .ownership, "Memory/Ledger.swift",
            "guard «bits & 0xFF == PageState.exclusiveToHost.bits», bits >> 8 < ", is: "true",
            "A page of a guest or of EL2 is lent."),
        .value(
            "range-half-checked", .ownership, "Memory/Ledger.swift",
            "guard first == pair, «second == pair» else", is: "true",
            "A page of a guest is among those that the host gives."),
        .unchecked(
            "lent-too-often", .ownership, "Guest/MemoryState+Lend.swift",
            "lent < PageState.maximumLent",
            "The count of loans begins anew, and a lent page looks unlent."),
        .unchecked(
            "lend-over-another", .ownership, "Guest/MemoryState+Lend.swift",
            "present == frame",
            "A page stays lent for ever, for its guest page has become another."),
        .value(
            "loan-uncounted", .ownership, "Guest/MemoryState+Lend.swift",
            ".host(lent: «lent &+ 1»)", is: "lent",
            "A page that a guest uses can be donated."),
        .left(
            "loan-never-ends", .ownership, "Guest/MemoryState+Lend.swift",
            out: """
                «ledger.returnLent(FrameRange(first.advanced(by: offset), pages: last &- page), on: processor)»
                                isAnyMapped
                """,
            "A page that was lent once is never the host's alone again."),
        .left(
            "guest-keeps-lent", .ownership, "Guest/MemoryState+Lend.swift",
            out: "change(vm, &table, part, .nothing, handle, on: processor)",
            "A guest still reaches what it was lent."),
        .value(
            "lend-next-page", .ownership, "Guest/MemoryState+Lend.swift",
            "from: «pages.host.first»,", is: "pages.host.first.advanced(by: 1)",
            "The guest gets a page that nobody lent."),
        .value(
            "lookup-offset", .ownership, "Guest/MemoryState+Lend.swift",
            "let offset = «page & (found.level.entryPages &- 1)»", is: "0",
            "The wrong pages of a block count as returned."),
        .left(
            "loan-of-branch-never-ends", .ownership, "Guest/MemoryState+Lend.swift",
            out: "«ledger.returnLent(FrameRange(first, pages: pagesPerSuperpage), on: processor)»",
            "A block that was lent once is never the host's alone again."),
        .left(
            "guests-pages-returned", .ownership, "Guest/MemoryState+Private.swift",
            out: """
                let window = FrameRange(Self.windowPage, pages: open)
                        «processor.wipe(window)»
                """,
            "The host reads what a guest had in pages."),
    ]

    private static let hostFaults: [Mutant] = [
        .value(
            "memory-as-device", .ownership, "Memory/MemoryState+HostFault.swift",
            "switch «map.kind(of: frame, on: processor)» {\n        case .ram", is: ".device",
            "The host touches a guest's page and gets it."),
        .unchecked(
            "device-block-with-memory", .ownership, "Memory/MemoryState+HostFault.swift",
            "map.isDeviceOnly(block, on: processor)",
            "With a device the host gets the memory beside it."),
        .value(
            "sink-for-everyone", .ownership, "Memory/MemoryState+HostFault.swift",
            "case .other: «refusals.isTooMany(frame, cpu: cpu)»", is: "true",
            "A process that touches a guest's page gets memory instead of a signal."),
        .unchecked(
            "sink-where-no-memory", .ownership, "Guest/MemoryState+Private.swift",
            "map.kind(of: frame, on: processor) == .ram",
            "The ledger is asked about what it does not describe."),
        .value(
            "sink-is-the-page", .ownership, "Guest/MemoryState+Private.swift",
            ".pages(from: «sinkPage», Stage2Attributes(.writeBack, .data))", is: "frame",
            "The host gets the guest's page in place of the sink."),
        .value(
            "sink-unrecorded", .ownership, "Guest/MemoryState+Private.swift",
            "ledger.record(.guest(slot: slot, «.sink»), of: frame", is: ".nothing",
            "The ledger says that the host finds nothing where it finds the sink."),
        .left(
            "used-page-looks-free", .ownership, "Memory/PagePool.swift",
            out: "ledger.record(.hypervisor(.occupied(origin)), of: frame, on: processor)",
            "One page of EL2 is handed out twice."),
        .value(
            "kernels-page-is-free", .ownership, "Memory/PagePool.swift",
            "ledger.state(of: buddy, on: processor) == .hypervisor(.free(origin, order: order))", is: "true",
            "A free block swallows pages that are in use."),
        .value(
            "origin-forgotten", .ownership, "Memory/PagePool.swift",
            "free(frame, order: 0, origin: «origin», on: processor)\n    }\n}", is: ".toppedUp",
            "A page that EL2 was installed with goes to the host."),
    ]
}
