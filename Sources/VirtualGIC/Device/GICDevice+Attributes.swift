// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// KVM_SET_DEVICE_ATTR, KVM_GET_DEVICE_ATTR and KVM_HAS_DEVICE_ATTR for the GIC.

/// An attribute of the GIC device.
public enum GICAttribute: Equatable, Sendable {
    /// Group 0, attribute 2: the distributor's address.
    case distributorAddress
    /// Group 0, attribute 3: the address of one region with all redistributors.
    case redistributorAddress
    /// Group 0, attribute 5: a region with some redistributors.
    case redistributorRegion
    /// Group 0, any other attribute. Linux looks at the VMM's value before it refuses.
    case unknownAddress
    /// Group 3: the number of INTIDs.
    case interrupts
    /// Group 4, attribute 0: everything is configured.
    case initialise

    /// The attribute of these numbers of `struct kvm_device_attr`; nil if the device has none like it.
    public init?(group: UInt32, attribute: UInt64) {
        switch (group, attribute) {
        case (0, 2): self = .distributorAddress
        case (0, 3): self = .redistributorAddress
        case (0, 5): self = .redistributorRegion
        case (0, _): self = .unknownAddress
        case (3, _): self = .interrupts
        case (4, 0): self = .initialise
        default: return nil
        }
    }

    /// What a VMM passes by its pointer.
    public enum Payload: Equatable, Sendable {
        case none, word, doubleword
    }

    /// What is copied to or from the VMM.
    public var payload: Payload {
        switch self {
        case .distributorAddress, .redistributorAddress, .redistributorRegion, .unknownAddress: .doubleword
        case .interrupts: .word
        case .initialise: .none
        }
    }

    /// Whether reading it takes the VMM's value first.
    public var isReadByValue: Bool { self == .redistributorRegion }

    /// Whether KVM_HAS_DEVICE_ATTR finds it; if not, the answer is ENXIO.
    public var exists: Bool { self != .unknownAddress }
}

/// The VM's vCPUs as far as the device's attributes depend on them.
public struct VCPUCount: Equatable, Sendable {
    /// vCPUs that exist.
    public let online: Int
    /// vCPUs that exist or are being created.
    public let created: Int

    /// These counts.
    public init(online: Int, created: Int) {
        self.online = online
        self.created = created
    }
}

extension GICDevice {
    /// KVM_SET_DEVICE_ATTR.
    ///
    /// After `.initialise` has succeeded for the first time, which `phase` shows, the module makes the
    /// `VirtualGIC`.
    ///
    /// - Parameter value: What the VMM's pointer points to, if the attribute has a payload.
    public mutating func set(_ attribute: GICAttribute, to value: UInt64, _ vcpus: VCPUCount) throws(GICError) {
        switch attribute {
        case .distributorAddress:
            guard distributor == nil else { throw .alreadyConfigured }
            if let error = rangeError(value, GICRegion.distributorSize) { throw error }
            distributor = value
        case .redistributorAddress:
            try addRegion(index: 0, base: value, .allVCPUs, vcpus.online)
        case .redistributorRegion:
            let alleged = RegionDescriptor(bits: value)
            guard alleged.count > 0, alleged.flags == 0 else { throw .invalid }
            try addRegion(index: alleged.index, base: alleged.base, .count(alleged.count), vcpus.online)
        case .interrupts:
            // Linux refuses 1024, although its documentation allows it.
            guard value >= 64, value <= 1023, value & 31 == 0 else { throw .invalid }
            guard phase == .configuring, interrupts == nil else { throw .busy }
            interrupts = UInt32(truncatingIfNeeded: value)
        case .initialise:
            guard phase == .configuring else { return }
            guard vcpus.created == vcpus.online else { throw .busy }
            if interrupts == nil { interrupts = Self.defaultInterrupts }
            phase = .initialised
        case .unknownAddress:
            throw .noSuchThing
        }
    }

    /// KVM_GET_DEVICE_ATTR. An address that is not set reads as all ones.
    ///
    /// - Parameter value: What the VMM's pointer points to, if the attribute `isReadByValue`.
    public func get(_ attribute: GICAttribute, value: UInt64) throws(GICError) -> UInt64 {
        switch attribute {
        case .distributorAddress:
            return distributor ?? UInt64.max
        case .redistributorAddress:
            return regionCount > 0 ? region(0).base : UInt64.max
        case .redistributorRegion:
            let index = RegionDescriptor(bits: value).index
            guard index < regionCount else { throw .noSuchRegion }
            return RegionDescriptor(index: index, region(index)).bits
        case .interrupts:
            return UInt64(interrupts ?? UInt32(truncatingIfNeeded: GICShape.privateInterrupts))
        case .initialise, .unknownAddress:
            throw .noSuchThing
        }
    }

    private mutating func addRegion(
        index: Int, base: UInt64, _ extent: RedistributorRegion.Extent, _ vcpus: Int
    ) throws(GICError) {
        let region = RedistributorRegion(base: base, extent: extent)
        let size = region.size(vcpus)
        guard base &+ size >= base else { throw .invalid }
        if regionCount == 0 {
            guard index == 0 else { throw .invalid }
        } else if extent == .allVCPUs {
            throw self.region(regionCount &- 1).extent == .allVCPUs ? .alreadyConfigured : .invalid
        } else if index != regionCount {
            throw .invalid
        }
        // With regions of a given size the distributor is looked at only when a vCPU gets its
        // redistributor.
        if extent == .allVCPUs, let distributor,
            region.overlaps(distributor, GICRegion.distributorSize, vcpus)
        {
            throw .invalid
        }
        for other in 0..<regionCount where self.region(other).overlaps(base, size, vcpus) { throw .invalid }
        if let error = rangeError(base, size) { throw error }

        let isNeeded = vcpus > 0 && redistributor(of: vcpus &- 1, vcpus) == nil
        guard append(region) else { throw .noMemory }
        if isNeeded, !basesAreValid(vcpus) {
            removeLastRegion()
            throw .invalid
        }
    }
}

/// The value of attribute REDIST_REGION.
private struct RegionDescriptor {
    let bits: UInt64

    init(bits: UInt64) { self.bits = bits }

    init(index: Int, _ region: RedistributorRegion) {
        // A region for all vCPUs has no count of its own, and Linux shows zero.
        let count: UInt64 =
            switch region.extent {
            case .allVCPUs: 0
            case .count(let count): count
            }
        bits = UInt64(truncatingIfNeeded: index) & 0xFF | region.base | count &<< 52
    }

    /// Linux keeps eight of the twelve bits.
    var index: Int { Int(truncatingIfNeeded: bits & 0xFF) }
    var flags: UInt64 { bits &>> 12 & 0xF }
    var base: UInt64 { bits & 0xF_FFFF_FFFF_0000 }
    var count: UInt64 { bits &>> 52 }
}
