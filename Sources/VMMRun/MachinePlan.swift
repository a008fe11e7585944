// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Everything about a machine that is known before it is built; what `--dry-run` prints.

public import VMMBoot
public import VMMConfiguration

/// The plan of one machine.
public struct MachinePlan: Equatable, Sendable {
    /// Where things are.
    public let map: AddressMap
    /// Where the guest's files go.
    public let boot: BootPlan
    /// The number of CPUs.
    public let processors: Int
    /// Normal or protected.
    public let protection: Protection
    /// Where a protected guest's memory comes from.
    public let privateMemory: PrivateMemoryChoice
    /// The guest's memory as the person wrote it.
    public let memory: MemorySize
    /// The path of the kernel.
    public let kernelPath: String
    /// The path of the initrd.
    public let initrdPath: String?
    /// The kernel command line.
    public let commandLine: String

    /// A plan of these parts.
    public init(
        map: AddressMap, boot: BootPlan, options: RunOptions, kernelPath: String, initrdPath: String?
    ) {
        self.map = map
        self.boot = boot
        self.processors = options.processors.value
        self.protection = options.protection
        self.privateMemory = options.privateMemory
        self.memory = options.memory
        self.kernelPath = kernelPath
        self.initrdPath = initrdPath
        self.commandLine = options.commandLine.text
    }

    /// The bits of address that the guest's physical address space needs.
    public var addressBits: Int {
        UInt64.bitWidth - (map.memory.end.value - 1).leadingZeroBitCount
    }

    /// The plan in words or as JSON.
    public func report(as format: ReportFormat) -> String {
        switch format {
        case .text: text
        case .json: json
        }
    }

    private var text: String {
        var lines = "martlet: plan of a \(protectionWord) VM\n"
        lines += "  cpus:         \(processors)\n"
        lines += "  memory:       \(MemorySize.describe(map.memory.count)) at \(map.memory.start.description)\n"
        lines += "  kernel:       \(boot.kernel.start.description), \(boot.kernel.count) bytes, \(kernelPath)\n"
        if let initrd = boot.initrd, let initrdPath {
            lines += "  initrd:       \(initrd.start.description), \(initrd.count) bytes, \(initrdPath)\n"
        }
        lines += "  device tree:  \(boot.deviceTree.start.description)\n"
        lines += "  serial:       \(map.serial.start.description), interrupt \(AddressMap.serialInterrupt.number)\n"
        lines += "  GICv3:        distributor \(map.distributor.start.description), "
        lines += "redistributors \(map.redistributors.start.description)\n"
        lines += "  command line: \(commandLine)\n"
        return lines
    }

    private var json: String {
        var object = JSONObject()
        object.add("event", "plan")
        object.add("protection", protectionWord)
        object.add("cpus", UInt64(processors))
        object.add("memory", map.memory.count)
        object.add("memoryAddress", map.memory.start.value)
        object.add("kernel", kernelPath)
        object.add("kernelAddress", boot.kernel.start.value)
        object.add("kernelSize", boot.kernel.count)
        if let initrd = boot.initrd, let initrdPath {
            object.add("initrd", initrdPath)
            object.add("initrdAddress", initrd.start.value)
            object.add("initrdSize", initrd.count)
        }
        object.add("deviceTreeAddress", boot.deviceTree.start.value)
        object.add("commandLine", commandLine)
        return object.line
    }

    private var protectionWord: String {
        switch protection {
        case .normal: "normal"
        case .protected: "protected"
        }
    }
}
