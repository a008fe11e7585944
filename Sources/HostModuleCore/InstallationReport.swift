// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The one line that a successful installation leaves in the kernel's log.

/// What a finished installation tells.
public struct InstallationReport: Sendable {
    /// The version of the host calls, as `HostCall.version` answers it.
    public var interfaceVersion: UInt64
    /// SHA-256 of the hypervisor image.
    public var digest: InlineArray<32, UInt8>
    /// Superpages that are now EL2's.
    public var superpages: UInt64
    /// CPUs behind the stage-2.
    public var cpus: UInt64
    /// How long the machine stood still.
    public var microseconds: UInt64

    /// A report.
    public init(
        interfaceVersion: UInt64, digest: InlineArray<32, UInt8>, superpages: UInt64, cpus: UInt64,
        microseconds: UInt64
    ) {
        self.interfaceVersion = interfaceVersion
        self.digest = digest
        self.superpages = superpages
        self.cpus = cpus
        self.microseconds = microseconds
    }

    /// Writes the line.
    public func describe<Sink: TextSink & ~Copyable & ~Escapable>(to sink: inout Sink) {
        sink.write("the hypervisor owns EL2: interface ")
        sink.write(decimal: interfaceVersion >> 16)
        sink.write(byte: UInt8(ascii: "."))
        sink.write(decimal: interfaceVersion & 0xFFFF)
        sink.write(", sha256 ")
        for index in digest.indices { sink.write(digestByte: digest[index]) }
        sink.write(", ")
        sink.write(decimal: superpages * (Limits.superpageSize >> 20))
        sink.write(" MiB reserved, ")
        sink.write(decimal: cpus)
        sink.write(cpus == 1 ? " CPU, " : " CPUs, ")
        sink.write(decimal: microseconds)
        sink.write(" us")
    }
}
