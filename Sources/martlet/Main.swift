// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The entry point of `martlet`.

internal import VMMConfiguration
internal import VMMLinux

/// What C's start-up code calls. SwiftPM links an executable so that `main` stands for the module's name with `_main`
/// behind it; the attribute `@main` would do the same but hand over no arguments.
@c(martlet_main)
func start(
    _ count: Int32, _ words: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
) -> Int32 {
    var arguments: [String] = []
    // The first word is the program's own name. A caller may leave even that out, and then the range is empty.
    for index in 1..<max(1, Int(count)) {
        // Safety: C guarantees `count` pointers to NUL-terminated strings.
        if let word = unsafe words[index] { arguments.append(unsafe String(cString: word)) }
    }
    return perform(arguments).number
}

/// Does what the command line asks for.
private func perform(_ arguments: [String]) -> ExitStatus {
    let command: Command
    do throws(UsageError) {
        command = try CommandLineParser.parse(arguments)
    } catch {
        Terminal.say(error.explanation.rendered(as: CommandLineParser.reportFormat(in: arguments)))
        return error.explanation.status
    }
    switch command {
    case .help:
        Terminal.answer(HelpText.help)
        return .success
    case .version:
        Terminal.answer(HelpText.version)
        return .success
    case .run(let options):
        return run(options)
    }
}
