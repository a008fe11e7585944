// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The entry point of `martlet`.

internal import VMMConfiguration
internal import VMMLinux

/// What C's start-up code calls; the result is the exit status.
@c(martlet_start)
func start() -> Int32 {
    perform(Arguments.words).number
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
