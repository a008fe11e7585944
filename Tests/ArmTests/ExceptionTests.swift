// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Syndromes, saved states and calling convention against examples from the manual and from what a
// stock kernel does.

import Arm
import Testing

@Suite("Exceptions")
struct ExceptionTests {
    @Test(
        "are told apart by class",
        arguments: [
            (0x5A00_0000 as UInt64, ExceptionSyndrome.Class?.some(.hvc64)), (0x5E00_0000, .smc64),
            (0x6232_0300, .systemRegister), (0x8200_0007, .instructionAbortLower), (0x9200_0047, .dataAbortLower),
            (0x0200_0000, .unknown), (0xF200_0000, nil),
        ])
    func classes(_ bits: UInt64, _ due: ExceptionSyndrome.Class?) {
        #expect(ExceptionSyndrome(bits: bits).exceptionClass == due)
    }

    @Test("say which fault and where it stopped")
    func faults() {
        #expect(ExceptionSyndrome(bits: 0x9200_0047).faultStatus == .translation(.three))
        #expect(ExceptionSyndrome(bits: 0x9200_0005).faultStatus == .translation(.one))
        #expect(ExceptionSyndrome(bits: 0x8200_000E).faultStatus == .permission(.two))
        #expect(ExceptionSyndrome(bits: 0x9200_000B).faultStatus == .accessFlag(.three))
        #expect(ExceptionSyndrome(bits: 0x9200_0030).faultStatus == .other(0x30))
        #expect(ExceptionSyndrome(bits: 0x9200_0087).isOnTableWalk)
        #expect(ExceptionSyndrome(bits: 0x9200_0410).hasNoAddress)
    }

    @Test(
        "go to the vector of where they came from",
        arguments: [(0x0 as UInt64, 0x400 as UInt64), (0x4, 0x000), (0x5, 0x200), (0x10, 0x600), (0x1F, 0x600)])
    func vectors(_ state: UInt64, _ offset: UInt64) {
        #expect(ProcessorState(bits: state).synchronousVectorOffset == offset)
    }

    @Test("never let EL2 or EL3 pass for a mode of the host", arguments: [0x8 as UInt64, 0x9, 0xC, 0xD, 0x1, 0xF])
    func forbidden(_ bits: UInt64) { #expect(ProcessorState(bits: bits).mode == .forbidden) }

    @Test("enter EL1 with the state that AArch64.TakeException gives")
    func entering() {
        let none = ProcessorState.Features(hasPAN: false, hasSSBS: false, hasMTE: false, hasNMI: false)
        let all = ProcessorState.Features(hasPAN: true, hasSSBS: true, hasMTE: true, hasNMI: true)
        // NZCV, DIT stay; UAO, SS, IL, BTYPE go; DAIF are set; the mode is EL1h.
        let user = ProcessorState(bits: 0xF000_0000 | 1 << 24 | 1 << 23 | 1 << 21 | 1 << 20 | 0xC00)
        #expect(user.enteringEL1(systemControl: 0, features: none).bits == 0xF100_03C5)
        // SPAN = 0 sets PAN; SPAN = 1 keeps it. DSSBS decides SSBS. TCO is set. SPINTMASK = 0 sets ALLINT.
        #expect(user.enteringEL1(systemControl: 1 << 44, features: all).bits == 0xF340_33C5)
        #expect(user.enteringEL1(systemControl: 1 << 23 | 1 << 62, features: all).bits == 0xF300_03C5)
        let withPAN = ProcessorState(bits: 1 << 22 | 5)
        #expect(withPAN.enteringEL1(systemControl: 1 << 23 | 1 << 62, features: all).bits == 0x0240_03C5)
    }
}

@Suite("Calls")
struct CallTests {
    @Test("are named by 32 bits without the SVE hint")
    func identifiers() {
        #expect(FunctionID(register: 0xFFFF_FFFF_C401_0003) == FunctionID(0xC400_0003))
        #expect(FunctionID(register: 0x8000_0000) == .version)
    }

    @Test("name CPUs by affinity fields only")
    func affinities() {
        #expect(Affinity(mpidr: 0x81_8100_0203).rawValue == 0x81_0000_0203)
        #expect(Affinity(argument: 0x8000_0000) == nil)
        #expect(Affinity(argument: 1 << 40) == nil)
        #expect(Affinity(argument: 0xFF_00FF_FFFF) != nil)
    }

    @Test("have PSCI's numbers")
    func psci() {
        #expect(PSCIFunction(rawValue: 0x8400_0005) == nil, "MIGRATE is not known")
        #expect(PSCIStatus.invalidAddress.register == 0xFFFF_FFFF_FFFF_FFF7)
    }
}

@Suite("CPU features")
struct FeatureTests {
    @Test("are read from where the manual puts them")
    func decode() {
        var id = CPUFeatures.Registers()
        id.mmfr0 = 0x0100_0000_0000_1124
        id.mmfr1 = 0x0000_0100_1021_2122
        id.pfr0 = 0x1101_0001_1111_1112 | 1 << 44
        id.pfr1 = 0x0000_0010_0101_0321
        let features = CPUFeatures(id)
        #expect(features.physicalAddressBits == 44)
        #expect(features.hasVMID16 && features.hasVHE && features.hasPAN && features.hasHCRX)
        #expect(features.hasSSBS && features.hasMTE && features.hasNMI)
        #expect(features.hasFineGrainedTraps && features.hasActivityMonitorTraps && features.hasGranule4K)
        #expect(features.hasGICSystemRegisters && features.hasRAS && features.hasSVE)
    }

    @Test("are all absent on a CPU that reports nothing")
    func nothing() {
        let features = CPUFeatures(CPUFeatures.Registers())
        #expect(features.physicalAddressBits == 32)
        #expect(!features.hasVHE && !features.hasSVE && !features.hasSME && !features.hasFineGrainedTraps)
        #expect(features.hasGranule4K)
    }

    @Test("of the host's control register add protection and take EL2's own bits away")
    func hostConfiguration() {
        let protected = HypervisorConfiguration(bits: 1 << 34 | 1 << 27 | 1 << 42 | 0x38 | 1 << 41).protectingHost()
        #expect(protected.bits == 1 << 41 | 1 << 31 | 1 << 21 | 1 << 20 | 1 << 19 | 1)
        #expect(protected.contains(.stage2Enable) && !protected.contains(HypervisorConfiguration(bits: 1 << 34)))
    }
}
