// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What the GIC knows about one interrupt of one VM, in one word.

/// The group of an interrupt (IHI 0069, 4.6). There is one security state: group 0 is signalled as
/// FIQ, group 1 as IRQ.
public enum InterruptGroup: Sendable {
    case zero, one
}

/// How an interrupt becomes pending (IHI 0069, 4.5).
enum Trigger {
    /// While its line is high.
    case level
    /// By each assertion.
    case edge
}

/// What a guest asked about the active state while a list register had it. The vCPU's own view wins
/// until the list register is read back, and then this is applied.
enum ActiveRequest: UInt64 {
    case none = 0
    case clear = 1
    case set = 2
}

/// The state of one interrupt.
///
/// *Pending* has three sources. The *latch* holds an edge, an SGI or a write of ISPENDR until a list
/// register takes it over. *Given* says that a list register has it, and that it comes back to
/// the latch if the guest did not acknowledge it. The *line* counts only while the interrupt
/// is level-triggered.
struct InterruptState: Equatable {
    var bits: UInt64

    init(bits: UInt64) { self.bits = bits }

    var isEnabled: Bool {
        get { flag(0) }
        set { setFlag(0, newValue) }
    }
    var isLatched: Bool {
        get { flag(1) }
        set { setFlag(1, newValue) }
    }
    var isLineHigh: Bool {
        get { flag(2) }
        set { setFlag(2, newValue) }
    }
    var isActive: Bool {
        get { flag(3) }
        set { setFlag(3, newValue) }
    }
    var isGiven: Bool {
        get { flag(4) }
        set { setFlag(4, newValue) }
    }
    var isInListRegister: Bool {
        get { flag(5) }
        set { setFlag(5, newValue) }
    }

    var group: InterruptGroup {
        get { flag(6) ? .one : .zero }
        set { setFlag(6, newValue == .one) }
    }

    var trigger: Trigger {
        get { flag(7) ? .edge : .level }
        set { setFlag(7, newValue == .edge) }
    }

    /// The priority; 0 is the highest. Five bits are implemented, as many as every GICv3
    /// has in its list registers, so that software and hardware compare alike.
    var priority: UInt8 {
        get { UInt8(truncatingIfNeeded: field(8, 8)) }
        set { setField(8, 8, UInt64(newValue & 0xF8)) }
    }

    /// Whose candidate the interrupt is: the vCPU that has it in a list register, has it active,
    /// or is to get it.
    var residence: VCPUIndex? {
        get { optionalVCPU(16) }
        set { setOptionalVCPU(16, newValue) }
    }

    /// The vCPU that an SPI is routed to; nil if no vCPU has that affinity.
    var target: VCPUIndex? {
        get { optionalVCPU(24) }
        set { setOptionalVCPU(24, newValue) }
    }

    /// Where GICD_IROUTER sends an SPI.
    var affinity: Affinity {
        get { Affinity(routing: field(32, 24)) }
        set { setField(32, 24, UInt64(newValue.bits)) }
    }

    /// The physical interrupt that deactivation by the guest deactivates too; nil if the
    /// interrupt is the emulation's alone. Only private interrupts have one, and they have no
    /// affinity, so that both share their bits.
    var physical: UInt16? {
        get { flag(58) ? UInt16(truncatingIfNeeded: field(32, 13)) : nil }
        set {
            setFlag(58, newValue != nil)
            setField(32, 13, UInt64(newValue ?? 0))
        }
    }

    var activeRequest: ActiveRequest {
        get { ActiveRequest(rawValue: field(56, 2)) ?? .none }
        set { setField(56, 2, newValue.rawValue) }
    }

    /// Whether there is something that no list register has yet.
    var isFreshlyPending: Bool { isLatched || (trigger == .level && isLineHigh) }

    /// The pending state as registers show it.
    var isPending: Bool { isFreshlyPending || isGiven }

    /// The active state as registers show it.
    var isSeenActive: Bool {
        switch activeRequest {
        case .none: isActive
        case .clear: false
        case .set: true
        }
    }

    /// Whether a vCPU has to be told.
    var isSignalled: Bool { isFreshlyPending && isEnabled }

    private func flag(_ bit: UInt64) -> Bool { bits &>> bit & 1 != 0 }

    private mutating func setFlag(_ bit: UInt64, _ value: Bool) { setField(bit, 1, value ? 1 : 0) }

    private func field(_ shift: UInt64, _ width: UInt64) -> UInt64 { bits &>> shift & ((1 &<< width) &- 1) }

    private mutating func setField(_ shift: UInt64, _ width: UInt64, _ value: UInt64) {
        let mask: UInt64 = ((1 &<< width) &- 1) &<< shift
        bits = bits & ~mask | value &<< shift & mask
    }

    // A place is stored plus one, so that a zeroed word names no vCPU.
    private func optionalVCPU(_ shift: UInt64) -> VCPUIndex? {
        let stored = Int(truncatingIfNeeded: field(shift, 7))
        return stored == 0 ? nil : VCPUIndex(stored &- 1)
    }

    private mutating func setOptionalVCPU(_ shift: UInt64, _ vcpu: VCPUIndex?) {
        setField(shift, 7, vcpu.map { UInt64(truncatingIfNeeded: $0.rawValue &+ 1) } ?? 0)
    }
}
