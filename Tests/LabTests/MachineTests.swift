// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Machines, their boot images, and the matrix.

import Foundation
import SystemPackage
import Testing

@testable import LabKit

@Suite("Machines")
struct MachineTests {
    static let boot = MachineBoot(kernel: "/k", ramDisk: "/r", append: ["lab.cpus=2"])

    @Test("a device-tree machine")
    func deviceTree() throws {
        let machine = MachineConfiguration(cpu: .max, processors: 2, memory: 4096)
        let words = try machine.arguments(for: Self.boot, disk: "/d")
        #expect(machine.name == "max-smp2-4g-dt")
        #expect(words.contains("virt,virtualization=on,gic-version=3"))
        #expect(words.contains("max,pauth-impdef=on"))
        #expect(words.contains("if=none,id=disk,format=raw,file=/d"))
        #expect(
            words.last == "kvm-arm.mode=none id_aa64mmfr1.vh=0 console=ttyAMA0 panic=-1 lab.cpus=2")
        #expect(!words.contains { $0.contains("pflash") })
        #expect(words.contains("-no-reboot") && !words.contains("-dtb"))
    }

    @Test("machines that Martlet refuses, and one that restarts")
    func unusual() throws {
        let machine = MachineConfiguration(entry: .el1, interrupts: .gicV2)
        let boot = MachineBoot(kernel: "/k", ramDisk: "/r", level2: [], restart: .startsAgain)
        let words = try machine.arguments(for: boot, disk: nil, tree: "/t")
        #expect(words.contains("virt,virtualization=off,gic-version=2"))
        #expect(!words.contains("-no-reboot"))
        #expect(words.contains("/t"))
        #expect(words.last == "console=ttyAMA0 panic=-1")
    }

    @Test("a device tree with regions")
    func editedTree() {
        #expect(EditedTree.edits(memory: 1024).count == 5)
        let edits = EditedTree.edits(memory: 4096)
        #expect(edits[3] == ["/reserved-memory/firmware@70001000", "reg", "0", "70001000", "0", "201000"])
        #expect(
            edits.last == [
                "/chosen", "linux,usable-memory-range", "0", "40000000", "0", "80000000", "1", "0", "0", "40000000",
            ])
    }

    @Test("a dialogue")
    func dialogue() throws {
        let script = "# words\n\ntype a\\x01\\r\\n\nsee guest# \n"
        #expect(try Dialogue(script, file: "d").lines == [.type("a\u{1}\r\\n"), .see("guest# ")])
        #expect(throws: LabError.self) { try Dialogue("type \\xz1", file: "d") }
        #expect(throws: LabError.self) { try Dialogue("type \\x1", file: "d") }
        #expect(throws: LabError.self) { try Dialogue("wait", file: "d") }
    }

    @Test("identifiers are unique, every short scenario is in the full matrix, and filters reach all")
    func matrix() {
        let all = Scenarios.select(.full, filter: nil)
        let short = Scenarios.select(.short, filter: nil)
        #expect(Set(all.map(\.identifier)).count == all.count)
        #expect(Set(short.map(\.identifier)).isSubset(of: Set(all.map(\.identifier))))
        #expect(short.count < all.count)
        for cpu in MachineConfiguration.CPU.allCases {
            #expect(short.contains { $0.machine.cpu == cpu && $0.name == "host" })
        }
        #expect(short.contains { $0.machine.firmware == .uefi })
        #expect(Scenarios.select(.short, filter: "control/max-smp1-4g-dt").count == 1)
        #expect(Scenarios.select(.full, filter: "nothing like that").isEmpty)
    }

    @Test("an archive as the kernel reads it")
    func cpio() {
        var archive = CPIOArchive()
        archive.addFile("a/b/c", Data("hello".utf8), permissions: 0o755)
        archive.addLink("a/l", to: "b/c")
        archive.addCharacterDevice("dev/console", major: 5, minor: 1)
        let bytes = archive.finished()
        var names: [String] = []
        var offset = 0
        // Reads the archive back by the format's own rules.
        while offset < bytes.count {
            func field(_ index: Int) -> Int {
                Int(
                    String(decoding: bytes[(offset + 6 + index * 8)..<(offset + 14 + index * 8)], as: UTF8.self),
                    radix: 16)!
            }
            #expect(String(decoding: bytes[offset..<offset + 6], as: UTF8.self) == "070701")
            let (size, nameSize) = (field(6), field(11))
            let name = String(decoding: bytes[(offset + 110)..<(offset + 110 + nameSize - 1)], as: UTF8.self)
            names.append(name)
            let start = (offset + 110 + nameSize + 3) / 4 * 4
            if name == "a/b/c" {
                #expect(field(1) == 0o100755)
                #expect(String(decoding: bytes[start..<start + size], as: UTF8.self) == "hello")
            }
            if name == "dev/console" { #expect((field(9), field(10)) == (5, 1)) }
            offset = (start + size + 3) / 4 * 4
        }
        #expect(names == ["a", "a/b", "a/b/c", "a/l", "dev", "dev/console", "TRAILER!!!"])
    }

    @Test("dependencies of a module")
    func dependencies() {
        let module = Data("ELF\0license=GPL\0depends=crc16,mbcache,jbd2\0retpoline=Y\0".utf8)
        #expect(KernelModules.dependencies(of: module) == ["crc16", "mbcache", "jbd2"])
        #expect(KernelModules.dependencies(of: Data("\0depends=\0".utf8)).isEmpty)
    }

    @Test("a step runs when its inputs change, and only then")
    func steps() async throws {
        let folder = FilePath(FileManager.default.temporaryDirectory.appending(path: UUID().uuidString).path)
        try folder.makeFolder()
        let (input, output) = (folder.appending("in"), folder.appending("out"))
        try input.write("1")
        let step = BuildStep("copy", inputs: [input], outputs: [output]) { try output.copy(from: input) }
        #expect(try await step.bringUpToDate(stamps: folder) == .built)
        #expect(try await step.bringUpToDate(stamps: folder) == .unchanged)
        try input.write("22")
        #expect(try await step.bringUpToDate(stamps: folder) == .built)
        #expect(try output.readText() == "22")
        try output.remove()
        #expect(try await step.bringUpToDate(stamps: folder) == .built)
        let idle = BuildStep("idle", inputs: [input], outputs: [folder.appending("never")]) {}
        await #expect(throws: LabError.self) { try await idle.bringUpToDate(stamps: folder) }
        try folder.remove()
    }
}
