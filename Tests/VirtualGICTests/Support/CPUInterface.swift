// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The virtual CPU interface of one vCPU, as hardware implements it (IHI 0069, 4.8 and 6): what
// becomes of list registers while a guest acknowledges and ends interrupts.

import Testing
import VirtualGIC

struct CPUInterface {
    private(set) var registers: [UInt64]
    /// EOIcount.
    private(set) var endCount = 0
    /// Priorities of what the guest acknowledged and has not ended: the active priority registers.
    private(set) var running: [UInt8] = []
    /// ICH_VMCR_EL2. Both groups on, lowest mask.
    var control = VirtualMachineControl(bits: 0xF8 << 24 | 3)
    private var hypervisorControl = HypervisorControl(bits: 0)
    /// A physical interrupt was deactivated: if its line is still high, it fires again at once.
    private var physicalMayFire = false
    /// Maintenance exits so far.
    var exits = 0

    init(listRegisters: Int) { registers = Array(repeating: 0, count: listRegisters) }

    mutating func enter(_ registers: [UInt64], _ result: FlushResult) {
        let intids = registers.filter { $0 != 0 }.map { ListRegister(bits: $0).intid }
        #expect(Set(intids).count == intids.count, "one interrupt in two list registers is UNPREDICTABLE")
        #expect(intids.count == result.used && !registers[result.used...].contains { $0 != 0 })
        self.registers = registers
        hypervisorControl = result.control
    }

    mutating func leave() {
        endCount = 0
        physicalMayFire = false
    }

    private func isPendingOnly(_ bits: UInt64) -> Bool { bits >> 62 == 1 }

    /// The index of the list register that is signalled.
    private var signalled: Int? {
        let candidates = registers.indices.filter { index in
            let register = ListRegister(bits: registers[index])
            return isPendingOnly(register.bits) && control.enables(register.group)
                && register.priority < control.priorityMask && register.priority < running.last ?? 0xFF
        }
        return candidates.min {
            ListRegister(bits: registers[$0]).priority < ListRegister(bits: registers[$1]).priority
        }
    }

    /// What ICC_HPPIR would show, if it may be taken now.
    var pending: Int? { signalled.map { Int(ListRegister(bits: registers[$0]).intid) } }

    mutating func acknowledge() -> Int? {
        guard let index = signalled else { return nil }
        let register = ListRegister(bits: registers[index])
        registers[index] = register.bits & ~(1 << 62) | 1 << 63
        running.append(register.priority)
        return Int(register.intid)
    }

    private func active(_ intid: Int) -> Int? {
        registers.firstIndex {
            ListRegister(bits: $0).intid == UInt32(intid) && ListRegister(bits: $0).isActive
        }
    }

    /// The guest writes ICC_EOIR<n>_EL1. There are CPU interfaces that count an end of what is in no list
    /// register even when ends do not deactivate.
    mutating func end(_ intid: Int) {
        guard running.popLast() != nil else { return }
        guard let index = active(intid) else {
            endCount += 1
            return
        }
        if control.deactivatesAtEnd { deactivate(index) }
    }

    /// The guest writes ICC_DIR_EL1; true if that traps.
    mutating func deactivate(intid: Int) -> Bool {
        if hypervisorControl.contains(.trapsDeactivation) { return true }
        if let index = active(intid) { deactivate(index) }
        return false
    }

    private mutating func deactivate(_ index: Int) {
        registers[index] &= ~(1 << 63)
        if ListRegister(bits: registers[index]).physical != nil { physicalMayFire = true }
    }

    /// ICH_MISR_EL2 is not zero, or a physical interrupt is there.
    var wantsMaintenance: Bool {
        physicalMayFire
            || registers.contains { ListRegister(bits: $0).signalsEnd }
            || (hypervisorControl.contains(.onNonePending) && !registers.contains(where: isPendingOnly))
            || (hypervisorControl.contains(.onMissingEntry) && endCount > 0)
            || (hypervisorControl.contains(.onGroupZeroEnabled) && control.enables(.zero))
            || (hypervisorControl.contains(.onGroupOneEnabled) && control.enables(.one))
            || (hypervisorControl.contains(.onGroupZeroDisabled) && !control.enables(.zero))
            || (hypervisorControl.contains(.onGroupOneDisabled) && !control.enables(.one))
    }
}
