// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The ioctls that are served, with Linux's numbers (Documentation/virt/kvm/api.rst). The numbers
// carry the size of the argument, so that a process with another layout never matches.

/// ioctls of `/dev/kvm`.
public enum SystemRequest: UInt32, CaseIterable, Sendable {
    /// KVM_GET_API_VERSION.
    case apiVersion = 0xAE00
    /// KVM_CREATE_VM.
    case createVM = 0xAE01
    /// KVM_CHECK_EXTENSION.
    case checkExtension = 0xAE03
    /// KVM_GET_VCPU_MMAP_SIZE.
    case vcpuMapSize = 0xAE04
}

/// ioctls of a VM's descriptor.
public enum VMRequest: UInt32, CaseIterable, Sendable {
    /// KVM_CHECK_EXTENSION.
    case checkExtension = 0xAE03
    /// KVM_CREATE_VCPU.
    case createVCPU = 0xAE41
    /// KVM_SET_USER_MEMORY_REGION.
    case setUserMemoryRegion = 0x4020_AE46
    /// KVM_SET_USER_MEMORY_REGION2.
    case setUserMemoryRegion2 = 0x40A0_AE49
    /// KVM_IRQ_LINE.
    case irqLine = 0x4008_AE61
    /// KVM_ARM_PREFERRED_TARGET.
    case preferredTarget = 0x8020_AEAF
    /// KVM_CREATE_DEVICE.
    case createDevice = 0xC00C_AEE0
    /// KVM_CREATE_GUEST_MEMFD.
    case createPrivateMemory = 0xC040_AED4
    /// KVM_HAS_DEVICE_ATTR: a VM has no attributes of its own.
    case hasDeviceAttribute = 0x4018_AEE3
}

/// ioctls of a vCPU's descriptor.
public enum VCPURequest: UInt32, CaseIterable, Sendable {
    /// KVM_RUN.
    case run = 0xAE80
    /// KVM_GET_MP_STATE.
    case getMPState = 0x8004_AE98
    /// KVM_SET_MP_STATE.
    case setMPState = 0x4004_AE99
    /// KVM_GET_ONE_REG.
    case getOneRegister = 0x4010_AEAB
    /// KVM_SET_ONE_REG.
    case setOneRegister = 0x4010_AEAC
    /// KVM_ARM_VCPU_INIT.
    case initialise = 0x4020_AEAE
    /// KVM_ARM_VCPU_FINALIZE.
    case finalise = 0x4004_AEC2
    /// KVM_GET_REG_LIST.
    case registerList = 0xC008_AEB0
    /// KVM_SET_DEVICE_ATTR: a vCPU has no attributes yet.
    case setDeviceAttribute = 0x4018_AEE1
    /// KVM_GET_DEVICE_ATTR.
    case getDeviceAttribute = 0x4018_AEE2
    /// KVM_HAS_DEVICE_ATTR.
    case hasDeviceAttribute = 0x4018_AEE3
}

/// ioctls of a device's descriptor.
public enum DeviceRequest: UInt32, CaseIterable, Sendable {
    /// KVM_SET_DEVICE_ATTR.
    case setAttribute = 0x4018_AEE1
    /// KVM_GET_DEVICE_ATTR.
    case getAttribute = 0x4018_AEE2
    /// KVM_HAS_DEVICE_ATTR.
    case hasAttribute = 0x4018_AEE3
}

/// The version of the interface that KVM_GET_API_VERSION names.
public let apiVersion: Int64 = 12

extension LinuxError {
    /// What a request gives that its descriptor does not know. Linux on arm64 answers EINVAL for all
    /// but devices.
    public static var unknownRequest: LinuxError { .invalid }
    /// The same for a device's descriptor.
    public static var unknownDeviceRequest: LinuxError { .notTypewriter }
}
