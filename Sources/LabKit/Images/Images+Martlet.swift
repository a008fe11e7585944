// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Martlet's own images: the hypervisor, and the kernel module that carries it.

import Foundation
public import SystemPackage

/// What is built into the hypervisor besides itself.
public enum HypervisorVariant: String, CaseIterable, Sendable {
    /// Nothing: this is the product.
    case product
    /// A call that makes it panic, for the test that follows a panic to its source line.
    case panic
    /// A call that takes defences away, for attacks that must succeed then.
    case switches

    /// The specification, which it holds itself against whenever it returns to the host.
    case checked

    /// What is added to the names of files and folders.
    fileprivate var suffix: String { self == .product ? "" : "-\(rawValue)" }

    /// The value of the variable that the package manifest reads.
    fileprivate var faults: String { self == .product ? "" : rawValue.uppercased() }
}

extension Images {
    /// The hypervisor with its symbols.
    public func hypervisorELF(_ variant: HypervisorVariant = .product) -> FilePath {
        workspace.images.appending("hypervisor\(variant.suffix).elf")
    }
    /// The hypervisor as it lies in memory.
    public func hypervisorImage(_ variant: HypervisorVariant = .product) -> FilePath {
        workspace.images.appending("hypervisor\(variant.suffix).bin")
    }
    /// The module that carries it.
    public func hostModule(_ variant: HypervisorVariant = .product) -> FilePath {
        workspace.images.appending("martlet\(variant.suffix).ko")
    }
    /// The VMM.
    public var monitor: FilePath { workspace.images.appending("martlet") }

    /// Compiles the hypervisor and makes a flat image of it.
    func hypervisorStep(_ variant: HypervisorVariant) -> BuildStep {
        let workspace = workspace
        let elf = hypervisorELF(variant)
        let image = hypervisorImage(variant)
        return BuildStep("hypervisor\(variant.suffix)", inputs: sources, outputs: [elf, image]) {
            let scratch = workspace.root.appending(".build-hypervisor\(variant.suffix)")
            try await Tool(
                "swift",
                [
                    "build", "--triple", "aarch64-none-none-elf", "--toolset", "Platforms/hypervisor.json",
                    "--scratch-path", scratch.string, "-c", "release", "--product", "hypervisor",
                ],
                environment: ["MARTLET_WORLD": "hypervisor", "MARTLET_FAULTS": variant.faults],
                folder: workspace.root
            ).run(log: workspace.logs.appending("hypervisor\(variant.suffix).log"))
            try elf.copy(from: scratch.appending("aarch64-none-none-elf/release/hypervisor"))
            let objcopy = try Tool.fromToolchain("llvm-objcopy")
            try await Tool(objcopy, ["-O", "binary", elf.string, image.string]).run(
                log: workspace.logs.appending("hypervisor\(variant.suffix)-objcopy.log"))
        }
    }

    /// Builds the module around a hypervisor's image.
    func hostModuleStep(_ variant: HypervisorVariant) -> BuildStep {
        let workspace = workspace
        let image = hypervisorImage(variant)
        let module = hostModule(variant)
        return BuildStep("martlet\(variant.suffix).ko", inputs: sources + [image, workspace.lock], outputs: [module]) {
            let folder = workspace.root.appending(".build-module/kernel\(variant.suffix)")
            try await Tool(
                "make",
                [
                    "-f", "Sources/HostModule/Makefile", "KERNEL_TREE=\(workspace.kernelTree.string)",
                    "HYPERVISOR_IMAGE=\(image.string)", "OUT=\(folder.string)", "FAULTS=\(variant.faults)",
                ],
                folder: workspace.root
            ).run(log: workspace.logs.appending("host-module\(variant.suffix).log"))
            try module.copy(from: folder.appending("martlet.ko"))
        }
    }

    /// Builds the VMM.
    var monitorStep: BuildStep {
        let workspace = workspace
        let product = monitor
        let libraries = workspace.packages.appending("zlib1g-dev")
        return BuildStep("martlet", inputs: sources + [workspace.lock], outputs: [product]) {
            try await Tool(
                "make", ["-f", "Platforms/linux.mk", "LIBRARIES=\(libraries.string)"], folder: workspace.root
            ).run(log: workspace.logs.appending("martlet.log"))
            try product.copy(from: workspace.root.appending(".build-linux/martlet"))
        }
    }

    /// All sources but the developer's tools, with what says how they are compiled. Which image a
    /// target goes into is SwiftPM's business, and it compiles only what has changed.
    private var sources: [FilePath] {
        let tools: Set<String> = [
            "LabKit", "lab", "SimulatedMachine", "SearchKit", "search", "Snapshot", "FuzzTargets", "Fuzzer",
        ]
        let folder = workspace.root.appending("Sources")
        return folder.entries.filter { !tools.contains($0) }.map { folder.appending($0) }
            + [workspace.root.appending("Package.swift"), workspace.root.appending("Platforms")]
    }
}
