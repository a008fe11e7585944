// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What a host names in calls about a guest's memory, checked once: nothing of this exists unchecked.

import Arm
import HypervisorInterface
import Machine

/// Guest frames that a VM has: one or more of them, inside its address space.
struct GuestRange {
    let first: UInt64
    let count: UInt64
    /// The frame behind the last.
    var end: UInt64 { first &+ count }
    /// The same, for a table.
    var input: InputRange { InputRange(first: first, end: end) }

    /// - Parameter limit: most frames that the call takes.
    init(
        alleged first: UInt64, count: UInt64, limit: UInt64 = .max, in table: PageTable<Stage2Attributes>
    ) throws(CallStatus) {
        let frames = table.geometry.frames
        guard count >= 1, count <= limit else { throw .invalidParameter }
        guard first < frames && count <= frames &- first || isWithout(.guestRangesEnd) else { throw .invalidParameter }
        self.first = first
        self.count = count
    }
}

/// Guest frames and as many host frames, all of them RAM, for one call.
struct GuestPages {
    let guest: GuestRange
    let host: FrameRange<HostPhysical>

    init(
        alleged guest: UInt64, host: UInt64, count: UInt64, in table: PageTable<Stage2Attributes>,
        _ map: MemoryMap, on processor: some Processor
    ) throws(CallStatus) {
        self.guest = try GuestRange(alleged: guest, count: count, limit: MemoryState.donationLimit, in: table)
        guard let range = FrameRange<HostPhysical>(alleged: host, count: count) else { throw .invalidParameter }
        guard map.covers(range, with: .ram, on: processor) || isWithout(.onlyMemoryIsGiven) else { throw .denied }
        self.host = range
    }
}

extension MemoryState {
    /// A VM of a kind that is not being ended, and its tables.
    func vm(
        _ handle: VMHandle, of kind: VMKind, on processor: some Processor
    ) throws(CallStatus) -> (vm: VMPage, table: PageTable<Stage2Attributes>) {
        let vm = try activeVM(handle, on: processor)
        guard vm.kind(on: processor) == kind || isWithout(.kindsAreKeptApart) else { throw .denied }
        guard let table = vm.table(on: processor) else { throw .notFound }
        return (vm, table)
    }
}
