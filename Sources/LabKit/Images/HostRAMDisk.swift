// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What the host boots into: a shell, a few modules of its own kernel, and the tests.

import Foundation
import SystemPackage

/// The host's initial RAM disk.
struct HostRAMDisk: Sendable {
    let images: Images

    /// Modules of the stock kernel that the tests need: a disk, a file system on it with its
    /// checksum (asked for at run time only, so no module names it), and compressed memory.
    static let stockModules = ["virtio_blk", "crc32c_generic", "ext4", "zram"]

    /// Writes the archive.
    func write() async throws {
        let workspace = images.workspace
        let host = workspace.systemTests.appending("host")
        var archive = CPIOArchive()
        for folder in ["dev", "proc", "sys", "tmp", "run", "mnt", "bin", "sbin", "usr/bin", "usr/sbin"] {
            archive.addFolder(folder)
        }
        archive.addCharacterDevice("dev/console", major: 5, minor: 1)
        let busybox = workspace.packages.appending("busybox-static/bin/busybox")
        archive.addFile("bin/busybox", try busybox.readBytes(), permissions: 0o755)
        archive.addLink("bin/sh", to: "busybox")
        archive.addFile("init", try host.appending("init").readBytes(), permissions: 0o755)
        archive.addFile("bin/exerciser", try images.exerciser.readBytes(), permissions: 0o755)
        archive.addFile("bin/intruder", try images.intruder.readBytes(), permissions: 0o755)
        archive.addFile("bin/martlet", try images.monitor.readBytes(), permissions: 0o755)
        archive.addFile("bin/contexts", try images.contexts.readBytes(), permissions: 0o755)
        archive.addFile("bin/kvm-exerciser", try images.kvmExerciser.readBytes(), permissions: 0o755)
        for folder in ["host", "kvm"] {
            let scenarios = workspace.systemTests.appending("\(folder)/scenarios")
            for name in scenarios.entries {
                archive.addFile("scenarios/\(name)", try scenarios.appending(name).readBytes())
            }
        }

        let modules = try await KernelModules(package: images.hostKernelPackage).extract(
            Self.stockModules, into: workspace.images.appending("stock-modules"))
        var order = ""
        for module in modules {
            guard let name = module.lastComponent?.string else { continue }
            archive.addFile("modules/\(name)", try module.readBytes())
            order += "\(name)\n"
        }
        archive.addFile("modules/order", Data(order.utf8))
        for module in images.testModules + HypervisorVariant.allCases.map(images.hostModule) {
            guard let name = module.lastComponent?.string else { continue }
            archive.addFile("modules/\(name)", try module.readBytes())
        }
        let content = archive.finished()
        try images.hostRAMDisk.write(content)
        // An archive behind another adds to it.
        try images.hostRAMDiskWithGuest.write(content + guest())
    }

    /// What a host needs to run a guest: the guest's stock kernel, and its own RAM disk.
    private func guest() throws -> Data {
        let busybox = try images.workspace.packages.appending("busybox-static/bin/busybox").readBytes()
        var disk = CPIOArchive()
        for folder in ["dev", "proc", "sys", "tmp", "bin"] { disk.addFolder(folder) }
        disk.addCharacterDevice("dev/console", major: 5, minor: 1)
        disk.addFile("bin/busybox", busybox, permissions: 0o755)
        disk.addLink("bin/sh", to: "busybox")
        disk.addFile("bin/keeper", try images.keeper.readBytes(), permissions: 0o755)
        let scripts = images.workspace.systemTests.appending("guests")
        disk.addFile("bin/checks", try scripts.appending("checks").readBytes(), permissions: 0o755)
        disk.addFile("init", try scripts.appending("init").readBytes(), permissions: 0o755)
        // A second first process, which the command line can choose.
        let second = images.workspace.systemTests.appending("guests/contexts")
        disk.addFile("contexts", try second.readBytes(), permissions: 0o755)
        disk.addFile("bin/contexts", try images.contexts.readBytes(), permissions: 0o755)
        var archive = CPIOArchive()
        archive.addFolder("guest")
        archive.addFile("guest/Image", try images.guestKernel.readBytes())
        archive.addFile("guest/initrd", disk.finished())
        return archive.finished()
    }
}
