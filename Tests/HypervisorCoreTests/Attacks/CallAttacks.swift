// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// B. The host against calls, lifetimes and power.

import Arm
import HypervisorInterface
import Machine
import SimulatedMachine
import Specification

@testable import HypervisorCore

extension HostBench {
    /// HVC with these registers, as the image sees it.
    fileprivate func raw(_ registers: [UInt64]) -> (outcome: HostCallOutcome, frame: HostFrame) {
        let processor = machine[cpu: 0]
        var frame = HostFrame()
        frame.syndrome = 0x16 << 26 | 1 << 25
        for (index, value) in registers.enumerated() { frame.x[index] = value }
        frame.programCounter = 0x1000
        frame.savedState = 0x6000_0005
        let outcome = hypervisor.hostTrap(0, &frame, on: processor)
        machine.returnToHost(processor)
        return (outcome, frame)
    }
}

extension SimulatedAttack {
    static let calls: [SimulatedAttack] = interface + lifetimes + power

    private static let interface: [SimulatedAttack] = [
        SimulatedAttack(id: "B01") { bench in
            for call in [HostCall.initialise, .withdraw, .deprivilege] {
                switch bench.raw([UInt64(call.rawValue)]).outcome {
                case .withdraw: return "EL2 goes back to the kernel's stub"
                case .confined: return "a CPU is confined twice"
                case .answered, .panicRecord: break
                }
            }
            return nil
        },
        SimulatedAttack(id: "B02") { bench in
            let version = CallRegisters(.version)
            for immediate: UInt16 in [1, 0x4000, 0xFFFF] where bench.hvc(version, immediate: immediate).x0 == 0 {
                return "HVC #\(immediate) is a call"
            }
            let known = Set(
                (0...0xFFFF as ClosedRange<UInt32>).map { 0xC600_0000 | $0 }.filter { HostCall(rawValue: $0) != nil })
            for owner: UInt64 in [0x8600_0000, 0xC600_0000, 0x4600_0000] {
                for number in stride(from: owner, through: owner | 0xFFFF, by: 7) {
                    guard !known.contains(UInt32(number)) else { continue }
                    if bench.hvc(CallRegisters(number)).x0 != UInt64(bitPattern: -1) {
                        return "\(hex(number)) is a call"
                    }
                }
            }
            return nil
        },
        SimulatedAttack(id: "B11") { bench in
            let before = bench.firmware.calls.count
            for number: UInt64 in [0x8200_0000, 0xC200_0001, 0x8300_0010, 0xC300_0001, 0xB200_0000, 0xBF00_FF01] {
                _ = bench.smc(CallRegisters(number, HostBench.guestPages << 12))
            }
            return bench.firmware.calls.count > before ? "firmware hears of an address" : nil
        },
    ]

    private static let lifetimes: [SimulatedAttack] = [
        SimulatedAttack(id: "B03") { bench in
            let old = try bench.makeVM(.normal)
            _ = bench.end(old)
            let new = try bench.makeVM(.normal)
            return bench.gain(
                "the old handle is VM \(hex(new))", .mapGuest, [old, 0x80000, HostBench.guestPages, 1, 3])
        },
        SimulatedAttack(id: "B04") { bench in
            let vm = try bench.victim()
            var gain: String?
            bench.machine.guest = ScriptedGuest([
                { _, _ in
                    if bench.run(vm, on: 1).status == .success { gain = "two CPUs run one vCPU" }
                    return .interrupt
                }
            ])
            _ = bench.run(vm)
            return gain
        },
        SimulatedAttack(id: "B06") { bench in
            let vm = try bench.victim()
            _ = bench.wide(.destroyVM, [vm])
            return bench.run(vm).status == .success ? "a vCPU runs on memory that goes back to the host" : nil
        },
    ]

    private static let power: [SimulatedAttack] = [
        SimulatedAttack(id: "B07") { bench in
            let answer = bench.raw([1, 0x4010_0000, 7, 0, 0])
            return answer.frame.savedState & 0xC == 8 ? "the host goes on at EL2" : nil
        },
        SimulatedAttack(id: "B08b") { bench in
            _ = try bench.victim()
            _ = bench.smc(CallRegisters(0x8400_0009))
            // Nothing translates and nothing refuses any more.
            return bench.firmware.system == .reset && bench.word(HostBench.guestPages) == 0x5EC2E7
                ? "the guest's word is still there" : nil
        },
        SimulatedAttack(id: "B09") { bench in
            _ = bench.smcThatMayPark(CallRegisters(0x8400_0002), on: 1)
            let image = bench.plan.imageBase << pageShift
            let answer = bench.smc(CallRegisters(0xC400_0003, 1, image, 0))
            return answer.x0 == 0 ? "a CPU starts in the image" : nil
        },
        SimulatedAttack(id: "B09b") { bench in
            _ = bench.smcThatMayPark(CallRegisters(0x8400_0002), on: 1)
            let entry: UInt64 = 0x4010_0000
            _ = bench.smc(CallRegisters(0xC400_0003, 1, entry, 0))
            return bench.firmware.starts[1]?.entry == entry ? "firmware starts a CPU at EL2 in the host's code" : nil
        },
        SimulatedAttack(id: "B14") { bench in
            for frame in bench.plan.superpages where bench.touch(frame << pageShift, .write) == frame {
                return "the host writes to the hypervisor's page \(hex(frame))"
            }
            return nil
        },
    ]
}
