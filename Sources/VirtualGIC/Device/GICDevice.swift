// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Where a VM's interrupt controller is, and how far the VMM has configured it.

public import Arm
internal import Machine

/// A run of redistributors in guest memory.
struct RedistributorRegion {
    /// How many redistributors it has room for.
    enum Extent: Equatable {
        /// As many as there are vCPUs (attribute REDIST).
        case allVCPUs
        /// This many (attribute REDIST_REGION).
        case count(UInt64)
    }

    var base: UInt64
    var extent: Extent

    init(base: UInt64, extent: Extent) {
        self.base = base
        self.extent = extent
    }

    // In the device a region is one word, so that copies of the table stay small: a base that has
    // been checked is a multiple of 64 KiB, and below it there is room for a count of up to 4095.
    init(packed: UInt64) {
        base = packed & ~0xFFFF
        extent = packed & 0xFFFF == 0 ? .allVCPUs : .count(packed & 0xFFFF)
    }

    var packed: UInt64 {
        switch extent {
        case .allVCPUs: base & ~0xFFFF
        case .count(let count): base & ~0xFFFF | count & 0xFFFF
        }
    }

    /// Redistributors it has room for, with so many vCPUs in the VM.
    func capacity(_ vcpus: Int) -> UInt64 {
        switch extent {
        case .allVCPUs: UInt64(truncatingIfNeeded: vcpus)
        case .count(let count): count
        }
    }

    /// Bytes.
    func size(_ vcpus: Int) -> UInt64 { capacity(vcpus) &* GICRegion.redistributorSize }

    /// Whether it shares an address with `other ..< other + size`.
    func overlaps(_ other: UInt64, _ otherSize: UInt64, _ vcpus: Int) -> Bool {
        other &+ otherSize > base && other < base &+ size(vcpus)
    }
}

/// Where in the controller an address is.
public struct GICLocation: Equatable, Sendable {
    /// The block of registers.
    public let region: GICRegion
    /// Bytes from its start.
    public let offset: UInt64

    /// A place in a block.
    public init(region: GICRegion, offset: UInt64) {
        self.region = region
        self.offset = offset
    }
}

/// The device that KVM_CREATE_DEVICE makes for KVM_DEV_TYPE_ARM_VGIC_V3: its configuration before
/// there is a `VirtualGIC`, and the map of its addresses.
///
/// Checks, their order and their errors are Linux's. Redistributors belong to vCPUs in the order in
/// which those were created, and fill the regions in the order in which those were.
public struct GICDevice: ~Copyable, Sendable {
    /// How far the VMM has come.
    public enum Phase: Equatable, Sendable {
        /// Attributes are being set.
        case configuring
        /// CTRL_INIT has been called: the `VirtualGIC` exists, and no more vCPUs may be created.
        case initialised
    }

    /// How far the VMM has come.
    public internal(set) var phase = Phase.configuring
    /// INTIDs; nil until the VMM or CTRL_INIT has decided.
    var interrupts: UInt32?
    var distributor: UInt64?
    private var packedRegions = InlineArray<16, UInt64>(repeating: 0)
    private(set) var regionCount = 0
    /// The end of guest physical addresses.
    let addressEnd: UInt64
    private let stationary = Stationary()

    /// The number of INTIDs if the VMM sets none.
    static let defaultInterrupts: UInt32 = 256

    /// A device of which nothing is configured.
    ///
    /// - Parameter addressBits: Bits of the VM's guest physical addresses.
    public init(addressBits: UInt64) {
        addressEnd = 1 &<< (addressBits & 63)
    }

    /// A region; `index` is below `regionCount`.
    func region(_ index: Int) -> RedistributorRegion { RedistributorRegion(packed: packedRegions[index]) }

    /// Adds a region; false, and nothing changed, if there is no room.
    mutating func append(_ region: RedistributorRegion) -> Bool {
        guard regionCount < packedRegions.count else { return false }
        packedRegions[regionCount] = region.packed
        regionCount &+= 1
        return true
    }

    /// Takes the last region away again.
    mutating func removeLastRegion() { regionCount &-= 1 }

    /// What the `VirtualGIC` has to be; nil before CTRL_INIT, or if there are more vCPUs
    /// than a GIC can have.
    public func shape(vcpus: Int) -> GICShape? {
        guard phase == .initialised, let interrupts else { return nil }
        return GICShape(vcpus: vcpus, interrupts: Int(truncatingIfNeeded: interrupts))
    }

    /// What has to hold before a vCPU runs for the first time.
    ///
    /// Throws `.noSuchThing` if a vCPU has no redistributor or there is no distributor's address,
    /// `.invalid` if blocks overlap, `.busy` if CTRL_INIT is missing.
    public func checkReadyToRun(vcpus: Int) throws(GICError) {
        for index in 0..<vcpus where redistributor(of: index, vcpus) == nil { throw .noSuchThing }
        guard distributor != nil else { throw .noSuchThing }
        guard basesAreValid(vcpus) else { throw .invalid }
        guard phase == .initialised else { throw .busy }
    }

    /// Which register block an address is in; nil if it is none of the controller's.
    public func locate(_ address: Address<GuestPhysical>, vcpus: Int) -> GICLocation? {
        if let distributor, address.rawValue >= distributor,
            address.rawValue &- distributor < GICRegion.distributorSize
        {
            return GICLocation(region: .distributor, offset: address.rawValue &- distributor)
        }
        var first: UInt64 = 0
        let total = UInt64(truncatingIfNeeded: vcpus)
        for index in 0..<regionCount where first < total {
            let region = self.region(index)
            let used = min(region.capacity(vcpus), total &- first)
            let distance = address.rawValue &- region.base
            if address.rawValue >= region.base, distance < used &* GICRegion.redistributorSize {
                let vcpu = first &+ distance / GICRegion.redistributorSize
                return GICLocation(
                    region: .redistributor(VCPUIndex(Int(truncatingIfNeeded: vcpu)), position(of: vcpu, vcpus)),
                    offset: distance & (GICRegion.redistributorSize &- 1))
            }
            first &+= used
        }
        return nil
    }

    /// Whether another redistributor is right behind that of a vCPU.
    private func position(of vcpu: UInt64, _ vcpus: Int) -> RedistributorPosition {
        let index = Int(truncatingIfNeeded: vcpu)
        guard let base = redistributor(of: index, vcpus) else { return .last }
        for other in 0..<vcpus where redistributor(of: other, vcpus) == base &+ GICRegion.redistributorSize {
            return .followed
        }
        return .last
    }

    /// The address of a vCPU's redistributor; nil if no region has room for it.
    func redistributor(of vcpu: Int, _ vcpus: Int) -> UInt64? {
        var rest = UInt64(truncatingIfNeeded: vcpu)
        for index in 0..<regionCount {
            let capacity = region(index).capacity(vcpus)
            if rest < capacity { return region(index).base &+ rest &* GICRegion.redistributorSize }
            rest &-= capacity
        }
        return nil
    }

    /// Whether all addresses are within the guest's, now that the number of vCPUs is known, and the
    /// distributor overlaps no redistributor.
    func basesAreValid(_ vcpus: Int) -> Bool {
        for index in 0..<regionCount {
            let region = self.region(index)
            guard rangeError(region.base, region.size(vcpus)) == nil else { return false }
            if let distributor, region.overlaps(distributor, GICRegion.distributorSize, vcpus) { return false }
        }
        return true
    }

    /// Why a block may not be at an address; nil if it may.
    func rangeError(_ base: UInt64, _ size: UInt64) -> GICError? {
        let alignment: UInt64 = 0x1_0000
        guard base & (alignment &- 1) == 0, base &+ size >= base else { return .invalid }
        guard base < addressEnd, base &+ size <= addressEnd else { return .beyondAddressSpace }
        return nil
    }
}
