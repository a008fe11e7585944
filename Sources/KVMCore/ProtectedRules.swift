// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What a process may do to a protected VM, and until when. EL2 refuses all of this by itself; here
// it becomes the error number that says so, the same for every way to be refused.

public import HypervisorInterface

/// How far a VM is from its first run.
public enum VMProgress: Equatable, Sendable {
    /// No vCPU has run.
    case configurable
    /// A vCPU has run, or is about to.
    case started
}

/// What is refused to the process of a protected VM with EPERM, and to nobody else.
public struct ProtectedRules: Equatable, Sendable {
    private let kind: VMKind
    private let progress: VMProgress

    /// The rules for a VM in this state.
    public init(_ kind: VMKind, _ progress: VMProgress) {
        self.kind = kind
        self.progress = progress
    }

    /// Memory slots, vCPUs and their number are fixed by the first run.
    public func checkMakeup() throws(LinuxError) {
        guard kind == .normal || progress == .configurable else { throw .notPermitted }
    }

    /// A region's flags, but for the one that names private memory. A guest's own memory has no dirty log
    /// and is writable for the guest; a normal VM has neither of them here, and so does not know the flags.
    public func checkFlags(_ flags: UInt32) throws(LinuxError) {
        let dirtyLogAndReadOnly: UInt32 = 3
        let others = flags & ~MemoryRegionArgument.privateFlag
        guard others & ~dirtyLogAndReadOnly == 0 else { throw .invalid }
        switch kind {
        case .protected: guard others == 0 else { throw .notPermitted }
        case .normal: guard others == 0 else { throw .invalid }
        }
    }

    /// Whether KVM_GET_ONE_REG may tell a register: of a protected VM, what the process knows anyway.
    public func checkGet(_ register: OneRegister) throws(LinuxError) {
        guard kind == .normal || register.isKnown else { throw .notPermitted }
    }

    /// Whether KVM_SET_ONE_REG may change a register of a vCPU: where the first one begins, until it
    /// does. A register that the process knows may be set to what it is.
    public func checkSet(_ register: OneRegister, of vcpu: UInt32) throws(LinuxError) {
        guard kind == .protected, !register.isKnown || register == .vectorLengths else { return }
        // How long the vectors are is part of a vCPU's make-up.
        if register == .vectorLengths { return try checkMakeup() }
        guard vcpu == 0, progress == .configurable, case .vcpu(let register) = register else { throw .notPermitted }
        switch register {
        case .general, .programCounter, .processorState: return
        default: throw .notPermitted
        }
    }
}

extension OneRegister {
    /// Whether the process knows the register: it follows from the interface and the vCPU's number, or is the
    /// process's own choice.
    public var isKnown: Bool {
        switch self {
        case .psciVersion, .affinity, .vectorLengths: true
        case .vcpu, .absent, .identity, .scalable: false
        }
    }
}
