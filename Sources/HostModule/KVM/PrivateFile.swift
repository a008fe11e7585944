// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A descriptor of private memory: its state beside the kernel's object.

internal import CHostKernel
internal import KVMCore

/// Words and pages of the kernel for `PrivateMemory`.
@safe struct KernelPrivateStore: PrivateMemoryStore {
    private let object: OpaquePointer
    private let words: UnsafeMutablePointer<UInt64>
    private let chunks: UInt64

    /// Memory of `chunks` words that outlives the value, zero at first.
    @unsafe init(_ object: OpaquePointer, _ words: UnsafeMutablePointer<UInt64>, chunks: UInt64) {
        unsafe self.object = object
        unsafe self.words = words
        self.chunks = chunks
    }

    subscript(chunk chunk: UInt64) -> UInt64 {
        get {
            precondition(chunk < chunks)
            // Safety: below the count.
            return unsafe words[Int(truncatingIfNeeded: chunk)]
        }
        set {
            precondition(chunk < chunks)
            // Safety: below the count.
            unsafe words[Int(truncatingIfNeeded: chunk)] = newValue
        }
    }

    /// A word of a leaf, which is a page of 512 words.
    private static func place(_ leaf: UInt64, _ place: UInt64) -> UnsafeMutablePointer<UInt64> {
        precondition(place < 512)
        // Safety: `PrivateMemory` only passes on what `takeLeaf` gave, and a leaf has as many words.
        return unsafe UnsafeMutablePointer<UInt64>(bitPattern: UInt(leaf)).unsafelyUnwrapped
            + Int(truncatingIfNeeded: place)
    }

    subscript(leaf leaf: UInt64, place place: UInt64) -> UInt64 {
        get { unsafe Self.place(leaf, place).pointee }
        set { unsafe Self.place(leaf, place).pointee = newValue }
    }

    func takeLeaf() -> UInt64 {
        // Safety: as many bytes as a leaf has.
        unsafe UInt64(UInt(bitPattern: martlet_kernel_state_allocate(512 * 8)))
    }

    func giveLeaf(_ leaf: UInt64) {
        // Safety: the leaf is `takeLeaf`'s, and nobody uses it any more.
        unsafe martlet_kernel_scratch_free(Self.place(leaf, 0))
    }

    func takeBlock() -> UInt64 { martlet_kernel_private_take(9) }
    func takePage() -> UInt64 { martlet_kernel_private_take(0) }
    func givePages(_ first: UInt64, _ pages: UInt64) { martlet_kernel_private_give(first, pages) }

    func hide(_ index: UInt64, frame: UInt64, pages: UInt64) {
        unsafe martlet_kernel_private_hide(object, index, frame, pages)
    }

    func reveal(_ frame: UInt64, pages: UInt64) { martlet_kernel_private_reveal(frame, pages) }
}

/// What lives in the kernel's memory for a descriptor.
struct PrivateState: ~Copyable {
    /// EL2's handle of the VM whose descriptor it is; handles of later VMs differ.
    let handle: UInt64
    let flags: PrivateMemoryArgument.Flags
    var memory: PrivateMemory<KernelPrivateStore>
}

/// Private memory that the caller keeps alive by a reference.
@safe struct PrivateFile {
    let object: OpaquePointer
    private let state: UnsafeMutablePointer<PrivateState>

    // The words of the chunks come behind the state.
    private static var wordsOffset: Int { (MemoryLayout<PrivateState>.stride + 63) & ~63 }

    /// The private memory of a kernel object.
    init(_ object: OpaquePointer) {
        unsafe self.object = object
        // Safety: the kernel gave as many bytes as `make` asked for, and `make` initialised them.
        unsafe state = martlet_kernel_private_state(object).assumingMemoryBound(to: PrivateState.self)
    }

    /// The private memory of a slot, which holds a reference.
    init(_ source: PrivateSource) {
        // Safety: slots only have what `open` gave.
        unsafe self.init(OpaquePointer(bitPattern: UInt(source.object)).unsafelyUnwrapped)
    }

    /// The same for a slot, which takes over the reference.
    func source(from firstPage: UInt64) -> PrivateSource {
        unsafe PrivateSource(object: UInt64(UInt(bitPattern: object)), firstPage: firstPage)
    }

    /// KVM_CREATE_GUEST_MEMFD: a descriptor for the VM with a handle.
    static func create(_ argument: PrivateMemoryArgument, for handle: UInt64) throws(LinuxError) -> Int64 {
        let chunks = PrivateMemory<KernelPrivateStore>.chunks(pages: argument.pages)
        guard
            let object = unsafe martlet_kernel_private_make(
                UInt64(wordsOffset) &+ chunks &* 8, argument.pages << PageUnit.shift)
        else { throw .noMemory }
        // Safety: fresh memory of this size, aligned for any type, with zeroed words behind the state.
        let base = unsafe martlet_kernel_private_state(object).unsafelyUnwrapped
        let words = unsafe (base + wordsOffset).bindMemory(to: UInt64.self, capacity: Int(truncatingIfNeeded: chunks))
        let store = unsafe KernelPrivateStore(object, words, chunks: chunks)
        unsafe base.bindMemory(to: PrivateState.self, capacity: 1).initialize(
            to: PrivateState(
                handle: handle, flags: argument.flags, memory: PrivateMemory(pages: argument.pages, store: store)))
        return unsafe Int64(martlet_kernel_private_open(object))
    }

    /// The memory of a descriptor of the process, with a reference, for the VM with a handle.
    static func open(_ descriptor: Int32, for handle: UInt64) throws(LinuxError) -> PrivateFile {
        var object: OpaquePointer?
        // Safety: the variable is this function's own.
        guard unsafe martlet_kernel_private_get(descriptor, &object) != LinuxError.badDescriptor.returnValue else {
            throw .badDescriptor
        }
        guard let object = unsafe object else { throw .invalid }
        let file = unsafe PrivateFile(object)
        guard unsafe file.state.pointee.handle == handle else {
            file.put()
            throw .invalid
        }
        return file
    }

    /// Drops a reference.
    func put() { unsafe martlet_kernel_private_put(object) }

    /// Pages that there are.
    var pages: UInt64 { unsafe state.pointee.memory.pages }
    /// What the process asked for.
    var flags: PrivateMemoryArgument.Flags { unsafe state.pointee.flags }

    /// Runs `body` with the pages locked. It may sleep.
    func withPages<Result, Failure: Error>(
        _ body: (inout PrivateMemory<KernelPrivateStore>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        unsafe martlet_kernel_private_lock(object)
        defer { unsafe martlet_kernel_private_unlock(object) }
        return try unsafe body(&state.pointee.memory)
    }

    /// EL2 has given all pages of the guest back.
    func guestLeft() {
        for chunk in 0..<PrivateMemory<KernelPrivateStore>.chunks(pages: pages) {
            withPages { $0.guestLeft(chunk: chunk) }
            if chunk & 63 == 63 { martlet_kernel_pause() }
        }
    }

    /// The page that a process touches. Called locked.
    func fault(_ index: UInt64) -> Int64 {
        guard flags.contains(.initiallyShared) else { return LinuxError.fault.returnValue }
        return switch unsafe state.pointee.memory.hostPage(index) {
        case .frame(let frame): Int64(bitPattern: frame)
        case .refused: LinuxError.fault.returnValue
        case .noMemory: LinuxError.noMemory.returnValue
        }
    }

    /// The block of which a process touches a page; 0 if pages are mapped singly. Called locked.
    func faultBlock(_ index: UInt64) -> UInt64 {
        guard flags.contains(.initiallyShared) else { return 0 }
        return unsafe state.pointee.memory.hostBlock(index) ?? 0
    }

    /// Frees what there is, when nobody can reach it any more.
    func tearDown() {
        for chunk in 0..<PrivateMemory<KernelPrivateStore>.chunks(pages: pages) {
            unsafe state.pointee.memory.free(chunk: chunk)
            if chunk & 63 == 63 { martlet_kernel_pause() }
        }
        unsafe state.deinitialize(count: 1)
    }
}

/// Nonzero: a process may map the private memory.
@c(martlet_kvm_private_can_map)
public func kvmPrivateCanMap(object: OpaquePointer) -> UInt32 {
    unsafe PrivateFile(object).flags.contains(.mappable) ? 1 : 0
}

/// The frame of a page that a process touches, or a negative error number.
@c(martlet_kvm_private_fault)
public func kvmPrivateFault(object: OpaquePointer, index: UInt64) -> Int64 {
    unsafe PrivateFile(object).fault(index)
}

/// The first frame of the block that begins with a page, or 0.
@c(martlet_kvm_private_fault_block)
public func kvmPrivateFaultBlock(object: OpaquePointer, index: UInt64) -> UInt64 {
    unsafe PrivateFile(object).faultBlock(index)
}

/// Nothing refers to the private memory any more.
@c(martlet_kvm_private_release)
public func kvmPrivateRelease(object: OpaquePointer) {
    unsafe PrivateFile(object).tearDown()
}
