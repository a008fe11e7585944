// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The host's general registers, as the vectors save them while EL2 works for it.

import Arm

/// `x0`…`x30`, the return address and the state of the host at an exception to EL2.
///
/// The layout is the vectors' (martlet_percpu.h): 31 registers, ELR_EL2, SPSR_EL2,
/// ESR_EL2.
public struct HostFrame: Sendable {
    /// `x0`…`x30`.
    public var x: InlineArray<31, UInt64>
    /// ELR_EL2: where the host goes on.
    public var programCounter: UInt64
    /// SPSR_EL2: the state in which it goes on.
    public var savedState: UInt64
    /// ESR_EL2: why the host is here.
    public var syndrome: UInt64

    /// A frame with all registers zero.
    public init() {
        x = InlineArray(repeating: 0)
        programCounter = 0
        savedState = 0
        syndrome = 0
    }

    var processorState: ProcessorState {
        get { ProcessorState(bits: savedState) }
        set { savedState = newValue.bits }
    }

    /// Steps over the trapped instruction. HVC has returned to the next one already; SMC and
    /// system register accesses have not.
    mutating func skipInstruction() { programCounter &+= 4 }
}
