// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Writes a flattened device tree (Devicetree Specification 0.4, chapter 5).

/// A device tree under construction, and its flattened form.
public struct FlattenedDeviceTree: Sendable {
    private var structure: [UInt8] = []
    private var strings: [UInt8] = []
    private var names: [(name: String, offset: UInt32)] = []

    private enum Token: UInt32 {
        case beginNode = 1
        case endNode = 2
        case property = 3
        case end = 9
    }

    /// A tree whose root node has the content that `content` writes.
    public init(root content: (inout FlattenedDeviceTree) -> Void) {
        node("", content)
    }

    /// Adds a child named `name` to the node being written.
    public mutating func node(_ name: String, _ content: (inout FlattenedDeviceTree) -> Void) {
        append(.beginNode)
        structure += name.utf8
        structure.append(0)
        pad()
        content(&self)
        append(.endNode)
    }

    /// Adds a property without a value.
    public mutating func property(_ name: String) {
        property(name, bytes: [])
    }

    /// Adds a property that is a list of strings.
    public mutating func property(_ name: String, _ values: String...) {
        var bytes: [UInt8] = []
        for value in values {
            bytes += value.utf8
            bytes.append(0)
        }
        property(name, bytes: bytes)
    }

    /// Adds a property that is a list of 32-bit cells.
    public mutating func property(_ name: String, cells: [UInt32]) {
        var bytes: [UInt8] = []
        for cell in cells { FlattenedDeviceTree.append(cell, to: &bytes) }
        property(name, bytes: bytes)
    }

    /// Adds a property that is a list of numbers of two cells each.
    public mutating func property(_ name: String, wide: [UInt64]) {
        var bytes: [UInt8] = []
        for number in wide {
            FlattenedDeviceTree.append(UInt32(truncatingIfNeeded: number >> 32), to: &bytes)
            FlattenedDeviceTree.append(UInt32(truncatingIfNeeded: number), to: &bytes)
        }
        property(name, bytes: bytes)
    }

    /// Adds a property of raw bytes.
    public mutating func property(_ name: String, bytes: [UInt8]) {
        append(.property)
        FlattenedDeviceTree.append(UInt32(truncatingIfNeeded: bytes.count), to: &structure)
        FlattenedDeviceTree.append(offset(of: name), to: &structure)
        structure += bytes
        pad()
    }

    /// The tree in its flattened form, version 17, with an empty memory reservation block.
    public func flattened(bootProcessor: UInt32 = 0) -> [UInt8] {
        var structure = structure
        FlattenedDeviceTree.append(Token.end.rawValue, to: &structure)
        let headerSize = 40
        let reservationOffset = headerSize
        let structureOffset = reservationOffset + 16
        let stringsOffset = structureOffset + structure.count
        let total = stringsOffset + strings.count
        let fields = [
            0xD00D_FEED, UInt32(total), UInt32(structureOffset), UInt32(stringsOffset), UInt32(reservationOffset), 17,
            16,
            bootProcessor, UInt32(strings.count), UInt32(structure.count),
        ]
        var blob: [UInt8] = []
        for field in fields { FlattenedDeviceTree.append(field, to: &blob) }
        // The reservation block ends with one empty entry; there is nothing to reserve.
        for _ in 0..<16 { blob.append(0) }
        return blob + structure + strings
    }

    /// The place of `name` in the strings block; equal names share one.
    private mutating func offset(of name: String) -> UInt32 {
        for known in names where known.name == name { return known.offset }
        let offset = UInt32(truncatingIfNeeded: strings.count)
        names.append((name, offset))
        strings += name.utf8
        strings.append(0)
        return offset
    }

    private mutating func append(_ token: Token) {
        FlattenedDeviceTree.append(token.rawValue, to: &structure)
    }

    private mutating func pad() {
        while structure.count % 4 != 0 { structure.append(0) }
    }

    private static func append(_ cell: UInt32, to bytes: inout [UInt8]) {
        bytes.append(UInt8(truncatingIfNeeded: cell >> 24))
        bytes.append(UInt8(truncatingIfNeeded: cell >> 16))
        bytes.append(UInt8(truncatingIfNeeded: cell >> 8))
        bytes.append(UInt8(truncatingIfNeeded: cell))
    }
}
