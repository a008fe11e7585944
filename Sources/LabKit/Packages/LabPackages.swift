// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The packages that are unpacked into the lab's cache: resolving them once, recording the
// choice, and fetching what is not there.

import Foundation
import SystemPackage

/// The versions that the lab uses, as recorded in its cache.
public struct LabLock: Codable, Equatable, Sendable {
    /// One unpacked package.
    public struct Entry: Codable, Equatable, Sendable {
        /// The package's name.
        public var name: String
        /// Its version.
        public var version: String
        /// Its architecture, or `all`.
        public var architecture: String
        /// The folder below the cache's packages that it is unpacked into.
        public var folder: String
    }
    /// The Debian release that the packages are from.
    public var distribution: String
    /// The host kernel's release without its flavour.
    public var kernel: String
    /// The packages.
    public var packages: [Entry]
}

/// Fetches and unpacks the lab's packages.
public struct LabPackages: Sendable {
    /// The kernel series of the host and guest.
    public static let kernelSeries = "6.12"
    /// Packages besides the kernel's, all arm64: the host's user space, and libraries to link with.
    static let others = ["busybox-static", "zlib1g-dev"]

    /// The project.
    public let workspace: Workspace

    /// Works in a project's cache.
    public init(_ workspace: Workspace) {
        self.workspace = workspace
    }

    /// What was chosen before, or nil on a fresh clone.
    public func locked() throws(LabError) -> LabLock? {
        guard workspace.lock.exists else { return nil }
        do {
            return try JSONDecoder().decode(LabLock.self, from: workspace.lock.readBytes())
        } catch let error as LabError {
            throw error
        } catch {
            throw .malformed(file: workspace.lock.string, why: "it is not a record of packages; remove it")
        }
    }

    /// Makes sure that every package is unpacked, and returns the versions.
    ///
    /// - Parameter renewing: whether to look for newer versions even if all is there.
    @discardableResult
    public func prepare(renewing: Renewal = .keep) async throws -> LabLock {
        let release = try DebianRelease.ofThisMachine()
        if renewing == .keep, let lock = try locked(), lock.distribution == release.rawValue, isUnpacked(lock) {
            return lock
        }
        let root = AptRoot(workspace: workspace, purpose: .lab)
        let sources = try AptSources.derive(from: AptSources.ofThisMachine(), release: release, for: .lab)
        try await Progress.step("fetching the lab's package lists") {
            try await root.update(sources: sources, log: workspace.logs.appending("lab-update.log"))
        }
        let (lock, wanted) = try await Progress.step("choosing kernel and packages") {
            try await resolve(root, release: release)
        }
        Progress.say("Lab packages: Linux \(lock.kernel) for arm64 and \(Self.others.count) others, into .lab/")
        let files = try await Progress.step("downloading \(wanted.count) packages") {
            try await root.download(
                wanted, into: workspace.downloads, log: workspace.logs.appending("lab-download.log"))
        }
        try await unpack(lock, files: files)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        try workspace.lock.write(try encoder.encode(lock))
        return lock
    }

    /// Whether newer versions are looked for.
    public enum Renewal: Sendable {
        /// Use the recorded versions when they are there.
        case keep
        /// Look for newer ones.
        case renew
    }

    private func resolve(
        _ root: AptRoot, release: DebianRelease
    ) async throws -> (lock: LabLock, wanted: [OfferedPackage]) {
        let kernels = try await root.names(prefixes: KernelSelection.prefixes(series: Self.kernelSeries))
        let offers = try await root.offers(Self.others + kernels.compactMap(KernelSelection.query))
        let kernel = try KernelSelection(from: offers, series: Self.kernelSeries)
        var entries: [LabLock.Entry] = []
        var wanted: [OfferedPackage] = []
        func add(_ package: OfferedPackage, into folder: String) {
            wanted.append(package)
            entries.append(
                LabLock.Entry(
                    name: package.name, version: package.version.description, architecture: package.architecture,
                    folder: folder))
        }
        add(kernel.image, into: kernel.image.name)
        add(kernel.cloudImage, into: kernel.cloudImage.name)
        // The three refer to each other by relative links, so they share a folder.
        for part in [kernel.headers, kernel.commonHeaders, kernel.buildTools] {
            add(part, into: KernelTree.folder(release: kernel.release))
        }
        for name in Self.others {
            let versions = offers.filter { $0.name == name && $0.architecture == "arm64" }
            // The release's own version is preferred: it matches the cross C library.
            let candidates = versions.contains { !$0.isBackport } ? versions.filter { !$0.isBackport } : versions
            guard let package = candidates.max(by: { $0.version < $1.version }) else {
                throw LabError.packageUnavailable("\(name) for arm64")
            }
            add(package, into: name)
        }
        return (LabLock(distribution: release.rawValue, kernel: kernel.release, packages: entries), wanted)
    }

    /// Records inside a folder which packages it holds, so that an interrupted run is noticed.
    private func marker(_ folder: String) -> FilePath { workspace.packages.appending("\(folder).unpacked") }

    private func contents(of folder: String, in lock: LabLock) -> String {
        lock.packages.filter { $0.folder == folder }.map { "\($0.name) \($0.version) \($0.architecture)\n" }.joined()
    }

    private func isUnpacked(_ lock: LabLock) -> Bool {
        Set(lock.packages.map(\.folder)).allSatisfy { folder in
            (try? marker(folder).readText()) == contents(of: folder, in: lock)
                && workspace.packages.appending(folder).exists
        } && workspace.kernelTree.exists
    }

    private func unpack(_ lock: LabLock, files: [FilePath]) async throws {
        for folder in Set(lock.packages.map(\.folder)).sorted() {
            let expected = contents(of: folder, in: lock)
            let target = workspace.packages.appending(folder)
            if (try? marker(folder).readText()) == expected && target.exists { continue }
            try marker(folder).remove()
            try target.remove()
            try target.makeFolder()
            try await Progress.step("unpacking \(folder)") {
                for (entry, file) in zip(lock.packages, files) where entry.folder == folder {
                    try await Tool("dpkg-deb", ["-x", file.string, target.string]).run(
                        log: workspace.logs.appending("unpack-\(folder).log"))
                }
            }
            if folder == KernelTree.folder(release: lock.kernel) {
                try KernelTree(workspace: workspace, release: lock.kernel).adapt()
            }
            try marker(folder).write(expected)
        }
        try KernelTree(workspace: workspace, release: lock.kernel).publish()
    }
}
