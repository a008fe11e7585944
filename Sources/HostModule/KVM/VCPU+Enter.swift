// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Entering the guest: interrupts in, interrupts out, and the timer's interrupt in between.

internal import CHostKernel
internal import HostModuleCore
internal import HypervisorInterface
internal import KVMCore
internal import VirtualGIC

/// The timer's physical interrupt on this CPU, which one vCPU uses at a time.
///
/// It is active while the guest has the virtual one pending or active, so that it stays quiet until
/// the guest has ended it; hardware then deactivates it. Outside of the section in which the vCPU
/// has the CPU it is inactive and not asserted.
private struct PhysicalTimer {
    private var isActive = false
    private var isAsserted = false

    mutating func set(_ state: PhysicalState) {
        guard (state == .active) != isActive else { return }
        isActive.toggle()
        martlet_kernel_timer_active(isActive ? 1 : 0)
    }

    /// The guest has ended the virtual interrupt.
    mutating func wasEnded() { isActive = false }

    /// Whether EL2 left the timer asserted; the host must not take that interrupt.
    mutating func left(asserted: Bool) {
        isAsserted = asserted
        if asserted { set(.active) }
    }

    /// Leaves this CPU as it was.
    mutating func end() {
        if isAsserted { _ = EL2.call(.quiesce) }
        isAsserted = false
        set(.inactive)
    }
}

extension VCPU {
    /// Runs the guest on this CPU until it needs more than this function has.
    func enterGuest() -> ExitEvent {
        martlet_kernel_stay()
        defer { martlet_kernel_leave() }
        var physical = PhysicalTimer()
        var event = ExitEvent.again
        while event == .again {
            guard unsafe martlet_kernel_guest_enter(object) != 0 else { break }
            event = enterOnce(&physical)
            unsafe martlet_kernel_guest_exit(object)
        }
        physical.end()
        return event
    }

    /// One entry, with the host's interrupts masked.
    private func enterOnce(_ physical: inout PhysicalTimer) -> ExitEvent {
        var registers = martlet_registers()
        let (completion, index) = with { ($0.completion, VCPUIndex($0.place)) }
        let (request, value) = completion.request
        registers.x.0 = UInt64(HostCall.runVCPU.rawValue)
        registers.x.1 = vm.handle
        registers.x.2 = UInt64(number)
        registers.x.3 = request.rawValue
        registers.x.4 = value
        guard flush(index, &registers, &physical) else { return .again }
        // Safety: the registers are this function's own.
        unsafe martlet_kernel_run(&registers)
        let event = ExitEvent(
            status: registers.x.0, registers.x.1, registers.x.2, registers.x.3, registers.x.4)
        if case .refused(let status) = event {
            if status == CallStatus.panicked.rawValue { _ = EL2.request(.version) }
            return event
        }
        with { state in
            state.completion = .none
            state.interfaceControl = registers.x.9 & 0xFFFF_FFFF
            state.timer = GuestTimer(control: registers.x.10, compare: registers.x.11)
        }
        fold(index, registers, &physical)
        return event
    }

    /// Gives the guest its interrupts; false if it must not have them at this moment.
    private func flush(
        _ index: VCPUIndex, _ registers: inout martlet_registers, _ physical: inout PhysicalTimer
    ) -> Bool {
        let (timer, control) = with { ($0.timer, VirtualMachineControl(bits: $0.interfaceControl)) }
        let isAsserted = timer.isAsserted(at: martlet_kernel_counter())
        var lists: InlineArray<4, UInt64> = [0, 0, 0, 0]
        var isHalted = false
        let prepared = vm.withInterrupts { interrupts -> (FlushResult, PhysicalState)? in
            isHalted = interrupts.halts > 0
            guard !isHalted, let gic = unsafe interrupts.gic else { return nil }
            _ = unsafe gic.pointee.setConnectedLine(
                ppi: guestTimerInterrupt, of: index, to: isAsserted ? .high : .low)
            var span = lists.mutableSpan
            let result = unsafe gic.pointee.flush(index, into: &span, control: control)
            return unsafe (result, gic.pointee.physicalState(ppi: guestTimerInterrupt, of: index))
        }
        guard !isHalted else { return false }
        guard let (result, state) = prepared else {
            // Nobody takes the timer's interrupt; it must not keep the guest from running.
            physical.set(isAsserted ? .active : .inactive)
            return true
        }
        physical.set(state)
        let wanted = InterfaceControl(rawValue: result.control.bits).intersection(.all)
        registers.x.3 |= UInt64(result.used) << 8 | wanted.rawValue << 16
        registers.x.5 = lists[0]
        registers.x.6 = lists[1]
        registers.x.7 = lists[2]
        registers.x.8 = lists[3]
        return true
    }

    /// Takes the interrupts back.
    private func fold(_ index: VCPUIndex, _ registers: martlet_registers, _ physical: inout PhysicalTimer) {
        // ENABLE and ISTATUS without IMASK: EL2 left the timer so that its interrupt is asserted.
        let isAsserted = registers.x.10 & 7 == 5
        let lists: InlineArray<4, UInt64> = [registers.x.5, registers.x.6, registers.x.7, registers.x.8]
        var wasEnded = false
        for place in lists.indices {
            let list = ListRegister(bits: lists[place])
            if list.physical != nil, !list.isPending, !list.isActive { wasEnded = true }
        }
        if wasEnded { physical.wasEnded() }
        let numbers = vm.withInterrupts { interrupts -> UInt64 in
            guard let gic = unsafe interrupts.gic else { return 0 }
            let kicked = unsafe gic.pointee.fold(
                index, from: lists.span, endCount: Int(truncatingIfNeeded: registers.x.9 >> 32),
                control: VirtualMachineControl(bits: registers.x.9 & 0xFFFF_FFFF))
            _ = unsafe gic.pointee.setConnectedLine(
                ppi: guestTimerInterrupt, of: index, to: isAsserted ? .high : .low)
            return interrupts.numbers(of: kicked)
        }
        physical.left(asserted: isAsserted)
        vm.kick(numbers)
    }
}

/// The virtual timer's interrupt has reached the host after all: nothing of a guest stays armed here.
@c(martlet_kvm_timer_fired)
public func kvmTimerFired() {
    _ = EL2.call(.quiesce)
}
