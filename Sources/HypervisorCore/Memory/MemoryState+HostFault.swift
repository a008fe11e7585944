// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A stage-2 abort of the host: whose page is it, and what follows.

import Arm
import HypervisorInterface
import Machine

/// What became of a host stage-2 translation fault.
public enum HostFaultAnswer: Equatable, Sendable {
    /// The access may be made again, and ends in the sink.
    case sunk
    /// The access may be made again: the page is mapped now.
    case mapped
    /// The access may be made again: another CPU was between break and make, or had mapped it.
    case spurious
    /// The page is not the host's.
    case refused
}

/// What kind of access of the host was aborted, as far as the answer depends on it.
public enum HostAccessKind: Equatable, Sendable {
    /// A load or a store of EL1 to a kernel address.
    case kernelData
    /// Anything else: EL0, user addresses, fetches, table walks.
    case other
}

extension MemoryState {
    /// Answers a translation fault of the host at an intermediate physical page.
    mutating func answerHostFault(
        at frame: Frame<HostPhysical>, by access: HostAccessKind, of cpu: Int, on processor: some Processor
    ) -> HostFaultAnswer {
        var answer = decideHostFault(at: frame, on: processor)
        if answer == .refused, needsSink(frame, access, cpu), sink(frame, on: processor) { answer = .sunk }
        switch answer {
        case .sunk: break
        case .mapped: hostFaults.mapped &+= 1
        case .spurious: hostFaults.spurious &+= 1
        case .refused: hostFaults.refused &+= 1
        }
        return answer
    }

    /// A data access of the kernel to its own map of memory has no way out of a fault. A user
    /// address has one, but for the kernel's loops that make the access again and again.
    private mutating func needsSink(_ frame: Frame<HostPhysical>, _ access: HostAccessKind, _ cpu: Int) -> Bool {
        switch access {
        case .kernelData: true
        case .other: refusals.isTooMany(frame, cpu: cpu)
        }
    }

    private mutating func decideHostFault(
        at frame: Frame<HostPhysical>, on processor: some Processor
    ) -> HostFaultAnswer {
        guard hostTable.geometry.contains(frame.number) else { return .refused }
        if case .leaf = hostTable.lookup(frame.number, on: processor).descriptor { return .spurious }
        switch map.kind(of: frame, on: processor) {
        case .ram, .firmware, .deny:
            // What the host may reach of RAM is always mapped; what isn't is not the host's.
            if isWithout(.carveOutIsHidden), case .hypervisor = ledger.state(of: frame, on: processor) {
                return mapDevice(frame, on: processor) ? .mapped : .refused
            }
            return .refused
        case .device:
            return mapDevice(frame, on: processor) ? .mapped : .refused
        }
    }

    /// Maps a device page, with the 2 MiB around it if nothing else lies there.
    private mutating func mapDevice(_ frame: Frame<HostPhysical>, on processor: some Processor) -> Bool {
        if assignDevice(frame, on: processor) { return true }
        dropDevices(on: processor)
        return assignDevice(frame, on: processor)
    }

    private mutating func assignDevice(_ frame: Frame<HostPhysical>, on processor: some Processor) -> Bool {
        let start = frame.number & ~(pagesPerSuperpage &- 1)
        var range = FrameRange(frame)
        if let block = FrameRange<HostPhysical>(alleged: start, count: pagesPerSuperpage),
            map.isDeviceOnly(block, on: processor)
        {
            range = block
        }
        pool.purpose = .deviceMapping
        defer { pool.purpose = .ownershipChange }
        do throws(TableError) {
            try hostTable.assign(
                InputRange(range), .identity(Self.hostDevice, largest: .two), tablesFrom: &pool, on: processor)
            return true
        } catch {
            return false
        }
    }

    /// Unmaps every device, which frees the tables that only devices need. They come back on
    /// demand.
    private mutating func dropDevices(on processor: some Processor) {
        var first: UInt64 = 0
        var index = 0
        repeat {
            let entry = map.entry(index, on: processor)
            let end = entry?.range.first.number ?? hostTable.geometry.frames
            if first < end {
                do throws(TableError) {
                    try hostTable.assign(
                        InputRange(first: first, end: end), .nothing, tablesFrom: &pool, on: processor)
                } catch {
                    processor.panic("unmapping devices needed a table page")
                }
            }
            first = entry?.range.end.number ?? hostTable.geometry.frames
            index &+= 1
        } while first < hostTable.geometry.frames
        pool.forgetDeviceTables()
    }
}
