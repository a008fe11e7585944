// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The command line: what is understood, and the exact words for what is not.

import Testing
import VMMConfiguration

private func options(_ words: String...) throws -> RunOptions {
    guard case .run(let options) = try CommandLineParser.parse(["run"] + words) else {
        throw Unexpected.command
    }
    return options
}

private enum Unexpected: Error { case command }

private func refusal(_ words: String...) -> UsageError? {
    do throws(UsageError) {
        _ = try CommandLineParser.parse(words)
        return nil
    } catch {
        return error
    }
}

@Suite struct CommandLineTests {
    @Test func bareRunUsesTheHostsOwnFiles() throws {
        let options = try options()
        #expect(options.kernel == .hostsOwn)
        #expect(options.initrd == .hostsOwn)
        #expect(options.commandLine.text == "earlycon console=ttyS0 panic=-1")
        #expect(options.processors.value == 1)
        #expect(options.memory.bytes == 512 << 20)
        #expect(options.protection == .normal)
        #expect(options.report == .text)
        #expect(options.mode == .run)
    }

    @Test func everyOptionIsUnderstood() throws {
        let options = try options(
            "--kernel", "/k", "--initrd=/i", "--cmdline", "root=/dev/vda ro", "--cpus", "8", "--memory=2G",
            "--protected", "--private-memory=pinned", "--json", "--dry-run")
        #expect(options.kernel == .path("/k"))
        #expect(options.initrd == .path("/i"))
        #expect(options.commandLine.text == "root=/dev/vda ro")
        #expect(options.processors.value == 8)
        #expect(options.memory.bytes == 2 << 30)
        #expect(options.protection == .protected)
        #expect(options.privateMemory == .pinned)
        #expect(options.report == .json)
        #expect(options.mode == .dryRun)
    }

    @Test func aNamedKernelDoesNotGetTheHostsInitrd() throws {
        #expect(try options("--kernel", "/k").initrd == .none)
        #expect(try options("--initrd", "/i").kernel == .hostsOwn)
    }

    @Test func onlyTheFirstEqualsSignSplits() throws {
        #expect(try options("--cmdline=console=ttyS0 root=LABEL=x").commandLine.text == "console=ttyS0 root=LABEL=x")
        #expect(try options("--cmdline=").commandLine.text == "")
        // A value may begin like an option: it was asked for.
        #expect(try options("--cmdline", "--json").commandLine.text == "--json")
    }

    @Test func helpAndVersion() throws {
        for words in [["--help"], ["-h"], ["help"], ["run", "--help"], ["run", "--cpus", "2", "-h"]] {
            #expect(try CommandLineParser.parse(words) == .help)
        }
        #expect(try CommandLineParser.parse(["--version"]) == .version)
    }

    @Test func refusals() {
        #expect(refusal() == .noCommand)
        #expect(refusal("start") == .unknownCommand("start"))
        #expect(refusal("--cpus", "2") == .unknownOption("--cpus"))
        #expect(refusal("run", "--disk", "x") == .unknownOption("--disk"))
        #expect(refusal("run", "--disk=x") == .unknownOption("--disk"))
        #expect(refusal("run", "-k", "x") == .unknownOption("-k"))
        #expect(refusal("run", "/boot/Image") == .strayArgument("/boot/Image"))
        #expect(refusal("run", "-") == .strayArgument("-"))
        #expect(refusal("run", "--kernel") == .missingValue("--kernel"))
        #expect(refusal("run", "--json=yes") == .unwantedValue("--json"))
        #expect(refusal("run", "--cpus", "1", "--cpus=2") == .repeated("--cpus"))
        #expect(refusal("run", "--protected", "--protected") == .repeated("--protected"))
        #expect(refusal("run", "--protected", "--private-memory") == .missingValue("--private-memory"))
        #expect(refusal("run", "--protected", "--private-memory", "both") == .unknownPrivateMemory("both"))
        #expect(refusal("run", "--private-memory=pinned") == .privateMemoryWithoutProtection)
        #expect(refusal("run", "--kernel=") == .emptyPath("--kernel"))
        #expect(refusal("run", "--initrd", "") == .emptyPath("--initrd"))
    }

    @Test(arguments: [
        ("1", 1), ("8", 8), ("08", 8),
    ])
    func processorCounts(text: String, count: Int) throws {
        #expect(try ProcessorCount(parsing: text).value == count)
    }

    @Test func sillyProcessorCounts() {
        for text in ["", "two", "-1", "+2", "1.5", " 2", "2 ", "0x2"] {
            #expect(refusal("run", "--cpus", text) == .processorsNotANumber(text))
        }
        for text in ["0", "9", "64", "99999999999999999999999"] {
            #expect(refusal("run", "--cpus", text) == .processorsOutOfRange(text))
        }
    }

    @Test(arguments: [
        ("32M", 32), ("512m", 512), ("1G", 1024), ("2g", 2048), ("65536K", 64), ("67108864", 64), ("1022G", 1_046_528),
    ])
    func memorySizes(text: String, mebibytes: UInt64) throws {
        #expect(try MemorySize(parsing: text).bytes == mebibytes << 20)
    }

    @Test func sillyMemorySizes() {
        for text in ["", "M", "lots", "-512M", "512MB", "512 M", "1.5G", "0x100M", "512T"] {
            #expect(refusal("run", "--memory", text) == .memoryNotASize(text))
        }
        for text in ["0", "1", "512", "31M"] {
            #expect(refusal("run", "--memory", text) == .memoryTooSmall(text))
        }
        for text in ["1023G", "18446744073709551615G", "18446744073709551616", "99999999999999999999999K"] {
            #expect(refusal("run", "--memory", text) == .memoryTooLarge(text))
        }
        for text in ["33M", "67108865", "65537K"] {
            #expect(refusal("run", "--memory", text) == .memoryNotWhole(text))
        }
    }

    @Test func theCommandLineHasARoomOf2047Bytes() throws {
        let longest = String(repeating: "x", count: 2047)
        #expect(try options("--cmdline", longest).commandLine.text == longest)
        #expect(refusal("run", "--cmdline", longest + "x") == .commandLineTooLong(2048))
        // Bytes count, not characters.
        #expect(refusal("run", "--cmdline", String(repeating: "é", count: 1024)) == .commandLineTooLong(2048))
    }

    @Test func theReportFormatIsFoundInABadCommandLineToo() {
        #expect(CommandLineParser.reportFormat(in: ["run", "--nonsense", "--json"]) == .json)
        #expect(CommandLineParser.reportFormat(in: ["run", "--nonsense"]) == .text)
    }
}
