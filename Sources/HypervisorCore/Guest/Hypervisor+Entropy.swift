// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The SMCCC TRNG interface for guests (DEN0098), from EL2's own generator.

import Arm
import Machine

extension Hypervisor {
    /// Answers a TRNG call: x0…x3. Nil if the function is none of them.
    func entropyCall(_ function: FunctionID, _ x1: UInt64, on processor: P) -> FirmwareRegisters? {
        let invalid = FirmwareRegisters(UInt64(bitPattern: -2))
        switch function {
        case .trngVersion:
            return FirmwareRegisters(0x1_0000)
        case .trngFeatures:
            switch FunctionID(register: x1) {
            case .trngVersion, .trngFeatures, .trngGetUUID, .trngRandom32, .trngRandom64:
                return FirmwareRegisters(0)
            default:
                return FirmwareRegisters(SMCCCStatus.notSupported)
            }
        case .trngGetUUID:
            // 7f0c5a3e-91d4-4b6e-a2f8-6d3b1c9e5072, of this implementation.
            return FirmwareRegisters(0x3E5A_0C7F, 0x6E4B_D491, 0x3B6D_F8A2, 0x7250_9E1C)
        case .trngRandom32:
            guard x1 >= 1, x1 <= 96 else { return invalid }
            let bits = random(x1, on: processor)
            return FirmwareRegisters(0, bits[1] & 0xFFFF_FFFF, bits[0] >> 32, bits[0] & 0xFFFF_FFFF)
        case .trngRandom64:
            guard x1 >= 1, x1 <= 192 else { return invalid }
            let bits = random(x1, on: processor)
            return FirmwareRegisters(0, bits[2], bits[1], bits[0])
        default:
            return nil
        }
    }

    /// That many random bits, from the least significant word on; the others are zero.
    private func random(_ count: UInt64, on processor: P) -> InlineArray<3, UInt64> {
        generator.withLock(on: processor) { generator in
            var bits: InlineArray<3, UInt64> = [0, 0, 0]
            var rest = count
            var index = 0
            while rest > 0, index < 3 {
                bits[index] = generator.next { features.hasRandomNumbers ? processor.hardwareRandom() : 0 }
                if rest < 64 { bits[index] &= (1 &<< rest) &- 1 }
                rest = rest > 64 ? rest &- 64 : 0
                index &+= 1
            }
            return bits
        }
    }
}
