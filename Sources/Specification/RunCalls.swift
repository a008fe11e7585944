// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// `HostCall.runVCPU`: when it is refused, with what the guest begins, and what the host may hear.

public import HypervisorInterface

/// The arguments of `HostCall.runVCPU`.
public struct RunCall: Equatable, Sendable {
    /// x1 and x2.
    public var vcpu: VCPUName
    /// x3: `RunRequest` bits, the number of list registers in bits 11:8, `InterfaceControl` in 31:16.
    public var request: UInt64
    /// x4.
    public var completion: UInt64
    /// x5…x8.
    public var lists: [UInt64]

    /// A run.
    public init(_ vcpu: VCPUName, request: UInt64 = 0, completion: UInt64 = 0, lists: [UInt64] = [0, 0, 0, 0]) {
        self.vcpu = vcpu
        self.request = request
        self.completion = completion
        self.lists = lists
    }

    /// x1…x8.
    public var arguments: [UInt64] { [vcpu.machine, vcpu.index, request, completion] + lists }

    var requests: RunRequest { RunRequest(rawValue: request & 0xFF) }
    var listCount: Int { Int(request >> 8 & 0xF) }

    /// UIE, LRENPIE, NPIE, VGrp<n>{E,D}IE and TDIR of ICH_HCR_EL2.
    var control: UInt64 { request >> 16 }

    /// No bit without a meaning, and no more list registers than there are.
    var isValid: Bool { request & 0xF0FC == 0 && control & ~0x40FE == 0 && listCount <= 4 }
}

/// What the virtual CPU interface holds of interrupts when a guest leaves.
public struct InterruptsLeft: Equatable, Sendable {
    /// The list registers.
    public var lists: [UInt64]
    /// ICH_HCR_EL2.EOIcount: interrupts in no list register that the guest has ended.
    public var endCount: UInt64

    /// What it holds.
    public init(lists: [UInt64], endCount: UInt64) {
        self.lists = lists
        self.endCount = endCount
    }
}

/// x1…x11 of a run that was not refused.
public struct RunReport: Equatable, Sendable {
    /// x1.
    public var exit: RunExit
    /// x2…x4.
    public var values: [UInt64]
    /// x5…x8.
    public var lists: [UInt64]
    /// x9: ICH_VMCR_EL2, and EOIcount in the high half.
    public var interface: UInt64
    /// x10 and x11: the timer.
    public var timer: [UInt64]

    /// x1…x11, or nil if x1 is no exit.
    public init?(registers: [UInt64]) {
        guard let exit = RunExit(rawValue: registers[0]) else { return nil }
        self.exit = exit
        values = Array(registers[1..<4])
        lists = Array(registers[4..<8])
        interface = registers[8]
        timer = Array(registers[9..<11])
    }

    init(_ exit: RunExit, _ values: [UInt64], lists: [UInt64], interface: UInt64, timer: [UInt64]) {
        self.exit = exit
        self.values = values + Array(repeating: 0, count: 3 - values.count)
        self.lists = lists
        self.interface = interface
        self.timer = timer
    }
}

/// How a run begins.
public enum RunStart: Equatable, Sendable {
    /// The guest runs. It finds these list registers, and this in ICH_HCR_EL2.
    case entered(lists: [UInt64], control: UInt64)
    /// There is nothing to run, and this is the answer.
    case off(RunReport)
}

extension AbstractState {
    /// The reasons for which a run may be refused; if there is none it must not be.
    public func refusals(of call: RunCall) -> Set<CallStatus> {
        guard phase == .finalised else { return [.notSupported] }
        var result: Set<CallStatus> = []
        if !call.isValid { result.insert(.invalidParameter) }
        guard let machine = machines[call.vcpu.machine] else { return result.union([.notFound]) }
        if machine.isEnding { result.insert(.denied) }
        guard let vcpu = vcpu(call.vcpu) else { return result.union([.notFound]) }
        if vcpu.runner != nil { result.insert(.busy) }
        return result
    }

    /// The state when a run was not refused.
    public func afterRunBegins(_ call: RunCall, on cpu: Int) -> (AbstractState, RunStart) {
        var next = self
        // From here on the host puts nothing into a protected VM any more.
        next.machines[call.vcpu.machine]?.hasRun = true
        // Of a protected VM that has ended itself, no vCPU is ever on again.
        guard let vcpu = vcpu(call.vcpu), vcpu.power != .off else {
            // The list registers come back as they were given: no guest has seen them.
            let interrupts = InterruptsLeft(lists: call.lists, endCount: 0)
            return (next, .off(next.report(.cpuOff, [], of: call.vcpu, interrupts)))
        }
        let offset = machines[call.vcpu.machine]?.counterOffset ?? 0
        next.change(call.vcpu) {
            $0.counterOffset = offset
            $0.begin(call, on: cpu, features)
        }
        // En; the count of ends begins at zero.
        return (next, .entered(lists: Self.usableLists(call), control: 1 | call.control))
    }

    /// What of the list registers a guest gets to see (IHI 0069, ICH_LR<n>_EL2): interrupts of group 1
    /// below 1020 that are pending or active, each once; a physical number only for the virtual
    /// timer's, the one physical interrupt that is the guest's own; a maintenance request otherwise.
    static func usableLists(_ call: RunCall) -> [UInt64] {
        var seen: Set<UInt64> = []
        return call.lists.enumerated().map { index, list in
            let number = list & 0xFFFF_FFFF
            let state = list & 0b11 << 62
            guard index < call.listCount, state != 0, number < 1020, seen.insert(number).inserted else { return 0 }
            let isPhysical = list >> 61 & 1 == 1
            let isTimer = number == 27 && list >> 32 & 0x1FFF == 27
            let rest: UInt64 = !isPhysical ? list & 1 << 41 : isTimer ? 1 << 61 | 27 << 32 : 0
            // Hardware's own is pending or active, and never both.
            let due = isPhysical && isTimer && state == 0b11 << 62 ? 0b10 << 62 : state
            return due | 1 << 60 | list & 0xFF << 48 | number | rest
        }
    }

    /// The guest was entered and finds its registers like this. It must find what is due.
    public func afterEntry(_ name: VCPUName, finding seen: GuestRegisters) throws(Disagreement) -> AbstractState {
        guard let vcpu = vcpu(name), vcpu.runner != nil else { throw Disagreement("nobody runs vCPU \(name)") }
        var due = vcpu.registers
        var seen = seen
        // ISTATUS is the timer's own to compute.
        due.timerControl &= 3
        seen.timerControl &= 3
        for (index, choice) in vcpu.choices {
            guard seen.general[index] & ~choice.free == choice.fixed else {
                throw Disagreement("x\(index) is \(hex(seen.general[index])), which may not be")
            }
            due.general[index] = seen.general[index]
        }
        if let difference = seen.difference(from: due) { throw Disagreement("\(name): \(difference)") }
        var next = self
        next.change(name) {
            $0.registers = due
            $0.choices = [:]
        }
        return next
    }

    /// What the host is told. Of a protected vCPU, x9 (how far interrupts get) and the list registers
    /// always; the timer only where the host must wake it; whether it fires, always.
    func report(
        _ exit: RunExit, _ values: [UInt64], of name: VCPUName, _ interrupts: InterruptsLeft
    ) -> RunReport {
        guard let machine = machines[name.machine], let vcpu = vcpu(name) else {
            preconditionFailure("a report of a vCPU that does not exist")
        }
        let registers = vcpu.registers
        let offset = vcpu.runner == nil ? machine.counterOffset : vcpu.counterOffset
        var timer = [registers.timerControl, registers.timerCompare &+ offset]
        var values = values
        if machine.kind == .protected {
            if exit != .waitForInterrupt { timer = [registers.isTimerFiring ? 5 : 0, 0] }
            // Where a guest failed, and on what, is its own.
            if exit == .unsupported { values = [] }
        }
        return RunReport(
            exit, values, lists: interrupts.lists, interface: registers.interface | interrupts.endCount << 32,
            timer: timer)
    }

    /// The guest leaves, and its run with it.
    func leaving(
        _ name: VCPUName, _ exit: RunExit, _ values: [UInt64], pending: Pending? = nil,
        _ interrupts: InterruptsLeft
    ) -> (AbstractState, GuestNext) {
        var next = self
        let report = report(exit, values, of: name, interrupts)
        if let cpu = vcpu(name)?.runner {
            // The host finds one bit of the guest's timer, until it quiesces or runs another vCPU.
            next.firingTimers.remove(cpu)
            if vcpu(name)?.registers.isTimerFiring ?? false { next.firingTimers.insert(cpu) }
        }
        next.change(name) {
            $0.runner = nil
            $0.pending = pending
        }
        let isProtected = machines[name.machine]?.kind == .protected
        if exit == .systemOff || exit == .systemReset || isProtected && exit == .unsupported {
            // All of the VM is off. Those that other CPUs run leave when they next come to EL2.
            for index in next.machines[name.machine]?.vcpus.keys ?? [:].keys {
                next.change(VCPUName(name.machine, index)) { $0.power = .off }
            }
            next.machines[name.machine]?.isOver = isProtected
        }
        return (next, .leaves(report))
    }

    /// The guest goes on, unless it has been turned off meanwhile.
    func goingOn(_ name: VCPUName, _ interrupts: InterruptsLeft) -> (AbstractState, GuestNext) {
        vcpu(name)?.power == .off ? leaving(name, .cpuOff, [], interrupts) : (self, .goesOn)
    }
}

extension GuestRegisters {
    /// ENABLE and ISTATUS without IMASK.
    var isTimerFiring: Bool { timerControl & 7 == 5 }
}

extension VCPU {
    /// A CPU begins to run it: a start that is due, then what the host brings of the last exit.
    fileprivate mutating func begin(_ call: RunCall, on cpu: Int, _ features: ProcessorFeatures) {
        runner = cpu
        if case .starting(let entry, let context) = power {
            power = .on
            registers = GuestRegisters(entry: entry, context: context, vectorLength: registers.vectorLength)
            pending = nil
        }
        defer { pending = nil }
        guard let pending else { return }
        if call.requests.contains(.injectExternalAbort) {
            if case .fetch = pending {
                registers.takeExternalAbort(isFetch: true, at: pending.faultAddress, features)
            } else {
                registers.takeExternalAbort(isFetch: false, at: pending.faultAddress, features)
            }
        } else if call.requests.contains(.completes) {
            switch pending {
            case .load(let load, _):
                registers.setOperand(load.register, load.result(call.completion))
                registers.programCounter &+= 4
            case .store, .maintenance: registers.programCounter &+= 4
            case .fault, .fetch: break
            }
        }
    }
}
