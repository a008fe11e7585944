// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What can meet: a page in some state, and what somebody does with it.

/// What a page is when somebody names it.
public enum PageKind: String, CaseIterable, Sendable {
    /// No RAM, and open to the host.
    case device
    /// No RAM, and closed to the host.
    case denied
    /// Firmware's RAM.
    case firmware
    /// The host's, and nobody else has it.
    case host
    /// The host's, and a normal VM has it too.
    case lent
    /// The hypervisor's from its installation.
    case installed
    /// The hypervisor's, from the host.
    case donated
    /// A VM's tables and vCPUs.
    case machine
    /// A protected guest's memory.
    case guest
    /// A page of a guest's address space with nothing behind it.
    case nothing
    /// One that reaches the host as MMIO.
    case window
    /// Behind the end of the address space.
    case outside
}

/// Who does what with a page that it names.
public enum Doing: String, CaseIterable, Sendable {
    // The host names a frame.
    case topUp, createVM, donateToVM, createVCPU, mapGuest, donateToGuest, pageReport, cpuOn
    case hostReads, hostWrites, hostFetches
    // The hypervisor names it, in an answer.
    case reclaimPool, destroyVM
    // The host names a guest's page.
    case mapGuestAt, unmapGuestAt, donateToGuestAt, allowMMIOAt
    // A guest touches its own address space.
    case normalReads, normalWrites, normalFetches, protectedReads, protectedWrites, protectedFetches

    /// What is named: a frame of the machine, the result of a call, or a page of a guest's.
    enum Space { case frame, result, guestPage(isNormal: Bool?) }

    var space: Space {
        switch self {
        case .topUp, .createVM, .donateToVM, .createVCPU, .mapGuest, .donateToGuest, .pageReport, .cpuOn, .hostReads,
            .hostWrites, .hostFetches:
            .frame
        case .reclaimPool, .destroyVM: .result
        case .mapGuestAt, .unmapGuestAt, .donateToGuestAt, .allowMMIOAt: .guestPage(isNormal: nil)
        case .normalReads, .normalWrites, .normalFetches: .guestPage(isNormal: true)
        case .protectedReads, .protectedWrites, .protectedFetches: .guestPage(isNormal: false)
        }
    }
}

/// One meeting.
public struct Cell: Hashable, Sendable {
    /// What the page is.
    public let page: PageKind
    /// What is done with it.
    public let doing: Doing

    /// A meeting.
    public init(_ page: PageKind, _ doing: Doing) {
        self.page = page
        self.doing = doing
    }

    /// All of them.
    public static var all: [Cell] { Doing.allCases.flatMap { doing in PageKind.allCases.map { Cell($0, doing) } } }

    /// Why it cannot happen; nil if it can, and so has to.
    public var isImpossibleBecause: Impossibility? {
        let isFrame: Bool =
            switch page {
            case .device, .denied, .firmware, .host, .installed, .donated, .machine: true
            case .lent, .guest, .nothing, .window, .outside: false
            }
        switch doing.space {
        case .frame:
            return page == .nothing || page == .window ? .isNoFrame : nil
        case .result:
            let comesBack: [PageKind] = doing == .reclaimPool ? [.donated] : [.machine, .guest, .lent]
            return comesBack.contains(page) ? nil : .neverComesBack
        case .guestPage(let isNormal):
            if isFrame { return .isNeverBehindAGuestPage }
            if page == .outside, isNormal != nil { return .guestsAreStoppedByTheWalk }
            if page == .guest, isNormal == true { return .isTheOtherKinds }
            if page == .lent, isNormal == false { return .isTheOtherKinds }
            if page == .window, isNormal == true { return .isTheOtherKinds }
            return nil
        }
    }
}

/// Why a page of some kind is never met.
public enum Impossibility: String, CaseIterable, Sendable {
    /// a guest page has no number among the machine's frames
    case isNoFrame
    /// the call gives back pages of other kinds only
    case neverComesBack
    /// only memory that is lent or the guest's own is behind a guest page
    case isNeverBehindAGuestPage
    /// VTCR_EL2 ends a guest's address space, before any table is read
    case guestsAreStoppedByTheWalk
    /// normal VMs have lent memory and no windows, protected VMs have memory of their own
    case isTheOtherKinds

    /// The letter by which the table names it.
    var letter: Character { Character(String(UnicodeScalar(97 + UInt8(Self.allCases.firstIndex(of: self) ?? 0)))) }

    /// In words.
    public var reason: String {
        switch self {
        case .isNoFrame: "a page of a guest's address space has no number among the machine's frames"
        case .neverComesBack: "the call gives back pages of other kinds only"
        case .isNeverBehindAGuestPage: "only memory that is lent or the guest's own is behind a guest page"
        case .guestsAreStoppedByTheWalk: "VTCR_EL2 ends a guest's address space before any table is read"
        case .isTheOtherKinds: "normal VMs have lent memory and no windows, protected VMs have memory of their own"
        }
    }
}
