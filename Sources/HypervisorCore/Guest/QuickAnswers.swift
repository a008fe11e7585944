// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What EL2 answers at once, with most of the guest's registers where the guest left them: calls with
// constant answers, and reads of identification registers.

public import Arm
import HypervisorInterface
public import Machine

/// What became of a synchronous exception.
public enum QuickAnswer: UInt64, Sendable {
    /// It takes more; nothing has been changed.
    case none = 0
    /// The guest goes on where it would return to.
    case answered = 1
    /// The guest goes on behind the instruction that trapped.
    case steppedOver = 3
}

/// The first that looks at a guest's synchronous exception. On silicon the vectors call it.
public enum QuickAnswers {
    /// SMCCC 1.1.
    static var conventionVersion: UInt64 { 0x1_0001 }
    /// PSCI 1.1.
    static var powerVersion: UInt64 { 0x1_0001 }

    /// The general registers that are in the vCPU page by then: those that a function may change.
    private static var savedRegisters: UInt64 { 18 }
    /// ESR_EL2 of reads of ID registers, op0 = 3, op1 = 0, CRn = 0, less CRm, op2 and the target.
    private static var identityRead: UInt64 { 0x18 << 26 | 1 << 25 | 3 << 20 | 1 }
    private static var identityPlace: UInt64 { 7 << 17 | 0x1F << 5 | 7 << 1 }

    /// Answers an exception.
    ///
    /// - Parameters:
    ///   - page: the vCPU's, with `x0`…`x17` in it.
    ///   - syndrome: ESR_EL2.
    @inline(__always)
    public static func answer(
        _ page: Address<HypervisorVirtual>, syndrome: UInt64, on processor: some Processor
    ) -> QuickAnswer {
        // HVC, SMC and system registers have consecutive classes.
        let exceptionClass = syndrome >> 26
        guard exceptionClass &- ExceptionSyndrome.Class.hvc64.rawValue <= 2 else { return .none }
        let vcpu = VCPUPage(base: page)
        // Another vCPU may have ended the VM.
        guard vcpu.load(.power, on: processor) == VCPUPage.Power.on.rawValue else { return .none }
        if exceptionClass == ExceptionSyndrome.Class.systemRegister.rawValue {
            let target = (syndrome >> 5) & 0x1F
            guard syndrome & ~identityPlace == identityRead, target < savedRegisters else { return .none }
            let place = (syndrome >> 1 & 7) << 3 | (syndrome >> 17 & 7)
            vcpu.setGeneral(target, vcpu.load(.identity, at: place, on: processor), on: processor)
            return .steppedOver
        }
        switch FunctionID(register: vcpu.general(0, on: processor)).rawValue {
        case PSCIFunction.version.rawValue: vcpu.setGeneral(0, powerVersion, on: processor)
        case FunctionID.version.rawValue: vcpu.setGeneral(0, conventionVersion, on: processor)
        default: return .none
        }
        return exceptionClass == ExceptionSyndrome.Class.smc64.rawValue ? .steppedOver : .answered
    }
}
