// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// From the machine's package sources to the lab's: the same hosts, keys and options, but
// only Debian's own suites, the architectures that the lab needs, and backports.

/// What the lab's list of package sources is for.
public enum AptPurpose: Sendable {
    /// Tools installed on this machine.
    case tools
    /// arm64 packages, and the amd64 programs that build against them, unpacked into the cache.
    case lab
    /// The newest kernel, for comparing with Linux's own KVM.
    case newestKernel
}

extension AptSources {
    /// Derives the lab's sources from the machine's.
    ///
    /// - Parameters:
    ///   - machine: the machine's enabled sources.
    ///   - release: the machine's Debian release.
    ///   - purpose: decides on suites and architectures.
    /// - Throws: ``LabError/unsupportedMachine(_:)`` when the release's main suite is not among
    ///   the sources, because then there is no host to take backports from.
    public static func derive(
        from machine: [AptSource], release: DebianRelease, for purpose: AptPurpose
    ) throws(LabError) -> [AptSource] {
        var derived: [AptSource] = []
        // "stable" means another release some years later, so the codename wins where it is used.
        let usesCodename = machine.contains { $0.words("Suites").contains(release.rawValue) }
        let names = usesCodename ? [release.rawValue] : ["stable", "oldstable"]
        for source in machine where source.words("Types").contains("deb") {
            let suites = source.words("Suites").filter { isDebianSuite($0, called: names) }
            guard !suites.isEmpty, source.words("Components").contains("main") else { continue }
            guard !source.words("URIs").allSatisfy({ $0.hasPrefix("cdrom:") }) else { continue }
            if purpose != .newestKernel {
                derived.append(source.restricted(to: suites, for: purpose))
            }
            // Backports live beside the main suite on the same host, signed with the same keys.
            let extra = purpose == .newestKernel ? release.newestKernelSuite : release.backports
            if suites.contains(where: names.contains) {
                derived.append(source.restricted(to: [extra], for: purpose))
            }
        }
        guard derived.contains(where: { $0.words("Suites").contains { $0.hasSuffix("-backports") } }) else {
            throw .unsupportedMachine("its apt sources do not list the main suite of Debian \(release.rawValue)")
        }
        return derived
    }

    /// The release's suites: main, updates, security, backports. Third-party suites and
    /// `-proposed-updates` are not used: the lab's results should not depend on them.
    private static func isDebianSuite(_ suite: String, called names: [String]) -> Bool {
        names.contains { [$0, "\($0)-updates", "\($0)-security", "\($0)/updates"].contains(suite) }
    }
}

extension AptSource {
    fileprivate func restricted(to suites: [String], for purpose: AptPurpose) -> AptSource {
        var copy = self
        copy["Types"] = "deb"
        copy["Suites"] = suites.joined(separator: " ")
        copy["Components"] = "main"
        copy["Architectures"] =
            switch purpose {
            case .tools: "amd64"
            case .lab: "arm64 amd64"
            case .newestKernel: "arm64"
            }
        // A machine may pin single targets or languages; the lab wants the package lists.
        copy["Targets"] = nil
        copy["Languages"] = nil
        return copy
    }
}
