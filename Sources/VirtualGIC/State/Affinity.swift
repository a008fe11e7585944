// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Which vCPU is meant: by its place in the VM, by its affinity, or as one of several.

/// A vCPU by its place in the order of creation, from 0.
///
/// The number may come from anywhere: whatever takes a `VCPUIndex` treats one that the VM does not
/// have as a vCPU without interrupts.
public struct VCPUIndex: Hashable, Sendable {
    /// The place.
    public let rawValue: Int

    /// The vCPU at this place.
    @inlinable
    public init(_ rawValue: Int) { self.rawValue = rawValue }
}

/// A set of vCPUs: those that have to look at their interrupts again.
///
/// A vCPU of the set that is in the guest has to leave it; one that sleeps in WFI has to ask
/// `VirtualGIC.hasDeliverable(to:control:)` again.
public struct VCPUSet: Equatable, Sendable {
    /// Most vCPUs that a set, and so a VM, can have.
    public static let capacity = 64

    /// Bit n stands for the vCPU at place n.
    public private(set) var bits: UInt64 = 0

    /// No vCPU.
    public init() {}

    /// One vCPU; the empty set if the place is beyond `capacity`.
    public init(_ vcpu: VCPUIndex) { insert(vcpu) }

    /// Whether there is no vCPU in the set.
    public var isEmpty: Bool { bits == 0 }

    /// Whether a vCPU is in the set.
    public func contains(_ vcpu: VCPUIndex) -> Bool { bits & Self.bit(vcpu) != 0 }

    /// Adds a vCPU.
    public mutating func insert(_ vcpu: VCPUIndex) { bits |= Self.bit(vcpu) }

    /// Takes a vCPU out.
    public mutating func remove(_ vcpu: VCPUIndex) { bits &= ~Self.bit(vcpu) }

    /// Adds all vCPUs of another set.
    public mutating func formUnion(_ other: VCPUSet) { bits |= other.bits }

    /// Takes out the first vCPU and returns it; nil if the set is empty.
    public mutating func popFirst() -> VCPUIndex? {
        guard bits != 0 else { return nil }
        let first = VCPUIndex(bits.trailingZeroBitCount)
        remove(first)
        return first
    }

    private static func bit(_ vcpu: VCPUIndex) -> UInt64 {
        vcpu.rawValue >= 0 && vcpu.rawValue < capacity ? 1 &<< UInt64(truncatingIfNeeded: vcpu.rawValue) : 0
    }
}

/// The affinity of a vCPU as routing compares it: Aff2, Aff1, Aff0 in bits 23:0. Aff3 is zero
/// throughout, as GICD_TYPER.A3V says.
struct Affinity: Equatable {
    let bits: UInt32

    /// The affinity in the low bits of a register; what lies above Aff2 is not looked at.
    init(routing bits: UInt64) { self.bits = UInt32(truncatingIfNeeded: bits) & 0xFF_FFFF }

    /// The affinity that KVM gives a vCPU by its number: 16 vCPUs share an Aff1, so that the target
    /// list of ICC_SGI1R_EL1 reaches each without a range selector.
    init(vcpuID: UInt32) {
        bits = (vcpuID & 0xF) | (vcpuID &>> 4 & 0xFF) &<< 8 | (vcpuID &>> 12 & 0xFF) &<< 16
    }
}
