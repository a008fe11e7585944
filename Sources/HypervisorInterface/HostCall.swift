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
    /// Which interface this is. Results: x1 = `interfaceVersion`, x2 = `CallPhase` as a number, x3 =
    /// `VectorLengths.bits` that guests may have, once EL2 has finalised.
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

    // Virtual machines. Every call but `createVM` and `quiesce` takes the VM's handle in x1.

    /// Makes a VM. x1 = `VMKind` as a number, x2 = bits of a guest physical address (32…48, at most
    /// the machine's), x3 = first frame of a block of pages that becomes the VM's, x4 = its pages:
    /// a power of two, at most 512, aligned to its size, with room for the stage-2 root
    /// (concatenated tables come first) and one page more. Result: x1 = handle.
    case createVM = 0xC600_4020
    /// Donates pages for a VM's stage-2 tables. x2 = first frame, x3 = pages (1…512).
    case donateToVM = 0xC600_4021
    /// Makes a vCPU. x2 = its index, below `maximumVCPUs` and not in use; x3 = first frame of a
    /// block of `pagesPerVCPU` pages, aligned to its size; x4 = `VCPUStart` as a number.
    case createVCPU = 0xC600_4022
    /// Ends a VM, a bounded step a call: refuses further runs, takes memory from the guest, gives
    /// pages back. Result: x1 = `DestroyProgress` as a number; x2 = first frame, x3 = pages of a
    /// run that the host owns again. `busy` while a vCPU runs: make it leave and call again.
    case destroyVM = 0xC600_4023
    /// Lends host pages to a normal VM. x2 = first guest frame, x3 = first host frame, x4 = pages
    /// (1…512), x5 = `GuestAccess` bits. Guest pages that are mapped already are `denied` unless
    /// they map the same frame, whose access then becomes the new one.
    case mapGuest = 0xC600_4024
    /// Takes lent pages back, in a bounded step a call. x2 = first guest frame, x3 = pages, as many as the
    /// guest's address space has. Pages that are not mapped don't matter, and are passed over. Result: x1 = the
    /// guest frame to go on with, which is the end of the range when all is done; 512 pages and fewer always are.
    case unmapGuest = 0xC600_4025
    /// Donates host pages to a protected VM. x2 = first guest frame, x3 = first host frame, x4 = pages
    /// (1…512), x5 = `GuestContent` as a number. Guest pages that have memory already are `denied`.
    case donateToGuest = 0xC600_4026
    /// Lets a protected VM's accesses to a range without memory reach the host as MMIO. x2 = first
    /// guest frame, x3 = pages. Until the first run, up to `maximumWindows` times. Elsewhere an access is
    /// a `RunExit.memoryFault`, which tells the host its page and no more.
    case allowMMIO = 0xC600_4027

    /// Gives a vCPU that no CPU runs the registers of a new one. x2 = index, x3 = `VCPUStart` as a
    /// number. Of a protected VM only until its first run, and only vCPU 0 may be on; `denied` otherwise.
    case resetVCPU = 0xC600_4028

    /// Runs a vCPU until something needs the host. x2 = index, x3 = `RunRequest` bits with the
    /// number of list registers in bits 11:8 and `InterfaceControl` bits in 31:16, x4 = value that completes the pending MMIO or
    /// system register read, or the pending call (its x0); x5…x8 = list registers 0…3. Results: see `RunExit`.
    case runVCPU = 0xC600_4030
    /// Reads a register of a vCPU of a normal VM; of a protected one only `VCPURegister.power`. x2 = index, x3 = `VCPURegister.number`. Results:
    /// x1, x2 = its value, low half first. `busy` while it runs.
    case getRegister = 0xC600_4031
    /// Writes one. x2 = index, x3 = `VCPURegister.number`, x4, x5 = value. `denied` for a value
    /// that must not be.
    case setRegister = 0xC600_4032
    /// This CPU stops working for its vCPUs: nothing of a guest stays in a timer register.
    case quiesce = 0xC600_4033
}

extension HostCall {
    /// vCPUs of one VM.
    public static let maximumVCPUs: UInt64 = 64
    /// VMs at one time.
    public static let maximumVMs: UInt64 = 64
    /// Pages that one vCPU takes.
    public static let pagesPerVCPU: UInt64 = 4
    /// MMIO windows of one protected VM.
    public static let maximumWindows: UInt64 = 32
    /// Interrupt list registers that a run takes and gives back.
    public static let listRegisters: UInt64 = 4
}

/// The version of this table: major in bits 31:16, minor in bits 15:0.
public let interfaceVersion: UInt64 = 0x0002_0001

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
    /// Pages lost to guests at which the host touched a sink instead.
    case sunkPages = 12
    /// Pages that protected guests own.
    case guestPages = 13
    /// Trapped host accesses to system registers, refused as undefined.
    case hostSystemRegistersRefused = 11
    // Returns of `runVCPU` by their reason, in the order of `RunExit`: of all VMs together, so that
    // none tells more of a protected one than its own host has seen.

    /// Returns of `runVCPU` with `interrupt`, of all VMs together.
    case exitsInterrupt = 14
    /// Returns of `runVCPU` with `waitForInterrupt`, of all VMs together.
    case exitsWaitForInterrupt = 15
    /// Returns of `runVCPU` with `memoryFault`, of all VMs together.
    case exitsMemoryFault = 16
    /// Returns of `runVCPU` with `mmioRead`, of all VMs together.
    case exitsMMIORead = 17
    /// Returns of `runVCPU` with `mmioWrite`, of all VMs together.
    case exitsMMIOWrite = 18
    /// Returns of `runVCPU` with `softwareInterrupt`, of all VMs together.
    case exitsSoftwareInterrupt = 19
    /// Returns of `runVCPU` with `cpuOn`, of all VMs together.
    case exitsCPUOn = 20
    /// Returns of `runVCPU` with `cpuOff`, of all VMs together.
    case exitsCPUOff = 21
    /// Returns of `runVCPU` with `systemOff`, of all VMs together.
    case exitsSystemOff = 22
    /// Returns of `runVCPU` with `systemReset`, of all VMs together.
    case exitsSystemReset = 23
    /// Returns of `runVCPU` with `unsupported`, of all VMs together.
    case exitsUnsupported = 24
    /// Returns of `runVCPU` with `yield`, of all VMs together.
    case exitsYield = 25
    /// Returns of `runVCPU` with `deactivation`, of all VMs together.
    case exitsDeactivation = 26
}

extension Counter {
    /// The counter of an exit.
    public init(of exit: RunExit) {
        self =
            switch exit {
            case .interrupt: .exitsInterrupt
            case .waitForInterrupt: .exitsWaitForInterrupt
            case .memoryFault: .exitsMemoryFault
            case .mmioRead: .exitsMMIORead
            case .mmioWrite: .exitsMMIOWrite
            case .softwareInterrupt: .exitsSoftwareInterrupt
            case .cpuOn: .exitsCPUOn
            case .cpuOff: .exitsCPUOff
            case .systemOff: .exitsSystemOff
            case .systemReset: .exitsSystemReset
            case .unsupported: .exitsUnsupported
            case .yield: .exitsYield
            case .deactivation: .exitsDeactivation
            }
    }
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
    /// A protected guest owns it.
    case guest = 4
}
