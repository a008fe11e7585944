// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The sizes of an image's sections.

public import SystemPackage

/// An image's sections, summed up by what they are for.
public struct SectionSizes: Equatable, Sendable {
    /// Code, in bytes.
    public var text = 0
    /// Constants, in bytes.
    public var constants = 0
    /// Initialised and zeroed variables, in bytes.
    public var data = 0

    /// Reads an image.
    public static func of(_ image: FilePath) async throws -> SectionSizes {
        guard image.exists else { throw LabError.missingFile(image, madeBy: "lab images") }
        let objdump = try Tool.fromToolchain("llvm-objdump")
        return SectionSizes(text: try await Tool(objdump, ["--section-headers", image.string]).capture())
    }

    /// Reads llvm-objdump's table: index, name, size, address, and a type for what is loaded.
    init(text table: String) {
        for line in table.split(separator: "\n") {
            let words = line.split(separator: " ").map(String.init)
            guard words.count >= 5, Int(words[0]) != nil, let size = Int(words[2], radix: 16) else { continue }
            switch words[4] {
            case "TEXT": text += size
            case "BSS": data += size
            case "DATA" where words[1].hasPrefix(".rodata"): constants += size
            case "DATA": data += size
            // Debug information has a type of its own, and is not loaded.
            default: break
            }
        }
    }
}
