// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What EL1 and EL0 reach: an access by intermediate physical address, through whatever the CPU's
// TLB may hold and otherwise through the stage-2 tables that lie in memory.

public import Arm
import TableWalker

/// What an access of the host does.
public enum AccessKind: Sendable, CaseIterable {
    case read, write, execute
}

/// What stage-2 says of the memory that the host reached.
public struct HostMemoryAttributes: Equatable, Sendable {
    /// MemAttr, as it stands in the descriptor (DDI 0487, D8.6.5).
    public let memory: UInt8
    /// Loads are allowed.
    public let readable: Bool
    /// Stores are allowed.
    public let writable: Bool
    /// Fetches are allowed.
    public let executable: Bool
    /// The level of the leaf; nil while stage-2 is off.
    public let level: UInt8?

    /// Normal, inner and outer write-back.
    public var isWriteBack: Bool { memory == 0b1111 }
    /// Normal, non-cacheable.
    public var isNonCacheable: Bool { memory == 0b0101 }
    /// Any Device type.
    public var isDevice: Bool { memory >> 2 == 0 }
}

/// A stage-2 abort as it is reported to EL2 (DDI 0487, D24.2.40 and D24.2.65).
public struct HostAbort: Equatable, Sendable {
    /// ESR_EL2.
    public let esr: UInt64
    /// HPFAR_EL2.
    public let hpfar: UInt64
    /// FAR_EL2.
    public let far: UInt64

    /// An abort, or another trap, with what it leaves in ESR_EL2, HPFAR_EL2 and FAR_EL2.
    public init(esr: UInt64, hpfar: UInt64, far: UInt64) {
        self.esr = esr
        self.hpfar = hpfar
        self.far = far
    }

    /// The fault status code.
    public var status: UInt64 { esr & 0x3F }
}

/// How an access of the host ended.
public enum HostAccessResult: Equatable, Sendable {
    /// It reached a frame.
    case memory(Frame<HostPhysical>, HostMemoryAttributes)
    /// It is taken to EL2.
    case abort(HostAbort)

    /// The frame, if the access went through.
    public var frame: Frame<HostPhysical>? {
        if case .memory(let frame, _) = self { frame } else { nil }
    }
}

extension SimulatedMachine {
    /// An access by EL1 on a CPU, at an intermediate physical address, with EL1's own stage-1 an
    /// identity map of Normal memory.
    ///
    /// Stale entries win over the tables: that is what makes a forgotten invalidation visible.
    public func hostAccess(
        _ cpu: SimulatedCPU, _ address: Address<HostPhysical>, _ kind: AccessKind
    ) -> HostAccessResult {
        let input = address.rawValue >> pageShift
        guard cpus[cpu.index].hasStage2 else {
            return .memory(
                Frame(input),
                HostMemoryAttributes(memory: 0b1111, readable: true, writable: true, executable: true, level: nil))
        }
        if cpus[cpu.index].bypassVMID == cpus[cpu.index].vmid {
            return .memory(
                Frame(input),
                HostMemoryAttributes(memory: 0b1111, readable: true, writable: true, executable: true, level: nil))
        }
        guard let tree = cpus[cpu.index].stage2Tree else {
            return .abort(abort(address, kind, status: 0b000100))
        }
        if !stale.isEmpty, let (leaf, level) = staleLeaf(cpu.index, input) {
            return finish(address, kind, leaf, level)
        }
        switch walk(tree, input) {
        case .translationFault(let level):
            return .abort(abort(address, kind, status: 0b000100 | UInt64(level)))
        case .accessFlagFault(let level):
            return .abort(abort(address, kind, status: 0b001000 | UInt64(level)))
        case .leaf(let leaf, let level):
            return finish(address, kind, leaf, level)
        }
    }

    private func staleLeaf(_ cpu: Int, _ input: UInt64) -> (Reading.Leaf, UInt8)? {
        let bit = cpus[cpu].bit
        let vmid = cpus[cpu].vmid
        for entry in stale where entry.regime == .stage2 && entry.vmid == vmid && entry.cpus & bit != 0 {
            guard entry.covers(input), case .leaf(var leaf) = entry.target, leaf.accessFlag else { continue }
            leaf.frame += input - entry.input
            return (leaf, entry.level)
        }
        return nil
    }

    private func finish(
        _ address: Address<HostPhysical>, _ kind: AccessKind, _ leaf: Reading.Leaf, _ level: UInt8
    ) -> HostAccessResult {
        let isAllowed =
            switch kind {
            case .read: leaf.readable
            case .write: leaf.writable
            case .execute: leaf.executable
            }
        guard isAllowed else { return .abort(abort(address, kind, status: 0b001100 | UInt64(level))) }
        return .memory(
            Frame(leaf.frame),
            HostMemoryAttributes(
                memory: leaf.memory, readable: leaf.readable, writable: leaf.writable,
                executable: leaf.executable, level: level))
    }

    private func abort(_ address: Address<HostPhysical>, _ kind: AccessKind, status: UInt64) -> HostAbort {
        let instructionLength: UInt64 = 1 << 25
        let exceptionClass: UInt64 = kind == .execute ? 0x20 : 0x24
        let isWrite: UInt64 = kind == .write ? 1 << 6 : 0
        return HostAbort(
            esr: exceptionClass << 26 | instructionLength | isWrite | status,
            hpfar: (address.rawValue >> pageShift) << 4,
            far: address.rawValue)
    }

    /// Takes an abort to EL2 on a CPU: the registers that the exception leaves behind.
    public func take(_ abort: HostAbort, on cpu: SimulatedCPU) {
        cpus[cpu.index][.esrEL2] = abort.esr
        cpus[cpu.index][.hpfarEL2] = abort.hpfar
        cpus[cpu.index][.farEL2] = abort.far
    }

    /// A load by the host, 8 bytes at a multiple of 8. Reads 0 where there is no RAM.
    public func hostLoad(_ cpu: SimulatedCPU, _ address: Address<HostPhysical>) throws(HostAbortError) -> UInt64 {
        switch hostAccess(cpu, address, .read) {
        case .abort(let abort): throw HostAbortError(abort: abort)
        case .memory(let frame, _):
            return memory.peek(frame.address.rawValue | address.rawValue & 0xFF8) ?? 0
        }
    }

    /// A store by the host, 8 bytes at a multiple of 8. Does nothing where there is no RAM.
    public func hostStore(
        _ cpu: SimulatedCPU, _ address: Address<HostPhysical>, _ value: UInt64
    ) throws(HostAbortError) {
        switch hostAccess(cpu, address, .write) {
        case .abort(let abort): throw HostAbortError(abort: abort)
        case .memory(let frame, _):
            guard let slot = memory.slot(frame.number) else { return }
            if memory.state(slot).isTable {
                report(.hostWroteTable, cpu: cpu.index, "the host writes to the table at frame \(hex(frame.number))")
                return
            }
            memory.setWord(slot, Int(address.rawValue & 0xFFF) >> 3, value)
        }
    }
}

/// A host access that was taken to EL2.
public struct HostAbortError: Error, Equatable {
    /// What EL2 gets to see of it.
    public let abort: HostAbort
}
