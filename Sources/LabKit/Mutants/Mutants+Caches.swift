// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Faults in cache maintenance.

extension Mutants {
    private static let donating = "Memory/MemoryState+Donate.swift"
    private static let privately = "Guest/MemoryState+Private.swift"

    static let caches: [Mutant] = [
        .left(
            "return-in-cache", .cache, "Memory/MemoryState+Donate.swift",
            out: "processor.wipe(pages)",
            doing: """
                var page = pages.first
                while page < pages.end {
                    processor.zeroPage(page)
                    page = page.advanced(by: 1)
                }
                """,
            "By an alias without caches the host reads what EL2 had in a page."),
        .left(
            "return-maintenance-unfinished", .cache, donating, out: "processor.barrier(.cacheMaintenanceComplete)",
            "The host gets a page while its zeroes are on the way to memory."),
        .left(
            "donation-in-cache", .cache, "Guest/MemoryState+Private.swift",
            out: """
                while page < window.end {
                                «processor.cleanAndInvalidatePage(page)»
                """,
            "A guest with its caches off does not find what the host had there."),
        .left(
            "write-back-not-forced", .cache, "Guest/GuestControls.swift",
            out: "if features.hasForcedWriteBack { hcr |= 1 << 46 }",
            "A guest with its caches off goes around the zeroes that are still in a cache."),
        .left(
            "guests-return-in-cache", .cache, "Guest/MemoryState+Private.swift",
            out: """
                let window = openWindow(range, on: processor)
                        «processor.wipe(window)»
                """,
            doing: """
                var page = window.first
                while page < window.end {
                    processor.zeroPage(page)
                    page = page.advanced(by: 1)
                }
                """,
            "By an alias without caches the host reads what a guest had."),
        .left(
            "window-maintenance-unfinished", .cache, "Guest/MemoryState+Private.swift",
            out: """
                «processor.barrier(.cacheMaintenanceComplete)»
                        closeWindow(window, on: processor)
                        returnFromGuest
                """,
            "A page changes hands while its zeroes are on the way to memory."),
        .left(
            "instructions-stale", .cache, privately,
            out: "processor.invalidateInstructionCaches()",
            "The guest executes what the page held before."),
        .left(
            "sink-in-cache", .cache, privately,
            out: "processor.cleanAndInvalidatePage(HypervisorAddressSpace.identity(page))",
            "By an alias without caches the host reads what EL2 had in the sink's page."),
        .left(
            "sink-maintenance-unfinished", .cache, privately,
            out: "«processor.barrier(.cacheMaintenanceComplete)»\n            sinkPage",
            "The host gets the sink while its zeroes are on the way to memory."),
    ]
}
