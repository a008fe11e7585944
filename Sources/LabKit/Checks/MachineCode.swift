// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What must hold in the machine code, whatever the sources say.

public import SystemPackage

/// Checks of built images.
public enum MachineCode {
    /// The most text that the hypervisor may have, in bytes.
    public static let hypervisorTextLimit = 96 << 10
    /// The largest stack frame in the kernel module, in bytes.
    public static let moduleFrameLimit = 1024
    /// The largest stack frame at EL2, of 16 KiB of stack, in bytes.
    public static let hypervisorFrameLimit = 1024

    /// Names by which an image would reach a heap.
    static let allocatorSymbols: Set<String> = [
        "malloc", "calloc", "realloc", "free", "aligned_alloc", "posix_memalign", "swift_slowAlloc",
        "swift_allocObject", "swift_allocEmptyBox",
    ]

    /// What runs at installation alone, when all state comes to its place: parts of mangled names.
    static let installation = ["15HypervisorImage10initialise", "14HypervisorCore0A0V4boot", "11MemoryStateV03map"]

    /// Checks the hypervisor's image: small frames, no heap, no FP/SIMD registers, nothing undefined, not too large.
    public static func checkHypervisor(_ image: FilePath) async throws -> [CheckResult] {
        let code = try await Disassembly.of(image)
        let symbols = try await symbols(of: image)
        let text = try await SectionSizes.of(image).text
        return [
            noVectorRegisters(code, but: vectorSwitch, group: "hypervisor"),
            noAllocator(symbols, group: "hypervisor"),
            CheckResult(
                "hypervisor/nothing-undefined", symbols.undefined.isEmpty ? .passed : .failed,
                symbols.undefined.sorted().joined(separator: " ")),
            noFaults(symbols),
            smallFrames(code, limit: hypervisorFrameLimit, but: installation, group: "hypervisor"),
            boundedStack(code, limit: hypervisorStackLimit, recursions: hypervisorRecursions),
            CheckResult(
                "hypervisor/text-size", text > 0 && text <= hypervisorTextLimit ? .passed : .failed,
                "\(text) of at most \(hypervisorTextLimit) bytes"),
        ]
    }

    /// Checks that a faulty image could not pass for the product.
    static func checkFaulty(_ image: FilePath, _ variant: HypervisorVariant) async throws -> CheckResult {
        hasFaults(try await symbols(of: image), variant)
    }

    /// The same of a module, where it has a fault of its own.
    static func checkFaultyModule(_ module: FilePath, _ variant: HypervisorVariant) async throws -> CheckResult {
        hasFaults(try await symbols(of: module), variant, group: "module")
    }

    /// Checks the kernel module: small frames, no FP/SIMD registers, no allocator but its own.
    public static func checkModule(_ module: FilePath) async throws -> [CheckResult] {
        let code = try await Disassembly.of(module)
        let symbols = try await symbols(of: module)
        return [
            noVectorRegisters(code, group: "module"),
            noAllocator(symbols, group: "module"),
            noFaults(symbols, group: "module"),
            smallFrames(code, limit: moduleFrameLimit, group: "module"),
        ]
    }

    /// The only functions that may touch vector registers: they switch them between worlds.
    static let vectorSwitch: Set<String> = [
        "martlet_vectors_save", "martlet_vectors_restore", "martlet_scalable_save", "martlet_scalable_restore",
        "martlet_scalable_length",
    ]

    static func noVectorRegisters(
        _ code: Disassembly, but allowed: Set<String> = [], group: String
    ) -> CheckResult {
        let users = code.functions.filter { !allowed.contains($0.name) && !$0.vectorInstructions.isEmpty }
        let detail = users.prefix(5).map { function in
            let example = function.vectorInstructions[0]
            return "\(function.name): \(example.mnemonic) \(example.operands)"
        }
        // An image without code would pass every check, and prove nothing.
        let isGood = users.isEmpty && code.functions.contains { !$0.instructions.isEmpty }
        return CheckResult("\(group)/no-vector-registers", isGood ? .passed : .failed, detail.joined(separator: "; "))
    }

    static func noAllocator(_ symbols: Symbols, group: String) -> CheckResult {
        let found = allocatorSymbols.intersection(symbols.undefined.union(symbols.defined))
        return CheckResult(
            "\(group)/no-allocator", found.isEmpty ? .passed : .failed, found.sorted().joined(separator: " "))
    }

    /// The product has none of the faults that tests build in.
    static func noFaults(_ symbols: Symbols, group: String = "hypervisor") -> CheckResult {
        let found = symbols.defined.filter(isFault)
        return CheckResult(
            "\(group)/no-faults", found.isEmpty && !symbols.defined.isEmpty ? .passed : .failed,
            found.sorted().joined(separator: " "))
    }

    /// Whether a name is of what only faulty images have: a call that provokes faults, or what it sets.
    static func isFault(_ name: String) -> Bool {
        name.lowercased().contains("provoke") || name.contains("defencesAway") || name.contains("martlet_fault_")
            || isAudit(name)
    }

    /// Whether a name is of what compares a hypervisor with the specification.
    static func isAudit(_ name: String) -> Bool {
        name.contains("audit_on_stack") || name.contains("5Audit") || name.contains("13Specification")
    }

    /// An image with faults is known by its names; otherwise the check above would be blind.
    static func hasFaults(
        _ symbols: Symbols, _ variant: HypervisorVariant, group: String = "hypervisor"
    ) -> CheckResult {
        let isKnown = symbols.defined.contains { variant == .checked ? isAudit($0) : isFault($0) }
        return CheckResult("\(group)-\(variant.rawValue)/faults-are-seen", isKnown ? .passed : .failed)
    }

    static func smallFrames(
        _ code: Disassembly, limit: Int, but allowed: [String] = [], group: String
    ) -> CheckResult {
        let counted = code.functions.filter { function in !allowed.contains { function.name.contains($0) } }
        let large = counted.filter { $0.frameSize > limit }.sorted { $0.frameSize > $1.frameSize }
        let largest = counted.map(\.frameSize).max() ?? 0
        let detail =
            large.isEmpty
            ? "the largest has \(largest) bytes"
            : large.prefix(5).map { "\($0.name): \($0.frameSize) bytes" }.joined(separator: "; ")
        let isGood = large.isEmpty && !counted.isEmpty
        return CheckResult("\(group)/frame-sizes", isGood ? .passed : .failed, detail)
    }

    /// The names in an image.
    struct Symbols: Sendable {
        var defined: Set<String> = []
        var undefined: Set<String> = []

        /// Reads llvm-nm's POSIX format: name, type, and for a defined one value and size.
        init(text: String) {
            for line in text.split(separator: "\n") {
                let words = line.split(separator: " ").map(String.init)
                guard words.count >= 2 else { continue }
                switch words[1] {
                case "U", "w", "v": undefined.insert(words[0])
                default: defined.insert(words[0])
                }
            }
        }
    }

    private static func symbols(of image: FilePath) async throws -> Symbols {
        guard image.exists else { throw LabError.missingFile(image, madeBy: "lab images") }
        let nm = try Tool.fromToolchain("llvm-nm")
        return Symbols(text: try await Tool(nm, ["--format=posix", image.string]).capture())
    }
}
