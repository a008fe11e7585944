// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Martlet's own images: the hypervisor, and the kernel module that carries it.

import Foundation
public import SystemPackage

extension Images {
    /// The hypervisor with its symbols.
    public var hypervisorELF: FilePath { workspace.images.appending("hypervisor.elf") }
    /// The hypervisor as it lies in memory.
    public var hypervisorImage: FilePath { workspace.images.appending("hypervisor.bin") }
    /// The module.
    public var hostModule: FilePath { workspace.images.appending("martlet.ko") }

    /// Compiles the hypervisor and makes a flat image of it.
    var hypervisorStep: BuildStep {
        let workspace = workspace
        let elf = hypervisorELF
        let image = hypervisorImage
        let inputs = sources([
            "Arm", "CBootProtocol", "CEL2", "EL2Machine", "HypervisorCore", "HypervisorImage", "HypervisorInterface",
            "Machine",
        ])
        return BuildStep("hypervisor", inputs: inputs, outputs: [elf, image]) {
            let scratch = workspace.root.appending(".build-hypervisor")
            try await Tool(
                "swift",
                [
                    "build", "--triple", "aarch64-none-none-elf", "--toolset", "Platforms/hypervisor.json",
                    "--scratch-path", scratch.string, "-c", "release", "--product", "hypervisor",
                ],
                environment: ["MARTLET_WORLD": "hypervisor"], folder: workspace.root
            ).run(log: workspace.logs.appending("hypervisor.log"))
            try elf.copy(from: scratch.appending("aarch64-none-none-elf/release/hypervisor"))
            let objcopy = try Tool.fromToolchain("llvm-objcopy")
            try await Tool(objcopy, ["-O", "binary", elf.string, image.string]).run(
                log: workspace.logs.appending("hypervisor-objcopy.log"))
        }
    }

    /// Builds the module around the hypervisor's image.
    var hostModuleStep: BuildStep {
        let workspace = workspace
        let image = hypervisorImage
        let module = hostModule
        let inputs = sources(["CBootProtocol", "CHostKernel", "HostModule", "HostModuleCore", "HypervisorInterface"])
        return BuildStep("martlet.ko", inputs: inputs + [image, workspace.lock], outputs: [module]) {
            let folder = workspace.root.appending(".build-module/kernel")
            try await Tool(
                "make",
                [
                    "-f", "Sources/HostModule/Makefile", "KERNEL_TREE=\(workspace.kernelTree.string)",
                    "HYPERVISOR_IMAGE=\(image.string)", "OUT=\(folder.string)",
                ],
                folder: workspace.root
            ).run(log: workspace.logs.appending("host-module.log"))
            try module.copy(from: folder.appending("martlet.ko"))
        }
    }

    /// Folders of sources, with what says how they are compiled.
    private func sources(_ targets: [String]) -> [FilePath] {
        targets.map { workspace.root.appending("Sources/\($0)") }
            + [workspace.root.appending("Package.swift"), workspace.root.appending("Platforms")]
    }
}
