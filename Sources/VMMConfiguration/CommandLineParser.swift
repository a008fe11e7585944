// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// From the words of the command line to a `Command`. ArgumentParser needs the full
// standard library, which the static arm64 binary does not have.

/// Reads a command line.
public enum CommandLineParser {
    /// The command in `words`, which does not hold the program's own name.
    public static func parse(_ words: [String]) throws(UsageError) -> Command {
        guard let first = words.first else { throw .noCommand }
        switch first {
        case "--help", "-h", "help": return .help
        case "--version": return .version
        case "run": return try parseRun(words)
        default:
            if isOption(first) { throw .unknownOption(first) }
            throw .unknownCommand(first)
        }
    }

    /// The report format that `words` ask for, whether or not they are otherwise valid: an error in the command
    /// line of a program that reads JSON is reported as JSON too.
    public static func reportFormat(in words: [String]) -> ReportFormat {
        words.contains("--json") ? .json : .text
    }

    private enum Option: String {
        case kernel = "--kernel"
        case initrd = "--initrd"
        case commandLine = "--cmdline"
        case processors = "--cpus"
        case memory = "--memory"
        case protected = "--protected"
        case privateMemory = "--private-memory"
        case json = "--json"
        case dryRun = "--dry-run"
    }

    private static func parseRun(_ words: [String]) throws(UsageError) -> Command {
        var options = RunOptions()
        var seen: [String] = []
        var index = 1
        while index < words.count {
            let word = words[index]
            index += 1
            if word == "--help" || word == "-h" { return .help }
            guard isOption(word) else { throw .strayArgument(word) }
            let (name, attached) = split(word)
            guard let option = Option(rawValue: name) else { throw .unknownOption(name) }
            if seen.contains(name) { throw .repeated(name) }
            seen.append(name)
            switch option {
            case .protected, .json, .dryRun:
                guard attached == nil else { throw .unwantedValue(name) }
                setSwitch(option, in: &options)
            case .kernel, .initrd, .commandLine, .processors, .memory, .privateMemory:
                if let attached {
                    try setValue(option, attached, in: &options)
                } else {
                    guard index < words.count else { throw .missingValue(name) }
                    try setValue(option, words[index], in: &options)
                    index += 1
                }
            }
        }
        guard options.protection == .protected || options.privateMemory == .best else {
            throw .privateMemoryWithoutProtection
        }
        // The host's own initrd goes with the host's own kernel: another kernel could not load its modules.
        if options.kernel != .hostsOwn, options.initrd == .hostsOwn { options.initrd = .none }
        return .run(options)
    }

    private static func setSwitch(_ option: Option, in options: inout RunOptions) {
        switch option {
        case .protected: options.protection = .protected
        case .json: options.report = .json
        case .dryRun: options.mode = .dryRun
        case .kernel, .initrd, .commandLine, .processors, .memory, .privateMemory: break
        }
    }

    private static func setValue(
        _ option: Option, _ value: String, in options: inout RunOptions
    ) throws(UsageError) {
        switch option {
        case .kernel:
            if value.isEmpty { throw .emptyPath(option.rawValue) }
            options.kernel = .path(value)
        case .initrd:
            if value.isEmpty { throw .emptyPath(option.rawValue) }
            options.initrd = .path(value)
        case .commandLine: options.commandLine = try KernelCommandLine(value)
        case .processors: options.processors = try ProcessorCount(parsing: value)
        case .memory: options.memory = try MemorySize(parsing: value)
        case .privateMemory:
            switch value {
            case "descriptor": options.privateMemory = .descriptor
            case "pinned": options.privateMemory = .pinned
            default: throw .unknownPrivateMemory(value)
            }
        case .protected, .json, .dryRun: break
        }
    }

    private static func isOption(_ word: String) -> Bool {
        word.utf8.first == UInt8(ascii: "-") && word.utf8.count > 1
    }

    /// `--name=value` in two; only the first equals sign counts, since kernel command lines are full of them.
    private static func split(_ word: String) -> (name: String, value: String?) {
        guard let equals = word.utf8.firstIndex(of: UInt8(ascii: "=")) else { return (word, nil) }
        return (String(word[..<equals]), String(word[word.utf8.index(after: equals)...]))
    }
}
