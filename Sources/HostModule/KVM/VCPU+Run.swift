// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// KVM_RUN: the loop over exits, and what each asks of the host.

internal import CHostKernel
internal import HypervisorInterface
internal import KVMCore
internal import VirtualGIC

/// Reasons of `struct kvm_run` that carry nothing else, with Linux's numbers.
private enum PlainReason {
    static let unknown: UInt32 = 0
    static let interrupted: UInt32 = 10
}

extension VCPU {
    /// KVM_RUN: returns when the process has something to do.
    func run() throws(LinuxError) -> Int64 {
        let life = with { $0.life }
        guard let features = life.features else { throw .notExecutable }
        try with { (state) throws(LinuxError) in try state.vectors.checkFixed() }
        completeRead()
        guard unsafe martlet_kernel_immediate_exit(object) == 0 else {
            unsafe martlet_kernel_exit_plain(object, PlainReason.interrupted)
            throw .interrupted
        }
        if life != .running(features) {
            try vm.checkGIC()
            try vm.fixMemory()
            with { $0.life = .running(features) }
        }
        unsafe martlet_kernel_exit_plain(object, PlainReason.unknown)
        unsafe martlet_kernel_run_begin(object)
        defer { unsafe martlet_kernel_run_end(object) }
        while true {
            do throws(LinuxError) {
                try Process.checkErrands()
            } catch {
                throw error == .interrupted ? interrupted() : error
            }
            switch try perform(enterGuest()) {
            case .goOn: continue
            case .leave: return 0
            }
        }
    }

    private func interrupted() -> LinuxError {
        unsafe martlet_kernel_exit_plain(object, PlainReason.interrupted)
        return .interrupted
    }

    /// Takes what the process has answered to a load.
    private func completeRead() {
        guard let access = with({ $0.pendingRead }) else { return }
        let value = unsafe martlet_kernel_mmio_data(object)
        with { state in
            state.pendingRead = nil
            state.completion = .value(access.truncated(value))
        }
    }

    private enum Next {
        case goOn, leave
    }

    private func perform(_ event: ExitEvent) throws(LinuxError) -> Next {
        switch event {
        case .again, .yield: return .goOn
        case .waitForInterrupt: return try sleep(for: .interrupt)
        case .memory(let fault):
            if try vm.map(fault) == .tryAgain { return .goOn }
            switch fault.outcomeWithoutMemory(in: vm.facts.kind) {
            case .abort: with { $0.completion = .aborted }
            case .skip: with { $0.completion = .written }
            case .refuse: throw .notImplemented
            }
            return .goOn
        case .device(let access): return try perform(access)
        case .softwareInterrupt(let value):
            vm.sendInterrupt(value, from: with { $0.place })
            return .goOn
        case .deactivation(let value):
            vm.deactivateInterrupt(value, by: with { $0.place })
            return .goOn
        case .cpuOn(let number):
            vm.turnOn(number)
            return .goOn
        case .cpuOff:
            return try sleep(for: .on(with { $0.turnedOn }))
        case .system(let event):
            // EL2 has turned all of them off; none is in the guest when the process hears of it.
            unsafe martlet_kernel_evict(vm.object, ~(1 << UInt64(number)))
            unsafe martlet_kernel_exit_system_event(object, event.rawValue)
            return .leave
        case .unsupported(let syndrome, let address, let counter):
            unsafe martlet_kernel_exit_internal(object, syndrome, address, counter)
            return .leave
        case .refused(let status):
            unsafe martlet_kernel_exit_entry_failed(object, UInt64(bitPattern: status))
            return .leave
        }
    }

    /// A load or a store: memory that is not mapped yet, a register of the GIC, or the process's.
    private func perform(_ access: DeviceAccess) throws(LinuxError) -> Next {
        let changes = vm.slotChanges
        if try vm.map(access.asFault) == .tryAgain { return .goOn }
        if let completion = vm.accessGIC(access) {
            with { state in
                state.completion = completion
                state.devices.note(access.address, slotChanges: changes)
            }
            return .goOn
        }
        var mmio = martlet_mmio()
        mmio.address = access.address
        mmio.length = UInt32(truncatingIfNeeded: access.bytes)
        switch access.direction {
        case .read: with { $0.pendingRead = access }
        case .write(let value):
            mmio.is_write = 1
            mmio.data = access.truncated(value)
            with { $0.completion = .written }
        }
        // Safety: the structure is this function's own.
        unsafe martlet_kernel_exit_mmio(object, &mmio)
        return .leave
    }

    /// Sleeps until what the vCPU waits for, or its timer.
    private func sleep(for wait: Wait) throws(LinuxError) -> Next {
        with { $0.wait = wait }
        var delay: Int64 = -1
        if case .interrupt = wait {
            let timer = with { $0.timer }
            delay =
                timer.delay(from: martlet_kernel_counter(), frequency: vm.facts.machine.timerFrequency) ?? -1
        }
        guard unsafe martlet_kernel_sleep(object, delay) == 0 else { throw interrupted() }
        return .goOn
    }

    /// Whether the vCPU need not sleep any more.
    var isRunnable: Bool {
        let (wait, timer, control, place) = with { ($0.wait, $0.timer, $0.interfaceControl, $0.place) }
        return vm.withInterrupts { interrupts in
            switch wait {
            case .on(let count): return interrupts.turnedOn[Int(number & 63)] != count
            case .interrupt:
                let isAsserted = timer.isAsserted(at: martlet_kernel_counter())
                // Without a GIC nothing but the timer is there to wait for.
                guard let gic = unsafe interrupts.gic else { return isAsserted }
                let index = VCPUIndex(place)
                _ = unsafe gic.pointee.setConnectedLine(
                    ppi: guestTimerInterrupt, of: index, to: isAsserted ? .high : .low)
                return unsafe gic.pointee.hasDeliverable(to: index, control: VirtualMachineControl(bits: control))
            }
        }
    }
}

/// Nonzero: a vCPU that sleeps has something to do.
@c(martlet_kvm_is_runnable)
public func kvmIsRunnable(object: OpaquePointer) -> UInt32 {
    unsafe VCPU(object).isRunnable ? 1 : 0
}
