// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A package manager root of the lab's own: its lists, its cache and its empty record of
// installed packages. The machine's apt never learns of the arm64 architecture, and the
// machine's own proxies, credentials and keys still apply, because the configuration folder
// stays the machine's.

import Foundation
public import SystemPackage

/// One version of one package that a suite offers.
public struct OfferedPackage: Hashable, Sendable {
    /// The package's name.
    public let name: String
    /// The version.
    public let version: DebianVersion
    /// The architecture it is built for, or `all`.
    public let architecture: String
}

/// A private package manager root below the lab's cache.
public struct AptRoot: Sendable {
    /// The root's folder.
    public let folder: FilePath
    /// What it is for; decides on sources and architectures.
    public let purpose: AptPurpose

    /// Names a root; nothing is written yet.
    public init(workspace: Workspace, purpose: AptPurpose) {
        let name =
            switch purpose {
            case .tools: "tools"
            case .lab: "lab"
            case .newestKernel: "newest-kernel"
            }
        folder = workspace.apt.appending(name)
        self.purpose = purpose
    }

    private var sourcesFile: FilePath { folder.appending("martlet.sources") }

    /// The options that make apt use this root.
    ///
    /// For tools the machine's record of installed packages is used, since they are installed there.
    public var options: [String] {
        let cache = folder.appending("cache")
        var settings = [
            "Dir::State::lists=\(folder.appending("lists").string)",
            "Dir::Cache::pkgcache=\(cache.appending("pkgcache.bin").string)",
            "Dir::Cache::srcpkgcache=\(cache.appending("srcpkgcache.bin").string)",
            "Dir::Etc::sourcelist=\(sourcesFile.string)",
            "Dir::Etc::sourceparts=/dev/null",
            "Acquire::Languages=none",
            // Compressed lists cannot be read at random, and a search would take half a minute.
            "Acquire::GzipIndexes=false",
            "Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false",
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
            // The sandbox user may not reach the cache, for example in a home folder.
            "APT::Sandbox::User=root",
        ]
        if purpose != .tools {
            settings += [
                "Dir::State=\(folder.string)",
                "Dir::Cache=\(cache.string)",
                "Dir::State::status=\(folder.appending("status").string)",
                // Pins of the machine say what to install on it, not what to test with.
                "Dir::Etc::preferences=/dev/null",
                "Dir::Etc::preferencesparts=/dev/null",
                "APT::Architecture=arm64",
                "APT::Architectures=arm64,amd64",
            ]
        }
        return settings.flatMap { ["-o", $0] }
    }

    /// Writes the sources and fetches the package lists.
    ///
    /// - Parameter log: where apt's output goes.
    public func update(sources: [AptSource], log: FilePath) async throws {
        for part in ["lists/partial", "cache/archives/partial"] {
            try folder.appending(part).makeFolder()
        }
        if purpose != .tools { try folder.appending("status").write("") }
        try sourcesFile.write(AptSources.text(of: sources))
        try await Tool("apt-get", options + ["update"], environment: environment).run(log: log)
    }

    /// The names of all packages that begin with one of the prefixes, in any architecture.
    public func names(prefixes: [String]) async throws -> [String] {
        var names: Set<String> = []
        for prefix in prefixes {
            let output = try await Tool("apt-cache", options + ["pkgnames", prefix]).capture()
            names.formUnion(output.split(separator: "\n").map(String.init))
        }
        return names.sorted()
    }

    /// Every version of the given packages.
    ///
    /// - Parameter queries: names, with `:architecture` where it is not the root's own. One that
    ///   does not exist costs apt a search through all names, so ask for likely ones only.
    public func offers(_ queries: [String]) async throws -> [OfferedPackage] {
        guard !queries.isEmpty else { return [] }
        // An unknown name makes it end with an error after printing all the others.
        return AptRoot.parseRecords(try await Tool("apt-cache", options + ["show"] + queries).capture(.anyStatus))
    }

    /// Reads the package records that `apt-cache show` prints: fields, with blank lines between.
    public static func parseRecords(_ text: String) -> [OfferedPackage] {
        var found: Set<OfferedPackage> = []
        var fields: [String: String] = [:]
        func finish() {
            if let name = fields["Package"], let version = fields["Version"], let architecture = fields["Architecture"]
            {
                found.insert(
                    OfferedPackage(name: name, version: DebianVersion(version), architecture: architecture))
            }
            fields = [:]
        }
        // Bytes, not characters: the text is long, and three fields of some thirty matter.
        for line in text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            if line.isEmpty { finish() }
            for name in ["Package", "Version", "Architecture"] where line.starts(with: "\(name): ".utf8) {
                fields[name] = String(Substring(line.dropFirst(name.utf8.count + 2)))
            }
        }
        finish()
        return found.sorted { ($0.name, $0.version, $0.architecture) < ($1.name, $1.version, $1.architecture) }
    }

    /// Downloads packages, checked against the suites' signatures, and returns their files.
    public func download(_ wanted: [OfferedPackage], into target: FilePath, log: FilePath) async throws -> [FilePath] {
        try target.makeFolder()
        let missing = wanted.filter { !file(of: $0, in: target).exists }
        if !missing.isEmpty {
            let names = missing.map { package in
                let suffix = package.architecture == "all" ? "" : ":\(package.architecture)"
                return "\(package.name)\(suffix)=\(package.version)"
            }
            try await Tool(
                "apt-get", options + ["download"] + names, environment: environment, folder: target
            ).run(log: log)
        }
        return try wanted.map { package in
            let path = file(of: package, in: target)
            guard path.exists else { throw LabError.missingFile(path, madeBy: "lab setup") }
            return path
        }
    }

    /// Where apt leaves a package: a colon in the version is written `%3a`.
    private func file(of package: OfferedPackage, in target: FilePath) -> FilePath {
        let version = package.version.description.replacing(":", with: "%3a")
        return target.appending("\(package.name)_\(version)_\(package.architecture).deb")
    }

    private var environment: [String: String] {
        ["LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"]
    }
}
