// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Holds the answers of a hypervisor that cannot be looked into against the specification: of the one at EL2 of
// another machine, as a test module on its host has heard them.

import HypervisorInterface
public import Specification

/// What a machine is, as far as the answers depend on it.
public struct PlayedMachine: Sendable {
    /// First frame of the region that the program has for itself.
    public var region: UInt64
    /// CPUs.
    public var cpuCount: Int
    /// Bits of physical addresses.
    public var inputBits: UInt64
    /// `VectorLengths.bits`.
    public var vectorLengths: UInt64

    /// A machine.
    public init(region: UInt64, cpuCount: Int, inputBits: UInt64, vectorLengths: UInt64) {
        self.region = region
        self.cpuCount = cpuCount
        self.inputBits = inputBits
        self.vectorLengths = vectorLengths
    }
}

/// What a step came to.
public enum Outcome: Equatable, Sendable {
    /// x0 and following after a call.
    case registers([UInt64])
    /// A call after which registers are not what they were that are none of its answer.
    case spoiled
    /// What a load has read; nil if there was an exception.
    case loaded(UInt64?)
    /// Whether a store has been made.
    case stored(Bool)
    /// This machine has no way to make the step.
    case leftOut
}

/// Follows a program by its answers.
///
/// The specification leaves some things open, and what decides them is out of sight: then every state that may
/// follow is kept, until an answer fits none of them.
public struct Judge {
    private let machine: PlayedMachine
    private var states: [AbstractState]
    private var handles: [Int: UInt64] = [:]
    /// What the first word of each page of the region holds, while the page is the host's; 0 if nothing is said.
    private var contents: [UInt64: UInt64] = [:]
    /// What it held when the page was the host's last.
    private var secrets: [UInt64: UInt64] = [:]
    /// Pages of the host's that have been stored to when they may not have been its own.
    private var uncertain: Set<UInt64> = []
    /// Steps that were judged.
    public private(set) var judged = 0
    /// Of them calls that were answered with success.
    public private(set) var successes = 0
    /// Steps that the machine had no way to make.
    public private(set) var leftOut = 0

    /// A judge of a machine where nothing has happened, and the region is empty.
    public init(of machine: PlayedMachine) {
        self.machine = machine
        var state = AbstractState(
            Installation(
                ranges: [Pages(first: machine.region, count: regionPages, .host)], superpages: [],
                affinities: (0..<machine.cpuCount).map { UInt64($0) }, inputBits: machine.inputBits,
                vectorLengths: machine.vectorLengths))
        state.confineAll()
        states = [state]
    }

    /// What a store of a step leaves in the page.
    /// - Parameter number: the step's place in the program, from 1.
    public static func stored(by number: Int) -> UInt64 { 0x5EC2_E700_0000_0000 | UInt64(number) }

    private func value(_ operand: Operand) -> UInt64 {
        switch operand {
        case .number(let value): value
        case .page(let index): machine.region &+ UInt64(bitPattern: index)
        case .machine(let name): handles[name] ?? 0
        }
    }

    /// Takes the next step's outcome.
    /// - Parameter number: the step's place in the program, from 1.
    /// - Throws: if the specification allows it in no state that there may be.
    public mutating func take(_ step: Step, _ outcome: Outcome, number: Int) throws(Disagreement) {
        let values = step.arguments.map { value($0) }
        switch (step.deed, outcome) {
        case (_, .leftOut):
            leftOut += 1
            return
        case (.call(let call), .registers(let answer)) where answer.count >= 12:
            let before = states
            try takeCall(call, values, answer, on: step.cpu % machine.cpuCount, isRun: step.deed.hostCall == .runVCPU)
            if answer[0] == 0 {
                successes += 1
                if let binds = step.binds { handles[binds] = answer[1] }
            }
            forget(before)
        case (.firmware(let call), .registers(let answer)) where !answer.isEmpty:
            try takeFirmware(CallRegisters(call, values.first ?? 0), answer[0])
        case (.read, .loaded(let word)): try takeAccess(values.first ?? 0, word.map { .loaded($0) } ?? .refused)
        case (.write, .stored(let isMade)):
            let frame = values.first ?? 0
            try takeAccess(frame, isMade ? .stored : .refused)
            let hosts = states.count { $0.page(frame) == .host }
            if isMade, hosts > 0 {
                contents[frame] = Self.stored(by: number)
                if hosts < states.count { uncertain.insert(frame) } else { uncertain.remove(frame) }
            }
        default: throw Disagreement("\(step) cannot have come to \(outcome)")
        }
        judged += 1
    }

    /// Keeps the states that some reason leads to; fails with the last objection if there is none.
    private mutating func follow(_ next: (AbstractState) throws(Disagreement) -> [AbstractState]) throws(Disagreement) {
        var after: [AbstractState] = []
        var objection: Disagreement?
        for state in states {
            do throws(Disagreement) {
                for next in try next(state) where !after.contains(next) { after.append(next) }
            } catch { objection = error }
        }
        guard !after.isEmpty else { throw objection ?? Disagreement("nothing explains the answer") }
        states = after
    }

    private mutating func takeCall(
        _ number: UInt64, _ values: [UInt64], _ answer: [UInt64], on cpu: Int, isRun: Bool
    ) throws(Disagreement) {
        func x(_ index: Int) -> UInt64 { index <= values.count ? values[index - 1] : 0 }
        if isRun {
            let call = RunCall(VCPUName(x(1), x(2)), request: x(3), completion: x(4), lists: [x(5), x(6), x(7), x(8)])
            return try follow { state throws(Disagreement) in try state.afterRun(call, answer, on: cpu) }
        }
        let call = CallRegisters(number, x(1), x(2), x(3), x(4), x(5))
        let registers = CallRegisters(answer[0], answer[1], answer[2], answer[3])
        try follow { state throws(Disagreement) in
            var result: [AbstractState] = []
            var objection: Disagreement?
            let isEnding = HostCall(rawValue: UInt32(truncatingIfNeeded: number) & ~0x1_0000) == .destroyVM
            for lost in isEnding ? state.partsOfMemory(of: call.x1) : [[]] {
                do throws(Disagreement) {
                    let observing = state.observation(of: call, answer: registers, lost: lost)
                    result.append(try state.after(call, on: cpu, answer: registers, observing: observing))
                } catch { objection = error }
            }
            if let objection, result.isEmpty { throw objection }
            return result
        }
    }

    private mutating func takeFirmware(_ call: CallRegisters, _ answer: UInt64) throws(Disagreement) {
        try follow { state throws(Disagreement) in
            switch state.fate(of: call, offered: []) {
            case .refused where answer != .max: throw Disagreement("SMC \(call) was not refused: \(hex(answer))")
            case .answered(let due) where answer != due:
                throw Disagreement("SMC \(call) was answered \(hex(answer)) where \(hex(due)) was due")
            default: return [state]
            }
        }
    }

    /// What an access came to.
    private enum Access: Equatable {
        case refused, stored
        case loaded(UInt64)
    }

    private mutating func takeAccess(_ frame: UInt64, _ access: Access) throws(Disagreement) {
        let due = contents[frame] ?? 0
        let (isCertain, secret) = (!uncertain.contains(frame), secrets[frame])
        try follow { state throws(Disagreement) in
            switch (state.reach(frame), access) {
            case (.memory, .refused): throw Disagreement("the host lost frame \(hex(frame))")
            case (.memory, .loaded(let word)) where isCertain && word != due:
                throw Disagreement("frame \(hex(frame)) holds \(hex(word)) where \(hex(due)) was due")
            case (.nothing, .loaded), (.nothing, .stored):
                throw Disagreement("the host reaches frame \(hex(frame)), which is not its own")
            // A sink may keep what was stored to it, but has nothing of what the page held before.
            case (.sink, .loaded(let word)) where word == secret:
                throw Disagreement("the host finds in frame \(hex(frame)), a guest's, what it held before")
            default: return [state]
            }
        }
    }

    /// Whatever was in pages that are not the host's any more is gone when they are again.
    private mutating func forget(_ before: [AbstractState]) {
        guard let old = before.first, let new = states.first, new.changedFrames(from: old) != nil else { return }
        for (frame, word) in contents where !states.contains(where: { $0.page(frame) == .host }) {
            secrets[frame] = word
            contents[frame] = nil
            uncertain.remove(frame)
        }
    }
}

/// Pages of the region that a program has for itself.
public let regionPages: UInt64 = 512

extension AbstractState {
    /// What is known of tables that nobody sees.
    /// - Parameter lost: superpages of its own that a guest has no memory in after the call.
    fileprivate func observation(of call: CallRegisters, answer: CallRegisters, lost: Set<UInt64>) -> Observation {
        let isEmpty = answer.x0 != 0
        // The pool of a machine is large, and programs give to it: it never runs short.
        var observing = Observation(freePages: 1 << 20) { _ in
            0
        } isInUse: { _ in
            isEmpty
        }
        let left = machines[call.x1]?.leastTablePages ?? 0
        observing.freePagesOfVM = { _ in left }
        observing.isMapped = { _, page in !lost.contains(page >> 9) }
        return observing
    }

    /// What a step of an end may take of a guest's memory: everything in some of its superpages. How many of them a
    /// step takes nobody sees who does not see the tables.
    fileprivate func partsOfMemory(of handle: UInt64) -> [Set<UInt64>] {
        let superpages = Set((machines[handle]?.mappings ?? [:]).keys.map { $0 >> 9 }).sorted()
        return superpages.reduce(into: [[]]) { parts, superpage in
            parts += parts.map { $0.union([superpage]) }
        }
    }

    /// What may be after a run that was answered so.
    fileprivate func afterRun(_ call: RunCall, _ answer: [UInt64], on cpu: Int) throws(Disagreement) -> [AbstractState]
    {
        let refusals = refusals(of: call)
        guard let status = CallStatus(rawValue: Int64(bitPattern: answer[0])),
            refusals.isEmpty ? status == .success : refusals.contains(status)
        else { throw Disagreement("runVCPU answered \(hex(answer[0])) where \(refusals) was due") }
        guard status == .success else { return [self] }
        let (begun, start) = afterRunBegins(call, on: cpu)
        var due: [(state: AbstractState, report: RunReport)] = []
        switch start {
        case .off(let report): due = [(begun, report)]
        case .entered(let lists, _):
            guard let registers = begun.vcpu(call.vcpu)?.registers else { throw Disagreement("there is no vCPU") }
            let interrupts = InterruptsLeft(lists: lists, endCount: 0)
            let fetch = GuestMemoryAccess(
                address: registers.programCounter, virtualAddress: registers.programCounter, direction: .fetch)
            // Nobody has given it any instruction to execute: it asks for its first, or is interrupted before.
            let ends = [
                begun.after(.interrupt, of: call.vcpu, registers, interrupts, syndrome: (0, 0)),
                begun.afterAccess(fetch, by: call.vcpu, registers, interrupts),
            ]
            for (state, next) in ends { if case .leaves(let report) = next { due.append((state, report)) } }
        }
        /// Without what is the machine's own.
        func comparable(_ report: RunReport?) -> RunReport? {
            var report = report
            // ICH_VMCR_EL2: binary points have a least value, and VFIQEn is RES1 (IHI 0069, 12.4.8).
            report?.interface &= ~(0x3F << 18 | 1 << 3)
            // A normal guest's timer is told with an offset that is the machine's clock at some moment.
            if machines[call.vcpu.machine]?.kind == .normal { report?.timer[1] = 0 }
            return report
        }
        let heard = comparable(RunReport(registers: Array(answer[1...11])))
        let fitting = due.filter { comparable($0.report) == heard }
        guard !fitting.isEmpty else {
            throw Disagreement("the host is told \(answer.map(hex)) where one of \(due.map(\.report)) was due")
        }
        return fitting.map(\.state)
    }
}

extension Specification.Machine {
    /// Pages that it has left for tables at the least: its own, without root, vCPUs and its own state, and without
    /// what its mappings can need.
    fileprivate var leastTablePages: UInt64 {
        // A table of each level for each part of the address space that has memory.
        let tables = [9, 18, 27].reduce(0) { sum, shift in sum + Set(mappings.keys.map { $0 >> shift }).count }
        let root = Int(Self.rootPages(inputBits: inputBits))
        let used = root + 1 + vcpus.count * Int(HostCall.pagesPerVCPU) + tables
        return UInt64(max(0, ownPages.count - used))
    }
}
