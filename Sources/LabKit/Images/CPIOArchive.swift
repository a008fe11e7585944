// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The archive format of an initial RAM disk, "newc" (Linux, initramfs buffer format).
// Written here rather than by a program, so that owners, times and device nodes are the same
// on every machine and nobody needs to be root.

public import Foundation

/// An initial RAM disk in the making.
public struct CPIOArchive {
    /// File type bits of the mode, as in stat(2).
    private enum Kind: UInt32 {
        case folder = 0o040000
        case file = 0o100000
        case link = 0o120000
        case characterDevice = 0o020000
    }

    private var bytes = Data()
    private var count: UInt32 = 0
    private var folders: Set<String> = []

    /// An empty archive.
    public init() {}

    /// Adds a folder, and those above it.
    public mutating func addFolder(_ path: String) {
        var parent = ""
        for part in path.split(separator: "/") {
            parent += parent.isEmpty ? String(part) : "/\(part)"
            if folders.insert(parent).inserted {
                append(parent, .folder, permissions: 0o755, content: Data())
            }
        }
    }

    /// Adds a file; its folder is added too.
    public mutating func addFile(_ path: String, _ content: Data, permissions: UInt32 = 0o644) {
        addParent(of: path)
        append(path, .file, permissions: permissions, content: content)
    }

    /// Adds a symbolic link; its folder is added too.
    public mutating func addLink(_ path: String, to destination: String) {
        addParent(of: path)
        append(path, .link, permissions: 0o777, content: Data(destination.utf8))
    }

    /// Adds a character device; its folder is added too.
    public mutating func addCharacterDevice(_ path: String, major: UInt32, minor: UInt32) {
        addParent(of: path)
        append(path, .characterDevice, permissions: 0o600, content: Data(), device: (major, minor))
    }

    /// The finished archive.
    public consuming func finished() -> Data {
        // The trailer is an entry without a type, and its name is fixed.
        appendEntry("TRAILER!!!", mode: 0, links: 1, content: Data(), device: (0, 0))
        return bytes
    }

    private mutating func addParent(of path: String) {
        if let slash = path.lastIndex(of: "/") { addFolder(String(path[..<slash])) }
    }

    private mutating func append(
        _ path: String, _ kind: Kind, permissions: UInt32, content: Data, device: (UInt32, UInt32) = (0, 0)
    ) {
        count += 1
        appendEntry(
            path, mode: kind.rawValue | permissions, links: kind == .folder ? 2 : 1, content: content, device: device)
    }

    private mutating func appendEntry(
        _ path: String, mode: UInt32, links: UInt32, content: Data, device: (UInt32, UInt32)
    ) {
        let fields: [UInt32] = [
            count, mode, 0, 0, links, 0, UInt32(content.count), 0, 0, device.0, device.1,
            UInt32(path.utf8.count + 1), 0,
        ]
        bytes.append(contentsOf: "070701".utf8)
        for field in fields {
            let digits = String(field, radix: 16, uppercase: true)
            bytes.append(contentsOf: (String(repeating: "0", count: 8 - digits.count) + digits).utf8)
        }
        bytes.append(contentsOf: path.utf8)
        bytes.append(0)
        pad()
        bytes.append(content)
        pad()
    }

    /// Names and contents begin at multiples of four.
    private mutating func pad() {
        while bytes.count % 4 != 0 { bytes.append(0) }
    }
}
