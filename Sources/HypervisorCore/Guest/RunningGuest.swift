// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A vCPU that a CPU has claimed: claiming it, and giving it back.

import Arm
import HypervisorInterface
import Machine

/// What follows an exception of a guest.
enum GuestTrapOutcome {
    /// The guest goes on.
    case resumes
    /// The host hears of it.
    case leaves
}

/// A vCPU that this CPU has claimed, all that its run needs of its VM, and what the host is to hear.
struct RunningGuest: ~Copyable {
    private let stationary = Stationary()
    let vm: VMPage
    let vcpu: VCPUPage
    let index: UInt64
    /// Whether its vector registers are loaded.
    var hasVectors = false

    /// Why it left. Every field below that an exit does not use is zero.
    private(set) var exit = RunExit.interrupt
    var x2: UInt64 = 0
    var x3: UInt64 = 0
    var x4: UInt64 = 0

    init(vm: VMPage, vcpu: VCPUPage, index: UInt64) {
        self.vm = vm
        self.vcpu = vcpu
        self.index = index
    }

    @inline(__always)
    func kind(on processor: some Processor) -> VMKind { vm.kind(on: processor) }

    /// Ends the run.
    @inline(__always)
    mutating func leave(_ exit: RunExit, _ x2: UInt64 = 0, _ x3: UInt64 = 0, _ x4: UInt64 = 0) -> GuestTrapOutcome {
        self.exit = exit
        self.x2 = x2
        self.x3 = x3
        self.x4 = x4
        return .leaves
    }

    /// Gives the vCPU back. What has been written to its page comes before that for whoever claims it
    /// next, and nothing of it may be read afterwards.
    @inline(__always)
    func release(on processor: some Processor) {
        processor.storeRelease64(vcpu.address(.runner), 0)
    }
}

extension MemoryState {
    /// Claims a vCPU for a CPU, so that nobody else reads or changes it and its VM stays.
    /// - Returns: the vCPU, and what it is doing at the beginning of the run.
    @inline(__always)
    func claim(
        _ handle: VMHandle, index: UInt64, cpu: Int, on processor: some Processor
    ) throws(CallStatus) -> (vm: VMPage, vcpu: VCPUPage, power: VCPUPage.Power) {
        guard let vm = machines[handle] else { throw .notFound }
        guard vm.phase(on: processor) == .active || isWithout(.endingMachinesAreClosed) else { throw .denied }
        guard let vcpu = vm.vcpu(index, on: processor) else { throw .notFound }
        guard vcpu.isIdle(on: processor) || isWithout(.runsAreExclusive) else { throw .busy }
        vcpu.store(.runner, UInt64(truncatingIfNeeded: cpu) &+ 1, on: processor)
        vm.store(.hasRun, 1, on: processor)
        let isOver = vm.load(.isOver, on: processor) != 0 && !isWithout(.endsAreFinal)
        let power: VCPUPage.Power = isOver ? .off : vcpu.power(on: processor)
        if power == .starting { vcpu.store(.power, VCPUPage.Power.on.rawValue, on: processor) }
        return (vm, vcpu, power)
    }
}

extension VCPUPage {
    /// Whether no CPU runs it. A claim begins under the memory lock and ends without it, so that this is an
    /// acquiring load: what the run has written is seen after it.
    @inline(__always)
    func isIdle(on processor: some Processor) -> Bool { processor.loadAcquire64(address(.runner)) == 0 }
}

extension VMPage {
    /// Whether a CPU runs one of its vCPUs.
    func isRunning(on processor: some Processor) -> Bool {
        for index in 0..<HostCall.maximumVCPUs {
            if let vcpu = vcpu(index, on: processor), !vcpu.isIdle(on: processor) { return true }
        }
        return false
    }
}
