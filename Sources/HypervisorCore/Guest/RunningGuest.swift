// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A vCPU that a CPU has claimed: claiming it, keeping the claim, and giving it back.

import Arm
import CBootProtocol
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
    /// Where the claim comes from.
    let origin: Origin
    /// Whether its vector registers are loaded.
    var hasVectors = false

    /// Why it left. Every field below that an exit does not use is zero.
    private(set) var exit = RunExit.interrupt
    var x2: UInt64 = 0
    var x3: UInt64 = 0
    var x4: UInt64 = 0

    /// Whether this CPU has run another vCPU since.
    enum Origin {
        /// It may have.
        case claimed
        /// It has not.
        case kept
    }

    init(vm: VMPage, vcpu: VCPUPage, index: UInt64, _ origin: Origin) {
        self.vm = vm
        self.vcpu = vcpu
        self.index = index
        self.origin = origin
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
}

/// What a CPU knows of the vCPU that it has claimed: three places in its data page, which only it writes, but
/// for the last.
///
/// A claim is kept when a run is over, for the next one, which mostly is of the same vCPU on the same CPU. It takes it up
/// by one exchange of one word, without the memory lock and without looking anything up. Whoever else wants the
/// vCPU, or its VM, has the memory lock and takes the claim away by the same exchange: so it is either run or taken
/// away, and as long as it is kept the VM and the vCPU are there.
struct KeptClaim {
    private let data: Address<HypervisorVirtual>

    /// - Parameter data: the CPU's data page.
    @inline(__always)
    init(_ data: Address<HypervisorVirtual>) { self.data = data }

    @inline(__always)
    private func place(_ offset: Int32) -> Address<HypervisorVirtual> {
        data.advanced(by: UInt64(truncatingIfNeeded: offset))
    }

    /// Takes up what this CPU keeps, if it is the claim of this vCPU and that is on.
    @inline(__always)
    func takeUp(_ number: UInt64, index: UInt64, on processor: some Processor) -> (vm: VMPage, vcpu: VCPUPage)? {
        let (handle, own) = processor.loadPair64(place(MARTLET_PERCPU_CLAIM))
        guard handle == number, own == index else { return nil }
        let (frame, base) = processor.loadPair64(place(MARTLET_PERCPU_VM))
        // Of a CPU that has claimed nothing yet all words are zero.
        guard base != 0, processor.exchange64(place(MARTLET_PERCPU_CLAIM_KEPT), base, for: 0) else { return nil }
        let (vm, vcpu) = (VMPage(Frame(frame)), VCPUPage(base: Address(base)))
        guard vcpu.load(.power, on: processor) == VCPUPage.Power.on.rawValue,
            vm.load(.isOver, on: processor) == 0 || isWithout(.endsAreFinal)
        else {
            keep(vcpu, on: processor)
            return nil
        }
        return (vm, vcpu)
    }

    /// Notes a new claim. The memory lock is held.
    func note(_ number: UInt64, index: UInt64, _ vm: VMPage, _ vcpu: VCPUPage, on processor: some Processor) {
        processor.storePair64(place(MARTLET_PERCPU_CLAIM), number, index)
        processor.storePair64(place(MARTLET_PERCPU_VM), vm.frame.number, vcpu.base.rawValue)
    }

    /// A run is over. What has been written to the vCPU's page comes before that for whoever has the claim next, and
    /// nothing of it may be read afterwards.
    @inline(__always)
    func keep(_ vcpu: VCPUPage, on processor: some Processor) {
        processor.storeRelease64(place(MARTLET_PERCPU_CLAIM_KEPT), vcpu.base.rawValue)
    }

    /// Whether this CPU keeps the claim and does not run the vCPU.
    func isKept(_ vcpu: VCPUPage, on processor: some Processor) -> Bool {
        processor.loadAcquire64(place(MARTLET_PERCPU_CLAIM_KEPT)) == vcpu.base.rawValue
    }

    /// Takes a claim away from its CPU, unless that runs it. The memory lock is held.
    func takeAway(_ vcpu: VCPUPage, on processor: some Processor) -> Bool {
        guard processor.exchange64(place(MARTLET_PERCPU_CLAIM_KEPT), vcpu.base.rawValue, for: 0) else { return false }
        vcpu.store(.runner, 0, on: processor)
        return true
    }

    /// Gives up what this CPU keeps, before it claims another. The memory lock is held.
    func giveUp(on processor: some Processor) {
        let kept = processor.loadAcquire64(place(MARTLET_PERCPU_CLAIM_KEPT))
        if kept != 0 { _ = takeAway(VCPUPage(base: Address(kept)), on: processor) }
    }
}

extension MemoryState {
    /// Claims a vCPU for a CPU, so that nobody else reads or changes it and its VM stays.
    /// - Parameter data: the CPU's data page.
    /// - Returns: the vCPU, and what it is doing at the beginning of the run.
    func claim(
        _ handle: VMHandle, index: UInt64, data: Address<HypervisorVirtual>, on processor: some Processor
    ) throws(CallStatus) -> (vm: VMPage, vcpu: VCPUPage, power: VCPUPage.Power) {
        guard let vm = machines[handle] else { throw .notFound }
        guard vm.phase(on: processor) == .active || isWithout(.endingMachinesAreClosed) else { throw .denied }
        guard let vcpu = vm.vcpu(index, on: processor) else { throw .notFound }
        guard vcpu.isIdle(on: processor) || isWithout(.runsAreExclusive) else { throw .busy }
        KeptClaim(data).giveUp(on: processor)
        KeptClaim(data).note(handle.number, index: index, vm, vcpu, on: processor)
        vcpu.store(.runner, data.rawValue, on: processor)
        vm.store(.hasRun, 1, on: processor)
        let isOver = vm.load(.isOver, on: processor) != 0 && !isWithout(.endsAreFinal)
        let power: VCPUPage.Power = isOver ? .off : vcpu.power(on: processor)
        if power == .starting { vcpu.store(.power, VCPUPage.Power.on.rawValue, on: processor) }
        return (vm, vcpu, power)
    }
}

extension VCPUPage {
    /// Whether no CPU runs it. One that only keeps its claim loses it by this. The memory lock is held.
    func isIdle(on processor: some Processor) -> Bool {
        let runner = load(.runner, on: processor)
        return runner == 0 || KeptClaim(Address(runner)).takeAway(self, on: processor)
    }
}

extension VMPage {
    /// Whether a CPU runs one of its vCPUs.
    func isRunning(on processor: some Processor) -> Bool {
        var isRunning = false
        for index in 0..<HostCall.maximumVCPUs {
            // All are looked at: who keeps a claim of one loses it.
            if let vcpu = vcpu(index, on: processor), !vcpu.isIdle(on: processor) { isRunning = true }
        }
        return isRunning
    }
}
