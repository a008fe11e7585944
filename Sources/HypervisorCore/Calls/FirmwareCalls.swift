// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// SMCs of the host, trapped by HCR_EL2.TSC.

import Arm
import HypervisorInterface
import Machine
import Synchronization

extension Hypervisor {
    /// Answers SMC from the host and steps over it.
    public func firmwareCall(_ cpu: Int, _ frame: inout HostFrame, immediate: UInt16, on processor: P) {
        frame.skipInstruction()
        let function = FunctionID(register: frame.x[0])
        guard immediate == 0 else {
            refuse(&frame)
            return
        }
        switch firmware.verdict(function, frame.x[1]) {
        case .refuse:
            refuse(&frame)
        case .answer(let value):
            frame.x[0] = value
        case .forward:
            // Who has no list passes on what comes, as it comes.
            let number = isWithout(.firmwareCallsAreListed) ? frame.x[0] : UInt64(function.rawValue)
            let answer = processor.callFirmware(FirmwareRegisters(number, frame.x[1], frame.x[2], frame.x[3]))
            frame.x[0] = answer.x0
            frame.x[1] = answer.x1
            frame.x[2] = answer.x2
            frame.x[3] = answer.x3
        case .power(let call):
            if let answer = relay(call, cpu, frame, on: processor) {
                frame.x[0] = answer
                // PSCI returns one value; SMCCC lets x1…x3 change, and nothing of EL2 is in them.
                frame.x[1] = 0
                frame.x[2] = 0
                frame.x[3] = 0
            } else {
                refuse(&frame)
            }
        }
    }

    private func refuse(_ frame: inout HostFrame) {
        refusedFirmwareCalls.wrappingAdd(1, ordering: .relaxed)
        frame.x[0] = SMCCCStatus.notSupported
    }

    /// Carries out a power call; nil if it is not relayed.
    private func relay(_ call: PSCIFunction, _ cpu: Int, _ frame: HostFrame, on processor: P) -> UInt64? {
        let x1 = frame.x[1]
        switch call {
        case .version, .migrateInfoType, .setSuspendMode:
            return forward(call, x1, frame.x[2], on: processor)
        case .systemOff, .systemReset:
            return endSystem(call, on: processor)
        case .systemReset2, .systemReset2x32:
            // A warm reset keeps memory, and with it what EL2 had there.
            return endSystem(.systemReset, on: processor)
        case .features:
            return features(of: FunctionID(register: x1), on: processor)
        case .cpuOn:
            return cpuOn(target: x1, start: StartPoint(entry: frame.x[2], context: frame.x[3]), on: processor)
        case .cpuOff:
            return cpuOff(cpu, on: processor)
        case .affinityInfo, .affinityInfo32:
            return affinityInfo(target: x1, level: frame.x[2], on: processor)
        case .cpuSuspend:
            return suspend(
                cpu, powerState: x1, start: StartPoint(entry: frame.x[2], context: frame.x[3]), on: processor)
        case .systemSuspend:
            return suspend(
                cpu, powerState: nil, start: StartPoint(entry: x1, context: frame.x[2]), on: processor)
        case .cpuOn32, .cpuSuspend32, .systemSuspend32:
            return nil
        }
    }

    private func forward(_ call: PSCIFunction, _ x1: UInt64, _ x2: UInt64, on processor: P) -> UInt64 {
        processor.callFirmware(FirmwareRegisters(FunctionID(call.rawValue), x1, x2)).x0
    }

    /// PSCI_FEATURES: firmware's answer for what is relayed, NOT_SUPPORTED for the rest.
    private func features(of function: FunctionID, on processor: P) -> UInt64 {
        let isRelayed =
            switch PSCIFunction(rawValue: function.rawValue) {
            case .cpuOn32, .cpuSuspend32, .systemSuspend32: false
            case .some: true
            case .none: function == .version
            }
        guard isRelayed else { return PSCIStatus.notSupported.register }
        return forward(.features, UInt64(function.rawValue), 0, on: processor)
    }
}
