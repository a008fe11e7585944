// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A VM: its state beside the kernel's object, and the locks that own the parts of the state.

internal import CHostKernel
internal import HypervisorInterface
internal import KVMCore
internal import Synchronization
internal import VirtualGIC

/// What is fixed when a VM is made.
struct VMFacts {
    /// EL2's handle; 0 before EL2 knows the VM.
    var handle: UInt64 = 0
    let kind: VMKind
    let addressBits: UInt64
    let machine: GuestMachine
}

/// The VM's make-up, under the configuration mutex.
struct VMConfiguration {
    /// vCPUs that have been made; each is at its place for ever.
    var vcpus = 0
    /// How far memory and devices are fixed, which begins with the first run.
    var fixing = Fixing.open

    /// How far the VM is from its first run.
    var progress: VMProgress {
        if case .open = fixing { .configurable } else { .started }
    }

    /// A signal may interrupt the work, and the next run goes on with it.
    enum Fixing {
        /// The process may still change the slots.
        case open
        /// What is between the slots becomes windows: the guest frame from which on.
        case opening(next: UInt64)
        /// Content of slots is being donated: the slot at this place, from this guest frame on.
        case donating(place: Int, frame: UInt64)
        /// A vCPU may run.
        case done
    }
}

/// The places of a VM's memory slots, behind its state.
@safe struct KernelSlots: SlotStore {
    private let places: UnsafeMutablePointer<MemorySlot>

    /// Memory of `MemorySlot.capacity` places that outlives the value.
    @unsafe init(_ places: UnsafeMutablePointer<MemorySlot>) { unsafe self.places = places }

    subscript(place: Int) -> MemorySlot {
        get {
            precondition(place >= 0 && place < MemorySlot.capacity)
            // Safety: below the capacity.
            return unsafe places[place]
        }
        set {
            precondition(place >= 0 && place < MemorySlot.capacity)
            // Safety: below the capacity.
            unsafe places[place] = newValue
        }
    }
}

/// The VM's memory, under the memory lock.
struct VMMemory: ~Copyable {
    var slots: MemorySlots<KernelSlots>
    var invalidation = Invalidation()
}

/// The VM's interrupts, under the interrupt lock.
@safe struct VMInterrupts: ~Copyable {
    var device: GICDevice?
    /// The GIC, once it is initialised; its words lie behind it.
    var gic: UnsafeMutablePointer<VirtualGIC<KernelWords>>?
    /// The number of the vCPU at each place.
    var numbers: InlineArray<64, UInt32> = InlineArray(repeating: 0)
    /// vCPUs that have been made.
    var vcpus = 0
    /// How many readers of the GIC keep all vCPUs from entering the guest. Each of them has preemption
    /// off, so that nobody waits for long.
    var halts = 0
    /// How often each vCPU, by its number, has been turned on by another one.
    var turnedOn: InlineArray<64, UInt32> = InlineArray(repeating: 0)

    /// Whether the GIC is initialised.
    var hasGIC: Bool { unsafe gic != nil }
}

/// What lives in the kernel's memory for a VM.
struct VMState: ~Copyable {
    var facts: VMFacts
    var configuration = VMConfiguration()
    var memory: VMMemory
    var interrupts = VMInterrupts()
    /// How often the memory slots have changed.
    let slotChanges = Atomic<UInt64>(0)
}

/// A VM that the caller keeps alive by a reference.
@safe struct VM {
    let object: OpaquePointer
    private let state: UnsafeMutablePointer<VMState>

    // The places of the memory slots come behind the state.
    private static var placesOffset: Int { (MemoryLayout<VMState>.stride + 63) & ~63 }
    private static var stateSize: Int {
        placesOffset + MemorySlot.capacity * MemoryLayout<MemorySlot>.stride
    }

    /// The VM of a kernel object.
    init(_ object: OpaquePointer) {
        unsafe self.object = object
        // Safety: the kernel gave as many bytes as `make` asked for, and `make` initialised them.
        unsafe state = martlet_kernel_vm_state(object).assumingMemoryBound(to: VMState.self)
    }

    /// Makes a kernel object with one reference.
    static func make(_ facts: VMFacts) throws(LinuxError) -> VM {
        guard let object = unsafe martlet_kernel_vm_make(UInt64(stateSize)) else { throw .noMemory }
        // Safety: fresh memory of this size, aligned for any type.
        let base = unsafe martlet_kernel_vm_state(object).unsafelyUnwrapped
        let places = unsafe (base + placesOffset).bindMemory(to: MemorySlot.self, capacity: MemorySlot.capacity)
        unsafe base.bindMemory(to: VMState.self, capacity: 1).initialize(
            to: VMState(facts: facts, memory: VMMemory(slots: MemorySlots(store: KernelSlots(places)))))
        return unsafe VM(object)
    }

    /// Drops a reference.
    func put() { unsafe martlet_kernel_vm_put(object) }

    /// What never changes once others see the VM.
    var facts: VMFacts { unsafe state.pointee.facts }
    /// EL2's handle.
    var handle: UInt64 { unsafe state.pointee.facts.handle }

    /// EL2 knows the VM by this handle. Only before others see the VM.
    func setHandle(_ handle: UInt64) { unsafe state.pointee.facts.handle = handle }

    /// Refuses a process that did not make the VM: the memory is another one's.
    func checkCaller() throws(LinuxError) {
        guard unsafe martlet_kernel_vm_is_mine(object) != 0 else { throw .inputOutput }
    }

    /// Runs `body` with the configuration locked. It may sleep.
    func withConfiguration<Result>(
        _ body: (inout VMConfiguration) throws(LinuxError) -> Result
    ) throws(LinuxError) -> Result {
        guard unsafe martlet_kernel_vm_lock(object) == 0 else { throw .interrupted }
        defer { unsafe martlet_kernel_vm_unlock(object) }
        return try unsafe body(&state.pointee.configuration)
    }

    /// Runs `body` with the memory locked. It must not sleep.
    func withMemory<Result>(_ body: (inout VMMemory) -> Result) -> Result {
        unsafe martlet_kernel_memory_lock(object)
        defer { unsafe martlet_kernel_memory_unlock(object) }
        return unsafe body(&state.pointee.memory)
    }

    /// Runs `body` with the interrupts locked and the host's masked.
    func withInterrupts<Result, Failure: Error>(
        _ body: (inout VMInterrupts) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let flags = unsafe martlet_kernel_interrupt_lock(object)
        defer { unsafe martlet_kernel_interrupt_unlock(object, flags) }
        return try unsafe body(&state.pointee.interrupts)
    }

    /// The same where the host's interrupts are masked already.
    func withInterruptsMasked<Result>(_ body: (inout VMInterrupts) -> Result) -> Result {
        unsafe martlet_kernel_interrupt_lock_masked(object)
        defer { unsafe martlet_kernel_interrupt_unlock_masked(object) }
        return unsafe body(&state.pointee.interrupts)
    }

    /// How often the memory slots have changed. Who has read this, and found no slot at a guest frame after
    /// that, need not look again as long as it is the same.
    var slotChanges: UInt64 { unsafe state.pointee.slotChanges.load(ordering: .acquiring) }

    /// The slots have changed, and the memory lock is still held.
    func countSlotChange() { unsafe state.pointee.slotChanges.wrappingAdd(1, ordering: .releasing) }

    /// Wakes vCPUs by number, or has them leave the guest.
    func kick(_ numbers: UInt64) {
        if numbers != 0 { unsafe martlet_kernel_kick(object, numbers) }
    }

    /// Frees what the state holds, when nobody can reach the VM any more.
    func tearDown() {
        if let gic = unsafe state.pointee.interrupts.gic { unsafe martlet_kernel_scratch_free(gic) }
        unsafe state.deinitialize(count: 1)
    }
}
