// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The take-over itself, as every CPU runs it at the same time with interrupts off: enter EL2,
// initialise once, go behind the stage-2. Until the first CPU has gone, every step is undone
// when a later one fails.

public import HypervisorInterface
internal import Synchronization

/// What EL2 answered to a host call.
public struct HostCallAnswer: Equatable, Sendable {
    /// x0 as it came; `CallStatus` when EL2 is Martlet.
    public var status: Int64
    /// x1.
    public var first: UInt64
    /// x2.
    public var second: UInt64
    /// x3.
    public var third: UInt64

    /// An answer.
    public init(status: Int64, first: UInt64 = 0, second: UInt64 = 0, third: UInt64 = 0) {
        self.status = status
        self.first = first
        self.second = second
        self.third = third
    }
}

/// What one CPU can do about its EL2 during the take-over.
public protocol TakeOverCPU: ~Copyable {
    /// Asks the kernel's stub to branch to the image's entry. The result is x0 on return.
    mutating func enter() -> UInt64
    /// Makes a host call without arguments.
    mutating func call(_ call: HostCall) -> HostCallAnswer
    /// Waits a moment for the other CPUs, without sleeping.
    mutating func pause()
}

/// The state that the CPUs share while they take EL2 over, and the outcome when all are done.
public struct TakeOver: ~Copyable, Sendable {
    /// How it ended.
    public enum Outcome: Equatable, Sendable {
        /// Every CPU is behind the stage-2.
        case installed
        /// Nothing is left at EL2; the memory can go back to the kernel.
        case withdrawn(Refusal)
        /// A CPU did not give its EL2 back, or the first CPUs had gone behind the stage-2 when
        /// another failed. The memory is EL2's for good and the machine needs a reset.
        case stuck(Refusal)
    }

    private enum Stage: UInt32 {
        case entering = 0
        case initialised = 1
        case failed = 2
        case deprivileging = 3
    }

    private let entered = Atomic<UInt32>(0)
    private let stage = Atomic<UInt32>(Stage.entering.rawValue)
    private let deprivileged = Atomic<UInt32>(0)
    private let notWithdrawn = Atomic<UInt32>(0)
    // The first failure: its kind and CPU in one word, so that one CPU wins, and its number.
    private let failure = Atomic<UInt64>(0)
    private let failureNumber = Atomic<UInt64>(0)

    private enum FailureKind: UInt64 {
        case entry = 1
        case initialise = 2
        case deprivilege = 3
    }

    /// A take-over that no CPU has begun.
    public init() {}

    /// Runs this CPU's part. Each of `count` CPUs calls it once, all at the same time.
    ///
    /// - Parameters:
    ///   - index: this CPU's place in the boot block; the CPU at 0 initialises.
    ///   - id: the kernel's number of this CPU, for reports.
    public func run<CPU: TakeOverCPU & ~Copyable>(on cpu: inout CPU, index: UInt32, id: UInt32, of count: UInt32) {
        let answer = cpu.enter()
        if answer != 0 { record(.entry, cpu: id, number: answer) }
        entered.add(1, ordering: .acquiringAndReleasing)
        if index == 0 {
            while entered.load(ordering: .acquiring) < count { cpu.pause() }
            begin(on: &cpu, id: id)
        }
        while stage.load(ordering: .acquiring) == Stage.entering.rawValue { cpu.pause() }

        guard stage.load(ordering: .acquiring) != Stage.failed.rawValue else {
            if answer == 0 { withdraw(&cpu) }
            return
        }
        if index == 0 {
            goBehindStage2(on: &cpu, id: id)
            // If even the first CPU was refused, no CPU has gone and all can withdraw.
            let next: Stage = deprivileged.load(ordering: .relaxed) == 0 ? .failed : .deprivileging
            stage.store(next.rawValue, ordering: .releasing)
            if next == .failed { withdraw(&cpu) }
            return
        }
        while stage.load(ordering: .acquiring) == Stage.initialised.rawValue { cpu.pause() }
        if stage.load(ordering: .acquiring) == Stage.failed.rawValue {
            withdraw(&cpu)
        } else {
            goBehindStage2(on: &cpu, id: id)
        }
    }

    private func begin<CPU: TakeOverCPU & ~Copyable>(on cpu: inout CPU, id: UInt32) {
        var next = Stage.initialised
        if failure.load(ordering: .acquiring) != 0 {
            next = .failed
        } else {
            let answer = cpu.call(.initialise)
            if answer.status != CallStatus.success.rawValue {
                record(.initialise, cpu: id, number: UInt64(bitPattern: answer.status))
                next = .failed
            }
        }
        stage.store(next.rawValue, ordering: .releasing)
    }

    private func goBehindStage2<CPU: TakeOverCPU & ~Copyable>(on cpu: inout CPU, id: UInt32) {
        let answer = cpu.call(.deprivilege)
        if answer.status == CallStatus.success.rawValue {
            deprivileged.add(1, ordering: .acquiringAndReleasing)
        } else {
            record(.deprivilege, cpu: id, number: UInt64(bitPattern: answer.status))
        }
    }

    private func withdraw<CPU: TakeOverCPU & ~Copyable>(_ cpu: inout CPU) {
        if cpu.call(.withdraw).status != CallStatus.success.rawValue {
            notWithdrawn.add(1, ordering: .acquiringAndReleasing)
        }
    }

    private func record(_ kind: FailureKind, cpu: UInt32, number: UInt64) {
        let word = kind.rawValue << 32 | UInt64(cpu)
        if failure.compareExchange(expected: 0, desired: word, ordering: .acquiringAndReleasing).exchanged {
            failureNumber.store(number, ordering: .releasing)
        }
    }

    /// The outcome, once every CPU has returned from `run`.
    public var outcome: Outcome {
        let word = failure.load(ordering: .acquiring)
        let number = failureNumber.load(ordering: .acquiring)
        let cpu = UInt32(truncatingIfNeeded: word)
        let refusal: Refusal
        switch FailureKind(rawValue: word >> 32) {
        case nil: return .installed
        case .entry: refusal = .entryFailed(cpu: cpu, answer: number)
        case .initialise: refusal = .initialiseFailed(status: Int64(bitPattern: number))
        case .deprivilege: refusal = .deprivilegeFailed(cpu: cpu, status: Int64(bitPattern: number))
        }
        let isUndone =
            notWithdrawn.load(ordering: .acquiring) == 0 && deprivileged.load(ordering: .acquiring) == 0
        return isUndone ? .withdrawn(refusal) : .stuck(refusal)
    }
}
