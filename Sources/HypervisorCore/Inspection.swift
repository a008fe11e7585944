// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What a test, and an image that checks itself, reads of the hypervisor's own state to hold it against the
// specification. The product calls none of this.

package import Arm
package import HypervisorInterface
import Machine

extension Hypervisor {
    /// What the ledger says of a page of RAM, exactly; nil for a frame that is no RAM.
    package func ownership(of frame: Frame<HostPhysical>, on processor: P) -> PageState? {
        memory.withLock(on: processor) { state in
            state.map.kind(of: frame, on: processor) == .ram ? state.ledger.state(of: frame, on: processor) : nil
        }
    }

    /// What the ledger says of a page, as the host may know it.
    package func report(of frame: Frame<HostPhysical>, on processor: P) -> PageReport {
        memory.withLock(on: processor) { $0.report(frame, on: processor) }
    }

    /// Pages of the pool that nothing uses.
    package func freePages(on processor: P) -> UInt64 { memory.withLock(on: processor) { $0.pool.freePages } }

    /// Pages that the hypervisor counts as its own.
    package func ownPages(on processor: P) -> UInt64 { memory.withLock(on: processor) { $0.hypervisorPages } }

    /// Pages that the VM of a handle has left for tables; 0 if there is none.
    package func freeTablePages(of number: UInt64, on processor: P) -> UInt64 {
        memory.withLock(on: processor) { state in
            guard let handle = VMHandle(alleged: number), let vm = state.machines[handle] else { return 0 }
            return vm.load(.freeCount, on: processor)
        }
    }

    /// A trap, with the data page that the vectors would find in TPIDR_EL2.
    package func hostTrap(_ cpu: Int, _ frame: inout HostFrame, on processor: P) -> HostCallOutcome {
        hostTrap(cpu, data: HypervisorAddressSpace.identity(boot.dataPage(of: cpu)), &frame, on: processor)
    }

    /// Whether the guest of a handle has memory at a page.
    package func hasMemory(_ number: UInt64, at page: UInt64, on processor: P) -> Bool {
        memory.withLock(on: processor) { state in
            // Once its pages are being returned, its root is one of a list of pages, and no table any more.
            guard let handle = VMHandle(alleged: number), let vm = state.machines[handle],
                vm.phase(on: processor) != .returning, let table = vm.table(on: processor)
            else { return false }
            return table.lookup(page, on: processor).descriptor != .invalid
        }
    }

    /// The slot of the VM table that a handle names.
    package static func slot(of number: UInt64) -> UInt8? {
        VMHandle(alleged: number).map { UInt8(truncatingIfNeeded: $0.slot) }
    }

    /// What the host told at installation.
    package var installation: BootBlock { boot }

    /// VTCR_EL2 and VTTBR_EL2 of the host.
    package var hostRegisters: (vtcr: UInt64, vttbr: UInt64) { (hostTranslation.control, hostTranslation.base) }

    /// Calls that firmware said it has at installation, of those that not all firmware has.
    package var offeredFirmwareCalls: [UInt32] {
        let all: [FunctionID] = [
            .workaround1, .workaround2, .workaround3, .socID, .trngVersion, .trngFeatures, .trngGetUUID, .trngRandom32,
            .trngRandom64,
        ]
        return all.filter { firmware.verdict($0, 0) == .forward }.map { $0.rawValue }
    }

    /// `VectorLengths.bits` that guests may have.
    package var vectorLengthBits: UInt64 { guestVectorLengths.bits }

    /// Whether a VM has run, by its own page, and which CPU runs each of its vCPUs.
    package func observeRuns(
        of number: UInt64, on processor: P, _ runner: (_ vcpu: UInt64, _ cpu: Int) -> Void
    ) -> Bool {
        memory.withLock(on: processor) { state in
            guard let handle = VMHandle(alleged: number), let vm = state.machines[handle] else { return false }
            for index in 0..<HostCall.maximumVCPUs {
                guard let vcpu = vm.vcpu(index, on: processor) else { continue }
                let data = vcpu.load(.runner, on: processor)
                guard data != 0, !KeptClaim(Address(data)).isKept(vcpu, on: processor) else { continue }
                for cpu in 0..<boot.cpuCount where boot.dataPage(of: cpu).rawValue == data { runner(index, cpu) }
            }
            return vm.load(.hasRun, on: processor) != 0
        }
    }

    /// Whether the VM of a handle still has its stage-2: until its pages are being returned.
    package func hasTables(_ number: UInt64, on processor: P) -> Bool {
        memory.withLock(on: processor) { state in
            guard let handle = VMHandle(alleged: number), let vm = state.machines[handle] else { return false }
            return vm.phase(on: processor) != .returning
        }
    }
}
