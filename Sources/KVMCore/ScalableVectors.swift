// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A vCPU's scalable vectors as its process sees them (Documentation/virt/kvm/api.rst, sections 4.68 and
// 4.119): chosen after KVM_ARM_VCPU_INIT, fixed by KVM_ARM_VCPU_FINALIZE.

public import HypervisorInterface

/// Whether a vCPU has scalable vectors, and how long they may be.
public enum ScalableVectors: Equatable, Sendable {
    /// The process has not asked for them.
    case absent
    /// It has, and may still choose among the lengths.
    case open(VectorLengths)
    /// They are fixed.
    case fixed(VectorLengths)

    /// KVM_ARM_VCPU_SVE, as the argument of KVM_ARM_VCPU_FINALIZE.
    public static let feature: UInt32 = 4

    /// What a vCPU starts with.
    /// - Parameter all: lengths that guests may have.
    public init(_ features: VCPUInitArgument.Features, all: VectorLengths) {
        self = features.contains(.scalableVectors) ? .open(all) : .absent
    }

    /// What KVM_ARM_VCPU_FINALIZE fixes: `.invalid` for another feature or one that was not asked for,
    /// `.notPermitted` the second time.
    public func finalised(_ feature: UInt32) throws(LinuxError) -> VectorLengths {
        guard feature == Self.feature else { throw .invalid }
        switch self {
        case .absent: throw .invalid
        case .open(let lengths): return lengths
        case .fixed: throw .notPermitted
        }
    }

    /// Refuses to run a vCPU, or to list its registers, before all is fixed.
    public func checkFixed() throws(LinuxError) {
        if case .open = self { throw .notPermitted }
    }

    /// What KVM_REG_ARM64_SVE_VLS reads as: in its first word bit n stands for n + 1 quadwords.
    public func lengths() throws(LinuxError) -> VectorLengths {
        switch self {
        case .absent: throw .noEntry
        case .open(let lengths), .fixed(let lengths): return lengths
        }
    }

    /// A write of KVM_REG_ARM64_SVE_VLS. The CPU cannot be kept from having a length below the longest,
    /// so that each set is right that has all of those.
    public mutating func choose(
        _ words: InlineArray<8, UInt64>, all: VectorLengths
    ) throws(LinuxError) {
        switch self {
        case .absent: throw .noEntry
        case .fixed: throw .notPermitted
        case .open: break
        }
        var rest: UInt64 = 0
        for index in 1..<8 { rest |= words[index] }
        let asked = VectorLengths(bits: words[0])
        guard rest == 0, asked.bits == words[0], asked != .none, asked == all.upTo(asked.longest) else {
            throw .invalid
        }
        self = .open(asked)
    }

    /// The fixed length, which the places of registers follow from, in quadwords.
    public func length() throws(LinuxError) -> UInt64 {
        switch self {
        case .absent: throw .noEntry
        case .open: throw .notPermitted
        case .fixed(let lengths): return lengths.longest
        }
    }
}

/// A register as long as a vector or a predicate. The process sees each at the greatest length that
/// there can be; what the vCPU does not have reads as zero and is not written.
public enum ScalableRegister: Hashable, Sendable {
    /// `z0`…`z31`.
    case vector(UInt8)
    /// `p0`…`p15`; 16 is FFR.
    case predicate(UInt8)

    /// Words of 64 bits that the process sees.
    public var words: UInt64 {
        switch self {
        case .vector: 32
        case .predicate: 4
        }
    }

    /// Words of EL2's area that come before the predicates.
    private static func vectorWords(_ length: UInt64) -> UInt64 { 64 * length }

    /// Where a halfword of a predicate is: the word of EL2's area, and the shift.
    private static func place(
        _ number: UInt8, _ halfword: UInt64, _ length: UInt64
    ) -> (word: UInt64, shift: UInt64) {
        let index = UInt64(number) * length + halfword
        return (vectorWords(length) + index / 4, index % 4 * 16)
    }

    /// One word as the process sees it.
    /// - Parameter load: a word of EL2's area (`VCPURegister.scalable`).
    public func word(
        _ index: UInt64, length: UInt64, load: (UInt64) throws(LinuxError) -> UInt64
    ) throws(LinuxError) -> UInt64 {
        switch self {
        case .vector(let number):
            return index < 2 * length ? try load(UInt64(number) * 2 * length + index) : 0
        case .predicate(let number):
            var value: UInt64 = 0
            for part in 0..<UInt64(4) where index * 4 + part < length {
                let (word, shift) = Self.place(number, index * 4 + part, length)
                value |= (try load(word) >> shift & 0xFFFF) << (part * 16)
            }
            return value
        }
    }

    /// Writes one.
    /// - Parameter store: writes a word of EL2's area.
    public func setWord(
        _ index: UInt64, _ value: UInt64, length: UInt64, load: (UInt64) throws(LinuxError) -> UInt64,
        store: (UInt64, UInt64) throws(LinuxError) -> Void
    ) throws(LinuxError) {
        switch self {
        case .vector(let number):
            if index < 2 * length { try store(UInt64(number) * 2 * length + index, value) }
        case .predicate(let number):
            for part in 0..<UInt64(4) where index * 4 + part < length {
                let (word, shift) = Self.place(number, index * 4 + part, length)
                let others = try load(word) & ~(0xFFFF << shift)
                try store(word, others | (value >> (part * 16) & 0xFFFF) << shift)
            }
        }
    }
}
