// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Memory of protected guests: what the process gives up, at the first run and when the guest
// touches it.

internal import CHostKernel
internal import HostModuleCore
internal import HypervisorInterface
internal import KVMCore

extension VM {
    /// KVM_CREATE_GUEST_MEMFD: a descriptor.
    func createPrivateMemory(_ argument: PrivateMemoryArgument) throws(LinuxError) -> Int64 {
        guard facts.kind == .protected else { throw .invalid }
        return try PrivateFile.create(argument, for: handle)
    }

    /// Before the first run. Of a protected VM, what the process has written so far becomes the guest's
    /// first memory, everything between the slots becomes a window for devices, and neither changes
    /// any more. EL2 holds the host to it. A normal VM has nothing to fix.
    func fixMemory() throws(LinuxError) {
        try withConfiguration { (configuration) throws(LinuxError) in
            guard facts.kind == .protected else {
                configuration.fixing = .done
                return
            }
            if case .open = configuration.fixing {
                // What cannot be is refused before anything is fixed.
                try checkWindows()
                try donateTables(order: 5)
                configuration.fixing = .opening(next: 0)
            }
            if case .opening(let next) = configuration.fixing {
                try openWindows(from: next) { configuration.fixing = .opening(next: $0) }
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

    /// Guest frames that there are.
    var frames: UInt64 { 1 << (facts.addressBits &- PageUnit.shift) }

    /// Refuses slots with more gaps between them than EL2 has windows.
    private func checkWindows() throws(LinuxError) {
        var next: UInt64 = 0
        var count: UInt64 = 0
        while let gap = withMemory({ $0.slots.gap(from: next, limit: frames) }) {
            next = gap.first &+ gap.pages
            count += 1
        }
        guard count <= HostCall.maximumWindows else { throw .noSpace }
    }

    /// Opens the gaps from a guest frame on, and says after each where the next one can be.
    private func openWindows(from first: UInt64, _ progress: (UInt64) -> Void) throws(LinuxError) {
        var next = first
        while let gap = withMemory({ $0.slots.gap(from: next, limit: frames) }) {
            let answer = EL2.call(
                .allowMMIO, vm: handle, GuestCallArguments(second: gap.first, third: gap.pages))
            guard answer.status == CallStatus.success.rawValue else { throw LinuxError(el2: answer.status) }
            next = gap.first &+ gap.pages
            progress(next)
        }
    }

    /// Donates the next pages of a slot that the process has touched, with what is in them, and
    /// returns the frame to go on with.
    private func donateContent(of slot: MemorySlot, from first: UInt64) throws(LinuxError) -> UInt64 {
        let end = slot.firstFrame &+ slot.pages
        guard let source = slot.source else { return try donatePinnedContent(of: slot, from: first, to: end) }
        let file = PrivateFile(source)
        return try file.withPages { (memory) throws(LinuxError) in
            let taking = memory.takeTouched(
                source.firstPage &+ (first &- slot.firstFrame), from: source.firstPage,
                to: source.firstPage &+ slot.pages)
            switch taking {
            case .none: return end
            case .isGuests: return first &+ 1
            case .noMemory: throw .noMemory
            case .parcel(let parcel):
                let frame = slot.firstFrame &+ (parcel.index &- source.firstPage)
                try donate(parcel, at: frame, .kept, &memory)
                return frame &+ parcel.pages
            }
        }
    }

    /// Gives the guest a page that it touched, zeroed: the process's, or from a descriptor.
    func donate(_ frame: UInt64, of slot: MemorySlot) throws(LinuxError) -> MapResult {
        guard let source = slot.source else {
            guard let address = slot.userAddress(of: frame) else { return .notMemory }
            _ = try donatePinned(frame, behind: address, .zero)
            return .tryAgain
        }
        let file = PrivateFile(source)
        return try file.withPages { (memory) throws(LinuxError) in
            let taking = memory.take(
                source.firstPage &+ (frame &- slot.firstFrame), from: source.firstPage,
                to: source.firstPage &+ slot.pages)
            switch taking {
            // Another vCPU touched it at the same time.
            case .isGuests: return .tryAgain
            case .noMemory: throw .noMemory
            case .parcel(let parcel):
                try donate(parcel, at: slot.firstFrame &+ (parcel.index &- source.firstPage), .zero, &memory)
                return .tryAgain
            }
        }
    }

    private func donate(
        _ parcel: PrivateMemory<KernelPrivateStore>.Parcel, at frame: UInt64, _ content: GuestContent,
        _ memory: inout PrivateMemory<KernelPrivateStore>
    ) throws(LinuxError) {
        do throws(LinuxError) {
            try donate(GuestRun(first: frame, pages: parcel.pages), parcel.frame, content)
        } catch {
            // After a panic of EL2 nobody knows whose the pages are: they stay the guest's.
            if error != .inputOutput { memory.takeBack(parcel) }
            throw error
        }
    }

    /// Has EL2 give pages to the guest, and gives it the tables that it takes.
    func donate(_ run: GuestRun, _ host: UInt64, _ content: GuestContent) throws(LinuxError) {
        var attempts = 0
        while true {
            let answer = EL2.callWithPool(
                .donateToGuest, vm: handle,
                GuestCallArguments(second: run.first, third: host, fourth: run.pages, fifth: content.rawValue))
            switch CallStatus(rawValue: answer.status) {
            case .success: return
            case .noMemory where attempts < 2:
                attempts += 1
                try donateTables(order: tableOrder)
            default: throw LinuxError(el2: answer.status)
            }
        }
    }

    /// The VM is gone from EL2: all pages are the host's again, zeroed.
    func takePrivateMemoryBack() {
        unsafe martlet_kernel_unpin_all(object)
        for place in 0..<withMemory({ $0.slots.end }) {
            guard let source = withMemory({ $0.slots[place: place]?.source }) else { continue }
            let file = PrivateFile(source)
            file.guestLeft()
            file.put()
        }
    }
}
