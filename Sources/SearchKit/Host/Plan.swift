// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The part of a take-over that is not the hypervisor's: what the host module puts into memory, the
// registers that the kernel's stub leaves, and what `enter` does before Swift code runs.

public import Arm
import CBootProtocol
import Machine
public import SimulatedMachine
public import Specification

/// What a simulated machine looks like to the host module.
public struct Plan: Sendable {
    /// CPUs.
    public var cpuCount = 2
    /// RAM, firmware's RAM and forbidden pages, by frame; sorted and disjoint.
    public var ranges: [Pages] = [
        Pages(first: 0x8000, count: 0x10, .denied),
        Pages(first: 0x40000, count: 0x3F00, .host),
        Pages(first: 0x43F00, count: 0x80, .firmware),
    ]
    /// Superpages behind the image's own.
    public var moreSuperpages: [UInt64] = [0x40C00, 0x41200]
    /// First frame of the image.
    public var imageBase: UInt64 = 0x40400
    /// Identification registers of all CPUs.
    public var identification = SimulatedMachine.Configuration().identification
    /// For each CPU its lengths of scalable vectors.
    public var vectorLengths = SimulatedMachine.Configuration().vectorLengths
    /// What a shorter length does to vector registers.
    public var shorterVectors = VectorRegisters.Shortening.keeps
    /// Words of the boot block to change before the hypervisor reads it, by offset.
    public var corruptions: [Int32: UInt64] = [:]

    /// A machine of two CPUs with 63 MiB of RAM at 1 GiB.
    public init() {}

    /// Pages of the image.
    public static let imagePages: UInt64 = 16
    /// Pages of its code.
    public static let textPages: UInt64 = 8
    /// Pages of its constants.
    public static let readOnlyPages: UInt64 = 2
    /// Pages of the boot block.
    public static let bootPages: UInt64 = 3
    /// Pages of one CPU's area, the first of which is never mapped.
    public static let perCPUPages = UInt64(MARTLET_PERCPU_SIZE / MARTLET_PAGE_SIZE)

    /// First frames of all superpages.
    public var superpages: [UInt64] { [imageBase] + moreSuperpages }
    /// First frame of the boot block.
    public var bootBlock: UInt64 { imageBase + Self.imagePages }
    /// Root of the temporary tables.
    public var temporaryRoot: UInt64 { bootBlock + Self.bootPages }
    /// A root, a level-1 table and a level-2 table for each superpage at most.
    public var temporaryPages: UInt64 { 1 + 2 * UInt64(superpages.count) }
    /// First frame of the CPUs' areas.
    public var perCPUBase: UInt64 { temporaryRoot + temporaryPages }
    /// First frame that the image's superpage has left.
    public var poolStart: UInt64 { perCPUBase + UInt64(cpuCount) * Self.perCPUPages }
    /// The frame behind the image's superpage.
    public var poolEnd: UInt64 { imageBase + 512 }

    /// A CPU's affinity.
    public func affinity(_ cpu: Int) -> UInt64 { UInt64(cpu >> 4) << 8 | UInt64(cpu & 15) }

    /// The same, for the specification.
    public var installation: Installation {
        Installation(
            ranges: ranges, superpages: superpages, affinities: (0..<cpuCount).map(affinity),
            inputBits: CPUFeatures(identification).physicalAddressBits,
            vectorLengths: CPUFeatures(identification).hasSVE ? vectorLengths[0] : 0)
    }

    /// A machine with this memory, all of whose CPUs run a host kernel that booted at EL2.
    public func machine() -> SimulatedMachine {
        var configuration = SimulatedMachine.Configuration()
        configuration.cpuCount = cpuCount
        configuration.identification = identification
        configuration.vectorLengths = vectorLengths
        configuration.shorterVectors = shorterVectors
        configuration.memory = ranges.filter { $0.page != .denied }.compactMap {
            FrameRange(alleged: $0.first, count: $0.count)
        }
        let machine = SimulatedMachine(configuration)
        let features = CPUFeatures(identification)
        for cpu in machine.allCPUs {
            machine.powerOn(cpu)
            cpu.invalidateLocalTLB()
            leaveAsKernel(cpu, features)
        }
        return machine
    }

    /// What an nVHE kernel's start-up code leaves in EL2's registers.
    public func leaveAsKernel(_ cpu: SimulatedCPU, _ features: CPUFeatures) {
        cpu.write(.hcrEL2, 1 << 31 | 1 << 40 | 1 << 41)
        cpu.write(.cptrEL2, 0x33FF)
        cpu.write(.mdcrEL2, 6)
        cpu.write(.cnthctlEL2, 3)
        cpu.write(.vpidrEL2, cpu.read(.midrEL1))
        cpu.write(.vmpidrEL2, cpu.read(.mpidrEL1))
        if features.hasGICSystemRegisters { cpu.write(.iccSreEL2, 0xF) }
        if features.hasSVE { cpu.write(.zcrEL2, 0xF) }
        if features.hasHCRX { cpu.write(.hcrxEL2, 0x40) }
        if features.hasFineGrainedTraps {
            cpu.write(.hfgrtrEL2, 1 << 54)
            cpu.write(.hfgwtrEL2, 1 << 55)
        }
        cpu.write(.sctlrEL1, 0x3475_D99D)
        cpu.write(.vbarEL1, 0xFFFF_8000_8001_0000)
    }

    /// Image header, boot block and temporary tables, as the module writes them.
    public func load(into machine: SimulatedMachine) {
        func poke(_ frame: UInt64, _ offset: UInt64, _ value: UInt64) {
            machine.poke(Address(frame << pageShift | offset), value)
        }
        for frame in imageBase..<poolStart {
            for word in UInt64(0)..<512 { poke(frame, word * 8, 0) }
        }
        poke(imageBase, 0, UInt64(MARTLET_MAGIC))
        poke(imageBase, UInt64(MARTLET_IMAGE_MEMORY_SIZE), Self.imagePages << pageShift)
        poke(imageBase, UInt64(MARTLET_IMAGE_TEXT_END), Self.textPages << pageShift)
        poke(imageBase, UInt64(MARTLET_IMAGE_RODATA_END), (Self.textPages + Self.readOnlyPages) << pageShift)

        func block(_ offset: Int32, _ value: UInt64) {
            let at = UInt64(offset)
            poke(bootBlock + at >> pageShift, at & 0xFFF, value)
        }
        block(0, UInt64(MARTLET_MAGIC))
        block(8, UInt64(MARTLET_BOOT_PROTOCOL) | UInt64(cpuCount) << 32)
        block(MARTLET_BOOT_IMAGE_BASE, imageBase << pageShift)
        block(MARTLET_BOOT_TEMPORARY_ROOT, temporaryRoot << pageShift)
        block(MARTLET_BOOT_PERCPU_BASE, perCPUBase << pageShift)
        block(MARTLET_BOOT_POOL_START, poolStart << pageShift)
        block(MARTLET_BOOT_POOL_END, poolEnd << pageShift)
        block(MARTLET_BOOT_SUPERPAGE_COUNT, UInt64(superpages.count) | UInt64(ranges.count) << 32)
        for word in Int32(0)..<4 { block(MARTLET_BOOT_DIGEST + word * 8, 0xD1D1_0000 + UInt64(word)) }
        for cpu in 0..<cpuCount { block(MARTLET_BOOT_MPIDR + Int32(cpu) * 8, affinity(cpu)) }
        for (index, superpage) in superpages.enumerated() {
            block(MARTLET_BOOT_SUPERPAGE + Int32(index) * 8, superpage << pageShift)
        }
        for (index, range) in ranges.enumerated() {
            let at = MARTLET_BOOT_RANGE + Int32(index) * 24
            block(at, range.first << pageShift)
            block(at + 8, range.count << pageShift)
            let kind: UInt64 =
                switch range.page {
                case .firmware: 2
                case .denied: 3
                default: 1
                }
            block(at + 16, kind)
        }
        for (offset, value) in corruptions { block(offset, value) }
        loadTemporaryTables(poke)
    }

    private func loadTemporaryTables(_ poke: (UInt64, UInt64, UInt64) -> Void) {
        // All superpages of a plan lie below 512 GiB; a GiB's level-2 table is made when met first.
        var next = temporaryRoot + 2
        var level2: [UInt64: UInt64] = [:]
        poke(temporaryRoot, 0, (temporaryRoot + 1) << pageShift | 3)
        for superpage in superpages {
            let gibibyte = superpage >> 18
            if level2[gibibyte] == nil {
                level2[gibibyte] = next
                poke(temporaryRoot + 1, gibibyte * 8, next << pageShift | 3)
                next += 1
            }
            if let table = level2[gibibyte] {
                poke(table, (superpage >> 9 & 511) * 8, superpage << pageShift | 1 << 10 | 0b11 << 8 | 1 << 6 | 1)
            }
        }
    }

    /// What `enter` does on a CPU before Swift code runs: the temporary tables come into use.
    public func enter(_ cpu: SimulatedCPU) {
        cpu.invalidateLocalTLB()
        useTables(cpu, root: temporaryRoot)
    }

    /// EL2's MMU goes on with a root.
    public func useTables(_ cpu: SimulatedCPU, root: UInt64) {
        cpu.write(.mairEL2, 0xFF)
        cpu.write(.tcrEL2, Stage1Control.bits(physicalAddressBits: CPUFeatures(identification).physicalAddressBits))
        cpu.write(.ttbr0EL2, root << pageShift)
        cpu.write(.sctlrEL2, 0x30C5_1835 | 1)
        cpu.barrier(.contextSynchronisation)
    }
}
