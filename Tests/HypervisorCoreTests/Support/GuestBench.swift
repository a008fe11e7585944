// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A host that makes VMs on the simulated machine, and guests that are scripts.

import Arm
import CBootProtocol
import HypervisorInterface
import Machine
import SearchKit
import SimulatedMachine
import Testing

@testable import HypervisorCore

/// A guest whose every entry runs the next step of a script.
final class ScriptedGuest: SimulatedGuest, @unchecked Sendable {
    // Safety of `@unchecked Sendable`: as for the machine, one thread at a time.

    typealias Step = (SimulatedCPU, VCPUPage) -> GuestExit
    var steps: [Step]
    /// How often the guest was entered.
    private(set) var entries = 0

    init(_ steps: [Step]) { self.steps = steps }

    func run(on cpu: SimulatedCPU, vcpu: Address<HypervisorVirtual>) -> GuestExit {
        entries += 1
        guard !steps.isEmpty else { return .interrupt }
        return steps.removeFirst()(cpu, VCPUPage(Frame(vcpu.rawValue >> pageShift)))
    }

    /// A synchronous exception with this syndrome and, for aborts, this guest physical address.
    static func trap(_ esr: UInt64, at address: UInt64 = 0, on cpu: SimulatedCPU) -> GuestExit {
        cpu.write(.esrEL2, esr)
        cpu.write(.farEL2, address)
        cpu.write(.hpfarEL2, (address >> pageShift) << 4)
        return .synchronous
    }

    /// HVC #0 with these registers.
    static func hvc(_ registers: [UInt64]) -> Step {
        { cpu, vcpu in
            for (index, value) in registers.enumerated() { vcpu.setGeneral(UInt64(index), value, on: cpu) }
            return trap(0x16 << 26 | 1 << 25, on: cpu)
        }
    }

    /// A load of `bytes` (a power of two) into `x<target>`, or a store from it, at a guest physical address.
    ///
    /// - Parameter virtual: the guest's own address, if it is another.
    static func access(
        _ address: UInt64, bytes: UInt64, target: UInt64, isWrite: Bool = false, virtual: UInt64? = nil
    ) -> Step {
        { cpu, _ in
            let size = UInt64(bytes.trailingZeroBitCount)
            let esr =
                0x24 << 26 | 1 << 25 | 1 << 24 | size << 22 | target << 16 | 1 << 15 | (isWrite ? 1 << 6 : 0) | 0b000111
            let exit = trap(esr, at: address, on: cpu)
            if let virtual { cpu.write(.farEL2, virtual) }
            return exit
        }
    }
}

/// What a run answered.
struct RunAnswer: Equatable {
    let status: CallStatus
    let exit: RunExit?
    let x2: UInt64
    let x3: UInt64
    let x4: UInt64
    let lists: [UInt64]
    /// x9: ICH_VMCR_EL2 and EOIcount.
    let interface: UInt64
    let timer: (UInt64, UInt64)

    static func == (a: Self, b: Self) -> Bool {
        a.status == b.status && a.exit == b.exit && a.x2 == b.x2 && a.x3 == b.x3 && a.x4 == b.x4 && a.lists == b.lists
    }
}

extension HostBench {
    /// Frames of host RAM that nothing else in these tests uses; aligned to 16 pages.
    static let vmBlock: UInt64 = 0x42000
    static let vcpuBlock: UInt64 = 0x42010
    static let guestPages: UInt64 = 0x42400

    /// HVC with up to eight arguments; x0…x11 of the answer.
    func wide(_ call: HostCall, _ arguments: [UInt64], on cpu: Int = 0) -> [UInt64] {
        let processor = machine[cpu: cpu]
        var frame = HostFrame()
        frame.syndrome = 0x16 << 26 | 1 << 25
        frame.x[0] = UInt64(call.rawValue)
        for (index, value) in arguments.enumerated() { frame.x[index + 1] = value }
        frame.programCounter = 0x1000
        frame.savedState = 0x6000_0005
        _ = hypervisor.hostTrap(cpu, &frame, on: processor)
        machine.returnToHost(processor)
        return (0..<12).map { frame.x[$0] }
    }

    func status(_ call: HostCall, _ arguments: [UInt64], on cpu: Int = 0) -> CallStatus? {
        CallStatus(rawValue: Int64(bitPattern: wide(call, arguments, on: cpu)[0]))
    }

    /// A VM with `vcpus` vCPUs, the first of them on; its handle.
    func makeVM(_ kind: VMKind, vcpus: UInt64 = 1, block: UInt64 = vmBlock) throws -> UInt64 {
        let made = wide(.createVM, [kind.rawValue, 40, block, 16])
        #expect(made[0] == 0)
        for index in 0..<vcpus {
            #expect(status(.createVCPU, [made[1], index, block + 16 + index * 4, index == 0 ? 1 : 0]) == .success)
        }
        return made[1]
    }

    func run(
        _ vm: UInt64, _ index: UInt64 = 0, request: RunRequest = [], value: UInt64 = 0, lists: [UInt64] = [],
        interface: UInt64 = 0, on cpu: Int = 0
    ) -> RunAnswer {
        let bits = request.rawValue | UInt64(lists.count) << 8 | interface << 16
        let padded = lists + Array(repeating: 0, count: 4 - lists.count)
        let x = wide(.runVCPU, [vm, index, bits, value] + padded, on: cpu)
        return RunAnswer(
            status: CallStatus(rawValue: Int64(bitPattern: x[0])) ?? .notFound, exit: RunExit(rawValue: x[1]), x2: x[2],
            x3: x[3], x4: x[4], lists: Array(x[5...8]), interface: x[9], timer: (x[10], x[11]))
    }

    /// Makes `destroyVM` until it is done; every frame that came back.
    func destroy(_ vm: UInt64, on cpu: Int = 0) -> [UInt64] {
        var frames: [UInt64] = []
        for _ in 0..<100_000 {
            let x = wide(.destroyVM, [vm], on: cpu)
            guard x[0] == 0 else {
                Issue.record("destroyVM answered \(Int64(bitPattern: x[0]))")
                return frames
            }
            if x[3] > 0 { frames += (x[2]..<x[2] + x[3]).map { $0 } }
            if x[1] == DestroyProgress.done.rawValue { return frames }
        }
        Issue.record("a VM never ended")
        return frames
    }

    func report(_ frame: UInt64) -> PageReport? { PageReport(rawValue: call(.pageReport, frame).x1) }
}
