// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Package sources in both forms, and what the lab makes of them.

import Testing

@testable import LabKit

@Suite("Package sources")
struct AptSourcesTests {
    static let stanzas = """
        # the machine's own
        Types: deb deb-src
        URIs: https://mirror.example/debian
        Suites: bookworm bookworm-updates
        Components: main contrib
        Signed-By:
         -----BEGIN PGP PUBLIC KEY BLOCK-----
         .
         mQINBF
         -----END PGP PUBLIC KEY BLOCK-----

        Enabled: no
        Types: deb
        URIs: https://elsewhere.example
        Suites: bookworm
        Components: main

        Types: deb
        URIs: https://mirror.example/debian-security
        Suites: bookworm-security
        Components: main
        Architectures: amd64
        """

    @Test("one line with options")
    func oneLine() throws {
        let sources = AptSources.parseOneLine(
            """
            # deb http://commented.example/ bookworm main
            deb [arch=amd64,arm64 signed-by=/usr/share/keyrings/a.gpg trusted=yes] http://a.example/debian bookworm main contrib # end
            deb-src http://a.example/debian bookworm main
            deb http://flat.example/ ./
            rpm http://nonsense.example/ bookworm main
            deb [unfinished http://a.example/debian bookworm main
            """)
        try #require(sources.count == 3)
        #expect(sources[0]["URIs"] == "http://a.example/debian")
        #expect(sources[0].words("Components") == ["main", "contrib"])
        #expect(sources[0].words("Architectures") == ["amd64", "arm64"])
        #expect(sources[0]["Signed-By"] == "/usr/share/keyrings/a.gpg")
        #expect(sources[0]["Trusted"] == "yes")
        #expect(sources[1]["Types"] == "deb-src")
        #expect(sources[2]["Components"] == nil)
    }

    @Test("stanzas keep inline keys and know disabled ones")
    func deb822() throws {
        let sources = AptSources.parseStanzas(Self.stanzas)
        try #require(sources.count == 3)
        #expect(sources[0].words("Suites") == ["bookworm", "bookworm-updates"])
        #expect(sources[0]["signed-by"]?.contains("\n mQINBF\n") == true)
        #expect(sources.map(\.isEnabled) == [true, false, true])
        #expect(AptSources.parseStanzas(AptSources.text(of: sources)) == sources)
    }

    @Test("the lab's sources have the machine's hosts and keys, and backports")
    func deriveForLab() throws {
        let machine = AptSources.parseStanzas(Self.stanzas).filter(\.isEnabled)
        let derived = try AptSources.derive(from: machine, release: .bookworm, for: .lab)
        #expect(
            derived.map { $0["Suites"] } == ["bookworm bookworm-updates", "bookworm-backports", "bookworm-security"])
        #expect(derived.allSatisfy { $0["Architectures"] == "arm64 amd64" && $0["Components"] == "main" })
        #expect(derived.allSatisfy { $0["Types"] == "deb" })
        #expect(derived[1]["URIs"] == "https://mirror.example/debian")
        #expect(derived[1]["Signed-By"] == machine[0]["Signed-By"])
    }

    @Test("backports that the machine already has are not doubled, third parties are left out")
    func deriveTwice() throws {
        let machine = AptSources.parseOneLine(
            """
            deb http://a.example/debian bookworm main
            deb http://a.example/debian bookworm-backports main
            deb http://third.example/debian nodistro main
            deb http://third.example/debian bookworm nonfree
            deb cdrom:[disc]/ bookworm main
            """)
        let derived = try AptSources.derive(from: machine, release: .bookworm, for: .tools)
        #expect(derived.map { $0["Suites"] } == ["bookworm", "bookworm-backports"])
        #expect(derived.allSatisfy { $0["Architectures"] == "amd64" })
    }

    @Test("the newest kernel comes from one suite only")
    func deriveForNewestKernel() throws {
        let machine = AptSources.parseStanzas(Self.stanzas).filter(\.isEnabled)
        let derived = try AptSources.derive(from: machine, release: .bookworm, for: .newestKernel)
        #expect(derived.map { $0["Suites"] } == ["trixie-backports"])
    }

    @Test("`stable` counts only where the codename is not used")
    func aliases() throws {
        let alias = AptSources.parseOneLine("deb http://a.example/debian stable main")
        #expect(try AptSources.derive(from: alias, release: .trixie, for: .lab)[0]["Suites"] == "stable")
        let both = AptSources.parseOneLine(
            "deb http://a.example/debian bookworm main\ndeb http://a.example/debian stable main")
        let derived = try AptSources.derive(from: both, release: .bookworm, for: .lab)
        #expect(derived.map { $0["Suites"] } == ["bookworm", "bookworm-backports"])
    }

    @Test("without the release's suite there is nothing to derive from")
    func nothing() {
        #expect(throws: LabError.self) {
            try AptSources.derive(
                from: AptSources.parseOneLine("deb http://a.example/ubuntu noble main"), release: .trixie, for: .lab)
        }
    }
}
