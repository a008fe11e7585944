// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The VM's GIC: its device, its lines, and its registers.

internal import Arm
internal import CHostKernel
internal import HypervisorInterface
internal import KVMCore
internal import VirtualGIC

/// Words of the kernel's memory that hold the state of a VM's interrupts.
@safe struct KernelWords: InterruptStore {
    private let words: UnsafeMutablePointer<UInt64>
    let count: Int

    /// Memory of `count` words that outlives the value.
    @unsafe init(_ words: UnsafeMutablePointer<UInt64>, count: Int) {
        unsafe self.words = words
        self.count = count
    }

    subscript(place: Int) -> UInt64 {
        get {
            precondition(place >= 0 && place < count)
            // Safety: below the count.
            return unsafe words[place]
        }
        set {
            precondition(place >= 0 && place < count)
            // Safety: below the count.
            unsafe words[place] = newValue
        }
    }
}

extension LinuxError {
    /// The GIC's refusal as an error number.
    init(_ error: GICError) { self = LinuxError(rawValue: error.errno) ?? .invalid }
}

/// The INTID by which every guest knows its virtual timer.
let guestTimerInterrupt = 27

extension VMInterrupts {
    /// vCPUs by number, for a set of places.
    func numbers(of vcpus: VCPUSet) -> UInt64 {
        guard !vcpus.isEmpty else { return 0 }
        var rest = vcpus
        var numbers: UInt64 = 0
        while let vcpu = rest.popFirst() {
            guard vcpu.rawValue < self.vcpus else { continue }
            numbers |= 1 &<< UInt64(self.numbers[vcpu.rawValue & 63])
        }
        return numbers
    }

    /// Makes an access to a register of the GIC at once: what it yields, and who has to look again. Nil if
    /// the address is none of the GIC's, or others have to leave the guest first (`VM.accessGIC`).
    mutating func perform(_ access: DeviceAccess, _ kicked: inout VCPUSet) -> Completion? {
        guard let width = AccessWidth(rawValue: Int(clamping: access.bytes)), let gic = unsafe gic,
            let location = device?.locate(Address(access.address), vcpus: vcpus)
        else { return nil }
        switch access.direction {
        case .read:
            let holders = unsafe gic.pointee.holders(of: location.region, offset: location.offset, width: width)
            guard holders.isEmpty else { return nil }
            return .value(unsafe gic.pointee.readRegister(location.region, offset: location.offset, width: width))
        case .write(let value):
            kicked.formUnion(
                unsafe gic.pointee.writeRegister(location.region, offset: location.offset, width: width, value: value))
            return .written
        }
    }
}

extension VM {
    /// KVM_CREATE_DEVICE.
    func createDevice(_ argument: CreateDeviceArgument) throws(LinuxError) -> Int64 {
        guard argument.type == CreateDeviceArgument.gicV3 else { throw .noDevice }
        if argument.purpose == .test { return 0 }
        return try withConfiguration { (configuration) throws(LinuxError) in
            guard withInterrupts({ $0.device == nil }) else { throw .exists }
            // A guest that has run has found out that it has no GIC.
            guard configuration.progress == .configurable else { throw .busy }
            withInterrupts { $0.device = GICDevice(addressBits: facts.addressBits) }
            let descriptor = unsafe martlet_kernel_gic_open(object)
            if descriptor < 0 { withInterrupts { $0.device = nil } }
            return Int64(descriptor)
        }
    }

    /// KVM_SET_DEVICE_ATTR of the GIC.
    func setAttribute(_ argument: DeviceAttributeArgument) throws(LinuxError) {
        guard let attribute = GICAttribute(group: argument.group, attribute: argument.attribute) else {
            throw .noDeviceOrAddress
        }
        let value = try payload(attribute, argument)
        try withConfiguration { (configuration) throws(LinuxError) in
            if attribute == .initialise { return try initialiseGIC() }
            try setAttribute(attribute, to: value)
        }
    }

    private func setAttribute(_ attribute: GICAttribute, to value: UInt64) throws(LinuxError) {
        do throws(GICError) {
            try withInterrupts { (interrupts) throws(GICError) in
                let count = VCPUCount(online: interrupts.vcpus, created: interrupts.vcpus)
                guard interrupts.device != nil else { throw .noSuchThing }
                try interrupts.device?.set(attribute, to: value, count)
            }
        } catch {
            throw LinuxError(error)
        }
    }

    private func payload(
        _ attribute: GICAttribute, _ argument: DeviceAttributeArgument
    ) throws(LinuxError) -> UInt64 {
        let words: InlineArray<1, UInt64>
        switch attribute.payload {
        case .none: return 0
        case .word: words = try Process.read(argument.userAddress, bytes: 4)
        case .doubleword: words = try Process.read(argument.userAddress)
        }
        return words[0]
    }

    /// KVM_GET_DEVICE_ATTR of the GIC.
    func getAttribute(_ argument: DeviceAttributeArgument) throws(LinuxError) {
        guard let attribute = GICAttribute(group: argument.group, attribute: argument.attribute) else {
            throw .noDeviceOrAddress
        }
        let value = attribute.isReadByValue ? try payload(attribute, argument) : 0
        let result: UInt64
        do throws(GICError) {
            result = try withInterrupts { (interrupts) throws(GICError) in
                guard let value = try interrupts.device?.get(attribute, value: value) else { throw .noSuchThing }
                return value
            }
        } catch {
            throw LinuxError(error)
        }
        let words: InlineArray<1, UInt64> = [result]
        try Process.write(words, to: argument.userAddress, bytes: attribute.payload == .word ? 4 : 8)
    }

    /// KVM_HAS_DEVICE_ATTR of the GIC.
    func hasAttribute(_ argument: DeviceAttributeArgument) throws(LinuxError) {
        guard let attribute = GICAttribute(group: argument.group, attribute: argument.attribute), attribute.exists
        else { throw .noDeviceOrAddress }
    }

    /// CTRL_INIT. The caller holds the configuration.
    private func initialiseGIC() throws(LinuxError) {
        guard withInterrupts({ !$0.hasGIC }) else { return }
        let vcpus = withInterrupts { $0.vcpus }
        // As many words as the largest GIC for these vCPUs, behind the GIC itself.
        guard let most = GICShape(vcpus: vcpus, interrupts: 1024) else { throw .invalid }
        let header = MemoryLayout<VirtualGIC<KernelWords>>.stride
        guard let memory = unsafe martlet_kernel_state_allocate(UInt64(header + most.words * 8)) else {
            throw .noMemory
        }
        do throws(LinuxError) {
            try setAttribute(.initialise, to: 0)
        } catch {
            unsafe martlet_kernel_scratch_free(memory)
            throw error
        }
        // Safety: fresh memory of the sizes above, aligned for any type.
        let gic = unsafe memory.bindMemory(to: VirtualGIC<KernelWords>.self, capacity: 1)
        let words = unsafe (memory + header).bindMemory(to: UInt64.self, capacity: most.words)
        let isMade = withInterrupts { interrupts in
            guard let shape = interrupts.device?.shape(vcpus: vcpus),
                var new = unsafe VirtualGIC(
                    shape: shape, vcpuIDs: interrupts.numbers.span,
                    store: KernelWords(words, count: most.words))
            else { return false }
            for place in 0..<vcpus { connectTimer(of: VCPUIndex(place), in: &new) }
            unsafe gic.initialize(to: new)
            unsafe interrupts.gic = gic
            return true
        }
        guard isMade else {
            unsafe martlet_kernel_scratch_free(memory)
            throw .invalid
        }
    }

    private func connectTimer(of vcpu: VCPUIndex, in gic: inout VirtualGIC<KernelWords>) {
        // The timer is a PPI, and the machine's interrupt was checked when /dev/kvm was registered.
        try? gic.connect(
            ppi: guestTimerInterrupt, of: vcpu, toPhysical: Int(facts.machine.timerInterrupt))
    }

    /// KVM_IRQ_LINE.
    func setLine(_ argument: InterruptLevelArgument) throws(LinuxError) {
        let numbers: UInt64
        do throws(GICError) {
            let line = try InterruptLine(alleged: argument.line)
            numbers = try withInterrupts { (interrupts) throws(GICError) in
                guard interrupts.device != nil else { throw .noSuchThing }
                guard let gic = unsafe interrupts.gic else { throw .busy }
                let kicked = unsafe try gic.pointee.setLine(line, to: argument.level != 0 ? .high : .low)
                return interrupts.numbers(of: kicked)
            }
        } catch {
            throw LinuxError(error)
        }
        kick(numbers)
    }

    /// What has to hold before a vCPU runs: a GIC, if there is one, is complete.
    func checkGIC() throws(LinuxError) {
        do throws(GICError) {
            try withInterrupts { (interrupts) throws(GICError) in
                try interrupts.device?.checkReadyToRun(vcpus: interrupts.vcpus)
            }
        } catch {
            throw LinuxError(error)
        }
    }

    /// An access to a register of the GIC; nil if the address is none of its.
    func accessGIC(_ access: DeviceAccess) -> Completion? {
        guard let width = AccessWidth(rawValue: Int(clamping: access.bytes)) else { return nil }
        let location = withInterrupts { interrupts -> GICLocation? in
            unsafe interrupts.gic == nil
                ? nil : interrupts.device?.locate(Address(access.address), vcpus: interrupts.vcpus)
        }
        guard let location else { return nil }
        switch access.direction {
        case .read: return .value(readGIC(location, width))
        case .write(let value):
            let numbers = withInterrupts { interrupts -> UInt64 in
                guard let gic = unsafe interrupts.gic else { return 0 }
                let kicked = unsafe gic.pointee.writeRegister(
                    location.region, offset: location.offset, width: width, value: value)
                return interrupts.numbers(of: kicked)
            }
            kick(numbers)
            return .written
        }
    }

    /// Reads a register when no running vCPU knows better: those whose list registers hold what the
    /// register shows leave the guest first, and none enters meanwhile.
    private func readGIC(_ location: GICLocation, _ width: AccessWidth) -> UInt64 {
        martlet_kernel_stay()
        defer { martlet_kernel_leave() }
        let holders = withInterrupts { interrupts -> UInt64 in
            guard let gic = unsafe interrupts.gic else { return 0 }
            let holders = unsafe interrupts.numbers(
                of: gic.pointee.holders(of: location.region, offset: location.offset, width: width))
            if holders != 0 { interrupts.halts += 1 }
            return holders
        }
        if holders != 0 { unsafe martlet_kernel_evict(object, holders) }
        return withInterrupts { interrupts in
            if holders != 0 { interrupts.halts -= 1 }
            guard let gic = unsafe interrupts.gic else { return 0 }
            return unsafe gic.pointee.readRegister(location.region, offset: location.offset, width: width)
        }
    }

    /// ICC_SGI1R_EL1, written by the vCPU at a place.
    func sendInterrupt(_ value: UInt64, from place: Int) {
        let numbers = withInterrupts { interrupts -> UInt64 in
            guard let gic = unsafe interrupts.gic else { return 0 }
            return unsafe interrupts.numbers(
                of: gic.pointee.generateSGI(from: VCPUIndex(place), .groupOne, value))
        }
        kick(numbers)
    }

    /// ICC_DIR_EL1, written by the vCPU at a place while one of its interrupts is in no list register.
    func deactivateInterrupt(_ value: UInt64, by place: Int) {
        let numbers = withInterrupts { interrupts -> UInt64 in
            guard let gic = unsafe interrupts.gic else { return 0 }
            return unsafe interrupts.numbers(of: gic.pointee.deactivate(value, by: VCPUIndex(place)))
        }
        kick(numbers)
    }

    /// The timer of the vCPU at a place is as new.
    func resetTimer(of place: Int) {
        withInterrupts { interrupts in
            guard let gic = unsafe interrupts.gic else { return }
            unsafe gic.pointee.resetConnectedLine(ppi: guestTimerInterrupt, of: VCPUIndex(place))
        }
    }

    /// A vCPU has been turned on by another one's CPU_ON.
    func turnOn(_ number: UInt64) {
        guard number < HostCall.maximumVCPUs else { return }
        withInterrupts { $0.turnedOn[Int(truncatingIfNeeded: number)] &+= 1 }
        kick(1 << number)
    }
}
