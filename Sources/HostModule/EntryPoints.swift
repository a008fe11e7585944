// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What the kernel calls. C holds every function pointer; these are the functions it names.

internal import CHostKernel
internal import HostModuleCore
internal import HypervisorInterface

/// Installs the hypervisor. 0, or a negative Linux error number with the reason in the log.
@c(martlet_load)
public func load() -> Int32 {
    do throws(Refusal) {
        switch try install() {
        case .installed(let report):
            withLine { line in
                report.describe(to: &line)
                line.log(MARTLET_LOG_NOTICE)
            }
            offerKVM()
            return 0
        case .stuck(let refusal):
            withLine { line in
                line.write("half installed, which cannot be undone: reset the machine. ")
                refusal.describe(to: &line)
                line.log(MARTLET_LOG_EMERGENCY)
            }
            return -refusal.errorNumber
        }
    } catch {
        withLine { line in
            line.write("not installed: ")
            error.describe(to: &line)
            line.log(MARTLET_LOG_ERROR)
        }
        return -error.errorNumber
    }
}

/// Whether a device-tree node with this compatible string must be denied to the host.
@c(martlet_is_denied_device)
public func isDeniedDevice(compatible: UnsafePointer<UInt8>, length: UInt64) -> UInt32 {
    // Safety: the binding gives a string of the device tree with its length.
    let bytes = unsafe Span(_unsafeStart: compatible, count: Int(clamping: length))
    return DeniedDevice.matches(compatible: bytes) ? 1 : 0
}

/// Nonzero: the restart must become one of the machine.
@c(martlet_on_restart)
public func onRestart(isKexec: UInt32) -> UInt32 {
    RestartDecision(isKexec: isKexec) == .restartMachine ? 1 : 0
}

/// Nonzero: the sleep must be refused.
@c(martlet_on_sleep)
public func onSleep(event: UInt64) -> UInt32 {
    SleepDecision(event: event) == .refuse ? 1 : 0
}

/// Nonzero: this CPU is not behind the hypervisor and must go offline again.
@c(martlet_on_cpu_online)
public func onCPUOnline(cpu: UInt32) -> UInt32 {
    OnlineDecision(version: EL2.request(.version)) == .refuse ? 1 : 0
}
