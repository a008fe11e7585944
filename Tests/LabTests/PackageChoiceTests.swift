// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Which packages are chosen, and when.

import Testing

@testable import LabKit

@Suite("Choice of packages")
struct PackageChoiceTests {
    static func kernel(_ release: String, _ version: String, without missing: String = "") -> [OfferedPackage] {
        [
            ("linux-image-\(release)-arm64", "arm64"), ("linux-image-\(release)-cloud-arm64", "arm64"),
            ("linux-image-\(release)-rt-arm64", "arm64"), ("linux-headers-\(release)-arm64", "arm64"),
            ("linux-headers-\(release)-common", "all"), ("linux-kbuild-\(release)", "amd64"),
        ].filter { $0.0 != missing }.map {
            OfferedPackage(name: $0.0, version: DebianVersion(version), architecture: $0.1)
        }
    }

    @Test("the newest complete kernel wins")
    func newest() throws {
        let offers =
            Self.kernel("6.12.9+deb12", "6.12.9-1") + Self.kernel("6.12.95+deb12", "6.12.95-1~bpo12+1")
            + Self.kernel("6.12.100+deb12", "6.12.100-1", without: "linux-kbuild-6.12.100+deb12")
            + Self.kernel("6.13.1+deb12", "6.13.1-1")
        let choice = try KernelSelection(from: offers, series: "6.12")
        #expect(choice.release == "6.12.95+deb12")
        #expect(choice.image.name == "linux-image-6.12.95+deb12-arm64")
        #expect(choice.buildTools.architecture == "amd64")
        #expect(choice.commonHeaders.architecture == "all")
    }

    @Test("packages of different versions do not make a kernel")
    func mixed() {
        let offers =
            Self.kernel("6.12.9", "6.12.9-1", without: "linux-headers-6.12.9-common")
            + [
                OfferedPackage(
                    name: "linux-headers-6.12.9-common", version: DebianVersion("6.12.9-2"), architecture: "all")
            ]
        #expect(throws: LabError.packageUnavailable("a complete arm64 kernel 6.12 with its headers")) {
            try KernelSelection(from: offers, series: "6.12")
        }
    }

    @Test("only names that play a part are asked about")
    func queries() {
        #expect(KernelSelection.query(for: "linux-kbuild-6.12.9") == "linux-kbuild-6.12.9:amd64")
        #expect(KernelSelection.query(for: "linux-headers-6.12.9-common") == "linux-headers-6.12.9-common")
        #expect(KernelSelection.query(for: "linux-image-6.12.9-cloud-arm64") == "linux-image-6.12.9-cloud-arm64")
        #expect(KernelSelection.query(for: "linux-image-6.12.9-rt-arm64") == nil)
        #expect(KernelSelection.query(for: "linux-image-6.12.9-amd64") == nil)
    }

    @Test("package records")
    func records() {
        let text = """
            Package: busybox-static
            Architecture: arm64
            Version: 1:1.35.0-4
            Description: small
             Package: not a field

            Package: libc6
            Version: 2.36-9
            Architecture: amd64
            """
        let offers = AptRoot.parseRecords(text)
        #expect(offers.map(\.name) == ["busybox-static", "libc6"])
        #expect(offers[0].version == DebianVersion("1:1.35.0-4"))
        #expect(offers[1].architecture == "amd64")
    }

    @Test("what is missing, and what is too old")
    func missing() {
        let needed = [
            NeededTool(package: "qemu-system-arm", minimum: DebianVersion("1:10.0"), purpose: ""),
            NeededTool(package: "make", minimum: nil, purpose: ""),
            NeededTool(package: "xz-utils", minimum: nil, purpose: ""),
        ]
        let status = """
            qemu-system-arm\tinstalled\t1:7.2+dfsg-7
            make\tinstalled\t4.3-4
            xz-utils\tconfig-files\t5.4
            """
        #expect(MachineSetup.missing(needed, status: status).map(\.package) == ["qemu-system-arm", "xz-utils"])
        let enough = status.replacing("1:7.2+dfsg-7", with: "1:10.0.2+ds-2").replacing(
            "config-files", with: "installed")
        #expect(MachineSetup.missing(needed, status: enough).isEmpty)
    }

    @Test("the release of a machine")
    func release() throws {
        let text = "PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nID=debian\nVERSION_CODENAME=trixie\n"
        #expect(try DebianRelease(osRelease: text) == .trixie)
        #expect(throws: LabError.unsupportedMachine("it runs Ubuntu 24.04 LTS")) {
            try DebianRelease(osRelease: "PRETTY_NAME=\"Ubuntu 24.04 LTS\"\nID=ubuntu\nVERSION_CODENAME=noble\n")
        }
    }

    @Test("a kernel tree works from anywhere")
    func relocation() {
        #expect(
            KernelTree.relocated(makefile: "include /usr/src/linux-headers-6.12.9-common/Makefile\n")
                == "include $(dir $(lastword $(MAKEFILE_LIST)))../linux-headers-6.12.9-common/Makefile\n")
    }
}
