// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Reading a CPU's identification registers.

public import Arm
public import Machine

extension CPUFeatures {
    /// What this CPU can do.
    public init(of processor: some Processor) {
        var registers = Registers()
        registers.pfr0 = processor.read(.idAA64PFR0)
        registers.pfr1 = processor.read(.idAA64PFR1)
        registers.dfr0 = processor.read(.idAA64DFR0)
        registers.isar0 = processor.read(.idAA64ISAR0)
        registers.isar1 = processor.read(.idAA64ISAR1)
        registers.isar2 = processor.read(.idAA64ISAR2)
        registers.mmfr0 = processor.read(.idAA64MMFR0)
        registers.mmfr1 = processor.read(.idAA64MMFR1)
        registers.mmfr2 = processor.read(.idAA64MMFR2)
        registers.ctr = processor.read(.ctrEL0)
        registers.auxiliary = Self.auxiliaryBits(of: processor)
        self.init(registers)
    }

    /// Which bits of AFSR0_EL1, AFSR1_EL1 and AMAIR_EL1 can be set. They are as before afterwards; nothing is
    /// translated with an attribute that nobody chose, since no walk starts meanwhile.
    private static func auxiliaryBits(of processor: some Processor) -> UInt64 {
        // With HCR_EL2.E2H those names are EL2's own registers. Such a machine is refused later.
        guard processor.read(.hcrEL2) & (1 << 34) == 0 else { return ~0 }
        let control = processor.read(.tcrEL1)
        processor.write(.tcrEL1, control | WorldSwitch.noWalks)
        processor.barrier(.contextSynchronisation)
        func bits(_ register: SystemRegister) -> UInt64 {
            let before = processor.read(register)
            processor.write(register, ~0)
            let bits = processor.read(register)
            processor.write(register, before)
            return bits
        }
        let found = bits(.afsr0EL1) | bits(.afsr1EL1) | bits(.amairEL1)
        // The walks that begin again find the attributes as they were.
        processor.barrier(.contextSynchronisation)
        processor.write(.tcrEL1, control)
        return found
    }
}
