// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// How deep the stack of an image can get: frames along the deepest chain of calls.

/// The deepest chain of calls of an image.
struct StackDepth: Equatable, Sendable {
    /// A function that calls itself, and how often at most.
    struct Recursion: Sendable {
        /// A part of its name.
        let name: String
        /// How many of its frames there can be at once.
        let times: Int
        /// Why there cannot be more.
        let why: String
    }

    /// Bytes of all frames in it.
    let bytes: Int
    /// Its functions, the outermost first.
    let chain: [String]
    /// What keeps the depth from being known: functions that call each other in a circle without being listed.
    let unknown: [String]

    /// Finds it. A call that is a jump counts as one that returns, and a call of what a register holds as one of
    /// whatever does not come back to it: compilers make those where they merge functions that are alike.
    static func of(_ code: Disassembly, recursions: [Recursion]) -> StackDepth {
        var search = Search(code, recursions)
        var deepest: (bytes: Int, chain: [String]) = (0, [])
        for function in code.functions {
            let found = search.depth(of: function.name)
            if found.bytes > deepest.bytes { deepest = found }
        }
        return StackDepth(bytes: deepest.bytes, chain: deepest.chain, unknown: search.unknown.sorted())
    }

    private struct Search {
        private var frames: [String: Int] = [:]
        private var calls: [String: Set<String>] = [:]
        private var known: [String: (bytes: Int, chain: [String])] = [:]
        private var open: [String] = []
        var unknown: Set<String> = []

        init(_ code: Disassembly, _ recursions: [Recursion]) {
            for function in code.functions {
                let name = function.name
                let recursion = recursions.first { name.contains($0.name) }
                frames[name, default: 0] += function.frameSize * (recursion?.times ?? 1)
                calls[name, default: []].formUnion(
                    function.callees.filter { $0 != name || recursion == nil })
            }
            let indirect = code.functions.filter { function in
                function.instructions.contains { $0.mnemonic.hasPrefix("blr") }
            }.map(\.name)
            // A function that itself makes such calls is not looked for behind one: closures are called, which do not.
            let callers = indirect.reduce(into: Set<String>()) { $0.formUnion(functions(leadingTo: $1)) }
            for name in indirect { calls[name, default: []].formUnion(Set(calls.keys).subtracting(callers)) }
        }

        private func functions(leadingTo target: String) -> Set<String> {
            var found: Set<String> = [target]
            var isGrowing = true
            while isGrowing {
                isGrowing = false
                for (name, callees) in calls where !found.contains(name) && !callees.isDisjoint(with: found) {
                    found.insert(name)
                    isGrowing = true
                }
            }
            return found
        }

        mutating func depth(of name: String) -> (bytes: Int, chain: [String]) {
            if let found = known[name] { return found }
            if let start = open.firstIndex(of: name) {
                unknown.insert("a circle of calls: \((open[start...] + [name]).joined(separator: " -> "))")
                return (0, [])
            }
            open.append(name)
            var deepest: (bytes: Int, chain: [String]) = (0, [])
            for callee in calls[name, default: []].sorted() {
                let found = depth(of: callee)
                if found.bytes > deepest.bytes { deepest = found }
            }
            open.removeLast()
            let result = (deepest.bytes + frames[name, default: 0], [name] + deepest.chain)
            known[name] = result
            return result
        }
    }
}

extension DisassembledFunction {
    /// Functions that it calls or jumps to; itself, if it calls itself.
    var callees: Set<String> {
        var callees: Set<String> = []
        for instruction in instructions {
            guard let target = instruction.target else { continue }
            let isCall = instruction.mnemonic == "bl"
            if isCall || instruction.isBranch, isCall || target != name { callees.insert(target) }
        }
        return callees
    }
}

extension MachineCode {
    /// EL2's stack on each CPU, which the frame of the host's registers is a part of.
    static let hypervisorStackLimit = 16 << 10

    /// What calls itself at EL2.
    static let hypervisorRecursions: [StackDepth.Recursion] = [
        .init(name: "9PageTableV6assign", times: 4, why: "one frame a level of the tables"),
        .init(name: "9PageTableV4free", times: 3, why: "one frame a level below the root"),
        .init(name: "14FirmwareFilterV7verdict", times: 2, why: "a call that asks about a call asks about no other"),
    ]

    static func boundedStack(_ code: Disassembly, limit: Int, recursions: [StackDepth.Recursion]) -> CheckResult {
        let depth = StackDepth.of(code, recursions: recursions)
        let isGood = depth.unknown.isEmpty && depth.bytes > 0 && depth.bytes <= limit
        return CheckResult(
            "hypervisor/stack-depth", isGood ? .passed : .failed,
            "\(depth.bytes) of at most \(limit) bytes"
                + (isGood ? "" : "; \(depth.chain.joined(separator: " -> "))")
                + depth.unknown.map { "; \($0)" }.joined())
    }
}
