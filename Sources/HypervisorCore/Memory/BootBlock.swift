// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Reading and checking what the host module wrote for the hypervisor (martlet_boot.h).

public import Arm
import CBootProtocol
public import HypervisorInterface
public import Machine

/// The boot block and the image header, in memory that the temporary tables map identically.
///
/// The host is trusted when it writes them. They are checked all the same: a mistake of the
/// module must end in a refusal, not in tables that lie.
public struct BootBlock: Sendable {
    private let base: Address<HypervisorVirtual>
    /// CPUs that the hypervisor is installed on.
    public let cpuCount: Int
    /// The image's first frame.
    public let imageBase: Frame<HostPhysical>
    /// The frame behind the image's executable pages.
    public let textEnd: Frame<HostPhysical>
    /// The frame behind the image's read-only pages.
    public let readOnlyEnd: Frame<HostPhysical>
    /// The frame behind the image; boot block and temporary tables follow.
    public let imageEnd: Frame<HostPhysical>
    /// The first CPU's area.
    public let perCPUBase: Frame<HostPhysical>
    /// The first frame that nothing uses.
    public let poolStart: Frame<HostPhysical>
    /// The frame behind the image's run of superpages.
    public let poolEnd: Frame<HostPhysical>
    private let superpageCount: UInt64
    private let rangeCount: Int

    /// Pages of one CPU's area; the first of them is its stack's guard.
    public static let perCPUPages = UInt64(MARTLET_PERCPU_SIZE) >> pageShift

    /// Checks magic, counts, alignment, order and bounds of the block at `address`.
    /// - Throws: `invalidParameter` for anything that does not fit.
    public init(
        at address: Address<HostPhysical>, on processor: some Processor
    ) throws(CallStatus) {
        let base = HypervisorAddressSpace.identity(address)
        self.base = base
        func word(_ offset: Int32) -> UInt64 { processor.load64(base.advanced(by: UInt64(bitPattern: Int64(offset)))) }
        func half(_ offset: Int32) -> UInt64 {
            UInt64(processor.load32(base.advanced(by: UInt64(bitPattern: Int64(offset)))))
        }
        func frame(_ value: UInt64) throws(CallStatus) -> Frame<HostPhysical> {
            guard value & (pageSize &- 1) == 0, value < HypervisorAddressSpace.identityLimit else {
                throw .invalidParameter
            }
            return Frame(value >> pageShift)
        }
        guard word(0) == UInt64(MARTLET_MAGIC), half(8) == UInt64(MARTLET_BOOT_PROTOCOL), address.isPageAligned else {
            throw .invalidParameter
        }
        let cpus = half(MARTLET_BOOT_CPU_COUNT)
        let superpages = half(MARTLET_BOOT_SUPERPAGE_COUNT)
        let ranges = half(MARTLET_BOOT_RANGE_COUNT)
        guard cpus >= 1, cpus <= UInt64(MARTLET_MAX_CPUS),
            superpages >= 1, superpages <= UInt64(MARTLET_MAX_SUPERPAGES),
            ranges >= 1, ranges <= UInt64(MARTLET_MAX_RANGES)
        else { throw .invalidParameter }
        cpuCount = Int(truncatingIfNeeded: cpus)
        superpageCount = superpages
        rangeCount = Int(truncatingIfNeeded: ranges)

        imageBase = try frame(word(MARTLET_BOOT_IMAGE_BASE))
        perCPUBase = try frame(word(MARTLET_BOOT_PERCPU_BASE))
        poolStart = try frame(word(MARTLET_BOOT_POOL_START))
        poolEnd = try frame(word(MARTLET_BOOT_POOL_END))
        let header = HypervisorAddressSpace.identity(imageBase.address)
        func pages(_ offset: Int32) -> UInt64 {
            let bytes = processor.load64(header.advanced(by: UInt64(bitPattern: Int64(offset))))
            return (bytes &+ (pageSize &- 1)) >> pageShift
        }
        textEnd = imageBase.advanced(by: pages(MARTLET_IMAGE_TEXT_END))
        readOnlyEnd = imageBase.advanced(by: pages(MARTLET_IMAGE_RODATA_END))
        imageEnd = imageBase.advanced(by: pages(MARTLET_IMAGE_MEMORY_SIZE))
        let perCPUEnd = perCPUBase.advanced(by: cpus &* Self.perCPUPages)
        guard imageBase.isSuperpageAligned, poolEnd.isSuperpageAligned,
            imageBase < textEnd, textEnd < readOnlyEnd, readOnlyEnd < imageEnd, imageEnd < perCPUBase,
            perCPUEnd <= poolStart, poolStart <= poolEnd,
            imageEnd <= base.frame.asPhysical,
            base.advanced(by: UInt64(MARTLET_BOOT_SIZE)).rawValue <= perCPUBase.address.rawValue
        else { throw .invalidParameter }
        let contiguous = poolEnd.number &- imageBase.number
        guard contiguous <= superpages &* pagesPerSuperpage else { throw .invalidParameter }
        try checkSuperpages(on: processor)
    }

    /// The image's run comes first, in order; every superpage is aligned, in bounds and unique.
    private func checkSuperpages(on processor: some Processor) throws(CallStatus) {
        var index: UInt64 = 0
        while index < superpageCount {
            let address = superpageAddress(index, on: processor)
            guard address & (pageSize &* pagesPerSuperpage &- 1) == 0,
                address < HypervisorAddressSpace.identityLimit
            else { throw .invalidParameter }
            if index < contiguousSuperpages {
                guard address >> pageShift == imageBase.number &+ index &* pagesPerSuperpage else {
                    throw .invalidParameter
                }
            }
            var earlier: UInt64 = 0
            while earlier < index {
                guard superpageAddress(earlier, on: processor) != address else { throw .invalidParameter }
                earlier &+= 1
            }
            index &+= 1
        }
    }

    private func superpageAddress(_ index: UInt64, on processor: some Processor) -> UInt64 {
        processor.load64(base.advanced(by: UInt64(MARTLET_BOOT_SUPERPAGE) &+ index &* 8))
    }

    /// Superpages of the run that starts with the image.
    public var contiguousSuperpages: UInt64 {
        (poolEnd.number &- imageBase.number) / pagesPerSuperpage
    }

    /// The n-th superpage behind the image's run, from 0; nil past the last.
    public func superpageBehindImage(_ index: Int, on processor: some Processor) -> Frame<HostPhysical>? {
        let position = contiguousSuperpages &+ UInt64(truncatingIfNeeded: index)
        guard position < superpageCount else { return nil }
        return Frame(superpageAddress(position, on: processor) >> pageShift)
    }

    /// Frames of the temporary tables, of no use once every CPU has left them. The boot block
    /// before them stays: the memory map and the CPUs' affinities are read from it.
    public var temporaryFrames: FrameRange<HostPhysical>? {
        let blockEnd = Frame<HostPhysical>((base.rawValue &+ UInt64(MARTLET_BOOT_SIZE) &+ pageSize &- 1) >> pageShift)
        return FrameRange(from: blockEnd, to: perCPUBase)
    }

    /// The data page of a CPU; firmware passes it to EL2's entry points.
    public func dataPage(of cpu: Int) -> Address<HostPhysical> {
        perCPUBase.advanced(by: UInt64(truncatingIfNeeded: cpu) &* Self.perCPUPages).address
            .advanced(by: UInt64(MARTLET_PERCPU_DATA))
    }

    /// The affinity of the CPU with the given index.
    public func affinity(_ index: Int, on processor: some Processor) -> Affinity {
        let offset = UInt64(MARTLET_BOOT_MPIDR) &+ UInt64(truncatingIfNeeded: index) &* 8
        return Affinity(mpidr: processor.load64(base.advanced(by: offset)))
    }

    /// The seed of EL2's generator: 64 bytes.
    var seed: Address<HypervisorVirtual> { base.advanced(by: UInt64(MARTLET_BOOT_SEED)) }

    /// One word of the image's measurement, 0…3.
    public func digestWord(_ index: Int, on processor: some Processor) -> UInt64 {
        processor.load64(
            base.advanced(by: UInt64(MARTLET_BOOT_DIGEST) &+ UInt64(truncatingIfNeeded: index & 3) &* 8))
    }

    /// The address map.
    /// - Throws: `invalidParameter` if a range is empty, misaligned, of no kind, out of order, or if
    ///   a superpage does not lie in RAM.
    public func memoryMap(on processor: some Processor) throws(CallStatus) -> MemoryMap {
        guard
            let map = MemoryMap(
                checking: base.advanced(by: UInt64(MARTLET_BOOT_RANGE)), count: rangeCount, on: processor)
        else { throw .invalidParameter }
        var superpage: UInt64 = 0
        while superpage < superpageCount {
            let first = superpageAddress(superpage, on: processor) >> pageShift
            guard let range = FrameRange<HostPhysical>(alleged: first, count: pagesPerSuperpage),
                map.covers(range, with: .ram, on: processor)
            else { throw .invalidParameter }
            superpage &+= 1
        }
        return map
    }
}

extension Frame where Space == HypervisorVirtual {
    /// The physical frame behind a page of the identity half.
    var asPhysical: Frame<HostPhysical> { Frame<HostPhysical>(number) }
}
