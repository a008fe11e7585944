// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Why a kernel or an initrd cannot be used, in words.

public import VMMBoot
public import VMMConfiguration

/// What a file is for.
public enum FileRole: Equatable, Sendable {
    /// The guest's kernel.
    case kernel
    /// The guest's initial RAM disk.
    case initrd

    /// The role as a noun.
    public var noun: String {
        switch self {
        case .kernel: "kernel"
        case .initrd: "initrd"
        }
    }

    var option: String {
        switch self {
        case .kernel: "--kernel"
        case .initrd: "--initrd"
        }
    }
}

/// Why a file cannot be used.
public struct FileFailure: Explainable, Equatable, Sendable {
    /// What the file is for.
    public let role: FileRole
    /// Its path.
    public let path: String
    /// What is wrong.
    public let reason: Reason

    /// What can be wrong with a file.
    public enum Reason: Equatable, Sendable {
        /// It cannot be opened.
        case open(SystemError)
        /// It cannot be opened, and it was not named but chosen: the host's own kernel.
        case hostsOwnMissing(SystemError)
        /// It is a directory.
        case directory
        /// It is a device, a FIFO or a socket.
        case special
        /// It cannot be read.
        case read(SystemError)
        /// It became shorter while it was read.
        case changed
        /// It is empty.
        case empty
        /// Its content is not a kernel that can be booted.
        case content(KernelError)
        /// It does not fit into the guest's memory.
        case placement(PlacementError)
    }

    /// A failure of this file.
    public init(role: FileRole, path: String, reason: Reason) {
        self.role = role
        self.path = path
        self.reason = reason
    }

    /// The failure in words.
    public var explanation: Explanation {
        switch reason {
        case .open(let error):
            return unusable(FileFailure.why(error), next(for: error))
        case .hostsOwnMissing(let error):
            return unusable(FileFailure.why(error), "name a kernel with `--kernel FILE`")
        case .directory: return unusable("it is a directory", "name a file with `\(role.option) FILE`")
        case .special: return unusable("it is not a regular file", "name a regular file with `\(role.option) FILE`")
        case .read(let error):
            return unusable("reading it failed: \(error.text)", "check the disk, or copy the file again")
        case .changed: return unusable("it became shorter while it was read", "try again when nobody writes to it")
        case .empty: return unusable("it is empty", "copy or build the file again")
        case .content(let error): return unusable(error.why, error.next)
        case .placement(let error): return tooBig(error)
        }
    }

    private static func why(_ error: SystemError) -> String {
        switch error.name {
        case .noEntry: "there is no such file"
        case .accessDenied, .notPermitted: "you may not read it"
        default: error.text
        }
    }

    private func next(for error: SystemError) -> String {
        switch error.name {
        case .accessDenied, .notPermitted: "make it readable (`chmod +r`), or run martlet as root"
        default: "check the path given to `\(role.option)`"
        }
    }

    private func unusable(_ why: String, _ next: String) -> Explanation {
        Explanation(what: "the \(role.noun) '\(path)' cannot be used", why: why, next: next, status: .unusableFile)
    }

    private func tooBig(_ error: PlacementError) -> Explanation {
        switch error {
        case .kernelLargerThanMemory(let needed, let available):
            Explanation(
                what: "the kernel '\(path)' does not fit into the guest's memory",
                why: "it needs \(MemorySize.describe(needed)) and the guest has \(MemorySize.describe(available))",
                next: "give `--memory \(needed >> 20)M` or more", status: .doesNotFit)
        case .initrdTooBig(let size, let available):
            Explanation(
                what: "the initrd '\(path)' does not fit into the guest's memory",
                why: "it has \(MemorySize.describe(size)) and the kernel leaves \(MemorySize.describe(available))",
                next: "give more with `--memory`, or a smaller initrd", status: .doesNotFit)
        }
    }
}
