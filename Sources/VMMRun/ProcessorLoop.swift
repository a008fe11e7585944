// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What a vCPU's thread does: run guest code, serve the exit, again, until somebody says stop.

public import VMMConfiguration
public import VMMDevices

/// A virtual CPU that can be run.
public protocol VirtualProcessor {
    /// Runs guest code until the hypervisor wants something.
    mutating func run() throws(SystemError) -> VCPUExit
    /// Gives the value that the last exit, a device read, yields.
    mutating func answer(_ value: UInt64)
}

/// The machine around a virtual CPU. All CPUs share it, so its methods may be called by several threads at once.
public protocol MachineFloor {
    /// Whether the machine is being stopped.
    var isStopping: Bool { get }
    /// Performs an access to a device and returns what a read yields.
    func perform(_ access: DeviceAccess) -> UInt64
    /// Stops the machine. The first call gives the outcome, later ones have no effect.
    func stop(_ outcome: RunOutcome)
}

/// Runs virtual CPU number `index` until the machine stops, for whatever reason.
public func runProcessor(
    _ processor: inout some VirtualProcessor, index: Int, on floor: borrowing some MachineFloor
) {
    while !floor.isStopping {
        let exit: VCPUExit
        do throws(SystemError) {
            exit = try processor.run()
        } catch {
            switch error.name {
            // A signal: the loop's condition tells whether it was the one that asks to stop.
            case .interrupted, .tryAgain: continue
            default:
                floor.stop(.runFailed(processor: index, error))
                return
            }
        }
        switch exit {
        case .device(let access):
            let value = floor.perform(access)
            if access.direction == .read { processor.answer(value) }
        case .interrupted: continue
        case .powerOff: floor.stop(.poweredOff)
        case .reset: floor.stop(.reset)
        case .crash: floor.stop(.crashed)
        case .entryFailed(let reason): floor.stop(.entryFailed(processor: index, reason: reason))
        case .internalError(let code): floor.stop(.internalError(processor: index, code: code))
        case .unknown(let reason, let detail):
            floor.stop(.unknownExit(processor: index, reason: reason, detail: detail))
        }
    }
}
