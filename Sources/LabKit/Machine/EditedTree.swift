// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A machine's device tree with what real ones have and QEMU's has not: a region of RAM that the
// kernel may not map, and a hole between two pieces of RAM.

import SystemPackage

/// Makes the device tree of a machine with regions in its RAM.
enum EditedTree {
    /// A piece of the physical address space.
    struct Region: Equatable {
        /// The first address.
        var start: UInt64
        /// Bytes.
        var size: UInt64

        /// The four cells of a `reg` property with two cells for each number.
        var cells: [String] {
            [start, size].flatMap { number in [number >> 32, number & 0xFFFF_FFFF].map { String($0, radix: 16) } }
        }
    }

    /// Where QEMU's RAM begins.
    private static let ramStart: UInt64 = 0x4000_0000

    /// A region that no superpage holds alone: its ends are a page off, so that tables have to be
    /// split around it. It lies well behind the kernel and the RAM disk.
    static let unmapped = Region(start: 0x7000_1000, size: 0x20_1000)

    /// The pieces of RAM that the kernel may use: all, or with more than 2 GiB what is left of a
    /// hole of the size and place that devices have on machines with a 32-bit past.
    static func usable(memory mebibytes: Int) -> [Region] {
        let size = UInt64(mebibytes) << 20
        guard size > 0x8000_0000 else { return [] }
        let above: UInt64 = 0x1_0000_0000
        return [
            Region(start: ramStart, size: 0x8000_0000), Region(start: above, size: ramStart + size - above),
        ]
    }

    /// Makes the tree.
    ///
    /// - Parameters:
    ///   - machine: the machine whose own tree is edited.
    ///   - folder: where the tree is kept.
    static func make(_ machine: MachineConfiguration, in folder: FilePath) async throws -> FilePath {
        let tree = folder.appending("machine.dtb")
        var hardware = machine.hardware
        hardware[1] += ",dumpdtb=\(tree.string)"
        try await Tool("qemu-system-aarch64", hardware + ["-nodefaults", "-display", "none"]).run(
            log: folder.appending("device-tree.log"))
        for words in edits(memory: machine.memory) {
            // Folders of the tree are made as needed, and numbers are hexadecimal.
            try await Tool("fdtput", ["-p", "-t", "x", tree.string] + words).run(
                log: folder.appending("device-tree.log"))
        }
        return tree
    }

    /// Node, property and cells of each edit.
    ///
    /// QEMU writes the memory node itself, whatever the tree says, so that the hole is a property
    /// by which the kernel is told which RAM it may use.
    static func edits(memory: Int) -> [[String]] {
        let reserved = "/reserved-memory"
        let region = "\(reserved)/firmware@\(String(unmapped.start, radix: 16))"
        var edits = [
            [reserved, "#address-cells", "2"], [reserved, "#size-cells", "2"], [reserved, "ranges"],
            [region, "reg"] + unmapped.cells, [region, "no-map"],
        ]
        let pieces = usable(memory: memory)
        if !pieces.isEmpty { edits.append(["/chosen", "linux,usable-memory-range"] + pieces.flatMap(\.cells)) }
        return edits
    }
}
