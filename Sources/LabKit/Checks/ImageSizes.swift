// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The sizes of what is built.

/// Figures of the built images.
public enum ImageSizes {
    /// One line a figure.
    public static func lines(_ images: Images) async throws -> [String] {
        let hypervisor = try await SectionSizes.of(images.hypervisorELF())
        return [
            "Hypervisor text          \(hypervisor.text) bytes (limit \(MachineCode.hypervisorTextLimit))",
            "Hypervisor constants     \(hypervisor.constants) bytes",
            "Hypervisor variables     \(hypervisor.data) bytes",
            "Kernel module            \(images.hostModule().size) bytes",
            "VMM                      \(images.monitor.size) bytes",
            "Host RAM disk            \(images.hostRAMDisk.size) bytes",
        ]
    }
}

extension MachineCode {
    /// Checks everything that is built.
    public static func check(_ images: Images) async throws -> [CheckResult] {
        var results = try await checkHypervisor(images.hypervisorELF()) + checkModule(images.hostModule())
        for variant in HypervisorVariant.allCases where variant != .product {
            results.append(try await checkFaulty(images.hypervisorELF(variant), variant))
        }
        // Its heap and its arithmetic must leave the host's and the guests' registers alone too.
        let checked = try await Disassembly.of(images.hypervisorELF(.checked))
        results.append(noVectorRegisters(checked, but: vectorSwitch, group: "hypervisor-checked"))
        results.append(try await checkFaultyModule(images.hostModule(.switches), .switches))
        return results + [try await Traps.ofHypervisor(images).check(), try await Traps.ofModule(images).check()]
    }
}
