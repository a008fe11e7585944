// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A host in the role of EL1 and EL0, on a simulated machine with the real hypervisor core: it makes
// calls and accesses, and each of them comes back as it would on silicon.

import Arm
public import Audit
public import HypervisorCore
public import HypervisorInterface
import Machine
public import SimulatedMachine
public import Specification

/// A machine on which the hypervisor was initialised.
open class SimulatedHost: @unchecked Sendable {
    // Safety of `@unchecked Sendable`: as for the machine, one thread at a time.

    /// What the machine looks like.
    public let plan: Plan
    /// The machine.
    public let machine: SimulatedMachine
    /// What answers its SMCs.
    public let firmware: PSCIFirmware
    /// The hypervisor itself.
    public var hypervisor: Hypervisor<SimulatedCPU>
    /// Where firmware enters EL2.
    public static let entryPoints = FirmwareEntryPoints(cpuOn: 0x4040_0100, resume: 0x4040_0200)
    /// What a call did that no call may do.
    public internal(set) var complaints: [String] = []
    /// The audit, once it has begun.
    public private(set) var audit: Audit?

    /// Loads, enters on all CPUs and initialises on the first.
    public init(_ plan: Plan = Plan(), prepare: (PSCIFirmware) -> Void = { _ in }) throws {
        self.plan = plan
        machine = plan.machine()
        firmware = PSCIFirmware(machine)
        prepare(firmware)
        machine.firmware = firmware
        plan.load(into: machine)
        for cpu in machine.allCPUs { plan.enter(cpu) }
        let cpu = machine[cpu: 0]
        let boot = try BootBlock(at: Address(plan.bootBlock << pageShift), on: cpu)
        hypervisor = try Hypervisor(
            boot: boot, features: CPUFeatures(plan.identification), entryPoints: Self.entryPoints, on: cpu)
        machine.returnToHost(cpu)
    }

    /// Puts every CPU behind the stage-2.
    /// - Throws: a `Disagreement` if one of them is refused.
    public func finalise() throws {
        for cpu in 0..<plan.cpuCount {
            let answer = call(.deprivilege, on: cpu)
            guard answer.x0 == 0 else { throw Disagreement("CPU \(cpu) is not confined: \(answer)") }
        }
        guard hypervisor.phase == .finalised else { throw Disagreement("all CPUs are confined, and EL2 is not final") }
    }

    /// Something happened that no call or access may do.
    open func complain(_ message: String) { complaints.append(message) }

    /// HVC with a call's number.
    @discardableResult
    public func call(_ call: HostCall, _ x1: UInt64 = 0, _ x2: UInt64 = 0, on cpu: Int = 0) -> CallRegisters {
        hvc(CallRegisters(call, x1, x2), on: cpu)
    }

    /// HVC #0 by the host's kernel. Checks what every call keeps.
    @discardableResult
    public func hvc(_ registers: CallRegisters, immediate: UInt16 = 0, on cpu: Int = 0) -> CallRegisters {
        trap(registers, syndrome: 0x16 << 26 | 1 << 25 | UInt64(immediate), returnsTo: 0x1000, on: cpu)
    }

    /// SMC #0 by the host's kernel.
    @discardableResult
    public func smc(_ registers: CallRegisters, immediate: UInt16 = 0, on cpu: Int = 0) -> CallRegisters {
        trap(registers, syndrome: 0x17 << 26 | 1 << 25 | UInt64(immediate), returnsTo: 0x1004, on: cpu)
    }

    private func trap(
        _ registers: CallRegisters, syndrome: UInt64, returnsTo: UInt64, on cpu: Int
    ) -> CallRegisters {
        let processor = machine[cpu: cpu]
        var frame = HostFrame()
        frame.syndrome = syndrome
        for index in 0..<31 { frame.x[index] = 0xAAAA_0000 + UInt64(index) }
        frame.x[0] = registers.x0
        frame.x[1] = registers.x1
        frame.x[2] = registers.x2
        frame.x[3] = registers.x3
        // Calls about VMs have up to five arguments; a run has list registers and more results too.
        let isRun = registers.x0 == UInt64(HostCall.runVCPU.rawValue)
        let arguments = isRun ? 12 : (0xC600_4020...0xC600_4033).contains(registers.x0) ? 6 : 4
        if arguments > 4 {
            for index in 6..<arguments { frame.x[index] = 0 }
            frame.x[4] = registers.x4
            frame.x[5] = registers.x5
        }
        frame.programCounter = 0x1000
        frame.savedState = 0x6000_0005
        enter(&frame, on: cpu)
        machine.returnToHost(processor)
        var isKept = frame.programCounter == returnsTo && frame.savedState == 0x6000_0005
        for index in arguments..<31 where frame.x[index] != 0xAAAA_0000 + UInt64(index) { isKept = false }
        if !isKept { complain("a call changed x4…x30, the state, or where the host goes on: \(registers)") }
        return CallRegisters(frame.x[0], frame.x[1], frame.x[2], frame.x[3])
    }

    /// What the image does with a trap.
    private func enter(_ frame: inout HostFrame, on cpu: Int) {
        let processor = machine[cpu: cpu]
        let trap = audit?.begin(frame, on: cpu, hypervisor, on: processor)
        if case .panicRecord = hypervisor.hostTrap(cpu, &frame, on: processor) {
            // The record is kept by the image, which has none as long as EL2 has not panicked.
            frame.x[0] = UInt64(bitPattern: CallStatus.notFound.rawValue)
        }
        guard let audit, let trap else { return }
        do throws(Difference) {
            try audit.end(trap, frame, on: cpu, hypervisor, on: processor)
        } catch {
            complain("the audit says: \(error)")
        }
    }

    /// From here on the audit that images for tests make at their exits is made here too. The hypervisor is final,
    /// and nothing has happened yet.
    public func beginAudit() {
        do throws(Difference) {
            audit = try Audit.start(hypervisor, on: machine[cpu: 0])
        } catch {
            complain("the audit says: \(error)")
        }
    }

    /// HVC #0 with x0 and following, for calls that have more of them; x0…x11 of the answer.
    public func longCall(_ registers: [UInt64], on cpu: Int) -> [UInt64] {
        let processor = machine[cpu: cpu]
        var frame = HostFrame()
        frame.syndrome = 0x16 << 26 | 1 << 25
        for (index, value) in registers.enumerated() { frame.x[index] = value }
        frame.programCounter = 0x1000
        frame.savedState = 0x6000_0005
        enter(&frame, on: cpu)
        machine.returnToHost(processor)
        if frame.programCounter != 0x1000 || frame.savedState != 0x6000_0005 {
            complain("a call changed where the host goes on: \(registers)")
        }
        return (0..<12).map { frame.x[$0] }
    }

    /// An access of the host's kernel, with the aborts that it takes on the way.
    /// - Returns: the frame reached, or nil if the host got an exception of its own.
    public func touch(_ address: UInt64, _ kind: AccessKind = .read, on cpu: Int = 0) -> UInt64? {
        let processor = machine[cpu: cpu]
        for _ in 0..<4 {
            switch machine.hostAccess(processor, Address(address), kind) {
            case .memory(let frame, _): return frame.number
            case .abort(let abort):
                machine.take(abort, on: processor)
                var frame = HostFrame()
                frame.syndrome = abort.esr
                frame.programCounter = 0x2000
                frame.savedState = 0x6000_0005
                enter(&frame, on: cpu)
                machine.returnToHost(processor)
                if frame.programCounter != 0x2000 { return nil }
            }
        }
        complain("the access at \(String(address, radix: 16)) aborts again and again")
        return nil
    }

    /// What the specification wants to know about tables: as of now, but for what the guests reach,
    /// which is as of when it is asked.
    public var observation: Observation {
        let machine = machine
        let cpu = machine[cpu: 0]
        var result = Observation(
            freePages: hypervisor.freePages(on: cpu),
            freePagesOfVM: { [self] in hypervisor.freeTablePages(of: $0, on: cpu) },
            isInUse: { machine.isLiveTable(Frame($0)) })
        result.isMapped = { [self] in hypervisor.hasMemory($0, at: $1, on: cpu) }
        return result
    }

    /// The same, with what is true before the call kept until after it.
    public func observation(before state: AbstractState, physicalCount: UInt64 = 0) -> Observation {
        var result = observation
        let isInUse = result.isInUse
        let freePagesOfVM = result.freePagesOfVM
        let used = Set(state.donatedPages.filter { isInUse($0) })
        let left = state.machines.keys.reduce(into: [:]) { $0[$1] = freePagesOfVM($1) }
        result.isInUse = { used.contains($0) }
        result.freePagesOfVM = { left[$0] ?? 0 }
        result.physicalCount = physicalCount
        return result
    }
}

extension SimulatedHost: CustomStringConvertible, CustomReflectable {
    /// The machine's.
    public var description: String { "\(machine)" }
    /// Nothing: a failed test must not print all of memory.
    public var customMirror: Mirror { Mirror(self, children: []) }
}
