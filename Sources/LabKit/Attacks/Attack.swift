// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// An attack, who makes it, what stands against it, and where it is tried.

public import HypervisorInterface

/// One attack of the suite.
public struct Attack: Sendable {
    /// Who attacks.
    public enum Attacker: String, Sendable {
        case host, process, guest, device, payload
    }

    /// Its name: a letter for the group, then a number.
    public let id: String
    /// Who makes it.
    public let attacker: Attacker
    /// What is attempted.
    public let title: String
    /// What stands against it, in words.
    public let defence: String
    /// Defences without which it must succeed in the simulated machine; none if it is not tried there.
    public let simulated: [Defence]
    /// The same in QEMU, on the built hypervisor.
    public let emulated: [Defence]
    /// What has to exist before the attack has a subject.
    public let waitsFor: String?

    /// An attack that is tried.
    init(
        _ id: String, _ attacker: Attacker, _ title: String, against defence: String, simulated: [Defence] = [],
        emulated: [Defence] = []
    ) {
        self.id = id
        self.attacker = attacker
        self.title = title
        self.defence = defence
        self.simulated = simulated
        self.emulated = emulated
        waitsFor = nil
    }

    /// An attack on what does not exist yet.
    init(_ id: String, _ attacker: Attacker, _ title: String, waitsFor subject: String) {
        self.id = id
        self.attacker = attacker
        self.title = title
        defence = ""
        simulated = []
        emulated = []
        waitsFor = subject
    }

    /// The defences' bits, as tests pass them on.
    public static func bits(_ defences: [Defence]) -> UInt64 { defences.reduce(0) { $0 | $1.bit } }
}
