// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A vCPU: its state beside the kernel's object, and its ioctls but KVM_RUN.

internal import CHostKernel
internal import HostModuleCore
internal import HypervisorInterface
internal import KVMCore

/// What a vCPU's thread waits for.
enum Wait {
    /// An interrupt that the guest can take.
    case interrupt
    /// Another vCPU's CPU_ON: a count other than this one.
    case on(UInt32)
}

/// What lives in the kernel's memory for a vCPU. Its thread alone uses it, under the vCPU's mutex.
struct VCPUState {
    /// Its place in the order of creation, by which the GIC knows it.
    let place: Int
    var life = VCPULife.created
    var vectors = ScalableVectors.absent
    /// Whether the guest has turned it off.
    var isOff = false
    /// The load that the process is to answer.
    var pendingRead: DeviceAccess?
    var completion = Completion.none
    /// As of the last exit.
    var timer = GuestTimer(control: 0, compare: 0)
    /// ICH_VMCR_EL2 as of the last exit.
    var interfaceControl: UInt64 = 0
    var wait = Wait.interrupt
}

/// A vCPU that the caller keeps alive by a reference to its VM.
@safe struct VCPU {
    let object: OpaquePointer
    let vm: VM
    /// The process's number for it, which EL2 uses too.
    let number: UInt32
    private let state: UnsafeMutablePointer<VCPUState>

    /// The vCPU of a kernel object.
    init(_ object: OpaquePointer) {
        unsafe self.object = object
        vm = unsafe VM(martlet_kernel_vcpu_vm(object).unsafelyUnwrapped)
        number = unsafe martlet_kernel_vcpu_index(object)
        // Safety: the kernel gave as many bytes as `make` asked for and initialised.
        unsafe state = martlet_kernel_vcpu_state(object).assumingMemoryBound(to: VCPUState.self)
    }

    /// Makes a kernel object in the VM's table.
    static func make(in vm: VM, number: UInt32, place: Int) throws(LinuxError) -> VCPU {
        guard let object = unsafe martlet_kernel_vcpu_make(vm.object, number, UInt64(MemoryLayout<VCPUState>.stride))
        else { throw .noMemory }
        // Safety: fresh memory of this size, aligned for any type; it holds nothing that needs an end.
        unsafe martlet_kernel_vcpu_state(object).bindMemory(to: VCPUState.self, capacity: 1)
            .initialize(to: VCPUState(place: place))
        return unsafe VCPU(object)
    }

    /// The state. The caller is the one thread that may use it.
    func with<Result, Failure: Error>(
        _ body: (inout VCPUState) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        unsafe try body(&state.pointee)
    }

    /// KVM_ARM_VCPU_INIT.
    func initialise(_ argument: VCPUInitArgument) throws(LinuxError) {
        try rules().checkMakeup()
        let action = try with { (state) throws(LinuxError) in try state.life.initialise(argument.features) }
        guard case .create(let start) = action else {
            guard with({ $0.vectors.agrees(with: argument.features) }) else { throw .invalid }
            return
        }
        // Four pages, as the interface says.
        var block = try DonatedBlock(order: 2)
        let answer = EL2.callWithPool(
            .createVCPU, vm: vm.handle,
            GuestCallArguments(second: UInt64(number), third: block.first, fourth: start.rawValue))
        guard answer.status == CallStatus.success.rawValue else { throw LinuxError(el2: answer.status) }
        block.isGiven()
        with { state in
            state.life = .initialised(start)
            state.vectors = ScalableVectors(argument.features, all: vm.facts.machine.limits.vectorLengths)
            state.isOff = start == .off
        }
    }

    func checkInitialised() throws(LinuxError) {
        guard with({ $0.life != .created }) else { throw .notExecutable }
    }

    /// What the process may do, as of now.
    func rules() throws(LinuxError) -> ProtectedRules {
        try vm.withConfiguration { (configuration) in ProtectedRules(vm.facts.kind, configuration.progress) }
    }

    /// KVM_GET_MP_STATE.
    func getMPState(to address: UInt64) throws(LinuxError) {
        let state: MPState = with { $0.isOff } ? .stopped : .runnable
        let words: InlineArray<1, UInt64> = [UInt64(state.rawValue)]
        try Process.write(words, to: address, bytes: 4)
    }

    /// KVM_SET_MP_STATE.
    func setMPState(from address: UInt64) throws(LinuxError) {
        let words: InlineArray<1, UInt64> = try Process.read(address, bytes: 4)
        guard let state = MPState(rawValue: UInt32(truncatingIfNeeded: words[0])),
            with({ $0.life.allows(state, isOff: $0.isOff) })
        else { throw .invalid }
    }
}
