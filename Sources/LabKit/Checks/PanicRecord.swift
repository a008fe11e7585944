// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A hypervisor's panic record, as the module prints it into the kernel's log. The module's
// half of this format is `PanicRecord` in HostModuleCore.

/// What a panicking hypervisor left behind.
public struct HypervisorPanic: Equatable, Sendable {
    /// Where the exception was taken, or the call of the panic function.
    public var elr: UInt64 = 0
    /// The exception's syndrome.
    public var esr: UInt64 = 0
    /// The faulting address.
    public var far: UInt64 = 0
    /// The link register.
    public var lr: UInt64 = 0
    /// Where the image is at EL2: subtracted from an address it gives the image's own.
    public var base: UInt64 = 0
    /// The processor's index.
    public var cpu: UInt64 = 0
    /// What the hypervisor has to say.
    public var message = ""
    /// Return addresses, innermost first.
    public var frames: [UInt64] = []

    /// Finds a record in a kernel log or console.
    ///
    /// - Throws: ``LabError/malformed(file:why:)`` when there is none, or it lacks its address.
    public init(log: String) throws(LabError) {
        let mark = "martlet-panic: "
        var isFound = false
        for line in log.split(whereSeparator: \.isNewline) {
            guard let range = line.firstRange(of: mark) else { continue }
            let text = line[range.upperBound...]
            if text.hasPrefix("frame ") {
                guard let address = Self.number(text.dropFirst("frame ".count)) else {
                    throw .malformed(file: "The panic record", why: "`\(text)` has no address")
                }
                frames.append(address)
            } else {
                // Of several records the last counts, since it is the one that ended things.
                self = Self(fields: text)
                isFound = true
            }
        }
        guard isFound, base != 0, elr != 0 else {
            throw .malformed(
                file: "The panic record", why: "no line `\(mark)elr=…` with an address and a base was found")
        }
    }

    private init(fields: Substring) {
        var rest = fields
        if let message = rest.firstRange(of: "message=") {
            self.message = String(rest[message.upperBound...])
            rest = rest[..<message.lowerBound]
        }
        for word in rest.split(separator: " ") {
            let parts = word.split(separator: "=", maxSplits: 1)
            guard parts.count == 2, let value = Self.number(parts[1]) else { continue }
            switch parts[0] {
            case "elr": elr = value
            case "esr": esr = value
            case "far": far = value
            case "lr": lr = value
            case "base": base = value
            case "cpu": cpu = value
            default: break
            }
        }
    }

    /// A decimal number, or a hexadecimal one with its prefix.
    private static func number(_ text: Substring) -> UInt64? {
        text.hasPrefix("0x") ? UInt64(text.dropFirst(2), radix: 16) : UInt64(text)
    }

    /// The addresses to resolve, innermost first, each once.
    public var addresses: [UInt64] {
        var seen: Set<UInt64> = []
        return ([elr, lr] + frames).filter { $0 != 0 && seen.insert($0).inserted }
    }
}
