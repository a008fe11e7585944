// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The part of a state that a call is about. Where all memory of all guests is too much to carry, whoever
// carries it keeps the rest of the state, and puts in what a call names before it asks what follows.

extension AbstractState {
    /// This state with some runs of pages as all that is known of memory, and some pages of one VM.
    ///
    /// - Parameters:
    ///   - runs: pages of RAM and what they are, in ascending order; neighbours differ.
    ///   - lent: those of them that are lent.
    ///   - handle: a VM that is there.
    ///   - mappings: what of its memory the part has.
    ///   - elsewhere: how many pages of memory it has besides.
    public func part(
        _ runs: [Pages], lent: Set<UInt64>, of handle: UInt64, mappings: [UInt64: Machine.Mapping], elsewhere: Int
    ) -> AbstractState {
        var part = self
        part.map = runs
        part.lentElsewhere = lent
        part.machines[handle]?.mappings = mappings
        part.machines[handle]?.mappingsElsewhere = elsewhere
        return part
    }

    /// This state with some runs of pages, in ascending order, as all that is known of memory.
    public func part(_ runs: [Pages]) -> AbstractState {
        var part = self
        part.map = runs
        return part
    }

    /// The state without what is known of memory; each VM has as many pages as it had.
    public var withoutMemory: AbstractState {
        var rest = self
        rest.map = []
        rest.lentElsewhere = []
        for (handle, machine) in machines {
            rest.machines[handle]?.mappingsElsewhere = machine.memoryPages
            rest.machines[handle]?.mappings = [:]
        }
        return rest
    }

    /// A VM as its own pages say that it is: whether it has run, and which CPU runs a vCPU. The host's runs
    /// are not steps of whoever carries this state.
    public mutating func observe(_ handle: UInt64, hasRun: Bool, runners: [UInt64: Int]) throws(Disagreement) {
        guard let machine = machines[handle] else { return }
        if machine.hasRun, !hasRun { throw Disagreement("VM \(hex(handle)) has run, and does not know it") }
        machines[handle]?.hasRun = hasRun
        for index in machine.vcpus.keys { change(VCPUName(handle, index)) { $0.runner = runners[index] } }
    }
}
