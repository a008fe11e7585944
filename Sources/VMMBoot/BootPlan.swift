// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Where the kernel, the initrd and the device tree go in guest memory
// (Linux, Documentation/arch/arm64/booting.rst, sections 2 to 5).

/// A placement of everything that is in memory before the first instruction.
public struct BootPlan: Equatable, Sendable {
    /// The kernel with its BSS. Its first byte is the entry point.
    public let kernel: GuestRange
    /// The initial RAM disk.
    public let initrd: GuestRange?
    /// The room for the device tree: at most 2 MiB that cross no 2 MiB boundary.
    public let deviceTree: GuestRange

    private static let block: UInt64 = 2 << 20

    /// The room kept for the device tree; a tree of this VMM has a few KiB, most of it the command line.
    public static let deviceTreeRoom: UInt64 = 64 << 10

    /// Places a kernel and an initrd of `initrdSize` bytes in `memory`, in ascending order and without a gap
    /// larger than a block: what a protected guest starts with is then one short range.
    public init(memory: GuestRange, kernel header: ImageHeader, initrdSize: UInt64?) throws(PlacementError) {
        kernel = GuestRange(start: memory.start.advanced(by: header.textOffset), count: header.imageSize)
        var next = kernel.end.alignedUp(to: BootPlan.block)
        // The kernel's own minimum: it, a device tree, and one block to start working in.
        let kernelNeeds = next.value - memory.start.value + 2 * BootPlan.block
        guard kernelNeeds <= memory.count else {
            throw .kernelLargerThanMemory(needed: kernelNeeds, available: memory.count)
        }
        if let initrdSize {
            // The first comparison keeps the sum from overflowing whatever a file system claims.
            guard initrdSize <= memory.count else {
                throw .initrdTooBig(size: initrdSize, available: memory.count - kernelNeeds)
            }
            let range = GuestRange(start: next, count: initrdSize)
            next = range.end.alignedUp(to: BootPlan.block)
            let needs = next.value - memory.start.value + 2 * BootPlan.block
            guard needs <= memory.count else {
                throw .initrdTooBig(size: initrdSize, available: memory.count - kernelNeeds)
            }
            initrd = range
        } else {
            initrd = nil
        }
        deviceTree = GuestRange(start: next, count: BootPlan.deviceTreeRoom)
    }
}

/// Why the guest's files do not fit into its memory.
public enum PlacementError: Error, Equatable, Sendable {
    /// The kernel needs `needed` bytes of memory and the guest has `available`.
    case kernelLargerThanMemory(needed: UInt64, available: UInt64)
    /// The initrd has `size` bytes and the kernel leaves `available`.
    case initrdTooBig(size: UInt64, available: UInt64)
}
