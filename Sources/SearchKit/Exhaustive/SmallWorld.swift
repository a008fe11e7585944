// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A world small enough to visit all of its states: a few pages, a few VMs, and every call about them.

public import HypervisorInterface
import Specification

/// What an exhaustive search plays with.
public struct SmallWorld: Sendable {
    /// Pages that change hands.
    public var pages = 4
    /// VMs at one time.
    public var machines = 2
    /// Pages of each guest's address space that are used.
    public var guestPages = 1
    /// Kinds of VM that are made.
    public var kinds: [VMKind] = [.normal, .protected]
    /// CPUs that take part.
    public var cpus = 2
    /// Whether pages are given to VMs for their tables too: many more states.
    public var hasGifts = false

    /// Four pages, two VMs of either kind, two CPUs.
    public init() {}

    /// What runs in the unit tests.
    public static var smallest: SmallWorld {
        var world = SmallWorld()
        world.pages = 2
        world.machines = 1
        return world
    }

    private static let firstGuestPage: UInt64 = 0x200
    /// Pages of a VM's block: its root, its own page, and what one change of its tables may need.
    private static let block: UInt64 = 8

    /// First page of the block that the VM of a name is made of; its vCPU follows.
    private func block(_ name: Int) -> Operand { .page(256 + 16 * Int64(name)) }
    private func vcpu(_ name: Int) -> Operand { .page(256 + 16 * Int64(name) + 8) }

    /// Every step that can be made: each call with each of its sensible arguments, on the CPUs in turn. What is
    /// tried with one page, or one VM, is tried with each: so it is right to take states for one that differ only in
    /// which of them plays which part.
    public var alphabet: [Step] {
        var steps: [Step] = []
        var cpu = 0
        func add(_ call: HostCall, _ arguments: Operand..., binds: Int? = nil, meanwhile: [Step] = []) {
            steps.append(Step(cpu, .call(call), arguments, binds: binds, meanwhile: meanwhile))
            cpu = (cpu + 1) % cpus
        }
        for page in 0..<Int64(pages) {
            add(.topUp, .page(page), 1)
            add(.pageReport, .page(page))
            for deed: Deed in [.read, .write, .fetch] { steps.append(Step(cpu, deed, [.page(page)])) }
        }
        add(.reclaimPool)
        for name in 0..<machines {
            for kind in kinds {
                add(.createVM, .number(kind.rawValue), 32, block(name), .number(Self.block), binds: name)
            }
            add(.createVCPU, .machine(name), 0, vcpu(name), .number(VCPUStart.on.rawValue))
            add(.resetVCPU, .machine(name), 0, .number(VCPUStart.on.rawValue))
            add(.destroyVM, .machine(name))
            if hasGifts {
                for page in 0..<Int64(pages) { add(.donateToVM, .machine(name), .page(page), 1) }
            }
            for guest in (0..<UInt64(guestPages)).map({ Operand.number(Self.firstGuestPage + $0) }) {
                for page in (0..<Int64(pages)).map({ Operand.page($0) }) {
                    add(.mapGuest, .machine(name), guest, page, 1, .number(GuestAccess.write.rawValue))
                    add(.mapGuest, .machine(name), guest, page, 1, 0)
                    add(.donateToGuest, .machine(name), guest, page, 1, .number(GuestContent.zero.rawValue))
                    add(.donateToGuest, .machine(name), guest, page, 1, .number(GuestContent.kept.rawValue))
                }
                add(.unmapGuest, .machine(name), guest, 1)
                add(.allowMMIO, .machine(name), guest, 1)
            }
            add(.runVCPU, .machine(name), 0)
            for step in cpus > 1 ? interruptions(of: name) : [] {
                add(.runVCPU, .machine(name), 0, meanwhile: [step])
            }
        }
        return steps
    }

    /// What another CPU does while a guest runs: what must be refused, and what must not.
    private func interruptions(of name: Int) -> [Step] {
        [
            Step(1, .runVCPU, .machine(name), 0), Step(1, .destroyVM, .machine(name)),
            Step(1, .resetVCPU, .machine(name), 0, 1), Step(1, .getRegister, .machine(name), 0, 0),
        ]
            + (0..<UInt64(guestPages)).map {
                Step(1, .unmapGuest, .machine(name), .number(Self.firstGuestPage + $0), 1)
            }
            + (0..<Int64(pages)).map { Step(1, .topUp, .page($0), 1) }
    }

    /// The abstract state as far as it matters here, the same for states that differ only in which of the
    /// pages, and which of the VMs, plays which part.
    func key(of player: Player) -> [UInt64] {
        orders(of: machines).map { key(of: player, $0) }.min { $0.lexicographicallyPrecedes($1) } ?? []
    }

    private func orders(of count: Int) -> [[Int]] {
        guard count > 1 else { return [[0]] }
        return orders(of: count - 1).flatMap { order in
            (0...order.count).map { place in
                var longer = order
                longer.insert(count - 1, at: place)
                return longer
            }
        }
    }

    private func key(of player: Player, _ order: [Int]) -> [UInt64] {
        let state = player.state
        let vms = order.map { name in player.handles[name].flatMap { state.machines[$0] } }
        // Each page by who has it and how; the VMs' own parts after them.
        var pages: [[UInt64]] = []
        for index in 0..<self.pages {
            let frame = player.value(.page(Int64(index)))
            var signature = [UInt64(state.page(frame).rawValue)]
            for (place, vm) in vms.enumerated() {
                if vm?.ownPages.contains(frame) ?? false { signature.append(UInt64(place) << 32 | .max >> 32) }
                for (page, mapping) in vm?.mappings ?? [:] where mapping.frame == frame {
                    signature.append(UInt64(place) << 32 | page << 8 | mapping.access.rawValue)
                }
            }
            pages.append([signature[0]] + signature.dropFirst().sorted())
        }
        pages.sort { $0.lexicographicallyPrecedes($1) }
        var key = pages.flatMap { $0 + [.max] }
        for vm in vms {
            guard let vm else {
                key.append(0)
                continue
            }
            let vcpu = vm.vcpus[0]
            let power: UInt64 = vcpu == nil ? 0 : vcpu?.power == .on ? 1 : 2
            key.append(
                1 | vm.kind.rawValue << 1 | (vm.life == .active ? 0 : 1) << 2 | (vm.hasRun ? 1 : 0) << 3
                    | (vm.isOver ? 1 : 0) << 4 | power << 5 | UInt64(vm.ownPages.count) << 8)
            key += vm.windows.map { $0.first << 16 | $0.count }.sorted()
        }
        return key
    }
}
