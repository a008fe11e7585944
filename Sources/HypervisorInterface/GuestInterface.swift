// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Numbers of the calls that make and run virtual machines.

/// What kind of VM `HostCall.createVM` makes.
public enum VMKind: UInt64, Sendable {
    /// Its memory is lent by the host, which may look at it and at its registers.
    case normal = 0
    /// Its memory is its own, and its registers stay at EL2: the host sees what an exit needs.
    case protected = 1
}

/// What is in pages that a protected guest gets.
public enum GuestContent: UInt64, Sendable {
    /// Zeroes, written by EL2.
    case zero = 0
    /// What the host put there. Only until the VM's first run.
    case kept = 1
}

/// Whether a vCPU starts by itself.
public enum VCPUStart: UInt64, Sendable {
    /// It waits for another vCPU's CPU_ON.
    case off = 0
    /// It may be run at once.
    case on = 1
}

/// How far `HostCall.destroyVM` has come.
public enum DestroyProgress: UInt64, Sendable {
    /// The VM is gone and its handle means nothing any more. x2 and x3 name its last page.
    case done = 0
    /// There is more to do. x2 and x3 may name pages that the host has back.
    case more = 1
}

/// What a guest may do with a lent page; reading is always allowed.
public struct GuestAccess: OptionSet, Sendable {
    /// The bits on the wire.
    public let rawValue: UInt64
    /// From the bits on the wire.
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// Writing.
    public static let write = GuestAccess(rawValue: 1 << 0)
    /// Fetching instructions.
    public static let execute = GuestAccess(rawValue: 1 << 1)
}

/// Bits of x3 of `HostCall.runVCPU`.
public struct RunRequest: OptionSet, Sendable {
    /// The bits on the wire.
    public let rawValue: UInt64
    /// From the bits on the wire.
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// x4 completes what the last exit asked for.
    public static let completes = RunRequest(rawValue: 1 << 0)
    /// The guest gets a synchronous external abort for its last access instead, a fetch among them.
    /// Only if the last exit was `mmioRead`, `mmioWrite` or `memoryFault`.
    public static let injectExternalAbort = RunRequest(rawValue: 1 << 1)
}

/// Bits 31:16 of x3 of `HostCall.runVCPU`: when the virtual CPU interface makes the guest leave, as
/// ICH_HCR_EL2 has them (IHI 0069, 12.4.7). Every other bit of that register is EL2's.
public struct InterfaceControl: OptionSet, Sendable {
    /// The bits on the wire.
    public let rawValue: UInt64
    /// From the bits on the wire.
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// UIE, LRENPIE, NPIE and the four of VGrp<n>{E,D}IE; TDIR.
    public static let all = InterfaceControl(rawValue: 0x40FE)
}

/// Why `HostCall.runVCPU` returned: x1.
///
/// Of a protected VM: x10 and x11 only for `waitForInterrupt`, otherwise x10 is 5 while the timer fires
/// and 0 if not; addresses of memory faults by page.
///
/// Always: x5…x8 = list registers 0…3 as the guest left them, x9 = ICH_VMCR_EL2 in its low half and
/// ICH_HCR_EL2.EOIcount in its high half, x10 = the guest's
/// CNTV_CTL_EL0 with ISTATUS, x11 = its CNTV_CVAL_EL0 less CNTVOFF_EL2, in the host's count. While
/// the guest's timer fires, the physical virtual-timer interrupt stays asserted on this CPU.
public enum RunExit: UInt64, CaseIterable, Sendable {
    /// A physical interrupt is for the host to take.
    case interrupt = 0
    /// WFI with nothing pending. The vCPU may be run again at any time.
    case waitForInterrupt = 1
    /// Stage-2 translation fault, or a write or a fetch that the mapping forbids. x2 = guest
    /// physical address, x3 = `FaultKind` as a number.
    case memoryFault = 2
    /// A load from where nothing is mapped, with a decodable instruction. x2 = guest physical
    /// address, x3 = bytes (1, 2, 4, 8). Completed by x4 of the next run. The host may instead map
    /// the page and run without completing: the guest then makes the access again.
    case mmioRead = 3
    /// A store likewise. x2 = address, x3 = bytes, x4 = value. The guest has gone on already if the
    /// next run `completes`; otherwise it makes the access again.
    case mmioWrite = 4
    /// A write of ICC_SGI1R_EL1. x2 = value. The guest goes on by itself.
    case softwareInterrupt = 5
    /// CPU_ON: vCPU x2 is ready to be run.
    case cpuOn = 6
    /// CPU_OFF, or the vCPU is off: there is nothing to run until another one's CPU_ON.
    case cpuOff = 7
    /// SYSTEM_OFF. Every vCPU of the VM is off; of a protected VM for ever.
    case systemOff = 8
    /// SYSTEM_RESET or SYSTEM_RESET2, likewise.
    case systemReset = 9
    /// The guest did what nobody emulates. x2 = ESR_EL2, x3 = FAR_EL2, x4 = PC. It cannot go on.
    case unsupported = 10
    /// A wait that is only a hint (WFE), where it is trapped.
    case yield = 11
    /// A write of ICC_DIR_EL1 that `InterfaceControl` had trapped (TDIR). x2 = value. The guest goes on
    /// by itself.
    case deactivation = 12
}

extension RunExit {
    /// Whether a vCPU has ended the whole VM.
    public var endsMachine: Bool {
        switch self {
        case .systemOff, .systemReset: true
        default: false
        }
    }

    /// Whether a guest never goes on after this exit.
    public var endsGuest: Bool {
        switch self {
        case .systemOff, .systemReset, .unsupported: true
        default: false
        }
    }
}

/// x3 of `RunExit.memoryFault`.
public enum FaultKind: UInt64, Sendable {
    /// A load.
    case read = 0
    /// A store.
    case write = 1
    /// A fetch of an instruction.
    case fetch = 2
    /// Cache maintenance by address. Where no memory will be, a run that `completes` steps over it.
    case maintenance = 3
    /// A walk of the guest's own tables, which reads.
    case walk = 4
}

/// Registers of a vCPU that the host of a normal VM reads and writes.
public enum VCPURegister: Hashable, Sendable {
    /// `x0`…`x30`.
    case general(UInt8)
    case stackPointerEL0
    case programCounter
    case processorState
    /// EL1's registers, by index into `systemNames`.
    case system(UInt8)
    /// `v0`…`v31`.
    case vector(UInt8)
    case fpcr, fpsr
    /// A register by which the guest identifies its CPU: op0 = 3, op1 = 0, CRn = 0, with CRm (1…7) in bits
    /// 5:3 and op2 in bits 2:0. Read only.
    case identity(UInt8)
    /// CNTV_CTL_EL0, CNTV_CVAL_EL0, and the count that the guest reads.
    case timerControl, timerCompare, timerCount
    /// Quadwords of the vCPU's longest scalable vector, one of the `VectorLengths` that guests may have; 0
    /// as long as it has none. Set once, before anything is done with vector registers.
    case vectorLength
    /// ZCR_EL1, if the vCPU has scalable vectors.
    case vectorControl
    /// A doubleword of `z0`…`z31`, `p0`…`p15` and FFR, which follow each other without gaps at the vCPU's
    /// vector length.
    case scalable(UInt16)
    /// Whether the vCPU is on, a `VCPUStart` as a number.
    case power

    /// EL1's registers in the order of their index.
    public enum System: UInt8, CaseIterable, Sendable {
        case sctlr, cpacr, ttbr0, ttbr1, tcr, esr, afsr0, afsr1, far, mair, amair, vbar, contextidr
        case cntkctl, par, tpidrEL1, tpidrEL0, tpidrroEL0, spEL1, elr, spsr, mdscr, csselr
        case mpidr
    }

    /// The number on the wire: class in bits 15:8, index in bits 7:0.
    public var number: UInt64 {
        switch self {
        case .general(let index): UInt64(index)
        case .stackPointerEL0: 0x100
        case .programCounter: 0x101
        case .processorState: 0x102
        case .fpcr: 0x103
        case .fpsr: 0x104
        case .timerControl: 0x105
        case .timerCompare: 0x106
        case .timerCount: 0x107
        case .vectorLength: 0x108
        case .vectorControl: 0x109
        case .power: 0x10A
        case .system(let index): 0x200 | UInt64(index)
        case .vector(let index): 0x300 | UInt64(index)
        case .identity(let index): 0x400 | UInt64(index)
        case .scalable(let index): 0x1000 &+ UInt64(index)
        }
    }

    /// The register of a number; nil if there is none.
    public init?(number: UInt64) {
        let index = UInt8(truncatingIfNeeded: number)
        switch number {
        case 0...30: self = .general(index)
        case 0x100: self = .stackPointerEL0
        case 0x101: self = .programCounter
        case 0x102: self = .processorState
        case 0x103: self = .fpcr
        case 0x104: self = .fpsr
        case 0x105: self = .timerControl
        case 0x106: self = .timerCompare
        case 0x107: self = .timerCount
        case 0x108: self = .vectorLength
        case 0x109: self = .vectorControl
        case 0x10A: self = .power
        case 0x200...0x217: self = .system(index)
        case 0x300...0x31F: self = .vector(index)
        case 0x408...0x43F: self = .identity(index)
        case 0x1000..<0x1000 + Self.scalableDoublewords(16):
            self = .scalable(UInt16(truncatingIfNeeded: number &- 0x1000))
        default: return nil
        }
    }

    /// How many doublewords the scalable registers have with vectors of so many quadwords.
    public static func scalableDoublewords(_ length: UInt64) -> UInt64 { 64 &* length &+ (17 &* length &+ 3) / 4 }
}
