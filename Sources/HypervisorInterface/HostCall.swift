// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The closed table of calls that the host makes to EL2, as numbers on the wire. The module and
// the hypervisor both read it; nothing else defines a number.

/// A call from the host kernel to the hypervisor.
///
/// Convention: `hvc #0`, SMCCC fast call, 64-bit, vendor-specific hypervisor service (owner 6;
/// SMCCC, DEN0028, section 6). `x0` carries the raw value, `x1`… the arguments. On return `x0` is
/// a `CallStatus`, `x1`…`x3` the results; `x4`…`x17` are preserved.
public enum HostCall: UInt32, CaseIterable, Sendable {
    /// Which interface this is. Results: x1 = `interfaceVersion`, x2 = `CallPhase` as a number.
    case version = 0xC600_4000

    // Calls of the initialization phase; every one is refused once EL2 has finalised.

    /// Consumes the boot block and builds tables and ledger. Made once, by one CPU.
    case initialise = 0xC600_4001
    /// Gives this CPU's EL2 back to the kernel's stub. Allowed until the first `deprivilege`.
    case withdraw = 0xC600_4002
    /// Moves this CPU behind the host stage-2. Result: x1 = CPUs that have not done it yet;
    /// at 0 the hypervisor has finalised.
    case deprivilege = 0xC600_4003

    // Calls of the runtime phase.

    /// Donates host pages to the hypervisor's page pool. x1 = first frame number, x2 = frames.
    case topUp = 0xC600_4010
    /// Takes one unused page of the pool back, zeroed. Result: x1 = its frame number.
    case reclaimPool = 0xC600_4011
    /// Reads a counter. x1 = `Counter` as a number. Result: x1 = its value.
    case counter = 0xC600_4012
    /// Reads the panic record. x1 = index of its first word. Results: x1…x3 = three words.
    case panicRecord = 0xC600_4013
    /// What the ledger says of a page. x1 = frame number. Result: x1 = `PageReport` as a number.
    case pageReport = 0xC600_4014
}

/// The version of this table: major in bits 31:16, minor in bits 15:0.
public let interfaceVersion: UInt64 = 0x0001_0000

/// What a host call answers in `x0`.
public enum CallStatus: Int64, Error, CaseIterable, Sendable {
    /// Done.
    case success = 0
    /// The number is in no table, or not in this phase's (the value is SMCCC's NOT_SUPPORTED).
    case notSupported = -1
    /// An argument is out of its range, misaligned, or wraps.
    case invalidParameter = -3
    /// The page is not the caller's to give, or the state forbids it.
    case denied = -4
    /// EL2 has no page left for a table; top the pool up and call again.
    case noMemory = -5
    /// Something else is under way on the same object; call again.
    case busy = -6
    /// There is nothing (no record, no free page).
    case notFound = -7
    /// The hypervisor has panicked; only the panic record can still be read.
    case panicked = -8
}

/// The hypervisor's phase, in x2 of `HostCall.version`.
public enum CallPhase: UInt64, Sendable {
    /// EL2 is entered; nothing has been built.
    case entered = 0
    /// Tables and ledger are built; no CPU is behind the stage-2 yet.
    case initialised = 1
    /// Some CPUs are behind the stage-2.
    case deprivileging = 2
    /// All CPUs are; only runtime calls are answered.
    case finalised = 3
    /// EL2 has panicked.
    case panicked = 4
}

/// Counters that the host may read, for its logs and for benchmarks.
public enum Counter: UInt64, CaseIterable, Sendable {
    /// Pages of RAM that the hypervisor keeps.
    case hypervisorPages = 0
    /// Pages of the pool that nothing uses.
    case freePages = 1
    /// Host stage-2 aborts answered by a mapping (devices on demand).
    case hostFaultsMapped = 2
    /// Host stage-2 aborts that another CPU had already answered.
    case hostFaultsSpurious = 3
    /// Host accesses refused with an injected abort.
    case hostFaultsRefused = 4
    /// SMCs refused.
    case firmwareCallsRefused = 5
    /// Host stage-2 blocks split.
    case blocksSplit = 6
    /// Host stage-2 blocks put together again.
    case blocksCoalesced = 7
    /// Bytes of executable code at EL2.
    case textBytes = 8
    /// Bytes of ledger.
    case ledgerBytes = 9
    /// CPUs that came up through the power relay.
    case cpusRelayed = 10
    /// Trapped host accesses to system registers, refused as undefined.
    case hostSystemRegistersRefused = 11
}

/// What the ledger says of one page, as the host may know it.
public enum PageReport: UInt64, CaseIterable, Sendable {
    /// No RAM at this address.
    case notMemory = 0
    /// The host owns it.
    case host = 1
    /// The hypervisor owns it.
    case hypervisor = 2
    /// Firmware's RAM: reachable for the host, never donatable.
    case firmware = 3
}
