// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The guest's RAM as the VMM holds it.

internal import CLinux
public import VMMBoot
public import VMMConfiguration
public import VMMRun

/// What the guest's RAM is made of.
public enum MemoryBacking: ~Copyable, Sendable {
    /// Ordinary anonymous memory of this process.
    case anonymous
    /// A descriptor of private memory, as large as the RAM.
    case descriptor(Descriptor)
}

/// The guest's RAM. It is unmapped when its owner is gone, which must be after the VM is.
@safe public struct GuestMemory: ~Copyable, @unchecked Sendable {
    // The guest changes the memory at any time; the VMM writes it only before the guest runs and never trusts what it
    // reads back. So sharing the pointer between threads adds no hazard.

    /// The guest-physical addresses of the RAM.
    public let range: GuestRange
    let base: UnsafeMutableRawPointer
    let backing: MemoryBacking

    /// Maps the RAM of a guest.
    init(_ range: GuestRange, backing: consuming MemoryBacking, asked: MemorySize) throws(HostFailure) {
        var error: Int32 = 0
        // Safety: a fresh mapping of the size asked for, at a multiple of 2 MiB so that huge pages can back it.
        let base =
            switch backing {
            case .anonymous: unsafe clinux_map_memory(range.count, 2 << 20, &error)
            case .descriptor(let file): unsafe clinux_map_shared(file.number, range.count, 2 << 20, &error)
            }
        guard let base = unsafe base else {
            throw .memory(MemoryRefusal(asked: asked, error: SystemError(error), limits: GuestMemory.limits()))
        }
        unsafe self.base = unsafe base
        self.range = range
        self.backing = backing
    }

    // Safety: the mapping is this value's own and of this size.
    deinit { unsafe clinux_unmap(base, range.count) }

    private static func limits() -> MemoryLimits {
        var limits = clinux_limits()
        guard unsafe clinux_limits(&limits) == 0 else {
            return MemoryLimits(addressSpace: nil, data: nil, locked: nil, machine: .max)
        }
        return MemoryLimits(
            addressSpace: limits.address_space == .max ? nil : limits.address_space,
            data: limits.data == .max ? nil : limits.data, locked: limits.locked == .max ? nil : limits.locked,
            machine: limits.machine)
    }

    /// Checks that the host has so much memory at all: nothing is promised when private memory is mapped.
    static func checkMachine(has asked: MemorySize) throws(HostFailure) {
        let limits = limits()
        guard limits.machine > asked.bytes else {
            throw .memory(MemoryRefusal(asked: asked, error: .outOfMemory, limits: limits))
        }
    }

    /// Checks that all of it may be pinned.
    func checkLocking(asked: MemorySize) throws(HostFailure) {
        // Safety: the mapping is this value's own and of this size.
        let result = unsafe clinux_may_lock(base, range.count)
        guard result == 0 else {
            throw .memory(
                MemoryRefusal(
                    asked: asked, error: SystemError(result), limits: GuestMemory.limits(), purpose: .locking))
        }
    }

    /// Calls `body` with the host's view of `part`, which must lie within the RAM.
    func withBytes<Result, Failure: Error>(
        of part: GuestRange, _ body: (inout MutableRawSpan) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        precondition(range.contains(part))
        // Safety: the precondition keeps the span within the mapping, which lives as long as this value.
        var span = unsafe MutableRawSpan(
            _unsafeStart: base + Int(part.start.value - range.start.value), byteCount: Int(part.count))
        return try body(&span)
    }

    /// Copies `bytes` to `address`; all of them must lie within the RAM.
    public func write(_ bytes: [UInt8], at address: GuestAddress) {
        withBytes(of: GuestRange(start: address, count: UInt64(bytes.count))) { span in
            // Safety: the span was made for as many bytes as there are.
            unsafe span.withUnsafeMutableBytes { buffer in
                unsafe buffer.copyBytes(from: bytes)
            }
        }
    }
}
