// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What a vCPU takes into the guest: the choice of interrupts and their list registers.

/// What `VirtualGIC.flush` decided beside the list registers themselves.
public struct FlushResult: Equatable, Sendable {
    /// List registers in use, from the first; the others are empty.
    public let used: Int
    /// What ICH_HCR_EL2 has to be while the guest runs.
    public let control: HypervisorControl
}

/// The order in which interrupts get list registers; kept in a list register's place until the
/// choice is made. Smaller comes first: rank, then priority, then INTID, as the architecture
/// leaves the choice among equals to the implementation.
private struct Choice {
    /// What an interrupt is here.
    enum Rank: UInt64 {
        /// Active, so that its end finds it.
        case active = 0
        /// Pending, in a group that the guest has enabled.
        case signalled = 1
        /// Pending, in a group that the guest has not enabled.
        case maskedGroupZero = 2
        case maskedGroupOne = 3
    }

    let bits: UInt64

    init(bits: UInt64) { self.bits = bits }

    init(_ rank: Rank, _ state: InterruptState, _ intid: Int) {
        bits = rank.rawValue &<< 32 | UInt64(state.priority) &<< 16 | UInt64(truncatingIfNeeded: intid)
    }

    var rank: Rank { Rank(rawValue: bits &>> 32) ?? .maskedGroupOne }
    var intid: Int { Int(truncatingIfNeeded: bits & 0xFFFF) }
}

/// How many interrupts of each rank found no place.
private struct Leftover {
    private var counts: InlineArray<4, UInt16> = [0, 0, 0, 0]

    mutating func add(_ choice: Choice) { counts[Int(truncatingIfNeeded: choice.rank.rawValue)] &+= 1 }
    mutating func remove(_ choice: Choice) { counts[Int(truncatingIfNeeded: choice.rank.rawValue)] &-= 1 }
    func has(_ rank: Choice.Rank) -> Bool { counts[Int(truncatingIfNeeded: rank.rawValue)] != 0 }
}

extension VirtualGIC {
    /// Fills a vCPU's list registers before it enters the guest.
    ///
    /// The interrupt of highest priority that can be signalled always gets one. Active interrupts
    /// come next, then other pending ones by priority. What finds no place makes `control` ask for
    /// maintenance at the moment when that matters.
    ///
    /// An earlier `flush` that no `fold` followed, because the guest was not entered after all, is
    /// undone first.
    ///
    /// - Parameters:
    ///   - registers: As many as the CPU has (ICH_VTR_EL2.ListRegs + 1). All are written.
    ///   - control: ICH_VMCR_EL2 as the guest has it.
    public mutating func flush(
        _ vcpu: VCPUIndex, into registers: inout MutableSpan<UInt64>, control vmcr: VirtualMachineControl
    ) -> FlushResult {
        guard hasCandidates(vcpu) else {
            for index in 0..<registers.count { registers[index] = 0 }
            return FlushResult(used: 0, control: .enabled)
        }
        var used = 0
        var leftover = Leftover()
        var best: Choice?
        var next = 0
        while let place = candidate(of: vcpu, from: next) {
            next = place.intid &+ 1
            var state = self[place]
            if state.isInListRegister {
                state.withdraw()
                self[place] = state
            }
            guard let choice = choice(place, state, vmcr) else { continue }
            if choice.rank == .signalled, best.map({ choice.bits < $0.bits }) ?? true { best = choice }
            insert(choice, in: &registers, &used, &leftover)
        }
        // Active ones may have taken every place. They can be ended without one, but what is to be
        // signalled cannot be signalled without.
        if let best, used > 0, used == registers.count {
            let last = Choice(bits: registers[used &- 1])
            if last.rank == .active {
                registers[used &- 1] = best.bits
                leftover.add(last)
                leftover.remove(best)
            }
        }
        for index in 0..<registers.count {
            let choice = Choice(bits: registers[index])
            registers[index] = index < used ? present(choice.intid, to: vcpu, leftover).bits : 0
        }
        return FlushResult(used: used, control: control(for: leftover, vmcr))
    }

    /// Puts a choice at its place among the first `used` registers.
    private func insert(
        _ choice: Choice, in registers: inout MutableSpan<UInt64>, _ used: inout Int, _ leftover: inout Leftover
    ) {
        if used < registers.count {
            used &+= 1
        } else if used > 0, choice.bits < registers[used &- 1] {
            leftover.add(Choice(bits: registers[used &- 1]))
        } else {
            leftover.add(choice)
            return
        }
        var index = used &- 1
        while index > 0, registers[index &- 1] > choice.bits {
            registers[index] = registers[index &- 1]
            index &-= 1
        }
        registers[index] = choice.bits
    }

    /// What a candidate is to this vCPU now; nil if the distributor holds it back.
    private func choice(
        _ place: InterruptPlace, _ state: InterruptState, _ vmcr: VirtualMachineControl
    ) -> Choice? {
        if state.isActive { return Choice(.active, state, place.intid) }
        guard state.isSignalled, distributorControl.enables(state.group) else { return nil }
        if vmcr.enables(state.group) { return Choice(.signalled, state, place.intid) }
        return Choice(state.group == .zero ? .maskedGroupZero : .maskedGroupOne, state, place.intid)
    }

    /// Moves an interrupt into a list register.
    private mutating func present(_ intid: Int, to vcpu: VCPUIndex, _ leftover: Leftover) -> ListRegister {
        guard let place = shape.place(of: intid, seenBy: vcpu) else { return .empty }
        var state = self[place]
        var bits = UInt64(truncatingIfNeeded: intid) | UInt64(state.priority) &<< 48
        if state.group == .one { bits |= ListRegister.groupOne }
        if state.isActive { bits |= ListRegister.active }
        var mayBePending = true
        if let physical = state.physical {
            // The pending state of a physical interrupt is the physical GIC's.
            bits |= ListRegister.hardware | UInt64(physical) &<< 32
            mayBePending = !state.isActive
        } else if state.trigger == .level {
            // The line is looked at when the interrupt ends, and only then it is made pending again.
            bits |= ListRegister.maintenanceOnEnd
            mayBePending = !state.isActive
        } else if state.isActive, state.isSignalled, place.target(state) != vcpu || leftover.has(.signalled) {
            // At its end it would be pending here, before others that may have to come first, or
            // although it is routed elsewhere by now.
            bits |= ListRegister.maintenanceOnEnd
            mayBePending = false
        }
        if mayBePending, state.isSignalled, distributorControl.enables(state.group) {
            bits |= ListRegister.pending
            state.isGiven = state.isLatched
            state.isLatched = false
        }
        state.isInListRegister = true
        self[place] = state
        return ListRegister(bits: bits)
    }

    private func control(for leftover: Leftover, _ vmcr: VirtualMachineControl) -> HypervisorControl {
        var control = HypervisorControl.enabled
        if leftover.has(.signalled) {
            control.insert(.onNonePending)
            // Were the guest to disable one group, the other's would have to come in its place.
            if vmcr.enables(.zero), vmcr.enables(.one) {
                control.insert(.onGroupZeroDisabled)
                control.insert(.onGroupOneDisabled)
            }
        }
        if leftover.has(.active) {
            control.insert(.onMissingEntry)
            control.insert(.trapsDeactivation)
        }
        if leftover.has(.maskedGroupZero) { control.insert(.onGroupZeroEnabled) }
        if leftover.has(.maskedGroupOne) { control.insert(.onGroupOneEnabled) }
        return control
    }
}

extension InterruptState {
    /// Takes the interrupt out of its list register as if the guest had not run.
    mutating func withdraw() {
        isInListRegister = false
        if isGiven { isLatched = true }
        isGiven = false
        applyActiveRequest()
    }

    /// Does what a guest asked about the active state meanwhile.
    mutating func applyActiveRequest() {
        isActive = isSeenActive
        activeRequest = .none
    }
}
