// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Which entries of the kernel's resource tree and which nodes of the device tree matter to EL2.

/// One entry of the kernel's resource tree, as far as the decision needs it.
public enum ResourceClass: Equatable, Sendable {
    /// RAM that the kernel manages: the entry has the system-RAM flag.
    case systemRAM
    /// RAM that firmware keeps from the kernel (NOMAP). On arm64 it is a memory entry at the top
    /// of the tree that is called "reserved" and lacks the system-RAM flag; what the kernel
    /// itself reserves is called the same and lies *inside* system RAM.
    case firmwareRAM
    /// A device, a window of a bus, or a part of something larger.
    case other

    /// Classifies an entry that lies inside no system RAM.
    public init(hasSystemRAMFlag: UInt32, isNamedReserved: UInt32, depth: UInt32) {
        if hasSystemRAMFlag != 0 {
            self = .systemRAM
        } else if isNamedReserved != 0, depth == 0 {
            self = .firmwareRAM
        } else {
            self = .other
        }
    }

    /// What EL2 is told of it; `nil` for nothing.
    public var rangeKind: RangeKind? {
        switch self {
        case .systemRAM: .ram
        case .firmwareRAM: .firmware
        case .other: nil
        }
    }
}

/// Devices whose registers the host must never reach after de-privilege: external debug, cross
/// trigger and trace can halt a CPU at EL2 or read what it does there.
public enum DeniedDevice {
    /// "arm,coresight-" in ASCII.
    private static let prefix: InlineArray<14, UInt8> = [
        0x61, 0x72, 0x6D, 0x2C, 0x63, 0x6F, 0x72, 0x65, 0x73, 0x69, 0x67, 0x68, 0x74, 0x2D,
    ]

    /// Whether a device-tree node with this `compatible` string is one.
    ///
    /// Arm's bindings for all of them start alike: arm,coresight-etm4x, -cti, -cpu-debug, -tmc,
    /// -stm, -dynamic-funnel and so on.
    public static func matches(compatible: Span<UInt8>) -> Bool {
        guard compatible.count >= prefix.count else { return false }
        for index in prefix.indices where compatible[index] != prefix[index] { return false }
        return true
    }
}
