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

    /// The same with a guest's kernel and RAM disk in it.
    public var hostRAMDiskWithGuest: FilePath { workspace.images.appending("host-with-guest.cpio") }

    /// The unpacked package of the host's kernel.
    var hostKernelPackage: FilePath { workspace.packages.appending("linux-image-\(lock.kernel)-arm64") }
    /// The test program that does in the host what a shell cannot.
    var exerciser: FilePath { workspace.images.appending("exerciser") }
    /// The test program that keeps vector registers full, in the host and in guests.
    var contexts: FilePath { workspace.images.appending("contexts") }
    /// The test program that reads another process's memory as root can.
    var intruder: FilePath { workspace.images.appending("intruder") }
    /// The program that keeps something in a guest's memory.
    var keeper: FilePath { workspace.images.appending("keeper") }
    /// The test program that uses `/dev/kvm` directly.
    var kvmExerciser: FilePath { workspace.images.appending("kvm-exerciser") }

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
    var steps: [BuildStep] {
        [
            programStep("exerciser", from: "host"), programStep("intruder", from: "host"),
            programStep("keeper", from: "guests"), kvmExerciserStep, contextsStep, testModulesStep("probe"),
            testModulesStep("modules"),
        ]
            + HypervisorVariant.allCases.flatMap { [hypervisorStep($0), hostModuleStep($0)] }
            + [monitorStep, hostRAMDiskStep]
    }

    /// A test program that is one C file below `Tests/System`.
    private func programStep(_ name: String, from folder: String) -> BuildStep {
        let source = workspace.systemTests.appending("\(folder)/\(name).c")
        let product = workspace.images.appending(name)
        let log = workspace.logs.appending("\(name).log")
        return BuildStep(name, inputs: [source], outputs: [product]) {
            try await Tool(
                "aarch64-linux-gnu-gcc",
                ["-static", "-O2", "-std=gnu17", "-Wall", "-Wextra", "-Werror", "-o", product.string, source.string]
            ).run(log: log)
        }
    }

    /// The program that exercises `/dev/kvm` as a process can.
    private var kvmExerciserStep: BuildStep { programStep("kvm-exerciser", folder: "kvm", product: kvmExerciser) }

    /// The program that keeps vector registers full.
    private var contextsStep: BuildStep { programStep("contexts", folder: "contexts", product: contexts) }

    /// A static test program of a folder's C and assembly files.
    private func programStep(_ name: String, folder: String, product: FilePath) -> BuildStep {
        let folder = workspace.systemTests.appending(folder)
        let log = workspace.logs.appending("\(name).log")
        return BuildStep(name, inputs: [folder], outputs: [product]) {
            let sources = folder.entries.filter { $0.hasSuffix(".c") || $0.hasSuffix(".S") }.sorted()
            try await Tool(
                "aarch64-linux-gnu-gcc",
                [
                    "-static", "-O2", "-std=gnu17", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror", "-pthread",
                    "-o", product.string,
                ] + sources.map { folder.appending($0).string }
            ).run(log: log)
        }
    }

    /// Test modules, by their folder below `Tests/System`.
    private func testModulesStep(_ name: String) -> BuildStep {
        let sources = workspace.systemTests.appending(name)
        let folder = testModules(name)
        let workspace = workspace
        let products = moduleNames(name).map { folder.appending("\($0).ko") }
        return BuildStep("test modules \(name)", inputs: [sources, workspace.lock], outputs: products) {
            // Built in a copy: the kernel's build system leaves its products beside the sources.
            try folder.remove()
            try folder.removingLastComponent().makeFolder()
            try folder.copy(from: sources)
            try await KernelTree.make(workspace, folder: folder).run(
                log: workspace.logs.appending("test-modules-\(name).log"))
        }
    }

    private func testModules(_ name: String) -> FilePath { workspace.images.appending("test-modules/\(name)") }

    /// A module has a C file of its own.
    private func moduleNames(_ name: String) -> [String] {
        workspace.systemTests.appending(name).entries.filter { $0.hasSuffix(".c") }.map { String($0.dropLast(2)) }
    }

    /// All modules that only tests load.
    var testModules: [FilePath] {
        ["probe", "modules"].flatMap { name in moduleNames(name).map { testModules(name).appending("\($0).ko") } }
    }

    private var hostRAMDiskStep: BuildStep {
        let image = HostRAMDisk(images: self)
        let inputs =
            [
                workspace.systemTests.appending("host"), workspace.systemTests.appending("guests"),
                workspace.systemTests.appending("kvm"), exerciser, intruder, keeper, kvmExerciser, contexts, monitor,
                workspace.lock,
                workspace.root.appending("Sources/LabKit/Images"),
            ] + testModules + HypervisorVariant.allCases.map(hostModule)

        return BuildStep("host RAM disk", inputs: inputs, outputs: [hostRAMDisk, hostRAMDiskWithGuest]) {
            try await image.write()
        }
    }
}
