// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// All mutants in one program: each mutated piece becomes a choice between what it was and what the
// mutants make of it, and a variable of the environment chooses when the program starts.

/// The sources of the core with the mutants in them.
struct MutatedSources {
    /// Why mutants do not fit the sources.
    enum Misfit: Error, Equatable, CustomStringConvertible {
        /// The text of a mutant is not in its file, or more often than once.
        case found(Int, mutant: String)
        /// Two mutants want to change pieces that overlap and are not the same.
        case overlap(String, String)

        var description: String {
            switch self {
            case .found(let times, let mutant): "the text of \(mutant) is there \(times) times instead of once"
            case .overlap(let one, let other): "\(one) and \(other) change pieces that overlap"
            }
        }
    }

    /// Lines of a changed file, by which a compiler's complaint is told to be of a mutant.
    struct Place: Equatable {
        /// The lines, from 1 on.
        let lines: ClosedRange<Int>
        /// The mutants' numbers.
        let numbers: [Int]
    }

    private struct Piece {
        let range: Range<String.Index>
        var mutants: [(number: Int, mutant: Mutant)]
    }

    /// The variable that chooses a mutant.
    static let variable = "MARTLET_MUTANT"

    /// A file of the core that reads the choice.
    static let selector = """
        // Which mutant runs.

        import Foundation

        private let chosen = ProcessInfo.processInfo.environment["\(variable)"].flatMap { Int($0) } ?? 0

        @usableFromInline
        func isMutant(_ number: Int) -> Bool { chosen == number }

        """

    /// Puts mutants of one file into its text.
    ///
    /// - Returns: the text, and where each mutant is in it.
    static func mutate(
        _ text: String, with mutants: [(number: Int, mutant: Mutant)]
    ) throws(Misfit) -> (text: String, places: [Place]) {
        var result = ""
        var places: [Place] = []
        var copied = text.startIndex
        var line = 1
        for piece in try pieces(of: mutants, in: text) {
            let before = text[copied..<piece.range.lowerBound]
            let choice = choice(piece, String(text[piece.range]))
            result += before + choice
            line += before.count(where: \.isNewline)
            let end = line + choice.count(where: \.isNewline)
            places.append(Place(lines: line...end, numbers: piece.mutants.map(\.number)))
            line = end
            copied = piece.range.upperBound
        }
        return (result + text[copied...], places)
    }

    /// The pieces that mutants change, in the order of the text.
    private static func pieces(
        of mutants: [(number: Int, mutant: Mutant)], in text: String
    ) throws(Misfit) -> [Piece] {
        var pieces: [Piece] = []
        for (number, mutant) in mutants {
            let found = text.ranges(of: mutant.text)
            guard let place = found.first, found.count == 1 else {
                throw .found(found.count, mutant: mutant.name)
            }
            let start = text.index(place.lowerBound, offsetBy: mutant.prefix.count)
            let range = start..<text.index(start, offsetBy: mutant.original.count)
            if let same = pieces.firstIndex(where: { $0.range == range }) {
                pieces[same].mutants.append((number, mutant))
            } else if let other = pieces.first(where: { $0.range.overlaps(range) }) {
                throw .overlap(other.mutants[0].mutant.name, mutant.name)
            } else {
                pieces.append(Piece(range: range, mutants: [(number, mutant)]))
            }
        }
        return pieces.sorted { $0.range.lowerBound < $1.range.lowerBound }
    }

    private static func choice(_ piece: Piece, _ original: String) -> String {
        switch piece.mutants[0].mutant.form {
        case .expression:
            let cases = piece.mutants.map { "isMutant(\($0.number)) ? (\($0.mutant.replacement)) : " }
            return "(\(cases.joined())(\(original)))"
        case .statement:
            let cases = piece.mutants.map { "if isMutant(\($0.number)) {\n\($0.mutant.replacement)\n} else " }
            return "\(cases.joined()){\n\(original)\n}"
        }
    }
}
