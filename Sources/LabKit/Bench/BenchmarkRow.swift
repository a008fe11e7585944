// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The rows of the benchmark: what each one is, and how much it may cost.

/// One operation that is measured.
public struct BenchmarkRow: Sendable {
    /// Which run measures it.
    enum Part: String, Sendable {
        /// The host by itself.
        case host
        /// Small guests and the lives of VMs.
        case guests
        /// A whole guest.
        case boot
    }

    /// How many instructions an operation may take on the host's side.
    enum Goal: Equatable, Sendable {
        /// Of either kind of VM.
        case either(Int)
        /// Of a protected VM, with and without cache maintenance by address at a page's change of hands.
        case protected(Int, max: Int)
    }

    /// The name that the probe prints.
    public let name: String
    /// What happens, in a few words.
    public let title: String
    let part: Part
    let goal: Goal?

    private init(_ name: String, _ title: String, _ part: Part = .guests, goal: Goal? = nil) {
        self.name = name
        self.title = title
        self.part = part
        self.goal = goal
    }

    /// All rows, in the order of the table.
    public static let all: [BenchmarkRow] = [
        BenchmarkRow("host-call", "host's kernel calls EL2, nothing done", .host),
        BenchmarkRow("power-version", "guest call PSCI_VERSION", goal: .either(130)),
        BenchmarkRow("unknown-call", "guest call that nobody knows", goal: .either(1400)),
        BenchmarkRow("entropy", "guest call TRNG_RND, 64 bits"),
        BenchmarkRow("feature-register", "trapped ID register", goal: .either(200)),
        BenchmarkRow("cache-type", "CTR_EL0", goal: .either(0)),
        BenchmarkRow("counter", "CNTVCT_EL0", goal: .either(0)),
        BenchmarkRow("device-read", "MMIO read of the VMM", goal: .either(3500)),
        BenchmarkRow("gic-read", "MMIO read of the kernel's GIC", goal: .either(2000)),
        BenchmarkRow("sgi-self", "SGI to self, acknowledge, EOI", goal: .either(2000)),
        BenchmarkRow("sgi-other", "SGI to a sleeping vCPU and its answer"),
        BenchmarkRow("end-of-interrupt", "EOI", goal: .either(0)),
        BenchmarkRow("timer-running", "virtual timer fires while running", goal: .either(2500)),
        BenchmarkRow("timer-waiting", "WFI, virtual timer, wake"),
        BenchmarkRow("run-immediate", "KVM_RUN that exits at once", goal: .either(1500)),
        BenchmarkRow("page-fresh", "stage-2 fault, 4 KiB, host page absent"),
        BenchmarkRow("page-present", "stage-2 fault, 4 KiB, host page present", goal: .either(3500)),
        BenchmarkRow("page-again", "4 KiB that the guest has"),
        BenchmarkRow(
            "superpage-fresh", "2 MiB touched, host memory absent", goal: .protected(110_000, max: 75_000)),
        BenchmarkRow(
            "superpage-present", "2 MiB touched, host memory present", goal: .protected(110_000, max: 75_000)),
        BenchmarkRow("create-vm", "KVM_CREATE_VM, sixth VM and later"),
        BenchmarkRow("create-vcpu", "KVM_CREATE_VCPU and its initialization"),
        BenchmarkRow("create-to-first", "KVM_CREATE_VM to first guest instruction", goal: .either(200_000)),
        BenchmarkRow("destroy", "end of a small VM", goal: .either(300_000)),
        BenchmarkRow("destroy-pages", "end of a VM with 16 MiB in 4 KiB"),
        BenchmarkRow("destroy-superpages", "end of a VM with 32 MiB in 2 MiB"),
        BenchmarkRow("guest-boot", "boot of a Debian guest to user space", .boot, goal: .either(60_000_000)),
        BenchmarkRow("guest-end", "that guest's power-off, and the VMM's end", .boot),
        BenchmarkRow("host-system-call", "getppid of a host's process", .host),
        BenchmarkRow("host-fault", "page fault of a host's process", .host),
        BenchmarkRow("host-fork", "fork, exit, wait of a host's process", .host),
    ]

    /// The rows that a host's run has to have, as the probe prints them.
    static func expected(of host: BenchmarkHost) -> [String] {
        all.flatMap { row -> [String] in
            switch row.part {
            case .host where row.name == "host-call":
                [.martlet, .stockNVHE, .stockProtected].contains(host) ? ["normal/\(row.name)"] : []
            case .host: [.stockNVHE, .stockProtected].contains(host) ? [] : ["normal/\(row.name)"]
            // A protected VM's memory has one kind of name, wherever it comes from.
            case .guests, .boot: host.guestKinds.map { "\($0.split(separator: "-")[0])/\(row.name)" }
            }
        }
    }

    /// The numbers by which the probe's markers tell rows apart: their order in its header.
    static func numbers(header: String) -> [String: Int] {
        var numbers: [String: Int] = [:]
        for line in header.split(separator: "\n") where line.contains("row(") && line.contains("\"") {
            let name = String(line.split(separator: "\"")[1])
            let number = numbers.count / 2
            numbers["normal/\(name)"] = number
            numbers["protected/\(name)"] = number + 256
        }
        return numbers
    }

    /// By what part a row may grow unnoticed. A loop repeats to the instruction; what the host's scheduler and
    /// allocator have a part in depends on where they were, and what is made and ended a few times on
    /// where its memory happens to be.
    static func tolerance(of name: String) -> Double {
        guard let row = name.split(separator: "/").last else { return 0.01 }
        let once = ["create", "destroy", "guest-", "host-fork"]
        if once.contains(where: { row.hasPrefix($0) }) { return 0.25 }
        let scheduled = ["sgi-other", "timer-waiting", "page-", "superpage-"]
        return scheduled.contains { row.hasPrefix($0) } ? 0.05 : 0.01
    }

    /// Whether the kinds of a row's instructions are compared with the baseline's too. How many runs of pages a
    /// large guest's memory is in, and so how often tables change, is the allocator's doing.
    static func comparesKinds(of name: String) -> Bool {
        guard let row = name.split(separator: "/").last else { return true }
        return !["destroy-", "guest-"].contains { row.hasPrefix($0) }
    }

    /// How much a row may cost; nil if nothing is said.
    func limit(kind: String, on machine: BenchmarkMachine) -> Int? {
        switch goal {
        case .either(let limit): limit
        case .protected(let plain, let max) where kind == "protected": machine == .max ? max : plain
        case .protected, nil: nil
        }
    }
}
