// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// One virtual machine of KVM: memory, vCPUs, GIC, interrupt lines.

internal import CLinux
public import VMMBoot
public import VMMConfiguration
public import VMMRun

/// A virtual machine, whose guest has not run yet when the initializer returns.
public final class VM: Sendable {
    // The kernel keeps the VM alive while any of the three kinds of descriptor is open. Should the memory be unmapped
    // before the last of them is closed, KVM unmaps it from the guest too: no CPU runs any more by then.
    private let gic: Descriptor
    /// The virtual CPUs.
    public let processors: [VCPU]
    private let vm: Descriptor
    private let memory: GuestMemory

    private enum Capability {
        static let userMemory: UInt32 = 3
        static let maximumProcessors: UInt32 = 66
        static let oneRegister: UInt32 = 70
        static let deviceControl: UInt32 = 89
        static let psci: UInt32 = 102
        static let immediateExit: UInt32 = 136
        static let addressBits: UInt32 = 165
        static let scalableVectors: UInt32 = 170
        static let pointerAuthenticationAddress: UInt32 = 171
        static let pointerAuthenticationGeneric: UInt32 = 172
        static let privateMemoryFlags: UInt32 = 244
    }

    /// The bit of a VM's type that asks for a protected one.
    private static let protectedType: UInt64 = 1 << 31

    /// Opens `/dev/kvm`, or says why it is no use.
    private static func open() throws(HostFailure) -> Descriptor {
        let kvm: Descriptor
        do throws(SystemError) {
            // Safety: the string's bytes are valid and NUL-terminated for the call.
            kvm = try Descriptor(owning: unsafe "/dev/kvm".withCString { unsafe clinux_open_device($0) })
        } catch {
            throw .openKVM(error)
        }
        let version = clinux_kvm_api_version(kvm.number)
        // Something else than KVM answers the version call with an error, which is told by its own name.
        guard version >= 0 else { throw .openKVM(SystemError(version)) }
        guard version == 12 else { throw .wrongVersion(version) }
        return kvm
    }

    private static func require(
        _ number: UInt32, _ capability: HostFailure.Capability, of kvm: borrowing Descriptor
    ) throws(HostFailure) {
        guard clinux_kvm_check_extension(kvm.number, number) > 0 else { throw .missing(capability) }
    }

    /// A virtual machine without CPUs, devices and memory.
    public struct Shell: ~Copyable {
        fileprivate let kvm: Descriptor
        fileprivate let vm: Descriptor
    }

    /// Creates the machine of `plan`, empty so far.
    public static func open(_ plan: MachinePlan) throws(HostFailure) -> Shell {
        let kvm = try VM.open()
        try VM.require(Capability.userMemory, .userMemory, of: kvm)
        try VM.require(Capability.oneRegister, .oneRegister, of: kvm)
        try VM.require(Capability.psci, .psci, of: kvm)
        try VM.require(Capability.deviceControl, .devices, of: kvm)
        try VM.require(Capability.immediateExit, .immediateExit, of: kvm)
        let most = Int(clinux_kvm_check_extension(kvm.number, Capability.maximumProcessors))
        if most > 0, plan.processors > most {
            throw .tooManyProcessors(asked: plan.processors, most: most)
        }
        let vm = try VM.create(plan, kvm: kvm)
        return Shell(kvm: kvm, vm: vm)
    }

    /// The memory of `plan`, from where it can come from on this host.
    public static func makeMemory(_ plan: MachinePlan, for shell: borrowing Shell) throws(HostFailure) -> GuestMemory {
        guard plan.protection == .protected else {
            return try GuestMemory(plan.map.memory, backing: .anonymous, asked: plan.memory)
        }
        // Both flags: the guest's first content is written through a mapping.
        let hasDescriptors = clinux_kvm_check_extension(shell.vm.number, Capability.privateMemoryFlags) & 3 == 3
        if !hasDescriptors, plan.privateMemory == .descriptor { throw .missing(.privateMemory) }
        guard hasDescriptors, plan.privateMemory != .pinned else {
            let memory = try GuestMemory(plan.map.memory, backing: .anonymous, asked: plan.memory)
            try memory.checkLocking(asked: plan.memory)
            return memory
        }
        try GuestMemory.checkMachine(has: plan.memory)
        let file: Descriptor
        do throws(SystemError) {
            file = try Descriptor(
                owning: clinux_kvm_create_private_memory(shell.vm.number, plan.map.memory.count))
        } catch {
            throw .step(.createPrivateMemory, error)
        }
        return try GuestMemory(plan.map.memory, backing: .descriptor(file), asked: plan.memory)
    }

    /// Builds the machine of `plan` around `memory`, which holds all that the guest starts with.
    public init(_ plan: MachinePlan, in shell: consuming Shell, memory: consuming GuestMemory) throws(HostFailure) {
        // Safety: the memory is mapped, of this size, and outlives the VM.
        let result =
            switch memory.backing {
            case .anonymous:
                unsafe clinux_kvm_set_memory(
                    shell.vm.number, 0, memory.range.start.value, memory.range.count, memory.base)
            case .descriptor(let file):
                unsafe clinux_kvm_set_private_memory(
                    shell.vm.number, 0, memory.range.start.value, memory.range.count, memory.base, file.number)
            }
        guard result == 0 else { throw .step(.setMemory, SystemError(result)) }

        processors = try VM.createProcessors(plan, kvm: shell.kvm, vm: shell.vm)
        gic = try VM.createInterruptController(plan.map, vm: shell.vm)
        vm = shell.vm
        self.memory = memory
    }

    private static func create(
        _ plan: MachinePlan, kvm: borrowing Descriptor
    ) throws(HostFailure) -> Descriptor {
        // Zero from a kernel that does not know the question means its only size, 40 bits.
        let reported = Int(clinux_kvm_check_extension(kvm.number, Capability.addressBits))
        let most = reported > 0 ? reported : 40
        guard plan.addressBits <= most else {
            throw .addressSpaceTooSmall(bits: most, needed: plan.addressBits)
        }
        let bits = UInt64(min(most, 40))
        do throws(SystemError) {
            switch plan.protection {
            case .normal: return try Descriptor(owning: clinux_kvm_create_vm(kvm.number, bits))
            case .protected: return try Descriptor(owning: clinux_kvm_create_vm(kvm.number, bits | protectedType))
            }
        } catch {
            switch plan.protection {
            case .normal: throw .createVM(error)
            case .protected: throw .createProtectedVM(error)
            }
        }
    }

    private static func createProcessors(
        _ plan: MachinePlan, kvm: borrowing Descriptor, vm: borrowing Descriptor
    ) throws(HostFailure) -> [VCPU] {
        let size = clinux_kvm_run_size(kvm.number)
        guard size > 0 else { throw .step(.createProcessor, SystemError(size)) }
        var features: VCPU.Features = [.psci]
        // The VM is asked, not /dev/kvm, since a protected VM may offer less.
        if clinux_kvm_check_extension(vm.number, Capability.scalableVectors) > 0 {
            features.insert(.scalableVectors)
        }
        if clinux_kvm_check_extension(vm.number, Capability.pointerAuthenticationAddress) > 0,
            clinux_kvm_check_extension(vm.number, Capability.pointerAuthenticationGeneric) > 0
        {
            features.insert(.pointerAuthentication)
        }
        var processors: [VCPU] = []
        for index in 0..<plan.processors {
            let processor: VCPU
            do throws(SystemError) {
                let descriptor = try Descriptor(owning: clinux_kvm_create_vcpu(vm.number, UInt64(index)))
                processor = try VCPU(descriptor, pageSize: UInt64(size))
            } catch {
                throw .step(.createProcessor, error)
            }
            do throws(SystemError) {
                // All but the first wait until the guest itself turns them on.
                try processor.initialize(index == 0 ? features : features.union(.powerOff), vm: vm)
            } catch {
                throw .step(.initProcessor, error)
            }
            processors.append(processor)
        }
        do throws(SystemError) {
            try processors[0].setBootState(entry: plan.boot.kernel.start, deviceTree: plan.boot.deviceTree.start)
        } catch {
            throw .step(.setRegister, error)
        }
        return processors
    }

    private static func createInterruptController(
        _ map: AddressMap, vm: borrowing Descriptor
    ) throws(HostFailure) -> Descriptor {
        do throws(SystemError) {
            let gic = try Descriptor(owning: clinux_kvm_create_gic(vm.number))
            // Group 0 places the redistributors (3) and the distributor (2), group 3 sets the number of interrupts,
            // and group 4 initialises, for which all vCPUs must exist.
            try set(gic, group: 0, attribute: 3, map.redistributors.start.value)
            try set(gic, group: 0, attribute: 2, map.distributor.start.value)
            try set(gic, group: 3, attribute: 0, AddressMap.interruptCount)
            let result = clinux_kvm_set_attribute(gic.number, 4, 0, nil)
            guard result == 0 else { throw SystemError(result) }
            return gic
        } catch {
            throw .step(.interruptController, error)
        }
    }

    private static func set<Value: FixedWidthInteger>(
        _ device: borrowing Descriptor, group: UInt32, attribute: UInt64, _ value: Value
    ) throws(SystemError) {
        var value = value
        // Safety: the pointer is valid for the call, and the kernel reads as many bytes as the attribute has.
        let result = unsafe clinux_kvm_set_attribute(device.number, group, attribute, &value)
        guard result == 0 else { throw SystemError(result) }
    }

    /// Sets the level of a shared peripheral interrupt.
    func set(_ interrupt: SharedInterrupt, level: Bool) throws(SystemError) {
        // KVM_IRQ_LINE: the type in bits 27 to 24, 1 for a shared peripheral interrupt, and the INTID in bits 15 to 0.
        let result = clinux_kvm_set_interrupt(vm.number, 1 << 24 | interrupt.number, level ? 1 : 0)
        guard result == 0 else { throw SystemError(result) }
    }
}
