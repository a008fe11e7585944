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
        self.init(registers)
    }
}
