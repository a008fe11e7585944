// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The exact words and exit statuses of errors in the command line, and their JSON form.

import Testing
import VMMConfiguration

@Suite struct ExplanationTests {
    private func expect(
        _ error: UsageError, _ status: Int32, _ what: String, _ why: String, _ next: String,
        location: SourceLocation = #_sourceLocation
    ) {
        #expect(
            error.explanation.text == "martlet: \(what)\n  why:  \(why)\n  next: \(next)\n", sourceLocation: location)
        #expect(error.explanation.status.number == status, sourceLocation: location)
    }

    @Test func wordsAndStatus() {
        expect(
            .noCommand, 2, "no command was given", "`martlet` does nothing by itself",
            "try `martlet run`, or `martlet --help`")
        expect(
            .unknownCommand("start"), 2, "there is no command 'start'", "the only command is `run`",
            "try `martlet run`, or `martlet --help`")
        expect(
            .unknownOption("--disk"), 2, "there is no option '--disk'", "`martlet run` does not know it",
            "`martlet --help` lists the options")
        expect(
            .strayArgument("Image"), 2, "the argument 'Image' has no place", "`martlet run` takes options only",
            "name the file's use, as in `--kernel Image`")
        expect(
            .missingValue("--cpus"), 2, "--cpus needs a value", "it is the last word",
            "write `--cpus VALUE` or `--cpus=VALUE`")
        expect(
            .unwantedValue("--json"), 2, "--json takes no value", "it is a switch",
            "write `--json` alone")
        expect(
            .repeated("--cpus"), 2, "--cpus was given twice", "only one value can hold",
            "keep one of the two")
        expect(
            .emptyPath("--kernel"), 2, "--kernel has an empty file name", "no file has an empty name",
            "name a file, or leave the option out")
        expect(
            .memoryNotASize("lots"), 2, "the memory size 'lots' cannot be read",
            "a size is a number with K, M or G behind it",
            "write, for example, `--memory 512M`")
        expect(
            .memoryTooSmall("1M"), 2, "the memory size '1M' is too small", "a guest needs 32 MiB at least",
            "try `--memory 512M`")
        expect(
            .memoryTooLarge("9999G"), 2, "the memory size '9999G' is too large",
            "a guest's address space holds 1022 GiB of memory",
            "try `--memory 512M`")
        expect(
            .memoryNotWhole("33M"), 2, "the memory size '33M' is odd", "memory comes in blocks of 2 MiB",
            "round it to a multiple of 2M")
        expect(
            .processorsNotANumber("two"), 2, "the CPU count 'two' cannot be read", "it is not a number",
            "write, for example, `--cpus 2`")
        expect(
            .processorsOutOfRange("9"), 2, "the CPU count '9' is out of range", "a guest has 1 to 8 CPUs",
            "write, for example, `--cpus 2`")
        expect(
            .unknownPrivateMemory("shared"), 2, "there is no private memory 'shared'",
            "it is `descriptor` or `pinned`", "leave `--private-memory` out for what this host does best")
        expect(
            .privateMemoryWithoutProtection, 2, "a normal VM has no private memory",
            "`--private-memory` was given without `--protected`",
            "add `--protected`, or leave `--private-memory` out")
        expect(
            .commandLineTooLong(2048), 4, "the kernel command line is too long",
            "it has 2048 bytes and arm64 Linux keeps 2047",
            "shorten `--cmdline`")
    }

    @Test func jsonIsOneEscapedLine() {
        let explanation = Explanation(what: "a \"b\" \\", why: "tab\tline\n\u{1}é", next: "", status: .hostRefused)
        #expect(
            explanation.rendered(as: .json)
                == #"{"event":"error","what":"a \"b\" \\","why":"tab\tline\n\u0001é","next":"","exit":5}"# + "\n")
        #expect(explanation.rendered(as: .text) == explanation.text)
    }

    @Test func exitStatuses() {
        let statuses: [(VMMConfiguration.ExitStatus, Int32)] = [
            (.success, 0), (.usage, 2), (.unusableFile, 3), (.doesNotFit, 4), (.hostRefused, 5), (.machineFailed, 6),
            (.guestReset, 32), (.guestCrashed, 33), (.consoleEscape, 34), (.signal(15), 143),
        ]
        for (status, number) in statuses { #expect(status.number == number) }
    }

    @Test func sizesInWords() {
        #expect(MemorySize.describe(512 << 20) == "512 MiB")
        #expect(MemorySize.describe(4 << 30) == "4 GiB")
        #expect(MemorySize.describe(1536 << 10) == "1536 KiB")
        #expect(MemorySize.describe(1001) == "1001 bytes")
        #expect(MemorySize.describe(0) == "0 bytes")
    }

    @Test func systemErrorsTakeEitherSign() {
        #expect(SystemError(-2) == SystemError(2))
        #expect(SystemError(13).name == .accessDenied)
        #expect(SystemError(19).name == .noDevice)
        #expect(SystemError(77).text == "error, errno 77")
        #expect(SystemError(12).text == "out of memory, errno 12")
        #expect(SystemError(.min).name == .other)
    }

    @Test func theHelpNamesEveryOptionAndStatus() {
        for option in [
            "--kernel", "--initrd", "--cmdline", "--cpus", "--memory", "--protected", "--private-memory",
            "--dry-run", "--json", "Ctrl-A x",
        ] { #expect(HelpText.help.contains(option)) }
        for status in ["0", "2", "3", "4", "5", "6", "32", "33", "34", "128 + n"] {
            #expect(HelpText.help.contains(" \(status)  "))
        }
    }
}
