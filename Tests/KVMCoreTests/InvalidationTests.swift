// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A page that was got before its user mapping changed is never mapped after.

import KVMCore
import Testing

@Suite struct InvalidationTests {
    @Test func nothingHappens() {
        let state = Invalidation()
        #expect(state.allows(0x1000, since: state.ticket))
    }

    @Test func aChangeUnderWayForbidsItsRangeOnly() {
        var state = Invalidation()
        state.begin(0x1000, 0x3000)
        let ticket = state.ticket
        #expect(!state.allows(0x1000, since: ticket))
        #expect(!state.allows(0x2FFF, since: ticket))
        #expect(state.allows(0x3000, since: ticket))
        #expect(state.allows(0xFFF, since: ticket))
    }

    @Test func aChangeThatEndedForbidsOlderTickets() {
        var state = Invalidation()
        let old = state.ticket
        state.begin(0x1000, 0x2000)
        let during = state.ticket
        state.end(0x1000, 0x2000)
        #expect(!state.allows(0x1000, since: old))
        #expect(!state.allows(0x1000, since: during))
        #expect(state.allows(0x1000, since: state.ticket))
    }

    @Test func changesThatOverlapInTimeAreAllMinded() {
        var state = Invalidation()
        state.begin(0x1000, 0x2000)
        state.begin(0x8000, 0x9000)
        state.end(0x8000, 0x9000)
        #expect(!state.allows(0x1000, since: state.ticket))
        state.end(0x1000, 0x2000)
        #expect(state.allows(0x1000, since: state.ticket))
    }

    @Test func slotsThatChangeForbidOlderTickets() {
        var state = Invalidation()
        let old = state.ticket
        state.cut()
        #expect(!state.allows(0, since: old))
    }

    @Test func anEndWithoutABeginningDoesNotWrap() {
        var state = Invalidation()
        state.end(0, 0x1000)
        #expect(state.allows(0, since: state.ticket))
        state.begin(0, 0x1000)
        #expect(!state.allows(0, since: state.ticket))
    }
}
