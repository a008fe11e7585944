// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A step of the image build, run again only when something that it reads has changed.

import Foundation
public import SystemPackage

/// One product of the image build.
public struct BuildStep: Sendable {
    /// What a user sees.
    public let name: String
    /// Files and folders that the product is made from.
    public let inputs: [FilePath]
    /// What the step makes.
    public let outputs: [FilePath]
    /// Makes the outputs.
    public let action: @Sendable () async throws -> Void

    /// Describes a step.
    public init(
        _ name: String, inputs: [FilePath], outputs: [FilePath], action: @escaping @Sendable () async throws -> Void
    ) {
        self.name = name
        self.inputs = inputs
        self.outputs = outputs
        self.action = action
    }

    /// Runs the step if its outputs are missing or its inputs are not those of the last run.
    ///
    /// - Parameter stamps: the folder that remembers the inputs of each step's last run.
    /// - Returns: whether it ran.
    @discardableResult
    public func bringUpToDate(stamps: FilePath) async throws -> Outcome {
        let stamp = stamps.appending("\(name.replacing("/", with: "-").replacing(" ", with: "-")).stamp")
        let before = fingerprint()
        if outputs.allSatisfy(\.exists), (try? stamp.readText()) == before { return .unchanged }
        try stamp.remove()
        try await Progress.step("building \(name)", action)
        for output in outputs where !output.exists {
            throw LabError.missingFile(output, madeBy: "lab images")
        }
        // Taken before the action: an input that was edited meanwhile counts as changed next time.
        try stamps.makeFolder()
        try stamp.write(before)
        return .built
    }

    /// Whether a step had something to do.
    public enum Outcome: Sendable {
        /// The outputs were made.
        case built
        /// They were up to date.
        case unchanged
    }

    /// Sizes and times of all inputs: a checkout of older files is a change too, so the newest
    /// time alone would not do.
    private func fingerprint() -> String {
        var lines: [String] = []
        for input in inputs {
            let files = input.kind == .typeDirectory ? input.files(skipping: [".git"]) : [input]
            for file in files {
                lines.append("\(file.string) \(file.size) \(file.modified.timeIntervalSince1970)")
            }
        }
        return lines.joined(separator: "\n")
    }
}
