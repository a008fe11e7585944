// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The few file operations that the lab needs, on typed paths.

public import Foundation
public import SystemPackage

extension FilePath {
    /// Whether anything is at this path (links are followed).
    public var exists: Bool { FileManager.default.fileExists(atPath: string) }

    /// When the file was last changed, or the distant past when it is not there.
    public var modified: Date {
        let attributes = try? FileManager.default.attributesOfItem(atPath: string)
        return attributes?[.modificationDate] as? Date ?? .distantPast
    }

    /// The size of the file in bytes, or 0 when it is not there.
    public var size: Int {
        let attributes = try? FileManager.default.attributesOfItem(atPath: string)
        return (attributes?[.size] as? NSNumber)?.intValue ?? 0
    }

    /// The names in this folder, sorted; none when it is not there.
    public var entries: [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: string)) ?? []).sorted()
    }

    /// Makes the folder and those above it.
    public func makeFolder() throws(LabError) {
        do {
            try FileManager.default.createDirectory(atPath: string, withIntermediateDirectories: true)
        } catch {
            throw .file(self, why: "the folder cannot be made (\(error.localizedDescription))")
        }
    }

    /// What the path itself is, a link not being followed; nil when there is nothing.
    var kind: FileAttributeType? {
        (try? FileManager.default.attributesOfItem(atPath: string))?[.type] as? FileAttributeType
    }

    /// Removes what is at this path, with all below; nothing happens when it is not there.
    public func remove() throws(LabError) {
        // A dangling link does not "exist", and still has to go.
        guard kind != nil else { return }
        do {
            try FileManager.default.removeItem(atPath: string)
        } catch {
            throw .file(self, why: "it cannot be removed (\(error.localizedDescription))")
        }
    }

    /// The file's bytes.
    public func readBytes() throws(LabError) -> Data {
        do {
            return try Data(contentsOf: URL(filePath: string))
        } catch {
            throw .file(self, why: "it cannot be read (\(error.localizedDescription))")
        }
    }

    /// The file's text; bytes that are not UTF-8 become replacement characters.
    public func readText() throws(LabError) -> String {
        String(decoding: try readBytes(), as: UTF8.self)
    }

    /// Writes the file in one step, so that an interrupted run leaves the old one.
    public func write(_ bytes: Data) throws(LabError) {
        do {
            try bytes.write(to: URL(filePath: string), options: .atomic)
        } catch {
            throw .file(self, why: "it cannot be written (\(error.localizedDescription))")
        }
    }

    /// Writes text in one step.
    public func write(_ text: String) throws(LabError) {
        try write(Data(text.utf8))
    }

    /// Makes this path a symbolic link, replacing what was there.
    public func link(to destination: String) throws(LabError) {
        try remove()
        do {
            try FileManager.default.createSymbolicLink(atPath: string, withDestinationPath: destination)
        } catch {
            throw .file(self, why: "the link cannot be made (\(error.localizedDescription))")
        }
    }

    /// Copies a file to this path, replacing what was there.
    public func copy(from source: FilePath) throws(LabError) {
        try remove()
        do {
            try FileManager.default.copyItem(atPath: source.string, toPath: string)
        } catch {
            throw .file(self, why: "it cannot be copied from \(source.string) (\(error.localizedDescription))")
        }
    }

    /// Gives what is at another path this one, in one step; nothing may be here.
    public func rename(from source: FilePath) throws(LabError) {
        do {
            try FileManager.default.moveItem(atPath: source.string, toPath: string)
        } catch {
            throw .file(self, why: "\(source.string) cannot be moved here (\(error.localizedDescription))")
        }
    }

    /// Every regular file below this folder, in a stable order; links are not followed.
    ///
    /// - Parameter skipping: names of folders that are not entered.
    public func files(skipping: Set<String> = []) -> [FilePath] {
        var found: [FilePath] = []
        for name in entries where !skipping.contains(name) {
            let child = appending(name)
            switch child.kind {
            case .typeDirectory: found += child.files(skipping: skipping)
            case .typeRegular: found.append(child)
            default: break
            }
        }
        return found
    }
}
