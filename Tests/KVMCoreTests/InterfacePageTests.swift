// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The page about /dev/kvm says what the system test checks, and has every request that is served.

import Foundation
import KVMCore
import Testing

@Suite struct InterfacePageTests {
    /// One request at one descriptor, and its answers.
    private struct Row: Equatable {
        let descriptor: String
        let request: String
        let what: String
        let answers: [String]
    }

    private static let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..")

    private static func lines(_ path: String) throws -> [Substring] {
        try String(contentsOf: root.appending(path: path), encoding: .utf8).split(separator: "\n")
    }

    private static let descriptors = [
        "system": "`/dev/kvm`", "vm": "VM", "bare": "VM without a GIC", "vcpu": "vCPU", "first": "vCPU 0",
        "second": "vCPU 1", "gic": "GIC",
    ]

    /// The rows that the program checks.
    private func checked() throws -> [Row] {
        try Self.lines("Tests/System/kvm/abi.def").filter { $0.hasPrefix("ROW(") }.map { line in
            let match = try #require(line.wholeMatch(of: /ROW\((\w+), (\w+), "(.*?)", \w+, .*?((?:, [A-Z0-9]+){4})\)/))
            return Row(
                descriptor: try #require(Self.descriptors[String(match.1)]), request: "`\(match.2)`",
                what: String(match.3),
                answers: match.4.split(separator: ", ").map { $0 == "OK" ? "ok" : String($0) })
        }
    }

    /// The rows of the page.
    private func documented() throws -> [Row] {
        try Self.lines("docs/kvm-abi.md").compactMap { line in
            let cells = line.dropFirst().dropLast().split(separator: "|", omittingEmptySubsequences: false)
                .map { $0.trimmingCharacters(in: .whitespaces) }
            guard cells.count == 7, cells[1].hasPrefix("`KVM_") else { return nil }
            return Row(descriptor: cells[0], request: cells[1], what: cells[2], answers: Array(cells[3...]))
        }
    }

    @Test func thePageHasTheProgramsRows() throws {
        let checked = try checked()
        #expect(checked.count > 80)
        #expect(try documented() == checked)
    }

    private static let names: [UInt32: String] = [
        0xAE00: "KVM_GET_API_VERSION", 0xAE01: "KVM_CREATE_VM", 0xAE03: "KVM_CHECK_EXTENSION",
        0xAE04: "KVM_GET_VCPU_MMAP_SIZE", 0xAE41: "KVM_CREATE_VCPU", 0x4020_AE46: "KVM_SET_USER_MEMORY_REGION",
        0x40A0_AE49: "KVM_SET_USER_MEMORY_REGION2", 0xC040_AED4: "KVM_CREATE_GUEST_MEMFD", 0x4008_AE61: "KVM_IRQ_LINE",
        0x8020_AEAF: "KVM_ARM_PREFERRED_TARGET", 0xC00C_AEE0: "KVM_CREATE_DEVICE",
        0x4018_AEE1: "KVM_SET_DEVICE_ATTR", 0x4018_AEE2: "KVM_GET_DEVICE_ATTR", 0x4018_AEE3: "KVM_HAS_DEVICE_ATTR",
        0xAE80: "KVM_RUN", 0x8004_AE98: "KVM_GET_MP_STATE", 0x4004_AE99: "KVM_SET_MP_STATE",
        0x4010_AEAB: "KVM_GET_ONE_REG", 0x4010_AEAC: "KVM_SET_ONE_REG", 0x4020_AEAE: "KVM_ARM_VCPU_INIT",
        0xC008_AEB0: "KVM_GET_REG_LIST", 0x4004_AEC2: "KVM_ARM_VCPU_FINALIZE",
    ]

    @Test func everyRequestHasARow() throws {
        let rows = try documented()
        let served: [(String, [UInt32])] = [
            ("`/dev/kvm`", SystemRequest.allCases.map(\.rawValue)), ("VM", VMRequest.allCases.map(\.rawValue)),
            ("vCPU", VCPURequest.allCases.map(\.rawValue)), ("GIC", DeviceRequest.allCases.map(\.rawValue)),
        ]
        for (descriptor, requests) in served {
            for request in requests {
                let name = try #require(Self.names[request], "request \(String(request, radix: 16)) has no name here")
                #expect(
                    rows.contains { $0.descriptor.hasPrefix(descriptor) && $0.request == "`\(name)`" },
                    "\(name) of a \(descriptor) is not in the page")
            }
        }
    }

    /// EPERM is what protection means, and nothing else.
    @Test func onlyProtectionForbids() throws {
        for row in try documented() {
            #expect(row.answers.prefix(2).allSatisfy { $0 != "EPERM" })
        }
    }
}
