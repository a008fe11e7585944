// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What the demonstration reads from a console, and how it tells it.

import Testing

@testable import LabKit

struct DemonstrationTests {
    static let console = """
        MARTLET-NOTE [    1.500000] martlet: loading out-of-tree module taints kernel.\r
        MARTLET-NOTE [    1.556000] martlet: the hypervisor owns EL2: interface 1.1, 4 MiB reserved, 2 CPUs, 8769 us\r
        MARTLET-BEFORE normal exits_interrupt 10\r
        MARTLET-TIME normal 361\r
        MARTLET-SECRET normal 0x81e88000 4948\r
        MARTLET-ATTEMPT normal mapping secret b6b7\r
        MARTLET-SEARCH normal kernel found=114 pages=262144 refused=1068\r
        MARTLET-AFTER normal exits_interrupt 25\r
        MARTLET-AFTER normal exits_cpu_on 1\r
        MARTLET-BEFORE pinned exits_interrupt 30\r
        [    9.0] noise MARTLET-ATTEMPT pinned mapping refused SIGBUS\r
        MARTLET-ATTEMPT pinned kernel other 0000000000000000\r
        MARTLET-AFTER pinned exits_interrupt 30\r
        """

    @Test("guests are told apart, and counters are differences")
    func guests() throws {
        let guests = GuestObservations.read(Self.console)
        try #require(guests.map(\.kind) == ["normal", "pinned"])
        #expect(guests[0].seconds == 3.61 && guests[0].secret == "b6b7" && guests[0].page == "0x81e88000")
        #expect(guests[0].exits.map(\.reason) == ["interrupt", "cpu_on"])
        #expect(guests[0].exits.map(\.count) == [15, 1])
        #expect(guests[0].searches.map(\.found) == [114])
        #expect(guests[1].attempts.map(\.outcome) == [.refused, .other])
        #expect(guests[1].exits.isEmpty && guests[1].seconds == nil)
    }

    @Test("the installation's time is counted from the loading of the module")
    func installation() throws {
        let installation = try #require(InstallationObservations(console: Self.console))
        #expect(abs(installation.milliseconds - 56) < 0.01)
        #expect(installation.standstillMilliseconds == 8.769 && installation.reservedMebibytes == 4)
        #expect(InstallationObservations(console: "martlet: not installed") == nil)
    }

    @Test("a failed check is told as one")
    func failure() {
        let account = DemonstrationAccount(
            kernel: "6.12", machine: "cortex-a72", console: Self.console,
            checks: [CheckResult("demo/cortex-a72/guests/pinned-goes-on", .failed, "no beat")], seconds: 100)
        #expect(account.lines.contains { $0.hasPrefix("  NOT AS IT SHOULD BE: demo/cortex-a72/guests/pinned-goes-on") })
        #expect(account.lines.contains { $0.hasSuffix("read: b6b7…               refused: SIGBUS") })
    }
}
