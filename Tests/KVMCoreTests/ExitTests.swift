// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Exits, completions, access rights and the timer.

import HypervisorInterface
import KVMCore
import Testing

@Suite struct ExitTests {
    private func event(_ exit: RunExit, _ x2: UInt64 = 0, _ x3: UInt64 = 0, _ x4: UInt64 = 0) -> ExitEvent {
        ExitEvent(status: 0, exit.rawValue, x2, x3, x4)
    }

    @Test func exits() {
        #expect(event(.interrupt) == .again)
        #expect(event(.waitForInterrupt) == .waitForInterrupt)
        #expect(event(.mmioRead, 0x1000, 4) == .device(DeviceAccess(address: 0x1000, bytes: 4, direction: .read)))
        #expect(
            event(.mmioWrite, 0x1000, 1, 0xAB)
                == .device(DeviceAccess(address: 0x1000, bytes: 1, direction: .write(0xAB))))
        #expect(event(.cpuOn, 3) == .cpuOn(3))
        #expect(event(.systemReset) == .system(.reset))
        #expect(event(.deactivation, 40) == .deactivation(40))
        #expect(event(.unsupported, 1, 2, 3) == .unsupported(1, 2, 3))
        #expect(ExitEvent(status: UInt64(bitPattern: -8), 0, 0, 0, 0) == .refused(-8))
        #expect(ExitEvent(status: 0, 999, 0, 0, 0) == .refused(0))
        for exit in RunExit.allCases {
            if case .refused = event(exit) { Issue.record("\(exit) has no meaning") }
        }
    }

    @Test func completions() {
        #expect(Completion.none.request == ([], 0))
        #expect(Completion.value(7).request == (.completes, 7))
        #expect(Completion.written.request == (.completes, 0))
        #expect(Completion.aborted.request == (.injectExternalAbort, 0))
    }

    @Test func accessesWithoutMemory() {
        func outcome(_ kind: FaultKind, _ vm: VMKind) -> GuestAccessFault.Outcome? {
            guard case .memory(let fault) = event(.memoryFault, 0x1000, kind.rawValue) else { return nil }
            return fault.outcomeWithoutMemory(in: vm)
        }
        for vm in [VMKind.normal, .protected] {
            #expect(outcome(.fetch, vm) == .abort)
            #expect(outcome(.walk, vm) == .abort)
            #expect(outcome(.maintenance, vm) == .skip)
        }
        for kind in [FaultKind.read, .write] {
            #expect(outcome(kind, .normal) == .refuse)
            #expect(outcome(kind, .protected) == .abort)
        }
    }

    @Test(arguments: [(1 as UInt64, 0x88 as UInt64), (2, 0x7788), (4, 0x5566_7788), (8, 0x1122_3344_5566_7788)])
    func accessesCarryTheirBytes(bytes: UInt64, value: UInt64) {
        let access = DeviceAccess(address: 0, bytes: bytes, direction: .read)
        #expect(access.truncated(0x1122_3344_5566_7788) == value)
    }

    @Test func pagesAreExecutableOnlyAfterAFetch() {
        #expect(GuestAccess(after: .read, isWritable: true, fetchFollowsWrites: false) == .write)
        #expect(GuestAccess(after: .fetch, isWritable: false, fetchFollowsWrites: false) == .execute)
        #expect(GuestAccess(after: .fetch, isWritable: true, fetchFollowsWrites: false) == [.write, .execute])
        #expect(GuestAccess(after: .write, isWritable: true, fetchFollowsWrites: true) == [.write, .execute])
    }

    @Test func theTimerFiresWhenArmedAndDue() {
        #expect(GuestTimer(control: 1, compare: 100).isAsserted(at: 100))
        #expect(!GuestTimer(control: 1, compare: 100).isAsserted(at: 99))
        #expect(!GuestTimer(control: 3, compare: 100).isAsserted(at: 200))
        #expect(!GuestTimer(control: 0, compare: 100).isAsserted(at: 200))
        #expect(GuestTimer(control: 5, compare: 100).isAsserted(at: 200))
    }

    @Test func theTimersDelay() {
        let frequency: UInt64 = 62_500_000
        #expect(GuestTimer(control: 0, compare: 100).delay(from: 0, frequency: frequency) == nil)
        #expect(GuestTimer(control: 3, compare: 100).delay(from: 0, frequency: frequency) == nil)
        #expect(GuestTimer(control: 1, compare: 100).delay(from: 100, frequency: frequency) == 0)
        #expect(GuestTimer(control: 1, compare: 625).delay(from: 0, frequency: frequency) == 10_001)
        #expect(GuestTimer(control: 1, compare: 62_500_000 * 2).delay(from: 0, frequency: frequency) == 2_000_000_001)
        let hour: Int64 = 3_600_000_000_000
        #expect(GuestTimer(control: 1, compare: .max).delay(from: 0, frequency: frequency) == hour)
        #expect(GuestTimer(control: 1, compare: .max).delay(from: 0, frequency: 0) == hour)
        #expect(GuestTimer(control: 1, compare: .max).delay(from: 0, frequency: .max) == hour)
    }
}
