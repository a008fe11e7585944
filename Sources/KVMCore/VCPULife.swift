// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The life of a vCPU as its process sees it: what is allowed before and after it is initialised, and
// what KVM_GET_MP_STATE tells.

public import HypervisorInterface

/// How far a vCPU has come.
public enum VCPULife: Equatable, Sendable {
    /// KVM_ARM_VCPU_INIT is missing; EL2 does not know it yet.
    case created
    /// It has its registers and has never run.
    case initialised(VCPUStart)
    /// It has run.
    case running
}

/// KVM_MP_STATE_* with Linux's numbers.
public enum MPState: UInt32, Sendable {
    case runnable = 0
    case stopped = 5
}

extension VCPULife {
    /// What KVM_ARM_VCPU_INIT must do.
    public enum InitAction: Equatable, Sendable {
        /// Have EL2 make it.
        case create(VCPUStart)
        /// Nothing: it is as new.
        case keep
    }

    /// The action, or why it is refused. A vCPU that has run cannot be made anew, for its power state is
    /// EL2's and its guest's.
    public func initialise(_ features: VCPUInitArgument.Features) throws(LinuxError) -> InitAction {
        let start: VCPUStart = features.contains(.powerOff) ? .off : .on
        switch self {
        case .created: return .create(start)
        case .initialised(start): return .keep
        case .initialised, .running: throw .invalid
        }
    }

    /// Whether KVM_SET_MP_STATE may name this state: the one that the vCPU is in. Only its guest turns a
    /// vCPU on or off.
    public func allows(_ state: MPState, isOff: Bool) -> Bool {
        switch state {
        case .runnable: !isOff
        case .stopped: isOff
        }
    }
}
