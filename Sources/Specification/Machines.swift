// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Virtual machines, abstractly: which pages are whose, and what maps what.

public import HypervisorInterface

/// One virtual machine.
public struct Machine: Equatable, Sendable {
    /// Normal or protected.
    public let kind: VMKind
    /// Bits of a guest physical address.
    public let inputBits: UInt64
    /// First page of the stage-2 root, which the host chose by choosing the block.
    public let root: UInt64
    /// Pages that the host gave for tables and vCPUs.
    public internal(set) var ownPages: Set<UInt64>
    /// Its vCPUs by index.
    public internal(set) var vcpus: [UInt64: VCPU] = [:]
    /// What each guest page maps to.
    public internal(set) var mappings: [UInt64: Mapping] = [:]
    /// Of a part of a state: how many pages of the guest the part leaves out.
    public internal(set) var mappingsElsewhere = 0
    /// MMIO windows, by first guest page and pages.
    public internal(set) var windows: [Window] = []
    /// A vCPU was run.
    public internal(set) var hasRun = false
    /// A protected guest has ended itself: it never runs again.
    public internal(set) var isOver = false
    /// Whether it is being ended.
    public internal(set) var life = Life.active
    /// CNTVOFF_EL2: what the guest's count lags behind the machine's. Nobody can set a protected
    /// guest's time back or forth.
    public internal(set) var counterOffset: UInt64 = 0

    /// How many pages the guest has.
    public var memoryPages: Int { mappings.count + mappingsElsewhere }

    /// Whether `destroyVM` has begun.
    var isEnding: Bool { life == .ending }

    /// A page of the guest's memory.
    public struct Mapping: Equatable, Sendable {
        /// The frame of the machine behind it.
        public let frame: UInt64
        /// What the guest may do there, beyond reading.
        public let access: GuestAccess

        /// A page that maps to a frame.
        public init(frame: UInt64, access: GuestAccess) {
            self.frame = frame
            self.access = access
        }
    }

    /// A range that may reach the host as MMIO.
    public struct Window: Equatable, Sendable {
        /// The first guest page.
        public let first: UInt64
        /// How many pages.
        public let count: UInt64
    }

    /// Pages of the guest's address space.
    var guestPages: UInt64 { 1 << (inputBits - 12) }

    /// Tables that are concatenated at the root (DDI 0487, D8.2.3): from 44 bits on there is a
    /// fourth level instead.
    public static func rootPages(inputBits: UInt64) -> UInt64 {
        inputBits >= 44 || inputBits <= 39 ? 1 : 1 << (inputBits - 39)
    }
}

/// Table pages of a VM that one change of its mappings can need: two a level.
public let mostTablesForOneMapping: UInt64 = 6

/// Pages that `unmapGuest` takes at once, whatever is mapped there.
public let mostPagesForOneUnmapping: UInt64 = 512

extension AbstractState {
    /// How often a page is lent.
    public func lentCount(_ frame: UInt64) -> Int {
        machines.values.reduce(0) { sum, machine in
            guard machine.kind == .normal else { return sum }
            return sum + machine.mappings.values.count { $0.frame == frame }
        }
    }

    /// Frames that are lent at least once.
    var lentFrames: Set<UInt64> {
        var frames = lentElsewhere
        for machine in machines.values where machine.kind == .normal {
            for mapping in machine.mappings.values { frames.insert(mapping.frame) }
        }
        return frames
    }

    /// Whether a run of pages exists at all as the interface counts pages.
    func isRange(_ first: UInt64, _ count: UInt64) -> Bool {
        let (end, wraps) = first.addingReportingOverflow(count)
        return count > 0 && !wraps && end <= 1 << 40
    }

    /// Whether the host may give pages away: all are RAM that it owns, none is lent.
    func isExclusive(_ first: UInt64, _ count: UInt64) -> Bool {
        guard all(first, count, are: .host) else { return false }
        return !lentFrames.contains { $0 >= first && $0 - first < count }
    }

    /// A block as VMs and vCPUs take them.
    private func isBlock(_ first: UInt64, _ count: UInt64) -> Bool {
        isRange(first, count) && count <= 512 && count & (count - 1) == 0 && first & (count - 1) == 0
    }

    /// The state after a call about VMs, if its answer is allowed. Of several reasons to refuse a
    /// call any may be given.
    func afterMachineCall(
        _ name: HostCall, _ call: CallRegisters, on cpu: Int, _ answer: CallRegisters, _ observing: Observation
    ) throws(Disagreement) -> AbstractState {
        switch name {
        case .createVM: return try afterCreateVM(call, answer, observing)
        case .quiesce:
            try expectSuccess(answer)
            var next = self
            next.firingTimers.remove(cpu)
            return next
        default: break
        }
        guard let machine = machines[call.x1] else { return try judge(answer, [.notFound, .invalidParameter], self) }
        if name == .destroyVM { return try afterDestroyStep(call, machine, answer, observing) }
        guard !machine.isEnding else { return try judge(answer, [.denied, .invalidParameter], self) }
        switch name {
        case .donateToVM:
            var refusals: Set<CallStatus> = []
            if !isRange(call.x2, call.x3) || call.x3 > 512 {
                refusals.insert(.invalidParameter)
            } else if !isExclusive(call.x2, call.x3) {
                refusals.insert(.denied)
            }
            return try judge(answer, refusals, mayLackTables(observing)) {
                var next = self
                next.give(call.x2, call.x3, to: call.x1)
                return next
            }
        case .createVCPU: return try afterCreateVCPU(call, machine, answer, observing)
        case .resetVCPU: return try afterReset(call, machine, answer)
        case .mapGuest: return try afterMap(call, machine, answer, observing)
        case .unmapGuest: return try afterUnmap(call, machine, answer, observing)
        case .donateToGuest: return try afterDonate(call, machine, answer, observing)
        case .allowMMIO: return try afterWindow(call, machine, answer)
        case .getRegister: return try afterGetRegister(call, machine, answer, observing)
        case .setRegister: return try afterSetRegister(call, machine, answer, observing)
        default: throw Disagreement("\(name) is no call about a VM")
        }
    }

    private mutating func give(_ first: UInt64, _ count: UInt64, to handle: UInt64) {
        set(first, count, .machine)
        machines[handle]?.ownPages.formUnion(first..<first + count)
    }

    private func mayLackTables(_ observing: Observation) -> Set<CallStatus> {
        // Where the host touches what guests own it gets tables of its own.
        let owned = machines.values.filter { $0.kind == .protected }.reduce(0) { $0 + $1.memoryPages }
        let kept = owned == 0 ? 0 : UInt64(owned + 511) / 512 + 1
        return observing.freePages < mostTablesForOneChange + kept ? [.noMemory] : []
    }

    private func mayLackTables(_ observing: Observation, of machine: UInt64) -> Set<CallStatus> {
        observing.freePagesOfVM(machine) < mostTablesForOneMapping ? [.noMemory] : []
    }

    // MARK: Making

    private func afterCreateVM(
        _ call: CallRegisters, _ answer: CallRegisters, _ observing: Observation
    ) throws(Disagreement) -> AbstractState {
        let (bits, first, count) = (call.x2, call.x3, call.x4)
        var refusals: Set<CallStatus> = []
        let kind = VMKind(rawValue: call.x1)
        if kind == nil || bits < 32 || bits > min(48, inputBits) { refusals.insert(.invalidParameter) }
        if !isBlock(first, count) || bits <= 48 && count <= Machine.rootPages(inputBits: bits) {
            refusals.insert(.invalidParameter)
        } else if !isExclusive(first, count) {
            refusals.insert(.denied)
        }
        if UInt64(machines.count) == HostCall.maximumVMs { refusals.insert(.busy) }
        let handle = answer.x1
        return try judge(answer, refusals, mayLackTables(observing), x1: handle) { () throws(Disagreement) in
            guard let kind, handle != 0, !usedHandles.contains(handle) else {
                throw Disagreement("the handle \(hex(handle)) was given before")
            }
            var next = self
            next.usedHandles.insert(handle)
            next.machines[handle] = Machine(kind: kind, inputBits: bits, root: first, ownPages: [])
            // A normal guest's count starts at zero.
            if kind == .normal { next.machines[handle]?.counterOffset = observing.physicalCount }
            next.give(first, count, to: handle)
            return next
        }
    }

    private func afterCreateVCPU(
        _ call: CallRegisters, _ machine: Machine, _ answer: CallRegisters, _ observing: Observation
    ) throws(Disagreement) -> AbstractState {
        let (index, first, start) = (call.x2, call.x3, call.x4)
        var refusals: Set<CallStatus> = []
        if index >= HostCall.maximumVCPUs || start > 1 { refusals.insert(.invalidParameter) }
        if machine.vcpus[index] != nil { refusals.insert(.denied) }
        // A protected guest starts its other vCPUs itself, and counts them before it runs.
        if machine.kind == .protected, machine.hasRun || start == 1 && index != 0 { refusals.insert(.denied) }
        if !isBlock(first, HostCall.pagesPerVCPU) {
            refusals.insert(.invalidParameter)
        } else if !isExclusive(first, HostCall.pagesPerVCPU) {
            refusals.insert(.denied)
        }
        return try judge(answer, refusals, mayLackTables(observing)) {
            var next = self
            next.give(first, HostCall.pagesPerVCPU, to: call.x1)
            if let start = VCPUStart(rawValue: start) { next.machines[call.x1]?.vcpus[index] = VCPU(start) }
            return next
        }
    }

    private func afterReset(
        _ call: CallRegisters, _ machine: Machine, _ answer: CallRegisters
    ) throws(Disagreement) -> AbstractState {
        var refusals: Set<CallStatus> = []
        if call.x3 > 1 { refusals.insert(.invalidParameter) }
        let vcpu = machine.vcpus[call.x2]
        if vcpu == nil { refusals.insert(.notFound) }
        if vcpu?.runner != nil { refusals.insert(.busy) }
        // As a vCPU is made.
        if machine.kind == .protected, machine.hasRun || call.x3 == 1 && call.x2 != 0 { refusals.insert(.denied) }
        return try judge(answer, refusals) {
            var next = self
            next.change(VCPUName(call.x1, call.x2)) {
                // It keeps the vectors that it was made with.
                let length = $0.registers.vectorLength
                $0 = VCPU(VCPUStart(rawValue: call.x3) ?? .off)
                $0.registers = GuestRegisters(entry: 0, context: 0, vectorLength: length)
            }
            return next
        }
    }

    // MARK: Memory

    private func isGuestRange(_ first: UInt64, _ count: UInt64, _ machine: Machine) -> Bool {
        count > 0 && count <= 512 && first < machine.guestPages && count <= machine.guestPages - first
    }

    private func afterMap(
        _ call: CallRegisters, _ machine: Machine, _ answer: CallRegisters, _ observing: Observation
    ) throws(Disagreement) -> AbstractState {
        let (guest, host, count) = (call.x2, call.x3, call.x4)
        var refusals: Set<CallStatus> = []
        if machine.kind != .normal { refusals.insert(.denied) }
        if call.x5 > 3 { refusals.insert(.invalidParameter) }
        if !isGuestRange(guest, count, machine) || !isRange(host, count) {
            refusals.insert(.invalidParameter)
        } else {
            if !all(host, count, are: .host) { refusals.insert(.denied) }
            for page in 0..<count {
                if let present = machine.mappings[guest + page], present.frame != host + page {
                    refusals.insert(.denied)
                }
            }
        }
        return try judge(answer, refusals, mayLackTables(observing, of: call.x1)) {
            var next = self
            for page in 0..<count {
                next.machines[call.x1]?.mappings[guest + page] = .init(
                    frame: host + page, access: GuestAccess(rawValue: call.x5))
            }
            return next
        }
    }

    private func afterUnmap(
        _ call: CallRegisters, _ machine: Machine, _ answer: CallRegisters, _ observing: Observation
    ) throws(Disagreement) -> AbstractState {
        var refusals: Set<CallStatus> = []
        if machine.kind != .normal { refusals.insert(.denied) }
        if call.x3 == 0 || call.x2 >= machine.guestPages || call.x3 > machine.guestPages - call.x2 {
            refusals.insert(.invalidParameter)
        }
        // A call does as much as it can in a bounded time, and says how far it came.
        let next = answer.x1
        return try judge(answer, refusals, mayLackTables(observing, of: call.x1), x1: next) {
            () throws(Disagreement) in
            let end = call.x2 + call.x3
            guard next > call.x2, next <= end, next == end || call.x3 > mostPagesForOneUnmapping else {
                throw Disagreement("unmapGuest came to \(hex(next)) of \(hex(call.x2))..<\(hex(end))")
            }
            var after = self
            let lost = machine.mappings.keys.filter { $0 >= call.x2 && $0 < next }
            // It stops at 512, and what is below one entry of its tables goes as a whole.
            guard lost.count <= 2 * mostPagesForOneUnmapping else {
                throw Disagreement("one call took \(lost.count) pages")
            }
            for page in lost { after.machines[call.x1]?.mappings[page] = nil }
            return after
        }
    }

    private func afterDonate(
        _ call: CallRegisters, _ machine: Machine, _ answer: CallRegisters, _ observing: Observation
    ) throws(Disagreement) -> AbstractState {
        let (guest, host, count) = (call.x2, call.x3, call.x4)
        var refusals: Set<CallStatus> = []
        if machine.kind != .protected { refusals.insert(.denied) }
        if call.x5 > 1 { refusals.insert(.invalidParameter) }
        // After the first run nothing that the host wrote enters the guest.
        if call.x5 == GuestContent.kept.rawValue, machine.hasRun { refusals.insert(.denied) }
        if !isGuestRange(guest, count, machine) || !isRange(host, count) {
            refusals.insert(.invalidParameter)
        } else {
            if !isExclusive(host, count) { refusals.insert(.denied) }
            if (guest..<guest + count).contains(where: { machine.mappings[$0] != nil }) { refusals.insert(.denied) }
            if machine.windows.contains(where: { $0.first < guest + count && guest < $0.first + $0.count }) {
                refusals.insert(.denied)
            }
        }
        let mayLack = mayLackTables(observing).union(mayLackTables(observing, of: call.x1))
        return try judge(answer, refusals, mayLack) {
            var next = self
            next.set(host, count, .guest)
            for page in 0..<count {
                next.machines[call.x1]?.mappings[guest + page] = .init(frame: host + page, access: [.write, .execute])
            }
            return next
        }
    }

    private func afterWindow(
        _ call: CallRegisters, _ machine: Machine, _ answer: CallRegisters
    ) throws(Disagreement) -> AbstractState {
        let (first, count) = (call.x2, call.x3)
        var refusals: Set<CallStatus> = []
        if machine.kind != .protected || machine.hasRun { refusals.insert(.denied) }
        if count == 0 || first >= machine.guestPages || count > machine.guestPages - first {
            refusals.insert(.invalidParameter)
        } else if machine.mappings.keys.contains(where: { $0 >= first && $0 - first < count }) {
            refusals.insert(.denied)
        }
        if UInt64(machine.windows.count) == HostCall.maximumWindows { refusals.insert(.noMemory) }
        return try judge(answer, refusals) {
            var next = self
            next.machines[call.x1]?.windows.append(.init(first: first, count: count))
            return next
        }
    }
}
