// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The registers of a simulated CPU as the guest on it has them, and as the specification names them.

import Arm
import HypervisorInterface
import Machine
import SimulatedMachine
import Specification

@testable import HypervisorCore

/// A guest's registers on the CPU that runs it.
struct GuestView {
    let cpu: SimulatedCPU
    let page: VCPUPage
    /// Whether the guest has its vector registers; before, those of the CPU are the host's.
    let hasVectors: Bool

    /// In the order of `VCPURegister.System`, without MPIDR_EL1.
    static let system: [SystemRegister] = [
        .sctlrEL1, .cpacrEL1, .ttbr0EL1, .ttbr1EL1, .tcrEL1, .esrEL1, .afsr0EL1, .afsr1EL1, .farEL1, .mairEL1,
        .amairEL1, .vbarEL1, .contextidrEL1, .cntkctlEL1, .parEL1, .tpidrEL1, .tpidrEL0, .tpidrroEL0, .spEL1, .elrEL1,
        .spsrEL1, .mdscrEL1, .csselrEL1,
    ]
    /// Those of them that many CPUs do not have.
    static let auxiliary: Set<SystemRegister> = [.afsr0EL1, .afsr1EL1, .amairEL1]
    /// Those that exceptions and address translations write.
    static let status: Set<SystemRegister> = [.esrEL1, .farEL1, .elrEL1, .spsrEL1, .parEL1]
    static let keys: [SystemRegister] = [
        .apiaKeyLo, .apiaKeyHi, .apibKeyLo, .apibKeyHi, .apdaKeyLo, .apdaKeyHi, .apdbKeyLo, .apdbKeyHi, .apgaKeyLo,
        .apgaKeyHi,
    ]
    static let lists: [SystemRegister] = [.ichLr0EL2, .ichLr1EL2, .ichLr2EL2, .ichLr3EL2]

    /// What the guest finds. What this CPU does not have, or has not given it yet, is taken from `due`.
    func registers(_ due: GuestRegisters) -> GuestRegisters {
        var seen = due
        for index in 0..<31 { seen.general[index] = page.general(UInt64(index), on: cpu) }
        seen.programCounter = page.programCounter(on: cpu)
        seen.processorState = page.state(on: cpu).bits
        seen.stackPointerEL0 = cpu.read(.spEL0)
        let features = CPUFeatures(cpu.machine.configuration.identification)
        let missing = features.hasAuxiliaryRegisters ? [] : Self.auxiliary
        for (index, name) in Self.system.enumerated() where !missing.contains(name) {
            seen.system[index] = cpu.read(name)
        }
        if features.hasPointerAuthentication { seen.keys = Self.keys.map { cpu.read($0) } }
        if hasVectors {
            let own = cpu.machine.vectors[cpu.index]
            let visible = own.visible(max(1, Int(due.vectorLength)))
            seen.vectorStatus = own.control
            seen.vectors = visible.vectors.flatMap { $0 }
            if due.vectorLength > 0 {
                seen.predicates = visible.predicates.flatMap { $0 }
                seen.vectorControl = cpu.read(.zcrEL1)
            }
        }
        seen.timerControl = cpu.read(.cntvCtlEL0)
        seen.timerCompare = cpu.read(.cntvCvalEL0)
        seen.interface = cpu.read(.ichVmcrEL2)
        seen.activePriorities[0] = cpu.read(.ichAp0r0EL2)
        seen.activePriorities[4] = cpu.read(.ichAp1r0EL2)
        return seen
    }

    /// What the guest leaves.
    func set(_ registers: GuestRegisters) {
        for index in 0..<31 { page.setGeneral(UInt64(index), registers.general[index], on: cpu) }
        page.setProgramCounter(registers.programCounter, on: cpu)
        page.setState(ProcessorState(bits: registers.processorState), on: cpu)
        cpu.write(.spEL0, registers.stackPointerEL0)
        for (name, value) in zip(Self.system, registers.system) { cpu.write(name, value) }
        if CPUFeatures(cpu.machine.configuration.identification).hasPointerAuthentication {
            for (name, value) in zip(Self.keys, registers.keys) { cpu.write(name, value) }
        }
        if hasVectors { setVectors(registers) }
        cpu.write(.cntvCtlEL0, registers.timerControl)
        cpu.write(.cntvCvalEL0, registers.timerCompare)
        cpu.write(.ichVmcrEL2, registers.interface)
        cpu.write(.ichAp0r0EL2, registers.activePriorities[0])
        cpu.write(.ichAp1r0EL2, registers.activePriorities[4])
    }

    private func setVectors(_ registers: GuestRegisters) {
        let length = Int(registers.vectorLength)
        let words = 2 * max(1, length)
        var own = cpu.machine.vectors[cpu.index]
        own.control = registers.vectorStatus
        for index in 0..<32 {
            own.vectors[index].replaceSubrange(0..<words, with: registers.vectors[index * words..<(index + 1) * words])
        }
        for index in 0..<17 where length > 0 {
            own.predicates[index].replaceSubrange(
                0..<length, with: registers.predicates[index * length..<(index + 1) * length])
        }
        cpu.machine.vectors[cpu.index] = own
        if length > 0 { cpu.write(.zcrEL1, registers.vectorControl) }
    }

    /// The list registers as they are.
    var lists: [UInt64] { Self.lists.map { cpu.read($0) } }
    /// What the virtual CPU interface holds.
    var interrupts: InterruptsLeft { InterruptsLeft(lists: lists, endCount: cpu.read(.ichHcrEL2) >> 27 & 0x1F) }
}

/// Registers of a CPU that a run must leave as they were.
struct HostView {
    private let values: [SystemRegister: UInt64]
    private let vectors: VectorRegisters

    private static let controls: [SystemRegister] = [
        .hcrEL2, .vttbrEL2, .vtcrEL2, .cptrEL2, .mdcrEL2, .cnthctlEL2, .cntvoffEL2, .vmpidrEL2, .hstrEL2, .ichHcrEL2,
        .ichVmcrEL2, .ichLr0EL2, .ichLr1EL2, .ichLr2EL2, .ichLr3EL2, .ichAp0r0EL2, .ichAp1r0EL2, .iccSreEL1, .iccSreEL2,
    ]

    /// What is the host's own.
    private static func own(_ cpu: SimulatedCPU) -> [SystemRegister] {
        let features = CPUFeatures(cpu.machine.configuration.identification)
        return GuestView.system + [.spEL0] + (features.hasPointerAuthentication ? GuestView.keys : [])
            + (features.hasSVE ? [.zcrEL1] : [])
    }

    init(_ cpu: SimulatedCPU) {
        let isScalable = CPUFeatures(cpu.machine.configuration.identification).hasSVE
        let registers = Self.own(cpu) + Self.controls + (isScalable ? [.zcrEL2] : [])
        values = registers.reduce(into: [:]) { $0[$1] = cpu.read($1) }
        // Without scalable vectors there is nothing above v0…v31.
        let all = cpu.machine.vectors[cpu.index]
        vectors = isScalable ? all : all.visible(1)
    }

    /// The first register that is not as it was.
    func difference(from before: HostView) -> String? {
        for (register, value) in values where before.values[register] != value {
            // A kernel does not need these behind a call.
            if GuestView.status.contains(register), value == 0 { continue }
            return "\(register) is \(hex(value)) where \(hex(before.values[register] ?? 0)) was"
        }
        return vectors == before.vectors ? nil : "vector registers are others"
    }

    /// Fills what is the host's own with what no guest can know.
    static func fill(_ cpu: SimulatedCPU, _ random: inout SeededGenerator) {
        for register in own(cpu) where register != .sctlrEL1 && register != .tcrEL1 {
            cpu.write(register, random.next())
        }
        var vectors = VectorRegisters(random.next())
        for index in vectors.vectors.indices { vectors.vectors[index][Int(random.next() % 32)] = random.next() }
        cpu.machine.vectors[cpu.index] = vectors
    }
}
