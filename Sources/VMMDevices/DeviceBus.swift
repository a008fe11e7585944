// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Which device answers an access to which address.

public import VMMBoot

/// One access of a guest to a device register, as the hypervisor reports it.
public struct DeviceAccess: Equatable, Sendable {
    /// Reading or writing.
    public enum Direction: Equatable, Sendable {
        /// The guest waits for a value.
        case read
        /// The guest writes this value, zero-extended.
        case write(UInt64)
    }

    /// The address.
    public let address: GuestAddress
    /// The number of bytes: 1, 2, 4 or 8.
    public let size: Int
    /// Reading or writing.
    public let direction: Direction

    /// An access of these parts.
    public init(address: GuestAddress, size: Int, direction: Direction) {
        self.address = address
        self.size = size
        self.direction = direction
    }
}

/// The devices of one guest.
public struct DeviceBus: Sendable {
    private let serialWindow: GuestRange
    /// The serial port.
    public var serial = SerialPort()

    /// The devices at their places in `map`.
    public init(map: AddressMap) {
        serialWindow = map.serial
    }

    /// Performs `access` and returns what a read yields. As on a bus without an answer, reading where nothing is
    /// yields zero and writing there does nothing: a guest may probe.
    public mutating func perform(_ access: DeviceAccess) -> UInt64 {
        guard let offset = serialWindow.offset(of: access.address) else { return 0 }
        switch access.direction {
        case .read:
            return UInt64(serial.read(offset))
        case .write(let value):
            serial.write(offset, UInt8(truncatingIfNeeded: value))
            return 0
        }
    }
}
