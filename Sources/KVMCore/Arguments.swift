// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Arguments of ioctls as they come from a process: words that were copied once and are then
// decoded. Little-endian, as arm64 kernels are that serve KVM.

public import HypervisorInterface

/// Splits a word into its 32-bit halves.
private func halves(_ word: UInt64) -> (low: UInt32, high: UInt32) {
    (UInt32(truncatingIfNeeded: word), UInt32(truncatingIfNeeded: word >> 32))
}

/// `struct kvm_userspace_memory_region`.
public struct MemoryRegionArgument: Equatable, Sendable {
    /// Number of the slot, with the address space in bits 31:16.
    public var slot: UInt32
    /// KVM_MEM_* bits.
    public var flags: UInt32
    /// Where the guest sees it.
    public var guestAddress: UInt64
    /// Bytes; 0 deletes the slot.
    public var size: UInt64
    /// Where the process has it.
    public var userAddress: UInt64

    /// 64-bit words that it has.
    public static let words = 4

    /// A region by its fields.
    public init(slot: UInt32, flags: UInt32 = 0, guestAddress: UInt64, size: UInt64, userAddress: UInt64) {
        self.slot = slot
        self.flags = flags
        self.guestAddress = guestAddress
        self.size = size
        self.userAddress = userAddress
    }

    /// Decodes the structure.
    public init(_ words: InlineArray<4, UInt64>) {
        (slot, flags) = halves(words[0])
        guestAddress = words[1]
        size = words[2]
        userAddress = words[3]
    }
}

extension MemoryRegionArgument {
    /// KVM_MEM_GUEST_MEMFD.
    public static let privateFlag: UInt32 = 1 << 2
}

/// `struct kvm_userspace_memory_region2`, which begins as the older one does.
public struct PrivateRegionArgument: Equatable, Sendable {
    /// The part that both have.
    public let region: MemoryRegionArgument
    /// The first byte in the private memory.
    public let offset: UInt64
    /// The descriptor of the private memory.
    public let descriptor: Int32

    /// Decodes the structure. Padding is not looked at, as in Linux.
    public init(_ words: InlineArray<20, UInt64>) {
        region = MemoryRegionArgument([words[0], words[1], words[2], words[3]])
        offset = words[4]
        descriptor = Int32(truncatingIfNeeded: words[5])
    }

    /// Whether the region's memory is that of the descriptor (KVM_MEM_GUEST_MEMFD). A region that is deleted needs
    /// none.
    public var isPrivate: Bool { region.flags & MemoryRegionArgument.privateFlag != 0 && region.size > 0 }

    /// The first page of the memory that is meant, by its index.
    /// - Parameter pages: how many pages the memory has.
    public func firstPage(of pages: UInt64) throws(LinuxError) -> UInt64 {
        let (end, overflow) = offset.addingReportingOverflow(region.size)
        guard offset & (PageUnit.size &- 1) == 0, !overflow, end <= pages << PageUnit.shift else { throw .invalid }
        return offset >> PageUnit.shift
    }
}

/// `struct kvm_device_attr`.
public struct DeviceAttributeArgument: Equatable, Sendable {
    /// Nothing is defined here; Linux does not look.
    public let flags: UInt32
    /// The attribute's group.
    public let group: UInt32
    /// The attribute in its group.
    public let attribute: UInt64
    /// Where the process has the value.
    public let userAddress: UInt64

    /// Decodes the structure.
    public init(_ words: InlineArray<3, UInt64>) {
        (flags, group) = halves(words[0])
        attribute = words[1]
        userAddress = words[2]
    }
}

/// `struct kvm_one_reg`.
public struct OneRegisterArgument: Equatable, Sendable {
    /// Which register.
    public let identifier: UInt64
    /// Where the process has the value.
    public let userAddress: UInt64

    /// Decodes the structure.
    public init(_ words: InlineArray<2, UInt64>) {
        identifier = words[0]
        userAddress = words[1]
    }
}

/// `struct kvm_irq_level`.
public struct InterruptLevelArgument: Equatable, Sendable {
    /// The line.
    public let line: UInt32
    /// Nonzero: high.
    public let level: UInt32

    /// Decodes the structure.
    public init(_ word: UInt64) { (line, level) = halves(word) }
}

/// The request of `struct kvm_create_device`, whose second word is where the descriptor goes.
public struct CreateDeviceArgument: Equatable, Sendable {
    /// What to do about a type of device.
    public enum Purpose: Equatable, Sendable {
        /// Make one.
        case create
        /// Only say whether one could be made.
        case test
    }

    /// KVM_DEV_TYPE_ARM_VGIC_V3.
    public static let gicV3: UInt32 = 7

    /// The type.
    public let type: UInt32
    /// What to do.
    public let purpose: Purpose

    /// Decodes the three words of 32 bits, the last in the low half of the second.
    public init(_ words: InlineArray<2, UInt64>) {
        type = halves(words[0]).low
        purpose = halves(words[1]).low & 1 != 0 ? .test : .create
    }
}

/// `struct kvm_vcpu_init`.
public struct VCPUInitArgument: Equatable, Sendable {
    /// KVM_ARM_TARGET_GENERIC_V8, the only target.
    public static let genericTarget: UInt32 = 5

    /// Feature bits of word 0.
    public struct Features: OptionSet, Sendable {
        /// The bits.
        public let rawValue: UInt32
        /// The features of these bits.
        public init(rawValue: UInt32) { self.rawValue = rawValue }

        /// The vCPU waits for another one's CPU_ON.
        public static let powerOff = Features(rawValue: 1 << 0)
        /// PSCI 0.2 or later.
        public static let psci = Features(rawValue: 1 << 2)

        /// The Scalable Vector Extension, which KVM_ARM_VCPU_FINALIZE completes.
        public static let scalableVectors = Features(rawValue: 1 << 4)

        /// Linux has names for the bits up to this one.
        static let known: UInt32 = 0xFF
    }

    /// The features that were asked for.
    public let features: Features

    /// Decodes and checks the structure. Every guest has PSCI 1.1, so that a process that does not
    /// ask for PSCI, and would get 0.1 from Linux, is refused.
    ///
    /// - Parameter lengths: vector lengths that guests may have.
    public init(_ words: InlineArray<4, UInt64>, vectors lengths: VectorLengths) throws(LinuxError) {
        let (target, features) = halves(words[0])
        guard target == Self.genericTarget else { throw .invalid }
        guard words[1] | words[2] | words[3] == 0, features & ~Features.known == 0 else { throw .noEntry }
        self.features = Features(rawValue: features)
        let offered: Features = lengths == .none ? [.powerOff, .psci] : [.powerOff, .psci, .scalableVectors]
        guard self.features.isSubset(of: offered), self.features.contains(.psci) else {
            throw .invalid
        }
    }

    /// What KVM_ARM_PREFERRED_TARGET gives.
    public static var preferred: InlineArray<4, UInt64> { [UInt64(genericTarget), 0, 0, 0] }
}

/// The argument of KVM_CREATE_VM.
public enum MachineType {
    /// Bit 31 asks for a protected VM (KVM_VM_TYPE_ARM_PROTECTED).
    private static var protected: UInt64 { 1 << 31 }

    /// Whether a type asks for a protected VM.
    public static func isProtected(_ type: UInt64) -> Bool { type & protected != 0 }

    /// The bits of a guest physical address that a type asks for.
    /// - Parameter limit: most bits on this machine.
    public static func addressBits(of type: UInt64, limit: UInt64) throws(LinuxError) -> UInt64 {
        guard type & ~(protected | 0xFF) == 0 else { throw .invalid }
        let bits = type & 0xFF == 0 ? 40 : type & 0xFF
        guard bits >= 32, bits <= limit else { throw .invalid }
        return bits
    }
}
