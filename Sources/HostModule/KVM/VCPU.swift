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
    /// The load that the process is to answer.
    var pendingRead: DeviceAccess?
    var completion = Completion.none
    /// As of the last exit.
    var timer = GuestTimer(control: 0, compare: 0)
    /// ICH_VMCR_EL2 as of the last exit.
    var interfaceControl: UInt64 = 0
    var wait = Wait.interrupt
    /// How often another vCPU had turned this one on before it last entered the guest.
    var turnedOn: UInt32 = 0
    var devices = DeviceFrames()
}

/// A vCPU that the caller keeps alive by a reference to its VM.
@safe struct VCPU {
    let object: OpaquePointer
    let vm: VM
    /// The process's number for it, which EL2 uses too.
    let number: UInt32
    /// What its runs give to EL2 and come back with.
    let registers: RunRegisters
    private let state: UnsafeMutablePointer<VCPUState>

    /// The vCPU of a kernel object.
    init(_ object: OpaquePointer) {
        unsafe self.object = object
        vm = unsafe VM(martlet_kernel_vcpu_vm(object).unsafelyUnwrapped)
        number = unsafe martlet_kernel_vcpu_index(object)
        // Safety: twelve words of the object, which its thread alone uses.
        registers = unsafe RunRegisters(martlet_kernel_vcpu_registers(object))
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
        switch action {
        case .create(let start):
            try create(start)
            let all = vm.facts.machine.limits.vectorLengths
            with { $0.vectors = ScalableVectors(argument.features, all: all) }
        case .reset(let start): try reset(start)
        }
        with { $0.life = .initialised(argument.features) }
    }

    private func create(_ start: VCPUStart) throws(LinuxError) {
        // Four pages, as the interface says.
        var block = try DonatedBlock(order: 2)
        let answer = EL2.callWithPool(
            .createVCPU, vm: vm.handle,
            GuestCallArguments(second: UInt64(number), third: block.first, fourth: start.rawValue))
        guard !block.stays(after: answer.status) else { throw LinuxError(el2: answer.status) }
    }

    /// Makes it as it was when it was new, but for the length of its vectors. What it was about to be told
    /// about its last access is nobody's any more.
    private func reset(_ start: VCPUStart) throws(LinuxError) {
        let answer = EL2.call(
            .resetVCPU, vm: vm.handle, GuestCallArguments(second: UInt64(number), third: start.rawValue))
        guard answer.status == CallStatus.success.rawValue else { throw LinuxError(el2: answer.status) }
        with { state in
            state.pendingRead = nil
            state.completion = .none
            state.timer = GuestTimer(control: 0, compare: 0)
            state.interfaceControl = 0
        }
        vm.resetTimer(of: with { $0.place })
        vm.forgetCaches()
    }

    func checkInitialised() throws(LinuxError) {
        guard with({ $0.life != .created }) else { throw .notExecutable }
    }

    /// What the process may do, as of now.
    func rules() throws(LinuxError) -> ProtectedRules {
        try vm.withConfiguration { (configuration) in ProtectedRules(vm.facts.kind, configuration.progress) }
    }

    /// Whether EL2 has it on. Before EL2 knows it, it counts as one that starts by itself.
    private func power() throws(LinuxError) -> VCPUStart {
        guard with({ $0.life != .created }) else { return .on }
        let answer = EL2.call(
            .getRegister, vm: vm.handle,
            GuestCallArguments(second: UInt64(number), third: VCPURegister.power.number))
        guard answer.status == CallStatus.success.rawValue, let start = VCPUStart(rawValue: answer.first) else {
            throw LinuxError(el2: answer.status)
        }
        return start
    }

    /// KVM_GET_MP_STATE.
    func getMPState(to address: UInt64) throws(LinuxError) {
        let words: InlineArray<1, UInt64> = [UInt64(MPState(try power()).rawValue)]
        try Process.write(words, to: address, bytes: 4)
    }

    /// KVM_SET_MP_STATE. Only its guest turns a vCPU of a protected VM on or off.
    func setMPState(from address: UInt64) throws(LinuxError) {
        let words: InlineArray<1, UInt64> = try Process.read(address, bytes: 4)
        guard let state = MPState(rawValue: UInt32(truncatingIfNeeded: words[0])) else { throw .invalid }
        if try power() == state.start { return }
        guard vm.facts.kind == .normal else { throw .notPermitted }
        guard with({ $0.life != .created }) else { throw .invalid }
        let answer = EL2.call(
            .setRegister, vm: vm.handle,
            GuestCallArguments(
                second: UInt64(number), third: VCPURegister.power.number, fourth: state.start.rawValue))
        guard answer.status == CallStatus.success.rawValue else { throw LinuxError(el2: answer.status) }
    }
}
