// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Why a VMM's request is refused.

/// Why the GIC refuses a request of the VMM.
public enum GICError: Error, Equatable, Sendable {
    /// Misaligned, overlapping, out of range, or not a value that the attribute takes.
    case invalid
    /// The address is configured already.
    case alreadyConfigured
    /// The address is not within the guest's physical address space.
    case beyondAddressSpace
    /// There is no such attribute, or something that has to be configured first is not.
    case noSuchThing
    /// Too late, or too early.
    case busy
    /// There is no such redistributor region.
    case noSuchRegion
    /// There is no room for one more redistributor region.
    case noMemory

    /// The error number that Linux gives for it.
    public var errno: Int32 {
        switch self {
        case .noSuchRegion: 2  // ENOENT
        case .noSuchThing: 6  // ENXIO
        case .beyondAddressSpace: 7  // E2BIG
        case .noMemory: 12  // ENOMEM
        case .busy: 16  // EBUSY
        case .alreadyConfigured: 17  // EEXIST
        case .invalid: 22  // EINVAL
        }
    }
}
