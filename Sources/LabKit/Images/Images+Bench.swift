// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What only the benchmark needs: the counter for QEMU, the probe, a module, and a RAM disk of its own.

import Foundation
import SystemPackage

extension Images {
    /// The plugin that counts instructions; the only image for this machine.
    var counter: FilePath { workspace.images.appending("bench-counter.so") }
    /// The RAM disk that a measured host starts with.
    var benchmarkRAMDisk: FilePath { workspace.images.appending("bench.cpio") }

    private var benchmarkSources: FilePath { workspace.root.appending("Tests/Bench") }
    private var probe: FilePath { workspace.images.appending("bench-probe") }
    private var hostCallModule: FilePath { workspace.images.appending("bench-module/host_call.ko") }

    /// Brings the benchmark's images up to date; the others have to be.
    public func buildBenchmark() async throws {
        for step in [counterStep, probeStep, hostCallModuleStep, benchmarkRAMDiskStep] {
            try await step.bringUpToDate(stamps: workspace.images)
        }
    }

    private var counterStep: BuildStep {
        let source = benchmarkSources.appending("counter/counter.c")
        let product = counter
        let log = workspace.logs.appending("bench-counter.log")
        return BuildStep("benchmark counter", inputs: [source], outputs: [product]) {
            // The toolchain's own compiler: nothing else is needed for a program of this machine.
            try await Tool(
                Tool.fromToolchain("clang"),
                [
                    "-O2", "-std=gnu17", "-fPIC", "-shared", "-Wall", "-Wextra", "-Werror", "-o", product.string,
                    source.string,
                ]
            ).run(log: log)
        }
    }

    private var probeStep: BuildStep {
        let folder = benchmarkSources.appending("probe")
        let product = probe
        let log = workspace.logs.appending("bench-probe.log")
        return BuildStep("benchmark probe", inputs: [folder], outputs: [product]) {
            let sources = folder.entries.filter { $0.hasSuffix(".c") || $0.hasSuffix(".S") }
            try await Tool(
                "aarch64-linux-gnu-gcc",
                ["-static", "-O2", "-std=gnu17", "-Wall", "-Wextra", "-Werror", "-pthread", "-o", product.string]
                    + sources.map { folder.appending($0).string }
            ).run(log: log)
        }
    }

    private var hostCallModuleStep: BuildStep {
        let sources = benchmarkSources.appending("module")
        let product = hostCallModule
        let workspace = workspace
        return BuildStep("benchmark module", inputs: [sources, workspace.lock], outputs: [product]) {
            // Built in a copy: the kernel's build system leaves its products beside the sources.
            let folder = product.removingLastComponent()
            try folder.copy(from: sources)
            try await KernelTree.make(workspace, folder: folder).run(log: workspace.logs.appending("bench-module.log"))
        }
    }

    /// No more than what is measured: what else is in memory moves the counts a little.
    private var benchmarkRAMDiskStep: BuildStep {
        let images = self
        let inputs = [
            benchmarkSources, workspace.systemTests.appending("host/init"), probe, hostCallModule, monitor,
            hostModule(),
            workspace.lock, workspace.root.appending("Sources/LabKit/Images/Images+Bench.swift"),
        ]
        return BuildStep("benchmark RAM disk", inputs: inputs, outputs: [benchmarkRAMDisk]) {
            try images.benchmarkRAMDisk.write(try images.benchmarkArchive())
        }
    }

    private func benchmarkArchive() throws -> Data {
        let busybox = try workspace.packages.appending("busybox-static/bin/busybox").readBytes()
        let probe = try probe.readBytes()
        var guest = CPIOArchive()
        for folder in ["dev", "proc", "bin"] { guest.addFolder(folder) }
        guest.addCharacterDevice("dev/console", major: 5, minor: 1)
        guest.addFile("bin/busybox", busybox, permissions: 0o755)
        guest.addLink("bin/sh", to: "busybox")
        guest.addFile("bin/bench-probe", probe, permissions: 0o755)
        guest.addFile("init", try benchmarkSources.appending("guest/init").readBytes(), permissions: 0o755)

        var archive = CPIOArchive()
        for folder in ["dev", "proc", "sys", "tmp", "run", "bin", "sbin", "usr/bin", "usr/sbin"] {
            archive.addFolder(folder)
        }
        archive.addCharacterDevice("dev/console", major: 5, minor: 1)
        archive.addFile("bin/busybox", busybox, permissions: 0o755)
        archive.addLink("bin/sh", to: "busybox")
        archive.addFile("bin/bench-probe", probe, permissions: 0o755)
        archive.addFile("bin/martlet", try monitor.readBytes(), permissions: 0o755)
        let start = workspace.systemTests.appending("host/init")
        archive.addFile("init", try start.readBytes(), permissions: 0o755)
        archive.addFile("scenarios/bench", try benchmarkSources.appending("scenarios/bench").readBytes())
        archive.addFile("modules/order", Data())
        archive.addFile("modules/martlet.ko", try hostModule().readBytes())
        archive.addFile("modules/host_call.ko", try hostCallModule.readBytes())
        archive.addFile("guest/Image", try guestKernel.readBytes())
        archive.addFile("guest/initrd", guest.finished())
        return archive.finished()
    }
}
