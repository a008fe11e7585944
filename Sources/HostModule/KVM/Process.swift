// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Arguments of ioctls from and to the calling process, and the machine that a VM runs on.

internal import CHostKernel
internal import HostModuleCore
internal import HypervisorInterface
internal import KVMCore

/// The calling process's memory.
enum Process {
    /// Copies words of 64 bits in; the last may be half a word, whose rest is zero.
    static func read<let count: Int>(_ address: UInt64, bytes: Int = count * 8) throws(LinuxError) -> InlineArray<
        count, UInt64
    > {
        var words = InlineArray<count, UInt64>(repeating: 0)
        var span = words.mutableSpan
        // Safety: no more bytes than the array has.
        let error = unsafe span.withUnsafeMutableBytes { buffer in
            unsafe martlet_kernel_copy_in(buffer.baseAddress, address, UInt64(min(bytes, count * 8)))
        }
        guard error == 0 else { throw .fault }
        return words
    }

    /// Lets other threads run, and throws if the calling one must leave the kernel: `.interrupted` for a
    /// signal, `.restart` for work after which the call goes on.
    static func checkErrands() throws(LinuxError) {
        switch martlet_kernel_errand() {
        case MARTLET_NO_ERRAND: return
        case MARTLET_RESTART: throw .restart
        default: throw .interrupted
        }
    }

    /// Copies the first bytes of words out.
    static func write<let count: Int>(
        _ words: InlineArray<count, UInt64>, to address: UInt64, bytes: Int = count * 8
    ) throws(LinuxError) {
        // Safety: no more bytes than the array has.
        let error = unsafe words.span.withUnsafeBytes { buffer in
            unsafe martlet_kernel_copy_out(address, buffer.baseAddress, UInt64(min(bytes, count * 8)))
        }
        guard error == 0 else { throw .fault }
    }
}

/// The machine, as far as guests depend on it.
struct GuestMachine {
    let limits: MachineLimits
    let userLimit: UInt64
    let timerFrequency: UInt64
    let timerInterrupt: UInt32
    /// Whether a guest may read memory past the data cache.
    let needsClean: Bool
    /// Whether the instruction cache must be told of writes.
    let needsFetchSync: Bool

    /// The vector lengths that EL2 gives guests; none if it has panicked.
    private static func vectorLengths() -> VectorLengths {
        let answer = EL2.request(.version)
        guard answer.status == CallStatus.success.rawValue, answer.second == CallPhase.finalised.rawValue else {
            return .none
        }
        return VectorLengths(bits: answer.third)
    }

    /// The machine that this runs on.
    static func current() -> GuestMachine {
        var machine = martlet_machine()
        // Safety: the structure is this function's own.
        unsafe martlet_kernel_machine(&machine)
        return GuestMachine(
            limits: MachineLimits(
                physicalBits: machine.physical_bits, hostCPUs: UInt64(machine.online_cpus),
                vcpus: HostCall.maximumVCPUs, vectorLengths: vectorLengths()),
            userLimit: machine.user_limit, timerFrequency: machine.timer_frequency,
            timerInterrupt: machine.timer_interrupt, needsClean: machine.needs_clean != 0,
            needsFetchSync: machine.needs_fetch_sync != 0)
    }
}
