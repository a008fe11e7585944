// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The specification beside a running hypervisor: what it makes of each call of the host, and whether the
// ledger and the tables really written are what follows. Where it runs on a machine, it is called with the
// host's traps one after the other (docs/specification.md).

import Arm
public import HypervisorCore
import HypervisorInterface
public import Machine
import Specification
public import TableWalker

/// The abstract state that a hypervisor should be in, and what it takes to see whether it is.
public final class Audit {
    /// How often what was checked.
    public struct Counts: Equatable, Sendable {
        /// Calls whose answer and effect were compared with the specification's.
        public internal(set) var calls: UInt64 = 0
        /// Stage-2 aborts of the host.
        public internal(set) var faults: UInt64 = 0
        /// Runs of vCPUs, after which a part of memory was compared.
        public internal(set) var runs: UInt64 = 0
        /// Pages of RAM that were compared with the ledger and with the tables of host and EL2.
        public internal(set) var pages: UInt64 = 0
        /// Pages of guests that were compared.
        public internal(set) var guestPages: UInt64 = 0
        /// Comparisons of everything.
        public internal(set) var all: UInt64 = 0

        /// Nothing yet.
        public init() {}
    }

    /// What has been done.
    public internal(set) var counts = Counts()

    /// All of the state but memory, which stands in the two below.
    var core: AbstractState
    var owners: OwnershipMap
    var guests: [UInt64: GuestMemory] = [:]
    /// Runs whose vCPU another CPU may be claiming or giving back at this moment, by CPU.
    var running: [Int: VCPUName] = [:]

    /// What is no RAM, and no plain device: firmware's memory, and what is denied.
    let fixed: [Pages]
    /// First frames of all 2 MiB in which there is anything but devices, in ascending order.
    let blocks: [UInt64]
    /// Pages of EL2 that are never mapped, between stacks.
    let guards: Set<UInt64>
    let hostShape: WalkShape
    let ownShape: WalkShape
    let guestMemoryType: UInt8
    /// What is looked at next when nothing in particular has changed.
    var nextSlice = 0
    /// Traps since the last slice, of those that change nothing.
    var questions = 0
    /// After how many of them there is a slice.
    public static var questionsPerSlice: Int { 16 }
    var nextGuest = 0
    var nextBranch: UInt64 = 0
    /// What one page after another of 2 MiB is for the host, and for EL2.
    var hostSights = [Sight](repeating: .nothing, count: 512)
    var ownSights = [Sight](repeating: .nothing, count: 512)

    /// What tables say of a page.
    enum Sight: UInt8 {
        case nothing
        case memory
        case device
        case sink
    }

    private init(_ state: AbstractState, guards: Set<UInt64>, host: WalkShape, own: WalkShape, guestMemoryType: UInt8) {
        owners = OwnershipMap(state.map)
        core = state.withoutMemory
        fixed = state.map.filter { $0.page == .firmware || $0.page == .denied }
        var blocks: [UInt64] = []
        for run in state.map {
            var first = run.first & ~511
            while first < run.end {
                if blocks.last != first { blocks.append(first) }
                first += 512
            }
        }
        self.blocks = blocks
        self.guards = guards
        hostShape = host
        ownShape = own
        self.guestMemoryType = guestMemoryType
    }

    /// Begins with what the host told at installation, when the hypervisor has become final and nothing has
    /// happened since. Nothing of it is taken from the ledger or from tables.
    /// - Throws: if the hypervisor's registers describe no tables, or if the two do not agree.
    public static func start<P: GuestProcessor>(
        _ hypervisor: borrowing Hypervisor<P>, on processor: P
    ) throws(Difference) -> Audit {
        let boot = hypervisor.installation
        let installation = try installation(
            boot, inputBits: hypervisor.features.physicalAddressBits, vectorLengths: hypervisor.vectorLengthBits,
            on: processor)
        var state = AbstractState(installation)
        state.confineAll()
        var guards: Set<UInt64> = []
        for cpu in 0..<UInt64(boot.cpuCount) {
            guards.insert(boot.perCPUBase.number + cpu * BootBlock.perCPUPages)
        }
        let host = hypervisor.hostRegisters
        let root = hypervisor.hypervisorRoot(on: processor)
        guard let hostShape = WalkShape(vttbr: host.vttbr, vtcr: host.vtcr),
            // 48 bits of input, 4 KiB.
            let ownShape = WalkShape(ttbr: root.address.rawValue, tcr: 16)
        else { throw Difference("VTCR_EL2 or the root describes no tables") }
        let audit = Audit(
            state, guards: guards, host: hostShape, own: ownShape,
            guestMemoryType: WalkShape.memoryType(isForced: hypervisor.features.hasForcedWriteBack))
        try audit.checkAll(hypervisor, on: processor)
        return audit
    }

    private static func installation<P: GuestProcessor>(
        _ boot: BootBlock, inputBits: UInt64, vectorLengths: UInt64, on processor: P
    ) throws(Difference) -> Installation {
        var ranges: [Pages] = []
        var superpages: [UInt64] = []
        do throws(CallStatus) {
            let map = try boot.memoryMap(on: processor)
            var index = 0
            while let entry = map.entry(index, on: processor) {
                let page: Page =
                    switch entry.kind {
                    case .ram: .host
                    case .firmware: .firmware
                    case .deny: .denied
                    case .device: .device
                    }
                ranges.append(Pages(first: entry.range.first.number, count: entry.range.count, page))
                index += 1
            }
        } catch {
            throw Difference("the boot block has no map any more")
        }
        var first = boot.imageBase.number
        while first < boot.poolEnd.number {
            superpages.append(first)
            first += 512
        }
        var index = 0
        while let superpage = boot.superpageBehindImage(index, on: processor) {
            superpages.append(superpage.number)
            index += 1
        }
        let affinities = (0..<boot.cpuCount).map { boot.affinity($0, on: processor).rawValue }
        return Installation(
            ranges: ranges, superpages: superpages, affinities: affinities, inputBits: inputBits,
            vectorLengths: vectorLengths)
    }

    /// What a page is.
    func page(_ frame: UInt64) -> Page {
        if let owner = owners[frame] { return owner.page }
        for run in fixed where frame >= run.first && frame < run.end { return run.page }
        return .device
    }

    /// The slot of a VM.
    func slot<P: GuestProcessor>(of handle: UInt64, _: borrowing Hypervisor<P>) -> UInt8? {
        Hypervisor<P>.slot(of: handle)
    }
}

extension WalkShape {
    /// The stage-2 of a VM, as VTCR_EL2 describes it for the bits of its addresses (DDI 0487, D24.2.173).
    public init?(guestRoot root: UInt64, inputBits bits: UInt64) {
        let size: UInt64 =
            switch bits {
            case 32: 0
            case 36: 1
            case 39, 40: 2
            case 42: 3
            case 44: 4
            default: 5
            }
        self.init(vttbr: root << 12, vtcr: 1 << 31 | size << 16 | (bits >= 44 ? 2 : 1) << 6 | (64 - bits))
    }

    /// MemAttr of guests' memory: Normal write-back, with HCR_EL2.FWB as that has it.
    public static func memoryType(isForced: Bool) -> UInt8 {
        UInt8(truncatingIfNeeded: (isForced ? Stage2Attributes.MemoryType.forcedWriteBack : .writeBack).rawValue)
    }
}

/// Tables where EL2 finds them.
struct OwnTables<P: Processor>: TableMemory {
    let processor: P

    func table(_ frame: UInt64) -> UInt64? { frame }

    func word(_ table: UInt64, _ index: Int) -> UInt64 {
        processor.load64(Address(table << pageShift | UInt64(truncatingIfNeeded: index) << 3))
    }
}
