// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What the vectors call: the thinnest layer between registers and the hypervisor's logic.

import Arm
import CBootProtocol
import CEL2
import EL2Machine
import HypervisorCore
import HypervisorInterface
import Machine

/// The image's root value.
struct Root: ~Copyable {
    let hypervisor: Hypervisor<EL2Processor>
    #if MARTLET_FAULT_CHECKED
    let audit = Locked(AuditState())
    #endif
}

/// A synchronous exception from the host. `frame` lies on this CPU's stack, `page` is its data page.
@c(martlet_host_trap)
public func hostTrap(_ frame: UnsafeMutableRawPointer, _ page: UInt64) -> Never {
    // Safety: the vectors have filled a HostFrame there, and nobody else knows of it.
    let frame = unsafe frame.assumingMemoryBound(to: HostFrame.self)
    let cpu = PerCPU(address: page)
    let processor = EL2Processor()
    if RootFlags.hasPanicked {
        unsafe answerAfterPanic(&frame.pointee, on: processor)
    } else if RootFlags.isInitialised {
        RootStorage<Root>.borrow { root in
            #if MARTLET_FAULT_CHECKED
            let outcome = unsafe root.checkedTrap(cpu, frame, on: processor)
            unsafe finish(outcome, frame, cpu, on: processor)
            #else
            // What a host asks for most.
            if unsafe root.hypervisor.isRun(frame.pointee) {
                unsafe root.hypervisor.tryToRun(cpu.index, Address(page), &frame.pointee, on: processor)
            } else {
                unsafe answer(root, frame, cpu, on: processor)
            }
            #endif
        }
    } else {
        unsafe trapBeforeInitialisation(frame, cpu, on: processor)
    }
    // Safety: the vectors' code, to which this returns so to speak.
    unsafe martlet_return(frame)
}

/// A synchronous exception from a guest, with `x0`…`x17` in the vCPU's page: whether it is over (bit 0), and
/// whether the guest's program counter goes on by an instruction (bit 1). `syndrome` is ESR_EL2.
@c(martlet_answer_quickly)
public func answerQuickly(_ page: UInt64, _ syndrome: UInt64) -> UInt64 {
    QuickAnswers.answer(Address(page), syndrome: syndrome, on: EL2Processor()).rawValue
}

/// Everything but a run.
@inline(never)
private func answer(
    _ root: borrowing Root, _ frame: UnsafeMutablePointer<HostFrame>, _ cpu: PerCPU, on processor: EL2Processor
) {
    // Safety: `hostTrap` says whose the frame is.
    let outcome = unsafe root.hypervisor.otherHostTrap(cpu.index, &frame.pointee, on: processor)
    unsafe finish(outcome, frame, cpu, on: processor)
}

/// What remains to be done with registers of EL2 itself after a call.
private func finish(
    _ outcome: HostCallOutcome, _ frame: UnsafeMutablePointer<HostFrame>, _ cpu: PerCPU, on processor: EL2Processor
) {
    switch outcome {
    case .answered:
        break
    case .confined:
        RootStorage<Root>.borrow { root in confine(root.hypervisor, cpu, on: processor) }
    case .withdraw:
        unsafe martlet_withdraw(frame, cpu[MARTLET_PERCPU_STUB_VBAR], cpu[MARTLET_PERCPU_STUB_SCTLR])
    case .panicRecord:
        // There is none: this is not `answerAfterPanic`.
        unsafe frame.pointee.x[0] = UInt64(bitPattern: CallStatus.notFound.rawValue)
    }
}

/// Chooses this CPU's vectors and prepares its way back from firmware.
private func confine(
    _ hypervisor: borrowing Hypervisor<EL2Processor>, _ cpu: PerCPU, on processor: EL2Processor
) {
    if case .loop(let iterations) = hypervisor.mitigation { cpu[MARTLET_PERCPU_BHB_LOOP] = iterations }
    let vectors = processor.hostVectors(hypervisor.mitigation)
    processor.write(.vbarEL2, vectors)
    let bits = hypervisor.features.physicalAddressBits
    cpu.prepareForFirmwareEntry(
        root: hypervisor.hypervisorRoot(on: processor), tcr: Stage1Control.bits(physicalAddressBits: bits),
        vectors: vectors)
}

/// Before `initialise`, three calls exist.
private func trapBeforeInitialisation(
    _ frame: UnsafeMutablePointer<HostFrame>, _ cpu: PerCPU, on processor: EL2Processor
) {
    let function = unsafe FunctionID(register: frame.pointee.x[0])
    var status = CallStatus.success
    switch HostCall(rawValue: function.rawValue) {
    case .version:
        unsafe frame.pointee.x[1] = interfaceVersion
        unsafe frame.pointee.x[2] = CallPhase.entered.rawValue
    case .withdraw:
        unsafe martlet_withdraw(frame, cpu[MARTLET_PERCPU_STUB_VBAR], cpu[MARTLET_PERCPU_STUB_SCTLR])
    case .initialise:
        do throws(CallStatus) {
            try initialise(cpu, on: processor)
        } catch {
            status = error
        }
    default:
        status = .notSupported
    }
    unsafe frame.pointee.x[0] = UInt64(bitPattern: status.rawValue)
}

/// Builds the root value from the boot block.
private func initialise(_ cpu: PerCPU, on processor: EL2Processor) throws(CallStatus) {
    let boot = try BootBlock(at: Address(cpu[MARTLET_PERCPU_BOOT]), on: processor)
    let entryPoints = FirmwareEntryPoints(
        cpuOn: el2_address_of_cpu_on(), resume: el2_address_of_cpu_resume())
    let hypervisor = try Hypervisor(
        boot: boot, features: CPUFeatures(of: processor), entryPoints: entryPoints, on: processor)
    RootStorage.place(Root(hypervisor: hypervisor))
}

/// A CPU that comes from firmware: fills the frame with which it goes on at EL1.
@c(martlet_arrive)
public func arrive(_ frame: UnsafeMutableRawPointer, _ page: UInt64) {
    let cpu = PerCPU(address: page)
    let start = RootStorage<Root>.borrow { root in root.hypervisor.arrive(cpu.index, on: EL2Processor()) }
    // Safety: entry.S has reserved the frame at the top of this CPU's stack.
    unsafe frame.initializeMemory(as: HostFrame.self, to: start)
}
