// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What EL2's vectors do on entry so that branch predictions trained at EL1 or EL0 do not steer
// EL2 (Spectre v2, CVE-2017-5715; branch history injection, CVE-2022-23960).

public import Arm

extension BranchMitigation {
    /// Chooses by part number, features and what firmware offers.
    ///
    /// Iterations by core are those of Arm's "Spectre-BHB" white paper. Where firmware offers a
    /// call it wins, because it also covers Spectre v2 on cores without CSV2.
    public init(midr: UInt64, features: CPUFeatures, firmware: FirmwareFilter) {
        self.init(
            midr: midr, features: features, hasWorkaround1: firmware.hasWorkaround1,
            hasWorkaround3: firmware.hasWorkaround3)
    }

    init(midr: UInt64, features: CPUFeatures, hasWorkaround1: Bool, hasWorkaround3: Bool) {
        if hasWorkaround3 {
            self = .firmware3
        } else if hasWorkaround1, !features.isFreeOfSpectreV2 {
            self = .firmware1
        } else if features.clearsBranchHistoryOnException {
            self = .none
        } else if features.hasClearBranchHistory {
            self = .clearBranchHistory
        } else if let iterations = Self.iterations(midr: midr) {
            self = .loop(iterations)
        } else {
            self = .none
        }
    }

    /// Loop iterations for the cores of Arm's own design that need them; nil for all others.
    private static func iterations(midr: UInt64) -> UInt64? {
        let isArm = (midr >> 24) & 0xFF == 0x41
        guard isArm else { return nil }
        return switch (midr >> 4) & 0xFFF {
        case 0xD07, 0xD08: 8  // Cortex-A57, Cortex-A72
        case 0xD0B, 0xD0C, 0xD0E: 24  // Cortex-A76, Neoverse N1, Cortex-A76AE
        case 0xD0D: 24  // Cortex-A77
        case 0xD41, 0xD42, 0xD4B: 32  // Cortex-A78, Cortex-A78AE, Cortex-A78C
        case 0xD44, 0xD4C: 32  // Cortex-X1, Cortex-X1C
        case 0xD47, 0xD48, 0xD49: 32  // Cortex-A710, Cortex-X2, Neoverse N2
        case 0xD40: 32  // Neoverse V1
        default: nil
        }
    }
}
