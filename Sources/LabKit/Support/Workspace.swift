// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Where things are: the project's folder and the lab's cache below it.

import Foundation
public import SystemPackage

/// The project's folder and the places that the lab uses in it.
///
/// Everything that the lab downloads or builds lies below ``cache``, which git ignores.
public struct Workspace: Sendable {
    /// The folder that holds `Package.swift`.
    public let root: FilePath

    /// Uses the given project folder.
    public init(root: FilePath) {
        self.root = root
    }

    /// Finds the project from the current folder, upwards.
    ///
    /// - Throws: ``LabError/missingFile(_:madeBy:)`` outside a clone of the project.
    public static func current() throws(LabError) -> Workspace {
        let start = FilePath(FileManager.default.currentDirectoryPath)
        var folder = start
        while true {
            if folder.appending("Package.swift").exists && folder.appending("Sources/LabKit").exists {
                return Workspace(root: folder)
            }
            guard folder.removeLastComponent() else {
                throw .missingFile(start.appending("Package.swift"), madeBy: "cd <your clone of Martlet>")
            }
        }
    }

    /// The lab's cache: packages, kernels, images, run records.
    public var cache: FilePath { root.appending(".lab") }
    /// The private package manager root.
    public var apt: FilePath { cache.appending("apt") }
    /// Downloaded package files.
    public var downloads: FilePath { cache.appending("downloads") }
    /// Unpacked packages, one folder each.
    public var packages: FilePath { cache.appending("packages") }
    /// Which versions were chosen.
    public var lock: FilePath { cache.appending("lock.json") }
    /// Built images.
    public var images: FilePath { cache.appending("images") }
    /// What the programs that the lab called have printed.
    public var logs: FilePath { cache.appending("logs") }
    /// One folder a test run, each with its console.
    public var runs: FilePath { cache.appending("runs") }
    /// A link to the kernel build tree that out-of-tree modules are built against.
    public var kernelTree: FilePath { cache.appending("kernel-tree") }
    /// Sources of what runs inside the test machines.
    public var systemTests: FilePath { root.appending("Tests/System") }
}
