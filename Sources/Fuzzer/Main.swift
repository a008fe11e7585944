// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// libFuzzer with one of the targets, which MARTLET_FUZZ_TARGET names. The arguments are libFuzzer's own.

import Foundation
import FuzzTargets

/// libFuzzer's own main function, but for its name.
@_extern(c, "LLVMFuzzerRunDriver")
func runDriver(
    _ count: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ callback: @convention(c) (UnsafePointer<UInt8>, Int) -> CInt
) -> CInt

/// The target of this run.
private let target: FuzzTarget = {
    let name = ProcessInfo.processInfo.environment["MARTLET_FUZZ_TARGET"] ?? ""
    guard let target = FuzzTarget(rawValue: name) else {
        let known = FuzzTarget.allCases.map(\.rawValue).joined(separator: ", ")
        fatalError("MARTLET_FUZZ_TARGET names none of \(known)")
    }
    return target
}()

/// What libFuzzer calls with each input. Its own main function, which the linker prefers on some machines,
/// knows it by this name.
@c(LLVMFuzzerTestOneInput)
public func tryInput(_ bytes: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
    // Safety: libFuzzer owns so many bytes there until this returns.
    let copy = unsafe Array(UnsafeBufferPointer(start: bytes, count: size))
    do {
        try target.check(copy)
    } catch {
        fatalError("\(error)")
    }
    return 0
}

@main
enum Fuzzer {
    static func main() {
        var count = CommandLine.argc
        // Safety: the arguments of a process stay where they are as long as it runs.
        var arguments = unsafe CommandLine.unsafeArgv
        _ = unsafe runDriver(&count, &arguments) { bytes, size in unsafe tryInput(bytes, size) }
    }
}
