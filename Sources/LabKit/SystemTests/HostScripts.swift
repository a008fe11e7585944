// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The scripts of the test host, with the checks that each has to report.

extension HostScript {
    /// The kernel is where and what it should be.
    static let boot = HostScript(
        "boot", checks: ["started-at-el2", "not-vhe", "linux-kvm-off", "all-cpus-online", "firmware"])
    /// Martlet has EL2, and what it keeps is out of reach.
    static let takeover = HostScript(
        "takeover",
        checks: [
            "loaded", "finalised", "own-memory-readable", "carve-out-found", "linear-map-read-refused",
            "linear-map-write-refused", "user-read-refused", "user-write-refused", "stub-set-vectors-refused",
            "stub-reset-vectors-refused", "stub-finalise-refused", "unload-refused", "second-load-refused",
        ])
    /// Modules come and go.
    static let modules = HostScript("modules", checks: ["module-cycles"])
    /// Memory is used up and given back.
    static let memory = HostScript("memory", checks: ["memory-patterns", "memory-swap"])
    /// Processes come and go.
    static let forks = HostScript("forks", checks: ["fork-copies", "fork-exec"])
    /// Files keep their content.
    static let files = HostScript("files", checks: ["files-tmpfs", "files-disk", "files-direct"])
    /// Processors come and go.
    static let hotplug = HostScript("hotplug", checks: ["hotplug-cycles"])
    /// What a hostile kernel would try from inside, by modules of the tests.
    static let attacks = HostScript(
        "attacks",
        checks: [
            "memory-listed", "attack-control", "carveout-found", "linear-map-read", "linear-map-write",
            "linear-map-atomic", "linear-map-zero-cache-line", "alias-cached", "alias-write-combining", "alias-device",
            "user-copy-from", "user-copy-to", "user-get", "call-version", "stub-calls", "stub-soft-restart",
            "initialization-calls", "unknown-calls", "firmware-calls", "firmware-version", "counter-unknown", "top-up",
            "top-up-hidden", "top-up-refused", "top-up-refused-unchanged", "reclaim", "reclaim-zeroed",
        ])
    /// Both kinds of private memory, as a user without privileges.
    static let privateMemory = HostScript(
        "private-memory",
        checks: [
            "limit-is-told", "descriptor-needs-no-limit", "descriptor-mapping", "descriptor-pages-owned",
            "descriptor-pages-back",
        ], ramDisk: .hostWithGuest)
    /// `/dev/kvm` as a process uses it, and as one misuses it.
    static let kvm = HostScript(
        "kvm",
        checks: [
            "kvm-refusals", "kvm-exits", "kvm-ends", "kvm-interrupts", "kvm-sign-extension", "kvm-registers",
            "kvm-memory", "kvm-first-run", "kvm-limits", "kvm-nonsense", "kvm-kill-cycles",
        ])
    /// What is refused to a protected VM's process, and who reaches its memory when.
    static let protected = HostScript(
        "protected",
        checks: [
            "abi", "nonsense", "isolation", "isolation-back", "attacks", "attacks-back", "misuse", "misuse-back",
            "protected-kill-cycles", "protected-back",
        ])
    /// The hypervisor panics, and the host lives on to tell.
    static let panic = HostScript(
        "panic", checks: ["provoked", "interrupt-interface", "record-kept", "host-goes-on", "calls-refused"])
    /// Martlet is still what it was, and nothing of it was used up.
    static let aftermath = HostScript("aftermath", checks: ["still-finalised", "no-panic-record", "still-refused"])

    /// The module is refused.
    static let refusal = HostScript("refusal", checks: ["refused", "nothing-kept", "host-goes-on"])
    /// The module is refused because of a CPU, and then not any more.
    static let offlineCPU = HostScript(
        "offline-cpu", checks: refusal.checks + ["loads-then", "finalised", "runs-on-both"])
    /// The module is refused because of memory, and then not any more.
    static let scarceMemory = HostScript("scarce-memory", checks: refusal.checks + ["loads-then", "finalised"])
    /// The host may not save and restore memory that EL2 has.
    static let hibernation = HostScript(
        "hibernation", checks: ["hibernation-refused", "reading-memory-refused", "restoring-refused"])
    /// The host sleeps, and wakes.
    static let suspend = HostScript("suspend", checks: ["suspend-to-idle", "goes-on"])
    /// The host restarts.
    static let reboot = HostScript("reboot", checks: ["restarted"])
    /// The host is reset under guests, and the next kernel looks for what they had.
    static let reset = HostScript(
        "reset",
        checks: ["normal", "descriptor", "pinned"].flatMap { ["\($0)-lives", "\($0)-sought-after-reset"] },
        ramDisk: .hostWithGuest)
    /// The host starts another kernel, and that becomes a restart.
    static let kexec = HostScript("kexec", checks: ["restarted", "not-the-second-kernel"])
    /// RAM has a hole, and a region that the kernel does not map.
    static let regions = HostScript(
        "regions", checks: ["region-unmapped", "region-read", "region-written", "region-not-donated", "high-devices"])

    /// A whole life of a host.
    static let life: [HostScript] = [.boot, .modules, .forks, .files, .memory, .hotplug]
}
