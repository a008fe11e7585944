// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Counts what met what in the programs that were played.

public import HypervisorInterface
import SimulatedMachine
import Specification

/// How often each cell was visited, and how often each call ended in which way.
public struct Coverage: Sendable {
    /// Visits of each cell.
    public private(set) var visits: [Cell: Int] = [:]
    /// Answers of each call.
    public private(set) var answers: [HostCall: [CallStatus: Int]] = [:]

    /// Nothing yet.
    public init() {}

    /// Adds another's counts.
    public mutating func merge(_ other: Coverage) {
        visits.merge(other.visits, uniquingKeysWith: +)
        for (call, counts) in other.answers { answers[call, default: [:]].merge(counts, uniquingKeysWith: +) }
    }

    /// Cells that can be visited and were not.
    public var missing: [Cell] { Cell.all.filter { $0.isImpossibleBecause == nil && visits[$0] == nil } }

    /// Cells that were visited although that is said to be impossible.
    public var surprising: [Cell] { Cell.all.filter { $0.isImpossibleBecause != nil && visits[$0] != nil } }

    private mutating func visit(_ page: PageKind, _ doing: Doing) { visits[Cell(page, doing), default: 0] += 1 }

    private static func kind(_ frame: UInt64, _ state: AbstractState) -> PageKind {
        guard frame >> (state.inputBits - 12) == 0 else { return .outside }
        return switch state.page(frame) {
        case .device: .device
        case .denied: .denied
        case .firmware: .firmware
        case .host: state.lentCount(frame) > 0 ? .lent : .host
        case .installed: .installed
        case .donated: .donated
        case .machine: .machine
        case .guest: .guest
        }
    }

    private static func kind(_ page: UInt64, of vm: Specification.Machine) -> PageKind {
        guard page >> (vm.inputBits - 12) == 0 else { return .outside }
        if vm.mappings[page] != nil { return vm.kind == .normal ? .lent : .guest }
        return vm.windows.contains { $0.first <= page && page - $0.first < $0.count } ? .window : .nothing
    }

    mutating func note(_ call: CallRegisters, _ name: HostCall?, _ state: AbstractState, region: UInt64) {
        let vm = state.machines[call.x1]
        switch name {
        case .topUp: visit(Self.kind(call.x1, state), .topUp)
        case .pageReport: visit(Self.kind(call.x1, state), .pageReport)
        case .createVM: visit(Self.kind(call.x3, state), .createVM)
        case .donateToVM where vm != nil: visit(Self.kind(call.x2, state), .donateToVM)
        case .createVCPU where vm != nil: visit(Self.kind(call.x3, state), .createVCPU)
        case .mapGuest:
            guard let vm else { return }
            visit(Self.kind(call.x3, state), .mapGuest)
            visit(Self.kind(call.x2, of: vm), .mapGuestAt)
        case .donateToGuest:
            guard let vm else { return }
            visit(Self.kind(call.x3, state), .donateToGuest)
            visit(Self.kind(call.x2, of: vm), .donateToGuestAt)
        case .unmapGuest: if let vm { visit(Self.kind(call.x2, of: vm), .unmapGuestAt) }
        case .allowMMIO: if let vm { visit(Self.kind(call.x2, of: vm), .allowMMIOAt) }
        default: break
        }
    }

    mutating func noteAnswer(
        _ call: CallRegisters, _ name: HostCall?, _ answer: CallRegisters, before: AbstractState, after: AbstractState
    ) {
        switch name {
        case .reclaimPool: visit(Self.kind(answer.x1, before), .reclaimPool)
        case .destroyVM:
            if answer.x3 > 0 { visit(Self.kind(answer.x2, before), .destroyVM) }
            guard let vm = before.machines[call.x1] else { return }
            let left = after.machines[call.x1]?.mappings ?? [:]
            if let lost = vm.mappings.first(where: { left[$0.key] == nil }) {
                visit(Self.kind(lost.value.frame, before), .destroyVM)
            }
        default: break
        }
    }

    mutating func note(_ status: CallStatus, of call: HostCall) { answers[call, default: [:]][status, default: 0] += 1 }

    mutating func noteFirmware(_ call: CallRegisters, _ state: AbstractState) {
        if UInt32(truncatingIfNeeded: call.x0) == Function.cpuOn { visit(Self.kind(call.x2 >> 12, state), .cpuOn) }
    }

    mutating func noteAccess(_ kind: AccessKind, _ frame: UInt64, _ state: AbstractState) {
        let doing: Doing =
            switch kind {
            case .read: .hostReads
            case .write: .hostWrites
            case .execute: .hostFetches
            }
        visit(Self.kind(frame, state), doing)
    }

    mutating func noteGuest(_ kind: AccessKind, _ page: UInt64, _ vm: Specification.Machine) {
        let isNormal = vm.kind == .normal
        let doing: Doing =
            switch kind {
            case .read: isNormal ? .normalReads : .protectedReads
            case .write: isNormal ? .normalWrites : .protectedWrites
            case .execute: isNormal ? .normalFetches : .protectedFetches
            }
        visit(Self.kind(page, of: vm), doing)
    }
}

extension Coverage: CustomStringConvertible {
    /// A table: pages across, deeds down; `-` is a cell that was not visited, a letter one that cannot be.
    public var description: String {
        let pages = PageKind.allCases
        func pad(_ text: String, _ width: Int) -> String {
            String(repeating: " ", count: max(0, width - text.count)) + text
        }
        let width = 10
        var lines = [pad("", 17) + pages.map { pad($0.rawValue, width) }.joined()]
        for doing in Doing.allCases {
            let cells = pages.map { page in
                let cell = Cell(page, doing)
                if let reason = cell.isImpossibleBecause { return pad(String(reason.letter), width) }
                return pad(visits[cell].map(String.init) ?? "-", width)
            }
            lines.append(doing.rawValue + String(repeating: " ", count: 17 - doing.rawValue.count) + cells.joined())
        }
        lines += [""] + Impossibility.allCases.map { "\($0.letter): \($0.reason)" }
        lines += [""] + answerLines
        return lines.joined(separator: "\n")
    }

    /// How each call was answered.
    private var answerLines: [String] {
        answers.sorted { $0.key.rawValue < $1.key.rawValue }.map { call, counts in
            "\(call): "
                + counts.sorted { $0.key.rawValue > $1.key.rawValue }.map { "\($0.key) \($0.value)" }.joined(
                    separator: ", ")
        }
    }

    /// The share of all calls that succeeded, in hundredths.
    public var validShare: Int {
        let all = answers.values.reduce(0) { $0 + $1.values.reduce(0, +) }
        let valid = answers.values.reduce(0) { $0 + $1[.success, default: 0] }
        return all == 0 ? 0 : valid * 100 / all
    }
}
