// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The virtual machines: which exist, and what each owns. Part of the memory state, because its
// changes are changes of who may use which page.

import Arm
import HypervisorInterface
import Machine

/// What a handle names: a slot and how often it has been used.
struct VMHandle: Equatable, Sendable {
    let slot: Int
    let generation: UInt32

    init(slot: Int, generation: UInt32) {
        self.slot = slot
        self.generation = generation
    }

    /// The handle of a number that the host alleges; nil if no handle ever looks like that.
    @inline(__always)
    init?(alleged number: UInt64) {
        guard number >> 40 == 1, number & 0xFF < HostCall.maximumVMs else { return nil }
        slot = Int(truncatingIfNeeded: number & 0xFF)
        generation = UInt32(truncatingIfNeeded: number >> 8)
    }

    /// The number on the wire; never 0.
    var number: UInt64 { 1 << 40 | UInt64(generation) << 8 | UInt64(truncatingIfNeeded: slot) }

    /// The VMID of the slot; 0 is the host's. Slots are fewer than VMIDs of 8 bits, so none is
    /// shared, and all of its TLB entries are gone before the slot is used again.
    var vmid: UInt16 { UInt16(truncatingIfNeeded: slot) &+ 1 }
}

/// Which VM each slot holds.
struct MachineSlots: ~Copyable, Sendable {
    private let stationary = Stationary()
    /// Frame number of the VM's page plus one, 0 for none.
    private var pages: InlineArray<64, UInt64> = InlineArray(repeating: 0)
    private var generations: InlineArray<64, UInt32> = InlineArray(repeating: 0)

    /// A free slot's next handle; nil if all slots hold VMs.
    func free() -> VMHandle? {
        for slot in 0..<64 where pages[slot] == 0 {
            return VMHandle(slot: slot, generation: generations[slot])
        }
        return nil
    }

    /// The VM of a handle; nil if it has none.
    subscript(handle: VMHandle) -> VMPage? {
        @inline(__always)
        get { page(of: handle) }
    }

    @inline(__always)
    private func page(of handle: VMHandle) -> VMPage? {
        // The mask keeps a mispredicted check from reaching past the table.
        let slot = handle.slot & 63
        guard slot == handle.slot, pages[slot] != 0 else { return nil }
        guard generations[slot] == handle.generation || isWithout(.handlesAreUsedOnce) else { return nil }
        return VMPage(Frame(pages[slot] &- 1))
    }

    /// What a slot holds; nil if it is empty.
    func machine(in slot: UInt64) -> (handle: VMHandle, vm: VMPage)? {
        let slot = Int(truncatingIfNeeded: slot & 63)
        guard pages[slot] != 0 else { return nil }
        return (VMHandle(slot: slot, generation: generations[slot]), VMPage(Frame(pages[slot] &- 1)))
    }

    mutating func fill(_ handle: VMHandle, _ frame: Frame<HostPhysical>) {
        pages[handle.slot & 63] = frame.number &+ 1
    }

    /// Empties a slot; its handle means nothing from here on.
    mutating func empty(_ handle: VMHandle) {
        let slot = handle.slot & 63
        pages[slot] = 0
        generations[slot] = generations[slot] &+ 1
    }
}

/// One VM's own page, by field.
struct VMPage: Sendable {
    let frame: Frame<HostPhysical>

    init(_ frame: Frame<HostPhysical>) { self.frame = frame }

    enum Field: UInt64 {
        /// A `Phase`, and the guest frame from which on memory is still to be taken back.
        case phase = 0x00
        case cursor = 0x08
        /// First frame of the stage-2 root, and bits of its input.
        case root = 0x10
        case inputBits = 0x18
        /// Unused pages, linked through themselves: frame number plus one, and how many.
        case freeHead = 0x20
        case freeCount = 0x28
        /// CNTVOFF_EL2.
        case counterOffset = 0x30
        /// A `VMKind`, and whether a vCPU has ever been run.
        case kind = 0x40
        case hasRun = 0x48
        /// A protected guest has switched itself off, reset itself, or done what it cannot: none of
        /// its vCPUs runs again.
        case isOver = 0x58
        /// For each CPU the vCPU that it ran last, plus one; 0 for none.
        case lastRan = 0x800
        /// How often pages have been mapped for the guest: changed before they are.
        case additions = 0x38
        /// MMIO windows: how many, then pairs of first guest frame and frames.
        case windowCount = 0x50
        case windows = 0x400
        /// Where each vCPU's block begins, 0 for none: `HostCall.maximumVCPUs` words.
        case vcpus = 0x100
    }

    /// What may still be done with the VM.
    enum Phase: UInt64 {
        case active = 0
        /// Its memory is being taken back.
        case unmapping = 1
        /// Its own pages are being given back.
        case returning = 2
    }

    func address(_ field: Field, _ index: UInt64 = 0) -> Address<HypervisorVirtual> {
        HypervisorAddressSpace.identity(frame.address).advanced(by: field.rawValue &+ index &* 8)
    }

    func load(_ field: Field, at index: UInt64 = 0, on processor: some Processor) -> UInt64 {
        processor.load64(address(field, index))
    }

    func store(_ field: Field, at index: UInt64 = 0, _ value: UInt64, on processor: some Processor) {
        processor.store64(address(field, index), value)
    }

    @inline(__always)
    func phase(on processor: some Processor) -> Phase {
        Phase(rawValue: load(.phase, on: processor)) ?? .returning
    }

    func kind(on processor: some Processor) -> VMKind {
        load(.kind, on: processor) == VMKind.normal.rawValue ? .normal : .protected
    }

    /// A vCPU has ended the VM. All of them are off; the host may turn those of a normal VM on again.
    func end(on processor: some Processor) {
        for index in 0..<HostCall.maximumVCPUs {
            vcpu(index, on: processor)?.store(.power, VCPUPage.Power.off.rawValue, on: processor)
        }
        if kind(on: processor) == .protected { store(.isOver, 1, on: processor) }
    }

    /// Whether a page may reach the host as MMIO.
    func isWindow(_ page: UInt64, on processor: some Processor) -> Bool {
        let count = load(.windowCount, on: processor)
        var index: UInt64 = 0
        while index < count, index < HostCall.maximumWindows {
            let first = load(.windows, at: index &* 2, on: processor)
            let pages = load(.windows, at: index &* 2 &+ 1, on: processor)
            if page >= first, page &- first < pages { return true }
            index &+= 1
        }
        return false
    }

    /// Whether any of some pages may.
    func hasWindow(in range: GuestRange, on processor: some Processor) -> Bool {
        let count = load(.windowCount, on: processor)
        var index: UInt64 = 0
        while index < count, index < HostCall.maximumWindows {
            let first = load(.windows, at: index &* 2, on: processor)
            let pages = load(.windows, at: index &* 2 &+ 1, on: processor)
            if first < range.end, range.first < first &+ pages { return true }
            index &+= 1
        }
        return false
    }

    /// The VM's stage-2.
    func table(on processor: some Processor) -> PageTable<Stage2Attributes>? {
        guard
            let geometry = TranslationGeometry.stage2(
                physicalAddressBits: load(.inputBits, on: processor))
        else { return nil }
        return PageTable(root: Frame(load(.root, on: processor)), geometry: geometry, regime: .stage2)
    }

    /// A vCPU; nil if there is none of that index.
    @inline(__always)
    func vcpu(_ index: UInt64, on processor: some Processor) -> VCPUPage? {
        guard index < HostCall.maximumVCPUs else { return nil }
        let address = load(.vcpus, at: index & (HostCall.maximumVCPUs &- 1), on: processor)
        return address == 0 ? nil : VCPUPage(base: Address(address))
    }
}

/// A VM's unused pages as the source of its tables.
struct VMPool: FrameSource {
    let vm: VMPage

    func push(_ frame: Frame<HostPhysical>, on processor: some Processor) {
        processor.store64(HypervisorAddressSpace.identity(frame.address), vm.load(.freeHead, on: processor))
        vm.store(.freeHead, frame.number &+ 1, on: processor)
        vm.store(.freeCount, vm.load(.freeCount, on: processor) &+ 1, on: processor)
    }

    /// A page with whatever it contains.
    func pop(on processor: some Processor) -> Frame<HostPhysical>? {
        let head = vm.load(.freeHead, on: processor)
        guard head != 0 else { return nil }
        let frame = Frame<HostPhysical>(head &- 1)
        vm.store(.freeHead, processor.load64(HypervisorAddressSpace.identity(frame.address)), on: processor)
        vm.store(.freeCount, vm.load(.freeCount, on: processor) &- 1, on: processor)
        return frame
    }

    /// Pages that follow one another, with whatever they contain: as many of the next ones as do.
    func popRun(on processor: some Processor) -> FrameRange<HostPhysical>? {
        guard var first = pop(on: processor) else { return nil }
        var count: UInt64 = 1
        // Blocks are pushed from their first page on, and come back from their last one on.
        while count < MemoryState.donationLimit, vm.load(.freeHead, on: processor) == first.number,
            let next = pop(on: processor)
        {
            first = next
            count &+= 1
        }
        return FrameRange(first, pages: count)
    }

    mutating func takeTable(on processor: some Processor) -> Frame<HostPhysical>? {
        guard let frame = pop(on: processor) else { return nil }
        processor.zeroPage(HypervisorAddressSpace.identity(frame))
        return frame
    }

    mutating func returnTable(_ frame: Frame<HostPhysical>, on processor: some Processor) {
        push(frame, on: processor)
    }
}
