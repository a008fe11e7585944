// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Everything that reads bytes from outside, each with what must hold whatever the bytes are. A fuzzer
// looks for bytes with which it does not; a unit test keeps those that were found.

/// A property that does not hold.
public struct BrokenProperty: Error, CustomStringConvertible {
    /// What does not hold, with the values.
    public let description: String

    init(_ description: String) { self.description = description }
}

/// Throws unless a property holds.
func hold(_ holds: Bool, _ description: @autoclosure () -> String) throws(BrokenProperty) {
    if !holds { throw BrokenProperty(description()) }
}

/// Something that reads bytes from outside.
public enum FuzzTarget: String, CaseIterable, Sendable {
    /// A kernel's file: Image header, wrappers, and the plan that follows.
    case kernel
    /// The VMM's command line.
    case commandLine = "command-line"
    /// Memory regions of a process, one after the other.
    case memorySlots = "memory-slots"
    /// Arguments of ioctls that are one structure.
    case arguments
    /// Identifiers of registers.
    case registers
    /// What EL2 answers to a run, and what a guest's syndrome says.
    case exits
    /// A guest's accesses to its interrupt controller, and a process's to the device.
    case interruptController = "interrupt-controller"
    /// The hypervisor's image, as the module measures and copies it.
    case hypervisorImage = "hypervisor-image"

    /// Reads the bytes, and checks what must hold. A trap is a failure too.
    public func check(_ bytes: [UInt8]) throws(BrokenProperty) {
        var input = FuzzInput(bytes)
        switch self {
        case .kernel: try checkKernel(&input)
        case .commandLine: try checkCommandLine(&input)
        case .memorySlots: try checkMemorySlots(&input)
        case .arguments: try checkArguments(&input)
        case .registers: try checkRegisters(&input)
        case .exits: try checkExits(&input)
        case .interruptController: try checkInterruptController(&input)
        case .hypervisorImage: try checkHypervisorImage(&input)
        }
    }
}

/// Bytes that are taken one after the other; behind the end all are zero.
struct FuzzInput {
    private let bytes: [UInt8]
    private var next = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var isEmpty: Bool { next >= bytes.count }

    mutating func byte() -> UInt8 {
        guard next < bytes.count else { return 0 }
        defer { next += 1 }
        return bytes[next]
    }

    /// Little-endian.
    mutating func word() -> UInt64 {
        var value: UInt64 = 0
        for index in 0..<UInt64(8) { value |= UInt64(byte()) << (index * 8) }
        return value
    }

    /// A small number, the end of the numbers, a power of two or one beside it, or any: one byte says which, so
    /// that a fuzzer finds the borders.
    mutating func number() -> UInt64 {
        let kind = byte()
        switch kind {
        case 0..<64: return UInt64(kind)
        case 64..<128: return 1 << UInt64(kind - 64)
        case 128..<192: return (1 << UInt64(kind - 128)) &- 1
        case 192..<200: return UInt64.max &- UInt64(kind - 192)
        case 200..<216: return UInt64(kind - 200) << 12 | UInt64(byte()) << 20
        default: return word()
        }
    }

    mutating func rest() -> [UInt8] {
        let rest = Array(bytes[min(next, bytes.count)...])
        next = bytes.count
        return rest
    }
}
