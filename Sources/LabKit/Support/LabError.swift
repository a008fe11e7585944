// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Every way in which the lab fails, as one closed list. A message always says what
// happened, why, and what to do next, because the reader is usually at a terminal and has
// just typed one command from the README.

public import SystemPackage

/// What went wrong in the lab.
public enum LabError: Error, Equatable {
    /// A program that the lab calls is not on the search path.
    case missingProgram(String)
    /// A program ended with an error; `tail` is the end of what it printed.
    case programFailed(command: String, status: String, tail: String, log: FilePath?)
    /// The machine is not one that the lab can prepare.
    case unsupportedMachine(String)
    /// Software has to be installed, and the lab may not do it.
    case needsRoot(packages: [String])
    /// The distribution's suites do not offer what the lab needs.
    case packageUnavailable(String)
    /// A file does not have the form it is expected to have.
    case malformed(file: String, why: String)
    /// A file that an earlier step produces is not there.
    case missingFile(FilePath, madeBy: String)
    /// The file system refused an operation.
    case file(FilePath, why: String)
    /// The command line asked for something that does not exist.
    case unknown(kind: String, name: String, known: [String])
    /// A machine in QEMU did not do what a scenario waits for.
    case machine(String, console: FilePath)
}

extension LabError: CustomStringConvertible {
    /// What happened, why, and the next step, in that order.
    public var description: String {
        switch self {
        case .missingProgram(let name):
            return "\(name) was not found: it is not on PATH.\nNext: run `lab setup`, which installs what is missing."
        case .programFailed(let command, let status, let tail, let log):
            let nextStep = log.map { "\nNext: read \($0.string), then run the command again." } ?? ""
            let output = tail.isEmpty ? "It printed nothing." : tail
            return "`\(command)` \(status).\n\(output)\(nextStep)"
        case .unsupportedMachine(let why):
            return "This machine cannot be prepared: \(why)\n"
                + "Next: use Debian 12 or 13 on x86-64, or install the tools that CONTRIBUTING.md lists by hand."
        case .needsRoot(let packages):
            return
                "Packages are missing (\(packages.joined(separator: " "))) and this user is neither root nor has sudo.\n"
                + "Next: run `lab setup` once as root."
        case .packageUnavailable(let what):
            return "The machine's package sources do not offer \(what).\n"
                + "Next: check the network and the apt configuration, then run `lab setup` again."
        case .malformed(let file, let why):
            return "\(file) cannot be read: \(why)."
        case .missingFile(let path, let step):
            return "\(path.string) is not there.\nNext: run `\(step)`."
        case .file(let path, let why):
            return "\(path.string): \(why)."
        case .unknown(let kind, let name, let known):
            return "There is no \(kind) called `\(name)`.\nNext: choose one of \(known.joined(separator: ", "))."
        case .machine(let what, let console):
            return "\(what).\nNext: read \(console.string)."
        }
    }
}
