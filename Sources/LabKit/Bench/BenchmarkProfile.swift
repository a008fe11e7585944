// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// In which functions the instructions of one row are: EL2's by its image, the kernel's by its own
// table.

import Foundation
import SystemPackage

/// Functions of a kernel by their addresses.
struct KernelSymbols: Equatable, Sendable {
    private var addresses: [UInt64] = []
    private var names: [String] = []

    /// Reads the kernel's table: address, type, name, and perhaps a module in brackets.
    init(table: String) {
        var symbols: [(UInt64, String)] = []
        for line in table.split(separator: "\n") {
            let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
            guard words.count >= 3, let address = UInt64(words[0], radix: 16), address >> 63 == 1 else { continue }
            symbols.append((address, words.dropFirst(2).joined(separator: " ")))
        }
        symbols.sort { $0.0 < $1.0 }
        addresses = symbols.map(\.0)
        names = symbols.map(\.1)
    }

    /// Whether a function begins at an address.
    func isStart(_ address: UInt64) -> Bool {
        function(at: address) != function(at: address &- 1)
    }

    /// The function at an address: the last one that does not begin behind it.
    func function(at address: UInt64) -> String? {
        var low = 0
        var high = addresses.count
        while low < high {
            let middle = (low + high) / 2
            if addresses[middle] <= address { low = middle + 1 } else { high = middle }
        }
        return low == 0 ? nil : names[low - 1]
    }
}

/// Where instructions were executed.
struct BenchmarkProfile: Equatable, Sendable {
    /// A place and its instructions.
    struct Place: Hashable, Sendable {
        /// Who executed them.
        let executor: InstructionCounts.Executor
        /// The function, as it is in the image.
        let function: String
        /// The function of the source that was inlined into it; the same if none was.
        let inlined: String
    }

    /// A call from one function of an image to another.
    struct Call: Hashable, Sendable {
        /// Who executes both.
        let executor: InstructionCounts.Executor
        /// The function that is called.
        let function: String
        /// From where.
        let caller: String
    }

    private(set) var places: [Place: Int] = [:]
    private var calls: [Call: Int] = [:]

    /// Adds instructions at a place.
    mutating func add(_ place: Place, _ instructions: Int) {
        places[place, default: 0] += instructions
    }

    /// Adds calls.
    mutating func add(_ call: Call, _ count: Int) {
        calls[call, default: 0] += count
    }

    /// The profile as text: functions of the image by what they cost for an operation, and below each
    /// what was inlined into it, if it is more than one part in a hundred, and who calls it how often.
    func text(operations: Int) -> String {
        func number(_ count: Int) -> String {
            BenchmarkTable.fixed(Double(count) / Double(operations), digits: 1).padded(to: 12, side: .left)
        }
        let all = places.values.reduce(0, +)
        let functions = Dictionary(grouping: places) {
            Place(executor: $0.key.executor, function: $0.key.function, inlined: "")
        }
        .mapValues { (total: $0.reduce(0) { $0 + $1.value }, parts: $0) }
        var lines = ["\(number(all))  in all"]
        let sorted = functions.sorted { ($0.value.total, $1.key.function) > ($1.value.total, $0.key.function) }
        for (place, value) in sorted where value.total * 500 >= all {
            lines.append("\(number(value.total))  \(place.executor.rawValue)  \(place.function)")
            for part in value.parts.sorted(by: { ($0.value, $1.key.inlined) > ($1.value, $0.key.inlined) })
            where part.value * 100 >= all && part.key.inlined != part.key.function {
                lines.append("\(number(part.value))      \(part.key.inlined)")
            }
            let callers = calls.filter { $0.key.executor == place.executor && $0.key.function == place.function }
                .sorted { ($0.value, $1.key.caller) > ($1.value, $0.key.caller) }
            for (call, count) in callers.prefix(12) where value.total * 50 >= all && count * 10 >= operations {
                lines.append("\(number(count))        calls from \(call.caller)")
            }
        }
        return lines.joined(separator: "\n")
    }

    /// Where an image lies, found by where its functions are: the page at which the most blocks begin
    /// where a function does.
    ///
    /// - Parameters:
    ///   - blocks: addresses of blocks in the image.
    ///   - functions: the functions' addresses in the image itself.
    static func base(blocks: [UInt64], functions: Set<UInt64>) -> UInt64? {
        guard let lowest = blocks.min(), let end = functions.max() else { return nil }
        let page = lowest & ~0xFFF
        let candidates = (0...(end >> 12)).filter { $0 << 12 <= page }.map { page - $0 << 12 }
        return candidates.max { first, second in
            blocks.count { functions.contains($0 &- first) } < blocks.count { functions.contains($0 &- second) }
        }
    }
}

extension Benchmark {
    /// The profile of one row of a host.
    ///
    /// - Parameter name: the kind of VM and the row, as the report has them.
    /// - Throws: ``LabError/unknown(kind:name:known:)`` for a row that there is not.
    public func profile(of name: String, on host: BenchmarkHost) async throws -> String {
        try await images.buildBenchmark()
        let header = images.workspace.root.appending("Tests/Bench/probe/rows.h")
        let known = BenchmarkRow.expected(of: host)
        guard known.contains(name), let number = BenchmarkRow.numbers(header: try header.readText())[name],
            let row = BenchmarkRow.all.first(where: { name.hasSuffix("/\($0.name)") })
        else { throw LabError.unknown(kind: "row", name: name, known: known) }
        let run = try await run(
            host, parameters: ["lab.rows=\(row.part.rawValue)", "lab.symbols=yes"], profiled: number)
        guard let measurement = run.measurements[name] else {
            throw LabError.machine("The row \(name) was not measured", console: run.folder.appending("console.log"))
        }
        let profile = try await profile(run, host: host)
        return "\(name) on \(host.rawValue), \(machine.rawValue): instructions for an operation\n"
            + profile.text(operations: measurement.operations)
    }

    private func profile(_ run: Run, host: BenchmarkHost) async throws -> BenchmarkProfile {
        let symbols = KernelSymbols(table: try await table(run))
        var profile = BenchmarkProfile()
        var image: [CounterLog.Block] = []
        // The symbols are the host's kernel's; what a guest executes is its own affair.
        for block in run.log.blocks where InstructionCounts.Executor.host.contains(block.executor) {
            if block.executor == .el2 && host == .martlet {
                image.append(block)
                continue
            }
            // Of programs only their sum is told.
            let function = block.address >> 63 == 1 ? symbols.function(at: block.address) : nil
            let name = function ?? "(all)"
            profile.add(.init(executor: block.executor, function: name, inlined: name), block.instructions)
        }
        for step in run.log.steps where step.to >> 63 == 1 && symbols.isStart(step.to) {
            guard InstructionCounts.Executor.host.contains(step.executor),
                let caller = symbols.function(at: step.from), let function = symbols.function(at: step.to),
                caller != function
            else { continue }
            profile.add(.init(executor: step.executor, function: function, caller: caller), step.count)
        }
        try await add(image, steps: host == .martlet ? run.log.steps.filter { $0.executor == .el2 } : [], to: &profile)
        return profile
    }

    /// Adds EL2's blocks, with what the compiler has inlined, and the calls between them.
    private func add(
        _ blocks: [CounterLog.Block], steps: [CounterLog.Step], to profile: inout BenchmarkProfile
    ) async throws {
        let elf = images.hypervisorELF()
        let listing = try await Tool(Tool.fromToolchain("llvm-nm"), ["--defined-only", elf.string]).capture()
        let functions = Set(
            listing.split(separator: "\n").compactMap { line -> UInt64? in
                let words = line.split(separator: " ")
                return words.count == 3 && words[1].lowercased() == "t" ? UInt64(words[0], radix: 16) : nil
            })
        guard let base = BenchmarkProfile.base(blocks: blocks.map(\.address), functions: functions) else { return }
        let chains = try await Symbolizer(image: elf).resolve(blocks.map { $0.address &- base })
        var names: [UInt64: (function: String, inlined: String)] = [:]
        for (block, chain) in zip(blocks, chains) {
            guard let inner = chain.first, let outer = chain.last else { continue }
            names[block.address] = (outer.function, inner.function)
            profile.add(.init(executor: .el2, function: outer.function, inlined: inner.function), block.instructions)
        }
        for step in steps where functions.contains(step.to &- base) {
            guard let caller = names[step.from], let function = names[step.to], caller.function != function.function
            else { continue }
            let place = caller.inlined == caller.function ? "" : ", \(caller.inlined)"
            profile.add(
                .init(executor: .el2, function: function.function, caller: caller.function + place), step.count)
        }
    }

    /// The kernel's own table of functions, as the machine has printed it.
    private func table(_ run: Run) async throws -> String {
        guard let compressed = Data(base64Encoded: run.console.symbols), !compressed.isEmpty else {
            throw LabError.machine(
                "The kernel's functions were not printed", console: run.folder.appending("console.log"))
        }
        let file = run.folder.appending("symbols.gz")
        try file.write(compressed)
        return try await Tool("gzip", ["--decompress", "--stdout", file.string]).capture()
    }
}
