// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What each call of the host does. The specification is a relation: given a state, a call and its
// answer, either the answer is allowed and the next state follows, or the two disagree.

public import HypervisorInterface

/// A call as it stands in registers.
public struct CallRegisters: Equatable, Sendable {
    /// The identifier; in an answer the status.
    public var x0: UInt64
    /// First argument or result.
    public var x1: UInt64
    /// Second argument or result.
    public var x2: UInt64
    /// Third argument or result.
    public var x3: UInt64
    /// Arguments only; an answer has none.
    public var x4: UInt64
    /// Fifth argument.
    public var x5: UInt64

    /// Registers, zero unless given.
    public init(
        _ x0: UInt64, _ x1: UInt64 = 0, _ x2: UInt64 = 0, _ x3: UInt64 = 0, _ x4: UInt64 = 0, _ x5: UInt64 = 0
    ) {
        self.x0 = x0
        self.x1 = x1
        self.x2 = x2
        self.x3 = x3
        self.x4 = x4
        self.x5 = x5
    }

    /// A host call with its arguments.
    public init(
        _ call: HostCall, _ x1: UInt64 = 0, _ x2: UInt64 = 0, _ x3: UInt64 = 0, _ x4: UInt64 = 0, _ x5: UInt64 = 0
    ) {
        self.init(UInt64(call.rawValue), x1, x2, x3, x4, x5)
    }
}

/// What the specification has to be told because it knows nothing of tables: which of the
/// hypervisor's pages are in use, and how many are not.
public struct Observation: Sendable {
    /// Whether the hypervisor uses a page that it was given, for a table.
    public var isInUse: @Sendable (UInt64) -> Bool
    /// Pages of the pool that nothing used before the call.
    public var freePages: UInt64
    /// Pages that the VM of a handle had left for tables before the call.
    public var freePagesOfVM: @Sendable (UInt64) -> UInt64
    /// CNTPCT_EL0 during the call.
    public var physicalCount: UInt64 = 0
    /// Whether the guest of a handle still reaches a page of its own after the call.
    public var isMapped: @Sendable (_ machine: UInt64, _ page: UInt64) -> Bool = { _, _ in true }

    /// What the hypervisor looks like from outside before a call.
    public init(
        freePages: UInt64, freePagesOfVM: @escaping @Sendable (UInt64) -> UInt64 = { _ in 0 },
        isInUse: @escaping @Sendable (UInt64) -> Bool
    ) {
        self.freePages = freePages
        self.freePagesOfVM = freePagesOfVM
        self.isInUse = isInUse
    }
}

/// Free pages with which a change of ownership is never refused for a lack of them. One change
/// needs at most 16 (three levels at both ends of the range, for the host's tables and for the
/// hypervisor's); the hypervisor may keep as many again for the changes that would help it out.
/// `noMemory` with this many or more is a lie.
public let mostTablesForOneChange: UInt64 = 33

/// The most pages that one `topUp` may give.
public let mostPagesForOneTopUp: UInt64 = 512

extension AbstractState {
    /// The state after a call of the host, if its answer is allowed.
    public func after(
        _ call: CallRegisters, on cpu: Int, answer: CallRegisters, observing: Observation
    ) throws(Disagreement) -> AbstractState {
        // SMCCC, section 2.7: the upper half of x0 is not part of the identifier, and bit 16 is
        // the SVE hint, which changes nothing but what the callee has to preserve.
        let number = UInt32(truncatingIfNeeded: call.x0) & ~0x1_0000
        guard let name = HostCall(rawValue: number) else {
            return try refused(answer, .notSupported)
        }
        let isFinal = phase == .finalised
        switch name {
        case .version:
            let lengths = confined.isEmpty ? 0 : vectorLengths
            try expect(answer, .success, x1: interfaceVersion, x2: phase.rawValue, x3: lengths)
            return self
        case .initialise:
            return try refused(answer, .notSupported)
        case .withdraw:
            guard phase == .initialised else { return try refused(answer, .notSupported) }
            // What follows is the kernel's stub again; the specification ends here.
            return self
        case .deprivilege:
            return try afterDeprivilege(cpu, answer)
        case .topUp where isFinal:
            return try afterTopUp(first: call.x1, count: call.x2, answer, observing)
        case .reclaimPool where isFinal:
            return try afterReclaim(answer, observing)
        case .counter where isFinal:
            guard Counter(rawValue: call.x1) != nil else { return try refused(answer, .invalidParameter) }
            try expect(answer, .success, x1: nil)
            return self
        case .pageReport where isFinal:
            return try afterPageReport(call.x1, answer)
        case .panicRecord where isFinal:
            try expect(answer, .notFound)
            return self
        default:
            guard isFinal else { return try refused(answer, .notSupported) }
            return try afterMachineCall(name, call, on: cpu, answer, observing)
        }
    }

    private func afterDeprivilege(_ cpu: Int, _ answer: CallRegisters) throws(Disagreement) -> AbstractState {
        guard phase != .finalised else { return try refused(answer, .notSupported) }
        guard !confined.contains(cpu) else { return try refused(answer, .denied) }
        var next = self
        next.confined.insert(cpu)
        try expect(answer, .success, x1: UInt64(cpus.count - next.confined.count))
        return next
    }

    /// Donation is all or nothing. Every page must be RAM of the host's.
    private func afterTopUp(
        first: UInt64, count: UInt64, _ answer: CallRegisters, _ observing: Observation
    ) throws(Disagreement) -> AbstractState {
        let (end, wraps) = first.addingReportingOverflow(count)
        guard count > 0, count <= mostPagesForOneTopUp, !wraps, end <= 1 << 40 else {
            return try refused(answer, .invalidParameter)
        }
        guard isExclusive(first, count) else { return try refused(answer, .denied) }
        if answer.x0 == UInt64(bitPattern: CallStatus.noMemory.rawValue) {
            guard observing.freePages < mostTablesForOneChange else {
                throw Disagreement("noMemory with \(observing.freePages) free pages")
            }
            return try refused(answer, .noMemory)
        }
        try expect(answer, .success)
        var next = self
        next.set(first, count, .donated)
        return next
    }

    /// One donated page that is not in use comes back.
    private func afterReclaim(_ answer: CallRegisters, _ observing: Observation) throws(Disagreement) -> AbstractState {
        switch CallStatus(rawValue: Int64(bitPattern: answer.x0)) {
        case .success:
            guard page(answer.x1) == .donated else {
                throw Disagreement("reclaimPool returned frame \(hex(answer.x1)), which was never donated")
            }
            guard !observing.isInUse(answer.x1) else {
                throw Disagreement("reclaimPool returned frame \(hex(answer.x1)), which is in use")
            }
            try expect(answer, .success, x1: answer.x1)
            var next = self
            next.set(answer.x1, 1, .host)
            return next
        case .notFound:
            guard !donatedPages.contains(where: { !observing.isInUse($0) }) else {
                throw Disagreement("notFound although a donated page is free")
            }
            return try refused(answer, .notFound)
        case .noMemory:
            guard observing.freePages < mostTablesForOneChange else {
                throw Disagreement("noMemory with \(observing.freePages) free pages")
            }
            return try refused(answer, .noMemory)
        default:
            throw Disagreement("reclaimPool answered \(hex(answer.x0))")
        }
    }

    private func afterPageReport(_ frame: UInt64, _ answer: CallRegisters) throws(Disagreement) -> AbstractState {
        guard frame < 1 << 40 else { return try refused(answer, .invalidParameter) }
        let report: PageReport =
            switch page(frame) {
            case .device, .denied: .notMemory
            case .host: .host
            case .installed, .donated, .machine: .hypervisor
            case .firmware: .firmware
            case .guest: .guest
            }
        try expect(answer, .success, x1: report.rawValue)
        return self
    }

    /// All frames that were donated and not returned.
    public var donatedPages: [UInt64] {
        map.filter { $0.page == .donated }.flatMap { $0.first..<$0.end }
    }

    /// A refused call changes nothing and says nothing.
    private func refused(_ answer: CallRegisters, _ status: CallStatus) throws(Disagreement) -> AbstractState {
        guard answer.x0 == UInt64(bitPattern: status.rawValue) else {
            throw Disagreement("answered \(Int64(bitPattern: answer.x0)) where \(status) was due")
        }
        return self
    }

    /// Success with no results, or with one in x1, or with two.
    func expectSuccess(_ answer: CallRegisters, x1: UInt64 = 0, x2: UInt64 = 0) throws(Disagreement) {
        try expect(answer, .success, x1: x1, x2: x2)
    }

    /// A call that may be refused for one of several reasons, and must succeed if there is none.
    /// - Parameter shortages: reasons that may be given in place of any other answer.
    func judge(
        _ answer: CallRegisters, _ refusals: Set<CallStatus>, _ shortages: Set<CallStatus> = [], x1: UInt64 = 0,
        _ next: () throws(Disagreement) -> AbstractState
    ) throws(Disagreement) -> AbstractState {
        guard let status = CallStatus(rawValue: Int64(bitPattern: answer.x0)) else {
            throw Disagreement("answered \(hex(answer.x0)), which is no status")
        }
        if status != .success, refusals.union(shortages).contains(status) {
            guard answer.x1 | answer.x2 | answer.x3 == 0 else { throw Disagreement("a refusal carries a result") }
            return self
        }
        guard refusals.isEmpty, status == .success else {
            throw Disagreement("answered \(status) where \(refusals.isEmpty ? [.success] : refusals) was due")
        }
        try expectSuccess(answer, x1: x1)
        return try next()
    }

    /// A call that is always refused.
    func judge(
        _ answer: CallRegisters, _ refusals: Set<CallStatus>, _ same: AbstractState
    ) throws(Disagreement) -> AbstractState {
        try judge(answer, refusals) { same }
    }

    private func expect(
        _ answer: CallRegisters, _ status: CallStatus, x1: UInt64? = 0, x2: UInt64 = 0, x3: UInt64 = 0
    ) throws(Disagreement) {
        guard answer.x0 == UInt64(bitPattern: status.rawValue) else {
            throw Disagreement("answered \(Int64(bitPattern: answer.x0)) where \(status) was due")
        }
        if let x1, answer.x1 != x1 { throw Disagreement("x1 is \(hex(answer.x1)) where \(hex(x1)) was due") }
        guard answer.x2 == x2, answer.x3 == x3 else {
            throw Disagreement("x2 or x3 carries \(hex(answer.x2)), \(hex(answer.x3))")
        }
    }
}

func hex(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }
