// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The newest kernel that Debian has for arm64, on demand: its own KVM is what Martlet is
// compared with.

public import SystemPackage

/// Fetches the kernel to compare with.
public struct ComparisonKernel: Sendable {
    /// The series that it is from.
    public static let series = "7"
    private let workspace: Workspace

    /// Works in a project's cache.
    public init(_ workspace: Workspace) {
        self.workspace = workspace
    }

    /// The folder into which the kernel is unpacked.
    private var folder: FilePath { workspace.packages.appending("linux-comparison") }

    /// The unpacked kernel image, or nil if it was not fetched yet.
    public var kernel: FilePath? {
        let boot = folder.appending("boot")
        if let name = boot.entries.first(where: { $0.hasPrefix("vmlinuz-") }) { return boot.appending(name) }
        // Where the split packages have it: beside the modules.
        let modules = folder.appending("usr/lib/modules")
        return modules.entries.map { modules.appending("\($0)/vmlinuz") }.first(where: \.exists)
    }

    /// The kernel's release, such as `7.3.4+deb13-arm64`; it is fetched if need be.
    public func release() async throws -> String {
        let kernel = try await fetch()
        let name = kernel.lastComponent?.string ?? ""
        if name.hasPrefix("vmlinuz-") { return String(name.dropFirst("vmlinuz-".count)) }
        return kernel.removingLastComponent().lastComponent?.string ?? ""
    }

    /// Downloads and unpacks it, unless that was done before.
    ///
    /// - Throws: ``LabError/packageUnavailable(_:)`` when the suite has none.
    public func fetch() async throws -> FilePath {
        if let kernel { return kernel }
        let debian = try DebianRelease.ofThisMachine()
        let root = AptRoot(workspace: workspace, purpose: .newestKernel)
        let sources = try AptSources.derive(from: AptSources.ofThisMachine(), release: debian, for: .newestKernel)
        try await Progress.step("fetching the newest kernel's package list") {
            try await root.update(sources: sources, log: workspace.logs.appending("newest-kernel-update.log"))
        }
        let prefix = "linux-image-\(Self.series)."
        let names = try await root.names(prefixes: [prefix]).filter {
            $0.hasSuffix("-arm64") && !["-cloud-arm64", "-rt-arm64"].contains(where: $0.hasSuffix)
        }
        guard let newest = try await root.offers(names).max(by: { $0.version < $1.version }) else {
            throw LabError.packageUnavailable("an arm64 kernel \(Self.series)")
        }
        // Newer kernels are split: the image package only depends on those with the files.
        let release = newest.name.dropFirst("linux-image-".count)
        let parts = try await root.offers(["linux-binary-\(release)", "linux-modules-\(release)"])
            .filter { $0.version == newest.version }
        let files = try await Progress.step("downloading \(newest.name)") {
            try await root.download(
                [newest] + parts, into: workspace.downloads, log: workspace.logs.appending("newest-kernel-download.log")
            )
        }
        // Unpacked aside and then renamed, so that an interrupted run is not taken for a whole one.
        let partial = workspace.packages.appending("linux-comparison.partial")
        try partial.remove()
        try partial.makeFolder()
        for file in files {
            try await Tool("dpkg-deb", ["-x", file.string, partial.string]).run(
                log: workspace.logs.appending("unpack-newest-kernel.log"))
        }
        try folder.remove()
        try folder.rename(from: partial)
        guard let kernel else { throw LabError.malformed(file: newest.name, why: "it contains no kernel image") }
        return kernel
    }
}
