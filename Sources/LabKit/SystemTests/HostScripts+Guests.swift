// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The scripts that run guests on Martlet, with the checks that each has to report.

/// The kinds of VM that guests run in, each by the memory that it has.
enum GuestKind: String, CaseIterable {
    /// The host's memory, which it may take and look at.
    case normal
    /// A protected VM's own, from a descriptor of private memory.
    case descriptor
    /// A protected VM's own, from pages that the VMM had and that are pinned.
    case pinned

    /// What a reader is told.
    var title: String {
        switch self {
        case .normal: "normal VM"
        case .descriptor: "protected, descriptor"
        case .pinned: "protected, pinned"
        }
    }
}

extension HostScript {
    /// A guest's secret, which the host's kernel and root try to read: in a normal VM they do, in a
    /// protected one they don't.
    static let guests = HostScript(
        "guests",
        checks: GuestKind.allCases.flatMap { kind in
            let checks = [
                "up", "page-by-mapping", "page-by-mem", "page-by-vm", "page-by-kernel", "page-by-plain-load",
                "page-owner", "sought-by-kernel", "sought-by-read", "sought-by-mem", "goes-on", "ends",
            ]
            return (checks + (kind == .normal ? [] : ["memory-owned", "sought-in-owned", "memory-back"])).map {
                "\(kind)-\($0)"
            }
        }, ramDisk: .hostWithGuest)
    /// VMMs that are killed.
    static let killCycles = HostScript("kill-cycles", checks: ["kill-cycles"], ramDisk: .hostWithGuest)
    /// Guests of all sizes and kinds.
    static let guestSizes = HostScript(
        "guest-sizes",
        checks: [1, 2, 4].flatMap { processors in
            GuestKind.allCases.flatMap { kind in
                (["up", "off"] + findings(processors: processors)).map { "\(kind)-\(processors)-\($0)" }
            }
        }, ramDisk: .hostWithGuest)
    /// A guest whose memory the host takes away and gives back.
    static let guestPressure = HostScript(
        "guest-pressure",
        checks: [
            "filled", "nothing-in-swap", "swapped-out", "intact-under-pressure", "swapped-in", "intact-afterwards",
            "ends",
        ], ramDisk: .hostWithGuest)
    /// The host's CPUs come and go under guests.
    static let guestHotplug = HostScript(
        "guest-hotplug",
        checks: GuestKind.allCases.flatMap { kind in
            (["up", "cycles", "goes-on", "cycles-idle", "off"] + findings(processors: 2)).map { "\(kind)-\($0)" }
        }, ramDisk: .hostWithGuest)
    /// The hypervisor panics under a guest.
    static let guestPanic = HostScript(
        "guest-panic",
        checks: [
            "descriptor-up", "pinned-up", "descriptor-vmm-told", "pinned-vmm-told", "host-goes-on",
            "page-still-refused",
            "descriptor-secret-not-found", "pinned-secret-not-found", "memory-goes-on", "no-new-guest",
        ], ramDisk: .hostWithGuest)

    /// What a guest finds out about itself; alone, a CPU is interrupted by no other.
    private static func findings(processors: Int) -> [String] {
        ["cpus", "clock", "timers"] + (processors > 1 ? ["ipis"] : [])
    }
}
