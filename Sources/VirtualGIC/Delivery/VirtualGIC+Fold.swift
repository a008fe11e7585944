// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What a vCPU brings back from the guest: which interrupts it acknowledged and which it ended.

extension VirtualGIC {
    /// Takes the list registers back after a vCPU has left the guest.
    ///
    /// What they say about interrupts that `flush` did not put there is not believed. Set the
    /// timer's line afterwards.
    ///
    /// - Parameters:
    ///   - registers: The list registers as the guest left them.
    ///   - endCount: EOIcount of ICH_HCR_EL2 on exit. While ends do not deactivate it counts for
    ///     nothing: deactivations of what no list register holds are trapped.
    ///   - control: ICH_VMCR_EL2 on exit.
    /// - Returns: Other vCPUs that have to look, because an interrupt was routed to them meanwhile.
    public mutating func fold(
        _ vcpu: VCPUIndex, from registers: Span<UInt64>, endCount: Int, control: VirtualMachineControl
    ) -> VCPUSet {
        guard hasCandidates(vcpu) else { return VCPUSet() }
        var kicked = VCPUSet()
        let endCount = control.deactivatesAtEnd ? endCount : 0
        // Before the list registers, for what they held was ended in them and counts nowhere.
        var ended = 0
        while ended < endCount, let place = highestActiveOutsideListRegisters(of: vcpu) {
            ended &+= 1
            kicked.formUnion(change(place) { $0.isActive = false })
        }
        for index in 0..<registers.count {
            kicked.formUnion(fold(ListRegister(bits: registers[index]), of: vcpu))
        }
        // None of `flush`'s may stay marked, whatever the registers said.
        var next = 0
        while let place = candidate(of: vcpu, from: next) {
            next = place.intid &+ 1
            if self[place].isInListRegister { kicked.formUnion(change(place) { $0.withdraw() }) }
        }
        kicked.remove(vcpu)
        return kicked
    }

    private mutating func fold(_ register: ListRegister, of vcpu: VCPUIndex) -> VCPUSet {
        guard let place = shape.place(of: Int(truncatingIfNeeded: register.intid), seenBy: vcpu) else {
            return VCPUSet()
        }
        let old = self[place]
        guard old.isInListRegister, old.residence == vcpu else { return VCPUSet() }
        var new = old
        new.isInListRegister = false
        new.isActive = register.isActive
        if register.isPending, old.isGiven { new.isLatched = true }
        new.isGiven = false
        new.applyActiveRequest()
        return settle(place, from: old, to: new)
    }

    /// The active interrupt that the guest is serving before all others that no list register holds.
    private func highestActiveOutsideListRegisters(of vcpu: VCPUIndex) -> InterruptPlace? {
        var highest: InterruptPlace?
        var priority = UInt8.max
        var next = 0
        while let place = candidate(of: vcpu, from: next) {
            next = place.intid &+ 1
            let state = self[place]
            guard state.isActive, !state.isInListRegister, highest == nil || state.priority < priority else {
                continue
            }
            highest = place
            priority = state.priority
        }
        return highest
    }

    /// Ends an interrupt by a trapped write of ICC_DIR_EL1 (`HypervisorControl.trapsDeactivation`),
    /// after `fold`. An SPI may be ended by a vCPU other than the one that has it active.
    ///
    /// - Parameter value: What the guest wrote.
    public mutating func deactivate(_ value: UInt64, by vcpu: VCPUIndex) -> VCPUSet {
        guard let place = shape.place(of: Int(truncatingIfNeeded: value & 0xFF_FFFF), seenBy: vcpu) else {
            return VCPUSet()
        }
        return change(place) { $0.setActive(.clear) }
    }

    /// Whether a vCPU that waits in WFI has something to wake up for: a pending interrupt that
    /// distributor and CPU interface would signal.
    ///
    /// - Parameter control: ICH_VMCR_EL2 as the guest has it.
    public func hasDeliverable(to vcpu: VCPUIndex, control: VirtualMachineControl) -> Bool {
        var next = 0
        while let place = candidate(of: vcpu, from: next) {
            next = place.intid &+ 1
            let state = self[place]
            if state.isPending, state.isEnabled, !state.isActive, state.priority < control.priorityMask,
                distributorControl.enables(state.group), control.enables(state.group)
            {
                return true
            }
        }
        return false
    }
}
