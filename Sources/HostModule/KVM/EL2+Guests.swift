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
            guard growPool() else { return answer }
            attempts += 1
            answer = EL2.call(call, vm: handle, arguments)
        }
        return answer
    }

    /// Gives EL2's pool one block of pages: more than the tables that taking it can need, so that EL2
    /// never refuses it for a lack of pages.
    private static func growPool() -> Bool {
        let pages: UInt64 = 1 << UInt64(poolOrder)
        let first = martlet_kernel_pages_allocate(poolOrder, 1)
        guard first != 0 else { return false }
        guard EL2.call(.topUp, first, pages).status == CallStatus.success.rawValue else {
            martlet_kernel_pages_free(first, pages)
            return false
        }
        return true
    }

    private static var poolOrder: UInt32 { 5 }
    private static var poolAttempts: Int { 2 }
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
        let first = martlet_kernel_pages_allocate(order, 1)
        guard first != 0 else { throw .noMemory }
        self.first = first
        self.order = order
    }

    var pages: UInt64 { 1 << UInt64(order) }

    /// EL2 owns the pages from now on.
    mutating func isGiven() { isTaken = true }

    deinit {
        if !isTaken { martlet_kernel_pages_free(first, 1 << UInt64(order)) }
    }
}
