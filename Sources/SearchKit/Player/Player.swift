// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Plays steps on the simulated machine, with the real implementation, beside the specification.

import Arm
import HypervisorCore
import HypervisorInterface
import SimulatedMachine
import Snapshot
public import Specification

/// A host that does what a program says, and everything that must be true after each step.
public final class Player {
    /// The machine and the hypervisor.
    public let host: SimulatedHost
    /// What the specification makes of all that has happened.
    public private(set) var state: AbstractState
    /// The handle that each name was bound to last.
    public private(set) var handles: [Int: UInt64] = [:]
    /// First frame of the region that programs have for themselves.
    public let region: UInt64
    /// What is done and to what, if somebody counts it.
    public var coverage: Coverage?
    /// Changes an answer of the implementation before anybody sees it: a fault put in, to test the search.
    public var tamper: ((_ call: CallRegisters, _ answer: inout CallRegisters) -> Void)?
    /// HVC and SMC made so far, on all ways.
    public private(set) var calls = 0
    /// The answer of the latest step, its status among the values of `CallStatus`.
    public private(set) var answer: CallRegisters?

    private let auditor: Auditor
    private let guest = TouchingGuest()
    private let start: Point

    /// A point in a program that the player can go back to.
    public struct Point {
        fileprivate let moment: Moment
        fileprivate let bytes: ValueBytes
        fileprivate let state: AbstractState
        fileprivate let handles: [Int: UInt64]
        fileprivate let agreement: Auditor.Agreement
    }

    /// A machine on which every CPU is behind the stage-2.
    /// - Parameter region: its first frame: memory of the host's, at a border of 2 MiB.
    public init(_ plan: Plan = Plan(), region: UInt64 = 0x42000) throws {
        host = try SimulatedHost(plan)
        try host.finalise()
        var state = AbstractState(plan.installation)
        state.confineAll()
        self.state = state
        self.region = region
        auditor = Auditor(host, state)
        if let first = host.differences(from: state).first { throw Disagreement(first) }
        start = Point(
            moment: host.machine.mark(), bytes: ValueBytes(of: &host.hypervisor), state: state, handles: [:],
            agreement: auditor.agreement)
        host.machine.guest = guest
    }

    /// Remembers this point.
    public func mark() -> Point {
        Point(
            moment: host.machine.mark(), bytes: ValueBytes(of: &host.hypervisor), state: state, handles: handles,
            agreement: auditor.agreement)
    }

    /// Goes back; points in between mean nothing any more.
    public func goBack(to point: Point) {
        host.machine.goBack(to: point.moment)
        point.bytes.restore(&host.hypervisor)
        state = point.state
        handles = point.handles
        answer = nil
        host.complaints = []
        auditor.adopt(point.agreement)
    }

    /// Whether the abstract state, or what a name stands for, is another than at a point.
    func hasChanged(since point: Point) -> Bool { state != point.state || handles != point.handles }

    /// Goes back to where nothing has happened yet.
    public func startAgain() {
        goBack(to: start)
        if host.audit != nil { host.beginAudit() }
    }

    /// What an operand stands for.
    public func value(_ operand: Operand) -> UInt64 {
        switch operand {
        case .number(let value): value
        case .page(let index): region &+ UInt64(bitPattern: index)
        case .machine(let name): handles[name] ?? 0
        }
    }

    /// Carries out one step and compares everything that it may have changed.
    public func play(_ step: Step) throws(Disagreement) {
        let cpu = step.cpu % host.plan.cpuCount
        let values = step.arguments.map { value($0) }
        switch step.deed {
        case .call, .firmware: calls += 1
        case .read, .write, .fetch, .together: break
        }
        switch step.deed {
        case .call(let number) where step.deed.hostCall == .runVCPU:
            try run(number, values, step.meanwhile, on: cpu)
        case .call(let number): try call(number, values, binds: step.binds, on: cpu)
        case .firmware(let number): try firmware(number, values, on: cpu)
        case .read, .write, .fetch: try access(step.deed, values.first ?? 0, on: cpu)
        // Everything is compared there already.
        case .together: return try playTogether(step)
        }
        let differences = auditor.differences(from: state)
        if let first = differences.first { throw Disagreement(first) }
    }

    /// Compares everything, whether a step may have changed it or not.
    public func compareAll(stride: UInt64 = 1) throws(Disagreement) {
        if let first = host.differences(from: state, stride: stride).first { throw Disagreement(first) }
        if let first = host.guestTableDifferences(state).first { throw Disagreement(first) }
        if let first = host.machine.violations.first { throw Disagreement(first.description) }
    }

    /// Makes something count on the machine's clock.
    private var physicalCount: UInt64 { host.machine[cpu: 0].read(.cntpctEL0) }

    /// What a step has in x0 to x5.
    func registers(of step: Step) -> CallRegisters {
        guard case .call(let number) = step.deed else { preconditionFailure("no call: \(step)") }
        return registers(number, step.arguments.map { value($0) })
    }

    /// Goes on from a state in which everything agrees.
    func adopt(_ state: AbstractState, bindings: [(Int, UInt64)]) {
        self.state = state
        for (name, handle) in bindings { handles[name] = handle }
        auditor.adopt(state)
    }

    private func note(_ x0: UInt64, of name: HostCall?) {
        if let name, let status = CallStatus(rawValue: Int64(bitPattern: x0)) { coverage?.note(status, of: name) }
    }

    private func registers(_ number: UInt64, _ values: [UInt64]) -> CallRegisters {
        func x(_ index: Int) -> UInt64 { index <= values.count ? values[index - 1] : 0 }
        return CallRegisters(number, x(1), x(2), x(3), x(4), x(5))
    }

    private func call(_ number: UInt64, _ values: [UInt64], binds: Int?, on cpu: Int) throws(Disagreement) {
        let call = registers(number, values)
        let name = HostCall(rawValue: UInt32(truncatingIfNeeded: number) & ~0x1_0000)
        var observing = host.observation
        observing.physicalCount = physicalCount
        // What is asked after the call must be what was true before it.
        switch name {
        case .reclaimPool:
            let isInUse = observing.isInUse
            let used = Set(state.donatedPages.filter { isInUse($0) })
            observing.isInUse = { used.contains($0) }
        case .mapGuest, .unmapGuest, .donateToGuest:
            let left = observing.freePagesOfVM(call.x1)
            observing.freePagesOfVM = { _ in left }
        default: break
        }
        coverage?.note(call, name, state, region: region)
        var answer = host.hvc(call, on: cpu)
        tamper?(call, &answer)
        self.answer = answer
        note(answer.x0, of: name)
        let next = try state.after(call, on: cpu, answer: answer, observing: observing)
        if answer.x0 == 0 {
            coverage?.noteAnswer(call, name, answer, before: state, after: next)
            try checkReturned(next)
            if let binds { handles[binds] = answer.x1 }
        }
        state = next
    }

    /// What the host gets back, but for memory that it had lent, has nothing in it.
    private func checkReturned(_ next: AbstractState) throws(Disagreement) {
        guard let changed = next.changedFrames(from: state) else { return }
        for run in next.runs(in: changed) where run.page == .host {
            for frame in (run.first..<run.end).clamped(to: changed) where state.page(frame) != .host {
                guard host.machine.isZero(Frame(frame)) else {
                    throw Disagreement("frame \(hex(frame)) came back with something in it")
                }
            }
        }
    }

    private func firmware(_ number: UInt64, _ values: [UInt64], on cpu: Int) throws(Disagreement) {
        let call = registers(number, values)
        coverage?.noteFirmware(call, state)
        let fate = state.fate(of: call, offered: [])
        let count = host.firmware.calls.count
        let answer = host.smc(call, on: cpu)
        self.answer = nil
        switch fate {
        case .refused where answer.x0 != UInt64(bitPattern: -1): throw Disagreement("SMC \(call) was not refused")
        case .answered(let due) where answer.x0 != due:
            throw Disagreement("SMC \(call) was answered \(hex(answer.x0)) where \(hex(due)) was due")
        case .refused, .answered:
            guard host.firmware.calls.count == count else { throw Disagreement("SMC \(call) reached firmware") }
        case .forwarded, .coldReset, .relayed, .asked:
            guard host.firmware.calls.count > count else { throw Disagreement("SMC \(call) did not reach firmware") }
        }
    }

    private func access(_ deed: Deed, _ frame: UInt64, on cpu: Int) throws(Disagreement) {
        let kind: AccessKind =
            switch deed {
            case .write: .write
            case .fetch: .execute
            default: .read
            }
        let frame = frame & ((1 << 40) - 1)
        coverage?.noteAccess(kind, frame, state)
        let reached = host.touch(frame << pageShift, kind, on: cpu)
        answer = nil
        switch state.reach(frame) {
        case .memory:
            guard reached == frame else { throw Disagreement("the host lost frame \(hex(frame))") }
            if kind == .write {
                // A secret of the host's: nobody may find it who was given the page empty.
                try? host.machine.hostStore(host.machine[cpu: cpu], Address(frame << pageShift), 0x5EC2_E700 + frame)
            }
        case .device:
            guard reached == (kind == .execute ? nil : frame) else { throw Disagreement("device \(hex(frame))") }
        case .nothing:
            guard reached == nil else {
                throw Disagreement("the host reaches frame \(hex(frame)), which is not its own")
            }
        case .sink:
            if let reached, reached == frame || kind == .execute || state.page(reached) == .guest {
                throw Disagreement("the host reaches \(hex(reached)) at a guest's frame \(hex(frame))")
            }
        }
    }

    private func run(_ number: UInt64, _ values: [UInt64], _ meanwhile: [Step], on cpu: Int) throws(Disagreement) {
        func x(_ index: Int) -> UInt64 { index <= values.count ? values[index - 1] : 0 }
        let call = RunCall(
            VCPUName(x(1), x(2)), request: x(3), completion: x(4), lists: [x(5), x(6), x(7), x(8)])
        let refusals = state.refusals(of: call)
        var due: RunReport?
        guest.entered = nil
        if refusals.isEmpty {
            let start: RunStart
            (state, start) = state.afterRunBegins(call, on: cpu)
            switch start {
            case .off(let report): due = report
            case .entered:
                guest.entered = { [unowned self] (processor: SimulatedCPU) throws(Disagreement) in
                    try guestRuns(call, meanwhile, on: processor)
                }
            }
        }
        let answer = host.longCall([number] + call.arguments, on: cpu)
        self.answer = CallRegisters(answer[0], answer[1], answer[2], answer[3])
        note(answer[0], of: .runVCPU)
        guest.entered = nil
        if let failure = guest.failure {
            guest.failure = nil
            throw failure
        }
        guard let status = CallStatus(rawValue: Int64(bitPattern: answer[0])),
            refusals.isEmpty ? status == .success : refusals.contains(status)
        else { throw Disagreement("runVCPU answered \(hex(answer[0])) where \(refusals) was due") }
        guard status == .success else { return }
        if due == nil { due = guest.report }
        guard RunReport(registers: Array(answer[1...11])) == due else {
            throw Disagreement("the host is told \(answer.map(hex)) where \(String(describing: due)) was due")
        }
    }

    /// What a guest does before an interrupt takes it back: it touches what it has and what it has not, and
    /// other CPUs go on.
    private func guestRuns(_ call: RunCall, _ meanwhile: [Step], on processor: SimulatedCPU) throws(Disagreement) {
        guard let vm = state.machines[call.vcpu.machine] else { throw Disagreement("a VM runs that does not exist") }
        try guest.touch(vm, on: processor, counting: &coverage)
        for step in meanwhile where host.plan.cpuCount > 1 {
            var step = step
            if step.cpu % host.plan.cpuCount == processor.index { step.cpu += 1 }
            step.cpu %= host.plan.cpuCount
            // One guest at a time is enough to be met.
            guard step.deed.hostCall != .runVCPU else {
                try playRefusedRun(step)
                continue
            }
            try play(step)
        }
        guard let registers = state.vcpu(call.vcpu)?.registers else { throw Disagreement("a vCPU is gone that runs") }
        let interrupts = InterruptsLeft(lists: lists(processor), endCount: 0)
        let next: GuestNext
        (state, next) = state.after(.interrupt, of: call.vcpu, registers, interrupts, syndrome: (0, 0))
        guard case .leaves(let report) = next else { throw Disagreement("an interrupt does not take the guest back") }
        guest.report = report
    }

    private func playRefusedRun(_ step: Step) throws(Disagreement) {
        let values = step.arguments.map { value($0) }
        let name = VCPUName(values.first ?? 0, values.count > 1 ? values[1] : 0)
        guard state.refusals(of: RunCall(name)).contains(.busy) else { return }
        let answer = host.longCall([UInt64(HostCall.runVCPU.rawValue), name.machine, name.index], on: step.cpu)
        guard state.refusals(of: RunCall(name)).contains(where: { $0.rawValue == Int64(bitPattern: answer[0]) }) else {
            throw Disagreement("a vCPU that runs is run again: \(hex(answer[0]))")
        }
    }

    private func lists(_ cpu: SimulatedCPU) -> [UInt64] {
        [cpu.read(.ichLr0EL2), cpu.read(.ichLr1EL2), cpu.read(.ichLr2EL2), cpu.read(.ichLr3EL2)]
    }
}
