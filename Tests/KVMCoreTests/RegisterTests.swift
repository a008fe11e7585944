// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Register identifiers, both ways.

import HypervisorInterface
import KVMCore
import Testing

@Suite struct RegisterTests {
    @Test(arguments: [
        (0x6030_0000_0010_0000 as UInt64, OneRegister.vcpu(.general(0)), RegisterWidth.doubleword),
        (0x6030_0000_0010_003C, .vcpu(.general(30)), .doubleword),
        (0x6030_0000_0010_003E, .vcpu(.stackPointerEL0), .doubleword),
        (0x6030_0000_0010_0040, .vcpu(.programCounter), .doubleword),
        (0x6030_0000_0010_0042, .vcpu(.processorState), .doubleword),
        (0x6030_0000_0010_0044, .vcpu(.system(VCPURegister.System.spEL1.rawValue)), .doubleword),
        (0x6030_0000_0010_004A, .absent, .doubleword),
        (0x6040_0000_0010_0054, .vcpu(.vector(0)), .quadword),
        (0x6040_0000_0010_00D0, .vcpu(.vector(31)), .quadword),
        (0x6020_0000_0010_00D4, .vcpu(.fpsr), .word),
        (0x6020_0000_0010_00D5, .vcpu(.fpcr), .word),
        (0x6030_0000_0013_C080, .vcpu(.system(VCPURegister.System.sctlr.rawValue)), .doubleword),
        (0x6030_0000_0013_C005, .affinity, .doubleword),
        (0x6030_0000_0013_C008, .identity(.identity(0x08)), .doubleword),
        (0x6030_0000_0013_C020, .identity(.identity(0x20)), .doubleword),
        (0x6030_0000_0013_C03F, .identity(.identity(0x3F)), .doubleword),
        (0x6030_0000_0013_DF19, .vcpu(.timerControl), .doubleword),
        // These two are swapped in Linux's interface.
        (0x6030_0000_0013_DF1A, .vcpu(.timerCount), .doubleword),
        (0x6030_0000_0013_DF02, .vcpu(.timerCompare), .doubleword),
        (0x6030_0000_0013_C090, .vcpu(.vectorControl), .doubleword),
        (0x6080_0000_0015_0000, .scalable(.vector(0)), .bits2048),
        (0x6080_0000_0015_03E0, .scalable(.vector(31)), .bits2048),
        (0x6050_0000_0015_0400, .scalable(.predicate(0)), .bits256),
        (0x6050_0000_0015_05E0, .scalable(.predicate(15)), .bits256),
        (0x6050_0000_0015_0600, .scalable(.predicate(16)), .bits256),
        (0x6060_0000_0015_FFFF, .vectorLengths, .bits512),
        (0x6030_0000_0014_0000, .psciVersion, .doubleword),
    ])
    func identifiers(identifier: UInt64, register: OneRegister, width: RegisterWidth) throws {
        let decoded = try OneRegister.decode(identifier)
        #expect(decoded.0 == register)
        #expect(decoded.1 == width)
    }

    @Test(arguments: [
        (0x2030_0000_0010_0000 as UInt64, LinuxError.invalid),  // x86
        (0x6000_0000_0010_0000, .invalid),  // one byte
        (0x6020_0000_0010_0000, .invalid),  // half of x0
        (0x6030_0000_0010_0001, .noEntry),
        (0x6030_0000_0010_00D6, .noEntry),
        (0x6030_0000_0010_FFFF, .noEntry),
        (0x6030_0000_0013_FFFF, .noEntry),
        (0x6030_0000_0013_C007, .noEntry),
        (0x6030_0000_0013_C040, .noEntry),
        (0x6020_0000_0013_C080, .noEntry),
        (0x6030_0000_0014_0001, .noEntry),
        (0x6030_0000_0015_0000, .noEntry),
        (0x6080_0000_0015_0001, .noEntry),  // a second slice
        (0x6080_0000_0015_0400, .noEntry),
        (0x6050_0000_0015_0620, .noEntry),
        (0x6030_0000_0015_FFFF, .noEntry),
        (0x6030_0001_0010_0000, .invalid),
        (UInt64.max, .invalid),
        (0, .invalid),
    ])
    func identifiersThatAreRefused(identifier: UInt64, error: LinuxError) {
        #expect(throws: error) { try OneRegister.decode(identifier) }
    }

    @Test func theListNamesWhatExists() throws {
        let system = VCPURegister.System.allCases.count - 1
        // 31 general, 7 by name, MPIDR, 56 of identity, and v0 to v31; or ZCR_EL1, z0 to z31, p0 to p15, FFR
        // and the lengths.
        for (vectors, expected) in [
            (ScalableVectors.absent, 31 + 8 + system + 56 + 32),
            (.fixed(VectorLengths(bits: 3)), 31 + 8 + system + 56 + 51),
        ] {
            let list = RegisterList(.normal, vectors)
            var seen: Set<UInt64> = []
            list.forEach { seen.insert($0) }
            #expect(UInt64(seen.count) == list.count)
            var registers = 0
            for identifier in seen {
                switch try OneRegister.decode(identifier).0 {
                case .vcpu(let register), .identity(let register):
                    #expect(VCPURegister(number: register.number) == register)
                    registers += 1
                case .scalable, .vectorLengths: registers += 1
                case .absent, .psciVersion, .affinity: break
                }
            }
            #expect(registers == expected)
        }
    }

    @Test func theListOfAProtectedVMNamesWhatCanBeRead() throws {
        for vectors in [ScalableVectors.absent, .fixed(VectorLengths(bits: 3))] {
            var seen: Set<UInt64> = []
            let list = RegisterList(.protected, vectors)
            list.forEach { seen.insert($0) }
            #expect(UInt64(seen.count) == list.count)
            let rules = ProtectedRules(.protected, .started)
            RegisterList(.normal, vectors).forEach { identifier in
                let register = try? OneRegister.decode(identifier).0
                #expect(register != nil)
                if let register {
                    #expect(seen.contains(identifier) == ((try? rules.checkGet(register)) != nil))
                }
            }
        }
    }
}
