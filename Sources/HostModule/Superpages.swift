// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The superpages that the kernel gave, until they are EL2's.

internal import CHostKernel
internal import HostModuleCore

/// Superpages of the kernel: returned, erased, at the end of this value's life, unless they
/// have become EL2's.
struct Superpages: ~Copyable {
    private var addresses: Scratch<UInt64>
    private let plan: MemoryPlan
    private var count = 0
    private var owner = Owner.host

    private enum Owner {
        case host
        case hypervisor
    }

    private init(addresses: consuming Scratch<UInt64>, plan: MemoryPlan) {
        self.addresses = addresses
        self.plan = plan
    }

    /// Asks the kernel for what `plan` says.
    static func obtain(_ plan: MemoryPlan) throws(Refusal) -> Superpages {
        let refusal = Refusal.memoryUnobtainable(mebibytes: plan.superpages * (Limits.superpageSize >> 20))
        guard let addresses = Scratch<UInt64>(count: Limits.superpages) else { throw refusal }
        var superpages = Superpages(addresses: addresses, plan: plan)
        try superpages.add(superpages: plan.contiguousSuperpages, else: refusal)
        while superpages.count < Int(plan.superpages) { try superpages.add(superpages: 1, else: refusal) }
        return superpages
    }

    private mutating func add(superpages: UInt64, else refusal: Refusal) throws(Refusal) {
        let base = martlet_kernel_allocate(UInt32(superpages / 2))
        guard base != 0 else { throw refusal }
        for part in 0..<superpages {
            addresses[count] = base + part * Limits.superpageSize
            count += 1
        }
    }

    /// Physical addresses, the contiguous part first.
    var physical: Span<UInt64> {
        @_lifetime(borrow self)
        borrowing get { addresses.span.extracting(0..<count) }
    }

    /// The physical address of the contiguous part.
    var base: UInt64 { addresses[0] }

    /// Where the kernel maps the byte at `offset` of the contiguous part.
    @unsafe func pointer(at offset: UInt64) -> UnsafeMutableRawPointer {
        precondition(offset < plan.contiguousSuperpages * Limits.superpageSize)
        return unsafe martlet_kernel_pointer(base + offset)
    }

    /// Cleans everything to the point of coherency.
    func clean() {
        for index in 0..<count {
            // Safety: the kernel's mapping of a superpage that is ours.
            unsafe martlet_kernel_clean(martlet_kernel_pointer(addresses[index]), Limits.superpageSize)
        }
    }

    /// From now on the memory is EL2's and never returned.
    mutating func handOver() { owner = .hypervisor }

    deinit {
        guard owner == .host, count > 0 else { return }
        martlet_kernel_free(addresses[0], UInt32(plan.contiguousSuperpages / 2))
        for index in Int(plan.contiguousSuperpages)..<count { martlet_kernel_free(addresses[index], 0) }
    }
}
