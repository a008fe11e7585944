// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Modules of the stock kernel for an initial RAM disk: found by name, with what they depend
// on, in the order in which they have to be loaded.

import Foundation
public import SystemPackage

/// The modules of an unpacked kernel package.
public struct KernelModules: Sendable {
    /// Where the kernel's modules are unpacked.
    private let files: [String: FilePath]

    /// Finds all modules of an unpacked kernel image package.
    public init(package: FilePath) {
        var files: [String: FilePath] = [:]
        let folder = package.appending("lib/modules")
        // Plain strings: there are thousands of modules, and one or two dozen are wanted.
        for path in FileManager.default.subpaths(atPath: folder.string) ?? [] {
            let name = path.split(separator: "/").last ?? ""
            guard let suffix = [".ko", ".ko.xz"].first(where: name.hasSuffix) else { continue }
            files[Self.canonical(String(name.dropLast(suffix.count)))] = folder.appending(path)
        }
        self.files = files
    }

    /// Uncompressed copies of modules and of all that they depend on, dependencies first.
    ///
    /// - Parameters:
    ///   - names: the modules wanted.
    ///   - folder: where the copies go.
    /// - Throws: ``LabError/packageUnavailable(_:)`` for a module that the kernel does not have.
    public func extract(_ names: [String], into folder: FilePath) async throws -> [FilePath] {
        try folder.makeFolder()
        var ordered: [FilePath] = []
        var done: Set<String> = []
        func visit(_ name: String) async throws {
            guard done.insert(Self.canonical(name)).inserted else { return }
            guard let file = files[Self.canonical(name)] else {
                throw LabError.packageUnavailable("the kernel module \(name)")
            }
            let copy = folder.appending("\(Self.canonical(name)).ko")
            try await uncompress(file, to: copy)
            for dependency in Self.dependencies(of: try copy.readBytes()) { try await visit(dependency) }
            ordered.append(copy)
        }
        for name in names { try await visit(name) }
        return ordered
    }

    /// The dependencies that a module's own information section names.
    static func dependencies(of module: Data) -> [String] {
        // The section holds NUL-terminated `key=value` strings; `depends=` occurs once.
        guard let start = module.firstRange(of: Data("\0depends=".utf8)) else { return [] }
        let value = module[start.upperBound...].prefix { $0 != 0 }
        return String(decoding: value, as: UTF8.self).split(separator: ",").map(String.init)
    }

    /// The kernel takes dashes and underscores in module names for the same.
    private static func canonical(_ name: String) -> String { name.replacing("-", with: "_") }

    private func uncompress(_ file: FilePath, to copy: FilePath) async throws {
        guard file.extension == "xz" else { return try copy.copy(from: file) }
        let compressed = FilePath(copy.string + ".xz")
        try compressed.copy(from: file)
        _ = try await Tool("xz", ["--decompress", "--force", compressed.string]).capture()
    }
}
