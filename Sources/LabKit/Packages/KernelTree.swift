// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The kernel's build tree, unpacked where no package manager put it.

public import SystemPackage

/// The unpacked headers and build programs of one kernel.
public struct KernelTree: Sendable {
    /// The project.
    public let workspace: Workspace
    /// The kernel's release without its flavour.
    public let release: String

    /// Names the tree of a kernel release.
    public init(workspace: Workspace, release: String) {
        self.workspace = workspace
        self.release = release
    }

    /// The folder below the cache's packages that the tree's three packages share.
    public static func folder(release: String) -> String { "linux-development-\(release)" }

    /// The folder to give to `make -C`.
    public var path: FilePath {
        workspace.packages.appending(Self.folder(release: release)).appending("usr/src")
            .appending("linux-headers-\(release)-arm64")
    }

    /// Makes the tree work from where it is: Debian's entry Makefile names the common headers by
    /// an absolute path on a machine on which they are installed.
    func adapt() throws(LabError) {
        let makefile = path.appending("Makefile")
        let text = try makefile.readText()
        let adapted = Self.relocated(makefile: text)
        guard adapted != text else {
            throw .malformed(file: makefile.string, why: "it does not include the common headers as expected")
        }
        try makefile.write(adapted)
    }

    /// Replaces the absolute folder by one beside the Makefile itself.
    static func relocated(makefile text: String) -> String {
        text.replacing("include /usr/src/", with: "include $(dir $(lastword $(MAKEFILE_LIST)))../")
    }

    /// Points the well-known link at this tree.
    func publish() throws(LabError) {
        let relative = path.string.dropFirst(workspace.cache.string.count + 1)
        try workspace.kernelTree.link(to: String(relative))
    }

    /// The call that builds out-of-tree modules in a folder.
    ///
    /// - Parameters:
    ///   - folder: the folder with the module's Kbuild file.
    ///   - target: `modules` or `clean`.
    ///   - variables: further variables for make.
    public static func make(
        _ workspace: Workspace, folder: FilePath, target: String = "modules", variables: [String: String] = [:]
    ) -> Tool {
        // Type information of modules needs a program that the lab does without.
        let assignments = variables.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        return Tool(
            "make",
            [
                "-C", workspace.kernelTree.string, "M=\(folder.string)", "ARCH=arm64",
                "CROSS_COMPILE=aarch64-linux-gnu-", "CONFIG_DEBUG_INFO_BTF_MODULES=",
            ] + assignments + [target])
    }
}
