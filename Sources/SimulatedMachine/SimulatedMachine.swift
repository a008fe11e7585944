// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A machine made of values: RAM, several CPUs, a walker that reads the tables really written, and
// TLBs that keep everything they may. It stands where silicon stands below the hypervisor, and
// is stricter than any silicon: whatever the architecture allows to go wrong, does.

public import Arm

/// A simulated arm64 machine.
///
/// **How its TLBs work.** The worst TLB the architecture allows holds every translation that the
/// tables ever offered, on every CPU that used them, until an invalidation that covers it has
/// completed. Translations that the tables still offer need no entry of their own, because a
/// walk finds them. So the machine keeps entries only for translations that were *broken*
/// (`StaleEntry`), which makes this greediest of TLBs cheap: nothing is stored until a
/// descriptor of a live table changes.
///
/// **How stores become visible.** A store is seen at once by loads of all CPUs, but walkers go on
/// reading what a live table held before until the CPU that stored has executed a DSB.
///
/// Only one thread may use a machine at a time; `Schedule` hands it from one to the next.
public final class SimulatedMachine: @unchecked Sendable {
    // Safety of `@unchecked Sendable`: the rule above; the machine has no other synchronisation.

    /// What the machine is made of.
    public struct Configuration: Sendable {
        /// CPUs, 1…64.
        public var cpuCount = 2
        /// Ranges of RAM.
        public var memory: [FrameRange<HostPhysical>] = []
        /// Values of the identification registers, the same on all CPUs.
        public var identification = CPUFeatures.Registers()
        /// For each CPU its lengths of scalable vectors, if it has any: bit n stands for n + 1 quadwords. CPUs
        /// beyond the last one are like it.
        public var vectorLengths: [UInt64] = [0x808B]
        /// What a shorter length does to the registers.
        public var shorterVectors = VectorRegisters.Shortening.keeps
        /// Report an identity page given to the host with EL2's own stores not cleaned.
        public var checksCacheMaintenance = true

        /// A machine like a Cortex-A72: 44-bit physical addresses, 8-bit VMIDs, GICv3 registers; with
        /// 64 MiB of RAM at 1 GiB.
        public init() {
            memory = FrameRange(alleged: 0x40000, count: 0x4000).map { [$0] } ?? []
            identification.mmfr0 = 0x4  // PARange: 44 bits
            identification.pfr0 = 1 << 24 | 0x2222  // GIC, AArch32 everywhere
        }
    }

    /// What the machine is made of.
    public let configuration: Configuration
    let features: CPUFeatures

    /// What was reported so far. A test that expects a correct program expects this to be empty.
    public internal(set) var violations: [Violation] = []
    /// Simulated operations so far, of all CPUs.
    public internal(set) var steps: UInt64 = 0

    /// Called before every memory access, barrier and invalidation of a CPU at EL2. What it does
    /// happens *between* two steps of that CPU: an access of the host on another CPU, or a switch
    /// to its thread.
    public var beforeStep: ((SimulatedCPU) -> Void)?
    /// Called when a CPU spins on a lock. Without it, a CPU that spins with nobody else running
    /// would do so for ever, so the machine traps.
    public var whileSpinning: ((SimulatedCPU) -> Void)?
    /// What answers SMC. Nil answers NOT_SUPPORTED to everything.
    public var firmware: (any FirmwareModel)?
    /// What runs when EL2 enters a guest. Nil comes back at once with an interrupt.
    public var guest: (any SimulatedGuest)?
    /// Each CPU's vector registers.
    public var vectors: [VectorRegisters]

    /// How often EL2 has dropped what instruction caches hold.
    public internal(set) var instructionCacheInvalidations = 0
    /// Words that EL2 has written since they were last taken; nil if nobody wants to know.
    var writtenWords: [UInt64]?

    let memory: PhysicalMemory
    let cpus: [CPUState]
    var trace = EventTrace()

    // Tables (Checking/).
    var trees: [Tree] = []
    var tables: [UInt64: TableRecord] = [:]
    var pending: [UInt64: PendingStore] = [:]
    var stale: [StaleEntry] = []
    var nextSerial: UInt64 = 1
    var departures = Departures()
    /// Nil while nobody checks what one CPU sees of another's stores.
    var order: AccessOrder?
    /// Changes whenever EL2's translations may have changed; cached walks of older value are void.
    var hypervisorEpoch: UInt64 = 1

    /// A machine with all CPUs off, except that their registers can be set before they start.
    public init(_ configuration: Configuration = Configuration()) {
        precondition((1...64).contains(configuration.cpuCount))
        self.configuration = configuration
        vectors = Array(repeating: VectorRegisters(), count: configuration.cpuCount)
        features = CPUFeatures(configuration.identification)
        memory = PhysicalMemory(configuration.memory)
        cpus = (0..<configuration.cpuCount).map { index in
            CPUState(index: index, identification: configuration.identification)
        }
    }

    /// A CPU by its index.
    public subscript(cpu index: Int) -> SimulatedCPU {
        precondition(cpus.indices.contains(index))
        return SimulatedCPU(machine: self, index: index)
    }

    /// All CPUs.
    public var allCPUs: [SimulatedCPU] { cpus.indices.map { self[cpu: $0] } }

    /// Reads 8 bytes of RAM as nobody's access: for tests and for loading.
    public func peek(_ address: Address<HostPhysical>) -> UInt64? {
        memory.peek(address.rawValue & ~7)
    }

    /// Writes 8 bytes of RAM as if they had been there before the machine started. Must not be
    /// used on live tables.
    public func poke(_ address: Address<HostPhysical>, _ value: UInt64) {
        guard let slot = memory.slot(address.rawValue >> pageShift) else {
            preconditionFailure("no RAM at \(hex(address.rawValue))")
        }
        precondition(!memory.state(slot).isTable, "poke at a live table")
        memory.setWord(slot, Int(address.rawValue & 0xFFF) >> 3, value)
    }

    /// Whether all 4 KiB at a frame are zero.
    public func isZero(_ frame: Frame<HostPhysical>) -> Bool {
        guard let slot = memory.existingSlot(frame.number) else { return false }
        return (0..<512).allSatisfy { memory.word(slot, $0) == 0 }
    }

    /// Whether a live tree, or a stale walk, reaches the page as a table.
    public func isLiveTable(_ frame: Frame<HostPhysical>) -> Bool { tables[frame.number] != nil }

    func report(_ rule: Violation.Rule, cpu: Int, _ message: @autoclosure () -> String) {
        // One mistake can be seen many times; the first reports are the ones that explain it.
        guard violations.count < 64 else { return }
        violations.append(Violation(rule: rule, cpu: cpu, message: message(), trace: trace.lines))
    }

    /// Runs the test's hook between two steps.
    @inline(__always)
    func step(_ cpu: Int) {
        steps &+= 1
        if let beforeStep { beforeStep(self[cpu: cpu]) }
    }
}

extension SimulatedMachine: CustomStringConvertible, CustomReflectable {
    /// A few words: a test that fails must not print all of memory.
    public var description: String { "a machine of \(cpus.count) CPUs after \(steps) steps" }

    /// Nothing: a test that fails must not print all of memory.
    public var customMirror: Mirror { Mirror(self, children: []) }
}
