// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Everything else by which a guest comes to EL2: accesses to memory, waiting, instructions that trap.

public import HypervisorInterface

/// What an access does.
public enum AccessDirection: Equatable, Sendable, CaseIterable {
    /// A load.
    case read
    /// A store.
    case write
    /// An instruction fetch.
    case fetch
}

/// An access of a guest to its memory.
public struct GuestMemoryAccess: Equatable, Sendable {
    /// The guest physical address.
    public var address: UInt64
    /// The guest's own address for it.
    public var virtualAddress: UInt64
    /// What it does.
    public var direction: AccessDirection
    /// How the instruction is made, if the CPU tells: one load or store of one general register.
    public var instruction: Pending.Load?
    /// Cache maintenance by address.
    public var isMaintenance = false
    /// By a walk of the guest's own tables.
    public var isWalk = false
    /// To what the guest's own tables call Normal memory: the access may come from the page before, of which the CPU
    /// says nothing.
    public var isNormal = false

    /// An access.
    public init(address: UInt64, virtualAddress: UInt64, direction: AccessDirection, instruction: Pending.Load? = nil) {
        self.address = address
        self.virtualAddress = virtualAddress
        self.direction = direction
        self.instruction = instruction
    }
}

/// What an access comes to.
public enum AccessFate: Equatable, Sendable {
    /// It reaches a frame of the machine, with nobody in between.
    case memory(UInt64)
    /// The guest takes an external abort.
    case aborts
    /// The guest leaves.
    case leaves(RunExit, [UInt64], Pending?)
}

/// Everything that a guest can do to come to EL2, beyond calls and accesses to memory.
public enum GuestEvent: Equatable, Sendable {
    /// A physical interrupt arrives.
    case interrupt
    /// A physical SError arrives.
    case systemError
    /// WFI.
    case waitForInterrupt
    /// WFE.
    case waitForEvent
    /// An access to a vector register, trapped at most once a run.
    case firstVector
    /// An MRS or MSR that traps.
    case register(RegisterTrap)
    /// Another instruction that traps: no guest has it.
    case undefined
    /// A physical interrupt arrives while the guest's EL0 is in AArch32, which no guest has.
    case narrowState
}

/// A trapped MRS or MSR.
public struct RegisterTrap: Equatable, Sendable {
    /// op0, op1, CRn, CRm, op2.
    public var name: [UInt64]
    /// MRS rather than MSR.
    public var isRead: Bool
    /// The general register; 31 is none.
    public var register: UInt64

    /// A trapped access.
    public init(_ name: [UInt64], isRead: Bool, register: UInt64) {
        self.name = name
        self.isRead = isRead
        self.register = register
    }
}

extension GuestMemoryAccess {
    /// Whether it certainly begins and ends within its page.
    fileprivate func isWhole(_ instruction: Pending.Load) -> Bool {
        guard address % instruction.bytes == 0 else { return false }
        return address % 4096 > 0 || instruction.bytes == 1 || !isNormal
    }

    /// What the host hears that it does. A walk reads, but where the tables are it may want to write.
    fileprivate func kind(isForbidden: Bool) -> FaultKind {
        if isWalk { return isForbidden ? .write : .walk }
        if isMaintenance { return .maintenance }
        return direction == .write ? .write : .read
    }
}

extension AbstractState {
    /// What an access comes to.
    public func fate(of access: GuestMemoryAccess, by name: VCPUName, _ registers: GuestRegisters) -> AccessFate {
        guard let machine = machines[name.machine] else { preconditionFailure("there is no such VM") }
        let page = access.address >> 12
        let mapping = machine.mappings[page]
        let isAllowed =
            switch access.direction {
            case .read: mapping != nil
            case .write: mapping?.access.contains(.write) ?? false
            case .fetch: mapping?.access.contains(.execute) ?? false
            }
        if let mapping, isAllowed { return .memory(mapping.frame) }
        // Beyond its address space there is nothing to ask the host about.
        guard page < machine.guestPages else { return .aborts }
        let isProtected = machine.kind == .protected
        // Where in the page, the host of a protected guest does not hear.
        let shown = isProtected ? page << 12 : access.address
        if access.direction == .fetch {
            return .leaves(
                .memoryFault, [shown, FaultKind.fetch.rawValue], .fetch(faultAddress: access.virtualAddress))
        }
        let kind = access.kind(isForbidden: mapping != nil)
        let fault = AccessFate.leaves(
            .memoryFault, [shown, kind.rawValue], .fault(faultAddress: access.virtualAddress))
        // A protected guest's accesses show what they do only inside of a window, and whole.
        guard mapping == nil, !isProtected || machine.isWindow(page) else { return fault }
        if kind == .maintenance {
            return .leaves(
                .memoryFault, [shown, kind.rawValue], .maintenance(faultAddress: access.virtualAddress))
        }
        guard let instruction = access.instruction, !access.isWalk,
            !isProtected || access.isWhole(instruction)
        else { return fault }
        if access.direction == .read {
            return .leaves(
                .mmioRead, [access.address, instruction.bytes],
                .load(instruction, faultAddress: access.virtualAddress))
        }
        let shift = 64 - instruction.bytes * 8
        let value = (registers.operand(instruction.register) << shift) >> shift
        return .leaves(
            .mmioWrite, [access.address, instruction.bytes, value], .store(faultAddress: access.virtualAddress))
    }

    /// A guest makes an access.
    public func afterAccess(
        _ access: GuestMemoryAccess, by name: VCPUName, _ registers: GuestRegisters, _ interrupts: InterruptsLeft
    ) -> (AbstractState, GuestNext) {
        var next = self
        next.change(name) { $0.registers = registers }
        switch fate(of: access, by: name, registers) {
        case .memory: return next.goingOn(name, interrupts)
        case .aborts:
            next.change(name) {
                $0.registers.takeExternalAbort(
                    isFetch: access.direction == .fetch, at: access.virtualAddress, features)
            }
            return next.goingOn(name, interrupts)
        case .leaves(let exit, let values, let pending):
            return next.leaving(name, exit, values, pending: pending, interrupts)
        }
    }

    /// Something else brings the guest to EL2.
    /// - Parameters:
    ///   - registers: as the guest leaves them; the PC is the instruction's that traps.
    ///   - syndrome: ESR_EL2 and FAR_EL2, which the host of a normal guest sees if nobody knows better.
    public func after(
        _ event: GuestEvent, of name: VCPUName, _ registers: GuestRegisters, _ interrupts: InterruptsLeft,
        syndrome: (esr: UInt64, far: UInt64)
    ) -> (AbstractState, GuestNext) {
        var next = self
        next.change(name) { $0.registers = registers }
        let behind = registers.programCounter &+ 4
        switch event {
        case .interrupt:
            return next.leaving(name, .interrupt, [], interrupts)
        case .systemError:
            // The class of an SError; the rest of its syndrome is the machine's.
            let values = [0x2F << 26, syndrome.far, registers.programCounter]
            return next.leaving(name, .unsupported, values, interrupts)
        case .narrowState:
            next.change(name) { $0.power = .off }
            let values = [0, syndrome.far, registers.programCounter]
            return next.leaving(name, .unsupported, values, interrupts)
        case .waitForInterrupt, .waitForEvent:
            next.change(name) { $0.registers.programCounter = behind }
            return next.leaving(name, event == .waitForEvent ? .yield : .waitForInterrupt, [], interrupts)
        case .firstVector:
            return next.goingOn(name, interrupts)
        case .undefined:
            next.change(name) { $0.registers.takeUndefined(features) }
            return next.goingOn(name, interrupts)
        case .register(let trap):
            return next.afterTrap(trap, name, behind, interrupts)
        }
    }

    private func afterTrap(
        _ trap: RegisterTrap, _ name: VCPUName, _ behind: UInt64, _ interrupts: InterruptsLeft
    ) -> (AbstractState, GuestNext) {
        var next = self
        if trap.name == [3, 0, 12, 11, 5], !trap.isRead, let registers = vcpu(name)?.registers {
            // ICC_SGI1R_EL1: who is meant is the emulated distributor's to know.
            next.change(name) { $0.registers.programCounter = behind }
            return next.leaving(name, .softwareInterrupt, [registers.operand(trap.register)], interrupts)
        }
        if trap.name == [3, 0, 12, 11, 1], !trap.isRead, let registers = vcpu(name)?.registers {
            // ICC_DIR_EL1, where the host had it trapped: the interrupt may be in no list register.
            next.change(name) { $0.registers.programCounter = behind }
            return next.leaving(name, .deactivation, [registers.operand(trap.register)], interrupts)
        }
        guard let choice = answer(to: trap, name) else {
            next.change(name) { $0.registers.takeUndefined(features) }
            return next.goingOn(name, interrupts)
        }
        next.change(name) {
            $0.registers.programCounter = behind
            if trap.isRead, trap.register < 31 { $0.choices[Int(trap.register)] = choice }
        }
        return next.goingOn(name, interrupts)
    }

    /// What a read of a register answers, and whether a write is ignored; nil where it is undefined.
    private func answer(to trap: RegisterTrap, _ name: VCPUName) -> Choice? {
        let zero = Choice(free: 0)
        switch (trap.name[0], trap.name[1], trap.name[2], trap.name[3], trap.name[4]) {
        case (3, 0, 0, 1...7, _):
            return trap.isRead ? identity(trap.name[3], trap.name[4], name) : nil
        case (3, 0, 12, 11, 6...7): return trap.isRead ? nil : zero  // Group 0: nobody listens.
        case (3, 0, 12, 12, 5): return Choice(free: 0, fixed: 7)  // ICC_SRE_EL1: system registers, always.
        case (2, 0, 1, 1, 4): return Choice(free: 0, fixed: 8)  // OSLSR_EL1: there is a lock, and it is open.
        case (2, 0, _, _, _): return zero  // Debug: nothing happens.
        case (3, 3, 14, 2, 0...2): return zero  // The physical timer: off, and deaf.
        case (1, 0, 7, 6, 2), (1, 0, 7, 10, 2), (1, 0, 7, 14, 2): return zero  // By set and way.
        case (3, 0, 1, 0, 1): return zero  // ACTLR_EL1.
        default: return nil
        }
    }

    /// Which 4-bit fields of an identification register may say anything, because guests have what
    /// they name; all others say that there is nothing.
    func identity(_ crm: UInt64, _ op2: UInt64, _ name: VCPUName) -> Choice {
        func fields(_ list: UInt64...) -> UInt64 { list.reduce(0) { $0 | 0xF << ($1 * 4) } }
        let inputBits = machines[name.machine]?.inputBits ?? 0
        let isScalable = vcpu(name)?.registers.vectorLength ?? 0 > 0
        switch (crm, op2) {
        case (4, 0):  // AArch64 only; no AMU, no RME, no EL2
            return Choice(free: fields(4, 5, 6, 7, 12, 14, 15) | (isScalable ? fields(8) : 0), fixed: 0x11)
        case (4, 4): return Choice(free: isScalable ? ~0 : 0)
        case (4, 1): return Choice(free: fields(0, 1))  // no MTE, no SME
        case (5, 0): return Choice(free: 0, fixed: 0x10_1006)  // two breakpoints, two watchpoints, no PMU
        case (6, 0): return Choice(free: ~fields(0, 6))  // no TME
        case (6, 1): return Choice(free: ~fields(10, 14, 15))
        case (6, 2): return Choice(free: fields(1, 2, 3, 5, 6, 7, 13))
        case (7, 0):
            let sizes: [(UInt64, UInt64)] = [(36, 0), (40, 1), (42, 2), (44, 3), (48, 4)]
            return Choice(free: fields(1, 2, 4, 5, 6), fixed: sizes.first { inputBits < $0.0 }?.1 ?? 5)
        case (7, 1): return Choice(free: fields(0, 3, 5, 9, 11, 12, 15))
        case (7, 2): return Choice(free: fields(0, 1, 2, 3, 4, 5, 7, 8, 12, 13, 15))
        default: return Choice(free: 0)
        }
    }
}

extension Machine {
    /// Whether a page lies in a window.
    func isWindow(_ page: UInt64) -> Bool { windows.contains { page >= $0.first && page - $0.first < $0.count } }
}
