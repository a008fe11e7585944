// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A guest's access that EL2 could not carry out: what is left to be done when the host has done its
// part, and the doing of it.

import Arm
import HypervisorInterface
import Machine

/// Which exception tells a guest that an access has failed.
enum AbortKind: UInt64 {
    case data = 0
    case fetch = 1
}

/// A load or a store that the syndrome describes in full (ESR_ELx, ISS of a data abort with ISV).
struct DecodedAccess {
    /// The ISS.
    let bits: UInt64

    /// Nil if the syndrome says too little: for pairs, exclusives, vector registers and table walks.
    init?(_ syndrome: ExceptionSyndrome) {
        guard syndrome.bits & (1 << 24) != 0, !syndrome.isOnTableWalk else { return nil }
        bits = syndrome.bits & 0x01FF_FFFF
    }

    init(pending bits: UInt64) { self.bits = bits & 0x01FF_FFFF }

    /// SAS: 1, 2, 4 or 8.
    var bytes: UInt64 { 1 << ((bits >> 22) & 3) }
    /// WnR.
    var isWrite: Bool { bits & (1 << 6) != 0 }
    /// SRT.
    var register: UInt64 { (bits >> 16) & 0x1F }

    /// What of a value the access carries.
    func truncated(_ value: UInt64) -> UInt64 { value & (~0 &>> (64 &- bytes &* 8)) }

    /// What a load of a value leaves in the register: SSE extends the sign, SF says how far.
    @inline(__always)
    func loaded(_ value: UInt64) -> UInt64 {
        // The value's top bit becomes bit 63, and comes back with its sign or with zeroes.
        let unused = 64 &- bytes &* 8
        let raised = value &<< unused
        let result =
            bits & (1 << 21) != 0 ? UInt64(bitPattern: Int64(bitPattern: raised) &>> Int64(unused)) : raised &>> unused
        return bits & (1 << 15) != 0 ? result : result & 0xFFFF_FFFF
    }
}

/// What the last exit left to be completed: the word `VCPUPage.Field.pending`.
enum PendingAccess {
    /// Nothing.
    case nothing
    /// Only memory, or an abort, can help.
    case fault(AbortKind)
    /// Cache maintenance, which is over once it is stepped over.
    case maintenance
    case load(DecodedAccess)
    /// The host has the value already.
    case store

    @inline(__always)
    init(bits: UInt64) {
        self =
            switch bits >> 32 {
            case 1: .load(DecodedAccess(pending: bits))
            case 2: .store
            case 3: .maintenance
            case 4: .fault(.data)
            case 5: .fault(.fetch)
            default: .nothing
            }
    }

    var bits: UInt64 {
        switch self {
        case .nothing: 0
        case .load(let access): 1 << 32 | access.bits
        case .store: 2 << 32
        case .maintenance: 3 << 32
        case .fault(.data): 4 << 32
        case .fault(.fetch): 5 << 32
        }
    }

    /// The exception that an abort of it is; nil if there is nothing to abort.
    var abort: AbortKind? {
        switch self {
        case .nothing: nil
        case .fault(let kind): kind
        case .maintenance, .load, .store: .data
        }
    }
}

extension FaultKind {
    /// What an instruction that took a data abort does.
    @inline(__always)
    init(ofDataAbort syndrome: ExceptionSyndrome) {
        let isWrite = syndrome.bits & (1 << 6) != 0
        if syndrome.isOnTableWalk {
            // What a table forbids to a walk is to note that an entry was used.
            if case .permission = syndrome.faultStatus { self = .write } else { self = .walk }
        } else if syndrome.isCacheMaintenance {
            self = .maintenance
        } else {
            self = isWrite ? .write : .read
        }
    }
}

extension Hypervisor {
    /// Takes what the last exit left, once: completes it if the host says so, and forgets it otherwise. An abort in its
    /// place needs the guest's registers, and comes later.
    @inline(__always)
    func complete(_ arguments: RunArguments, _ vcpu: VCPUPage, on processor: P) {
        let bits = vcpu.load(.pending, on: processor)
        if bits == 0 || arguments.request.contains(.injectExternalAbort) { return }
        if !isWithout(.accessesCompleteOnce) { vcpu.store(.pending, PendingAccess.nothing.bits, on: processor) }
        if arguments.request.isEmpty { return }
        // What devices are read by.
        if bits >> 32 == 1 { return load(DecodedAccess(pending: bits), arguments, vcpu, on: processor) }
        completeOther(bits, arguments, vcpu, on: processor)
    }

    /// The guest has loaded what the host says.
    @inline(__always)
    private func load(_ access: DecodedAccess, _ arguments: RunArguments, _ vcpu: VCPUPage, on processor: P) {
        vcpu.skipInstruction(on: processor)
        vcpu.setGeneral(access.register, access.loaded(arguments.completion), on: processor)
    }

    @inline(never)
    private func completeOther(
        _ bits: UInt64, _ arguments: RunArguments, _ vcpu: VCPUPage, on processor: P
    ) {
        switch PendingAccess(bits: bits) {
        case .nothing, .fault: break
        case .store, .maintenance: vcpu.skipInstruction(on: processor)
        case .load(let access): load(access, arguments, vcpu, on: processor)
        }
    }

    /// The abort that the host asks for in the place of what the last exit left, if that can be aborted. The
    /// guest's registers are loaded.
    @inline(never)
    func injectPendingAbort(_ vcpu: VCPUPage, on processor: P) {
        let abort = PendingAccess(bits: vcpu.load(.pending, on: processor)).abort
        if !isWithout(.accessesCompleteOnce) { vcpu.store(.pending, PendingAccess.nothing.bits, on: processor) }
        guard let abort = abort ?? (isWithout(.abortsAreOwed) ? .data : nil) else { return }
        injectExternalAbort(abort, vcpu, on: processor)
    }
}
