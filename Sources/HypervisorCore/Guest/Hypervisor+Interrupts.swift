// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The GIC's virtual CPU interface over a run: list registers from the host, checked; the rest of
// the interface's state kept here.

import Arm
import HypervisorInterface
import Machine

/// The list registers of a run.
struct InterruptInterface {
    var lists: InlineArray<4, UInt64>
    /// EOIcount: interrupts in no list register that the guest has ended.
    var endCount: UInt64 = 0
}

extension Hypervisor {
    /// Interrupt number of the virtual timer, as the guest sees it and as the machine has it.
    private static var timerInterrupt: UInt64 { 27 }

    /// What of a list register that the host gave may be used (IHI 0069, ICH_LR<n>_EL2): a state, a
    /// priority, group 1, a number that is neither special nor an LPI, EOI maintenance; a physical
    /// number only for the virtual timer, so that no guest ends another's interrupt.
    static func checkedList(_ value: UInt64) -> UInt64 {
        let number = value & 0xFFFF_FFFF
        let state = (value >> 62) & 3
        guard state != 0, number < 1020 else { return 0 }
        let priority = value & (0xFF << 48)
        let group1: UInt64 = 1 << 60
        let base = number | priority | group1 | state << 62
        if value & (1 << 61) != 0 {
            guard number == timerInterrupt, (value >> 32) & 0x1FFF == timerInterrupt else { return base }
            // An interrupt of hardware is pending or active, never both (IHI 0069, ICH_LR<n>_EL2.State).
            let single = state == 3 ? base & ~(1 << 62) : base
            return single | 1 << 61 | timerInterrupt << 32
        }
        return base | value & (1 << 41)
    }

    /// Loads the virtual interface. Two list registers with one number would be UNPREDICTABLE: the
    /// later is dropped.
    func loadInterruptInterface(
        _ arguments: RunArguments, _ vcpu: VCPUPage, on processor: P
    ) -> InterruptInterface {
        var lists = InlineArray<4, UInt64>(repeating: 0)
        for index in 0..<4 where UInt64(truncatingIfNeeded: index) < arguments.listRegisters {
            let value = Self.checkedList(arguments.lists[index])
            var isDuplicate = false
            for earlier in 0..<index
            where lists[earlier] != 0 && lists[earlier] & 0xFFFF_FFFF == value & 0xFFFF_FFFF {
                isDuplicate = true
            }
            lists[index] = isDuplicate ? 0 : value
        }
        guard features.hasGICSystemRegisters else { return InterruptInterface(lists: lists) }
        let last = processor.read(.ichVtrEL2) & 0x1F
        vcpu.store(.hostInterface, processor.read(.iccSreEL1), on: processor)
        processor.write(.iccSreEL1, 7)
        processor.write(.iccSreEL2, snapshot.iccSre & ~8)
        processor.write(.ichVmcrEL2, vcpu.load(.vmcr, on: processor))
        exchangeActivePriorities(vcpu, .load, on: processor)
        processor.write(.ichLr0EL2, lists[0])
        if last >= 1 { processor.write(.ichLr1EL2, lists[1]) }
        if last >= 2 { processor.write(.ichLr2EL2, lists[2]) }
        if last >= 3 { processor.write(.ichLr3EL2, lists[3]) }
        // En; EOIcount begins at zero.
        processor.write(.ichHcrEL2, 1 | arguments.interface.rawValue)
        return InterruptInterface(lists: lists)
    }

    /// Takes the interface's state back and leaves nothing in it.
    func storeInterruptInterface(_ interface: inout InterruptInterface, _ vcpu: VCPUPage, on processor: P) {
        guard features.hasGICSystemRegisters else { return }
        interface.endCount = (processor.read(.ichHcrEL2) >> 27) & 0x1F
        processor.write(.ichHcrEL2, 0)
        let last = processor.read(.ichVtrEL2) & 0x1F
        interface.lists[0] = processor.read(.ichLr0EL2)
        processor.write(.ichLr0EL2, 0)
        if last >= 1 {
            interface.lists[1] = processor.read(.ichLr1EL2)
            processor.write(.ichLr1EL2, 0)
        }
        if last >= 2 {
            interface.lists[2] = processor.read(.ichLr2EL2)
            processor.write(.ichLr2EL2, 0)
        }
        if last >= 3 {
            interface.lists[3] = processor.read(.ichLr3EL2)
            processor.write(.ichLr3EL2, 0)
        }
        vcpu.store(.vmcr, processor.read(.ichVmcrEL2), on: processor)
        processor.write(.ichVmcrEL2, 0)
        exchangeActivePriorities(vcpu, .store, on: processor)
        processor.write(.iccSreEL2, snapshot.iccSre)
        processor.write(.iccSreEL1, vcpu.load(.hostInterface, on: processor))
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
    }

    private enum Direction {
        case load
        case store
    }

    /// ICH_AP0Rn and ICH_AP1Rn: one of each for 5 preemption bits, two for 6, four for 7.
    private func exchangeActivePriorities(_ vcpu: VCPUPage, _ direction: Direction, on processor: P) {
        let preemptionBits = ((processor.read(.ichVtrEL2) >> 26) & 7) &+ 1
        func exchange(_ slot: UInt64, _ register: SystemRegister) {
            switch direction {
            case .load:
                processor.write(register, vcpu.load(.activePriorities, at: slot, on: processor))
            case .store:
                vcpu.store(.activePriorities, at: slot, processor.read(register), on: processor)
                processor.write(register, 0)
            }
        }
        exchange(0, .ichAp0r0EL2)
        exchange(4, .ichAp1r0EL2)
        guard preemptionBits >= 6 else { return }
        exchange(1, .ichAp0r1EL2)
        exchange(5, .ichAp1r1EL2)
        guard preemptionBits >= 7 else { return }
        exchange(2, .ichAp0r2EL2)
        exchange(3, .ichAp0r3EL2)
        exchange(6, .ichAp1r2EL2)
        exchange(7, .ichAp1r3EL2)
    }
}
