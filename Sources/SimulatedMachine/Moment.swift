// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Going back: a search tries many things from one state of the machine.

/// A state of the machine that it can be brought back to.
public struct Moment {
    fileprivate let memory: PhysicalMemory.Moment
    fileprivate let cpus: [CPUState]
    fileprivate let trees: [Tree]
    fileprivate let tables: [UInt64: TableRecord]
    fileprivate let pending: [UInt64: PendingStore]
    fileprivate let stale: [StaleEntry]
    fileprivate let departures: Departures
    fileprivate let trace: EventTrace
    fileprivate let vectors: [VectorRegisters]
    fileprivate let steps: UInt64
    fileprivate let violations: [Violation]
}

extension SimulatedMachine {
    /// Remembers the state of everything but the firmware.
    public func mark() -> Moment {
        Moment(
            memory: memory.mark(),
            cpus: cpus.map { state in
                let copy = CPUState(index: state.index, identification: configuration.identification)
                copy.become(state)
                return copy
            }, trees: trees, tables: tables, pending: pending, stale: stale, departures: departures, trace: trace,
            vectors: vectors, steps: steps, violations: violations)
    }

    /// Goes back. Moments between the two mean nothing any more.
    public func goBack(to moment: Moment) {
        memory.goBack(to: moment.memory)
        for (cpu, state) in zip(cpus, moment.cpus) { cpu.become(state) }
        trees = moment.trees
        tables = moment.tables
        pending = moment.pending
        stale = moment.stale
        departures = moment.departures
        trace = moment.trace
        vectors = moment.vectors
        steps = moment.steps
        violations = moment.violations
        writtenWords?.removeAll(keepingCapacity: true)
        // Numbers of epochs and of stale entries are never used twice.
        hypervisorEpoch &+= 1
    }
}
