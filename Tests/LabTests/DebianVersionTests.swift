// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Debian's order of versions.

import Testing

@testable import LabKit

@Suite("Debian versions")
struct DebianVersionTests {
    @Test(
        "the left one is older",
        arguments: [
            ("6.12.9-1", "6.12.10-1"), ("6.12.95-1~bpo12+1", "6.12.95-1"), ("1.0~rc1-1", "1.0-1"), ("1.0-1", "1.0a-1"),
            ("1.0-1", "1:0.1-1"), ("1.0-1", "1.0-1+b1"), ("1.0-1+deb12u1", "1.0-1+deb12u2"), ("1.0a-1", "1.0+x-1"),
            ("1.0-9", "1.0-10"), ("1:8.2.0-1", "1:10.0~rc1-1"), ("1.0", "1.0-1"),
            ("99999999999999999999", "100000000000000000000"),
        ])
    func order(older: String, newer: String) {
        #expect(DebianVersion(older) < DebianVersion(newer))
        #expect(!(DebianVersion(newer) < DebianVersion(older)))
        #expect(DebianVersion(older) != DebianVersion(newer))
    }

    @Test(
        "spelling does not matter where the order does not",
        arguments: [("1.0-0", "1.0"), ("1.01", "1.1"), ("0:1", "1")])
    func equality(left: String, right: String) {
        #expect(DebianVersion(left) == DebianVersion(right))
        #expect(DebianVersion(left).hashValue == DebianVersion(right).hashValue)
    }

    @Test("parts")
    func parts() {
        let version = DebianVersion("1:10.0.2+ds-2+deb13u1~bpo12+1")
        #expect(version.epoch == 1)
        #expect(version.upstream == "10.0.2+ds")
        #expect(version.revision == "2+deb13u1~bpo12+1")
        #expect(version >= DebianVersion("1:10.0"))
    }
}
