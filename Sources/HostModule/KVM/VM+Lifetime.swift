// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// How VMs and vCPUs come to be, and how EL2 gives everything back in the end.

internal import Arm
internal import CHostKernel
internal import HostModuleCore
internal import HypervisorInterface
internal import KVMCore

extension VM {
    /// KVM_CREATE_VM: a descriptor.
    static func create(type: UInt64) throws(LinuxError) -> Int64 {
        let machine = GuestMachine.current()
        let bits = try MachineType.addressBits(of: type, limit: machine.limits.addressBits)
        let vm = try VM.make(
            VMFacts(
                kind: MachineType.isProtected(type) ? .protected : .normal, addressBits: bits, machine: machine))
        do throws(LinuxError) {
            // Half of all VMs that there can be: nobody keeps everybody else from having any.
            // Safety: the object is alive by our reference.
            guard unsafe martlet_kernel_vm_admit(vm.object, UInt32(HostCall.maximumVMs / 2)) == 0 else {
                throw .tooManyFiles
            }
            try vm.makeAtEL2(bits)
            // Safety: the object is alive by our reference.
            guard unsafe martlet_kernel_vm_watch(vm.object) == 0 else { throw .noMemory }
        } catch {
            vm.put()
            throw error
        }
        let descriptor = unsafe martlet_kernel_vm_open(vm.object)
        if descriptor < 0 { vm.put() }
        return Int64(descriptor)
    }

    private func makeAtEL2(_ bits: UInt64) throws(LinuxError) {
        guard let geometry = TranslationGeometry.stage2(physicalAddressBits: bits) else { throw .invalid }
        // The root's tables come first, and one page more holds the VM itself.
        var order: UInt32 = 1
        while 1 << UInt64(order) <= geometry.rootPages { order += 1 }
        var block = try DonatedBlock(order: order)
        let answer = EL2.callWithPool(
            .createVM, vm: facts.kind.rawValue,
            GuestCallArguments(second: bits, third: block.first, fourth: block.pages))
        _ = block.stays(after: answer.status)
        switch CallStatus(rawValue: answer.status) {
        case .success:
            setHandle(answer.first)
        // All handles are in use.
        case .busy: throw .noSpace
        default: throw LinuxError(el2: answer.status)
        }
    }

    /// Donates 1 << `order` pages for the VM's tables.
    func donateTables(order: UInt32) throws(LinuxError) {
        var block = try DonatedBlock(order: order)
        let answer = EL2.callWithPool(
            .donateToVM, vm: handle, GuestCallArguments(second: block.first, third: block.pages))
        guard !block.stays(after: answer.status) else { throw LinuxError(el2: answer.status) }
    }

    /// KVM_CREATE_VCPU: a descriptor. EL2 learns of the vCPU when it is initialised, for only then it is known
    /// whether it starts by itself.
    func createVCPU(number: UInt64) throws(LinuxError) -> Int64 {
        guard number < HostCall.maximumVCPUs else { throw .invalid }
        let number = UInt32(truncatingIfNeeded: number)
        return try withConfiguration { (configuration) throws(LinuxError) in
            guard withInterrupts({ !$0.hasGIC }) else { throw .busy }
            try ProtectedRules(facts.kind, configuration.progress).checkMakeup()
            guard unsafe martlet_kernel_vcpu(object, number) == nil else { throw .exists }
            let vcpu = try VCPU.make(in: self, number: number, place: configuration.vcpus)
            let descriptor = unsafe martlet_kernel_vcpu_open(vcpu.object)
            guard descriptor >= 0 else {
                unsafe martlet_kernel_vcpu_drop(vcpu.object)
                return Int64(descriptor)
            }
            withInterrupts { interrupts in
                interrupts.numbers[interrupts.vcpus & 63] = number
                interrupts.vcpus += 1
            }
            configuration.vcpus += 1
            return Int64(descriptor)
        }
    }

    /// Has EL2 take the VM apart, step by step, and gives the kernel its pages back.
    func destroyAtEL2() {
        guard handle != 0 else { return }
        var patience = 100
        while true {
            let answer = EL2.call(.destroyVM, vm: handle, GuestCallArguments())
            if answer.status == CallStatus.noMemory.rawValue, patience > 0 {
                // Without pages for EL2 the VM and all that it has would be lost: they are not charged to the
                // process, and waited for.
                if !EL2.growPool(.teardown) {
                    martlet_kernel_wait()
                    patience -= 1
                }
                continue
            }
            // What EL2 does not give back stays offline: a page of its own that the kernel reused would
            // be worse.
            guard answer.status == CallStatus.success.rawValue else { return }
            if answer.third > 0 { martlet_kernel_pages_free(answer.second, answer.third) }
            if answer.first == DestroyProgress.done.rawValue {
                takePrivateMemoryBack()
                return
            }
            martlet_kernel_pause()
        }
    }
}

/// Nothing refers to the VM any more.
@c(martlet_kvm_destroy)
public func kvmDestroy(object: OpaquePointer) {
    let vm = unsafe VM(object)
    vm.destroyAtEL2()
    vm.tearDown()
}
