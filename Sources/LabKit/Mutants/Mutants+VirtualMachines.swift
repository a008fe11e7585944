// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Faults in the lives of VMs and vCPUs.

extension Mutants {
    static let virtualMachines: [Mutant] = [
        .unchecked(
            "destroy-while-running", .ownership, "Guest/MemoryState+VM.swift",
            "!vm.isRunning(on: processor) || isWithout(.runsHoldMachines)",
            "A VM's memory goes while a CPU runs it."),
        .left(
            "wipe-before-unmap", .ownership, "Guest/MemoryState+VM.swift",
            out: "withVMID(of: handle, table, on: processor) { table.cutBranch(of: page, on: processor) }",
            "A guest's tables still map what the host has back."),
        .left(
            "lent-after-the-end", .ownership, "Guest/MemoryState+Lend.swift",
            out: "withVMID(of: handle, table, on: processor) { table.cutBranch(of: page, on: processor) }",
            "The tables of a VM that ends still map what was lent."),
        .left(
            "slot-kept", .ownership, "Guest/MemoryState+VM.swift",
            out: "machines.empty(handle)",
            "A handle still names a VM whose page is the host's."),
        .left(
            "vm-block-unwiped", .ownership, "Guest/MemoryState+VM.swift",
            out: """
                var frame = block.first
                        while frame < block.end {
                            «processor.zeroPage(HypervisorAddressSpace.identity(frame))»
                            frame = frame.advanced(by: 1)
                        }
                        let vm =
                """,
            "A guest's root holds what the host wrote."),
        .left(
            "vcpu-block-unwiped", .ownership, "Guest/MemoryState+VM.swift",
            out: """
                while frame < block.end {
                            «processor.zeroPage(HypervisorAddressSpace.identity(frame))»
                            frame = frame.advanced(by: 1)
                        }
                        let vcpu =
                """,
            "A vCPU begins with state that the host wrote."),
        .left(
            "vm-block-untaken", .ownership, "Guest/MemoryState+VM.swift",
            out: "throw .busy }\n        «try takeFromHost(block, on: processor)»",
            "A VM's tables lie in the host's memory."),
        .left(
            "vcpu-block-untaken", .ownership, "Guest/MemoryState+VM.swift",
            out: "pages: HostCall.pagesPerVCPU)\n        «try takeFromHost(block, on: processor)»",
            "A vCPU's registers lie in the host's memory."),
        .left(
            "spare-pages-untaken", .ownership, "Guest/MemoryState+VM.swift",
            out: "try takeFromHost(range, on: processor)",
            "A VM's tables will lie in the host's memory."),
        .unchecked(
            "vcpu-made-twice", .ownership, "Guest/MemoryState+VM.swift",
            "vm.vcpu(index, on: processor) == nil",
            "A vCPU's pages are lost, and its state is replaced."),
        .value(
            "vcpu-pages-lost", .ownership, "Guest/MemoryState+VM.swift",
            "for page in 0..<«HostCall.pagesPerVCPU» {\n                VMPool", is: "HostCall.pagesPerVCPU &- 1",
            "The host does not get all pages of a VM back."),
        .unchecked(
            "ending-vm-is-used", .ownership, "Guest/MemoryState+VM.swift",
            "vm.phase(on: processor) == .active",
            "A VM gets memory while its memory is taken back."),
        .unchecked(
            "second-vcpu-on", .ownership, "Guest/MemoryState+VM.swift",
            "start == .off || index == 0",
            "The host starts a vCPU of a protected guest where it likes."),
        .unchecked(
            "vcpu-after-first-run", .ownership, "Guest/MemoryState+VM.swift",
            "guard «vm.load(.hasRun, on: processor) == 0», start",
            "The host adds a vCPU to a protected guest that runs, or resets one."),
        .unchecked(
            "old-handle", .ownership, "Guest/VMTable.swift",
            "generations[slot] == handle.generation",
            "A handle of a VM that ended names the next one."),
        .left(
            "generation-stays", .ownership, "Guest/VMTable.swift",
            out: "generations[slot] = generations[slot] &+ 1",
            "A handle of a VM that ended names the next one."),
        .left(
            "guest-never-over", .ownership, "Guest/VMTable.swift",
            out: "if kind(on: processor) == .protected { store(.isOver, 1, on: processor) }",
            "The host runs a protected guest on after it has switched itself off."),
        .unchecked(
            "kind-unchecked", .ownership, "Guest/GuestRange.swift",
            "vm.kind(on: processor) == kind",
            "The host lends to a protected VM, or donates to a normal one."),
        .unchecked(
            "registers-of-running", .ownership, "Guest/MemoryState+Registers.swift",
            "vcpu.isIdle(on: processor)",
            "The host writes registers of a vCPU that runs."),
        .unchecked(
            "run-twice", .ownership, "Guest/RunningGuest.swift",
            "vcpu.isIdle(on: processor) || isWithout(.runsAreExclusive)",
            "Two CPUs run one vCPU."),
        .value(
            "taken-while-running", .ownership, "Guest/RunningGuest.swift",
            "KeptClaim(Address(runner)).takeAway(self, on: processor)", is: "true",
            "A VM is ended, or another CPU runs a vCPU, while a CPU runs it."),
        .unchecked(
            "kept-claim-of-another", .ownership, "Guest/RunningGuest.swift",
            "own == index",
            "The host runs another vCPU than it says."),
        .unchecked(
            "kept-claim-of-another-machine", .ownership, "Guest/RunningGuest.swift",
            "handle == number",
            "The host runs another VM than it says."),
        .value(
            "taken-up-though-taken-away", .ownership, "Guest/RunningGuest.swift",
            "«processor.exchange64(place(MARTLET_PERCPU_CLAIM_KEPT), base, for: 0)» else", is: "true",
            "A CPU runs a vCPU that another has, or that is no more."),
        .unchecked(
            "taken-up-though-off", .ownership, "Guest/RunningGuest.swift",
            "vcpu.load(.power, on: processor) == VCPUPage.Power.on.rawValue",
            "A vCPU runs on that another one has turned off."),
        .unchecked(
            "taken-up-before-any", .ownership, "Guest/RunningGuest.swift",
            "base != 0",
            "What a CPU keeps that has claimed nothing is taken for a vCPU."),
        .unchecked(
            "taken-up-though-over", .ownership, "Guest/RunningGuest.swift",
            "vm.load(.isOver, on: processor) == 0 || isWithout(.endsAreFinal)",
            "The host runs a protected guest on after it has switched itself off."),
        .left(
            "kept-beside-another", .ownership, "Guest/RunningGuest.swift",
            out: "KeptClaim(data).giveUp(on: processor)",
            "Nobody can run a vCPU whose claim a CPU has forgotten."),
        .left(
            "never-has-run", .ownership, "Guest/RunningGuest.swift",
            out: "vm.store(.hasRun, 1, on: processor)",
            "What must be fixed before the first run never is."),
        .value(
            "running-uncounted", .ownership, "Guest/RunningGuest.swift",
            "if let vcpu = vcpu(index, on: processor), «!vcpu.isIdle(on: processor)»", is: "false",
            "A VM is ended while a CPU runs it."),
        .unchecked(
            "protected-registers-read", .ownership, "Guest/MemoryState+Registers.swift",
            "vm.kind(on: processor) == .normal || register == .power",
            "The host reads a protected guest's registers."),
        .value(
            "protected-registers-written", .ownership, "Guest/MemoryState+Registers.swift",
            "vm.kind(on: processor) == .protected", is: "false",
            "The host writes a protected guest's registers."),
        .unchecked(
            "second-vcpus-registers", .ownership, "Guest/MemoryState+Registers.swift",
            "guard «index == 0» else { throw .denied }",
            "The host chooses registers of a vCPU that the guest starts."),
        .unchecked(
            "registers-after-run", .ownership, "Guest/MemoryState+Registers.swift",
            "vm.load(.hasRun, on: processor) == 0",
            "The host writes registers of a protected guest between its runs."),
    ]
}
