// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Where page tables get their pages.

public import Arm
public import Machine

/// Something that hands out zeroed pages of the hypervisor for page tables.
public protocol FrameSource: ~Copyable {
    /// A zeroed page, or nil if there is none left for this purpose.
    mutating func takeTable(on processor: some Processor) -> Frame<HostPhysical>?
    /// Takes a page back that no table refers to and no TLB can reach any more.
    mutating func returnTable(_ frame: Frame<HostPhysical>, on processor: some Processor)
}

/// Hands out the superpages' unused pages one after the other, before the ledger exists.
///
/// What is left goes to the page pool afterwards; nothing is ever returned here.
public struct EarlyFrames: FrameSource {
    private let boot: BootBlock
    /// 0 is the contiguous run with the image; n > 0 the n-th superpage behind it.
    private var run = 0
    private var next: Frame<HostPhysical>
    private var end: Frame<HostPhysical>

    /// Starts at the boot block's `pool_start`.
    init(_ boot: BootBlock) {
        self.boot = boot
        next = boot.poolStart
        end = boot.poolEnd
    }

    /// The next unused page, zeroed; nil when all superpages are used up.
    public mutating func takeTable(on processor: some Processor) -> Frame<HostPhysical>? {
        while next >= end {
            guard let superpage = boot.superpageBehindImage(run, on: processor) else { return nil }
            run &+= 1
            next = superpage
            end = superpage.advanced(by: pagesPerSuperpage)
        }
        let frame = next
        next = frame.advanced(by: 1)
        processor.zeroPage(HypervisorAddressSpace.identity(frame))
        return frame
    }

    /// Zeroed, consecutive pages for a root, aligned to their own size; a power of two of them.
    mutating func takeRoot(pages: UInt64, on processor: some Processor) -> Frame<HostPhysical>? {
        // Pages that are skipped are lost until the next boot: at most 15.
        while let first = takeTable(on: processor) {
            guard first.number & (pages &- 1) == 0 else { continue }
            var count: UInt64 = 1
            while count < pages {
                // Runs end at superpages, so an aligned run of up to 16 pages is never cut.
                guard takeTable(on: processor) == first.advanced(by: count) else { return nil }
                count &+= 1
            }
            return first
        }
        return nil
    }

    /// Nothing is ever returned here.
    public mutating func returnTable(_ frame: Frame<HostPhysical>, on processor: some Processor) {
        processor.panic("a table was freed before the page pool existed")
    }

    /// The next run of pages that were never handed out; nil when there are no more.
    mutating func takeRest(on processor: some Processor) -> FrameRange<HostPhysical>? {
        while true {
            if let rest = FrameRange(from: next, to: end) {
                next = end
                return rest
            }
            guard let superpage = boot.superpageBehindImage(run, on: processor) else { return nil }
            run &+= 1
            next = superpage
            end = superpage.advanced(by: pagesPerSuperpage)
        }
    }
}
