// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Giving the host an exception of its own instead of what it asked for.

import Arm
public import Machine

/// Why the host gets an exception at EL1.
enum InjectedException {
    /// As for an undefined instruction.
    case undefined
    /// The access of this stage-2 abort is refused, with the fault status of an alignment fault:
    /// for that one a stock kernel has a way out on every path a process can take (SIGBUS, or
    /// EFAULT through the exception table). docs/decisions/0006 compares it with the others.
    case refusedAccess(ExceptionSyndrome)
}

extension HostFrame {
    /// Makes the host take an exception to EL1 at the instruction that trapped
    /// (AArch64.TakeException; DDI 0487, D1.4).
    mutating func inject(
        _ exception: InjectedException, features: CPUFeatures, on processor: some Processor
    ) {
        let state = processorState
        let syndrome: ExceptionSyndrome
        switch exception {
        case .undefined:
            syndrome = .undefined
        case .refusedAccess(let abort):
            let fromSame = state.mode == .el1h || state.mode == .el1t
            let isFetch = abort.exceptionClass == .instructionAbortLower
            let kind: ExceptionSyndrome.Class =
                switch (isFetch, fromSame) {
                case (true, true): .instructionAbortSame
                case (true, false): .instructionAbortLower
                case (false, true): .dataAbortSame
                case (false, false): .dataAbortLower
                }
            // WnR tells a write from a read; the other bits of ISS would describe EL2's view.
            let isWrite = isFetch ? 0 : abort.bits & (1 << 6)
            syndrome = .abort(kind, status: ExceptionSyndrome.alignmentFault | isWrite)
            processor.write(.farEL1, processor.read(.farEL2))
        }
        processor.write(.esrEL1, syndrome.bits)
        processor.write(.elrEL1, programCounter)
        processor.write(.spsrEL1, savedState)
        programCounter = processor.read(.vbarEL1) &+ state.synchronousVectorOffset
        processorState = state.enteringEL1(
            systemControl: processor.read(.sctlrEL1), features: features.processorStateFeatures)
    }
}

extension HostFrame {
    /// Refuses whatever access brought the host here, once EL2 decides nothing any more.
    public mutating func refuseAfterPanic(on processor: some Processor) {
        let none = CPUFeatures(CPUFeatures.Registers())
        inject(.refusedAccess(ExceptionSyndrome(bits: syndrome)), features: none, on: processor)
    }
}
