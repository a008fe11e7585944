// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The installation from survey to de-privilege. Every step before the take-over leaves nothing
// behind when it throws: what it holds goes back by itself.

internal import CBootProtocol
internal import CHostKernel
internal import HostModuleCore
internal import HypervisorInterface

/// How the attempt to install ended.
enum InstallationResult {
    case installed(InstallationReport)
    /// Nothing can be undone and protection is not in force on every CPU.
    case stuck(Refusal)
}

/// The machine as it was surveyed. CPUs neither come nor go as long as this value lives.
@safe struct Survey: ~Copyable {
    private let memory: Scratch<martlet_survey>
    private let pointer: UnsafeMutablePointer<martlet_survey>

    private let error: Int32

    private init(memory: consuming Scratch<martlet_survey>) {
        unsafe pointer = memory.pointer
        self.memory = memory
        // Safety: the binding fills the structure and never beyond its arrays.
        error = unsafe martlet_kernel_survey(pointer)
    }

    /// Surveys the machine.
    static func take() throws(Refusal) -> Survey {
        guard let memory = Scratch<martlet_survey>(count: 1) else { throw .surveyFailed(12) }
        let survey = Survey(memory: memory)
        guard survey.error == 0 else { throw .surveyFailed(-survey.error) }
        guard unsafe survey.pointer.pointee.resources_left_out == 0 else { throw .tooManyRanges }
        return survey
    }

    deinit { martlet_kernel_release() }

    var cpuCount: Int { unsafe Int(pointer.pointee.recorded_cpus) }

    /// The facts of the recorded CPU at `index`.
    func cpu(_ index: Int) -> CPUFacts {
        precondition(index < cpuCount)
        // Safety: below the recorded count, which is at most the array's.
        let cpu = unsafe martlet_survey_cpu(pointer, UInt32(index)).pointee
        return CPUFacts(
            id: cpu.id, affinity: cpu.affinity, exceptionLevel: cpu.exception_level,
            gicSystemRegisters: cpu.gic_system_registers)
    }

    /// Decides whether EL2 may be taken: what EL1 can see first, then what EL2 itself answers.
    func check() throws(Refusal) {
        // Safety: plain reads of what the binding filled in.
        let survey = unsafe pointer
        let facts = unsafe MachineFacts(
            pageSize: survey.pointee.page_size,
            entry: KernelEntry(bootModeWords: survey.pointee.boot_mode.0, survey.pointee.boot_mode.1),
            onlineCPUs: survey.pointee.online_cpus,
            offlineCPU: survey.pointee.has_offline_cpu == 0 ? nil : survey.pointee.offline_cpu)
        try facts.check { index in cpu(index) }
        // Safety: every CPU was entered at EL2 and the kernel runs at EL1, so `hvc` is defined.
        let error = unsafe martlet_kernel_probe(pointer, UInt64(HostCall.version.rawValue))
        guard error == 0 else { throw .stopFailed(-error) }
        for index in 0..<cpuCount {
            let answer = unsafe martlet_survey_cpu(pointer, UInt32(index)).pointee.answer
            try EL2Owner(answer: answer).check(cpu: cpu(index).id)
        }
    }

    /// Adds the physical ranges that EL2 must know.
    @_lifetime(list: copy list)
    func gatherRanges(into list: inout RangeList) throws(Refusal) {
        let count = unsafe pointer.pointee.resource_count
        for index in 0..<count {
            // Safety: below the recorded count.
            let resource = unsafe martlet_survey_resource(pointer, index).pointee
            let kind: RangeKind? =
                if resource.is_denied_device != 0 {
                    .deny
                } else {
                    ResourceClass(
                        hasSystemRAMFlag: resource.is_system_ram, isNamedReserved: resource.is_named_reserved,
                        depth: resource.depth
                    ).rangeKind
                }
            guard let kind,
                let range = PhysicalRange(rounding: resource.first, through: resource.last, kind: kind)
            else { continue }
            try list.insert(range)
        }
        guard list.ledgerPages > 0 else { throw .noMemoryRanges }
    }

    /// Lets every CPU run its part of `takeOver` at once.
    func stopMachine(_ takeOver: borrowing PreparedTakeOver) throws(Refusal) {
        // Safety: the context outlives the call, which returns when every CPU is done.
        let error = unsafe martlet_kernel_stop_machine(pointer, takeOver.context)
        guard error == 0 else { throw .stopFailed(error < 0 ? -error : error) }
    }
}

/// Installs the hypervisor.
///
/// The steps are functions of their own that are not inlined, because the kernel's stack is small
/// and each keeps what it holds until it returns.
func install() throws(Refusal) -> InstallationResult {
    let survey = try Survey.take()
    try survey.check()
    let image = try Image()
    guard var storage = Scratch<PhysicalRange>(count: Limits.ranges) else { throw .surveyFailed(12) }
    var ranges = RangeList(storage: storage.mutableSpan)
    try survey.gatherRanges(into: &ranges)
    return try install(image, on: survey, ranges)
}

@inline(never)
private func install(
    _ image: borrowing Image, on survey: borrowing Survey, _ ranges: borrowing RangeList
) throws(Refusal) -> InstallationResult {
    let demand = MemoryDemand(
        cpus: UInt64(survey.cpuCount), imageSize: image.header.memorySize, ledgerPages: ranges.ledgerPages,
        ranges: UInt64(ranges.count))
    let plan = try MemoryPlan(demand)
    var superpages = try Superpages.obtain(plan)
    let layout = ContiguousLayout(
        demand: demand, plan: plan, tablePages: TemporaryTables.pages(for: superpages.physical))
    try buildTables(layout, in: superpages)
    let digest = try image.copy(to: superpages)
    try writeBootBlock(layout, survey: survey, ranges: ranges, digest: digest, in: superpages)
    superpages.clean()
    martlet_kernel_invalidate_instructions()
    return try takeOver(
        enter: superpages.base + image.header.enter, bootBlock: superpages.base + layout.bootBlock, survey,
        &superpages, digest)
}

/// Takes EL2 of every CPU. Afterwards the superpages are EL2's, unless nothing is left there.
@inline(never)
private func takeOver(
    enter: UInt64, bootBlock: UInt64, _ survey: borrowing Survey, _ superpages: inout Superpages,
    _ digest: InlineArray<32, UInt8>
) throws(Refusal) -> InstallationResult {
    let takeOver = try PreparedTakeOver(enter: enter, bootBlock: bootBlock, cpus: UInt32(survey.cpuCount))
    let start = martlet_kernel_nanoseconds()
    try survey.stopMachine(takeOver)
    let elapsed = martlet_kernel_nanoseconds() - start

    switch takeOver.outcome {
    case .withdrawn(let refusal): throw refusal
    case .stuck(let refusal):
        superpages.handOver()
        return .stuck(refusal)
    case .installed:
        // The boot block with the seed lies in memory that the host can no longer reach; EL2
        // erases it. Nothing else of the host's has seen the seed.
        superpages.handOver()
        martlet_kernel_attach()
        return .installed(
            InstallationReport(
                interfaceVersion: EL2.call(.version).first, digest: digest,
                superpages: UInt64(superpages.physical.count), cpus: UInt64(survey.cpuCount),
                microseconds: elapsed / 1000))
    }
}

@inline(never)
private func buildTables(_ layout: ContiguousLayout, in superpages: borrowing Superpages) throws(Refusal) {
    // Safety: the layout keeps the tables inside the contiguous part, zeroed and page-aligned.
    let memory = unsafe superpages.pointer(at: layout.tables).assumingMemoryBound(to: UInt64.self)
    var tables = unsafe MutableSpan(_unsafeStart: memory, count: Int(layout.tablePages) * 512)
    let used = try TemporaryTables.build(
        in: &tables, base: superpages.base + layout.tables, superpages: superpages.physical)
    precondition(used == layout.tablePages)
}

@inline(never)
private func writeBootBlock(
    _ layout: ContiguousLayout, survey: borrowing Survey, ranges: borrowing RangeList,
    digest: InlineArray<32, UInt8>, in superpages: borrowing Superpages
) throws(Refusal) {
    let base = superpages.base
    // Safety: the layout keeps the boot block inside the contiguous part, zeroed and
    // page-aligned; the counts below are within the protocol's arrays by the checks before.
    let boot = unsafe superpages.pointer(at: layout.bootBlock).assumingMemoryBound(to: martlet_boot.self)
    unsafe boot.pointee.magic = UInt64(MARTLET_MAGIC)
    unsafe boot.pointee.`protocol` = UInt32(MARTLET_BOOT_PROTOCOL)
    unsafe boot.pointee.cpu_count = UInt32(survey.cpuCount)
    unsafe boot.pointee.image_base = base
    unsafe boot.pointee.temporary_root = base + layout.tables
    unsafe boot.pointee.percpu_base = base + layout.perCPU
    unsafe boot.pointee.pool_start = base + layout.poolStart
    unsafe boot.pointee.pool_end = base + layout.poolEnd
    unsafe boot.pointee.superpage_count = UInt32(superpages.physical.count)
    unsafe boot.pointee.range_count = UInt32(ranges.count)
    for index in 0..<survey.cpuCount {
        unsafe martlet_boot_mpidr(boot)[index] = survey.cpu(index).affinity
    }
    let physical = superpages.physical
    for index in physical.indices { unsafe martlet_boot_superpage(boot)[index] = physical[index] }
    for index in 0..<ranges.count {
        let range = ranges[index]
        unsafe martlet_boot_range(boot)[index] = martlet_range(
            base: range.base, size: range.size, kind: range.kind.rawValue, reserved: 0)
    }
    for index in digest.indices { unsafe martlet_boot_digest(boot)[index] = digest[index] }
    // The boot block is the only place where the seed ever stands.
    guard unsafe martlet_kernel_random(martlet_boot_seed(boot), 64) == 0 else { throw .noRandomness }
}
