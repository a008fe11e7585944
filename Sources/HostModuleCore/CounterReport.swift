// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The hypervisor's counters by name, for people and scripts.

public import HypervisorInterface

extension Counter {
    /// The counter's name as the report writes it.
    public var name: StaticString {
        switch self {
        case .hypervisorPages: "hypervisor_pages"
        case .freePages: "free_pages"
        case .hostFaultsMapped: "host_faults_mapped"
        case .hostFaultsSpurious: "host_faults_spurious"
        case .hostFaultsRefused: "host_faults_refused"
        case .firmwareCallsRefused: "firmware_calls_refused"
        case .blocksSplit: "blocks_split"
        case .blocksCoalesced: "blocks_coalesced"
        case .textBytes: "text_bytes"
        case .ledgerBytes: "ledger_bytes"
        case .cpusRelayed: "cpus_relayed"
        case .hostSystemRegistersRefused: "host_system_registers_refused"
        case .sunkPages: "sunk_pages"
        case .guestPages: "guest_pages"
        case .exitsInterrupt: "exits_interrupt"
        case .exitsWaitForInterrupt: "exits_wait_for_interrupt"
        case .exitsMemoryFault: "exits_memory_fault"
        case .exitsMMIORead: "exits_mmio_read"
        case .exitsMMIOWrite: "exits_mmio_write"
        case .exitsSoftwareInterrupt: "exits_software_interrupt"
        case .exitsCPUOn: "exits_cpu_on"
        case .exitsCPUOff: "exits_cpu_off"
        case .exitsSystemOff: "exits_system_off"
        case .exitsSystemReset: "exits_system_reset"
        case .exitsUnsupported: "exits_unsupported"
        case .exitsYield: "exits_yield"
        case .exitsDeactivation: "exits_deactivation"
        }
    }
}

/// The report of all counters.
public enum CounterReport {
    /// Writes "name value" lines.
    ///
    /// - Parameter read: makes the host call for a counter.
    /// - Returns: the first status that was no success, after which nothing more is written.
    public static func write<Sink: TextSink & ~Copyable & ~Escapable>(
        to sink: inout Sink, read: (Counter) -> HostCallAnswer
    ) -> CallStatus? {
        // Counters are numbered from 0 without a gap; the first unknown number ends the report.
        var number: UInt64 = 0
        while let counter = Counter(rawValue: number) {
            let answer = read(counter)
            guard answer.status == CallStatus.success.rawValue else {
                return CallStatus(rawValue: answer.status) ?? .notSupported
            }
            sink.write(counter.name)
            sink.write(byte: UInt8(ascii: " "))
            sink.write(decimal: answer.first)
            sink.write(byte: UInt8(ascii: "\n"))
            number += 1
        }
        return nil
    }
}

extension CallPhase {
    /// The phase's name as the report writes it.
    public var name: StaticString {
        switch self {
        case .entered: "entered"
        case .initialised: "initialised"
        case .deprivileging: "deprivileging"
        case .finalised: "finalised"
        case .panicked: "panicked"
        }
    }
}
