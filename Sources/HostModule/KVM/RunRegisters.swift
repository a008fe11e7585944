// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The registers of a call that runs a vCPU, in the kernel's object: EL2 gets them from there and leaves
// its answer there, so that they are nowhere copied.

internal import HypervisorInterface
internal import KVMCore
internal import VirtualGIC

/// x0 to x11 of `HostCall.runVCPU`, and of its answer.
@safe struct RunRegisters {
    private let words: UnsafeMutablePointer<UInt64>

    /// Where the first list register is.
    private static var lists: Int { 5 }

    /// Twelve words that outlive the value, and that nobody else uses meanwhile.
    @unsafe init(_ words: UnsafeMutablePointer<UInt64>) { unsafe self.words = words }

    private subscript(index: Int) -> UInt64 {
        // Safety: only what this type counts comes here, all below twelve.
        get { unsafe words[index] }
        nonmutating set { unsafe words[index] = newValue }
    }

    /// Asks for a run that completes something, still without list registers.
    func ask(_ vm: UInt64, _ number: UInt32, _ completion: Completion) {
        let (request, value) = completion.request
        self[0] = UInt64(HostCall.runVCPU.rawValue)
        self[1] = vm
        self[2] = UInt64(number)
        self[3] = request.rawValue
        self[4] = value
    }

    /// How many list registers there are, and what ICH_HCR_EL2 is to be.
    func present(_ used: Int, control: InterfaceControl) {
        self[3] |= UInt64(truncatingIfNeeded: used) << 8 | control.rawValue << 16
    }

    /// The list registers.
    func withLists<Result>(_ body: (inout MutableSpan<UInt64>) -> Result) -> Result {
        // Safety: x5 to x8 are below twelve.
        let lists = unsafe UnsafeMutableBufferPointer(start: words + Self.lists, count: 4)
        var span = unsafe lists.mutableSpan
        return body(&span)
    }

    /// Whether the guest has ended an interrupt of the first `used` list registers that is a physical one too.
    func hasEndedPhysical(_ used: Int) -> Bool {
        for index in 0..<min(max(used, 0), 4) {
            let list = ListRegister(bits: self[Self.lists + index])
            if list.physical != nil, !list.isPending, !list.isActive { return true }
        }
        return false
    }

    /// Why the guest has been left.
    var event: ExitEvent { ExitEvent(status: self[0], self[1], self[2], self[3], self[4]) }
    /// ICH_VMCR_EL2.
    var interfaceControl: UInt64 { self[9] & 0xFFFF_FFFF }
    /// EOIcount of ICH_HCR_EL2.
    var endCount: Int { Int(truncatingIfNeeded: self[9] >> 32) }
    /// The virtual timer.
    var timer: GuestTimer { GuestTimer(control: self[10], compare: self[11]) }
    /// Whether EL2 left the timer so that its interrupt is asserted: ENABLE and ISTATUS without IMASK.
    var isTimerAsserted: Bool { self[10] & 7 == 5 }
}
