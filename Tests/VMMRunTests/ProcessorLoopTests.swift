// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Exits: decoding them, and what the loop around a vCPU does with each.

import Synchronization
import Testing
import VMMBoot
import VMMConfiguration
import VMMDevices
import VMMRun

private func raw(
    _ reason: UInt32, address: UInt64 = 0, data: UInt64 = 0, length: UInt32 = 0, isWrite: UInt8 = 0, detail: UInt32 = 0
) -> VCPUExit {
    VCPUExit(
        VCPUExit.Raw(reason: reason, address: address, data: data, length: length, isWrite: isWrite, detail: detail))
}

@Suite struct VCPUExitTests {
    @Test func deviceAccesses() {
        #expect(
            raw(6, address: 0x100_0005, data: 0xDEAD, length: 1)
                == .device(DeviceAccess(address: GuestAddress(0x100_0005), size: 1, direction: .read)))
        let expected: [(UInt32, UInt64)] = [
            (1, 0x88), (2, 0x7788), (4, 0x5566_7788), (8, 0x1122_3344_5566_7788), (99, 0x1122_3344_5566_7788),
        ]
        for (length, value) in expected {
            let exit = raw(6, address: 8, data: 0x1122_3344_5566_7788, length: length, isWrite: 1)
            #expect(
                exit
                    == .device(
                        DeviceAccess(address: GuestAddress(8), size: min(Int(length), 8), direction: .write(value))))
        }
    }

    @Test func everythingElse() {
        #expect(raw(10) == .interrupted)
        #expect(raw(9, address: 7) == .entryFailed(7))
        #expect(raw(17, detail: 3) == .internalError(3))
        #expect(raw(24, detail: 1) == .powerOff)
        #expect(raw(24, detail: 2) == .reset)
        #expect(raw(24, detail: 3) == .crash)
        #expect(raw(24, detail: 5) == .unknown(reason: 24, detail: 5))
        #expect(raw(0) == .unknown(reason: 0, detail: 0))
        #expect(raw(4242) == .unknown(reason: 4242, detail: 0))
    }
}

/// A vCPU that does what a script says, and asks for power-off when the script ends.
private struct ScriptedProcessor: VirtualProcessor {
    enum Step {
        case exit(VCPUExit)
        case fail(Int32)
    }

    var script: [Step]
    var answers: [UInt64] = []

    mutating func run() throws(SystemError) -> VCPUExit {
        guard !script.isEmpty else { return .powerOff }
        switch script.removeFirst() {
        case .exit(let exit): return exit
        case .fail(let number): throw SystemError(number)
        }
    }

    mutating func answer(_ value: UInt64) { answers.append(value) }
}

/// A floor that notes what happens on it.
private final class NotingFloor: MachineFloor, Sendable {
    struct Notes {
        var accesses: [DeviceAccess] = []
        var outcome: RunOutcome?
        var stopAfter: Int?
    }

    let notes: Mutex<Notes>

    init(stopAfter: Int? = nil) { notes = Mutex(Notes(stopAfter: stopAfter)) }

    var isStopping: Bool { notes.withLock { $0.outcome != nil } }

    func perform(_ access: DeviceAccess) -> UInt64 {
        notes.withLock { notes in
            notes.accesses.append(access)
            if notes.accesses.count == notes.stopAfter, notes.outcome == nil { notes.outcome = .escaped }
            return UInt64(notes.accesses.count) * 0x11
        }
    }

    func stop(_ outcome: RunOutcome) {
        notes.withLock { if $0.outcome == nil { $0.outcome = outcome } }
    }
}

private func outcome(_ script: ScriptedProcessor.Step...) -> RunOutcome? {
    let floor = NotingFloor()
    var processor = ScriptedProcessor(script: script)
    runProcessor(&processor, index: 3, on: floor)
    return floor.notes.withLock(\.outcome)
}

@Suite struct ProcessorLoopTests {
    private let read = DeviceAccess(address: GuestAddress(0x100_0005), size: 1, direction: .read)
    private let write = DeviceAccess(address: GuestAddress(0x100_0000), size: 1, direction: .write(0x41))

    @Test func readsAreAnsweredAndWritesAreNot() {
        let floor = NotingFloor()
        var processor = ScriptedProcessor(script: [.exit(.device(read)), .exit(.device(write)), .exit(.device(read))])
        runProcessor(&processor, index: 0, on: floor)
        #expect(processor.answers == [0x11, 0x33])
        #expect(floor.notes.withLock(\.accesses) == [read, write, read])
        #expect(floor.notes.withLock(\.outcome) == .poweredOff)
    }

    @Test func signalsDoNotEndTheLoop() {
        #expect(outcome(.fail(4), .fail(11), .exit(.interrupted), .exit(.reset)) == .reset)
    }

    @Test func ends() {
        #expect(outcome() == .poweredOff)
        #expect(outcome(.exit(.crash)) == .crashed)
        #expect(outcome(.exit(.entryFailed(9))) == .entryFailed(processor: 3, reason: 9))
        #expect(outcome(.exit(.internalError(2))) == .internalError(processor: 3, code: 2))
        #expect(outcome(.exit(.unknown(reason: 4, detail: 5))) == .unknownExit(processor: 3, reason: 4, detail: 5))
        #expect(outcome(.fail(14)) == .runFailed(processor: 3, SystemError(14)))
    }

    @Test func aStoppingMachineIsNotEnteredAgain() {
        let floor = NotingFloor(stopAfter: 1)
        var processor = ScriptedProcessor(script: [.exit(.device(write)), .exit(.device(write))])
        runProcessor(&processor, index: 0, on: floor)
        #expect(processor.script.count == 1)
        #expect(floor.notes.withLock(\.outcome) == .escaped)
    }
}
