// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Addresses to functions, files and lines, with the functions that were inlined.

public import SystemPackage

/// A place in the source.
public struct SourceFrame: Equatable, Sendable {
    /// The function, demangled.
    public let function: String
    /// File, line and column.
    public let location: String
}

/// Resolves addresses against an image with debug information.
public struct Symbolizer: Sendable {
    /// The image.
    public let image: FilePath

    /// Uses an image.
    public init(image: FilePath) {
        self.image = image
    }

    /// The inline chain at each address, innermost first.
    public func resolve(_ addresses: [UInt64]) async throws -> [[SourceFrame]] {
        guard image.exists else { throw LabError.missingFile(image, madeBy: "lab images") }
        guard !addresses.isEmpty else { return [] }
        let symbolizer = try Tool.fromToolchain("llvm-symbolizer")
        let words = addresses.map { "0x" + String($0, radix: 16) }
        let output = try await Tool(symbolizer, ["--obj=\(image.string)", "--inlines", "--demangle"] + words).capture()
        let chains = Self.parse(output)
        let demangled = try await demangle(chains.flatMap { $0.map(\.function) })
        var next = demangled.makeIterator()
        return chains.map { chain in
            chain.map { SourceFrame(function: next.next() ?? $0.function, location: $0.location) }
        }
    }

    /// Reads pairs of lines, function and location; a blank line ends each address.
    static func parse(_ output: String) -> [[SourceFrame]] {
        var chains: [[SourceFrame]] = []
        var chain: [SourceFrame] = []
        var function: Substring?
        for line in output.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.isEmpty {
                if !chain.isEmpty { chains.append(chain) }
                chain = []
                function = nil
            } else if let name = function {
                chain.append(SourceFrame(function: String(name), location: String(line)))
                function = nil
            } else {
                function = line
            }
        }
        if !chain.isEmpty { chains.append(chain) }
        return chains
    }

    /// The symbolizer does not know Swift's names; `swift demangle` does.
    private func demangle(_ names: [String]) async throws -> [String] {
        guard !names.isEmpty else { return [] }
        let output = try await Tool("swift", ["demangle", "--simplified", "--compact", "--"] + names).capture()
        let lines = output.split(separator: "\n").map(String.init)
        return lines.count == names.count ? lines : names
    }

    /// A panic record as a report.
    public func report(_ panic: HypervisorPanic) async throws -> String {
        let addresses = panic.addresses
        // All but the first are return addresses: the call is the instruction before.
        let places = addresses.enumerated().map { index, address in address &- panic.base &- (index == 0 ? 0 : 4) }
        let chains = try await resolve(places)
        // A failed check of Swift's own has no message in an optimised image, but a name.
        let trap = chains.first?.first?.function.firstRange(of: "Swift runtime failure: ").map { range in
            String(chains[0][0].function[range.upperBound...])
        }
        let message = panic.message.isEmpty ? trap ?? "without a message" : panic.message
        var lines = ["Hypervisor panic on CPU \(panic.cpu): \(message)"]
        lines.append("  syndrome 0x\(String(panic.esr, radix: 16)), fault address 0x\(String(panic.far, radix: 16))")
        for (index, address) in addresses.enumerated() {
            let chain = index < chains.count ? chains[index] : []
            for (depth, frame) in chain.enumerated() {
                let start =
                    depth == 0 ? "  #\(index) 0x\(String(address &- panic.base, radix: 16))" : "     inlined into"
                lines.append("\(start) \(frame.function)")
                lines.append("       \(frame.location)")
            }
        }
        return lines.joined(separator: "\n")
    }
}
