// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The errno values that `martlet` tells apart, with their names and meanings on Linux.

/// An error number from the kernel.
public struct SystemError: Error, Equatable, Sendable {
    /// The number, positive.
    public let number: Int32

    /// The error of this number; the sign is dropped, so that the kernel's own convention can be passed.
    public init(_ number: Int32) { self.number = number < 0 ? 0 &- number : number }

    /// ENOMEM.
    public static let outOfMemory = SystemError(12)

    /// The numbers that decisions depend on.
    public enum Name: Equatable, Sendable {
        /// EPERM.
        case notPermitted
        /// ENOENT.
        case noEntry
        /// EINTR.
        case interrupted
        /// EIO.
        case inputOutput
        /// ENXIO or ENODEV.
        case noDevice
        /// EAGAIN.
        case tryAgain
        /// ENOMEM.
        case noMemory
        /// EACCES.
        case accessDenied
        /// EFAULT.
        case badAddress
        /// EBUSY.
        case busy
        /// EEXIST.
        case exists
        /// ENOTDIR.
        case notADirectory
        /// EISDIR.
        case isADirectory
        /// EINVAL.
        case invalid
        /// EPIPE.
        case brokenPipe
        /// ENOTTY.
        case notSupportedHere
        /// ENOSYS.
        case notImplemented
        /// E2BIG.
        case tooBig
        /// Any other.
        case other
    }

    /// Which of the numbers it is.
    public var name: Name {
        switch number {
        case 1: .notPermitted
        case 2: .noEntry
        case 4: .interrupted
        case 5: .inputOutput
        case 6, 19: .noDevice
        case 7: .tooBig
        case 11: .tryAgain
        case 12: .noMemory
        case 13: .accessDenied
        case 14: .badAddress
        case 16: .busy
        case 17: .exists
        case 20: .notADirectory
        case 21: .isADirectory
        case 22: .invalid
        case 25: .notSupportedHere
        case 32: .brokenPipe
        case 38: .notImplemented
        default: .other
        }
    }

    /// The meaning and the number.
    public var text: String {
        let meaning =
            switch name {
            case .notPermitted: "operation not permitted"
            case .noEntry: "no such file"
            case .interrupted: "interrupted"
            case .inputOutput: "input or output error"
            case .noDevice: "no such device"
            case .tryAgain: "temporarily unavailable"
            case .noMemory: "out of memory"
            case .accessDenied: "permission denied"
            case .badAddress: "bad address"
            case .busy: "busy"
            case .exists: "exists already"
            case .notADirectory: "a part of the path is not a directory"
            case .isADirectory: "is a directory"
            case .invalid: "invalid argument"
            case .brokenPipe: "broken pipe"
            case .notSupportedHere: "not supported by this file"
            case .notImplemented: "not implemented"
            case .tooBig: "too big"
            case .other: "error"
            }
        return "\(meaning), errno \(number)"
    }
}
