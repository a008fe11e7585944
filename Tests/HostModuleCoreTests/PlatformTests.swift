// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The platform checks: each wrong machine is refused for its own reason.

import HostModuleCore
import HypervisorInterface
import Testing

@Suite struct PlatformTests {
    private var good: MachineFacts {
        MachineFacts(pageSize: 4096, entry: .el2, onlineCPUs: 4, offlineCPU: nil)
    }

    private func cpu(_ index: Int) -> CPUFacts {
        CPUFacts(id: UInt32(index), affinity: UInt64(index) << 8, exceptionLevel: 1, gicSystemRegisters: 1)
    }

    private func refusal(_ facts: MachineFacts, _ change: (inout CPUFacts) -> Void = { _ in }) -> Refusal? {
        do throws(Refusal) {
            try facts.check { index in
                var facts = cpu(index)
                change(&facts)
                return facts
            }
            return nil
        } catch { return error }
    }

    @Test func aGoodMachineIsAccepted() { #expect(refusal(good) == nil) }

    @Test func largePagesAreRefused() {
        var facts = good
        facts.pageSize = 65_536
        #expect(refusal(facts) == .pageSize(65_536))
    }

    @Test func aKernelAtEL2IsRefusedBeforeItsEntryMatters() {
        var facts = good
        facts.entry = .unknown
        #expect(refusal(facts) { $0.exceptionLevel = 2 } == .kernelAtEL2)
    }

    @Test(arguments: [
        (KernelEntry.el1, Refusal.notEnteredAtEL2), (.mixed, .enteredAtDifferentLevels), (.unknown, .entryUnknown),
    ])
    func otherEntriesAreRefused(entry: KernelEntry, expected: Refusal) {
        var facts = good
        facts.entry = entry
        #expect(refusal(facts) == expected)
    }

    @Test func anOfflineCPUIsNamed() {
        var facts = good
        facts.offlineCPU = 3
        #expect(refusal(facts) == .cpuOffline(3))
        #expect(Refusal.cpuOffline(3).line.hasPrefix("CPU 3 is offline"))
    }

    @Test func moreCPUsThanTheProtocolCarriesAreRefused() {
        var facts = good
        facts.onlineCPUs = UInt32(Limits.cpus) + 1
        #expect(refusal(facts) == .tooManyCPUs(257))
        facts.onlineCPUs = 0
        #expect(refusal(facts) == .tooManyCPUs(0))
    }

    @Test func aCPUWithoutGICRegistersIsNamed() {
        #expect(refusal(good) { $0.gicSystemRegisters = $0.id == 2 ? 0 : 1 } == .noGICv3(cpu: 2))
    }

    @Test func affinitiesAreUnique() {
        #expect(refusal(good) { $0.affinity = $0.id == 3 ? 0x100 : $0.affinity } == .duplicateCPU(3))
    }

    @Test func theKernelsRecordIsRead() {
        #expect(KernelEntry(bootModeWords: 0xE12, 0xE12) == .el2)
        #expect(KernelEntry(bootModeWords: 0xE11, 0xE11) == .el1)
        #expect(KernelEntry(bootModeWords: 0xE11, 0xE12) == .mixed)
        // The record as it is built, before any CPU wrote to it, says nothing.
        #expect(KernelEntry(bootModeWords: 0xE12, 0xE11) == .unknown)
        #expect(KernelEntry(bootModeWords: 0, 0) == .unknown)
    }

    @Test func onlyTheStubMayBeReplaced() throws {
        try EL2Owner(answer: 0xBADCA11).check(cpu: 0)
        #expect(throws: Refusal.ownedByAnother(cpu: 1)) {
            try EL2Owner(answer: UInt64(bitPattern: -1)).check(cpu: 1)
        }
        #expect(throws: Refusal.alreadyInstalled) { try EL2Owner(answer: 0).check(cpu: 0) }
        #expect(throws: Refusal.unknownAnswer(cpu: 2, answer: 5)) { try EL2Owner(answer: 5).check(cpu: 2) }
    }
}

@Suite struct RefusalTests {
    private static let all: [Refusal] = [
        .pageSize(16_384), .kernelAtEL2, .entryUnknown, .notEnteredAtEL2, .enteredAtDifferentLevels,
        .noGICv3(cpu: 1), .cpuOffline(1), .tooManyCPUs(300), .duplicateCPU(1), .ownedByAnother(cpu: 0),
        .alreadyInstalled, .unknownAnswer(cpu: 0, answer: 7), .noMemoryRanges, .tooManyRanges,
        .image(.magic), .image(.size), .image(.protocol), .image(.perCPUSize), .image(.fileSize),
        .image(.memorySize), .image(.segments), .image(.entry), .image(.relocationTable), .image(.relocation),
        .tooManySuperpages(600), .contiguousPartTooLarge(pages: 2000), .memoryUnobtainable(mebibytes: 4),
        .superpageTooHigh(1 << 48), .noRandomness, .surveyFailed(12), .stopFailed(2),
        .entryFailed(cpu: 1, answer: 0xBADCA11), .initialiseFailed(status: -3),
        .deprivilegeFailed(cpu: 0, status: -4),
    ]

    @Test(arguments: all) func saysWhatAndWhatToDoInOneLine(refusal: Refusal) {
        let line = refusal.line
        #expect(!line.contains("\n"))
        // What and why, then the next step.
        #expect(line.contains("; ") && line.count > 40)
        // It must fit the kernel's log line of 512 bytes with its prefix.
        #expect(line.utf8.count < 400)
        #expect((1..<4096).contains(refusal.errorNumber))
    }

    @Test func theTwoBootParametersAreNamed() {
        #expect(Refusal.kernelAtEL2.line.contains("id_aa64mmfr1.vh=0"))
        #expect(Refusal.ownedByAnother(cpu: 0).line.contains("kvm-arm.mode=none"))
    }
}

@Suite struct TextTests {
    private func text(_ body: (inout StringSink) -> Void) -> String {
        var sink = StringSink()
        body(&sink)
        return sink.text
    }

    @Test(arguments: [0, 1, 9, 10, 11, 99, 100, 1_234_567_890, UInt64.max])
    func numbers(value: UInt64) {
        #expect(text { $0.write(decimal: value) } == String(value))
        #expect(text { $0.write(hexadecimal: value) } == "0x" + String(value, radix: 16))
    }

    @Test func signedNumbers() {
        #expect(text { $0.write(signed: -8) } == "-8")
        #expect(text { $0.write(signed: .min) } == String(Int64.min))
    }

    @Test func theInstallationsLine() {
        var digest = InlineArray<32, UInt8>(repeating: 0)
        digest[0] = 0xAB
        let report = InstallationReport(
            interfaceVersion: 0x1_0002, digest: digest, superpages: 3, cpus: 1, microseconds: 250)
        let expected =
            "the hypervisor owns EL2: interface 1.2, sha256 ab" + String(repeating: "0", count: 62)
            + ", 6 MiB reserved, 1 CPU, 250 us"
        #expect(text { report.describe(to: &$0) } == expected)
    }
}
