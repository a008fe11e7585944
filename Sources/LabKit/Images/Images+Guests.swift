// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What the VMM's own scenarios need: a stock kernel for guests, a small RAM disk, and the scripts.

import Foundation
import SystemPackage

/// The kernel that runs as host.
public enum HostKernel: Sendable {
    /// The distribution's, which Martlet is loaded into.
    case stock
    /// The newest that there is, for its own KVM. It gets none of the stock kernel's modules.
    case newest
}

extension Images {
    /// Builds the RAM disk of the VMM's own scenarios, unless it is up to date: the host's, and
    /// what they add. Only they need it, so it is none of the images that are always built.
    func monitorRAMDisk() async throws -> FilePath {
        let sources = workspace.systemTests.appending("vmm-on-linux")
        let product = workspace.images.appending("monitor.cpio")
        let inputs = [hostRAMDisk, sources, guestKernel, workspace.root.appending("Sources/LabKit/Images")]
        let step = BuildStep("monitor RAM disk", inputs: inputs, outputs: [product]) {
            // The kernel unpacks archives that follow each other, and later files replace earlier.
            var archive = CPIOArchive()
            let image = workspace.images.appending("guest-Image")
            try image.copy(from: guestKernel)
            archive.addFile("guest/Image", try image.readBytes())
            // The fastest compression: it is the reading that is tested.
            _ = try await Tool("gzip", ["--fast", "--force", "--no-name", image.string]).capture()
            let compressed = FilePath(image.string + ".gz")
            archive.addFile("guest/Image.gz", try compressed.readBytes())
            try compressed.remove()
            archive.addFile("guest/initrd", try guestRAMDisk(sources.appending("guest/init")))
            for name in sources.appending("scenarios").entries {
                archive.addFile("scenarios/\(name)", try sources.appending("scenarios/\(name)").readBytes())
            }
            // They run on more than one kernel, and modules are made for one.
            archive.addFile("modules/order", Data())
            try product.write(try hostRAMDisk.readBytes() + archive.finished())
        }
        try await step.bringUpToDate(stamps: workspace.images)
        return product
    }

    /// The guest's initial RAM disk: a shell and an init.
    private func guestRAMDisk(_ start: FilePath) throws -> Data {
        var archive = CPIOArchive()
        archive.addCharacterDevice("dev/console", major: 5, minor: 1)
        let busybox = workspace.packages.appending("busybox-static/bin/busybox")
        archive.addFile("bin/busybox", try busybox.readBytes(), permissions: 0o755)
        archive.addLink("bin/sh", to: "busybox")
        archive.addFile("init", try start.readBytes(), permissions: 0o755)
        return archive.finished()
    }
}
