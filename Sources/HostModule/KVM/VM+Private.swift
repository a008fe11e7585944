// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Memory of protected guests: pages of the process that it keeps mapped and cannot use any more.

internal import CHostKernel
internal import HostModuleCore
internal import HypervisorInterface
internal import KVMCore

extension VM {
    /// Before the first run of a protected VM: what the process has written so far becomes the guest's
    /// first memory, everything between the slots becomes a window for devices, and neither changes
    /// any more. EL2 holds the host to it.
    func fixMemory() throws(LinuxError) {
        guard facts.kind == .protected else { return }
        try withConfiguration { (configuration) throws(LinuxError) in
            if case .open = configuration.fixing {
                try donateTables(order: 5)
                try openWindows()
                configuration.fixing = .donating(place: 0, frame: 0)
            }
            while case .donating(let place, let frame) = configuration.fixing {
                try Process.checkErrands()
                if let slot = withMemory({ $0.slots[place: place] }), frame < slot.firstFrame &+ slot.pages {
                    let next = try donateContent(of: slot, from: max(frame, slot.firstFrame))
                    configuration.fixing = .donating(place: place, frame: next)
                } else if place < withMemory({ $0.slots.end }) {
                    configuration.fixing = .donating(place: place + 1, frame: 0)
                } else {
                    configuration.fixing = .done
                }
            }
        }
    }

    private func openWindows() throws(LinuxError) {
        let limit: UInt64 = 1 << (facts.addressBits &- PageUnit.shift)
        var next: UInt64 = 0
        while let gap = withMemory({ $0.slots.gap(from: next, limit: limit) }) {
            let answer = EL2.call(
                .allowMMIO, vm: handle, GuestCallArguments(second: gap.first, third: gap.pages))
            guard answer.status == CallStatus.success.rawValue else { throw LinuxError(el2: answer.status) }
            next = gap.first &+ gap.pages
        }
    }

    /// Donates the next pages of a slot that the process has touched, with what is in them, and
    /// returns the frame to go on with.
    private func donateContent(of slot: MemorySlot, from first: UInt64) throws(LinuxError) -> UInt64 {
        let end = min(first &+ 256, slot.firstFrame &+ slot.pages)
        var frame = first
        while frame < end {
            if let address = slot.userAddress(of: frame), martlet_kernel_user_page_present(address) != 0 {
                _ = try donate(frame, behind: address, .kept)
            }
            frame &+= 1
        }
        return end
    }

    /// Pins the process's page and gives it to the guest.
    func donate(_ frame: UInt64, behind address: UInt64, _ content: GuestContent) throws(LinuxError) -> MapResult {
        var host: UInt64 = 0
        // Safety: the variable is this function's own.
        let error = unsafe martlet_kernel_pin(object, frame, address, &host)
        switch -error {
        case 0: break
        // Another vCPU is giving the page at this moment, or has: the guest makes the access again.
        case LinuxError.exists.rawValue: return .tryAgain
        case LinuxError.noMemory.rawValue: throw .noMemory
        case LinuxError.interrupted.rawValue, 11: return .tryAgain
        default: throw .fault
        }
        var attempts = 0
        while true {
            let answer = EL2.callWithPool(
                .donateToGuest, vm: handle,
                GuestCallArguments(second: frame, third: host, fourth: 1, fifth: content.rawValue))
            switch CallStatus(rawValue: answer.status) {
            case .success: return .tryAgain
            case .noMemory where attempts < 2:
                attempts += 1
                do throws(LinuxError) {
                    try donateTables(order: 5)
                } catch {
                    unsafe martlet_kernel_unpin(object, frame)
                    throw error
                }
            default:
                unsafe martlet_kernel_unpin(object, frame)
                throw LinuxError(el2: answer.status)
            }
        }
    }
}
