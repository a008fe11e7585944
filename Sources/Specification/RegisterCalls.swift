// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// `HostCall.getRegister` and `setRegister`: of a normal VM everything; of a protected one where its
// first vCPU starts, and which vectors its vCPUs have, before it runs, and nothing ever after.

import HypervisorInterface

extension AbstractState {
    /// Reasons that both calls share.
    private func refusals(_ call: CallRegisters, _ machine: Machine) -> Set<CallStatus> {
        var result: Set<CallStatus> = []
        if VCPURegister(number: call.x3) == nil { result.insert(.invalidParameter) }
        guard let vcpu = machine.vcpus[call.x2] else { return result.union([.notFound]) }
        if vcpu.runner != nil { result.insert(.busy) }
        switch VCPURegister(number: call.x3) {
        case .vectorControl where vcpu.registers.vectorLength == 0: result.insert(.notFound)
        case .scalable where vcpu.registers.vectorLength == 0: result.insert(.notFound)
        case .scalable(let index)
        where UInt64(index) >= VCPURegister.scalableDoublewords(vcpu.registers.vectorLength):
            result.insert(.invalidParameter)
        default: break
        }
        return result
    }

    func afterGetRegister(
        _ call: CallRegisters, _ machine: Machine, _ answer: CallRegisters, _ observing: Observation
    ) throws(Disagreement) -> AbstractState {
        var refusals = refusals(call, machine)
        // Whether a vCPU is off a run of it says too.
        if machine.kind == .protected, VCPURegister(number: call.x3) != .power { refusals.insert(.denied) }
        guard refusals.isEmpty, let register = VCPURegister(number: call.x3) else {
            return try judge(answer, refusals, self)
        }
        let name = VCPUName(call.x1, call.x2)
        let due = value(of: register, name, machine, count: observing.physicalCount)
        guard answer.x1 & ~due.low.free == due.low.fixed else {
            throw Disagreement("\(register) is \(hex(answer.x1)) where \(hex(due.low.fixed)) was due")
        }
        try expectSuccess(answer, x1: answer.x1, x2: due.high)
        return self
    }

    private func value(
        of register: VCPURegister, _ name: VCPUName, _ machine: Machine, count: UInt64
    ) -> (low: Choice, high: UInt64) {
        guard let registers = vcpu(name)?.registers else { preconditionFailure("there is no vCPU \(name)") }
        if case .identity(let index) = register { return (identity(UInt64(index >> 3), UInt64(index & 7), name), 0) }
        if case .scalable(let index) = register { return (registers.scalable(Int(index)), 0) }
        let value: UInt64 =
            switch register {
            case .general(let index): registers.general[Int(index)]
            case .stackPointerEL0: registers.stackPointerEL0
            case .programCounter: registers.programCounter
            case .processorState: registers.processorState
            case .fpcr: registers.vectorStatus[0]
            case .fpsr: registers.vectorStatus[1]
            case .timerControl: registers.timerControl
            case .timerCompare: registers.timerCompare
            case .timerCount: count &- machine.counterOffset
            case .vectorLength: registers.vectorLength
            case .vectorControl: registers.vectorControl
            case .power: vcpu(name)?.power == .off ? VCPUStart.off.rawValue : VCPUStart.on.rawValue
            case .system(VCPURegister.System.mpidr.rawValue): 1 << 31 | name.affinity
            case .system(let index): registers.system[Int(index)]
            case .vector(let index): registers.vectors[registers.vector(index)]
            case .identity, .scalable: 0
            }
        guard case .vector(let index) = register else { return (Choice(free: 0, fixed: value), 0) }
        return (Choice(free: 0, fixed: value), registers.vectors[registers.vector(index) + 1])
    }

    func afterSetRegister(
        _ call: CallRegisters, _ machine: Machine, _ answer: CallRegisters, _ observing: Observation
    ) throws(Disagreement) -> AbstractState {
        var refusals = refusals(call, machine)
        let register = VCPURegister(number: call.x3)
        if machine.kind == .protected {
            let isAllowed = register?.isOfShape ?? false || call.x2 == 0 && register?.isOfStart ?? false
            if machine.hasRun || !isAllowed { refusals.insert(.denied) }
        }
        switch register {
        case .processorState where !Self.isGuestState(call.x4): refusals.insert(.denied)
        case .system(VCPURegister.System.mpidr.rawValue), .identity: refusals.insert(.denied)
        case .vectorLength:
            if !VectorLengths(bits: vectorLengths).contains(call.x4) { refusals.insert(.invalidParameter) }
            if machine.vcpus[call.x2]?.registers.vectorLength ?? 0 > 0 { refusals.insert(.denied) }
        case .power where VCPUStart(rawValue: call.x4) == nil: refusals.insert(.invalidParameter)
        default: break
        }
        return try judge(answer, refusals) {
            var next = self
            if register == .timerCount {
                next.machines[call.x1]?.counterOffset = observing.physicalCount &- call.x4
            }
            next.change(VCPUName(call.x1, call.x2)) { vcpu in
                if let register { vcpu.registers.set(register, call.x4, call.x5) }
                if register == .power { vcpu.turn(VCPUStart(rawValue: call.x4)) }
            }
            return next
        }
    }

    /// EL0 or EL1, in AArch64.
    private static func isGuestState(_ state: UInt64) -> Bool { [0b00000, 0b00100, 0b00101].contains(state & 0x1F) }
}

extension VCPU {
    /// The host turns it on or off. One that its guest has turned on still starts where that said.
    fileprivate mutating func turn(_ start: VCPUStart?) {
        switch (start, power) {
        case (.off, _): power = .off
        case (.on, .off): power = .on
        case (.on, .on), (.on, .starting), (nil, _): break
        }
    }
}

extension VCPURegister {
    /// What says where a protected VM's first vCPU starts, and with what.
    fileprivate var isOfStart: Bool {
        switch self {
        case .general, .programCounter, .processorState: true
        default: false
        }
    }

    /// What says what a vCPU has.
    fileprivate var isOfShape: Bool { self == .vectorLength }
}

extension GuestRegisters {
    /// Place of the low half of `v0`…`v31`.
    fileprivate func vector(_ index: UInt8) -> Int { Int(index) * vectors.count / 32 }

    /// A doubleword of the scalable registers; the last may have room behind FFR, which is nobody's.
    fileprivate func scalable(_ index: Int) -> Choice {
        guard index >= vectors.count else { return Choice(free: 0, fixed: vectors[index]) }
        let first = 4 * (index - vectors.count)
        let halves = predicates[first..<min(first + 4, predicates.count)]
        let value = halves.reversed().reduce(0 as UInt64) { $0 << 16 | UInt64($1) }
        return Choice(free: halves.count == 4 ? 0 : ~0 << UInt64(16 * halves.count), fixed: value)
    }

    private mutating func setScalable(_ index: Int, _ value: UInt64) {
        guard index >= vectors.count else {
            vectors[index] = value
            return
        }
        for half in 0..<4 where 4 * (index - vectors.count) + half < predicates.count {
            predicates[4 * (index - vectors.count) + half] = UInt16(truncatingIfNeeded: value >> UInt64(16 * half))
        }
    }

    fileprivate mutating func set(_ register: VCPURegister, _ low: UInt64, _ high: UInt64) {
        switch register {
        case .general(let index): general[Int(index)] = low
        case .stackPointerEL0: stackPointerEL0 = low
        case .programCounter: programCounter = low
        case .processorState:
            // N, Z, C, V; TCO, DIT, UAO, PAN, SS; SSBS; D, A, I, F; M. Neither IL nor BTYPE, nor what
            // has no meaning yet.
            processorState = low & (0xF << 28 | 0x1F << 21 | 1 << 12 | 0xF << 6 | 0x1F)
        case .fpcr: vectorStatus[0] = low
        case .fpsr: vectorStatus[1] = low
        case .timerControl: timerControl = low & 3  // ISTATUS is the timer's.
        case .timerCompare: timerCompare = low
        case .timerCount, .power: break  // The VM's, and the vCPU's.
        case .vectorLength:
            // Set before anything is done with vector registers: they are all zero.
            let fresh = GuestRegisters(entry: 0, context: 0, vectorLength: low)
            (vectorLength, vectors, predicates) = (low, fresh.vectors, fresh.predicates)
        case .vectorControl: vectorControl = low
        case .scalable(let index): setScalable(Int(index), low)
        case .identity: break  // Nobody's to change.
        case .system(let index): system[Int(index)] = low
        case .vector(let index):
            vectors[vector(index)] = low
            vectors[vector(index) + 1] = high
        }
    }
}
