// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The emulated interrupt controller of one VM, and how one change of one interrupt is recorded.

/// A GICv3 without LPIs: distributor, redistributors, and what goes through list registers.
///
/// Affinity routing is always on and there is one security state (GICD_CTLR.ARE = DS = 1). The
/// CPU interface is hardware's; of it this type only ever sees ICH_VMCR_EL2 as a value.
///
/// A vCPU's turn is: `flush` fills the list registers, the guest runs, `fold` takes them back. After
/// `fold` the timer's line is set, and only then anything else about that vCPU is decided.
///
/// No call allocates, sleeps, or traps, whatever its arguments. The caller holds one lock a VM.
public struct VirtualGIC<Store: InterruptStore>: ~Copyable {
    /// How many vCPUs and interrupts there are.
    public let shape: GICShape
    var store: Store
    var distributorControl = DistributorControl()

    /// A GIC after reset; nil if `store` is too small or a vCPU has no number.
    ///
    /// Reset is KVM's: everything in group 1 with priority 0; SGIs enabled; PPIs
    /// level-triggered; SPIs level-triggered and routed to affinity 0.
    ///
    /// - Parameter vcpuIDs: The number that the VMM gave each vCPU, which makes its affinity.
    public init?(shape: GICShape, vcpuIDs: Span<UInt32>, store: consuming Store) {
        guard vcpuIDs.count >= shape.vcpus, store.count >= shape.words else { return nil }
        self.shape = shape
        self.store = store
        for index in 0..<shape.vcpus { reset(VCPUIndex(index), number: vcpuIDs[index]) }
        var intid = GICShape.privateInterrupts
        var state = InterruptState(bits: 0)
        state.group = .one
        state.affinity = Affinity(routing: 0)
        state.target = vcpu(at: state.affinity)
        while let place = shape.shared(intid) {
            self[place] = state
            intid &+= 1
        }
    }

    private mutating func reset(_ vcpu: VCPUIndex, number: UInt32) {
        let block = shape.block(vcpu)
        for word in 0..<GICShape.blockWords { store[block &+ word] = 0 }
        store[block &+ GICShape.numberWord] = UInt64(number)
        for intid in 0..<GICShape.privateInterrupts {
            guard let place = shape.place(of: intid, seenBy: vcpu) else { continue }
            var state = InterruptState(bits: 0)
            state.group = .one
            if intid < 16 {
                state.isEnabled = true
                state.trigger = .edge
            }
            self[place] = state
        }
    }

    /// The number that the VMM gave a vCPU, which exists.
    func number(of vcpu: VCPUIndex) -> UInt32 {
        UInt32(truncatingIfNeeded: store[shape.block(vcpu) &+ GICShape.numberWord])
    }

    /// The vCPU of an affinity; nil if there is none.
    func vcpu(at affinity: Affinity) -> VCPUIndex? {
        for index in 0..<shape.vcpus where Affinity(vcpuID: number(of: VCPUIndex(index))) == affinity {
            return VCPUIndex(index)
        }
        return nil
    }

    /// The vCPU that the VMM gave a number; nil if there is none.
    public func vcpu(numbered id: UInt32) -> VCPUIndex? {
        for index in 0..<shape.vcpus where number(of: VCPUIndex(index)) == id { return VCPUIndex(index) }
        return nil
    }

    subscript(place: InterruptPlace) -> InterruptState {
        get { InterruptState(bits: store[place.word]) }
        set { store[place.word] = newValue.bits }
    }

    /// Records that an interrupt went from `old` to `new`, moves it to the vCPU that it now belongs
    /// to, and says who has to look again.
    ///
    /// An interrupt in a list register, or active, stays where it is: only that vCPU can
    /// acknowledge or end it. Otherwise it belongs to its target while it is to be signalled,
    /// and to nobody else.
    mutating func settle(
        _ place: InterruptPlace, from old: InterruptState, to new: InterruptState
    ) -> VCPUSet {
        var state = new
        let target = place.target(new)
        let home: VCPUIndex? =
            if new.isInListRegister {
                old.residence
            } else if new.isActive {
                old.residence ?? target
            } else if new.isSignalled {
                target
            } else {
                nil
            }
        if home != old.residence {
            if let residence = old.residence { removeCandidate(place.intid, of: residence) }
            if let home { insertCandidate(place.intid, of: home) }
        }
        state.residence = home
        self[place] = state
        // What a list register holds is stale after any change. What is in none matters
        // only if it is to be signalled.
        if let home, state != old, state.isInListRegister || state.isSignalled { return VCPUSet(home) }
        return VCPUSet()
    }

    /// Changes one interrupt by `change`.
    mutating func change(_ place: InterruptPlace, _ change: (inout InterruptState) -> Void) -> VCPUSet {
        let old = self[place]
        var new = old
        change(&new)
        return settle(place, from: old, to: new)
    }
}
