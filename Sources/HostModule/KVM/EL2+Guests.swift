// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Calls to EL2 that make and run guests, and the pages that they take.

internal import CHostKernel
internal import HostModuleCore
internal import HypervisorInterface
internal import KVMCore

/// Arguments after the VM's handle, zero unless set.
struct GuestCallArguments {
    var second: UInt64 = 0
    var third: UInt64 = 0
    var fourth: UInt64 = 0
    var fifth: UInt64 = 0
}

extension EL2 {
    /// Makes a call whose first argument is a VM.
    static func call(_ call: HostCall, vm handle: UInt64, _ arguments: GuestCallArguments) -> HostCallAnswer {
        var registers = martlet_registers()
        registers.x.0 = UInt64(call.rawValue)
        registers.x.1 = handle
        registers.x.2 = arguments.second
        registers.x.3 = arguments.third
        registers.x.4 = arguments.fourth
        registers.x.5 = arguments.fifth
        // Safety: the registers are this function's own.
        unsafe martlet_kernel_call(&registers)
        return HostCallAnswer(
            status: Int64(bitPattern: registers.x.0), first: registers.x.1, second: registers.x.2,
            third: registers.x.3)
    }

    /// Makes the call again after giving EL2's own pool a page, as long as the pool is what is missing.
    static func callWithPool(_ call: HostCall, vm handle: UInt64, _ arguments: GuestCallArguments) -> HostCallAnswer {
        var answer = EL2.call(call, vm: handle, arguments)
        var attempts = 0
        while answer.status == CallStatus.noMemory.rawValue, attempts < poolAttempts {
            guard growPool(.request) else { return answer }
            attempts += 1
            answer = EL2.call(call, vm: handle, arguments)
        }
        return answer
    }

    /// Gives EL2's pool one block of pages: more than the tables that taking it can need, so that EL2
    /// never refuses it for a lack of pages.
    static func growPool(_ reason: PoolGrowth) -> Bool {
        let order = reason == .teardown ? leastPoolOrder : poolOrder
        let first = martlet_kernel_pages_allocate(
            order, reason == .teardown ? MARTLET_NOT_CHARGED : MARTLET_CHARGED)
        guard first != 0 else { return false }
        let status = EL2.call(.topUp, first, 1 << UInt64(order)).status
        guard status == CallStatus.success.rawValue else {
            if status != CallStatus.panicked.rawValue { martlet_kernel_pages_free(first, 1 << UInt64(order)) }
            return false
        }
        return true
    }

    /// What EL2's pool grows for.
    enum PoolGrowth {
        /// A process's request, which pays for it.
        case request
        /// The end of a VM, which must not fail.
        case teardown
    }

    /// As few pages as EL2 takes at any time: 16.
    private static var leastPoolOrder: UInt32 { 4 }

    private static var poolOrder: UInt32 { 5 }
    private static var poolAttempts: Int { 8 }
}

extension LinuxError {
    /// What a process is told about an answer of EL2 that is not success.
    init(el2 status: Int64) {
        switch CallStatus(rawValue: status) {
        case .noMemory: self = .noMemory
        case .busy: self = .busy
        case .invalidParameter, .denied: self = .invalid
        case .notFound, .notSupported, .success, .panicked, nil: self = .inputOutput
        }
    }
}

/// A block of host pages on its way to EL2. It goes back to the kernel unless EL2 took it.
struct DonatedBlock: ~Copyable {
    let first: UInt64
    let order: UInt32
    private var isTaken = false

    /// 1 << `order` pages, aligned to their size.
    init(order: UInt32) throws(LinuxError) {
        let first = martlet_kernel_pages_allocate(order, MARTLET_CHARGED)
        guard first != 0 else { throw .noMemory }
        self.first = first
        self.order = order
    }

    var pages: UInt64 { 1 << UInt64(order) }

    /// Whether an answer leaves the pages with the host. After a panic of EL2 nobody knows, and a page
    /// that the kernel uses and does not have would be worse than one that is lost.
    mutating func stays(after status: Int64) -> Bool {
        if status == CallStatus.success.rawValue || status == CallStatus.panicked.rawValue { isTaken = true }
        return status != CallStatus.success.rawValue
    }

    deinit {
        if !isTaken { martlet_kernel_pages_free(first, 1 << UInt64(order)) }
    }
}
