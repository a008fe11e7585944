// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A call of the host: what the specification makes of it, and whether that is what is there afterwards.

import Arm
import HypervisorCore
import HypervisorInterface
import Machine
import Specification

/// A call with what the specification must be told of the moment before it.
public struct AuditedCall {
    let call: CallRegisters
    let name: HostCall?
    var freePages: UInt64 = 0
    var freePagesOfVM: UInt64 = 0
    var physicalCount: UInt64 = 0
    /// Donated pages that EL2 uses.
    var used: Set<UInt64> = []
    /// What the VM's own pages say of its runs.
    var runs = Runs()
    /// What the VM's guest maps where the call may change it.
    var mappings: [UInt64: Specification.Machine.Mapping] = [:]

    /// Whether a VM has run, and who runs its vCPUs.
    struct Runs: Equatable {
        var hasRun = false
        var runners: [UInt64: Int] = [:]
    }

    /// Frames of the host's that the call names.
    var frames: Range<UInt64> {
        let (first, count): (UInt64, UInt64) =
            switch name {
            case .topUp: (call.x1, call.x2)
            case .createVM, .mapGuest, .donateToGuest: (call.x3, call.x4)
            case .donateToVM: (call.x2, call.x3)
            case .createVCPU: (call.x3, HostCall.pagesPerVCPU)
            default: (0, 0)
            }
        // More than one call can take is refused whatever is there.
        return count <= 512 && first < 1 << 40 ? first..<first + count : 0..<0
    }

    /// Pages of the guest's address space that the call may be about.
    var guestPages: Range<UInt64> {
        let all: UInt64 = 1 << 36
        switch name {
        case .mapGuest, .donateToGuest:
            guard call.x2 < all, call.x4 <= 512 else { return 0..<0 }
            return call.x2..<call.x2 + call.x4
        case .unmapGuest, .allowMMIO:
            guard call.x2 < all else { return 0..<0 }
            return call.x2..<min(all, call.x2 + min(call.x3, all))
        case .destroyVM: return 0..<all
        default: return 0..<0
        }
    }
}

extension Audit {
    /// The most pages that one call takes from a guest, with some to see that it does not take more.
    private static var mostPagesOfOneCall: Int { 1536 }

    /// Looks at what the specification has to be told.
    func seen<P: GuestProcessor>(
        before call: CallRegisters, _ hypervisor: borrowing Hypervisor<P>, on processor: P
    ) -> AuditedCall {
        var seen = AuditedCall(call: call, name: Self.name(of: call))
        seen.freePages = hypervisor.freePages(on: processor)
        switch seen.name {
        case .createVM:
            seen.physicalCount = processor.read(.cntpctEL0)
        case .reclaimPool:
            for frame in owners.donated {
                if case .hypervisor(.occupied) = Ledger().state(of: Frame(frame), on: processor) {
                    seen.used.insert(frame)
                }
            }
        default:
            guard core.machines[call.x1] != nil else { break }
            seen.freePagesOfVM = hypervisor.freeTablePages(of: call.x1, on: processor)
            seen.runs = runs(of: call.x1, hypervisor, on: processor)
            if let shape = shape(of: call.x1, hypervisor, on: processor), !seen.guestPages.isEmpty {
                seen.mappings = read(shape, seen.guestPages, limit: Self.mostPagesOfOneCall, on: processor)
            }
        }
        return seen
    }

    private func runs<P: GuestProcessor>(
        of handle: UInt64, _ hypervisor: borrowing Hypervisor<P>, on processor: P
    ) -> AuditedCall.Runs {
        var runs = AuditedCall.Runs()
        runs.hasRun = hypervisor.observeRuns(of: handle, on: processor) { runs.runners[$0] = $1 }
        return runs
    }

    /// Compares a call's answer and effect.
    func check<P: GuestProcessor>(
        _ seen: AuditedCall, _ answer: CallRegisters, on cpu: Int, _ hypervisor: borrowing Hypervisor<P>,
        on processor: P
    ) throws(Difference) {
        let handle = seen.call.x1
        let part = part(seen, answer)
        var observing = Observation(freePages: seen.freePages) { [used = seen.used] in used.contains($0) }
        observing.freePagesOfVM = { [left = seen.freePagesOfVM] _ in left }
        observing.physicalCount = seen.physicalCount
        if seen.name == .destroyVM {
            var still: Set<UInt64> = []
            for page in seen.mappings.keys where hypervisor.hasMemory(handle, at: page, on: processor) {
                still.insert(page)
            }
            observing.isMapped = { [still] in still.contains($1) }
        }
        let next = try self.next(part, seen, answer, observing, on: cpu, hypervisor, on: processor)
        try adopt(next, seen, answer, hypervisor, on: processor)
    }

    /// The part of the state that a call, and its answer, is about.
    private func part(_ seen: AuditedCall, _ answer: CallRegisters) -> AbstractState {
        var frames: Set<UInt64> = Set(seen.frames)
        switch seen.name {
        case .destroyVM:
            for mapping in seen.mappings.values { frames.insert(mapping.frame) }
            if answer.x3 <= 1024, answer.x2 < 1 << 40 { frames.formUnion(answer.x2..<answer.x2 + answer.x3) }
        case .reclaimPool:
            frames.formUnion(owners.donated)
            frames.insert(answer.x1)
        default: break
        }
        var runs: [Pages] = []
        var lent: Set<UInt64> = []
        for frame in frames.sorted() {
            append(frame, to: &runs)
            if owners[frame]?.lent ?? 0 > 0 { lent.insert(frame) }
        }
        return core.part(
            runs, lent: lent, of: seen.call.x1, mappings: seen.mappings,
            elsewhere: (guests[seen.call.x1]?.pages ?? 0) - seen.mappings.count)
    }

    private func append(_ frame: UInt64, to runs: inout [Pages]) {
        let page = page(frame)
        if let last = runs.last, last.end == frame, last.page == page {
            runs[runs.count - 1] = Pages(first: last.first, count: last.count + 1, page)
        } else if page != .device {
            runs.append(Pages(first: frame, count: 1, page))
        }
    }

    /// The state that follows. Other CPUs may claim a vCPU, or give it back, while the call is made: the answer is
    /// right if it is at the beginning, at the end, or with all runs that are under way.
    private func next<P: GuestProcessor>(
        _ part: AbstractState, _ seen: AuditedCall, _ answer: CallRegisters, _ observing: Observation, on cpu: Int,
        _ hypervisor: borrowing Hypervisor<P>, on processor: P
    ) throws(Difference) -> AbstractState {
        let handle = seen.call.x1
        var moments = [seen.runs]
        if core.machines[handle] != nil {
            let last = runs(of: handle, hypervisor, on: processor)
            if last != seen.runs { moments.append(last) }
            var under = last
            for (cpu, vcpu) in running where vcpu.machine == handle {
                under.runners[vcpu.index] = cpu
                under.hasRun = true
            }
            if under != last { moments.append(under) }
        }
        var reason = ""
        for runs in moments {
            do throws(Disagreement) {
                var state = part
                try state.observe(handle, hasRun: runs.hasRun, runners: runs.runners)
                return try state.after(seen.call, on: cpu, answer: answer, observing: observing)
            } catch {
                if reason.isEmpty { reason = error.description }
            }
        }
        throw Difference(reason)
    }

    /// Keeps what follows, and looks whether it is what is there.
    private func adopt<P: GuestProcessor>(
        _ next: AbstractState, _ seen: AuditedCall, _ answer: CallRegisters, _ hypervisor: borrowing Hypervisor<P>,
        on processor: P
    ) throws(Difference) {
        let handle = seen.name == .createVM ? answer.x1 : seen.call.x1
        var changed: Set<UInt64> = Set(seen.frames)
        let slot = Hypervisor<P>.slot(of: handle)
        for run in next.map {
            for frame in run.first..<run.end where page(frame) != run.page {
                guard let owner = Owner(run.page, slot: slot), owners.record(owner, of: frame) else {
                    throw Difference("a call gave what is no RAM:", frame)
                }
                changed.insert(frame)
            }
        }
        let branches = try adoptMemory(next.machines[handle], seen, handle, &changed)
        let isMade = core.machines[handle] == nil && next.machines[handle] != nil
        let isGone = core.machines[handle] != nil && next.machines[handle] == nil
        core = next.withoutMemory
        if isGone { guests[handle] = nil }
        if isMade || isGone { return try checkAll(hypervisor, on: processor) }
        try check(changed.sorted(), on: processor)
        for branch in branches { try checkBranch(branch, of: handle, hypervisor, on: processor) }
        // What was there before, and what is due, page by page, so that the page itself is named.
        guard let shape = shape(of: handle, hypervisor, on: processor), let due = next.machines[handle]?.mappings,
            let first = [seen.mappings.keys.min(), due.keys.min()].compactMap({ $0 }).min(),
            let last = [seen.mappings.keys.max(), due.keys.max()].compactMap({ $0 }).max()
        else { return }
        let now = read(shape, first..<last + 1, limit: due.count + 1, on: processor)
        guard now != due else { return }
        let wrong = Set(now.keys).union(due.keys).filter { now[$0] != due[$0] }.min() ?? first
        throw Difference("a guest's page is not mapped as is due:", wrong)
    }

    /// - Returns: the 2 MiB of the guest in which something may have changed.
    private func adoptMemory(
        _ next: Specification.Machine?, _ seen: AuditedCall, _ handle: UInt64, _ changed: inout Set<UInt64>
    ) throws(Difference) -> Set<UInt64> {
        var branches: Set<UInt64> = []
        guard let vm = core.machines[handle] else { return branches }
        var memory = guests[handle] ?? GuestMemory()
        let due = next?.mappings ?? [:]
        for page in Set(seen.mappings.keys).union(due.keys) {
            let (old, new) = (seen.mappings[page], due[page])
            branches.insert(page >> 9)
            guard old != new else { continue }
            memory.change(page, from: old, to: new)
            guard vm.kind == .normal, old?.frame != new?.frame else { continue }
            if let old { try lend(old.frame, by: -1, &changed) }
            if let new { try lend(new.frame, by: 1, &changed) }
        }
        guests[handle] = memory
        return branches
    }

    private func lend(_ frame: UInt64, by change: Int, _ changed: inout Set<UInt64>) throws(Difference) {
        guard let owner = owners[frame], owner.page == .host, let new = Owner(lent: Int(owner.lent) + change) else {
            throw Difference("lent, and cannot be:", frame)
        }
        _ = owners.record(new, of: frame)
        changed.insert(frame)
    }

    /// Compares single pages, as runs.
    private func check<P: GuestProcessor>(_ frames: [UInt64], on processor: P) throws(Difference) {
        var index = 0
        while index < frames.count {
            let first = frames[index]
            var end = first + 1
            index += 1
            while index < frames.count, frames[index] == end, end & 511 != 0 {
                end += 1
                index += 1
            }
            try check(first..<end, on: processor)
        }
    }
}
