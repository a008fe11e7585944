// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What the host reaches through hand-written tables, and how it fails: the simulated walker
// against examples worked out by hand from the manual.

import Arm
import Machine
import SimulatedMachine
import Testing

@Suite("The simulated walker")
struct WalkTests {
    @Test("finds pages and blocks, and says at which level")
    func levels() {
        let bench = Bench()
        guard
            case .memory(let frame, let attributes) = bench.machine.hostAccess(
                bench.cpu, Address((Bench.base + 5) << 12 | 0x123), .read)
        else {
            Issue.record("the page is mapped")
            return
        }
        #expect(frame.number == Bench.base + 5)
        #expect(attributes.level == 3 && attributes.isWriteBack && attributes.executable)
        guard
            case .memory(let second, let block) = bench.machine.hostAccess(
                bench.cpu, Address((Bench.base + 1023) << 12), .execute)
        else {
            Issue.record("the block is mapped")
            return
        }
        #expect(second.number == Bench.base + 1023)
        #expect(block.level == 2)
    }

    @Test(
        "says why and where it stopped",
        arguments: [
            // Input page, access, ESR's class, fault status.
            (Bench.base + 300, AccessKind.read, UInt64(0x24), UInt64(0b000111)),
            (Bench.base + 5 * 512, .write, 0x24, 0b000110),
            (0x10, .execute, 0x20, 0b000101),
            (1 << 30, .read, 0x24, 0b000100),
        ])
    func aborts(_ page: UInt64, _ kind: AccessKind, _ exceptionClass: UInt64, _ status: UInt64) {
        let bench = Bench()
        guard case .abort(let abort) = bench.machine.hostAccess(bench.cpu, Address(page << 12 | 8), kind) else {
            Issue.record("nothing is mapped there")
            return
        }
        #expect(abort.esr >> 26 == exceptionClass)
        #expect(abort.status == status)
        #expect(abort.hpfar == page << 4)
        #expect(abort.esr >> 6 & 1 == (kind == .write ? 1 : 0))
    }

    @Test("knows permission and access flag faults")
    func permissions() {
        let bench = Bench()
        bench.store(Bench.level3, 300, (Bench.base + 300) << 12 | (Bench.page & ~(1 << 7)) | 0b10 << 53)
        bench.store(Bench.level3, 301, (Bench.base + 301) << 12 | (Bench.page & ~(1 << 10)))
        bench.publish()
        func status(_ page: UInt64, _ kind: AccessKind) -> UInt64? {
            if case .abort(let abort) = bench.machine.hostAccess(bench.cpu, Address(page << 12), kind) {
                return abort.status
            }
            return nil
        }
        #expect(status(Bench.base + 300, .read) == nil)
        #expect(status(Bench.base + 300, .write) == 0b001111)
        #expect(status(Bench.base + 300, .execute) == 0b001111)
        #expect(status(Bench.base + 301, .read) == 0b001011)
    }

    @Test("walks concatenated roots")
    func concatenation() {
        // 40 bits from level 1: two root pages, the second for the upper half.
        let bench = Bench(stage2: false)
        for page in UInt64(0)..<2 { bench.cpu.zeroPage(Frame(Bench.spare + page)) }
        bench.store(Bench.spare + 1, 3, 0x8000_0000 | Bench.block)
        bench.publish()
        bench.cpu.write(.vtcrEL2, 1 << 31 | 2 << 16 | 3 << 12 | 1 << 10 | 1 << 8 | 1 << 6 | 24)
        bench.cpu.write(.vttbrEL2, Bench.spare << 12)
        bench.cpu.write(.hcrEL2, 1 << 31 | 1)
        bench.cpu.invalidateLocalTLB()
        let input: UInt64 = 1 << 39 | 3 << 30 | 0x5000
        #expect(bench.machine.hostAccess(bench.cpu, Address(input), .read).frame?.number == 0x80005)
        #expect(bench.machine.hostAccess(bench.cpu, Address(3 << 30), .read).frame == nil)
        #expect(bench.machine.violations.isEmpty)
    }

    @Test("takes untouched RAM for junk, so that unzeroed tables show")
    func junk() {
        let bench = Bench(stage2: false)
        #expect(bench.load(Bench.spare, 0) & 1 == 1)
        #expect(!bench.machine.isZero(Frame(Bench.spare)))
        bench.cpu.zeroPage(Frame(Bench.spare))
        #expect(bench.machine.isZero(Frame(Bench.spare)))
    }

    @Test("halves of words are stored where they belong")
    func halves() {
        let bench = Bench(stage2: false)
        let at = Address<HypervisorVirtual>(Bench.spare << 12)
        bench.cpu.store64(at, 0x1111_1111_2222_2222)
        bench.cpu.store32(at.advanced(by: 4), 0x3333_3333)
        #expect(bench.cpu.load64(at) == 0x3333_3333_2222_2222)
        #expect(bench.cpu.load32(at) == 0x2222_2222)
        #expect(bench.cpu.load32(at.advanced(by: 4)) == 0x3333_3333)
    }
}
