// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Which limit stood in the way of the guest's memory, and how to raise it.

public import VMMConfiguration

/// The limits that a mapping of memory can run into, in bytes; nil where there is none.
public struct MemoryLimits: Equatable, Sendable {
    /// The process's address space, RLIMIT_AS.
    public var addressSpace: UInt64?
    /// The process's private memory, RLIMIT_DATA.
    public var data: UInt64?
    /// Memory that the process may lock, RLIMIT_MEMLOCK.
    public var locked: UInt64?
    /// RAM and swap of the host.
    public var machine: UInt64

    /// These limits.
    public init(addressSpace: UInt64?, data: UInt64?, locked: UInt64? = nil, machine: UInt64) {
        self.addressSpace = addressSpace
        self.data = data
        self.locked = locked
        self.machine = machine
    }
}

/// A refusal to give the guest its memory.
public struct MemoryRefusal: Equatable, Sendable {
    /// What the memory was needed for.
    public enum Purpose: Equatable, Sendable {
        /// To map it.
        case mapping
        /// To lock it, as pinned memory of a protected guest is.
        case locking
    }

    /// What was asked for.
    public let asked: MemorySize
    /// What the kernel said.
    public let error: SystemError
    /// The limits in force.
    public let limits: MemoryLimits
    /// What the memory was needed for.
    public let purpose: Purpose

    /// A refusal under these limits.
    public init(asked: MemorySize, error: SystemError, limits: MemoryLimits, purpose: Purpose = .mapping) {
        self.purpose = purpose
        self.asked = asked
        self.error = error
        self.limits = limits
    }

    /// The refusal in words.
    public var explanation: Explanation {
        let (why, next) = cause
        return Explanation(
            what: "the guest cannot have \(asked.description) of memory", why: why, next: next, status: .hostRefused)
    }

    private var cause: (why: String, next: String) {
        if purpose == .locking, let limit = limits.locked {
            return (
                "pinned memory counts as locked, and the limit on that is \(MemorySize.describe(limit))",
                "raise it with `ulimit -l unlimited`, give less with `--memory`, or leave `--private-memory` out"
            )
        }
        guard error.name == .noMemory || error.name == .tryAgain else {
            return (error.text, "`dmesg` on the host may say more")
        }
        // The process has some memory of its own beside the guest's, so a limit equal to the guest's is too low.
        if let limit = limits.addressSpace, limit <= asked.bytes + MemoryRefusal.ownNeeds {
            return (
                "the limit on address space is \(MemorySize.describe(limit))",
                "raise it with `ulimit -v unlimited`, or give less with `--memory`"
            )
        }
        if let limit = limits.data, limit <= asked.bytes + MemoryRefusal.ownNeeds {
            return (
                "the limit on private memory is \(MemorySize.describe(limit))",
                "raise it with `ulimit -d unlimited`, or give less with `--memory`"
            )
        }
        if limits.machine <= asked.bytes {
            return (
                "the host has \(MemorySize.describe(limits.machine)) of memory and swap together",
                "give less with `--memory`, or add swap"
            )
        }
        return (
            "the host's kernel will not promise that much (\(error.text))",
            "give less with `--memory`, stop something, or raise `vm.overcommit_ratio` (`sysctl vm.overcommit_memory`)"
        )
    }

    /// An allowance for the program's own code, stacks and buffers.
    private static let ownNeeds: UInt64 = 128 << 20
}
