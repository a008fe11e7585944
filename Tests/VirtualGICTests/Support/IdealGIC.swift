// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What a GIC does, said as plainly as possible: every interrupt in one place, every question
// answered by looking at all of them. Private interrupts are kept by vCPU, SPIs under nil.

import VirtualGIC

struct IdealGIC {
    struct Name: Hashable {
        let vcpu: Int?
        let intid: Int
    }

    struct Interrupt {
        var enabled = false
        var latch = false
        var line = false
        var active = false
        var groupOne = true
        var edge = false
        var priority: UInt8 = 0
        var target: Int?

        var pending: Bool { latch || (!edge && line) }
    }

    var interrupts: [Name: Interrupt] = [:]
    var groups: UInt64 = 3
    /// What each vCPU has acknowledged and not ended.
    var serving: [[Name]]

    init(vcpus: Int, spis: Range<Int>) {
        serving = Array(repeating: [], count: vcpus)
        for vcpu in 0..<vcpus {
            for intid in 0..<32 {
                interrupts[Name(vcpu: vcpu, intid: intid)] = Interrupt(
                    enabled: intid < 16, edge: intid < 16, target: vcpu)
            }
        }
        for intid in spis { interrupts[Name(vcpu: nil, intid: intid)] = Interrupt(target: 0) }
    }

    func name(_ vcpu: Int, _ intid: Int) -> Name { Name(vcpu: intid < 32 ? vcpu : nil, intid: intid) }

    mutating func change(_ name: Name, _ body: (inout Interrupt) -> Void) {
        guard var interrupt = interrupts[name] else { return }
        body(&interrupt)
        interrupts[name] = interrupt
    }

    mutating func drive(_ name: Name, _ level: LineLevel) {
        change(name) { interrupt in
            if interrupt.edge {
                if level == .high { interrupt.latch = true }
            } else {
                interrupt.line = level == .high
            }
        }
    }

    /// The interrupts that a vCPU may be signalled next: one of the highest priority there is.
    func signalled(_ vcpu: Int, _ control: VirtualMachineControl) -> Set<Int> {
        let running = serving[vcpu].last.flatMap { interrupts[$0]?.priority }
        let candidates = interrupts.filter { _, interrupt in
            interrupt.enabled && interrupt.pending && !interrupt.active && interrupt.target == vcpu
                && groups & (interrupt.groupOne ? 2 : 1) != 0 && control.enables(interrupt.groupOne ? .one : .zero)
                && interrupt.priority < control.priorityMask
        }
        guard let best = candidates.values.map(\.priority).min() else { return [] }
        if let running, best >= running { return [] }
        return Set(candidates.filter { $0.value.priority == best }.map { $0.key.intid })
    }

    mutating func acknowledge(_ vcpu: Int, _ intid: Int) {
        let name = name(vcpu, intid)
        change(name) {
            $0.latch = false
            $0.active = true
        }
        serving[vcpu].append(name)
    }

    /// Ends what the vCPU acknowledged last, and says what that was.
    mutating func end(_ vcpu: Int) -> Int? {
        guard let name = serving[vcpu].popLast() else { return nil }
        change(name) { $0.active = false }
        return name.intid
    }
}
