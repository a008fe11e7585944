// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Where the state lives: words that the user of this module provides, and how they are divided.

/// Memory for one VM's interrupts.
///
/// The words need no initial value. Nobody else writes them, and whoever calls a `VirtualGIC` holds
/// the VM's interrupt lock.
public protocol InterruptStore {
    /// Words there are.
    var count: Int { get }
    /// A word. `VirtualGIC` only asks for places in `0..<count`.
    subscript(place: Int) -> UInt64 { get set }
}

/// How many interrupts a VM has, and so how much memory they take.
public struct GICShape: Equatable, Sendable {
    /// vCPUs.
    public let vcpus: Int
    /// INTIDs from 0: 32 private ones of each vCPU and the SPIs.
    public let interrupts: Int

    /// INTIDs that each vCPU has for itself: 16 SGIs and 16 PPIs.
    public static let privateInterrupts = 32
    /// INTIDs from here on are special (IHI 0069, 2.2.1) and never SPIs.
    public static let firstSpecial = 1020

    /// A shape; nil if there are too many vCPUs, or `interrupts` is not a multiple of 32 from
    /// 64 to 1024 (what GICD_TYPER.ITLinesNumber can say, and at least 32 SPIs).
    public init?(vcpus: Int, interrupts: Int) {
        guard vcpus >= 0, vcpus <= VCPUSet.capacity, interrupts >= 64, interrupts <= 1024, interrupts & 31 == 0
        else { return nil }
        self.vcpus = vcpus
        self.interrupts = interrupts
    }

    /// Words that an `InterruptStore` of this shape needs.
    public var words: Int { vcpus &* Self.blockWords &+ interrupts &- Self.privateInterrupts }

    /// The end of the INTIDs that exist.
    var intidEnd: Int { interrupts < Self.firstSpecial ? interrupts : Self.firstSpecial }

    // A vCPU's block: its number, a summary of its candidates, the candidates as a bitmap over all
    // INTIDs, and its private interrupts. Bit n of the summary says that word n of the bitmap is
    // not zero, so that a walk over the candidates skips what is empty.
    static let blockWords = 64
    static let numberWord = 0
    static let summaryWord = 1
    static let candidateWord = 16
    static let candidateWords = 16
    static let privateWord = 32

    /// Place of the first word of a vCPU's block. The vCPU exists.
    func block(_ vcpu: VCPUIndex) -> Int { vcpu.rawValue &* Self.blockWords }

    /// Whether the VM has this vCPU.
    func has(_ vcpu: VCPUIndex) -> Bool { vcpu.rawValue >= 0 && vcpu.rawValue < vcpus }

    /// An interrupt that exists: a private one of `vcpu`, or an SPI, whoever asks; else nil.
    func place(of intid: Int, seenBy vcpu: VCPUIndex?) -> InterruptPlace? {
        if intid >= Self.privateInterrupts { return shared(intid) }
        guard let vcpu, has(vcpu), intid >= 0 else { return nil }
        return InterruptPlace(intid: intid, owner: vcpu, word: block(vcpu) &+ Self.privateWord &+ intid)
    }

    /// An SPI that exists, else nil.
    func shared(_ intid: Int) -> InterruptPlace? {
        guard intid >= Self.privateInterrupts, intid < intidEnd else { return nil }
        return InterruptPlace(
            intid: intid, owner: nil, word: vcpus &* Self.blockWords &+ intid &- Self.privateInterrupts)
    }
}

/// An interrupt of the VM that is known to exist, and where its word is.
struct InterruptPlace {
    let intid: Int
    /// The vCPU whose private interrupt it is.
    let owner: VCPUIndex?
    let word: Int

    /// The vCPU that the interrupt is for.
    func target(_ state: InterruptState) -> VCPUIndex? { owner ?? state.target }
}
