// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The tables of host calls are those of the sources.

import Foundation
import SystemPackage
import Testing

@testable import LabKit

@Suite("Tables of the interface") struct InterfaceTableTests {
    private let workspace = Workspace(
        root: FilePath(URL(filePath: #filePath).deletingLastPathComponent().path)
            .removingLastComponent().removingLastComponent())

    private static let source = """
        /// A call.
        public enum Call: UInt32 {
            /// Does something,
            /// and more.
            case first = 0xC600_4000

            // Others.

            /// Ends.
            case last = 0xC600_4010
        }

        public enum Status: Int64 {
            /// Not.
            case no = -1
            /// Done.
            case yes = 0
            case silent = 2
        }
        """

    @Test("in the documents are as the sources are (`lab tables` writes them)")
    func committed() throws {
        let page = try InterfaceTables.page(workspace).readText()
        let tables = try InterfaceTables(workspace)
        #expect(try tables.updated(page) == page)
        for name in ["HostCall", "CallStatus", "CallPhase", "Counter", "PageReport", "RunExit", "FaultKind"] {
            #expect(page.contains("<!-- table \(name)"), "\(name) has no table")
            for entry in tables.enumerations[name] ?? [] {
                #expect(page.contains("`\(entry.name)` |"), "\(entry.name)")
            }
        }
    }

    @Test("have a row a case, in the order of the numbers, of all or of a part")
    func rows() throws {
        let tables = InterfaceTables(source: Self.source)
        let page = """
            Before.
            <!-- table Call 0xC6004000 0xC600400F -->
            | number | call |
            |---|---|
            | old | row |
            <!-- end of table -->
            <!-- table Call -->
            | number | call |
            |---|---|
            <!-- end of table -->
            """
        #expect(
            try tables.updated(page) == """
                Before.
                <!-- table Call 0xC6004000 0xC600400F -->
                | number | call |
                |---|---|
                | `0xC6004000` | `first` | Does something, and more. |
                <!-- end of table -->
                <!-- table Call -->
                | number | call |
                |---|---|
                | `0xC6004000` | `first` | Does something, and more. |
                | `0xC6004010` | `last` | Ends. |
                <!-- end of table -->
                """)
    }

    @Test("need an enumeration, an end, and comments")
    func defects() {
        let tables = InterfaceTables(source: Self.source)
        let missing = "<!-- table Other -->"
        #expect(throws: InterfaceTables.Defect.unknownTable(missing)) {
            try tables.updated("\(missing)\n\n\n<!-- end of table -->")
        }
        #expect(throws: InterfaceTables.Defect.unendedTable("<!-- table Call -->")) {
            try tables.updated("<!-- table Call -->\n")
        }
        #expect(throws: InterfaceTables.Defect.uncommented("Status.silent")) {
            try tables.updated("<!-- table Status -->\n\n\n<!-- end of table -->")
        }
    }
}
