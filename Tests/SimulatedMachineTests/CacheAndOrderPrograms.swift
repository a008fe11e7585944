// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Programs about what lies in caches when a page goes from one world to another, and about what one CPU
// sees of another's stores: right ones and wrong ones.

import Arm
import Machine
import SimulatedMachine
import Testing

/// The page that changes hands.
private let handed = Bench.base + 5

extension Bench {
    /// Tables of a guest with VMID 4, which map `handed` to itself; not in use yet.
    func buildGuest(attributes: UInt64 = Bench.page) {
        let tables = (UInt64(4)..<7).map { Bench.spare + $0 }
        for table in tables { cpu.zeroPage(Frame(table)) }
        store(tables[0], 1, tables[1] << 12 | 3)
        store(tables[1], 0, tables[2] << 12 | 3)
        store(tables[2], 5, handed << 12 | attributes)
        publish()
    }

    /// The other CPU begins to run the guest.
    func enterGuest() {
        other.write(.vttbrEL2, 4 << 48 | (Bench.spare + 4) << 12)
        other.barrier(.contextSynchronisation)
    }

    /// It goes back to the host.
    func leaveGuest() {
        other.write(.vttbrEL2, Bench.vmid << 48 | Bench.root << 12)
        other.barrier(.contextSynchronisation)
    }

    /// The host loses the page, and every TLB knows.
    func takeFromHost() {
        store(Bench.level3, 5, 0)
        invalidatePage(handed)
    }

    func clean() {
        cpu.cleanAndInvalidatePage(Frame(handed))
        cpu.barrier(.cacheMaintenanceComplete)
    }

    /// The page goes from the guest, which has run, to nobody.
    func takeFromGuest() {
        let vttbr = cpu.read(.vttbrEL2)
        cpu.write(.vttbrEL2, 4 << 48 | (Bench.spare + 4) << 12)
        store(Bench.spare + 6, 5, 0)
        invalidatePage(handed)
        cpu.write(.vttbrEL2, vttbr)
    }
}

let brokenCachePrograms: [TableProgram] = [
    TableProgram("a guest gets a page with the host's lines in caches", breaks: .linesLeft) { bench in
        bench.buildGuest()
        bench.takeFromHost()
        bench.enterGuest()
    },
    TableProgram("cleaned while the host can still fetch lines", breaks: .linesLeft) { bench in
        bench.buildGuest()
        bench.clean()
        bench.takeFromHost()
        bench.enterGuest()
    },
    TableProgram("cleaned while TLBs still know the page", breaks: .linesLeft) { bench in
        bench.buildGuest()
        bench.store(Bench.level3, 5, 0)
        bench.publish()
        bench.clean()
        bench.invalidatePage(handed)
        bench.enterGuest()
    },
    TableProgram("cleaned while combined entries are left", breaks: .linesLeft) { bench in
        bench.buildGuest()
        bench.store(Bench.level3, 5, 0)
        bench.publish()
        bench.cpu.invalidate(.stage2(Frame(handed)))
        bench.complete()
        bench.clean()
        bench.cpu.invalidate(.combined)
        bench.complete()
        bench.enterGuest()
    },
    TableProgram("the host's lines cleaned, and that not completed", breaks: .linesLeft) { bench in
        bench.buildGuest()
        bench.takeFromHost()
        bench.cpu.cleanAndInvalidatePage(Frame(handed))
        bench.complete()
        bench.enterGuest()
    },
    TableProgram("the neighbour's lines cleaned", breaks: .linesLeft) { bench in
        bench.buildGuest()
        bench.takeFromHost()
        bench.cpu.cleanAndInvalidatePage(Frame(handed + 1))
        bench.cpu.barrier(.cacheMaintenanceComplete)
        bench.enterGuest()
    },
    TableProgram("a guest's lines left when the host gets its page", breaks: .linesLeft) { bench in
        bench.buildGuest()
        bench.takeFromHost()
        bench.clean()
        bench.enterGuest()
        bench.leaveGuest()
        bench.takeFromGuest()
        bench.store(Bench.level3, 5, handed << 12 | Bench.page)
        bench.publish()
    },
    TableProgram("forced write-back on one side only", breaks: .linesLeft) { bench in
        bench.buildGuest(attributes: Bench.page)
        bench.other.write(.hcrEL2, 1 << 31 | 1 << 46 | 1)
        bench.takeFromHost()
        bench.enterGuest()
    },
]

let correctCachePrograms: [TableProgram] = [
    TableProgram("a page goes to a guest, cleaned after the host has lost it") { bench in
        bench.buildGuest()
        bench.takeFromHost()
        bench.clean()
        bench.enterGuest()
        #expect(bench.reaches(handed) == handed)
    },
    TableProgram("a page goes to a guest and comes back") { bench in
        bench.buildGuest()
        bench.takeFromHost()
        bench.clean()
        bench.enterGuest()
        bench.leaveGuest()
        bench.takeFromGuest()
        bench.cpu.zeroPage(Frame(handed))
        bench.clean()
        bench.store(Bench.level3, 5, handed << 12 | Bench.page)
        bench.publish()
    },
    TableProgram("a page comes back to the world that had it") { bench in
        bench.takeFromHost()
        bench.store(Bench.level3, 5, handed << 12 | Bench.page)
        bench.publish()
    },
    TableProgram("a page is lent: both have it, and the host sees to its lines") { bench in
        bench.buildGuest()
        bench.enterGuest()
        bench.leaveGuest()
        bench.takeFromGuest()
        bench.enterGuest()
        bench.leaveGuest()
    },
    TableProgram("nobody gets around the caches with forced write-back") { bench in
        // MemAttr 0b0110 with HCR_EL2.FWB.
        bench.buildGuest(attributes: Bench.page & ~(0b1111 << 2) | 0b0110 << 2)
        bench.other.write(.hcrEL2, 1 << 31 | 1 << 46 | 1)
        bench.takeFromHost()
        bench.enterGuest()
    },
]

/// A word that no table uses.
private let word = Address<HypervisorVirtual>(Bench.spare << 12)
/// Two locks.
private let (lock, otherLock) = (1 as UInt, 2 as UInt)

let brokenOrderPrograms: [TableProgram] = [
    TableProgram("read without any lock", breaks: .unorderedAccess) { bench in
        bench.machine.checkOrder()
        bench.cpu.store64(word, 1)
        _ = bench.other.load64(word)
    },
    TableProgram("a lock released without order", breaks: .unorderedAccess) { bench in
        bench.machine.checkOrder()
        bench.cpu.store64(word, 1)
        bench.cpu.handsOver(lock, .writtenRelaxed)
        bench.other.handsOver(lock, .acquired)
        _ = bench.other.load64(word)
    },
    TableProgram("a lock taken without order", breaks: .unorderedAccess) { bench in
        bench.machine.checkOrder()
        bench.cpu.store64(word, 1)
        bench.cpu.handsOver(lock, .released)
        bench.other.handsOver(lock, .readRelaxed)
        _ = bench.other.load64(word)
    },
    TableProgram("another lock", breaks: .unorderedAccess) { bench in
        bench.machine.checkOrder()
        bench.cpu.store64(word, 1)
        bench.cpu.handsOver(lock, .released)
        bench.other.handsOver(otherLock, .acquired)
        _ = bench.other.load32(word)
    },
    TableProgram("stored behind the release", breaks: .unorderedAccess) { bench in
        bench.machine.checkOrder()
        bench.cpu.handsOver(lock, .released)
        bench.cpu.store64(word, 1)
        bench.other.handsOver(lock, .acquired)
        _ = bench.other.load64(word)
    },
    TableProgram("a page zeroed, and read without a lock", breaks: .unorderedAccess) { bench in
        bench.machine.checkOrder()
        bench.cpu.zeroPage(Frame(Bench.spare))
        _ = bench.other.load64(word.advanced(by: 64))
    },
    TableProgram("two CPUs write without a lock", breaks: .unorderedAccess) { bench in
        bench.machine.checkOrder()
        bench.cpu.store64(word, 1)
        bench.other.store64(word, 2)
    },
]

let correctOrderPrograms: [TableProgram] = [
    TableProgram("a lock goes from hand to hand") { bench in
        bench.machine.checkOrder()
        bench.cpu.zeroPage(Frame(Bench.spare))
        bench.cpu.store64(word, 1)
        bench.cpu.handsOver(lock, .released)
        bench.other.handsOver(lock, .acquired)
        #expect(bench.other.load64(word) == 1)
        bench.other.store64(word, 2)
        bench.other.handsOver(lock, .released)
        bench.cpu.handsOver(lock, .acquired)
        #expect(bench.cpu.load64(word) == 2)
    },
    TableProgram("what came with one lock goes on with another") { bench in
        bench.machine.checkOrder()
        bench.cpu.store64(word, 1)
        bench.cpu.handsOver(lock, .released)
        bench.other.handsOver(lock, .acquired)
        bench.other.handsOver(otherLock, .released)
        bench.cpu.handsOver(otherLock, .acquired)
        bench.cpu.store64(word, 2)
        bench.cpu.handsOver(otherLock, .released)
        bench.other.handsOver(otherLock, .acquired)
        #expect(bench.other.load64(word) == 2)
    },
    TableProgram("each CPU has words of its own") { bench in
        bench.machine.checkOrder()
        bench.cpu.store64(word, 1)
        bench.other.store64(word.advanced(by: 8), 2)
        #expect(bench.cpu.load64(word) == 1)
        #expect(bench.other.load64(word.advanced(by: 8)) == 2)
    },
]
