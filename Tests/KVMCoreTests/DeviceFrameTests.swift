// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What a vCPU remembers of where there is no memory.

import KVMCore
import Testing

struct DeviceFrameTests {
    @Test func `frames that were noted are known, others are not`() {
        var frames = DeviceFrames()
        #expect(!frames.contains(0, slotChanges: 0))
        frames.note(0x800_0004, slotChanges: 7)
        frames.note(0x80B_0100, slotChanges: 7)
        #expect(frames.contains(0x800_0FFF, slotChanges: 7) && frames.contains(0x80B_0000, slotChanges: 7))
        #expect(!frames.contains(0x800_1000, slotChanges: 7) && !frames.contains(0x80F_0100, slotChanges: 7))
        #expect(!frames.contains(0, slotChanges: 7))
    }

    @Test func `a change of the slots ends what was known`() {
        var frames = DeviceFrames()
        frames.note(0x800_0000, slotChanges: 1)
        #expect(!frames.contains(0x800_0000, slotChanges: 2))
        frames.note(0x80A_0000, slotChanges: 2)
        #expect(!frames.contains(0x800_0000, slotChanges: 2) && frames.contains(0x80A_0000, slotChanges: 2))
        #expect(!frames.contains(0x80A_0000, slotChanges: 1))
    }

    @Test func `another frame takes the place of one in a block of the same place`() {
        var frames = DeviceFrames()
        frames.note(0x800_0000, slotChanges: 0)
        frames.note(0x804_0000, slotChanges: 0)
        #expect(!frames.contains(0x800_0000, slotChanges: 0) && frames.contains(0x804_0000, slotChanges: 0))
        frames.note(.max, slotChanges: 0)
        #expect(frames.contains(.max, slotChanges: 0) && !frames.contains(.max - 4096, slotChanges: 0))
    }
}
