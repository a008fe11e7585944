// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What a process may do to a protected VM, and until when.

import HypervisorInterface
import KVMCore
import Testing

@Suite struct ProtectedRulesTests {
    private let normal = [ProtectedRules(.normal, .configurable), ProtectedRules(.normal, .started)]
    private let before = ProtectedRules(.protected, .configurable)
    private let after = ProtectedRules(.protected, .started)

    @Test func theMakeupIsFixedByTheFirstRun() throws {
        for rules in normal + [before] { try rules.checkMakeup() }
        #expect(throws: LinuxError.notPermitted) { try after.checkMakeup() }
    }

    @Test(arguments: [1, 2, 3, 5] as [UInt32])
    func flagsThatLinuxKnows(flags: UInt32) {
        for rules in normal { #expect(throws: LinuxError.invalid) { try rules.checkFlags(flags) } }
        for rules in [before, after] { #expect(throws: LinuxError.notPermitted) { try rules.checkFlags(flags) } }
    }

    @Test(arguments: [8, 0x81, .max] as [UInt32])
    func unknownFlags(flags: UInt32) {
        for rules in normal + [before, after] {
            #expect(throws: LinuxError.invalid) { try rules.checkFlags(flags) }
        }
    }

    @Test func otherFlags() throws {
        for rules in normal + [before, after] {
            try rules.checkFlags(0)
            try rules.checkFlags(MemoryRegionArgument.privateFlag)
        }
    }

    @Test(
        arguments: [
            .vcpu(.general(0)), .vcpu(.programCounter), .vcpu(.processorState), .vcpu(.stackPointerEL0),
            .vcpu(.vector(3)),
            .vcpu(.timerCompare), .vcpu(.system(VCPURegister.System.sctlr.rawValue)), .absent,
            .identity(.identity(0x20)),
        ] as [OneRegister])
    func registersAreNotTold(register: OneRegister) throws {
        for rules in normal { try rules.checkGet(register) }
        for rules in [before, after] { #expect(throws: LinuxError.notPermitted) { try rules.checkGet(register) } }
    }

    @Test func whatTheProcessKnowsIsTold() throws {
        for rules in normal + [before, after] {
            for register in [OneRegister.affinity, .psciVersion] {
                try rules.checkGet(register)
                try rules.checkSet(register, of: 1)
            }
        }
    }

    @Test func theFirstVCPUBeginsWhereTheProcessSays() throws {
        for register in [VCPURegister.general(0), .general(30), .programCounter, .processorState] {
            for rules in normal { try rules.checkSet(.vcpu(register), of: 1) }
            try before.checkSet(.vcpu(register), of: 0)
            #expect(throws: LinuxError.notPermitted) { try before.checkSet(.vcpu(register), of: 1) }
            #expect(throws: LinuxError.notPermitted) { try after.checkSet(.vcpu(register), of: 0) }
        }
        for register in [VCPURegister.stackPointerEL0, .fpcr, .timerCount, .vector(0), .system(0)] {
            for rules in normal { try rules.checkSet(.vcpu(register), of: 0) }
            #expect(throws: LinuxError.notPermitted) { try before.checkSet(.vcpu(register), of: 0) }
        }
    }

    @Test func affinityCountsTo16() {
        #expect([0, 1, 15, 16, 63].map(OneRegister.affinityValue) == [0, 1, 0xF, 0x100, 0x30F].map { 1 << 31 | $0 })
    }
}
