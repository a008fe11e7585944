// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// All images of the project, as a list of steps: each says what it reads and what it makes.

import Foundation
public import SystemPackage

/// Builds the images and knows where they are.
public struct Images: Sendable {
    /// The project.
    public let workspace: Workspace
    /// The versions of the lab's packages.
    public let lock: LabLock

    /// Uses the prepared packages of a project.
    public init(workspace: Workspace, lock: LabLock) {
        self.workspace = workspace
        self.lock = lock
    }

    /// The stock kernel that runs as host.
    public var hostKernel: FilePath {
        hostKernelPackage.appending("boot/vmlinuz-\(lock.kernel)-arm64")
    }

    /// The stock kernel that runs as guest.
    public var guestKernel: FilePath {
        workspace.packages.appending("linux-image-\(lock.kernel)-cloud-arm64")
            .appending("boot/vmlinuz-\(lock.kernel)-cloud-arm64")
    }

    /// The host's initial RAM disk.
    public var hostRAMDisk: FilePath { workspace.images.appending("host.cpio") }

    /// The unpacked package of the host's kernel.
    var hostKernelPackage: FilePath { workspace.packages.appending("linux-image-\(lock.kernel)-arm64") }
    /// The test program that does in the host what a shell cannot.
    var exerciser: FilePath { workspace.images.appending("exerciser") }
    /// The test module.
    var probeModule: FilePath { workspace.images.appending("probe/probe.ko") }

    /// Brings everything up to date.
    ///
    /// - Returns: the names of the steps that had something to do.
    @discardableResult
    public func build() async throws -> [String] {
        try workspace.images.makeFolder()
        var built: [String] = []
        for step in steps {
            if try await step.bringUpToDate(stamps: workspace.images) == .built { built.append(step.name) }
        }
        return built
    }

    /// The steps, in an order in which each finds what it reads.
    var steps: [BuildStep] { [exerciserStep, probeStep, hypervisorStep, hostModuleStep, hostRAMDiskStep] }

    private var exerciserStep: BuildStep {
        let source = workspace.systemTests.appending("host/exerciser.c")
        let product = exerciser
        let log = workspace.logs.appending("exerciser.log")
        return BuildStep("exerciser", inputs: [source], outputs: [product]) {
            try await Tool(
                "aarch64-linux-gnu-gcc",
                ["-static", "-O2", "-std=gnu17", "-Wall", "-Wextra", "-Werror", "-o", product.string, source.string]
            ).run(log: log)
        }
    }

    private var probeStep: BuildStep {
        let sources = workspace.systemTests.appending("probe")
        let product = probeModule
        let workspace = workspace
        return BuildStep("probe module", inputs: [sources, workspace.lock], outputs: [product]) {
            // Built in a copy: the kernel's build system leaves its products beside the sources.
            let folder = product.removingLastComponent()
            try folder.remove()
            try folder.copy(from: sources)
            try await KernelTree.make(workspace, folder: folder).run(log: workspace.logs.appending("probe.log"))
        }
    }

    private var hostRAMDiskStep: BuildStep {
        let image = HostRAMDisk(images: self)
        let inputs = [
            workspace.systemTests.appending("host"), exerciser, probeModule, hostModule, workspace.lock,
            workspace.root.appending("Sources/LabKit/Images"),
        ]
        return BuildStep("host RAM disk", inputs: inputs, outputs: [hostRAMDisk]) { try await image.write() }
    }
}
