// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Calls to EL2 from this CPU.

internal import CHostKernel
internal import HostModuleCore
internal import HypervisorInterface
internal import Synchronization

/// EL2 of the CPU that runs this.
enum EL2 {
    /// Makes a host call. Only where EL2 is known to be Martlet's.
    static func call(
        _ call: HostCall, _ first: UInt64 = 0, _ second: UInt64 = 0, _ third: UInt64 = 0
    ) -> HostCallAnswer {
        let answer = martlet_kernel_host_call(UInt64(call.rawValue), first, second, third)
        return HostCallAnswer(
            status: Int64(bitPattern: answer.x.0), first: answer.x.1, second: answer.x.2, third: answer.x.3)
    }

    /// Makes a runtime call, and reports the hypervisor's panic once if that is the answer.
    static func request(
        _ call: HostCall, _ first: UInt64 = 0, _ second: UInt64 = 0, _ third: UInt64 = 0
    ) -> HostCallAnswer {
        let answer = EL2.call(call, first, second, third)
        // After a panic the version is still told, with the phase that says so.
        let tellsOfPanic = call == .version && answer.second == CallPhase.panicked.rawValue
        if answer.status == CallStatus.panicked.rawValue || tellsOfPanic { reportPanic() }
        return answer
    }

    /// Writes the panic record to the kernel's log, the first time only.
    private static func reportPanic() {
        guard panicIsReported.exchange(1, ordering: .relaxed) == 0 else { return }
        withLine { line in
            line.write("the hypervisor has panicked: protected memory stays locked; restart the machine")
            line.log(MARTLET_LOG_EMERGENCY)
            _ = writePanic(to: &line) { line in line.log(MARTLET_LOG_EMERGENCY) }
        }
    }

    /// Writes the panic record as text; `false` if there is none.
    static func writePanic(to text: inout TextBuffer, endLine: (inout TextBuffer) -> Void) -> Bool {
        guard panicWord(0) == PanicRecord.magic else { return false }
        PanicRecord.write(to: &text, word: panicWord, endLine: endLine)
        return true
    }

    /// One word of the panic record, 0 beyond its end. EL2 gives three at a time; reading them
    /// anew for each is simple, and nothing here is in a hurry.
    private static func panicWord(_ index: Int) -> UInt64 {
        let answer = call(.panicRecord, UInt64(index))
        return answer.status == CallStatus.success.rawValue ? answer.first : 0
    }
}

/// Whether the panic record is in the log. An atomic because any CPU may be the first to hear.
private let panicIsReported = Atomic<UInt32>(0)

/// This CPU during the take-over.
struct StoppedCPU: TakeOverCPU, ~Copyable {
    /// Physical address of the image's entry.
    let enterAddress: UInt64
    /// Physical address of the boot block.
    let bootBlock: UInt64
    /// This CPU's place in the boot block.
    let index: UInt32

    mutating func enter() -> UInt64 { martlet_kernel_soft_restart(enterAddress, bootBlock, UInt64(index)).x.0 }
    mutating func call(_ call: HostCall) -> HostCallAnswer { EL2.call(call) }
    mutating func pause() { martlet_kernel_relax() }
}
