// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A guest's accesses to the distributor and to redistributors.

extension VirtualGIC {
    /// What a read yields. The vCPU that reads is out of the guest and folded; other vCPUs may
    /// hold interrupts whose pending or active state this shows as they last gave it, see
    /// `holders(of:offset:width:)`.
    public func readRegister(_ region: GICRegion, offset: UInt64, width: AccessWidth) -> UInt64 {
        switch name(region, offset, width) {
        case .control: distributorControl.bits
        case .type: Identification.distributorType(shape)
        case .implementer: Identification.implementer
        case .peripheralID2: Identification.peripheralID2
        case .redistributorType(let part): part.extract(redistributorType(region))
        case .route(let intid, let part):
            part.extract(shape.shared(intid).map { UInt64(self[$0].affinity.bits) } ?? 0)
        case .fields(let field, let first, let count): read(field, first, count, of: region.vcpu)
        case .reserved: 0
        }
    }

    /// Performs a write. Returns the vCPUs that have to look at their interrupts again.
    public mutating func writeRegister(
        _ region: GICRegion, offset: UInt64, width: AccessWidth, value: UInt64
    ) -> VCPUSet {
        switch name(region, offset, width) {
        case .control: return setDistributorControl(DistributorControl(written: value))
        case .route(_, .high): return VCPUSet()  // Aff3 is not implemented.
        case .route(let intid, .whole), .route(let intid, .low):
            return shared(intid) { gic, state in
                // IRM is ignored: GICD_TYPER.No1N.
                state.affinity = Affinity(routing: value)
                state.target = gic.vcpu(at: state.affinity)
            }
        case .fields(let field, let first, let count): return write(field, first, count, of: region.vcpu, value)
        case .type, .implementer, .peripheralID2, .redistributorType, .reserved: return VCPUSet()
        }
    }

    /// The vCPUs whose list registers hold an interrupt that an access reads the pending or active
    /// state of. A read is exact once these have left the guest and been folded; a write needs no
    /// such wait.
    public func holders(of region: GICRegion, offset: UInt64, width: AccessWidth) -> VCPUSet {
        var holders = VCPUSet()
        guard case .fields(let field, let first, let count) = name(region, offset, width) else { return holders }
        switch field {
        case .setPending, .clearPending, .setActive, .clearActive: break
        case .group, .setEnable, .clearEnable, .priority, .configuration: return holders
        }
        for index in 0..<count {
            guard let place = shape.place(of: first &+ index, seenBy: region.vcpu) else { continue }
            let state = self[place]
            if state.isInListRegister, let residence = state.residence { holders.insert(residence) }
        }
        return holders
    }

    private func name(_ region: GICRegion, _ offset: UInt64, _ width: AccessWidth) -> RegisterName {
        switch region {
        case .distributor: RegisterName(distributor: offset, width)
        case .redistributor(let vcpu, _):
            shape.has(vcpu) ? RegisterName(redistributor: offset, width) : .reserved
        }
    }

    private func redistributorType(_ region: GICRegion) -> UInt64 {
        guard case .redistributor(let vcpu, let position) = region, shape.has(vcpu) else { return 0 }
        return Identification.redistributorType(number: number(of: vcpu), position)
    }

    private mutating func setDistributorControl(_ control: DistributorControl) -> VCPUSet {
        guard control != distributorControl else { return VCPUSet() }
        distributorControl = control
        var kicked = VCPUSet()
        for index in 0..<shape.vcpus where hasCandidates(VCPUIndex(index)) { kicked.insert(VCPUIndex(index)) }
        return kicked
    }

    private mutating func shared(
        _ intid: Int, _ change: (borrowing VirtualGIC, inout InterruptState) -> Void
    ) -> VCPUSet {
        guard let place = shape.shared(intid) else { return VCPUSet() }
        let old = self[place]
        var new = old
        change(self, &new)
        return settle(place, from: old, to: new)
    }

    private func read(_ field: InterruptField, _ first: Int, _ count: Int, of vcpu: VCPUIndex?) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        for index in 0..<count {
            if let place = shape.place(of: first &+ index, seenBy: vcpu) {
                value |= self[place].read(field) &<< shift
            }
            shift &+= field.width
        }
        return value
    }

    private mutating func write(
        _ field: InterruptField, _ first: Int, _ count: Int, of vcpu: VCPUIndex?, _ value: UInt64
    ) -> VCPUSet {
        var kicked = VCPUSet()
        var rest = value
        for index in 0..<count {
            let bits = rest & ((1 &<< field.width) &- 1)
            rest &>>= field.width
            // The trigger of private interrupts is fixed, as GICR_ICFGR1 may be.
            guard let place = shape.place(of: first &+ index, seenBy: vcpu),
                field != .configuration || place.owner == nil
            else { continue }
            kicked.formUnion(change(place) { $0.write(field, bits) })
        }
        return kicked
    }
}

extension GICRegion {
    /// The vCPU whose private interrupts the region shows.
    var vcpu: VCPUIndex? {
        switch self {
        case .distributor: nil
        case .redistributor(let vcpu, _): vcpu
        }
    }
}

extension InterruptState {
    /// The value of a field.
    func read(_ field: InterruptField) -> UInt64 {
        switch field {
        case .group: group == .one ? 1 : 0
        case .setEnable, .clearEnable: isEnabled ? 1 : 0
        case .setPending, .clearPending: isPending ? 1 : 0
        case .setActive, .clearActive: isSeenActive ? 1 : 0
        case .priority: UInt64(priority)
        case .configuration: trigger == .edge ? 2 : 0
        }
    }

    /// Does what writing `bits` to a field does.
    mutating func write(_ field: InterruptField, _ bits: UInt64) {
        switch (field, bits) {
        case (.group, _): group = bits == 0 ? .zero : .one
        case (.priority, _): priority = UInt8(truncatingIfNeeded: bits)
        case (.configuration, _): trigger = bits & 2 == 0 ? .level : .edge
        case (_, 0): break  // Registers that set or clear ignore zeroes.
        case (.setEnable, _): isEnabled = true
        case (.clearEnable, _): isEnabled = false
        case (.setPending, _): isLatched = true
        case (.clearPending, _):
            isLatched = false
            isGiven = false
        case (.setActive, _): setActive(.set)
        case (.clearActive, _): setActive(.clear)
        }
    }

    /// Changes the active state, or leaves a request if a list register has it.
    mutating func setActive(_ request: ActiveRequest) {
        activeRequest = request
        if !isInListRegister { applyActiveRequest() }
    }
}
