// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What the host reaches, page by page.

/// What an access of the host to a page must come to.
public enum Reach: Equatable, Sendable {
    /// Goes through at once, to the same frame: RAM, cacheable, for reading, writing, executing.
    case memory
    /// Goes through at once or after one abort that EL2 answers: a device, never cacheable,
    /// never executable.
    case device
    /// Never goes through: the host gets an exception of its own.
    case nothing
    /// Never goes through to the page: the host gets an exception of its own, or, for data, a sink
    /// that is none of anybody's memory.
    case sink
}

extension AbstractState {
    /// What a confined CPU's access to a frame comes to.
    public func reach(_ frame: UInt64) -> Reach { reach(frame, as: page(frame)) }

    /// The same, for a frame of which is known what it is.
    public func reach(_ frame: UInt64, as page: Page) -> Reach {
        guard frame >> (inputBits - 12) == 0 else { return .nothing }
        return switch page {
        case .host, .firmware: .memory
        case .device: .device
        case .denied, .installed, .donated, .machine: .nothing
        case .guest: .sink
        }
    }
}
