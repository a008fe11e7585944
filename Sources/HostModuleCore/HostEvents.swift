// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What the module answers when the installed host wants to restart, sleep, grow or bring a CPU
// back.

internal import HypervisorInterface

/// A restart that the kernel announces to its reboot notifiers.
public enum RestartDecision: Equatable, Sendable {
    /// Nothing stands against it: EL2 relays the firmware call.
    case proceed
    /// The kernel is about to start another kernel by itself (kexec). That kernel would take the
    /// hypervisor's memory for its own and would find no stub at EL2, so that it could neither
    /// run nor install Martlet again. A restart of the machine is what remains of the request.
    case restartMachine

    /// Decides by the command that accompanies a restart.
    public init(isKexec: UInt32) { self = isKexec != 0 ? .restartMachine : .proceed }
}

/// A sleep that the kernel announces to its power-management notifiers.
public enum SleepDecision: Equatable, Sendable {
    /// Suspend: to idle makes no firmware call, and EL2 relays those of the deeper states.
    case allow
    /// Hibernation: it writes all memory to a disk and lets another kernel restore it, but EL2's
    /// memory can be neither written nor restored.
    case refuse

    /// Decides by the event's number (`linux/suspend.h`): 1 prepares hibernation, 5 prepares
    /// to restore an image.
    public init(event: UInt64) {
        self = event == 1 || event == 5 ? .refuse : .allow
    }
}

/// Whether a CPU that comes online is behind the hypervisor.
public enum OnlineDecision: Equatable, Sendable {
    /// It is.
    case accept
    /// It is not; the kernel must take it offline again.
    case refuse

    /// Decides by the CPU's answer to `HostCall.version`.
    public init(version answer: HostCallAnswer) {
        let isOurs = answer.status == CallStatus.success.rawValue && answer.first >> 16 == interfaceVersion >> 16
        let phase = CallPhase(rawValue: answer.second)
        self = isOurs && (phase == .finalised || phase == .panicked) ? .accept : .refuse
    }
}
