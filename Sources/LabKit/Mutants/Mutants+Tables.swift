// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Faults in what tables say.

extension Mutants {
    private static let assigning = "Tables/PageTable+Assign.swift"

    static let tables: [Mutant] = [
        .unchecked(
            "leaf-too-large", .table, "Tables/Mapping.swift",
            "level >= largest",
            "A block stands where pages were asked for."),
        .unchecked(
            "block-misaligned", .table, "Tables/Mapping.swift",
            "level >= .two, «output.number & (level.entryPages &- 1) == 0»",
            "A block's output is cut down, and other pages are mapped."),
        .unchecked(
            "collapse-of-different", .table, "Tables/PageTable+Assign.swift",
            "pattern.isCommon(in: child, on: processor) || pattern.distance != 0 && isWithout(.blocksAreWhole)",
            "A table of different entries becomes one block."),
        .unchecked(
            "collapse-misaligned", .table, "Tables/PageTable+Page.swift",
            "bits >> pageShift & (entriesPerTable &- 1) == index",
            "A table becomes a block that maps other pages."),
        .left(
            "collapse-of-used", .table, "Tables/PageTable+Page.swift",
            out: """
                «if processor.load64(at) != due { return false }»
                            due
                """,
            "A table that still maps pages is freed."),
        .value(
            "attributes-ignored", .table, "Tables/Mapping.swift",
            "output.number == start && present == attributes", is: "true",
            "What is mapped keeps the rights that it had."),
        .value(
            "split-repeats", .table, "Tables/PageTable+Assign.swift",
            "let distance = «below.entryPages << pageShift»", is: "0",
            "A split block maps its first page everywhere."),
        .left(
            "lower-tables-lost", .table, assigning,
            out: "{\n                    «free(child, level, &frames, processor)»",
            "Tables below a table that goes are lost."),
        .value(
            "entry-for-a-part", .table, assigning, "page == start && end == next", is: "page == start",
            "More is changed than the range."),
        .left(
            "collapsed-table-lost", .table, assigning, out: "frames.returnTable(child, on: processor)",
            "Tables that are put together are lost."),
        .unchecked(
            "lookup-out-of-range", .table, "Tables/PageTable.swift", "geometry.contains(page)",
            "An address that the tree has not is looked up as another."),
        .left(
            "table-unwiped", .table, "Memory/PagePool.swift",
            out: "processor.zeroPage(HypervisorAddressSpace.identity(frame))",
            "A new table holds what the page held before."),
        .left(
            "guest-table-unwiped", .table, "Guest/VMTable.swift",
            out: "processor.zeroPage(HypervisorAddressSpace.identity(frame))",
            "A guest's new table holds what the host wrote."),
        .value(
            "lent-writable", .table, "Guest/MemoryState+Lend.swift", "access.contains(.write)", is: "true",
            "A guest writes what it was lent for reading."),
        .value(
            "lent-executable", .table, "Guest/MemoryState+Lend.swift", "access.contains(.execute)", is: "true",
            "A guest executes what it must not."),
        .value(
            "device-executable", .table, "Memory/MemoryState.swift",
            "Stage2Attributes(.nonCacheable, «.data»)", is: ".all",
            "The host executes from devices."),
        .value(
            "sink-executable", .table, "Guest/MemoryState+Private.swift",
            "from: sinkPage, Stage2Attributes(.writeBack, «.data»)", is: ".all",
            "The host executes from the sink, which all of its processes write."),
        .left(
            "window-stays", .table, "Guest/MemoryState+Private.swift",
            out: """
                processor.barrier(.cacheMaintenanceComplete)
                        «closeWindow(window, on: processor)»
                        returnFromGuest
                """,
            "EL2 still maps a page that the host has back."),
        .left(
            "empty-root-unordered", .table, "Guest/MemoryState+VM.swift",
            out: "processor.barrier(.storesBeforeInvalidation)",
            "A walker finds what the host left in a guest's root."),
        .unchecked(
            "device-tables-unlimited", .table, "Memory/PagePool.swift", "deviceTables < Self.deviceTableLimit",
            "Devices take all of EL2's pages."),
        .unchecked(
            "device-tables-take-reserve", .table, "Memory/PagePool.swift",
            "freePages > Self.reserve &+ keptForSinks",
            "Devices take the pages that ownership changes need."),
        .value(
            "sinks-not-kept", .table, "Memory/PagePool.swift",
            "guestPages == 0 ? 0 : (guestPages &+ pagesPerSuperpage &- 1) / pagesPerSuperpage &+ 1", is: "0",
            "The host dies of an access, for no page is left for a sink."),
        .unchecked(
            "added-over", .table, "Tables/PageTable+Page.swift",
            "guard «processor.load64(at) == 0», staysTable",
            "A page is replaced without a break."),
        .value(
            "run-too-long", .table, "Tables/PageTable+Branch.swift",
            "self.frame(at: first &+ count, of: table, on: processor) == frame.advanced(by: count)", is: "true",
            "Frames that a guest does not have count as returned."),
    ]
}
