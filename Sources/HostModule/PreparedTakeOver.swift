// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The take-over's shared state in memory that every CPU reaches while the machine is stopped.

internal import CHostKernel
internal import HostModuleCore

/// What `martlet_take_over` finds on every CPU.
private struct TakeOverContext: ~Copyable {
    let takeOver: TakeOver
    let enter: UInt64
    let bootBlock: UInt64
    let cpus: UInt32
}

/// A take-over that is ready to run.
@safe struct PreparedTakeOver: ~Copyable {
    private let memory: Scratch<UInt8>
    private let typed: UnsafeMutablePointer<TakeOverContext>

    init(enter: UInt64, bootBlock: UInt64, cpus: UInt32) throws(Refusal) {
        guard let memory = Scratch<UInt8>(count: MemoryLayout<TakeOverContext>.size) else {
            throw .surveyFailed(12)
        }
        // Safety: enough memory, aligned for any type; it holds nothing that needs an end.
        unsafe typed = UnsafeMutableRawPointer(memory.pointer).bindMemory(to: TakeOverContext.self, capacity: 1)
        unsafe typed.initialize(
            to: TakeOverContext(takeOver: TakeOver(), enter: enter, bootBlock: bootBlock, cpus: cpus))
        self.memory = memory
    }

    /// For `martlet_kernel_stop_machine`. It is valid as long as this value lives.
    @unsafe var context: UnsafeMutableRawPointer { unsafe UnsafeMutableRawPointer(typed) }

    /// How it ended, once the machine runs again.
    var outcome: TakeOver.Outcome { unsafe typed.pointee.takeOver.outcome }
}

/// One CPU's part of the installation; the kernel calls it on all at once, with interrupts off.
@c(martlet_take_over)
public func takeOver(context: UnsafeMutableRawPointer, index: UInt32, cpu: UInt32) {
    // Safety: the binding hands back what `PreparedTakeOver.context` gave it.
    let context = unsafe context.assumingMemoryBound(to: TakeOverContext.self)
    var stopped = unsafe StoppedCPU(
        enterAddress: context.pointee.enter, bootBlock: context.pointee.bootBlock, index: index)
    unsafe context.pointee.takeOver.run(on: &stopped, index: index, id: cpu, of: context.pointee.cpus)
}
