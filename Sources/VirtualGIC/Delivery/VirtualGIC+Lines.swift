// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Interrupts from outside: lines that devices drive, and the timer's.

/// A line of the interrupt controller that a device drives.
public enum InterruptLine: Equatable, Sendable {
    /// An SPI by its INTID.
    case shared(intid: Int)
    /// A PPI by its INTID, on the vCPU that the VMM gave a number.
    case perVCPU(intid: Int, vcpuID: UInt32)

    /// The line that the `irq` word of KVM_IRQ_LINE names.
    ///
    /// Throws `.noSuchThing` for a CPU's own interrupt input, which a VM with a GIC in the kernel does
    /// not offer, and `.invalid` for any other kind that does not exist.
    public init(alleged word: UInt32) throws(GICError) {
        let intid = Int(truncatingIfNeeded: word & 0xFFFF)
        switch word &>> 24 & 0xF {
        case 0: throw .noSuchThing
        case 1: self = .shared(intid: intid)
        case 2: self = .perVCPU(intid: intid, vcpuID: (word &>> 16 & 0xFF) | (word &>> 28) &<< 8)
        default: throw .invalid
        }
    }
}

/// What a device does to a line.
public enum LineLevel: Sendable {
    case low, high
}

/// Whether a physical interrupt has to be active while a vCPU runs, so that it stays quiet until the
/// guest has ended the virtual one.
public enum PhysicalState: Sendable {
    case inactive, active
}

extension VirtualGIC {
    /// Drives a line for a device.
    ///
    /// An edge-triggered interrupt becomes pending by every call with `high`; a level-triggered one is
    /// pending while the line is high. A line that hardware drives (`connect`) is left
    /// alone, and that is no error.
    ///
    /// Throws `.invalid` if there is no such line.
    public mutating func setLine(_ line: InterruptLine, to level: LineLevel) throws(GICError) -> VCPUSet {
        guard let place = place(of: line) else { throw .invalid }
        guard self[place].physical == nil else { return VCPUSet() }
        return drive(place, level)
    }

    /// Connects a PPI of a vCPU to a physical interrupt of the CPU that it runs on: the end of one
    /// is the end of the other. For the timer that is 27 and 27.
    ///
    /// Throws `.invalid` if there is no such PPI, or no such physical INTID.
    public mutating func connect(ppi intid: Int, of vcpu: VCPUIndex, toPhysical physical: Int) throws(GICError) {
        guard intid >= 16, intid < GICShape.privateInterrupts, physical >= 16, physical < GICShape.firstSpecial,
            let place = shape.place(of: intid, seenBy: vcpu)
        else { throw .invalid }
        var state = self[place]
        state.physical = UInt16(truncatingIfNeeded: physical)
        self[place] = state
    }

    /// Drives a PPI that `connect` has connected; any other is left alone. For the timer, `level` is
    /// whether it fires (CNTV_CTL_EL0: ENABLE and ISTATUS set, IMASK clear).
    public mutating func setConnectedLine(ppi intid: Int, of vcpu: VCPUIndex, to level: LineLevel) -> VCPUSet {
        guard let place = shape.place(of: intid, seenBy: vcpu), place.owner != nil, self[place].physical != nil
        else { return VCPUSet() }
        return drive(place, level)
    }

    /// Forgets all about a PPI that `connect` has connected, as the reset of its vCPU does, which is out of
    /// the guest: it is neither pending nor active, and its line is low.
    public mutating func resetConnectedLine(ppi intid: Int, of vcpu: VCPUIndex) {
        guard let place = shape.place(of: intid, seenBy: vcpu), place.owner != nil, self[place].physical != nil
        else { return }
        _ = change(place) { state in
            state.isInListRegister = false
            state.isGiven = false
            state.isLatched = false
            state.isLineHigh = false
            state.isActive = false
            state.activeRequest = .none
        }
    }

    /// What the physical interrupt behind a connected PPI has to be while the vCPU runs.
    public func physicalState(ppi intid: Int, of vcpu: VCPUIndex) -> PhysicalState {
        guard let place = shape.place(of: intid, seenBy: vcpu), place.owner != nil else { return .inactive }
        let state = self[place]
        return state.physical != nil && (state.isLineHigh || state.isSeenActive) ? .active : .inactive
    }

    private func place(of line: InterruptLine) -> InterruptPlace? {
        switch line {
        case .shared(let intid):
            return shape.shared(intid)
        case .perVCPU(let intid, let id):
            guard intid >= 16, intid < GICShape.privateInterrupts, let vcpu = vcpu(numbered: id) else { return nil }
            return shape.place(of: intid, seenBy: vcpu)
        }
    }

    private mutating func drive(_ place: InterruptPlace, _ level: LineLevel) -> VCPUSet {
        let state = self[place]
        // What most lines do most of the time.
        if state.trigger == .level, state.isLineHigh == (level == .high) { return VCPUSet() }
        return change(place) { state in
            switch state.trigger {
            case .level: state.isLineHigh = level == .high
            case .edge: if level == .high { state.isLatched = true }
            }
        }
    }
}
