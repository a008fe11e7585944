// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Why a process's request is refused, with Linux's numbers.

/// An error that an ioctl of `/dev/kvm` gives.
public enum LinuxError: Int32, Error, CaseIterable, Sendable {
    /// A protected guest forbids it, or it is not the time for it.
    case notPermitted = 1
    /// There is no such register, slot or feature.
    case noEntry = 2
    /// A signal came first.
    case interrupted = 4
    /// The VM is another process's, or EL2 is out of order.
    case inputOutput = 5
    /// There is no such attribute or line.
    case noDeviceOrAddress = 6
    /// The list does not fit into what the process gave.
    case tooBig = 7
    /// The vCPU is not initialised.
    case notExecutable = 8
    /// There is no such descriptor.
    case badDescriptor = 9
    /// There is no memory.
    case noMemory = 12
    /// An address of the process cannot be used.
    case fault = 14
    /// It is too late, or too early.
    case busy = 16
    /// It exists already.
    case exists = 17
    /// There is no such device.
    case noDevice = 19
    /// An argument is not allowed.
    case invalid = 22
    /// Too many VMs exist.
    case noSpace = 28
    /// Too many VMs are the user's.
    case tooManyFiles = 24
    /// The guest did what cannot be emulated.
    case notImplemented = 38
    /// The request is none of this descriptor's.
    case notTypewriter = 25
    /// There is no such type of device.
    case notSupported = 95

    /// The process does not see this: the kernel makes the system call again (ERESTARTNOINTR).
    case restart = 513

    /// What `ioctl` returns inside the kernel.
    public var returnValue: Int64 { -Int64(rawValue) }
}
