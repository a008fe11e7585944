// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Why KVM_RUN came back, decoded (Linux, Documentation/virt/kvm/api.rst, section 5).

internal import VMMBoot
public import VMMDevices

/// What the hypervisor wants after a virtual CPU stopped running guest code.
public enum VCPUExit: Equatable, Sendable {
    /// A device register is accessed.
    case device(DeviceAccess)
    /// A signal, or a request to stop, interrupted the run.
    case interrupted
    /// The guest powered off through PSCI.
    case powerOff
    /// The guest asked for a reset through PSCI.
    case reset
    /// The guest reported a crash.
    case crash
    /// The hypervisor could not enter the guest; its reason.
    case entryFailed(UInt64)
    /// The hypervisor gave up; its code.
    case internalError(UInt32)
    /// An exit that `martlet` does not know: its reason and, for a system event, the event's type.
    case unknown(reason: UInt32, detail: UInt32)

    /// The fields of `struct kvm_run` that matter here, as the kernel wrote them.
    public struct Raw: Sendable {
        /// `exit_reason`.
        public var reason: UInt32
        /// `mmio.phys_addr`, or `fail_entry.hardware_entry_failure_reason`.
        public var address: UInt64
        /// `mmio.data`, the first byte in the lowest bits.
        public var data: UInt64
        /// `mmio.len`.
        public var length: UInt32
        /// `mmio.is_write`.
        public var isWrite: UInt8
        /// `system_event.type`, or `internal.suberror`.
        public var detail: UInt32

        /// These fields.
        public init(reason: UInt32, address: UInt64, data: UInt64, length: UInt32, isWrite: UInt8, detail: UInt32) {
            self.reason = reason
            self.address = address
            self.data = data
            self.length = length
            self.isWrite = isWrite
            self.detail = detail
        }
    }

    /// Decodes what the kernel wrote.
    public init(_ raw: Raw) {
        switch raw.reason {
        case 6:
            let size = Int(min(raw.length, 8))
            let mask = size == 8 ? UInt64.max : (1 << UInt64(size * 8)) - 1
            self = .device(
                DeviceAccess(
                    address: GuestAddress(raw.address), size: size,
                    direction: raw.isWrite != 0 ? .write(raw.data & mask) : .read))
        case 10: self = .interrupted
        case 9: self = .entryFailed(raw.address)
        case 17: self = .internalError(raw.detail)
        case 24:
            switch raw.detail {
            case 1: self = .powerOff
            case 2: self = .reset
            case 3: self = .crash
            default: self = .unknown(reason: raw.reason, detail: raw.detail)
            }
        default: self = .unknown(reason: raw.reason, detail: raw.detail)
        }
    }
}
