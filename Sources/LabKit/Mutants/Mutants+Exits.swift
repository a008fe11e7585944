// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Faults in what the host hears of a guest, and what a guest may ask.

extension Mutants {
    private static let traps = "Guest/Hypervisor+GuestTraps.swift"
    private static let running = "Guest/Hypervisor+Run.swift"

    static let exits: [Mutant] = [
        .value(
            "failure-tells-where", .worldSwitch, "Guest/Hypervisor+Run.swift",
            "guest.kind(on: processor) == .protected && exit == .unsupported && !isWithout(.failuresSayNothing)",
            is: "false",
            "The host learns addresses of a protected guest."),
        .value(
            "fault-tells-offset", .worldSwitch, traps,
            "guest.kind(on: processor) == .protected ? address & ~(pageSize &- 1) : address", is: "address",
            "The host learns which byte of a page a protected guest touches."),
        .value(
            "timer-tells-all", .worldSwitch, "Guest/Hypervisor+Run.swift",
            "kind == .normal || exit == .waitForInterrupt || isWithout(.timersAreHidden)", is: "true",
            "The host reads a protected guest's timer at each exit."),
        .unchecked(
            "anything-is-a-device", .worldSwitch, traps,
            "guest.kind(on: processor) == .normal || guest.vm.isWindow(page, on: processor)",
            "The host gets values of a protected guest from where no device is."),
        .unchecked(
            "unaligned-access-shown", .worldSwitch, traps, "address & (access.bytes &- 1) == 0",
            "The host gets a part of a value that belongs to memory."),
        .value(
            "crossing-access-shown", .worldSwitch, traps,
            "access.bytes == 1 || «isDeviceMemory(far, on: processor)»", is: "true",
            "The host gets a part of a value that belongs to the page before."),
        .left(
            "completed-twice", .worldSwitch, "Guest/PendingAccess.swift",
            out: """
                «if !isWithout(.accessesCompleteOnce) { vcpu.store(.pending, PendingAccess.nothing.bits, on: processor) }»
                        if arguments.request.isEmpty
                """,
            "The host writes a guest's register at each run."),
        .value(
            "completed-unasked", .worldSwitch, "Guest/PendingAccess.swift",
            "if «arguments.request.isEmpty» { return }", is: "false",
            "An access counts as done that nobody did."),
        .value(
            "load-too-wide", .worldSwitch, "Guest/PendingAccess.swift",
            "let unused = «64 &- bytes &* 8»", is: "0",
            "A load of a byte changes all of the register."),
        .value(
            "sign-not-extended", .worldSwitch, "Guest/PendingAccess.swift",
            "«bits & (1 << 21) != 0» ? UInt64", is: "false",
            "A signed load gives a positive number."),
        .value(
            "pending-start-lost", .worldSwitch, "Guest/Hypervisor+Run.swift",
            "case .starting: «start(guest.vcpu, on: processor)»", is: "break",
            "A vCPU that the guest starts does not begin where the guest said."),
        .value(
            "ends-unnoticed", .worldSwitch, "Guest/Hypervisor+Run.swift",
            "exit.endsMachine || (guest.kind(on: processor) == .protected && exit.endsGuest)", is: "false",
            "vCPUs run on after one of them has switched the VM off."),
        .unchecked(
            "cpu-on-after-the-end", .worldSwitch, "Guest/Hypervisor+GuestCalls.swift",
            "vcpu.power(on: processor) != .off",
            "A vCPU is started in a VM that is over."),
        .value(
            "cpu-on-of-running", .worldSwitch, "Guest/Hypervisor+GuestCalls.swift",
            "case .on: return «.alreadyOn»", is: ".success",
            "A guest hears that it started a vCPU that ran already."),
        .value(
            "affinity-of-nobody", .worldSwitch, "Guest/Hypervisor+GuestCalls.swift",
            "argument & ~0x30F == 0", is: "true",
            "An affinity that no vCPU has names one."),
        .unchecked(
            "random-bits-too-many", .worldSwitch, "Guest/Hypervisor+Entropy.swift",
            "x1 >= 1, «x1 <= 192» else",
            "A guest hears that it has more random bits than it got."),
        .left(
            "random-bits-unasked", .worldSwitch, "Guest/Hypervisor+Entropy.swift",
            out: "if rest < 64 { bits[index] &= (1 &<< rest) &- 1 }",
            "A guest gets more random bits than it asked for."),
        .left(
            "key-stays", .worldSwitch, "Entropy/RandomGenerator.swift",
            out: "takeKey(from: block)",
            "Who learns the key learns all bits that it gave."),
        .left(
            "seed-stays", .worldSwitch, "Entropy/RandomGenerator.swift",
            out: "processor.store32(at, 0)",
            "The seed of all random bits stays in memory."),
        .value(
            "identity-of-the-cpu", .worldSwitch, "Guest/GuestIdentity.swift",
            "return «6 | 1 << 12 | 1 << 20»", is: "processor.read(.idAA64DFR0)",
            "A guest believes in profiling and tracing that it cannot use."),
        .left(
            "smc-made-again", .worldSwitch, traps,
            out: "«vcpu.skipInstruction(on: processor)»\n            return guestCall",
            "A guest makes one call for ever."),
        .value(
            "abort-in-between", .worldSwitch, "Guest/Hypervisor+GuestTraps.swift",
            "vcpu.isMapped(page, on: processor)", is: "false",
            "The host hears of a fault that is over."),
        .left(
            "device-for-ever", .worldSwitch, "Guest/MemoryState+Lend.swift",
            out: "processor.storeRelease64(vm.address(.additions), vm.load(.additions, on: processor) &+ 1)",
            "The host gets accesses to a guest's memory, as if a device were there."),
    ]
}
