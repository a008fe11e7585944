// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The hypervisor's root: the one value that holds everything, borrowed by every handler.

public import Arm
public import HypervisorInterface
public import Machine
import Synchronization

/// The hypervisor, from its initialisation on.
///
/// Built once by `initialise`, on the CPU that makes the call, and never destroyed. All CPUs use
/// it at once: what changes is behind a lock or atomic.
///
/// Lock order (docs/locking.md): `power` before `memory`; `inside` and `generator` are leaves. None
/// is held over an exception return.
public struct Hypervisor<P: GuestProcessor>: ~Copyable {
    /// What the CPUs can do; they all can do the same.
    public let features: CPUFeatures
    let boot: BootBlock
    let snapshot: ControlSnapshot
    let entryPoints: FirmwareEntryPoints
    /// Which firmware calls the host may make.
    let firmware: FirmwareFilter
    /// What EL2's own entry does against branch-prediction attacks.
    public let mitigation: BranchMitigation
    /// SHA-256 of the image, as four words in memory order.
    public let digest: InlineArray<4, UInt64>
    /// Pages of executable code.
    let textPages: UInt64

    /// VTCR_EL2 and VTTBR_EL2 of the host, whose stage-2 never changes its root or shape.
    let hostTranslation: (control: UInt64, base: UInt64)
    /// VBAR_EL2 while the host runs, and while a guest does.
    let hostVectors: UInt64
    let guestVectors: UInt64
    /// What a world switch exchanges.
    let groups: RegisterGroups

    let memory: Locked<MemoryState>
    let power: Locked<PowerState>
    let generator: Locked<RandomGenerator>
    /// CPUs that are not behind the stage-2 yet.
    let outside: Atomic<Int>
    /// Whether each CPU is.
    let inside: Locked<CPUSet>
    /// `VectorLengths` that guests may have: of the CPUs that are behind the stage-2.
    let vectorLengths: Atomic<UInt64>
    /// SMCs refused.
    let refusedFirmwareCalls = Atomic<UInt64>(0)
    /// System register accesses refused.
    let refusedRegisterAccesses = Atomic<UInt64>(0)

    /// Takes over: EL2's own tables, the ledger, the host's tables. The host is not confined yet.
    ///
    /// - Parameter boot: checked boot block, still mapped.
    /// - Throws: as `MemoryState.init`; `notSupported` if the kernel left EL2 in a state that this
    ///   hypervisor cannot take over.
    public init(
        boot: BootBlock, features: CPUFeatures, entryPoints: FirmwareEntryPoints, on processor: P
    ) throws(CallStatus) {
        let snapshot = ControlSnapshot(features: features, on: processor)
        guard snapshot.isUsable else { throw .notSupported }
        let memory = try MemoryState.make(boot: boot, features: features, on: processor)
        guard let power = PowerState(boot, on: processor) else { throw .invalidParameter }
        let firmware = FirmwareFilter(on: processor)

        self.boot = boot
        self.features = features
        self.entryPoints = entryPoints
        self.snapshot = snapshot
        self.firmware = firmware
        let mitigation = BranchMitigation(midr: processor.read(.midrEL1), features: features, firmware: firmware)
        self.mitigation = mitigation
        hostVectors = processor.hostVectors(mitigation)
        guestVectors = processor.guestVectors(mitigation)
        groups = RegisterGroups(features)
        digest = [
            boot.digestWord(0, on: processor), boot.digestWord(1, on: processor),
            boot.digestWord(2, on: processor), boot.digestWord(3, on: processor),
        ]
        textPages = boot.textEnd.number &- boot.imageBase.number
        outside = Atomic(boot.cpuCount)
        inside = Locked(CPUSet())
        vectorLengths = Atomic(Self.unknownVectorLengths)
        hostTranslation = (
            Stage2Control.bits(
                memory.hostTable.geometry, physicalAddressBits: features.physicalAddressBits,
                hasVMID16: features.hasVMID16),
            Stage2Base.bits(root: memory.hostTable.root, vmid: 0)
        )
        generator = Locked(RandomGenerator(seed: boot.seed, on: processor))
        self.memory = Locked(memory)
        self.power = Locked(power)
    }

    /// The phase, as far as this value exists.
    public var phase: CallPhase {
        let left = outside.load(ordering: .acquiring)
        if left == boot.cpuCount { return .initialised }
        return left == 0 ? .finalised : .deprivileging
    }

    /// Whether the phase is `finalised`.
    var isFinal: Bool { outside.load(ordering: .acquiring) == 0 }

    /// Root of EL2's own tables.
    public func hypervisorRoot(on processor: P) -> Frame<HostPhysical> {
        memory.withLock(on: processor) { $0.hypervisorTable.root }
    }

    /// How a CPU comes to be confined.
    enum Confinement {
        /// It runs the host already; its control registers are the kernel's.
        case running
        /// It has come from firmware; all of EL2's registers are as after reset.
        case arriving
    }

    /// VTCR_EL2 and VTTBR_EL2 of the host.
    @inline(__always)
    func useHostTable(on processor: P) {
        let (control, base) = hostTranslation
        processor.write(.vtcrEL2, control)
        processor.write(.vttbrEL2, base)
    }

    /// Puts this CPU's EL1 and EL0 behind the host's stage-2 and traps.
    func confine(_ confinement: Confinement, on processor: P) {
        useHostTable(on: processor)
        clearInterruptInterface(on: processor)
        switch confinement {
        case .running: snapshot.protect(on: processor)
        case .arriving: snapshot.replay(on: processor)
        }
        // Entries from before the stage-2 translate the host without it.
        processor.invalidateLocalTLB()
    }
}

/// A set of CPU indices.
struct CPUSet: Lockable, Sendable {
    static var lockRank: LockRank { .inside }

    private var words: InlineArray<4, UInt64> = InlineArray(repeating: 0)

    /// Adds a CPU; false if it was there.
    mutating func insert(_ cpu: Int) -> Bool {
        let word = (cpu >> 6) & 3
        let bit: UInt64 = 1 << UInt64(truncatingIfNeeded: cpu & 63)
        guard words[word] & bit == 0 else { return false }
        words[word] |= bit
        return true
    }
}
