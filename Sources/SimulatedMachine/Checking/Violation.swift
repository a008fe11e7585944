// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What the simulated machine reports: a rule of the architecture, or of this project, that the
// code under test broke, and what every CPU did just before.

import Arm

/// A rule that the code under test broke.
public struct Violation: Sendable, CustomStringConvertible {
    /// The rules, each with its section of the manual (DDI 0487) or its reason.
    public enum Rule: String, Sendable, CaseIterable {
        /// EL2 used an address that its stage-1 does not map, or not for this access.
        case hypervisorAbort
        /// EL2 reached a physical address at which there is no RAM.
        case externalAbort
        /// An access that is not a multiple of its size.
        case misaligned
        /// EL2 may have used a translation that its tables no longer hold.
        case staleHypervisorTranslation
        /// A live descriptor changed from valid to another valid one (D8.16.1).
        case missingBreak
        /// A descriptor was made valid while a CPU may still hold what was broken (D8.16.1).
        case makeBeforeInvalidation
        /// A table was linked whose content no barrier has published to the walkers (B2.6.9).
        case unpublishedTable
        /// A page that walkers may still read as a table was written as something else.
        case tableReused
        /// A table page has two parents, or lies where there is no RAM.
        case tableLink
        /// Control went back to the host with a store to a live table not published by a DSB.
        case unpublishedStore
        /// Control went back to the host while a CPU may still use a broken translation.
        case missingInvalidation
        /// Control went back to the host with a TLBI that no DSB has completed.
        case incompleteInvalidation
        /// Stage-2 was turned on, but translations from before were not invalidated (D8.14).
        case bypassCached
        /// Translation was turned on with whatever the TLB held when the CPU got its power.
        case unknownTLB
        /// Two trees were used under one VMID, or one regime, without invalidation between them.
        case rootReplaced
        /// The host got a page while EL2's own stores to it were not cleaned to the point of
        /// coherency: a non-cacheable mapping of the host would read what was there before.
        case notCleaned
        /// A world got a page of which another's cache lines may be left (`Departures`).
        case linesLeft
        /// A CPU relied on another's store without a release and an acquire in between (`AccessOrder`).
        case unorderedAccess
        /// The host wrote to a page that holds a live table.
        case hostWroteTable
        /// EL2 touched a system register that this CPU does not have.
        case undefinedRegister
        /// Stage-2 changed while profiling, trace or branch records of EL1 were still to be written, which
        /// then go wherever the new tables lead (D17.3.1; TSB CSYNC: D3.6).
        case recordsInFlight
        /// A vCPU was entered on a CPU whose TLB has stage-1 translations of another vCPU under the same
        /// VMID (D8.14).
        case sharedTranslations
        /// A lock was taken out of order (docs/locking.md), or held over a return to the host or a guest's run.
        case lockOrder
        /// A CPU waits for a lock that nobody will release.
        case deadlock
        /// The hypervisor panicked.
        case panicked
    }

    /// The rule that was broken.
    public let rule: Rule
    /// The CPU that broke it.
    public let cpu: Int
    /// What happened, with its addresses.
    public let message: String
    /// The latest events of all CPUs, oldest first.
    public let trace: [String]

    /// Rule, CPU and message, then the trace.
    public var description: String {
        "\(rule.rawValue) by CPU \(cpu): \(message)\n" + trace.map { "    \($0)" }.joined(separator: "\n")
    }
}

/// Something that a CPU did and that may explain a violation.
struct Event {
    enum Kind: UInt8 {
        case tableStore, barrier, invalidation, localInvalidation, register, power, firmware, hostReturn
    }

    var kind: Kind
    var cpu: UInt8
    var detail: UInt64 = 0
    var old: UInt64 = 0
    var new: UInt64 = 0
}

/// The latest events, in place.
struct EventTrace {
    private var events: [Event] = []
    private var next = 0
    private let capacity = 96

    init() { events.reserveCapacity(capacity) }

    mutating func record(_ event: Event) {
        if events.count < capacity {
            events.append(event)
        } else {
            events[next] = event
        }
        next = (next + 1) % capacity
    }

    /// The events as text, oldest first.
    var lines: [String] {
        let ordered = events.count < capacity ? events[...] : events[next...] + events[..<next]
        return ordered.map { event in
            let cpu = "CPU \(event.cpu)"
            switch event.kind {
            case .tableStore:
                return "\(cpu) table \(hex(event.detail)): \(hex(event.old)) -> \(hex(event.new))"
            case .barrier:
                return "\(cpu) barrier \(["DSB ISHST", "DSB ISH", "ISB", "DSB SY"][Int(event.detail)])"
            case .invalidation:
                let name = ["IPAS2E1IS", "VMALLE1IS", "VMALLS12E1IS", "VAE2IS", "ALLE2IS"][Int(event.detail)]
                return "\(cpu) TLBI \(name) page \(hex(event.new)) VMID \(event.old)"
            case .localInvalidation: return "\(cpu) local TLBI ALLE1, ALLE2"
            case .register:
                let name = SystemRegister(rawValue: UInt8(event.detail)).map { "\($0)" } ?? "?"
                return "\(cpu) \(name): \(hex(event.old)) -> \(hex(event.new))"
            case .power: return "\(cpu) power \(event.detail == 1 ? "on" : "off")"
            case .firmware: return "\(cpu) SMC \(hex(event.detail)) -> \(hex(event.new))"
            case .hostReturn: return "\(cpu) returns to the host"
            }
        }
    }
}

/// A number in hexadecimal, with its prefix.
func hex(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }
