// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A machine while it runs: what its vCPU threads and the console share.

public import Synchronization
public import VMMBoot
public import VMMConfiguration
public import VMMDevices
public import VMMRun

/// A machine whose vCPUs run, each in a thread of its own.
public final class RunningMachine: MachineFloor, Sendable {
    private let vm: VM
    private let devices: Lock<Devices>
    private let outcome = Lock<RunOutcome?>(nil)
    private let stopping = Atomic<Bool>(false)
    /// Wakes the console's thread.
    let wake: Event

    private struct Devices: Sendable {
        var bus: DeviceBus
        /// The level that KVM was told last.
        var interruptLevel = false
    }

    /// A machine that does not run yet.
    public init(_ vm: VM, map: AddressMap) throws(HostFailure) {
        self.vm = vm
        devices = Lock(Devices(bus: DeviceBus(map: map)))
        do throws(SystemError) {
            wake = try Event()
        } catch {
            throw .step(.system, error)
        }
    }

    /// Whether the machine is being stopped.
    public var isStopping: Bool { stopping.load(ordering: .acquiring) }

    /// Stops the machine; the first call gives the outcome.
    public func stop(_ reason: RunOutcome) {
        outcome.withLock { outcome in
            if outcome == nil { outcome = reason }
        }
        stopping.store(true, ordering: .releasing)
        wake.raise()
    }

    /// Why the machine stopped; nil while it runs.
    var finalOutcome: RunOutcome? { outcome.withLock { $0 } }

    /// Performs a device access of a vCPU.
    public func perform(_ access: DeviceAccess) -> UInt64 {
        withSerial(
            { (bus, wakesConsole) in
                let couldRead = bus.serial.input.room >= ConsoleInput.chunk
                let before = bus.serial.output.count
                let value = bus.perform(access)
                // The console sleeps while there is nothing to write, too little to write at once, or no room to read
                // for; each of them may have changed.
                let after = bus.serial.output.count
                wakesConsole =
                    (before == 0 && after > 0) || (before < OutputPacing.enough && after >= OutputPacing.enough)
                    || (!couldRead && bus.serial.input.room >= ConsoleInput.chunk)
                return value
            })
    }

    /// Calls `body` with the serial port and then brings the interrupt line to the level that the port has.
    func withSerialPort<Result>(_ body: (inout SerialPort) -> Result) -> Result {
        withSerial({ (bus, _) in body(&bus.serial) })
    }

    private func withSerial<Result>(_ body: (inout DeviceBus, inout Bool) -> Result) -> Result {
        var wakesConsole = false
        var failure: SystemError?
        let result = devices.withLock { (devices) -> Result in
            let result = body(&devices.bus, &wakesConsole)
            let level = devices.bus.serial.interruptLevel
            if level != devices.interruptLevel {
                devices.interruptLevel = level
                // Within the lock, so that two changes cannot reach KVM in the wrong order.
                do throws(SystemError) {
                    try vm.set(AddressMap.serialInterrupt, level: level)
                } catch {
                    failure = error
                }
            }
            return result
        }
        if let failure { stop(.interruptLineFailed(failure)) }
        if wakesConsole { wake.raise() }
        return result
    }

    /// Starts one thread a vCPU.
    func startProcessors() throws(HostFailure) -> [Thread] {
        var threads: [Thread] = []
        for (index, processor) in vm.processors.enumerated() {
            do throws(SystemError) {
                threads.append(
                    try Thread { [self] in
                        var running = RunningVCPU(vcpu: processor)
                        runProcessor(&running, index: index, on: self)
                    })
            } catch {
                stop(.escaped)
                join(threads)
                throw .step(.thread, error)
            }
        }
        return threads
    }

    /// Waits for the vCPU threads after `stop`, getting them out of the guest first.
    func join(_ threads: [Thread]) {
        for (index, thread) in threads.enumerated() {
            vm.processors[index].requestExit()
            thread.kick()
        }
        for thread in threads { thread.join() }
    }
}
