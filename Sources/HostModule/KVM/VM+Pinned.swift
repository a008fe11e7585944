// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Pages of the process that it keeps mapped and cannot use any more: memory for a protected guest
// from a process that knows nothing of private memory.

internal import CHostKernel
internal import HypervisorInterface
internal import KVMCore

extension VM {
    /// Donates the next pages of a slot that the process has touched, with what is in them, and
    /// returns the frame to go on with.
    func donatePinnedContent(
        of slot: MemorySlot, from first: UInt64, to end: UInt64
    ) throws(LinuxError) -> UInt64 {
        guard let address = slot.userAddress(of: first) else { return end }
        // What the process has never touched is passed over, by tables that are not there.
        let next = martlet_kernel_user_touched(address, address &+ (end &- first) << PageUnit.shift)
        let frame = first &+ (next.address &- address) >> PageUnit.shift
        guard frame < end, next.is_touched != 0 else { return min(frame, end) }
        return try donatePinned(frame, behind: next.address, .kept) ? frame &+ 1 : frame
    }

    /// Pins the process's page and gives it to the guest.
    /// - Returns: whether the guest has the page, or is getting it. Otherwise the kernel had something else to do
    ///   first, and another attempt may succeed.
    func donatePinned(
        _ frame: UInt64, behind address: UInt64, _ content: GuestContent
    ) throws(LinuxError) -> Bool {
        var host: UInt64 = 0
        // Safety: the variable is this function's own.
        let error = unsafe martlet_kernel_pin(object, frame, address, &host)
        switch -error {
        case 0: break
        // Another vCPU is giving the page at this moment, or has: the guest makes the access again.
        case LinuxError.exists.rawValue: return true
        case LinuxError.noMemory.rawValue: throw .noMemory
        case LinuxError.interrupted.rawValue, 11: return false
        default: throw .fault
        }
        do throws(LinuxError) {
            try donate(GuestRun(first: frame, pages: 1), host, content)
        } catch {
            // After a panic of EL2 nobody knows whose the page is: it stays out of use.
            if error != .inputOutput { unsafe martlet_kernel_unpin(object, frame) }
            throw error
        }
        return true
    }
}
