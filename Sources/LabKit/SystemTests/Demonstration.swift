// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The demonstration.

/// Shows Martlet at work.
public struct Demonstration: Sendable {
    private let images: Images

    /// Uses built images.
    public init(images: Images) {
        self.images = images
    }

    /// Runs it on the terminal.
    public func run() async throws {
    }
}
