// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// `HostCall.getRegister` and `setRegister`: of a normal VM everything; of a protected one where its
// first vCPU starts, before it has, and nothing ever after.

import HypervisorInterface

extension AbstractState {
    /// Reasons that both calls share.
    private func refusals(_ call: CallRegisters, _ machine: Machine) -> Set<CallStatus> {
        var result: Set<CallStatus> = []
        if VCPURegister(number: call.x3) == nil { result.insert(.invalidParameter) }
        guard let vcpu = machine.vcpus[call.x2] else { return result.union([.notFound]) }
        if vcpu.runner != nil { result.insert(.busy) }
        return result
    }

    func afterGetRegister(
        _ call: CallRegisters, _ machine: Machine, _ answer: CallRegisters, _ observing: Observation
    ) throws(Disagreement) -> AbstractState {
        var refusals = refusals(call, machine)
        if machine.kind == .protected { refusals.insert(.denied) }
        guard refusals.isEmpty, let register = VCPURegister(number: call.x3) else {
            return try judge(answer, refusals, self)
        }
        let name = VCPUName(call.x1, call.x2)
        let due = value(of: register, name, machine, count: observing.physicalCount)
        try expectSuccess(answer, x1: due.low, x2: due.high)
        return self
    }

    private func value(
        of register: VCPURegister, _ name: VCPUName, _ machine: Machine, count: UInt64
    ) -> (low: UInt64, high: UInt64) {
        guard let registers = vcpu(name)?.registers else { preconditionFailure("there is no vCPU \(name)") }
        switch register {
        case .general(let index): return (registers.general[Int(index)], 0)
        case .stackPointerEL0: return (registers.stackPointerEL0, 0)
        case .programCounter: return (registers.programCounter, 0)
        case .processorState: return (registers.processorState, 0)
        case .fpcr: return (registers.vectors[0], 0)
        case .fpsr: return (registers.vectors[1], 0)
        case .timerControl: return (registers.timerControl, 0)
        case .timerCompare: return (registers.timerCompare, 0)
        case .timerCount: return (count &- machine.counterOffset, 0)
        case .system(VCPURegister.System.mpidr.rawValue): return (1 << 31 | name.affinity, 0)
        case .system(let index): return (registers.system[Int(index)], 0)
        case .vector(let index):
            return (registers.vectors[2 + 2 * Int(index)], registers.vectors[3 + 2 * Int(index)])
        }
    }

    func afterSetRegister(
        _ call: CallRegisters, _ machine: Machine, _ answer: CallRegisters, _ observing: Observation
    ) throws(Disagreement) -> AbstractState {
        var refusals = refusals(call, machine)
        let register = VCPURegister(number: call.x3)
        if machine.kind == .protected, machine.hasRun || call.x2 != 0 || !(register?.isOfStart ?? false) {
            refusals.insert(.denied)
        }
        switch register {
        case .processorState where !Self.isGuestState(call.x4): refusals.insert(.denied)
        case .system(VCPURegister.System.mpidr.rawValue): refusals.insert(.denied)
        default: break
        }
        return try judge(answer, refusals) {
            var next = self
            if register == .timerCount {
                next.machines[call.x1]?.counterOffset = observing.physicalCount &- call.x4
            }
            next.change(VCPUName(call.x1, call.x2)) { vcpu in
                if let register { vcpu.registers.set(register, call.x4, call.x5) }
            }
            return next
        }
    }

    /// EL0 or EL1, in AArch64.
    private static func isGuestState(_ state: UInt64) -> Bool { [0b00000, 0b00100, 0b00101].contains(state & 0x1F) }
}

extension VCPURegister {
    /// What says where a protected VM's first vCPU starts, and with what.
    fileprivate var isOfStart: Bool {
        switch self {
        case .general, .programCounter, .processorState: true
        default: false
        }
    }
}

extension GuestRegisters {
    fileprivate mutating func set(_ register: VCPURegister, _ low: UInt64, _ high: UInt64) {
        switch register {
        case .general(let index): general[Int(index)] = low
        case .stackPointerEL0: stackPointerEL0 = low
        case .programCounter: programCounter = low
        case .processorState:
            // N, Z, C, V; TCO, DIT, UAO, PAN, SS; SSBS; D, A, I, F; M. Neither IL nor BTYPE, nor what
            // has no meaning yet.
            processorState = low & (0xF << 28 | 0x1F << 21 | 1 << 12 | 0xF << 6 | 0x1F)
        case .fpcr: vectors[0] = low
        case .fpsr: vectors[1] = low
        case .timerControl: timerControl = low & 3  // ISTATUS is the timer's.
        case .timerCompare: timerCompare = low
        case .timerCount: break  // The VM's.
        case .system(let index): system[Int(index)] = low
        case .vector(let index):
            vectors[2 + 2 * Int(index)] = low
            vectors[3 + 2 * Int(index)] = high
        }
    }
}
