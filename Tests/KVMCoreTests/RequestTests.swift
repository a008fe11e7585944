// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Numbers and structures of the interface, as Linux's headers have them.

import HypervisorInterface
import KVMCore
import Testing

@Suite struct RequestTests {
    /// _IOC of asm-generic/ioctl.h: direction, size, type 0xAE, number.
    private func ioctl(_ direction: UInt32, _ number: UInt32, _ size: UInt32) -> UInt32 {
        direction << 30 | size << 16 | 0xAE << 8 | number
    }

    @Test func numbers() {
        #expect(SystemRequest.allCases.map(\.rawValue) == [0, 1, 3, 4].map { ioctl(0, $0, 0) })
        #expect(VMRequest.setUserMemoryRegion.rawValue == ioctl(1, 0x46, 32))
        #expect(VMRequest.irqLine.rawValue == ioctl(1, 0x61, 8))
        #expect(VMRequest.preferredTarget.rawValue == ioctl(2, 0xAF, 32))
        #expect(VMRequest.createDevice.rawValue == ioctl(3, 0xE0, 12))
        #expect(VCPURequest.run.rawValue == ioctl(0, 0x80, 0))
        #expect(VCPURequest.getMPState.rawValue == ioctl(2, 0x98, 4))
        #expect(VCPURequest.setMPState.rawValue == ioctl(1, 0x99, 4))
        #expect(VCPURequest.getOneRegister.rawValue == ioctl(1, 0xAB, 16))
        #expect(VCPURequest.setOneRegister.rawValue == ioctl(1, 0xAC, 16))
        #expect(VCPURequest.initialise.rawValue == ioctl(1, 0xAE, 32))
        #expect(VCPURequest.finalise.rawValue == ioctl(1, 0xC2, 4))
        #expect(VCPURequest.registerList.rawValue == ioctl(3, 0xB0, 8))
        #expect(DeviceRequest.allCases.map(\.rawValue) == [0xE1, 0xE2, 0xE3].map { ioctl(1, $0, 24) })
    }

    @Test(arguments: [
        (0 as UInt64, 40 as UInt64), (40, 40), (32, 32), (44, 44), (0x8000_0000, 40), (0x8000_0024, 36),
    ])
    func machineTypes(type: UInt64, bits: UInt64) throws {
        #expect(try MachineType.addressBits(of: type, limit: 44) == bits)
    }

    @Test(arguments: [31 as UInt64, 45, 0x100, 0x4000_0000, 0x8000_001F, 0x8000_002D, 0x1_0000_0000, .max])
    func machineTypesThatAreRefused(type: UInt64) {
        #expect(throws: LinuxError.invalid) { try MachineType.addressBits(of: type, limit: 44) }
    }

    @Test func protectionIsAskedForByABit() {
        #expect(MachineType.isProtected(1 << 31 | 40))
        #expect(!MachineType.isProtected(40))
    }

    @Test func theDefaultIsRefusedOnASmallMachine() {
        #expect(throws: LinuxError.invalid) { try MachineType.addressBits(of: 0, limit: 36) }
    }

    @Test func vcpuFeatures() throws {
        #expect(try VCPUInitArgument([5 | 4 << 32, 0, 0, 0], vectors: .none).features == .psci)
        #expect(try VCPUInitArgument([5 | 5 << 32, 0, 0, 0], vectors: .none).features == [.psci, .powerOff])
        // Another target, no PSCI, 32-bit EL1, PMU, SVE, pointer authentication.
        for word: UInt64 in [0 | 4 << 32, 5, 5 | 6 << 32, 5 | 12 << 32, 5 | 0x14 << 32, 5 | 0x64 << 32] {
            #expect(throws: LinuxError.invalid) { try VCPUInitArgument([word, 0, 0, 0], vectors: .none) }
        }
        #expect(throws: LinuxError.noEntry) { try VCPUInitArgument([5 | 0x104 << 32, 0, 0, 0], vectors: .none) }
        #expect(throws: LinuxError.noEntry) { try VCPUInitArgument([5 | 4 << 32, 0, 0, 1], vectors: .none) }
        #expect(VCPUInitArgument.preferred[0] == 5)
    }

    @Test func devices() {
        #expect(CreateDeviceArgument([7, 0]).purpose == .create)
        #expect(CreateDeviceArgument([7, 1]).purpose == .test)
        #expect(CreateDeviceArgument([7 | 0xFFFF_FFFF << 32, 0]).type == CreateDeviceArgument.gicV3)
        let attribute = DeviceAttributeArgument([4 << 32, 2, 0x1000])
        #expect(attribute.group == 4 && attribute.attribute == 2 && attribute.userAddress == 0x1000)
        let level = InterruptLevelArgument(1 << 32 | 0x0100_0020)
        #expect(level.line == 0x0100_0020 && level.level == 1)
    }

    @Test func capabilitiesAreTold() {
        let limits = MachineLimits(physicalBits: 52, hostCPUs: 4, vcpus: 64, vectorLengths: .none)
        #expect(limits.answer(to: 165, of: .system) == 48)
        #expect(limits.answer(to: 9, of: .system) == 4)
        #expect(limits.answer(to: 66, of: .system) == 64)
        #expect(limits.answer(to: 10, of: .system) == 128)
        #expect(limits.answer(to: 3, of: .system) == 1)
        // Coalesced MMIO, IRQFD, IOEVENTFD, read-only memory, SVE, memory attributes, and what nobody knows.
        for absent: UInt64 in [15, 32, 36, 81, 170, 233, 9999, .max] {
            #expect(limits.answer(to: absent, of: .system) == 0)
        }
        // Private memory is for protected VMs.
        #expect(limits.answer(to: 234, of: .system) == 1 && limits.answer(to: 244, of: .system) == 3)
        #expect(limits.answer(to: 234, of: .protectedVM) == 1 && limits.answer(to: 244, of: .protectedVM) == 3)
        #expect(limits.answer(to: 234, of: .normalVM) == 0 && limits.answer(to: 244, of: .normalVM) == 0)
    }

    @Test func lifeOfAVCPU() throws {
        #expect(try VCPULife.created.initialise([.psci]) == .create(.on))
        #expect(try VCPULife.created.initialise([.psci, .powerOff]) == .create(.off))
        #expect(try VCPULife.initialised([.psci]).initialise([.psci]) == .reset(.on))
        // POWER_OFF may change, for it says how the vCPU begins and not what it is.
        #expect(try VCPULife.initialised([.psci]).initialise([.psci, .powerOff]) == .reset(.off))
        #expect(try VCPULife.running([.psci, .powerOff]).initialise([.psci]) == .reset(.on))
        for other: VCPUInitArgument.Features in [[], [.psci, .scalableVectors]] {
            #expect(throws: LinuxError.invalid) { try VCPULife.initialised([.psci]).initialise(other) }
            #expect(throws: LinuxError.invalid) { try VCPULife.running([.psci]).initialise(other) }
        }
        #expect(VCPULife.created.features == nil && VCPULife.running([.psci]).features == .psci)
        #expect(MPState(.off) == .stopped && MPState(.on) == .runnable)
        #expect(MPState.stopped.start == .off && MPState.runnable.start == .on)
    }
}
