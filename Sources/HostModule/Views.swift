// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What /sys/kernel/debug/martlet shows.

internal import CHostKernel
internal import HostModuleCore
internal import HypervisorInterface

/// Text into the kernel's buffer; the length is returned.
private func show(
    _ buffer: UnsafeMutablePointer<UInt8>, _ capacity: UInt64, _ body: (inout TextBuffer) -> Void
) -> UInt64 {
    // Safety: the binding gives a buffer of this capacity that outlives the call.
    var text = unsafe TextBuffer(memory: buffer, capacity: Int(clamping: capacity))
    body(&text)
    return UInt64(text.count)
}

/// The interface's version and the hypervisor's phase.
@c(martlet_show_version)
public func showVersion(buffer: UnsafeMutablePointer<UInt8>, capacity: UInt64) -> UInt64 {
    unsafe show(buffer, capacity) { text in
        let answer = EL2.request(.version)
        text.write("interface ")
        text.write(decimal: answer.first >> 16)
        text.write(".")
        text.write(decimal: answer.first & 0xFFFF)
        text.write("\nphase ")
        text.write(CallPhase(rawValue: answer.second)?.name ?? "unknown")
        text.write("\n")
    }
}

/// All counters, a line each.
@c(martlet_show_counters)
public func showCounters(buffer: UnsafeMutablePointer<UInt8>, capacity: UInt64) -> UInt64 {
    unsafe show(buffer, capacity) { text in
        let failure = CounterReport.write(to: &text) { EL2.request(.counter, $0.rawValue) }
        if let failure {
            text.write("status ")
            text.write(signed: failure.rawValue)
            text.write("\n")
        }
    }
}

/// The panic record; empty if there is none.
@c(martlet_show_panic)
public func showPanic(buffer: UnsafeMutablePointer<UInt8>, capacity: UInt64) -> UInt64 {
    unsafe show(buffer, capacity) { text in
        _ = EL2.writePanic(to: &text) { $0.write("\n") }
    }
}
