// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What KVM_CHECK_EXTENSION tells. A capability that is not listed is answered with 0: it is not
// there, whether Linux knows it or not.

public import HypervisorInterface

/// Capabilities with an answer other than 0, by Linux's numbers.
public enum Capability: UInt64, CaseIterable, Sendable {
    /// KVM_CAP_IRQCHIP: a GIC can be had.
    case irqchip = 0
    /// KVM_CAP_USER_MEMORY.
    case userMemory = 3
    /// KVM_CAP_NR_VCPUS: the recommended number.
    case recommendedVCPUs = 9
    /// KVM_CAP_NR_MEMSLOTS.
    case memorySlots = 10
    /// KVM_CAP_MP_STATE.
    case mpState = 14
    /// KVM_CAP_SYNC_MMU: changes of the process's mappings reach the guest.
    case syncMMU = 16
    /// KVM_CAP_DESTROY_MEMORY_REGION_WORKS.
    case destroyMemoryRegionWorks = 21
    /// KVM_CAP_JOIN_MEMORY_REGIONS_WORKS.
    case joinMemoryRegionsWorks = 30
    /// KVM_CAP_INTERNAL_ERROR_DATA.
    case internalErrorData = 40
    /// KVM_CAP_MAX_VCPUS.
    case maximumVCPUs = 66
    /// KVM_CAP_ONE_REG.
    case oneRegister = 70
    /// KVM_CAP_ARM_PSCI.
    case psci = 87
    /// KVM_CAP_DEVICE_CTRL.
    case deviceControl = 89
    /// KVM_CAP_ARM_PSCI_0_2.
    case psci02 = 102
    /// KVM_CAP_CHECK_EXTENSION_VM.
    case checkExtensionVM = 105
    /// KVM_CAP_MAX_VCPU_ID.
    case maximumVCPUID = 128
    /// KVM_CAP_IMMEDIATE_EXIT.
    case immediateExit = 136
    /// KVM_CAP_ARM_VM_IPA_SIZE.
    case addressBits = 165
    /// KVM_CAP_ARM_SVE.
    case scalableVectors = 170
    /// KVM_CAP_ARM_IRQ_LINE_LAYOUT_2.
    case irqLineLayout2 = 174
    /// KVM_CAP_USER_MEMORY2: KVM_SET_USER_MEMORY_REGION2 is there.
    case userMemory2 = 231
    /// KVM_CAP_GUEST_MEMFD: descriptors of private memory, for protected VMs.
    case privateMemory = 234
    /// KVM_CAP_GUEST_MEMFD_FLAGS: the flags of such a descriptor.
    case privateMemoryFlags = 244
}

/// What the answers depend on.
public struct MachineLimits: Equatable, Sendable {
    /// Most bits of a guest physical address.
    public let addressBits: UInt64
    /// CPUs of the host.
    public let hostCPUs: UInt64
    /// Most vCPUs of a VM.
    public let vcpus: UInt64
    /// Vector lengths that guests may have.
    public let vectorLengths: VectorLengths

    /// These limits. Translation is never wider than 48 bits, whatever the machine has.
    public init(physicalBits: UInt64, hostCPUs: UInt64, vcpus: UInt64, vectorLengths: VectorLengths) {
        addressBits = min(physicalBits, 48)
        self.hostCPUs = hostCPUs
        self.vcpus = vcpus
        self.vectorLengths = vectorLengths
    }

    /// Whom KVM_CHECK_EXTENSION is asked.
    public enum Answerer: Sendable {
        /// `/dev/kvm`, which tells what some VM can have.
        case system
        /// A VM that the host can read.
        case normalVM
        /// A protected VM.
        case protectedVM
    }

    /// The answer to KVM_CHECK_EXTENSION.
    public func answer(to capability: UInt64, of answerer: Answerer) -> Int64 {
        switch Capability(rawValue: capability) {
        case nil: 0
        // A protected guest keeps its pages whatever the process maps.
        case .syncMMU: answerer == .protectedVM ? 0 : 1
        case .recommendedVCPUs: Int64(clamping: min(hostCPUs, vcpus))
        case .maximumVCPUs, .maximumVCPUID: Int64(clamping: vcpus)
        case .scalableVectors: vectorLengths == .none ? 0 : 1
        case .memorySlots: Int64(MemorySlot.capacity)
        case .addressBits: Int64(clamping: addressBits)
        case .irqchip, .userMemory, .mpState, .destroyMemoryRegionWorks, .joinMemoryRegionsWorks,
            .internalErrorData, .oneRegister, .psci, .deviceControl, .psci02, .checkExtensionVM, .immediateExit,
            .irqLineLayout2, .userMemory2:
            1
        // A normal VM's memory is the process's own, and so can be swapped.
        case .privateMemory: answerer == .normalVM ? 0 : 1
        case .privateMemoryFlags:
            answerer == .normalVM ? 0 : Int64(clamping: PrivateMemoryArgument.Flags.all.rawValue)
        }
    }
}
