// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What the installed module decides and shows.

import HostModuleCore
import HypervisorInterface
import Testing

@Suite struct HostEventTests {
    @Test func kexecBecomesARestart() {
        #expect(RestartDecision(isKexec: 1) == .restartMachine)
        #expect(RestartDecision(isKexec: 0) == .proceed)
    }

    /// The events of linux/suspend.h: 1 hibernation, 2 after it, 3 suspend, 4 after it,
    /// 5 restore, 6 after it.
    @Test func onlyHibernationIsRefused() {
        let refused = (0...7 as ClosedRange<UInt64>).filter { SleepDecision(event: $0) == .refuse }
        #expect(refused == [1, 5])
    }

    @Test func aCPUMustBeBehindTheHypervisor() {
        func decide(_ status: Int64, _ version: UInt64, _ phase: CallPhase) -> OnlineDecision {
            OnlineDecision(version: HostCallAnswer(status: status, first: version, second: phase.rawValue))
        }
        #expect(decide(0, interfaceVersion, .finalised) == .accept)
        #expect(decide(0, interfaceVersion, .panicked) == .accept)
        #expect(decide(0, interfaceVersion, .deprivileging) == .refuse)
        #expect(decide(0, interfaceVersion + 0x1_0000, .finalised) == .refuse)
        #expect(decide(0xBADCA11, interfaceVersion, .finalised) == .refuse)
        #expect(decide(-1, interfaceVersion, .finalised) == .refuse)
    }
}

@Suite struct ViewTests {
    @Test func everyCounterHasANameOfItsOwn() {
        #expect(Set(Counter.allCases.map { $0.name.description }).count == Counter.allCases.count)
        // The report reads the numbers from 0 on, so that they must have no gap.
        #expect(Counter.allCases.map(\.rawValue).sorted() == Array(0..<UInt64(Counter.allCases.count)))
    }

    @Test func countersAreLines() {
        var sink = StringSink()
        let failure = CounterReport.write(to: &sink) { HostCallAnswer(status: 0, first: $0.rawValue + 100) }
        #expect(failure == nil)
        let lines = sink.text.split(separator: "\n")
        #expect(lines.count == Counter.allCases.count)
        #expect(lines.first == "hypervisor_pages 100")
    }

    @Test func aFailureEndsTheReport() {
        var sink = StringSink()
        let failure = CounterReport.write(to: &sink) { HostCallAnswer(status: $0.rawValue == 1 ? -8 : 0) }
        #expect(failure == .panicked)
        #expect(sink.text == "hypervisor_pages 0\n")
    }
}

@Suite struct PanicRecordTests {
    private func text(_ words: [UInt64]) -> [String] {
        var sink = StringSink()
        PanicRecord.write(to: &sink, word: { $0 < words.count ? words[$0] : 0 }) { $0.text += "\n" }
        return sink.text.split(separator: "\n").map(String.init)
    }

    private var record: [UInt64] {
        var words = [UInt64](repeating: 0, count: PanicRecord.words)
        words[0] = PanicRecord.magic
        words[1] = 0x4020_0000
        words[2] = 3
        words[3] = 0x4020_1234
        words[4] = 0xF200_0001
        words[5] = 0xDEAD
        words[6] = 0x4020_2000
        words[7] = 2
        words[8] = 0x4020_3000
        words[9] = 0x4020_4000
        for (index, byte) in "ledger: overflow".utf8.enumerated() {
            words[24 + index / 8] |= UInt64(byte) << (index % 8 * 8)
        }
        return words
    }

    @Test func aRecordBecomesLines() {
        #expect(
            text(record) == [
                "martlet-panic: elr=0x40201234 esr=0xf2000001 far=0xdead lr=0x40202000 base=0x40200000 cpu=3"
                    + " message=ledger: overflow",
                "martlet-panic: frame 0x40203000",
                "martlet-panic: frame 0x40204000",
            ])
    }

    @Test func aDamagedRecordStaysBounded() {
        var words = [UInt64](repeating: .max, count: PanicRecord.words)
        words[24] = 0x1B5B_4142
        let lines = text(words)
        #expect(lines.count == 1 + PanicRecord.frames)
        #expect(lines[0].hasSuffix("message=BA[?"))
    }
}
