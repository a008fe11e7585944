// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The host's calls about virtual machines.

import Arm
import HypervisorInterface
import Machine

extension Hypervisor {
    /// Carries out a call about VMs; false if `call` is another. On success the results are in the
    /// frame from x1 on, and nothing but results. `runVCPU` has been seen to before.
    func performGuestCall(
        _ call: HostCall, _ frame: inout HostFrame, on processor: P
    ) throws(CallStatus) -> Bool {
        switch call {
        case .createVM, .donateToVM, .createVCPU, .destroyVM, .mapGuest, .unmapGuest, .donateToGuest, .allowMMIO,
            .resetVCPU, .getRegister, .setRegister, .quiesce:
            break
        default:
            return false
        }
        guard phase == .finalised else { throw .notSupported }
        switch call {
        case .createVM:
            try createVM(&frame, on: processor)
        case .quiesce:
            processor.write(.cntvCtlEL0, 0)
            frame.setResults(0)
        default:
            guard let handle = VMHandle(alleged: frame.x[1]) else { throw .notFound }
            try perform(call, handle, &frame, on: processor)
        }
        return true
    }

    private func createVM(_ frame: inout HostFrame, on processor: P) throws(CallStatus) {
        let (kind, inputBits, first, pages) = (frame.x[1], frame.x[2], frame.x[3], frame.x[4])
        guard let kind = VMKind(rawValue: kind) else { throw .invalidParameter }
        let now = processor.read(.cntpctEL0)
        let handle = try memory.withLock(on: processor) { state throws(CallStatus) in
            try state.createVM(
                kind: kind, inputBits: inputBits, first: first, pages: pages, counterOffset: now, on: processor)
        }
        frame.setResults(handle.number)
    }

    private func perform(
        _ call: HostCall, _ handle: VMHandle, _ frame: inout HostFrame, on processor: P
    ) throws(CallStatus) {
        let (x2, x3, x4, x5) = (frame.x[2], frame.x[3], frame.x[4], frame.x[5])
        var results: (UInt64, UInt64, UInt64) = (0, 0, 0)
        switch call {
        case .donateToVM:
            guard let range = FrameRange<HostPhysical>(alleged: x2, count: x3) else { throw .invalidParameter }
            try memory.withLock(on: processor) { state throws(CallStatus) in
                try state.donate(range, to: handle, on: processor)
            }
        case .createVCPU:
            guard let start = VCPUStart(rawValue: x4) else { throw .invalidParameter }
            try memory.withLock(on: processor) { state throws(CallStatus) in
                try state.createVCPU(handle, index: x2, first: x3, start: start, on: processor)
                try state.setControls(handle, index: x2, mdcr: snapshot.mdcr, on: processor)
            }
        case .destroyVM:
            let step = try memory.withLock(on: processor) { state throws(CallStatus) in
                try state.destroyVM(handle, on: processor)
            }
            results = (step.progress.rawValue, step.returned?.first.number ?? 0, step.returned?.count ?? 0)
        case .mapGuest:
            guard x5 & ~3 == 0 else { throw .invalidParameter }
            try memory.withLock(on: processor) { state throws(CallStatus) in
                try state.mapGuest(
                    handle, guest: x2, host: x3, count: x4, access: GuestAccess(rawValue: x5), on: processor)
            }
        case .unmapGuest:
            results.0 = try memory.withLock(on: processor) { state throws(CallStatus) in
                try state.unmapGuest(handle, guest: x2, count: x3, on: processor)
            }
        case .donateToGuest:
            guard let content = GuestContent(rawValue: x5) else { throw .invalidParameter }
            try memory.withLock(on: processor) { state throws(CallStatus) in
                try state.donateToGuest(handle, guest: x2, host: x3, count: x4, content: content, on: processor)
            }
        case .allowMMIO:
            try memory.withLock(on: processor) { state throws(CallStatus) in
                try state.allowMMIO(handle, first: x2, count: x3, on: processor)
            }
        case .resetVCPU:
            guard let start = VCPUStart(rawValue: x3) else { throw .invalidParameter }
            try memory.withLock(on: processor) { state throws(CallStatus) in
                try state.resetVCPU(handle, index: x2, start: start, on: processor)
            }
        case .getRegister:
            let value = try memory.withLock(on: processor) { state throws(CallStatus) in
                try state.register(handle, x2, number: x3, on: processor)
            }
            results = (value.low, value.high, 0)
        case .setRegister:
            let lengths = guestVectorLengths
            try memory.withLock(on: processor) { state throws(CallStatus) in
                try state.setRegister(handle, x2, number: x3, low: x4, high: x5, lengths: lengths, on: processor)
            }
        default:
            throw .notSupported
        }
        frame.setResults(results.0, results.1, results.2)
    }
}

extension HostFrame {
    /// x1…x3 of an answer.
    mutating func setResults(_ x1: UInt64, _ x2: UInt64 = 0, _ x3: UInt64 = 0) {
        x[1] = x1
        x[2] = x2
        x[3] = x3
    }
}
