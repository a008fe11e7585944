// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// `martlet run`: from options to the end of a guest.

internal import VMMBoot
internal import VMMConfiguration
internal import VMMDevices
internal import VMMLinux
internal import VMMRun

/// The guest's files, open and checked.
private struct Files: ~Copyable {
    let kernel: KernelSource
    let initrd: InputFile?
}

/// Either kind of failure before the guest runs.
private enum Failure: Error {
    case file(FileFailure)
    case host(HostFailure)

    var explanation: Explanation {
        switch self {
        case .file(let failure): failure.explanation
        case .host(let failure): failure.explanation
        }
    }
}

/// Runs a guest with these options.
func run(_ options: RunOptions) -> ExitStatus {
    let outcome: RunOutcome?
    do throws(Failure) {
        outcome = try boot(options)
    } catch {
        Terminal.say(error.explanation.rendered(as: options.report))
        return error.explanation.status
    }
    guard let outcome else { return .success }
    Terminal.say(outcome.report(as: options.report))
    return outcome.status
}

/// Plans the machine, and unless only the plan was asked for builds and runs it.
private func boot(_ options: RunOptions) throws(Failure) -> RunOutcome? {
    let files = try open(options)
    let plan = try makePlan(options, files: files)
    if options.mode == .dryRun {
        Terminal.answer(plan.report(as: options.report))
        return nil
    }
    let shell = try host { () throws(HostFailure) in try VM.open(plan) }
    let memory = try host { () throws(HostFailure) in try VM.makeMemory(plan, for: shell) }
    do throws(FileFailure) {
        try files.kernel.load(into: memory, at: plan.boot.kernel)
        if let range = plan.boot.initrd { try files.initrd?.load(into: memory, at: range) }
    } catch {
        throw .file(error)
    }
    do throws(HostFailure) {
        // A protected guest must not mistake what the host knows for entropy.
        let seed = options.protection == .normal ? try Host.seed() : nil
        let guest = GuestDescription(
            map: plan.map, processors: plan.processors, commandLine: plan.commandLine, initrd: plan.boot.initrd,
            seed: seed)
        memory.write(guest.deviceTree(), at: plan.boot.deviceTree.start)
        let vm = try VM(plan, in: shell, memory: memory)
        let machine = try RunningMachine(vm, map: plan.map)
        let signals = try Signals()
        let terminal = Terminal()
        announce(options, kind: terminal.kind)
        var loop = ConsoleLoop(machine, terminal: terminal, signals: signals)
        return try loop.run()
    } catch {
        throw .host(error)
    }
}

/// Does what the host can refuse.
private func host<Result: ~Copyable>(_ body: () throws(HostFailure) -> Result) throws(Failure) -> Result {
    do throws(HostFailure) {
        return try body()
    } catch {
        throw .host(error)
    }
}

private func announce(_ options: RunOptions, kind: ConsoleKind) {
    switch options.report {
    case .json:
        var object = JSONObject()
        object.add("event", "start")
        Terminal.say(object.line)
    case .text:
        if kind == .terminal { Terminal.say(ConsoleEscape.announcement) }
    }
}

private func makePlan(_ options: RunOptions, files: borrowing Files) throws(Failure) -> MachinePlan {
    let map = AddressMap(memoryBytes: options.memory.bytes, processors: options.processors.value)
    var initrdSize: UInt64?
    var initrdPath: String?
    switch files.initrd {
    case .some(let initrd):
        initrdSize = initrd.size
        initrdPath = initrd.path
    case .none: break
    }
    let placed: BootPlan
    do throws(PlacementError) {
        placed = try BootPlan(memory: map.memory, kernel: files.kernel.header, initrdSize: initrdSize)
    } catch {
        switch error {
        case .kernelLargerThanMemory: throw .file(files.kernel.failure(.placement(error)))
        case .initrdTooBig:
            throw .file(FileFailure(role: .initrd, path: initrdPath ?? "", reason: .placement(error)))
        }
    }
    return MachinePlan(
        map: map, boot: placed, options: options, kernelPath: files.kernel.path, initrdPath: initrdPath)
}

private func open(_ options: RunOptions) throws(Failure) -> Files {
    let release: String
    do throws(HostFailure) {
        release = try Host.kernelRelease()
    } catch {
        throw .host(error)
    }
    do throws(FileFailure) {
        let kernel = try openKernel(options.kernel, release: release)
        // Both are opened before the kernel is looked into, which takes a while if it is compressed.
        let initrd = try openInitrd(options.initrd, release: release)
        return Files(kernel: try KernelSource(kernel), initrd: initrd)
    } catch {
        throw .file(error)
    }
}

private func openKernel(_ choice: FileChoice, release: String) throws(FileFailure) -> InputFile {
    switch choice {
    case .path(let path): try InputFile(role: .kernel, path: path)
    case .hostsOwn, .none: try InputFile(hostsOwnKernel: "/boot/vmlinuz-" + release)
    }
}

private func openInitrd(_ choice: FileChoice, release: String) throws(FileFailure) -> InputFile? {
    switch choice {
    case .path(let path): try InputFile(role: .initrd, path: path)
    case .hostsOwn: try InputFile?(ifPresent: "/boot/initrd.img-" + release, role: .initrd)
    case .none: nil
    }
}
