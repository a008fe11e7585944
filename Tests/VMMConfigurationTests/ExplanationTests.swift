// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The exact words and exit statuses of errors in the command line, and their JSON form.

import Testing
import VMMConfiguration

@Suite struct ExplanationTests {
    @Test(arguments: [
        (
            UsageError.noCommand, 2,
            "martlet: no command was given\n  why:  `martlet` does nothing by itself\n"
                + "  next: try `martlet run`, or `martlet --help`\n"
        ),
        (
            .unknownCommand("start"), 2,
            "martlet: there is no command 'start'\n  why:  the only command is `run`\n"
                + "  next: try `martlet run`, or `martlet --help`\n"
        ),
        (
            .unknownOption("--disk"), 2,
            "martlet: there is no option '--disk'\n  why:  `martlet run` does not know it\n"
                + "  next: `martlet --help` lists the options\n"
        ),
        (
            .strayArgument("Image"), 2,
            "martlet: the argument 'Image' has no place\n  why:  `martlet run` takes options only\n"
                + "  next: name the file's use, as in `--kernel Image`\n"
        ),
        (
            .missingValue("--cpus"), 2,
            "martlet: --cpus needs a value\n  why:  it is the last word\n"
                + "  next: write `--cpus VALUE` or `--cpus=VALUE`\n"
        ),
        (
            .unwantedValue("--json"), 2,
            "martlet: --json takes no value\n  why:  it is a switch\n  next: write `--json` alone\n"
        ),
        (
            .repeated("--cpus"), 2,
            "martlet: --cpus was given twice\n  why:  only one value can hold\n  next: keep one of the two\n"
        ),
        (
            .emptyPath("--kernel"), 2,
            "martlet: --kernel has an empty file name\n  why:  no file has an empty name\n"
                + "  next: name a file, or leave the option out\n"
        ),
        (
            .memoryNotASize("lots"), 2,
            "martlet: the memory size 'lots' cannot be read\n"
                + "  why:  a size is a number with K, M or G behind it\n  next: write, for example, `--memory 512M`\n"
        ),
        (
            .memoryTooSmall("1M"), 2,
            "martlet: the memory size '1M' is too small\n  why:  a guest needs 32 MiB at least\n"
                + "  next: try `--memory 512M`\n"
        ),
        (
            .memoryTooLarge("9999G"), 2,
            "martlet: the memory size '9999G' is too large\n"
                + "  why:  a guest's address space holds 1022 GiB of memory\n  next: try `--memory 512M`\n"
        ),
        (
            .memoryNotWhole("33M"), 2,
            "martlet: the memory size '33M' is odd\n  why:  memory comes in blocks of 2 MiB\n"
                + "  next: round it to a multiple of 2M\n"
        ),
        (
            .processorsNotANumber("two"), 2,
            "martlet: the CPU count 'two' cannot be read\n  why:  it is not a number\n"
                + "  next: write, for example, `--cpus 2`\n"
        ),
        (
            .processorsOutOfRange("9"), 2,
            "martlet: the CPU count '9' is out of range\n  why:  a guest has 1 to 8 CPUs\n"
                + "  next: write, for example, `--cpus 2`\n"
        ),
        (
            .commandLineTooLong(2048), 4,
            "martlet: the kernel command line is too long\n  why:  it has 2048 bytes and arm64 Linux keeps 2047\n"
                + "  next: shorten `--cmdline`\n"
        ),
    ])
    func wordsAndStatus(error: UsageError, status: Int32, text: String) {
        #expect(error.explanation.text == text)
        #expect(error.explanation.status.number == status)
    }

    @Test func jsonIsOneEscapedLine() {
        let explanation = Explanation(what: "a \"b\" \\", why: "tab\tline\n\u{1}é", next: "", status: .hostRefused)
        #expect(
            explanation.rendered(as: .json)
                == #"{"event":"error","what":"a \"b\" \\","why":"tab\tline\n\u0001é","next":"","exit":5}"# + "\n")
        #expect(explanation.rendered(as: .text) == explanation.text)
    }

    @Test func exitStatuses() {
        let statuses: [(ExitStatus, Int32)] = [
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
            "--kernel", "--initrd", "--cmdline", "--cpus", "--memory", "--protected", "--dry-run", "--json", "Ctrl-A x",
        ] { #expect(HelpText.help.contains(option)) }
        for status in ["0", "2", "3", "4", "5", "6", "32", "33", "34", "128 + n"] {
            #expect(HelpText.help.contains(" \(status)  "))
        }
    }
}
