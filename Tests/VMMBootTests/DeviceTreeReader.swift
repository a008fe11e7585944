// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A reader of flattened device trees, written from the specification and not from the writer,
// so that the two check each other.

/// A node that was read.
struct TreeNode {
    var properties: [String: [UInt8]] = [:]
    var children: [String: TreeNode] = [:]

    func cells(_ name: String) -> [UInt32]? {
        guard let bytes = properties[name], bytes.count % 4 == 0 else { return nil }
        return stride(from: 0, to: bytes.count, by: 4).map { DeviceTreeReader.big(bytes, $0) }
    }

    func wide(_ name: String) -> [UInt64]? {
        guard let cells = cells(name), cells.count % 2 == 0 else { return nil }
        return stride(from: 0, to: cells.count, by: 2).map { UInt64(cells[$0]) << 32 | UInt64(cells[$0 + 1]) }
    }

    func text(_ name: String) -> String? {
        guard let bytes = properties[name], bytes.last == 0 else { return nil }
        return String(decoding: bytes.dropLast(), as: UTF8.self)
    }

    subscript(_ name: String) -> TreeNode? { children[name] }
}

struct DeviceTreeReader {
    enum Malformed: Error { case header, token(UInt32), name }

    private let blob: [UInt8]
    private let structure: Int
    private let strings: Int
    private var position: Int

    static func big(_ bytes: [UInt8], _ offset: Int) -> UInt32 {
        bytes[offset..<offset + 4].reduce(0) { $0 << 8 | UInt32($1) }
    }

    static func read(_ blob: [UInt8]) throws -> TreeNode {
        guard blob.count >= 40, big(blob, 0) == 0xD00D_FEED, Int(big(blob, 4)) == blob.count,
            big(blob, 20) == 17, big(blob, 24) == 16,
            Int(big(blob, 8) + big(blob, 36)) == Int(big(blob, 12)),
            Int(big(blob, 12) + big(blob, 32)) == blob.count
        else { throw Malformed.header }
        var reader = DeviceTreeReader(
            blob: blob, structure: Int(big(blob, 8)), strings: Int(big(blob, 12)), position: Int(big(blob, 8)))
        guard reader.cell() == 1 else { throw Malformed.header }
        let (name, root) = try reader.node()
        guard name.isEmpty, reader.cell() == 9, reader.position == reader.strings else { throw Malformed.header }
        return root
    }

    private mutating func cell() -> UInt32 {
        defer { position += 4 }
        return DeviceTreeReader.big(blob, position)
    }

    private func string(at offset: Int) throws -> String {
        guard let end = blob[offset...].firstIndex(of: 0) else { throw Malformed.name }
        return String(decoding: blob[offset..<end], as: UTF8.self)
    }

    private mutating func node() throws -> (String, TreeNode) {
        let name = try string(at: position)
        position = (position + name.utf8.count + 1 + 3) & ~3
        var node = TreeNode()
        while true {
            let token = cell()
            switch token {
            case 1:
                let (name, child) = try self.node()
                guard node.children.updateValue(child, forKey: name) == nil else { throw Malformed.name }
            case 2: return (name, node)
            case 3:
                let count = Int(cell())
                let name = try string(at: strings + Int(cell()))
                guard node.properties.updateValue(Array(blob[position..<position + count]), forKey: name) == nil
                else { throw Malformed.name }
                position = (position + count + 3) & ~3
            default: throw Malformed.token(token)
            }
        }
    }
}
