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

    /// What an exit tells about the timer.
    enum News {
        /// It has been asserted by now, and was not before.
        case asserted
        /// Nothing new.
        case none
    }

    /// Whether EL2 left the timer asserted; the host must not take that interrupt.
    mutating func left(asserted: Bool) -> News {
        let news = asserted && !isActive ? News.asserted : .none
        isAsserted = asserted
        if asserted { set(.active) }
        return news
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
        while unsafe martlet_kernel_guest_enter(object) != 0 {
            event = enterMasked(&physical)
            unsafe martlet_kernel_guest_exit(object)
            guard case .again = event else { break }
        }
        physical.end()
        return event
    }

    /// Enters with the host's interrupts masked, as often as what the guest wants is done right here. An
    /// interrupt that waits meanwhile makes the guest leave as soon as it has been entered.
    private func enterMasked(_ physical: inout PhysicalTimer) -> ExitEvent {
        let index = with { VCPUIndex($0.place) }
        while let used = flush(index, &physical) {
            // Safety: the registers are the object's own.
            unsafe martlet_kernel_run(object)
            let event = registers.event
            if case .refused(let status) = event {
                if status == CallStatus.panicked.rawValue { _ = EL2.request(.version) }
                return event
            }
            switch fold(index, event, used, &physical) {
            case .enter: continue
            case .leave(let rest): return rest
            }
        }
        return .again
    }

    /// Gives the guest its interrupts: how many list registers; nil if it must not have any at this moment.
    private func flush(_ index: VCPUIndex, _ physical: inout PhysicalTimer) -> Int? {
        let (timer, control) = with { state in
            registers.ask(vm.handle, number, state.completion)
            return (state.timer, VirtualMachineControl(bits: state.interfaceControl))
        }
        let level: LineLevel = timer.isArmed && timer.isAsserted(at: martlet_kernel_counter()) ? .high : .low
        var isHalted = false
        let prepared = vm.withInterruptsMasked { interrupts -> (FlushResult, PhysicalState)? in
            isHalted = interrupts.halts > 0
            // Before the guest can turn itself off.
            with { $0.turnedOn = interrupts.turnedOn[Int(number & 63)] }
            guard !isHalted, let gic = unsafe interrupts.gic else { return nil }
            _ = unsafe gic.pointee.setConnectedLine(ppi: guestTimerInterrupt, of: index, to: level)
            let result = registers.withLists { lists in
                unsafe gic.pointee.flush(index, into: &lists, control: control)
            }
            return unsafe (result, gic.pointee.physicalState(ppi: guestTimerInterrupt, of: index))
        }
        guard !isHalted else { return nil }
        guard let (result, state) = prepared else {
            // Nobody takes the timer's interrupt; it must not keep the guest from running.
            physical.set(level == .high ? .active : .inactive)
            return 0
        }
        physical.set(state)
        registers.present(result.used, control: InterfaceControl(rawValue: result.control.bits).intersection(.all))
        return result.used
    }

    /// What comes after an exit.
    private enum AfterExit {
        /// The guest is entered again at once.
        case enter
        /// This is left to be done elsewhere.
        case leave(ExitEvent)
    }

    /// Takes the interrupts back, and does for the guest what the GIC alone is needed for.
    private func fold(
        _ index: VCPUIndex, _ event: ExitEvent, _ used: Int, _ physical: inout PhysicalTimer
    ) -> AfterExit {
        let (changes, control) = (vm.slotChanges, registers.interfaceControl)
        let isAsserted = registers.isTimerAsserted
        if registers.hasEndedPhysical(used) { physical.wasEnded() }
        var isDone = false
        let numbers = vm.withInterruptsMasked { interrupts -> UInt64 in
            with { state in
                state.completion = .none
                state.interfaceControl = control
                state.timer = registers.timer
            }
            guard let gic = unsafe interrupts.gic else { return 0 }
            var kicked = registers.withLists { lists in
                unsafe gic.pointee.fold(
                    index, from: lists.span.extracting(first: used), endCount: registers.endCount,
                    control: VirtualMachineControl(bits: control))
            }
            _ = unsafe gic.pointee.setConnectedLine(
                ppi: guestTimerInterrupt, of: index, to: isAsserted ? .high : .low)
            switch event {
            case .device(let access):
                guard with({ $0.devices.contains(access.address, slotChanges: changes) }),
                    let completion = interrupts.perform(access, &kicked)
                else { break }
                with { $0.completion = completion }
                isDone = true
            case .softwareInterrupt(let value):
                kicked.formUnion(unsafe gic.pointee.generateSGI(from: index, .groupOne, value))
                isDone = true
            case .deactivation(let value):
                kicked.formUnion(unsafe gic.pointee.deactivate(value, by: index))
                isDone = true
            default: break
            }
            // It looks for itself before it enters.
            kicked.remove(index)
            return interrupts.numbers(of: kicked)
        }
        let news = physical.left(asserted: isAsserted)
        if numbers != 0 {
            vm.kick(numbers)
            // What has been woken may have to run on this CPU.
            return .leave(isDone ? .again : event)
        }
        // If the timer is why the guest was left, nothing else waits for the host.
        if news == .asserted, case .again = event, martlet_kernel_interrupt_waits() == 0 { return .enter }
        return isDone ? .enter : .leave(event)
    }
}

/// The virtual timer's interrupt has reached the host after all: nothing of a guest stays armed here.
@c(martlet_kvm_timer_fired)
public func kvmTimerFired() {
    _ = EL2.call(.quiesce)
}
