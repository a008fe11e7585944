// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The table of attacks, and reading what attacks say.

import Foundation
import Testing

@testable import LabKit

@Suite("The attacks")
struct AttackTableTests {
    @Test("have names of their own, and either a defence or what they wait for")
    func names() {
        #expect(Set(Attacks.all.map(\.id)).count == Attacks.all.count)
        for attack in Attacks.all {
            let isMade = !attack.simulated.isEmpty || !attack.emulated.isEmpty
            #expect(isMade == (attack.waitsFor == nil), "\(attack.id)")
            #expect(attack.defence.isEmpty != isMade, "\(attack.id)")
        }
    }

    @Test("are in the documentation as `lab attack --table` prints them")
    func documentation() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let page = try String(contentsOf: root.appending(path: "docs/attacks.md"), encoding: .utf8)
        #expect(page.hasSuffix("\n\n" + AttackTable.markdown))
    }

    @Test("are read from notes of unit tests and from what a program says")
    func notes() {
        let text = """
            MARTLET-ATTACK simulated A01 faulty succeeded 1500
            MARTLET-ATTACK simulated A01 real repelled 500
            MARTLET-ATTACK simulated A03 real repelled 10
            nonsense
            """
        let outcomes = AttackNotes.outcomes(text, of: ["A01", "A03"])
        #expect(outcomes[0].isGood && outcomes[0].seconds == 2)
        #expect(outcomes[1].faulty == .missing && outcomes[1].real == .repelled && !outcomes[1].isGood)
        #expect(AttackNotes.verdict("exit code 1: succeeded: a page, 12 ms") == .succeeded)
        #expect(AttackNotes.verdict("repelled: nothing, 12 ms") == .repelled)
        #expect(AttackNotes.verdict("/dev/kvm: no such file") == .missing)
        let failed = CheckResult("x", .failed, "exit code 1: repelled: nothing, 12 ms")
        #expect(AttackNotes.verdict(failed, due: .repelled) == .missing)
        #expect(AttackNotes.verdict(failed, due: .succeeded) == .repelled)
        #expect(AttackNotes.seconds("repelled: nothing, 1200 ms") == 1.2)
        #expect(AttackNotes.seconds("") == 0)
    }

    @Test("a faulty image is known by its names, and the product has none of them")
    func faults() {
        let faulty = MachineCode.Symbols(text: "$s14HypervisorCore13provokeFaultsyys6UInt64VF T 1000 20\n")
        let product = MachineCode.Symbols(text: "martlet_enter T 1000 20\n")
        #expect(MachineCode.noFaults(faulty).verdict == .failed)
        #expect(MachineCode.noFaults(product).verdict == .passed)
        #expect(MachineCode.hasFaults(faulty, .switches).verdict == .passed)
        #expect(MachineCode.hasFaults(product, .switches).verdict == .failed)
        let checked = MachineCode.Symbols(text: "audit_on_stack T 1000 20\n")
        #expect(MachineCode.noFaults(checked).verdict == .failed)
        #expect(MachineCode.hasFaults(checked, .checked).verdict == .passed)
        #expect(MachineCode.hasFaults(faulty, .checked).verdict == .failed)
    }
}
