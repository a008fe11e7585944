// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The GIC's virtual CPU interface over a run: list registers from the host, checked; the rest of
// the interface's state kept here.

import Arm
import HypervisorInterface
import Machine

extension Hypervisor {
    /// Interrupt number of the virtual timer, as the guest sees it and as the machine has it.
    private static var timerInterrupt: UInt64 { 27 }

    /// What of a list register that the host gave may be used (IHI 0069, ICH_LR<n>_EL2): a state, a
    /// priority, group 1, a number that is neither special nor an LPI, EOI maintenance; a physical
    /// number only for the virtual timer, so that no guest ends another's interrupt.
    static func checkedList(_ value: UInt64) -> UInt64 {
        let number = value & 0xFFFF_FFFF
        let state = (value >> 62) & 3
        if isWithout(.listsAreChecked) { return value }
        guard state != 0, number < 1020 else { return 0 }
        let priority = value & (0xFF << 48)
        let group1: UInt64 = 1 << 60
        let base = number | priority | group1 | state << 62
        if value & (1 << 61) != 0 {
            if isWithout(.hardwareIsTheTimers) { return value }
            guard number == timerInterrupt, (value >> 32) & 0x1FFF == timerInterrupt else { return base }
            // An interrupt of hardware is pending or active, never both (IHI 0069, ICH_LR<n>_EL2.State).
            let single = state == 3 ? base & ~(1 << 62) : base
            return single | 1 << 61 | timerInterrupt << 32
        }
        return base | value & (1 << 41)
    }

    /// The same, and zero if a list register in use has the number: two with one would be UNPREDICTABLE.
    private static func checkedList(_ value: UInt64, unlike others: InlineArray<4, UInt64>) -> UInt64 {
        let value = checkedList(value)
        for index in 0..<4 where others[index] != 0 {
            if others[index] & 0xFFFF_FFFF == value & 0xFFFF_FFFF { return 0 }
        }
        return value
    }

    /// The list registers that the host asks for, of which there is one at least: those it names, without
    /// what may not be used; of two with one number, the first. The frame holds what is used.
    private func loadListRegisters(_ count: UInt64, _ frame: inout HostFrame, on processor: P) {
        // Those that are still to come are zero.
        var lists = InlineArray<4, UInt64>(repeating: 0)
        lists[0] = Self.checkedList(frame.x[5])
        if count > 1 { lists[1] = Self.checkedList(frame.x[6], unlike: lists) }
        if count > 2 { lists[2] = Self.checkedList(frame.x[7], unlike: lists) }
        if count > 3 { lists[3] = Self.checkedList(frame.x[8], unlike: lists) }
        for index in 0..<4 { frame.x[5 &+ index] = lists[index] }
        guard groups.contains(.interruptInterface) else { return }
        let last = processor.read(.ichVtrEL2) & 0x1F
        processor.write(.ichLr0EL2, lists[0])
        if last >= 1 { processor.write(.ichLr1EL2, lists[1]) }
        if last >= 2 { processor.write(.ichLr2EL2, lists[2]) }
        if last >= 3 { processor.write(.ichLr3EL2, lists[3]) }
    }

    /// The list registers as the guest leaves them, for the frame; they are zero afterwards. One that was
    /// empty still is.
    private func storeListRegisters(_ frame: inout HostFrame, on processor: P) {
        let last = processor.read(.ichVtrEL2) & 0x1F
        if frame.x[5] != 0 {
            frame.x[5] = processor.read(.ichLr0EL2)
            processor.write(.ichLr0EL2, 0)
        }
        if last >= 1, frame.x[6] != 0 {
            frame.x[6] = processor.read(.ichLr1EL2)
            processor.write(.ichLr1EL2, 0)
        }
        if last >= 2, frame.x[7] != 0 {
            frame.x[7] = processor.read(.ichLr2EL2)
            processor.write(.ichLr2EL2, 0)
        }
        if last >= 3, frame.x[8] != 0 {
            frame.x[8] = processor.read(.ichLr3EL2)
            processor.write(.ichLr3EL2, 0)
        }
    }

    /// Loads the virtual interface, all of which is zero while the host runs; x5…x8 of the frame become
    /// the list registers that are used.
    @inline(__always)
    func loadInterruptInterface(
        _ arguments: RunArguments, _ vcpu: VCPUPage, _ frame: inout HostFrame, on processor: P
    ) {
        if arguments.listRegisters == 0 {
            (frame.x[5], frame.x[6]) = (0, 0)
            (frame.x[7], frame.x[8]) = (0, 0)
        } else {
            loadListRegisters(arguments.listRegisters, &frame, on: processor)
        }
        guard groups.contains(.interruptInterface) else { return }
        processor.write(.ichVmcrEL2, vcpu.load(.vmcr, on: processor))
        loadActivePriorities(vcpu, on: processor)
        // En; EOIcount begins at zero.
        processor.write(.ichHcrEL2, 1 | arguments.interface.rawValue)
    }

    /// Takes the interface's state back and leaves nothing in it. x5…x8 of the frame become the list
    /// registers.
    /// - Returns: `LeftState.interface`.
    @inline(__always)
    func storeInterruptInterface(
        _ arguments: RunArguments, _ vcpu: VCPUPage, _ frame: inout HostFrame, on processor: P
    ) -> UInt64 {
        guard groups.contains(.interruptInterface), !isWithout(.interfacesAreEmptied) else {
            return vcpu.load(.vmcr, on: processor)
        }
        let control = processor.read(.ichHcrEL2)
        processor.write(.ichHcrEL2, 0)
        if arguments.listRegisters != 0 { storeListRegisters(&frame, on: processor) }
        let vmcr = processor.read(.ichVmcrEL2)
        vcpu.store(.vmcr, vmcr, on: processor)
        processor.write(.ichVmcrEL2, 0)
        storeActivePriorities(vcpu, on: processor)
        return vmcr | ((control >> 27) & 0x1F) << 32
    }

    /// Empties the virtual interface of a CPU that comes under EL2's control.
    func clearInterruptInterface(on processor: P) {
        guard features.hasGICSystemRegisters else { return }
        let last = processor.read(.ichVtrEL2) & 0x1F
        processor.write(.ichHcrEL2, 0)
        processor.write(.ichLr0EL2, 0)
        if last >= 1 { processor.write(.ichLr1EL2, 0) }
        if last >= 2 { processor.write(.ichLr2EL2, 0) }
        if last >= 3 { processor.write(.ichLr3EL2, 0) }
        processor.clearUpperListRegisters(last: last)
        // A run relies on it that all of these are zero while the host runs.
        processor.write(.ichVmcrEL2, 0)
        for index in 0..<UInt64(8) {
            if let register = activePriority(index, on: processor) { processor.write(register, 0) }
        }
    }

    /// The register of a word of `VCPUPage.Field.activePriorities`: ICH_AP0Rn, then ICH_AP1Rn; one of each
    /// for 5 preemption bits, two for 6, four for 7. Nil if the CPU has no such register.
    private func activePriority(_ index: UInt64, on processor: P) -> SystemRegister? {
        let preemptionBits = ((processor.read(.ichVtrEL2) >> 26) & 7) &+ 1
        guard index & 3 == 0 || preemptionBits >= (index & 2 == 0 ? 6 : 7) else { return nil }
        return switch index {
        case 0: .ichAp0r0EL2
        case 1: .ichAp0r1EL2
        case 2: .ichAp0r2EL2
        case 3: .ichAp0r3EL2
        case 4: .ichAp1r0EL2
        case 5: .ichAp1r1EL2
        case 6: .ichAp1r2EL2
        case 7: .ichAp1r3EL2
        default: nil
        }
    }

    /// Whether there is more than one of each kind: ICH_VTR_EL2.PREbits is 4, 5 or 6 for 5, 6 or 7 bits.
    @inline(__always)
    private func hasManyPriorities(on processor: P) -> Bool { processor.read(.ichVtrEL2) & (3 << 26) != 0 }

    /// They are zero before.
    @inline(__always)
    private func loadActivePriorities(_ vcpu: VCPUPage, on processor: P) {
        let first = vcpu.load(.activePriorities, on: processor)
        let second = vcpu.load(.activePriorities, at: 4, on: processor)
        if first | second != 0 {
            processor.write(.ichAp0r0EL2, first)
            processor.write(.ichAp1r0EL2, second)
        }
        if hasManyPriorities(on: processor) { loadMorePriorities(vcpu, on: processor) }
    }

    private func loadMorePriorities(_ vcpu: VCPUPage, on processor: P) {
        for index in 0..<UInt64(8) where index & 3 != 0 {
            guard let register = activePriority(index, on: processor) else { continue }
            processor.write(register, vcpu.load(.activePriorities, at: index, on: processor))
        }
    }

    /// They are zero afterwards.
    @inline(__always)
    private func storeActivePriorities(_ vcpu: VCPUPage, on processor: P) {
        let first = processor.read(.ichAp0r0EL2)
        let second = processor.read(.ichAp1r0EL2)
        vcpu.store(.activePriorities, first, on: processor)
        vcpu.store(.activePriorities, at: 4, second, on: processor)
        if first | second != 0 {
            processor.write(.ichAp0r0EL2, 0)
            processor.write(.ichAp1r0EL2, 0)
        }
        if hasManyPriorities(on: processor) { storeMorePriorities(vcpu, on: processor) }
    }

    private func storeMorePriorities(_ vcpu: VCPUPage, on processor: P) {
        for index in 0..<UInt64(8) where index & 3 != 0 {
            guard let register = activePriority(index, on: processor) else { continue }
            vcpu.store(.activePriorities, at: index, processor.read(register), on: processor)
            processor.write(register, 0)
        }
    }
}
