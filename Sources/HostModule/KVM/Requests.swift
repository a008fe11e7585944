// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The ioctls of /dev/kvm and its descendants: each request to the function that serves it.

internal import CHostKernel
internal import HypervisorInterface
internal import KVMCore

/// The result of an ioctl, or its error.
private func result(_ body: () throws(LinuxError) -> Int64) -> Int64 {
    do throws(LinuxError) {
        return try body()
    } catch {
        return error.returnValue
    }
}

/// The extension that a process asks for.
private func checkExtension(_ argument: UInt64, of answerer: MachineLimits.Answerer) -> Int64 {
    GuestMachine.current().limits.answer(to: argument, of: answerer)
}

/// The size of what a vCPU's descriptor can be mapped for: `struct kvm_run` in its page.
private let vcpuMapSize: Int64 = 4096

/// ioctls of /dev/kvm.
@c(martlet_kvm_system)
public func kvmSystem(request: UInt32, argument: UInt64) -> Int64 {
    result { () throws(LinuxError) in
        switch SystemRequest(rawValue: request) {
        case .apiVersion:
            guard argument == 0 else { throw .invalid }
            return apiVersion
        case .createVM: return try VM.create(type: argument)
        case .checkExtension: return checkExtension(argument, of: .system)
        case .vcpuMapSize:
            guard argument == 0 else { throw .invalid }
            return vcpuMapSize
        case nil: throw .unknownRequest
        }
    }
}

/// ioctls of a VM.
@c(martlet_kvm_vm)
public func kvmVM(object: OpaquePointer, request: UInt32, argument: UInt64) -> Int64 {
    let vm = unsafe VM(object)
    return result { () throws(LinuxError) in
        try vm.checkCaller()
        switch VMRequest(rawValue: request) {
        case .checkExtension:
            return checkExtension(argument, of: vm.facts.kind == .protected ? .protectedVM : .normalVM)
        case .createVCPU: return try vm.createVCPU(number: argument)
        case .setUserMemoryRegion:
            try vm.setRegion(MemoryRegionArgument(try Process.read(argument)), source: nil)
        case .setUserMemoryRegion2:
            try vm.setRegion(PrivateRegionArgument(try Process.read(argument)))
        case .createPrivateMemory:
            return try vm.createPrivateMemory(PrivateMemoryArgument(try Process.read(argument)))
        case .irqLine:
            let words: InlineArray<1, UInt64> = try Process.read(argument)
            try vm.setLine(InterruptLevelArgument(words[0]))
        case .preferredTarget: try Process.write(VCPUInitArgument.preferred, to: argument)
        case .createDevice:
            let words: InlineArray<2, UInt64> = try Process.read(argument, bytes: 12)
            return try createDevice(vm, words, argument)
        case .hasDeviceAttribute: throw .noDeviceOrAddress
        case nil: throw .unknownRequest
        }
        return 0
    }
}

/// KVM_CREATE_DEVICE returns the descriptor inside its argument.
private func createDevice(
    _ vm: VM, _ words: InlineArray<2, UInt64>, _ address: UInt64
) throws(LinuxError) -> Int64 {
    let argument = CreateDeviceArgument(words)
    // The argument must be writable before there is a descriptor that nobody would ever hear of.
    try Process.write(words, to: address, bytes: 12)
    let descriptor = try vm.createDevice(argument)
    guard descriptor >= 0, argument.purpose == .create else { return descriptor }
    var answer = words
    answer[0] = words[0] & 0xFFFF_FFFF | UInt64(truncatingIfNeeded: descriptor) << 32
    // If the page has gone since, the process has a descriptor that it does not know, and closes it
    // when it ends.
    try Process.write(answer, to: address, bytes: 12)
    return 0
}

/// ioctls of a vCPU, one at a time.
@c(martlet_kvm_vcpu)
public func kvmVCPU(object: OpaquePointer, request: UInt32, argument: UInt64) -> Int64 {
    let vcpu = unsafe VCPU(object)
    return result { () throws(LinuxError) in
        try vcpu.vm.checkCaller()
        switch VCPURequest(rawValue: request) {
        case .run:
            guard argument == 0 else { throw .invalid }
            return try vcpu.run()
        case .initialise:
            let lengths = vcpu.vm.facts.machine.limits.vectorLengths
            try vcpu.initialise(VCPUInitArgument(try Process.read(argument), vectors: lengths))
        case .finalise: try vcpu.finalise(Process.read(argument, bytes: 4))
        case .getOneRegister: try vcpu.getRegister(OneRegisterArgument(try Process.read(argument)))
        case .setOneRegister: try vcpu.setRegister(OneRegisterArgument(try Process.read(argument)))
        case .registerList: try vcpu.listRegisters(to: argument)
        case .getMPState: try vcpu.getMPState(to: argument)
        case .setMPState: try vcpu.setMPState(from: argument)
        case .setDeviceAttribute, .getDeviceAttribute, .hasDeviceAttribute: throw .noDeviceOrAddress
        case nil: throw .unknownRequest
        }
        return 0
    }
}

/// ioctls of a VM's GIC.
@c(martlet_kvm_gic)
public func kvmGIC(object: OpaquePointer, request: UInt32, argument: UInt64) -> Int64 {
    let vm = unsafe VM(object)
    return result { () throws(LinuxError) in
        try vm.checkCaller()
        guard let request = DeviceRequest(rawValue: request) else { throw .unknownDeviceRequest }
        let attribute = DeviceAttributeArgument(try Process.read(argument))
        switch request {
        case .setAttribute: try vm.setAttribute(attribute)
        case .getAttribute: try vm.getAttribute(attribute)
        case .hasAttribute: try vm.hasAttribute(attribute)
        }
        return 0
    }
}
