// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// `lab sizes`: the project in figures.

import ArgumentParser
import LabKit

struct Sizes: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print image sizes, memory use and lines of code by language and privilege.")

    func run() async throws {
        let images = try await preparedImages()
        for line in try await ImageSizes.lines(images) { print(line) }
        print(try LineCount(images.workspace).table)
    }
}
