// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A vCPU's registers for its process, and what fixes which it has: KVM_GET_ONE_REG, KVM_SET_ONE_REG,
// KVM_GET_REG_LIST, KVM_ARM_VCPU_FINALIZE.

internal import CHostKernel
internal import HostModuleCore
internal import HypervisorInterface
internal import KVMCore

extension VCPU {
    /// EL2's value of a register, low half first.
    private func load(_ register: VCPURegister) throws(LinuxError) -> (low: UInt64, high: UInt64) {
        let answer = EL2.call(
            .getRegister, vm: vm.handle, GuestCallArguments(second: UInt64(number), third: register.number))
        guard answer.status == CallStatus.success.rawValue else { throw LinuxError(el2: answer.status) }
        return (answer.first, answer.second)
    }

    private func store(_ register: VCPURegister, _ low: UInt64, _ high: UInt64 = 0) throws(LinuxError) {
        let answer = EL2.call(
            .setRegister, vm: vm.handle,
            GuestCallArguments(second: UInt64(number), third: register.number, fourth: low, fifth: high))
        guard answer.status == CallStatus.success.rawValue else { throw LinuxError(el2: answer.status) }
    }

    private var vectors: ScalableVectors { with { $0.vectors } }

    /// Whether the vCPU has a register by this name: with scalable vectors it has z0 to z31 and ZCR_EL1,
    /// without them v0 to v31.
    private func check(_ register: VCPURegister) throws(LinuxError) {
        switch register {
        case .vector: guard vectors == .absent else { throw .invalid }
        case .vectorControl: _ = try vectors.length()
        default: return
        }
    }

    /// KVM_ARM_VCPU_FINALIZE: EL2 hears how long the vCPU's vectors are.
    func finalise(_ feature: InlineArray<1, UInt64>) throws(LinuxError) {
        try checkInitialised()
        let lengths = try vectors.finalised(UInt32(truncatingIfNeeded: feature[0]))
        try store(.vectorLength, lengths.longest)
        with { $0.vectors = .fixed(lengths) }
    }

    /// KVM_GET_ONE_REG.
    func getRegister(_ argument: OneRegisterArgument) throws(LinuxError) {
        try checkInitialised()
        let (register, width) = try OneRegister.decode(argument.identifier)
        try rules().checkGet(register)
        switch register {
        case .vectorLengths:
            var lengths = InlineArray<8, UInt64>(repeating: 0)
            lengths[0] = try vectors.lengths().bits
            return try Process.write(lengths, to: argument.userAddress)
        case .scalable(let register):
            return try getScalable(register, argument.userAddress)
        case .absent, .psciVersion, .affinity, .identity, .vcpu: break
        }
        let words = try value(of: register)
        try Process.write(words, to: argument.userAddress, bytes: Int(width.bytes))
    }

    /// A register that has at most two words.
    private func value(of register: OneRegister) throws(LinuxError) -> InlineArray<2, UInt64> {
        switch register {
        case .absent, .vectorLengths, .scalable: return [0, 0]
        case .psciVersion: return [OneRegister.psciVersionValue, 0]
        case .affinity: return [OneRegister.affinityValue(of: number), 0]
        case .vcpu(let register), .identity(let register):
            try check(register)
            let value = try load(register)
            return [value.low, value.high]
        }
    }

    /// KVM_SET_ONE_REG.
    func setRegister(_ argument: OneRegisterArgument) throws(LinuxError) {
        try checkInitialised()
        let (register, width) = try OneRegister.decode(argument.identifier)
        try rules().checkSet(register, of: number)
        switch register {
        case .vectorLengths:
            let lengths: InlineArray<8, UInt64> = try Process.read(argument.userAddress)
            let all = vm.facts.machine.limits.vectorLengths
            return try with { (state) throws(LinuxError) in try state.vectors.choose(lengths, all: all) }
        case .scalable(let register):
            return try setScalable(register, argument.userAddress)
        case .absent, .psciVersion, .affinity, .identity, .vcpu: break
        }
        let words: InlineArray<2, UInt64> = try Process.read(argument.userAddress, bytes: Int(width.bytes))
        switch register {
        case .psciVersion, .affinity, .identity:
            guard words[0] == (try value(of: register)[0]) else { throw .invalid }
        case .vcpu(let register):
            try check(register)
            try store(register, words[0], words[1])
        case .absent, .vectorLengths, .scalable: break
        }
    }

    // Word by word, for the kernel's stack is small.
    private func getScalable(_ register: ScalableRegister, _ address: UInt64) throws(LinuxError) {
        let length = try vectors.length()
        for index in 0..<register.words {
            let value = try register.word(index, length: length, load: loadScalable)
            let word: InlineArray<1, UInt64> = [value]
            // The address may wrap; what it wraps to is no process's.
            try Process.write(word, to: address &+ index * 8)
        }
    }

    private func setScalable(_ register: ScalableRegister, _ address: UInt64) throws(LinuxError) {
        let length = try vectors.length()
        for index in 0..<register.words {
            let word: InlineArray<1, UInt64> = try Process.read(address &+ index * 8)
            try register.setWord(index, word[0], length: length, load: loadScalable, store: storeScalable)
        }
    }

    private func loadScalable(_ index: UInt64) throws(LinuxError) -> UInt64 {
        try load(.scalable(UInt16(truncatingIfNeeded: index))).low
    }

    private func storeScalable(_ index: UInt64, _ value: UInt64) throws(LinuxError) {
        try store(.scalable(UInt16(truncatingIfNeeded: index)), value)
    }

    /// KVM_GET_REG_LIST.
    func listRegisters(to address: UInt64) throws(LinuxError) {
        try checkInitialised()
        let vectors = vectors
        try vectors.checkFixed()
        let list = RegisterList(vm.facts.kind, vectors)
        let asked: InlineArray<1, UInt64> = try Process.read(address)
        let count: InlineArray<1, UInt64> = [list.count]
        try Process.write(count, to: address)
        guard asked[0] >= count[0] else { throw .tooBig }
        var next = address
        try list.forEach { (identifier) throws(LinuxError) in
            // As above.
            next = next &+ 8
            let word: InlineArray<1, UInt64> = [identifier]
            try Process.write(word, to: next)
        }
    }
}
