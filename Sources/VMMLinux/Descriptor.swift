// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// An open file that closes itself.

internal import CLinux
public import VMMConfiguration

/// An open file. It is closed when its owner is gone.
public struct Descriptor: ~Copyable, Sendable {
    /// The number that the kernel knows the file by.
    let number: Int32

    /// Takes the result of a call that opens a file or fails with a negative errno.
    init(owning result: Int32) throws(SystemError) {
        guard result >= 0 else { throw SystemError(result) }
        number = result
    }

    deinit { _ = clinux_close(number) }

    /// Writes all of `bytes`, and gives up on the first error but an interruption.
    static func write(_ text: String, to number: Int32) {
        let bytes = Array(text.utf8)
        var done = 0
        while done < bytes.count {
            // Safety: the pointer is valid for the call and the count is what is left of the array.
            let result = unsafe bytes.withUnsafeBytes { buffer in
                let rest = unsafe UnsafeRawBufferPointer(rebasing: buffer[done...])
                return unsafe clinux_write(number, rest.baseAddress, UInt64(rest.count))
            }
            if result < 0, SystemError(truncatingIfNeeded: result).name == .interrupted { continue }
            guard result > 0 else { return }
            done += Int(result)
        }
    }
}

extension SystemError {
    /// The error in a 64-bit result that is a negative errno.
    init(truncatingIfNeeded result: Int64) {
        self.init(Int32(truncatingIfNeeded: result))
    }
}
