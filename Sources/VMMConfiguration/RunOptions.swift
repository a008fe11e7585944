// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What a person can ask of `martlet`, after validation.

/// How many virtual CPUs a guest has: 1 to 8.
public struct ProcessorCount: Equatable, Sendable {
    /// The number of virtual CPUs.
    public let value: Int

    /// The range that is accepted.
    public static let range: ClosedRange<Int> = 1...8
    /// What a guest gets when nothing is said.
    public static let standard = ProcessorCount(trusted: 1)

    private init(trusted value: Int) { self.value = value }

    /// Reads a count such as `4`.
    public init(parsing text: String) throws(UsageError) {
        guard !text.isEmpty, text.utf8.allSatisfy({ $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }) else {
            throw .processorsNotANumber(text)
        }
        // A row of digits that does not fit an Int is a number all the same, only a silly one.
        guard let value = Int(text), ProcessorCount.range.contains(value) else { throw .processorsOutOfRange(text) }
        self.value = value
    }
}

/// Whether the guest is hidden from the host.
public enum Protection: Equatable, Sendable {
    /// The host can read and write the guest, as with any hypervisor.
    case normal
    /// The hypervisor is asked for a protected VM, which the host cannot read.
    case protected
}

/// Where a protected guest's memory comes from.
public enum PrivateMemoryChoice: Equatable, Sendable {
    /// Nothing was said: a descriptor if KVM has them, else pinned memory.
    case best
    /// A descriptor of private memory, whose pages are no process's any more once the guest has them.
    case descriptor
    /// Memory of this process that stays mapped and cannot be used any more.
    case pinned
}

/// How `martlet` reports on standard error.
public enum ReportFormat: Equatable, Sendable {
    /// Sentences for a person.
    case text
    /// One JSON object a line.
    case json
}

/// Whether the machine is built, or only planned.
public enum RunMode: Equatable, Sendable {
    /// Boot the guest.
    case run
    /// Read and check everything, print the plan, do not open `/dev/kvm`.
    case dryRun
}

/// Where a guest file comes from.
public enum FileChoice: Equatable, Sendable {
    /// The person named this path.
    case path(String)
    /// Nothing was said: the host's own file, if there is one.
    case hostsOwn
    /// The guest has no such file.
    case none
}

/// The options of `martlet run`.
public struct RunOptions: Equatable, Sendable {
    /// The guest's kernel.
    public var kernel: FileChoice = .hostsOwn
    /// The guest's initial RAM disk.
    public var initrd: FileChoice = .hostsOwn
    /// The guest's kernel command line.
    public var commandLine: KernelCommandLine = .standard
    /// The number of virtual CPUs.
    public var processors: ProcessorCount = .standard
    /// The guest's RAM.
    public var memory: MemorySize = .standard
    /// Normal or protected.
    public var protection: Protection = .normal
    /// Where a protected guest's memory comes from.
    public var privateMemory: PrivateMemoryChoice = .best
    /// How to report.
    public var report: ReportFormat = .text
    /// Run or plan.
    public var mode: RunMode = .run

    /// The options of a bare `martlet run`.
    public init() {}
}

/// A guest kernel's command line: at most 2047 bytes, which is what arm64 Linux keeps (COMMAND_LINE_SIZE less the NUL).
public struct KernelCommandLine: Equatable, Sendable {
    /// The text handed to the guest in `/chosen/bootargs`.
    public let text: String

    /// The most bytes that arm64 Linux takes.
    public static let limit = 2047

    /// Early messages, the serial console, and a reset instead of a hang when the kernel panics.
    public static let standard = KernelCommandLine(trusted: "earlycon console=ttyS0 panic=-1")

    private init(trusted text: String) { self.text = text }

    /// Checks the length of `text`.
    public init(_ text: String) throws(UsageError) {
        guard text.utf8.count <= KernelCommandLine.limit else { throw .commandLineTooLong(text.utf8.count) }
        self.text = text
    }
}

/// One call of the program.
public enum Command: Equatable, Sendable {
    /// `martlet run`.
    case run(RunOptions)
    /// `--help`.
    case help
    /// `--version`.
    case version
}
