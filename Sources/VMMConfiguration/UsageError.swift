// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Everything that can be wrong with a command line.

/// Why a command line was refused.
public enum UsageError: Explainable, Equatable, Sendable {
    /// No command was given.
    case noCommand
    /// The first word is not a command.
    case unknownCommand(String)
    /// An option that does not exist.
    case unknownOption(String)
    /// A word where an option is expected.
    case strayArgument(String)
    /// An option that needs a value stands last.
    case missingValue(String)
    /// A flag was given a value.
    case unwantedValue(String)
    /// An option was given twice.
    case repeated(String)
    /// A file name that is empty.
    case emptyPath(String)
    /// `--memory` is not a size.
    case memoryNotASize(String)
    /// `--memory` is below 32 MiB.
    case memoryTooSmall(String)
    /// `--memory` is above 1022 GiB.
    case memoryTooLarge(String)
    /// `--memory` is not a multiple of 2 MiB.
    case memoryNotWhole(String)
    /// `--cpus` is not a number.
    case processorsNotANumber(String)
    /// `--cpus` is not from 1 to 8.
    case processorsOutOfRange(String)
    /// `--private-memory` is neither kind.
    case unknownPrivateMemory(String)
    /// `--private-memory` without `--protected`.
    case privateMemoryWithoutProtection
    /// `--cmdline` is longer than the kernel keeps; the length in bytes.
    case commandLineTooLong(Int)

    /// The error in words.
    public var explanation: Explanation {
        switch self {
        case .noCommand:
            usage("no command was given", "`martlet` does nothing by itself", "try `martlet run`, or `martlet --help`")
        case .unknownCommand(let word):
            usage(
                "there is no command '\(word)'", "the only command is `run`", "try `martlet run`, or `martlet --help`")
        case .unknownOption(let word):
            usage(
                "there is no option '\(word)'", "`martlet run` does not know it", "`martlet --help` lists the options")
        case .strayArgument(let word):
            usage(
                "the argument '\(word)' has no place", "`martlet run` takes options only",
                "name the file's use, as in `--kernel \(word)`")
        case .missingValue(let option):
            usage("\(option) needs a value", "it is the last word", "write `\(option) VALUE` or `\(option)=VALUE`")
        case .unwantedValue(let option):
            usage("\(option) takes no value", "it is a switch", "write `\(option)` alone")
        case .repeated(let option):
            usage("\(option) was given twice", "only one value can hold", "keep one of the two")
        case .emptyPath(let option):
            usage(
                "\(option) has an empty file name", "no file has an empty name", "name a file, or leave the option out")
        case .memoryNotASize(let text):
            usage(
                "the memory size '\(text)' cannot be read", "a size is a number with K, M or G behind it",
                "write, for example, `--memory 512M`")
        case .memoryTooSmall(let text):
            usage("the memory size '\(text)' is too small", "a guest needs 32 MiB at least", "try `--memory 512M`")
        case .memoryTooLarge(let text):
            usage(
                "the memory size '\(text)' is too large", "a guest's address space holds 1022 GiB of memory",
                "try `--memory 512M`")
        case .memoryNotWhole(let text):
            usage(
                "the memory size '\(text)' is odd", "memory comes in blocks of 2 MiB",
                "round it to a multiple of 2M")
        case .processorsNotANumber(let text):
            usage("the CPU count '\(text)' cannot be read", "it is not a number", "write, for example, `--cpus 2`")
        case .processorsOutOfRange(let text):
            usage(
                "the CPU count '\(text)' is out of range", "a guest has 1 to 8 CPUs", "write, for example, `--cpus 2`")
        case .unknownPrivateMemory(let text):
            usage(
                "there is no private memory '\(text)'", "it is `descriptor` or `pinned`",
                "leave `--private-memory` out for what this host does best")
        case .privateMemoryWithoutProtection:
            usage(
                "a normal VM has no private memory", "`--private-memory` was given without `--protected`",
                "add `--protected`, or leave `--private-memory` out")
        case .commandLineTooLong(let count):
            Explanation(
                what: "the kernel command line is too long",
                why: "it has \(count) bytes and arm64 Linux keeps \(KernelCommandLine.limit)",
                next: "shorten `--cmdline`", status: .doesNotFit)
        }
    }

    private func usage(_ what: String, _ why: String, _ next: String) -> Explanation {
        Explanation(what: what, why: why, next: next, status: .usage)
    }
}
