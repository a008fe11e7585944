// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Which kernel the lab tests with: the newest of a series for which everything that is
// needed to run it and to build a module for it can be had in one and the same version.

/// The packages of one kernel.
public struct KernelSelection: Equatable, Sendable {
    /// The kernel's release without its flavour, such as `6.12.95+deb12`.
    public let release: String
    /// The kernel that runs as host.
    public let image: OfferedPackage
    /// The smaller kernel that runs as guest.
    public let cloudImage: OfferedPackage
    /// The host kernel's configuration and generated headers.
    public let headers: OfferedPackage
    /// The headers that all flavours share.
    public let commonHeaders: OfferedPackage
    /// The kernel's build programs, for this machine's own architecture.
    public let buildTools: OfferedPackage

    /// The name prefixes whose offers the choice needs.
    public static func prefixes(series: String) -> [String] {
        ["linux-image-\(series).", "linux-headers-\(series).", "linux-kbuild-\(series)."]
    }

    /// What to ask the package manager about a name that begins with one of the prefixes; nil for
    /// flavours and architectures that play no part.
    public static func query(for name: String) -> String? {
        if name.hasPrefix("linux-kbuild-") { return "\(name):amd64" }
        if name.hasSuffix("-common") { return name }
        return name.hasSuffix("-arm64") && !name.hasSuffix("-rt-arm64") ? name : nil
    }

    /// Chooses the newest complete kernel of a series.
    ///
    /// A mirror that is being updated, or an architecture whose build is late, leaves some of the
    /// packages in an older version: such a kernel is passed over.
    ///
    /// - Parameters:
    ///   - offers: what the suites offer.
    ///   - series: the kernel series, such as `6.12`.
    /// - Throws: ``LabError/packageUnavailable(_:)`` when none is complete.
    public init(from offers: [OfferedPackage], series: String) throws(LabError) {
        let prefix = "linux-image-\(series)."
        let images = offers.filter {
            $0.architecture == "arm64" && $0.name.hasPrefix(prefix) && $0.name.hasSuffix("-arm64")
                && !["-cloud-arm64", "-rt-arm64"].contains(where: $0.name.hasSuffix)
        }
        for image in images.sorted(by: { $0.version > $1.version }) {
            let release = String(image.name.dropFirst("linux-image-".count).dropLast("-arm64".count))
            func find(_ name: String, _ architecture: String) -> OfferedPackage? {
                offers.first { $0.name == name && $0.architecture == architecture && $0.version == image.version }
            }
            guard let cloud = find("linux-image-\(release)-cloud-arm64", "arm64"),
                let headers = find("linux-headers-\(release)-arm64", "arm64"),
                let common = find("linux-headers-\(release)-common", "all"),
                let tools = find("linux-kbuild-\(release)", "amd64")
            else { continue }
            self.release = release
            self.image = image
            cloudImage = cloud
            self.headers = headers
            commonHeaders = common
            buildTools = tools
            return
        }
        throw .packageUnavailable("a complete arm64 kernel \(series) with its headers")
    }
}
