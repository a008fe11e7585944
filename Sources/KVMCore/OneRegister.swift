// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// KVM_GET_ONE_REG and KVM_SET_ONE_REG: which register of a vCPU an identifier names
// (Documentation/virt/kvm/api.rst, section 4.68).

public import HypervisorInterface

/// How many bytes a register has for the process.
public enum RegisterWidth: UInt64, Sendable {
    /// Bits 55:52 of the identifier are the binary logarithm of the bytes.
    case word = 2
    case doubleword = 3
    case quadword = 4
    /// A predicate.
    case bits256 = 5
    /// The set of vector lengths.
    case bits512 = 6
    /// A scalable vector.
    case bits2048 = 8

    /// Bytes.
    public var bytes: UInt64 { 1 << rawValue }
}

/// What an identifier names.
public enum OneRegister: Equatable, Sendable {
    /// A register of the vCPU at EL2.
    case vcpu(VCPURegister)
    /// A banked register of AArch32, which no guest has: zero, and writes are ignored, as Linux does.
    case absent
    /// A register of the Scalable Vector Extension.
    case scalable(ScalableRegister)
    /// KVM_REG_ARM64_SVE_VLS.
    case vectorLengths
    /// The version of PSCI, which can be read and not be changed.
    case psciVersion
    /// MPIDR_EL1, which follows from the vCPU's number.
    case affinity
    /// One of the registers by which a guest identifies its CPU, which EL2 makes up.
    case identity(VCPURegister)

    /// PSCI 1.1.
    public static let psciVersionValue: UInt64 = 0x1_0001

    /// MPIDR_EL1 of a vCPU as Linux numbers them: Aff0 counts to 16, for ICC_SGI1R_EL1.
    public static func affinityValue(of vcpu: UInt32) -> UInt64 {
        1 << 31 | UInt64(vcpu & 0xF) | UInt64(vcpu >> 4) << 8
    }

    private static let architecture: UInt64 = 0x6000_0000_0000_0000
    private static let core: UInt64 = 0x0010_0000
    private static let system: UInt64 = 0x0013_0000
    private static let firmware: UInt64 = 0x0014_0000
    private static let scalableExtension: UInt64 = 0x0015_0000

    /// The register of an identifier, and its width.
    ///
    /// Throws `.invalid` for another architecture's and for a width that the register does not have, and
    /// `.noEntry` for what does not exist.
    public static func decode(_ identifier: UInt64) throws(LinuxError) -> (OneRegister, RegisterWidth) {
        guard identifier & 0xF00F_FFFF_0000_0000 == architecture,
            let width = RegisterWidth(rawValue: identifier >> 52 & 0xF)
        else { throw .invalid }
        let number = identifier & 0xFFFF
        let register: OneRegister?
        switch identifier & 0xFFFF_0000 {
        case core:
            guard let (found, own) = coreRegister(number) else { throw .noEntry }
            guard own == width else { throw .invalid }
            return (found, width)
        case system: register = systemRegister(number)
        case scalableExtension:
            guard let (found, own) = scalableRegister(number), own == width else { throw .noEntry }
            return (found, width)
        case firmware: register = number == 0 ? .psciVersion : nil
        default: register = nil
        }
        guard let register, width == .doubleword else { throw .noEntry }
        return (register, width)
    }

    // Offsets in `struct kvm_regs`, in units of 32 bits.
    private static func coreRegister(_ offset: UInt64) -> (OneRegister, RegisterWidth)? {
        switch offset {
        case 0x00...0x3C where offset & 1 == 0:
            (.vcpu(.general(UInt8(truncatingIfNeeded: offset / 2))), .doubleword)
        case 0x3E: (.vcpu(.stackPointerEL0), .doubleword)
        case 0x40: (.vcpu(.programCounter), .doubleword)
        case 0x42: (.vcpu(.processorState), .doubleword)
        case 0x44: (.vcpu(.system(.spEL1)), .doubleword)
        case 0x46: (.vcpu(.system(.elr)), .doubleword)
        case 0x48: (.vcpu(.system(.spsr)), .doubleword)
        case 0x4A, 0x4C, 0x4E, 0x50: (.absent, .doubleword)
        case 0x54...0xD0 where offset & 3 == 0:
            (.vcpu(.vector(UInt8(truncatingIfNeeded: (offset &- 0x54) / 4))), .quadword)
        case 0xD4: (.vcpu(.fpsr), .word)
        case 0xD5: (.vcpu(.fpcr), .word)
        default: nil
        }
    }

    // Each register has 32 places, of which all but the first are for longer vectors than there are yet.
    private static func scalableRegister(_ number: UInt64) -> (OneRegister, RegisterWidth)? {
        let index = UInt8(truncatingIfNeeded: number >> 5 & 31)
        return switch number {
        case 0x000...0x3E0 where number & 31 == 0: (.scalable(.vector(index)), .bits2048)
        case 0x400...0x600 where number & 31 == 0: (.scalable(.predicate(index)), .bits256)
        case 0xFFFF: (.vectorLengths, .bits512)
        default: nil
        }
    }

    private static func systemRegister(_ encoding: UInt64) -> OneRegister? {
        // The encodings of the virtual counter and of the timer's compare value are swapped in Linux'
        // interface, for ever.
        switch encoding {
        case SystemRegisterEncoding.timerControl.rawValue: return .vcpu(.timerControl)
        case SystemRegisterEncoding.timerCompare.rawValue: return .vcpu(.timerCount)
        case SystemRegisterEncoding.counter.rawValue: return .vcpu(.timerCompare)
        case SystemRegisterEncoding.vectorControl.rawValue: return .vcpu(.vectorControl)
        case SystemRegisterEncoding.mpidr.rawValue: return .affinity
        case SystemRegisterEncoding.identity: return .identity(.identity(UInt8(truncatingIfNeeded: encoding & 0x3F)))
        default: break
        }
        for register in VCPURegister.System.allCases
        where SystemRegisterEncoding(of: register)?.rawValue == encoding { return .vcpu(.system(register)) }
        return nil
    }
}

extension VCPURegister {
    /// One of EL1's registers by its name.
    static func system(_ register: System) -> VCPURegister { .system(register.rawValue) }
}

/// The encoding of a system register in an identifier: op0, op1, CRn, CRm, op2.
enum SystemRegisterEncoding: UInt64 {
    case sctlr = 0xC080
    case cpacr = 0xC082
    case ttbr0 = 0xC100
    case ttbr1 = 0xC101
    case tcr = 0xC102
    case esr = 0xC290
    case afsr0 = 0xC288
    case afsr1 = 0xC289
    case far = 0xC300
    case mair = 0xC510
    case amair = 0xC518
    case vbar = 0xC600
    case contextidr = 0xC681
    case cntkctl = 0xC708
    case par = 0xC3A0
    case tpidrEL1 = 0xC684
    case tpidrEL0 = 0xDE82
    case tpidrroEL0 = 0xDE83
    case mdscr = 0x8012
    case csselr = 0xD000
    case mpidr = 0xC005
    case timerControl = 0xDF19
    case timerCompare = 0xDF1A
    case counter = 0xDF02
    case vectorControl = 0xC090

    /// op0 = 3, op1 = 0, CRn = 0, CRm from 1 to 7: who the CPU is, with reserved encodings that read as zero.
    static let identity: ClosedRange<UInt64> = 0xC008...0xC03F

    /// The encoding of a register; nil for those that the process knows as core registers.
    init?(of register: VCPURegister.System) {
        switch register {
        case .sctlr: self = .sctlr
        case .cpacr: self = .cpacr
        case .ttbr0: self = .ttbr0
        case .ttbr1: self = .ttbr1
        case .tcr: self = .tcr
        case .esr: self = .esr
        case .afsr0: self = .afsr0
        case .afsr1: self = .afsr1
        case .far: self = .far
        case .mair: self = .mair
        case .amair: self = .amair
        case .vbar: self = .vbar
        case .contextidr: self = .contextidr
        case .cntkctl: self = .cntkctl
        case .par: self = .par
        case .tpidrEL1: self = .tpidrEL1
        case .tpidrEL0: self = .tpidrEL0
        case .tpidrroEL0: self = .tpidrroEL0
        case .mdscr: self = .mdscr
        case .csselr: self = .csselr
        case .mpidr: self = .mpidr
        case .spEL1, .elr, .spsr: return nil
        }
    }
}
