// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The device tree that a guest finds: its memory, CPUs, PSCI, timer, GICv3 and serial port.

/// What the device tree says about one guest.
public struct GuestDescription: Sendable {
    /// Where things are.
    public var map: AddressMap
    /// The number of CPUs.
    public var processors: Int
    /// The kernel command line.
    public var commandLine: String
    /// The initial RAM disk.
    public var initrd: GuestRange?
    /// Random bytes that the host gives to the guest's kernel. A protected guest gets none, since it must not
    /// count what the host knows as entropy.
    public var seed: Seed?

    /// A description of these parts.
    public init(map: AddressMap, processors: Int, commandLine: String, initrd: GuestRange?, seed: Seed?) {
        self.map = map
        self.processors = processors
        self.commandLine = commandLine
        self.initrd = initrd
        self.seed = seed
    }

    /// Random bytes for `/chosen`.
    public struct Seed: Sendable {
        /// For the placement of the kernel in its virtual address space.
        public var placement: UInt64
        /// For the guest's random number generator.
        public var generator: [UInt8]

        /// A seed of these parts.
        public init(placement: UInt64, generator: [UInt8]) {
            self.placement = placement
            self.generator = generator
        }
    }

    private static let interruptController: UInt32 = 1

    /// The flattened device tree.
    public func deviceTree() -> [UInt8] {
        let tree = FlattenedDeviceTree { root in
            root.property("#address-cells", cells: [2])
            root.property("#size-cells", cells: [2])
            root.property("interrupt-parent", cells: [GuestDescription.interruptController])
            root.property("compatible", "linux,dummy-virt")
            root.property("model", "Martlet virtual machine")
            root.node("aliases") { $0.property("serial0", serialPath) }
            root.node("chosen") { addChosen(to: &$0) }
            root.node("memory@80000000") {
                $0.property("device_type", "memory")
                $0.property("reg", wide: [map.memory.start.value, map.memory.count])
            }
            root.node("cpus") { addProcessors(to: &$0) }
            root.node("psci") {
                $0.property("compatible", "arm,psci-1.0", "arm,psci-0.2")
                $0.property("method", "hvc")
            }
            root.node("timer") { addTimer(to: &$0) }
            root.node("interrupt-controller@3fff0000") { addInterruptController(to: &$0) }
            root.node("serial@1000000") { addSerial(to: &$0) }
        }
        return tree.flattened()
    }

    private var serialPath: String { "/serial@1000000" }

    private func addChosen(to node: inout FlattenedDeviceTree) {
        node.property("bootargs", commandLine)
        node.property("stdout-path", "serial0:115200n8")
        if let initrd {
            node.property("linux,initrd-start", wide: [initrd.start.value])
            node.property("linux,initrd-end", wide: [initrd.end.value])
        }
        if let seed {
            node.property("kaslr-seed", wide: [seed.placement])
            node.property("rng-seed", bytes: seed.generator)
        }
    }

    private func addProcessors(to node: inout FlattenedDeviceTree) {
        node.property("#address-cells", cells: [1])
        node.property("#size-cells", cells: [0])
        for processor in 0..<processors {
            // KVM numbers up to 16 vCPUs by affinity level 0, so that here the MPIDR is the index.
            node.node("cpu@\(processor)") {
                $0.property("device_type", "cpu")
                $0.property("compatible", "arm,armv8")
                $0.property("reg", cells: [UInt32(processor)])
                if processors > 1 { $0.property("enable-method", "psci") }
            }
        }
    }

    private func addTimer(to node: inout FlattenedDeviceTree) {
        node.property("compatible", "arm,armv8-timer")
        // Secure, non-secure, virtual and hypervisor timer: the private interrupts 13, 14, 11 and 10, all level.
        node.property("interrupts", cells: [1, 13, 4, 1, 14, 4, 1, 11, 4, 1, 10, 4])
        node.property("always-on")
    }

    private func addInterruptController(to node: inout FlattenedDeviceTree) {
        node.property("compatible", "arm,gic-v3")
        node.property("interrupt-controller")
        node.property("#interrupt-cells", cells: [3])
        node.property("#address-cells", cells: [2])
        node.property("#size-cells", cells: [2])
        node.property(
            "reg",
            wide: [
                map.distributor.start.value, map.distributor.count,
                map.redistributors.start.value, map.redistributors.count,
            ])
        node.property("phandle", cells: [GuestDescription.interruptController])
    }

    private func addSerial(to node: inout FlattenedDeviceTree) {
        node.property("compatible", "ns16550a")
        node.property("reg", wide: [map.serial.start.value, map.serial.count])
        node.property("interrupts", cells: [0, AddressMap.serialInterrupt.index, 4])
        node.property("clock-frequency", cells: [1_843_200])
        node.property("current-speed", cells: [115_200])
    }
}
