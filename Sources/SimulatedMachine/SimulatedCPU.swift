// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A simulated CPU at EL2: the machine layer's protocol on top of the machine.

public import Arm
public import Machine

/// One CPU of a simulated machine, as code at EL2 sees it.
public struct SimulatedCPU: Processor {
    public let machine: SimulatedMachine
    public let index: Int

    public func load64(_ address: Address<HypervisorVirtual>) -> UInt64 {
        machine.step(index)
        return machine.load(index, address.rawValue, size: 8)
    }

    public func store64(_ address: Address<HypervisorVirtual>, _ value: UInt64) {
        machine.step(index)
        machine.store(index, address.rawValue, value, size: 8)
    }

    public func load32(_ address: Address<HypervisorVirtual>) -> UInt32 {
        machine.step(index)
        return UInt32(truncatingIfNeeded: machine.load(index, address.rawValue, size: 4))
    }

    public func store32(_ address: Address<HypervisorVirtual>, _ value: UInt32) {
        machine.step(index)
        machine.store(index, address.rawValue, UInt64(value), size: 4)
    }

    public func zeroPage(_ page: Frame<HypervisorVirtual>) {
        machine.step(index)
        machine.zeroPage(index, page.address.rawValue)
    }

    public func cleanAndInvalidatePage(_ page: Frame<HypervisorVirtual>) {
        machine.step(index)
        machine.cleanPage(index, page.address.rawValue)
    }

    public func barrier(_ barrier: Barrier) {
        machine.step(index)
        machine.barrier(index, barrier)
    }

    public func invalidate(_ entries: TLBInvalidation) {
        machine.step(index)
        machine.invalidate(index, entries)
    }

    public func invalidateLocalTLB() {
        machine.step(index)
        machine.invalidateLocal(index)
    }

    public func adoptHypervisorRoot(_ root: Frame<HostPhysical>) {
        machine.step(index)
        machine.adoptHypervisorRoot(index, root.number)
    }

    public func read(_ register: SystemRegister) -> UInt64 { machine.readRegister(index, register) }

    public func write(_ register: SystemRegister, _ value: UInt64) {
        machine.writeRegister(index, register, value)
    }

    public func callFirmware(_ registers: FirmwareRegisters) -> FirmwareRegisters {
        let result =
            machine.firmware?.call(registers, from: self)
            ?? FirmwareRegisters(SMCCCStatus.notSupported)
        machine.trace.record(
            Event(kind: .firmware, cpu: UInt8(index), detail: registers.x0, new: result.x0))
        return result
    }

    public func relax() {
        guard let hook = machine.whileSpinning else {
            fatalError("CPU \(index) spins on a lock that nobody will release")
        }
        hook(self)
    }

    public func panic(_ message: StaticString) -> Never {
        machine.report(.panicked, cpu: index, "\(message)")
        fatalError("EL2 panic on CPU \(index): \(message)")
    }
}
