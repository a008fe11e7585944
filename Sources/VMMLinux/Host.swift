// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What the host's kernel tells about itself.

internal import CLinux
public import VMMBoot
public import VMMConfiguration
public import VMMRun

/// The host.
public enum Host {
    /// The release of the running kernel, as `uname -r` prints it.
    public static func kernelRelease() throws(HostFailure) -> String {
        var text: [CChar] = Array(repeating: 0, count: 256)
        // Safety: the pointer is valid for the call and the count is the array's.
        let result = unsafe text.withUnsafeMutableBufferPointer { buffer in
            unsafe clinux_kernel_release(buffer.baseAddress, UInt64(buffer.count))
        }
        guard result == 0 else { throw .step(.system, SystemError(result)) }
        var bytes: [UInt8] = []
        for character in text {
            if character == 0 { break }
            bytes.append(UInt8(bitPattern: character))
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Fresh random bytes for a guest's device tree.
    public static func seed() throws(HostFailure) -> GuestDescription.Seed {
        var bytes: [UInt8] = Array(repeating: 0, count: 72)
        // Safety: the pointer is valid for the call and the count is the array's.
        let result = unsafe bytes.withUnsafeMutableBytes { buffer in
            unsafe clinux_random(buffer.baseAddress, UInt64(buffer.count))
        }
        guard result == 0 else { throw .step(.system, SystemError(result)) }
        var placement: UInt64 = 0
        for byte in bytes[64...] { placement = placement << 8 | UInt64(byte) }
        return GuestDescription.Seed(placement: placement, generator: Array(bytes[..<64]))
    }
}
