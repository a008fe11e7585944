// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A simulated CPU at EL2: the machine layer's protocol on top of the machine.

public import Arm
public import Machine

/// One CPU of a simulated machine, as code at EL2 sees it.
public struct SimulatedCPU: Processor {
    /// The machine that it belongs to.
    public let machine: SimulatedMachine
    /// Its place among the machine's CPUs, from 0.
    public let index: Int

    /// Reads 8 bytes through EL2's tables; a step of the schedule.
    public func load64(_ address: Address<HypervisorVirtual>) -> UInt64 {
        machine.step(index)
        return machine.load(index, address.rawValue, size: 8)
    }

    /// Writes 8 bytes; to a live table, under the rules of break-before-make.
    public func store64(_ address: Address<HypervisorVirtual>, _ value: UInt64) {
        machine.step(index)
        machine.store(index, address.rawValue, value, size: 8)
    }

    /// Reads two words, one after the other.
    public func loadPair64(_ address: Address<HypervisorVirtual>) -> (UInt64, UInt64) {
        (load64(address), load64(address.advanced(by: 8)))
    }

    /// Writes two words, one after the other.
    public func storePair64(_ address: Address<HypervisorVirtual>, _ first: UInt64, _ second: UInt64) {
        store64(address, first)
        store64(address.advanced(by: 8), second)
    }

    /// Reads as all loads do: the model's memory is in order.
    public func loadAcquire64(_ address: Address<HypervisorVirtual>) -> UInt64 { load64(address) }

    /// Writes as all stores do.
    public func storeRelease64(_ address: Address<HypervisorVirtual>, _ value: UInt64) { store64(address, value) }

    /// Reads and perhaps writes, in one step of the schedule.
    public func exchange64(_ address: Address<HypervisorVirtual>, _ expected: UInt64, for value: UInt64) -> Bool {
        machine.step(index)
        machine.orderHandOver(index, address.rawValue, .acquired)
        guard machine.load(index, address.rawValue, size: 8) == expected else { return false }
        machine.orderHandOver(index, address.rawValue, .released)
        machine.store(index, address.rawValue, value, size: 8)
        return true
    }

    /// Reads 4 bytes through EL2's tables; a step of the schedule.
    public func load32(_ address: Address<HypervisorVirtual>) -> UInt32 {
        machine.step(index)
        return UInt32(truncatingIfNeeded: machine.load(index, address.rawValue, size: 4))
    }

    /// Writes 4 bytes, as half of a word.
    public func store32(_ address: Address<HypervisorVirtual>, _ value: UInt32) {
        machine.step(index)
        machine.store(index, address.rawValue, UInt64(value), size: 4)
    }

    /// Writes zeroes over a page, which must not be a live table.
    public func zeroPage(_ page: Frame<HypervisorVirtual>) {
        machine.step(index)
        machine.zeroPage(index, page.address.rawValue)
    }

    /// Writes zeroes over pages, none of which may be a live table.
    public func zeroPages(_ pages: FrameRange<HypervisorVirtual>) {
        var page = pages.first
        while page < pages.end {
            zeroPage(page)
            page = page.advanced(by: 1)
        }
    }

    /// Begins to clean a page; the barrier after it completes that.
    public func cleanAndInvalidatePage(_ page: Frame<HypervisorVirtual>) {
        machine.step(index)
        machine.cleanPage(index, page.address.rawValue)
    }

    /// Each page is zeroed, and begun to be cleaned.
    public func zeroAndCleanPages(_ pages: FrameRange<HypervisorVirtual>) {
        var page = pages.first
        while page < pages.end {
            zeroPage(page)
            cleanAndInvalidatePage(page)
            page = page.advanced(by: 1)
        }
    }

    /// Publishes stores and completes invalidations, each as its kind of barrier does.
    public func barrier(_ barrier: Barrier) {
        machine.step(index)
        machine.barrier(index, barrier)
    }

    /// Begins a broadcast invalidation; it has happened after the next DSB ISH.
    public func invalidate(_ entries: TLBInvalidation) {
        machine.step(index)
        machine.invalidate(index, entries)
    }

    /// Empties this CPU's TLB.
    public func invalidateLocalTLB() {
        machine.step(index)
        machine.invalidateLocal(index)
    }

    /// Moves EL2 to another tree, with no entry of the old one left on this CPU.
    public func adoptHypervisorRoot(_ root: Frame<HostPhysical>) {
        machine.step(index)
        machine.adoptHypervisorRoot(index, root.number)
    }

    /// Reads a register that this CPU has.
    public func read(_ register: SystemRegister) -> UInt64 { machine.readRegister(index, register) }

    /// Writes a register that this CPU has; those of translation take effect at once.
    public func write(_ register: SystemRegister, _ value: UInt64) {
        machine.writeRegister(index, register, value)
    }

    /// Asks the machine's firmware model.
    public func callFirmware(_ registers: FirmwareRegisters) -> FirmwareRegisters {
        let result =
            machine.firmware?.call(registers, from: self)
            ?? FirmwareRegisters(SMCCCStatus.notSupported)
        machine.trace.record(
            Event(kind: .firmware, cpu: UInt8(index), detail: registers.x0, new: result.x0))
        return result
    }

    /// Notes what this CPU is certain to have seen from here on, or makes others certain.
    public func handsOver(_ lock: UInt, _ handOver: HandOver) {
        machine.orderHandOver(index, UInt64(lock), handOver)
    }

    /// Lets another CPU run.
    public func relax() {
        guard let hook = machine.whileSpinning else {
            fatalError("CPU \(index) spins on a lock that nobody will release")
        }
        hook(self)
    }

    /// Reports the panic and ends the process.
    public func panic(_ message: StaticString) -> Never {
        machine.report(.panicked, cpu: index, "\(message)")
        fatalError("EL2 panic on CPU \(index): \(message)")
    }
}
