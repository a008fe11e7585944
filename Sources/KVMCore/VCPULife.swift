// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The life of a vCPU as its process sees it: what is allowed before and after it is initialised, and
// what KVM_GET_MP_STATE tells.

public import HypervisorInterface

/// How far a vCPU has come.
public enum VCPULife: Equatable, Sendable {
    /// KVM_ARM_VCPU_INIT is missing; EL2 does not know it yet.
    case created
    /// It has its registers, by these features, and has not run with them.
    case initialised(VCPUInitArgument.Features)
    /// It has run.
    case running(VCPUInitArgument.Features)
}

/// KVM_MP_STATE_* with Linux's numbers.
public enum MPState: UInt32, Sendable {
    case runnable = 0
    case stopped = 5
}

extension MPState {
    /// The state that a vCPU is in by EL2's account.
    public init(_ start: VCPUStart) {
        self =
            switch start {
            case .on: .runnable
            case .off: .stopped
            }
    }

    /// The same in EL2's words.
    public var start: VCPUStart {
        switch self {
        case .runnable: .on
        case .stopped: .off
        }
    }
}

extension VCPULife {
    /// What KVM_ARM_VCPU_INIT must do.
    public enum InitAction: Equatable, Sendable {
        /// Have EL2 make it.
        case create(VCPUStart)
        /// Have EL2 give it the registers of a new one.
        case reset(VCPUStart)
    }

    /// The action, or why it is refused: `.invalid` for other features than the first time, of which
    /// POWER_OFF is none.
    public func initialise(_ features: VCPUInitArgument.Features) throws(LinuxError) -> InitAction {
        let start: VCPUStart = features.contains(.powerOff) ? .off : .on
        switch self {
        case .created: return .create(start)
        case .initialised(let first), .running(let first):
            guard first.symmetricDifference(features).isSubset(of: .powerOff) else { throw .invalid }
            return .reset(start)
        }
    }

    /// The features that it was made with; nil before that.
    public var features: VCPUInitArgument.Features? {
        switch self {
        case .created: nil
        case .initialised(let features), .running(let features): features
        }
    }
}
