// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Attacks on what does not exist yet. They stay in the table until it does.

extension Attacks {
    /// In the order of their names.
    static let waiting: [Attack] = [
        Attack("A07", .host, "shares and unshares memory with EL2 out of order", waitsFor: "memory shared with EL2"),
        Attack(
            "A16", .host, "changes memory between EL2's check and use",
            waitsFor: "anything that EL2 reads from the host"),
        Attack("C11", .host, "injects an interrupt that only the guest may raise", waitsFor: "restricted injection"),
        Attack("D01", .guest, "shares, unshares and relinquishes badly", waitsFor: "guests' calls about memory"),
        Attack("D03", .guest, "exhausts tables by windows of its own", waitsFor: "guests' windows"),
        Attack("E01", .device, "reads and writes guests' memory by DMA", waitsFor: "an SMMU driver"),
        Attack("E02", .host, "turns the SMMU off", waitsFor: "an SMMU driver"),
        Attack("E03", .host, "replaces the SMMU's tables and queues", waitsFor: "an SMMU driver"),
        Attack("E05", .host, "installs stream table entries of its choice", waitsFor: "an SMMU driver"),
        Attack("E06", .host, "donates a page that a device still holds", waitsFor: "an SMMU driver"),
        Attack("E07", .host, "donates a page that is mapped for DMA", waitsFor: "an SMMU driver"),
        Attack("E11", .host, "finds a device behind no SMMU", waitsFor: "an SMMU driver"),
        Attack("F01", .host, "lends a guest's page to the secure world", waitsFor: "FF-A"),
        Attack("F03", .host, "sends descriptors that contradict themselves", waitsFor: "FF-A"),
        Attack("F05", .host, "makes FF-A calls that are not negotiated", waitsFor: "FF-A"),
        Attack("G01", .guest, "loops and wraps virtqueues", waitsFor: "virtio devices"),
        Attack("G02", .guest, "changes queues that are in use", waitsFor: "virtio devices"),
        Attack("H01", .payload, "starts a payload that nobody signed", waitsFor: "guest firmware"),
        Attack("H02", .payload, "overlaps images in memory", waitsFor: "guest firmware"),
        Attack("H03", .host, "swaps the payload between check and use", waitsFor: "guest firmware"),
        Attack("H05", .process, "hands a hostile device tree over", waitsFor: "guest firmware"),
        Attack("H07", .host, "starts a guest past its firmware", waitsFor: "guest firmware"),
        Attack("H08", .host, "reads the secrets of attestation", waitsFor: "guest firmware"),
    ]
}
