// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A vCPU's state: four pages of the hypervisor, by field. There is one copy of it, here; the host
// gets what an exit needs, and for a normal VM what it asks for.

import Arm
import CBootProtocol
import HypervisorInterface
import Machine

/// The pages of one vCPU.
struct VCPUPage {
    let base: Address<HypervisorVirtual>

    init(_ frame: Frame<HostPhysical>) {
        base = HypervisorAddressSpace.identity(frame.address)
    }

    init(base: Address<HypervisorVirtual>) { self.base = base }

    /// The first of its pages.
    var frame: Frame<HostPhysical> { Frame(base.frame.number) }

    /// Fields behind the general registers, PC and PSTATE, whose places assembly knows. What a world
    /// switch moves by pairs comes first, where one instruction reaches it.
    enum Field: UInt64 {
        /// EL1's and EL0's system registers, in the order of `WorldSwitch`.
        case context = 0x148
        case timerControl = 0x138
        case timerCompare = 0x140
        /// EL2's control registers while it runs, in the order of `Control`.
        case controls = 0x108
        /// The data page of the CPU that runs it or keeps its claim; 0 if none does.
        case runner = 0x260
        /// A power code, and where a CPU_ON starts it.
        case power = 0x268
        case startEntry = 0x270
        case startContext = 0x278
        /// What the last exit left to be completed, and its parameters.
        case pending = 0x280
        case pendingDetail = 0x288
        /// The affinity that it reads as MPIDR_EL1.
        case affinity = 0x290
        case vmcr = 0x298
        /// ICH_AP0R0…3, then ICH_AP1R0…3.
        case activePriorities = 0x2A0
        /// Quadwords of its longest scalable vector; 0 if it has none. Fixed once.
        case vectorLength = 0x2E0
        /// A device's page that the guest has used, plus one, and the VM's `additions` before its tables said so.
        case device = 0x2F0
        case deviceAdditions = 0x2F8
        /// What it reads as the identification registers: eight (op2) for each CRm from 0 to 7.
        case identity = 0x400
    }

    /// FPCR, FPSR, ZCR_EL1 and the vector registers: the pages behind the first, which have room for
    /// scalable vectors of any length that there is.
    var vectors: Address<HypervisorVirtual> { base.advanced(by: pageSize) }

    func vectorLength(on processor: some Processor) -> UInt64 { load(.vectorLength, on: processor) }

    /// The place of the low quadword of a vector register.
    func vector(_ index: UInt8, on processor: some Processor) -> Address<HypervisorVirtual> {
        let length = vectorLength(on: processor)
        return vectors.advanced(by: 64 &+ 16 &* UInt64(index) &* (length > 0 ? length : 1))
    }

    func address(_ field: Field, _ index: UInt64 = 0) -> Address<HypervisorVirtual> {
        base.advanced(by: field.rawValue &+ index &* 8)
    }

    func load(_ field: Field, at index: UInt64 = 0, on processor: some Processor) -> UInt64 {
        processor.load64(address(field, index))
    }

    func store(_ field: Field, at index: UInt64 = 0, _ value: UInt64, on processor: some Processor) {
        processor.store64(address(field, index), value)
    }

    /// `x0`…`x30`; register 31 reads as zero and ignores writes.
    func general(_ index: UInt64, on processor: some Processor) -> UInt64 {
        index < 31 ? processor.load64(base.advanced(by: index &* 8)) : 0
    }

    func setGeneral(_ index: UInt64, _ value: UInt64, on processor: some Processor) {
        if index < 31 { processor.store64(base.advanced(by: index &* 8), value) }
    }

    func programCounter(on processor: some Processor) -> UInt64 {
        processor.load64(base.advanced(by: UInt64(MARTLET_VCPU_PC)))
    }

    func setProgramCounter(_ value: UInt64, on processor: some Processor) {
        processor.store64(base.advanced(by: UInt64(MARTLET_VCPU_PC)), value)
    }

    func state(on processor: some Processor) -> ProcessorState {
        ProcessorState(bits: processor.load64(base.advanced(by: UInt64(MARTLET_VCPU_PSTATE))))
    }

    func setState(_ state: ProcessorState, on processor: some Processor) {
        processor.store64(base.advanced(by: UInt64(MARTLET_VCPU_PSTATE)), state.bits)
    }

    /// Steps over the instruction that trapped.
    func skipInstruction(on processor: some Processor) {
        setProgramCounter(programCounter(on: processor) &+ 4, on: processor)
    }

    /// What a vCPU is doing, from the guest's PSCI's point of view.
    enum Power: UInt64 {
        case off = 0
        case on = 1
        /// Another vCPU has called CPU_ON; the next run starts it.
        case starting = 2

        /// As the host makes a vCPU.
        init(_ start: VCPUStart) {
            self =
                switch start {
                case .off: .off
                case .on: .on
                }
        }
    }

    func power(on processor: some Processor) -> Power {
        Power(rawValue: load(.power, on: processor)) ?? .off
    }

    /// Gives the registers their values at the start of a vCPU (DDI 0487, D1.6; DEN0022, 6.4).
    func reset(entry: UInt64, context: UInt64, on processor: some Processor) {
        for index in 0..<UInt64(31) { setGeneral(index, 0, on: processor) }
        for index in 0..<UInt64(WorldSwitch.count) { store(.context, at: index, 0, on: processor) }
        for index in 0..<UInt64(8) { store(.activePriorities, at: index, 0, on: processor) }
        store(.vmcr, 0, on: processor)
        store(.timerControl, 0, on: processor)
        store(.timerCompare, 0, on: processor)
        store(.pending, 0, on: processor)
        for page in 0..<HostCall.pagesPerVCPU &- 1 { processor.zeroPage(vectors.frame.advanced(by: page)) }
        setGeneral(0, context, on: processor)
        setProgramCounter(entry, on: processor)
        setState(.startOfEL1, on: processor)
        // SCTLR_EL1: MMU and caches off, RES1 bits.
        store(.context, at: UInt64(WorldSwitch.Slot.sctlr.rawValue), 0x30D0_0800, on: processor)
    }
}
