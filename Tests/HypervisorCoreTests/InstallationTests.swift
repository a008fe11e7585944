// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// From a boot block to a finalised hypervisor, on machines of several shapes.

import Arm
import CBootProtocol
import HypervisorInterface
import Machine
import SearchKit
import Specification
import Testing

@testable import HypervisorCore
@testable import SimulatedMachine

/// Machines that differ in what installation has to deal with.
let plans: [(name: String, plan: Plan)] = {
    var one = Plan()
    one.cpuCount = 1
    var many = Plan()
    many.cpuCount = 6
    var narrow = Plan()
    narrow.identification.mmfr0 = 0x2  // 40 bits: two concatenated roots.
    var wide = Plan()
    wide.identification.mmfr0 = 0x5 | 1 << 56  // 48 bits, fine-grained traps.
    wide.identification.mmfr1 = 2 << 4 | 1 << 40  // 16-bit VMIDs, HCRX.
    wide.identification.pfr0 |= 1 << 32  // SVE.
    var holes = Plan()
    holes.ranges = [
        Pages(first: 0x40000, count: 0x1803, .host),
        Pages(first: 0x41803, count: 0x1, .firmware),
        Pages(first: 0x41804, count: 0x7FC, .host),
        Pages(first: 0x42000, count: 0x7, .denied),
        Pages(first: 0x42107, count: 0x1, .host),
        Pages(first: 0x80000, count: 0x400, .host),
        Pages(first: 0x80400, count: 0x200, .firmware),
    ]
    holes.moreSuperpages = [0x80000]
    return [
        ("two CPUs", Plan()), ("one CPU", one), ("six CPUs", many), ("40-bit addresses", narrow),
        ("48-bit addresses and features", wide), ("holes and odd pages", holes),
    ]
}()

/// A word of the boot block that is not as it should be.
struct Corruption: Sendable {
    let offset: Int32
    let value: UInt64

    init(_ offset: Int32, _ value: UInt64) {
        self.offset = offset
        self.value = value
    }
}

private let corruptions: [Corruption] = [
    Corruption(0, 0x1234),  // No magic.
    Corruption(8, 1 | 0 << 32),  // No CPU.
    Corruption(8, 1 | 257 << 32),  // Too many CPUs.
    Corruption(8, 2 | 2 << 32),  // Another protocol.
    Corruption(MARTLET_BOOT_IMAGE_BASE, 0x4040_1000),  // Image not at a superpage.
    Corruption(MARTLET_BOOT_PERCPU_BASE, 0x4040_0000),  // CPUs' areas inside the image.
    Corruption(MARTLET_BOOT_POOL_START, 0x4040_0000),
    Corruption(MARTLET_BOOT_POOL_END, 0x4040_0000),
    Corruption(MARTLET_BOOT_POOL_END, 0x4080_0000),  // More superpages than listed behind it.
    Corruption(MARTLET_BOOT_SUPERPAGE_COUNT, 3 << 32),  // No superpage.
    Corruption(MARTLET_BOOT_SUPERPAGE_COUNT, 3 | 129 << 32),  // Too many ranges.
    Corruption(MARTLET_BOOT_SUPERPAGE + 8, 0x40C0_1000),  // Not aligned.
    Corruption(MARTLET_BOOT_SUPERPAGE + 8, 0x4120_0000),  // The same twice.
    Corruption(MARTLET_BOOT_SUPERPAGE + 8, 1 << 47),  // Out of EL2's range.
    Corruption(MARTLET_BOOT_SUPERPAGE + 8, 0x43E0_0000),  // Half of it firmware's.
    Corruption(MARTLET_BOOT_SUPERPAGE + 8, 0x7000_0000),  // No RAM.
    Corruption(MARTLET_BOOT_RANGE, 0x8001),  // Misaligned range.
    Corruption(MARTLET_BOOT_RANGE + 8, 0),  // Empty range.
    Corruption(MARTLET_BOOT_RANGE + 16, 0),  // No kind.
    Corruption(MARTLET_BOOT_RANGE + 16, 9),
    Corruption(MARTLET_BOOT_RANGE + 24, 0x800_0000),  // Overlaps the one before.
    Corruption(MARTLET_BOOT_RANGE + 24 + 8, 1 << 48),  // Beyond the machine's addresses.
    Corruption(MARTLET_BOOT_MPIDR, 1),  // One CPU twice.
]

@Suite("Installation")
struct InstallationTests {
    @Test("confines every CPU and agrees with the specification", arguments: plans.map(\.name))
    func finalises(_ name: String) throws {
        let plan = try #require(plans.first { $0.name == name }).plan
        var state = AbstractState(plan.installation)
        let bench = try HostBench(plan)
        for cpu in (0..<plan.cpuCount).reversed() {
            let call = CallRegisters(HostCall.deprivilege)
            let answer = bench.hvc(call, on: cpu)
            state = try state.after(call, on: cpu, answer: answer, observing: bench.observation)
            let version = CallRegisters(HostCall.version)
            _ = try state.after(version, on: cpu, answer: bench.hvc(version, on: cpu), observing: bench.observation)
        }
        #expect(bench.hypervisor.phase == .finalised)
        #expect(bench.differences(from: state) == [])
        for cpu in 0..<plan.cpuCount {
            let processor = bench.machine[cpu: cpu]
            let hcr = processor.read(.hcrEL2)
            #expect(hcr & 1 == 1, "stage-2 is on")
            #expect(hcr & (1 << 19 | 1 << 20 | 1 << 21) == 1 << 19 | 1 << 20 | 1 << 21, "TSC, TIDCP and TACR trap")
            #expect(hcr & (1 << 40 | 1 << 41) == 1 << 40 | 1 << 41, "pointer authentication stays as it was")
            #expect(processor.read(.sctlrEL2) & (1 | 1 << 19) == 1 | 1 << 19, "MMU and WXN are on")
        }
        bench.expectNoViolations()
    }

    @Test("maps nothing below one page of stack of any CPU")
    func guardPages() throws {
        let bench = try HostBench.finalised()
        let mapped = try #require(bench.machine.hypervisorMapping(bench.machine[cpu: 1]))
        for cpu in 0..<UInt64(2) {
            let guardPage = bench.plan.perCPUBase + cpu * Plan.perCPUPages
            #expect(!mapped.contains { $0.input <= guardPage && guardPage < $0.end })
            #expect(mapped.contains { $0.input <= guardPage + 1 && guardPage + 5 < $0.end && $0.writable })
        }
        let text = try #require(mapped.first { $0.input <= bench.plan.imageBase && bench.plan.imageBase < $0.end })
        #expect(text.executable && !text.writable && text.pages == Plan.textPages)
    }

    @Test("uses blocks where a whole 2 MiB is the host's")
    func blocks() throws {
        let bench = try HostBench.finalised()
        let leaves = try #require(bench.machine.hostLeaves(bench.machine[cpu: 0]))
        // 0x3F00 pages of RAM are 31 superpages and a half; three are the hypervisor's. The half
        // and firmware's pages are mapped one by one.
        #expect(leaves.blocks2M == 31 - 3)
        #expect(leaves.pages == 0x100 + 0x80)
        #expect(leaves.blocks1G == 0)
    }

    @Test("can be made undone until the first CPU is confined")
    func withdraw() throws {
        let bench = try HostBench()
        func outcome() -> HostCallOutcome {
            var frame = HostFrame()
            frame.x[0] = UInt64(HostCall.withdraw.rawValue)
            return bench.hypervisor.hostCall(0, &frame, immediate: 0, on: bench.machine[cpu: 0])
        }
        guard case .withdraw = outcome() else {
            Issue.record("withdraw must be allowed")
            return
        }
        _ = bench.call(.deprivilege, on: 0)
        guard case .answered = outcome() else {
            Issue.record("withdraw must be refused")
            return
        }
    }

    @Test("refuses runtime calls until every CPU is confined, and initialization calls after")
    func phases() throws {
        let bench = try HostBench()
        let state = AbstractState(bench.plan.installation)
        for call in HostCall.allCases where call != .withdraw && call != .deprivilege {
            let registers = CallRegisters(call, 0x40000, 1)
            _ = try state.after(registers, on: 0, answer: bench.hvc(registers), observing: bench.observation)
        }
        #expect(bench.call(.deprivilege, on: 1).x1 == 1)
        #expect(bench.call(.deprivilege, on: 1).x0 == UInt64(bitPattern: CallStatus.denied.rawValue))
        #expect(bench.call(.topUp, 0x40000, 1).x0 == UInt64(bitPattern: CallStatus.notSupported.rawValue))
        #expect(bench.call(.deprivilege, on: 0).x1 == 0)
        for call in [HostCall.initialise, .withdraw, .deprivilege] {
            #expect(bench.call(call).x0 == UInt64(bitPattern: CallStatus.notSupported.rawValue))
        }
        bench.expectNoViolations()
    }

    @Test("refuses a boot block that contradicts itself", arguments: corruptions)
    func refusesBootBlock(_ corruption: Corruption) throws {
        var plan = Plan()
        plan.corruptions = [corruption.offset: corruption.value]
        #expect(throws: CallStatus.invalidParameter) { _ = try HostBench(plan) }
    }

    @Test("refuses ranges that overlap, and those that the host's tables cannot reach", arguments: [0x43FFF, 1 << 32])
    func refusesRanges(_ second: UInt64) throws {
        var plan = Plan()
        plan.ranges = [Pages(first: 0x40000, count: 0x4000, .host), Pages(first: 0x44001, count: 1, .firmware)]
        _ = try HostBench(plan)
        plan.corruptions = [MARTLET_BOOT_RANGE + 24: second << pageShift]
        #expect(throws: CallStatus.invalidParameter) { _ = try HostBench(plan) }
    }

    @Test("refuses a CPU that is unlike the first, and empties what the kernel left in the others' interfaces")
    func eachCPU() throws {
        let bench = try HostBench()
        let second = bench.machine[cpu: 1]
        bench.machine.cpus[1][.idAA64ISAR0] ^= 1 << 60
        #expect(bench.status(.deprivilege, [], on: 1) == .notSupported)
        bench.machine.cpus[1][.idAA64ISAR0] ^= 1 << 60
        second.write(.ichHcrEL2, 1)
        second.write(.ichLr0EL2, 1 << 62 | 40)
        second.write(.ichLr3EL2, 1 << 62 | 41)
        #expect(bench.status(.deprivilege, [], on: 1) == .success)
        #expect(second.read(.ichHcrEL2) == 0)
        #expect(second.read(.ichLr0EL2) == 0)
        #expect(second.read(.ichLr3EL2) == 0)
        bench.expectNoViolations()
    }

    @Test("maps EL2's code, constants and data each with its own rights")
    func rights() throws {
        let bench = try HostBench()
        let cpu = bench.machine[cpu: 0]
        let readOnly = bench.plan.imageBase + Plan.textPages
        let data = readOnly + Plan.readOnlyPages
        bench.hypervisor.memory.withLock(on: cpu) { state in
            func access(_ page: UInt64) -> Stage1Attributes? {
                guard case .leaf(_, let attributes) = state.hypervisorTable.lookup(page, on: cpu).descriptor else {
                    return nil
                }
                return attributes
            }
            #expect(access(bench.plan.imageBase) == Stage1Attributes(.code))
            #expect(access(readOnly) == Stage1Attributes(.readOnly))
            #expect(access(data - 1) == Stage1Attributes(.readOnly))
            #expect(access(data) == Stage1Attributes(.data))
        }
    }

    @Test("wipes the seed of its random bits")
    func seed() throws {
        let bench = try HostBench()
        let cpu = bench.machine[cpu: 0]
        let seed = bench.hypervisor.boot.seed
        for word in UInt64(0)..<8 { cpu.store64(seed.advanced(by: word * 8), 0xABCD_0123_4567_89EF) }
        _ = RandomGenerator(seed: seed, on: cpu)
        for word in UInt64(0)..<8 { #expect(cpu.load64(seed.advanced(by: word * 8)) == 0) }
    }

    @Test("refuses a kernel that runs at EL2, or an EL1 in AArch32")
    func refusesKernelState() throws {
        let states: [UInt64] = [1 << 31 | 1 << 34, 1 << 31 | 1 << 27, 0]
        for hcr in states {
            let plan = Plan()
            let machine = plan.machine()
            plan.load(into: machine)
            for cpu in machine.allCPUs { plan.enter(cpu) }
            let cpu = machine[cpu: 0]
            cpu.write(.hcrEL2, hcr)
            let boot = try BootBlock(at: Address(plan.bootBlock << pageShift), on: cpu)
            #expect(throws: CallStatus.notSupported) {
                _ = try Hypervisor(
                    boot: boot, features: CPUFeatures(plan.identification),
                    entryPoints: HostBench.entryPoints, on: cpu)
            }
        }
    }

    @Test("says noMemory when the superpages do not suffice")
    func noMemory() throws {
        // One superpage for a ledger of 4 GiB, whose 1024 pages do not fit.
        var plan = Plan()
        plan.ranges = [Pages(first: 0x40000, count: 0x10_0000, .host)]
        plan.moreSuperpages = []
        #expect(throws: CallStatus.noMemory) { _ = try HostBench(plan) }
    }
}
