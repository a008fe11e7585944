// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// One step of a program: what a CPU of the host does. A program is a list of them, and so is the trace
// of one that went wrong. docs/search.md describes the text form.

public import HypervisorInterface

/// What a step does.
public enum Deed: Hashable, Sendable {
    /// HVC #0 with this in x0.
    case call(UInt64)
    /// SMC #0 with this in x0.
    case firmware(UInt64)
    /// A load of the host's kernel. The argument is a frame.
    case read
    /// A store.
    case write
    /// A fetch of an instruction.
    case fetch
    /// The calls in `meanwhile` are made at once, each CPU its own in their order. The CPU of the step begins; of the
    /// arguments, in pairs, the first says before which step of them all, from 1, another has the turn, and the
    /// second which CPU.
    case together

    /// A host call.
    public static func call(_ call: HostCall) -> Deed { .call(UInt64(call.rawValue)) }

    /// The host call, if it is one.
    public var hostCall: HostCall? {
        guard case .call(let number) = self else { return nil }
        return HostCall(rawValue: UInt32(truncatingIfNeeded: number) & ~0x1_0000)
    }
}

/// An argument. What depends on the machine is named, so that a trace means the same on every one.
public enum Operand: Hashable, Sendable {
    /// A number as it is.
    case number(UInt64)
    /// A frame of the region that a program has for itself, by its index there. It may lie outside.
    case page(Int64)
    /// The handle that a step's answer has bound to this name; 0 if none has.
    case machine(Int)
}

extension Operand: ExpressibleByIntegerLiteral {
    /// A number.
    public init(integerLiteral value: UInt64) { self = .number(value) }
}

/// One step.
public struct Step: Hashable, Sendable {
    /// The CPU, from 0.
    public var cpu: Int
    /// What it does.
    public var deed: Deed
    /// x1 and following.
    public var arguments: [Operand]
    /// The name that x1 of a successful answer gets.
    public var binds: Int?
    /// What other CPUs do while the guest runs that this step has entered, one after the other.
    public var meanwhile: [Step]

    /// A step.
    public init(_ cpu: Int, _ deed: Deed, _ arguments: [Operand] = [], binds: Int? = nil, meanwhile: [Step] = []) {
        self.cpu = cpu
        self.deed = deed
        self.arguments = arguments
        self.binds = binds
        self.meanwhile = meanwhile
    }

    /// A host call.
    public init(_ cpu: Int, _ call: HostCall, _ arguments: Operand..., binds: Int? = nil) {
        self.init(cpu, .call(call), arguments, binds: binds)
    }
}
