// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// One virtual CPU of KVM.

internal import CLinux
public import VMMBoot
public import VMMConfiguration
public import VMMRun

/// A virtual CPU. Its own thread runs it; any thread may ask it to stop.
@safe public final class VCPU: @unchecked Sendable {
    // The kernel lets one thread at a time run a vCPU. The only field of the shared page that another thread
    // touches is the flag for an immediate exit, which is written atomically.
    private let descriptor: Descriptor
    private let page: UnsafeMutableRawPointer
    private let pageSize: UInt64

    /// Takes a vCPU that was just created.
    init(_ descriptor: consuming Descriptor, pageSize: UInt64) throws(SystemError) {
        var error: Int32 = 0
        // Safety: a fresh mapping of the size that the kernel gave.
        guard let page = unsafe clinux_kvm_map_run(descriptor.number, pageSize, &error) else {
            throw SystemError(error)
        }
        unsafe self.page = unsafe page
        self.pageSize = pageSize
        self.descriptor = descriptor
    }

    // Safety: the mapping is this object's own and of this size.
    deinit { unsafe clinux_unmap(page, pageSize) }

    /// The feature bits of KVM_ARM_VCPU_INIT.
    struct Features: OptionSet {
        let rawValue: UInt32
        /// The vCPU waits for another one's CPU_ON.
        static let powerOff = Features(rawValue: 1 << 0)
        /// PSCI 0.2 or later.
        static let psci = Features(rawValue: 1 << 2)
        /// The Scalable Vector Extension.
        static let scalableVectors = Features(rawValue: 1 << 4)
        /// Pointer authentication by address keys and by the generic key.
        static let pointerAuthentication = Features(rawValue: 1 << 5 | 1 << 6)
    }

    private static let scalableVectorsFeature: Int32 = 4

    /// Initialises the vCPU with `features`.
    func initialize(_ features: Features, vm: borrowing Descriptor) throws(SystemError) {
        var result = clinux_kvm_init_vcpu(vm.number, descriptor.number, features.rawValue)
        guard result == 0 else { throw SystemError(result) }
        if features.contains(.scalableVectors) {
            result = clinux_kvm_finalize_vcpu(descriptor.number, VCPU.scalableVectorsFeature)
            guard result == 0 else { throw SystemError(result) }
        }
    }

    /// Sets the state that the boot protocol asks for: the device tree's address in x0, zero in x1 to x3, interrupts
    /// masked, EL1 with its own stack pointer.
    func setBootState(entry: GuestAddress, deviceTree: GuestAddress) throws(SystemError) {
        try set(VCPU.general(0), deviceTree.value)
        for index in 1...3 { try set(VCPU.general(UInt64(index)), 0) }
        try set(VCPU.programCounter, entry.value)
        try set(VCPU.processorState, 0x3C5)
    }

    private static func general(_ index: UInt64) -> UInt64 { 0x6030_0000_0010_0000 + 2 * index }
    private static let programCounter: UInt64 = 0x6030_0000_0010_0040
    private static let processorState: UInt64 = 0x6030_0000_0010_0042

    private func set(_ register: UInt64, _ value: UInt64) throws(SystemError) {
        let result = clinux_kvm_set_register(descriptor.number, register, value)
        guard result == 0 else { throw SystemError(result) }
    }

    /// Makes the next entry into the guest, or the one under way after its thread was kicked, return at once.
    func requestExit() {
        // Safety: the page lives as long as the object.
        unsafe clinux_kvm_set_immediate_exit(page)
    }
}

/// The side of a vCPU that its own thread uses.
struct RunningVCPU: VirtualProcessor {
    let vcpu: VCPU

    mutating func run() throws(SystemError) -> VCPUExit { try vcpu.enter() }
    mutating func answer(_ value: UInt64) { vcpu.answer(value) }
}

extension VCPU {
    /// Runs guest code until the kernel wants something.
    fileprivate func enter() throws(SystemError) -> VCPUExit {
        let result = clinux_kvm_run(descriptor.number)
        guard result >= 0 else { throw SystemError(result) }
        // Safety: the page lives as long as the object, and the kernel writes it only during the call above.
        let exit = unsafe clinux_kvm_last_exit(page)
        return VCPUExit(
            VCPUExit.Raw(
                reason: exit.reason, address: exit.address, data: exit.data, length: exit.length,
                isWrite: exit.is_write, detail: exit.detail))
    }

    /// Gives the value that a device read yields.
    fileprivate func answer(_ value: UInt64) {
        // Safety: as above.
        unsafe clinux_kvm_answer_read(page, value)
    }
}
