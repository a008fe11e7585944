// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Protected VMs: what the host gives it loses, and what the guest has it keeps.

import Arm
import HypervisorInterface
import Machine
import SearchKit
import SimulatedMachine
import Testing

@testable import HypervisorCore

struct ProtectedVMTests {
    let bench: HostBench
    let page = HostBench.guestPages

    init() throws { bench = try HostBench.finalised() }

    private func word(_ frame: UInt64) -> UInt64 { bench.machine.peek(Address(frame << 12)) ?? 0 }

    @Test func `a donated page is lost to the host, zeroed on both ways, and comes back`() throws {
        let vm = try bench.makeVM(.protected)
        bench.machine.poke(Address(page << 12), 0x5EC2E7)
        #expect(bench.status(.donateToGuest, [vm, 0x80000, page, 1, GuestContent.zero.rawValue]) == .success)
        #expect(word(page) == 0)
        #expect(bench.report(page) == .guest)
        #expect(bench.touch(page << 12) == nil)
        #expect(bench.touch((page + 1) << 12) == page + 1, "its neighbour is untouched")
        bench.machine.poke(Address(page << 12), 0x5EC2E7)  // The guest's secret.
        _ = bench.destroy(vm)
        #expect(word(page) == 0)
        #expect(bench.report(page) == .host)
        #expect(bench.touch(page << 12) == page)
        bench.expectNoViolations()
    }

    /// On a machine whose stage-2 forces write-back, zeroes may stay in caches on the way to the guest.
    @Test func `a donated page is zeroed and comes back cleaned with forced write-back too`() throws {
        var plan = Plan()
        plan.identification.mmfr2 = 1 << 40
        plan.identification.ctr = 1 << 28
        let bench = try HostBench.finalised(plan)
        let vm = try bench.makeVM(.protected)
        bench.machine.poke(Address(page << 12), 0x5EC2E7)
        #expect(bench.status(.donateToGuest, [vm, 0x80000, page, 1, GuestContent.zero.rawValue]) == .success)
        #expect(bench.machine.peek(Address(page << 12)) == 0)
        bench.machine.poke(Address(page << 12), 0x5EC2E7)
        _ = bench.destroy(vm)
        #expect(bench.machine.peek(Address(page << 12)) == 0)
        #expect(bench.touch(page << 12) == page)
        bench.expectNoViolations()
    }

    @Test func `every page that a guest owns can become a sink, whatever devices and donations have used up`() throws {
        let vm = try bench.makeVM(.protected)
        let cpu = bench.machine[cpu: 0]
        let blocks: UInt64 = 2
        func donate(_ block: UInt64) -> CallStatus? {
            bench.status(
                .donateToGuest, [vm, 0x80000 + block * 512, page + block * 512, 512, GuestContent.zero.rawValue])
        }
        for block in 0..<blocks { #expect(donate(block) == .success) }
        bench.hypervisor.memory.withLock(on: cpu) { state in
            state.pool.purpose = .deviceMapping
            while state.pool.takeTable(on: cpu) != nil {}
            state.pool.purpose = .ownershipChange
            // One page less than the next block and its sinks need.
            while state.pool.canChangeOwnership(withGuestPages: (blocks + 1) * 512) {
                _ = state.pool.takeTable(on: cpu)
            }
        }
        #expect(donate(blocks) == .noMemory)
        bench.hypervisor.memory.withLock(on: cpu) { state in
            for block in 0..<blocks {
                for offset: UInt64 in [0, 511] {
                    let isSunk = state.sink(Frame(page + block * 512 + offset), on: cpu)
                    #expect(isSunk)
                }
            }
            #expect(Bool(state.pool.canChangeOwnership), "the sinks had pages of their own")
        }
        bench.expectNoViolations()
    }

    @Test func `where a guest's page was, the host's kernel reads and writes the sink, and executes nothing`() throws {
        let vm = try bench.makeVM(.protected)
        let cpu = bench.machine[cpu: 0]
        #expect(bench.status(.donateToGuest, [vm, 0x80000, page, 2, GuestContent.zero.rawValue]) == .success)
        var sink: UInt64 = 0
        for offset: UInt64 in 0..<2 {
            let answer = bench.hypervisor.memory.withLock(on: cpu) { state in
                state.answerHostFault(at: Frame(page + offset), by: .kernelData, of: 0, on: cpu)
            }
            bench.machine.returnToHost(cpu)
            #expect(answer == .sunk)
            let found = try #require(bench.touch((page + offset) << 12, .write))
            #expect(found != page && found != page + 1, "the guest's own page")
            #expect(sink == 0 || found == sink, "one sink for all")
            sink = found
            #expect(bench.report(sink) == .hypervisor)
            #expect(bench.touch((page + offset) << 12, .execute) == nil)
            bench.hypervisor.memory.withLock(on: cpu) { state in
                let recorded = state.ledger.state(of: Frame(page + offset), on: cpu)
                #expect(recorded == .guest(slot: 0, .sink))
            }
        }
        _ = bench.destroy(vm)
        for offset: UInt64 in 0..<2 { #expect(bench.report(page + offset) == .host) }
        #expect(bench.touch(page << 12, .write) == page)
        bench.expectNoViolations()
    }

    @Test func `there are so many windows and no more`() throws {
        let vm = try bench.makeVM(.protected)
        for window in 0..<HostCall.maximumWindows {
            #expect(bench.status(.allowMMIO, [vm, 0x9000 + window * 2, 1]) == .success)
        }
        #expect(bench.status(.allowMMIO, [vm, 0xA000, 1]) == .noMemory)
    }

    /// Its vCPUs are off by then, and nothing can turn them on; the VM itself remembers too.
    @Test func `a guest that has switched itself off is over, whatever its vCPUs' pages say`() throws {
        let vm = try bench.makeVM(.protected)
        let cpu = bench.machine[cpu: 0]
        let guest = ScriptedGuest([ScriptedGuest.hvc([0x8400_0008])])
        bench.machine.guest = guest
        #expect(bench.run(vm).exit == .systemOff)
        let vcpu = VCPUPage(Frame(HostBench.vcpuBlock))
        vcpu.store(.power, VCPUPage.Power.on.rawValue, on: cpu)
        #expect(bench.run(vm).exit == .cpuOff)
        #expect(guest.entries == 1)
    }

    @Test func `so can a guest's page in a block of which EL2 has the rest`() throws {
        let vm = try bench.makeVM(.protected)
        let cpu = bench.machine[cpu: 0]
        let blocks: UInt64 = 4
        for block in 0..<blocks {
            let first = page + block * 512
            #expect(
                bench.status(.donateToGuest, [vm, 0x80000 + block, first + 7, 1, GuestContent.zero.rawValue])
                    == .success)
            #expect(bench.status(.topUp, [first, 7]) == .success)
            #expect(bench.status(.topUp, [first + 8, 504]) == .success)
        }
        bench.hypervisor.memory.withLock(on: cpu) { state in
            while state.pool.canTake { _ = state.pool.takeTable(on: cpu) }
            for block in 0..<blocks {
                let isSunk = state.sink(Frame(page + block * 512 + 7), on: cpu)
                #expect(isSunk)
            }
            #expect(Bool(state.pool.canChangeOwnership), "the sinks had pages of their own")
        }
        bench.expectNoViolations()
    }

    @Test func `content enters before the first run and never after`() throws {
        let vm = try bench.makeVM(.protected)
        bench.machine.poke(Address(page << 12), 0xC0DE)
        #expect(bench.status(.donateToGuest, [vm, 0x80000, page, 1, GuestContent.kept.rawValue]) == .success)
        #expect(word(page) == 0xC0DE)
        #expect(bench.run(vm).exit == .interrupt)
        #expect(bench.status(.donateToGuest, [vm, 0x80001, page + 1, 1, GuestContent.kept.rawValue]) == .denied)
        #expect(bench.report(page + 1) == .host)
        #expect(bench.status(.donateToGuest, [vm, 0x80001, page + 1, 1, GuestContent.zero.rawValue]) == .success)
        #expect(bench.status(.allowMMIO, [vm, 0x9000, 1]) == .denied)
        #expect(bench.status(.createVCPU, [vm, 1, HostBench.vcpuBlock + 16, 0]) == .denied)
    }

    @Test func `a page has one owner: no second VM, no second address, no lending, no top-up`() throws {
        let vm = try bench.makeVM(.protected)
        let other = try bench.makeVM(.protected, block: HostBench.vmBlock + 0x40)
        let normal = try bench.makeVM(.normal, block: HostBench.vmBlock + 0x80)
        #expect(bench.status(.donateToGuest, [vm, 0x80000, page, 1, 0]) == .success)
        #expect(bench.status(.donateToGuest, [vm, 0x80001, page, 1, 0]) == .denied)
        #expect(bench.status(.donateToGuest, [vm, 0x80000, page + 1, 1, 0]) == .denied)
        #expect(bench.status(.donateToGuest, [other, 0x80000, page, 1, 0]) == .denied)
        #expect(bench.status(.mapGuest, [normal, 0x80000, page, 1, 3]) == .denied)
        #expect(bench.status(.mapGuest, [vm, 0x80002, page + 1, 1, 3]) == .denied, "nothing is lent to a protected VM")
        #expect(bench.status(.unmapGuest, [vm, 0x80000, 1]) == .denied)
        #expect(bench.status(.topUp, [page, 1]) == .denied)
        #expect(bench.status(.donateToVM, [vm, page, 1]) == .denied)
        // A page that is lent cannot be donated either.
        #expect(bench.status(.mapGuest, [normal, 0x80000, page + 2, 1, 3]) == .success)
        #expect(bench.status(.donateToGuest, [vm, 0x80003, page + 2, 1, 0]) == .denied)
        // All or nothing: the third page of these is lent.
        #expect(bench.status(.donateToGuest, [vm, 0x80010, page + 1, 3, 0]) == .denied)
        #expect(bench.report(page + 1) == .host)
        for handle in [vm, other, normal] { _ = bench.destroy(handle) }
        bench.expectNoViolations()
    }

    @Test func `2 MiB go and come as one block`() throws {
        let vm = try bench.makeVM(.protected)
        #expect(bench.status(.donateToGuest, [vm, 0x80000, page, 512, 0]) == .success)
        for frame in [page, page + 255, page + 511] {
            #expect(bench.touch(frame << 12) == nil)
            bench.machine.poke(Address(frame << 12 | 8), 0x5EC2E7)
        }
        _ = bench.destroy(vm)
        for frame in [page, page + 255, page + 511] {
            #expect(bench.touch(frame << 12) == frame)
            #expect(bench.machine.isZero(Frame(frame)), "the guest's secret")
        }
        let cpu = bench.machine[cpu: 0]
        bench.hypervisor.memory.withLock(on: cpu) { state in
            for window in [HypervisorAddressSpace.window, HypervisorAddressSpace.blockWindow] {
                let found = state.hypervisorTable.lookup(window >> pageShift, on: cpu).descriptor
                #expect(found == .invalid, "EL2 still maps a page through a window")
            }
        }
        bench.expectNoViolations()
    }

    @Test func `registers of a protected vCPU are chosen before the first run and hidden always`() throws {
        let vm = try bench.makeVM(.protected)
        #expect(bench.status(.setRegister, [vm, 0, VCPURegister.programCounter.number, 0x8000_0000]) == .success)
        #expect(bench.status(.setRegister, [vm, 0, 0, 0x4000_0000]) == .success)
        for register: VCPURegister in [.stackPointerEL0, .timerCount, .system(2), .vector(0), .fpcr] {
            #expect(bench.status(.setRegister, [vm, 0, register.number, 1]) == .denied)
        }
        #expect(bench.status(.getRegister, [vm, 0, 0]) == .denied)
        #expect(bench.run(vm).exit == .interrupt)
        #expect(bench.status(.setRegister, [vm, 0, 0, 1]) == .denied)
        #expect(bench.status(.getRegister, [vm, 0, VCPURegister.programCounter.number]) == .denied)
        #expect(bench.status(.getRegister, [vm, 0, VCPURegister.identity(0x20).number]) == .denied)
    }

    @Test func `only windows are devices; elsewhere an access shows a page number and nothing else`() throws {
        let vm = try bench.makeVM(.protected)
        #expect(bench.status(.allowMMIO, [vm, 0x9000, 1]) == .success)
        bench.machine.guest = ScriptedGuest([
            { cpu, vcpu in
                vcpu.setGeneral(3, 0x5EC2E7, on: cpu)
                return ScriptedGuest.access(0x900_0010, bytes: 8, target: 3, isWrite: true)(cpu, vcpu)
            },
            ScriptedGuest.access(0xA00_0010, bytes: 8, target: 3, isWrite: true),
            ScriptedGuest.access(0xA00_0018, bytes: 8, target: 3),
        ])
        let window = bench.run(vm)
        #expect(window.exit == .mmioWrite && window.x2 == 0x900_0010 && window.x4 == 0x5EC2E7)
        let outside = bench.run(vm, request: .completes)
        #expect(outside.exit == .memoryFault && outside.x2 == 0xA00_0000 && outside.x3 == FaultKind.write.rawValue)
        #expect(outside.x4 == 0)
        // A read that the host was never asked to answer cannot be answered.
        let read = bench.run(vm, request: .completes, value: 0xBAD)
        #expect(read.exit == .memoryFault && read.x2 == 0xA00_0000)
        _ = bench.run(vm, request: .completes, value: 0xBAD)
        #expect(bench.machine.guest != nil)
    }

    @Test func `the timer is the guest's own and shows only while it waits`() throws {
        let vm = try bench.makeVM(.protected)
        var offset: UInt64 = 99
        bench.machine.guest = ScriptedGuest([
            { cpu, _ in
                offset = cpu.read(.cntvoffEL2)
                cpu.write(.cntvCvalEL0, 0x1234)
                cpu.write(.cntvCtlEL0, 1)
                return .interrupt
            },
            { cpu, _ in ScriptedGuest.trap(0x01 << 26 | 1 << 25, on: cpu) },
        ])
        let first = bench.run(vm)
        #expect(offset == 0)
        #expect(first.exit == .interrupt && first.timer == (0, 0))
        #expect(bench.machine[cpu: 0].read(.cntvCvalEL0) == 0)
        let second = bench.run(vm)
        #expect(second.exit == .waitForInterrupt && second.timer == (1, 0x1234))
    }

    @Test func `random numbers are EL2's: two calls differ, sizes are kept, bad sizes refused`() throws {
        let vm = try bench.makeVM(.protected)
        var answers: [[UInt64]] = []
        func note(_ cpu: SimulatedCPU, _ vcpu: VCPUPage) {
            answers.append((0...3).map { vcpu.general($0, on: cpu) })
        }
        func call(_ bits: UInt64) -> ScriptedGuest.Step {
            { cpu, vcpu in
                if vcpu.general(20, on: cpu) == 1 { note(cpu, vcpu) }
                vcpu.setGeneral(20, 1, on: cpu)
                return ScriptedGuest.hvc([0xC400_0053, bits])(cpu, vcpu)
            }
        }
        bench.machine.guest = ScriptedGuest([
            call(192), call(192), call(65), call(0), call(193),
            { cpu, vcpu in
                note(cpu, vcpu)
                return .interrupt
            },
        ])
        #expect(bench.run(vm).exit == .interrupt)
        #expect(answers.count == 5)
        #expect(answers[0][0] == 0 && answers[1][0] == 0 && answers[0][1...] != answers[1][1...])
        #expect(answers[2][1] == 0 && answers[2][2] <= 1)
        #expect(answers[3][0] == UInt64(bitPattern: -2) && answers[4][0] == UInt64(bitPattern: -2))
    }
}

struct ChaCha20Tests {
    /// RFC 8439, section 2.3.2.
    @Test func `the block function gives the standard's vector`() {
        let key: InlineArray<8, UInt32> = [
            0x0302_0100, 0x0706_0504, 0x0B0A_0908, 0x0F0E_0D0C, 0x1312_1110, 0x1716_1514, 0x1B1A_1918, 0x1F1E_1D1C,
        ]
        let block = ChaCha20.block(key: key, counter: 1, nonce: (0x0900_0000, 0x4A00_0000, 0))
        let due: [UInt32] = [
            0xE4E7_F110, 0x1559_3BD1, 0x1FDD_0F50, 0xC471_20A3, 0xC7F4_D1C7, 0x0368_C033, 0x9AAA_2204, 0x4E6C_D4C3,
            0x4664_82D2, 0x09AA_9F07, 0x05D7_C214, 0xA202_8BD9, 0xD19C_12B5, 0xB94E_16DE, 0xE883_D0CB, 0x4E3C_50A2,
        ]
        #expect((0..<16).map { block[$0] } == due)
    }

    /// Two blocks by hand: the first half of each is the next key, the other is what is given.
    @Test func `the generator gives each word of a block once, and keeps none`() {
        var generator = RandomGenerator(key: InlineArray(repeating: 7))
        var key = InlineArray<8, UInt32>(repeating: 7)
        for hardware in [UInt64(0), 0x1234_5678_9ABC_DEF0] {
            key[0] ^= UInt32(truncatingIfNeeded: hardware)
            key[1] ^= UInt32(truncatingIfNeeded: hardware >> 32)
            let block = ChaCha20.block(key: key, counter: 1, nonce: (0, 0, 0))
            let due = (4..<8).map { UInt64(block[2 * $0]) | UInt64(block[2 * $0 + 1]) << 32 }
            let given = (0..<4).map { _ in generator.next { hardware } }
            #expect(given == due.reversed())
            #expect(generator.left == 0 && (0..<4).allSatisfy { generator.words[$0] == 0 })
            for word in 0..<8 { key[word] = block[word] }
        }
    }
}
