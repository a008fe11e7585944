// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// When the hypervisor finds itself broken: stage-2 stays on, a record is left, the host gets an
// error and goes on; from then on EL2 changes nothing any more.

import Arm
import CBootProtocol
import CEL2
import EL2Machine
import HypervisorCore
import HypervisorInterface

/// An exception from EL2 to EL2, on the panic stack: a Swift trap, an unmapped address, a stack
/// overflow. Afterwards the host's frame answers with an error.
@c(martlet_self_trap)
public func selfTrap(_ page: UInt64) {
    let cpu = PerCPU(address: page)
    PanicRecord.write(cpu)
    RootFlags.hasPanicked = true
    // With a guest's stage-2 in place there is no way back to the host.
    if EL2Processor().read(.vttbrEL2) >> 48 != 0 { cpu[MARTLET_PERCPU_HAS_HOST] = 0 }
    guard cpu[MARTLET_PERCPU_HAS_HOST] != 0 else { return }
    // Safety: the frame of the host that is to be returned to ends where the data page begins.
    guard let frame = unsafe UnsafeMutablePointer<HostFrame>(bitPattern: UInt(page) &- UInt(MARTLET_FRAME_SIZE)) else {
        return
    }
    unsafe answerAfterPanic(&frame.pointee, on: EL2Processor())
}

/// Answers the host once EL2 has panicked: the record can be read, the machine can be switched off
/// or reset, and nothing else is done.
func answerAfterPanic(_ frame: inout HostFrame, on processor: EL2Processor) {
    switch ExceptionSyndrome(bits: frame.syndrome).exceptionClass {
    case .hvc64:
        answerCall(&frame)
    case .smc64:
        frame.programCounter &+= 4
        let call = PSCIFunction(rawValue: FunctionID(register: frame.x[0]).rawValue)
        frame.x[0] = SMCCCStatus.notSupported
        switch call {
        case .systemOff, .systemReset:
            if let call { _ = processor.callFirmware(FirmwareRegisters(FunctionID(call.rawValue))) }
        case .systemReset2, .systemReset2x32:
            _ = processor.callFirmware(FirmwareRegisters(FunctionID(PSCIFunction.systemReset.rawValue)))
        default:
            break
        }
    case .systemRegister where frame.isInterruptInterfaceEnable:
        frame.answerInterruptInterfaceEnable(processor.read(.iccSreEL1))
    default:
        // An access that would need a decision.
        frame.refuseAfterPanic(on: processor)
    }
}

private func answerCall(_ frame: inout HostFrame) {
    var status = CallStatus.panicked
    switch HostCall(rawValue: FunctionID(register: frame.x[0]).rawValue) {
    case .version:
        status = .success
        frame.x[1] = interfaceVersion
        frame.x[2] = CallPhase.panicked.rawValue
    case .panicRecord:
        let word = frame.x[1]
        if PanicRecord.exists, word < UInt64(MARTLET_PANIC_WORDS) {
            status = .success
            frame.x[1] = PanicRecord[word]
            frame.x[2] = PanicRecord[word &+ 1]
            frame.x[3] = PanicRecord[word &+ 2]
        } else {
            status = .notFound
        }
    default:
        break
    }
    frame.x[0] = UInt64(bitPattern: status.rawValue)
}
