// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// All mutants, by area.

/// The seeded faults.
public enum Mutants {
    /// All of them. A mutant's number is its place here, from 1 on; 0 is the code as it is.
    public static let all: [Mutant] =
        ownership + virtualMachines + tables + invalidation + caches + worldSwitch + exits + validation
        + installation + systemEnd

    /// Those whose name, area or file contains a text, or one of several with commas between them.
    public static func select(_ filter: String?) -> [(number: Int, mutant: Mutant)] {
        all.enumerated().map { (number: $0.offset + 1, mutant: $0.element) }.filter { entry in
            guard let filter else { return true }
            let texts = filter.split(separator: ",").map(String.init)
            let names = [entry.mutant.name, entry.mutant.area.rawValue, entry.mutant.file]
            return names.contains { name in texts.contains { name.contains($0) } }
        }
    }
}
