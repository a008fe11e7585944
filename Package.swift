// swift-tools-version: 6.3
// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// One package, six worlds. The pure modules and all logic compile in every world; the
// image of a world is built only there, because its assembly and its start-up code mean
// nothing elsewhere. MARTLET_WORLD selects the world:
//
//   developer   (default) tools, simulated machine, specification and tests on this machine
//   core        of these what tests the hypervisor's core, which needs no other package: for mutants
//               and coverage, where all of it is built anew
//   fuzz        the fuzzer, with everything that reads bytes from outside instrumented for it
//   hypervisor  the EL2 image, Embedded Swift, aarch64-none-none-elf
//   module      the objects of martlet.ko, Embedded Swift with the kernel's code model
//   linux       the static arm64 Linux programs, Embedded Swift on a C library
//
// `make` sets the variable, the toolset and a scratch folder of its own for each.

import PackageDescription

enum World: String {
    case developer, core, fuzz, hypervisor, module, linux
}

guard let world = World(rawValue: Context.environment["MARTLET_WORLD"] ?? "developer") else {
    fatalError("MARTLET_WORLD must be developer, core, fuzz, hypervisor, module or linux")
}

/// What every Swift target is held to.
let strict: [SwiftSetting] = [
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableExperimentalFeature("Lifetimes"),
]

/// Faults that tests build into the hypervisor, by name: `MARTLET_FAULTS=PANIC,…` defines
/// `MARTLET_FAULT_PANIC` and so on. A product image has none, which a machine-code check verifies.
let faults: [SwiftSetting] =
    (Context.environment["MARTLET_FAULTS"] ?? "")
    .split(separator: ",").map { .define("MARTLET_FAULT_\($0)") }
    // The tests here attack with and without each defence.
    + (world == .developer || world == .core ? [.define("MARTLET_FAULT_SWITCHES")] : [])

/// Whether the hypervisor holds itself against the specification at its exits, which the product does not.
let isChecked = (Context.environment["MARTLET_FAULTS"] ?? "").split(separator: ",").contains("CHECKED")

/// Counters of edges and comparisons for libFuzzer, which the toolchain brings.
let instrumented: [SwiftSetting] = world == .fuzz ? [.unsafeFlags(["-sanitize=fuzzer"])] : []

/// A Swift target held to `strict`.
func swift(
    _ name: String, _ dependencies: [Target.Dependency] = [], features: [String] = [], exclude: [String] = []
) -> Target {
    .target(
        name: name, dependencies: dependencies, exclude: exclude,
        swiftSettings: strict + faults + instrumented + features.map { .enableExperimentalFeature($0) })
}

// Pure modules and logic: in every world.
var targets: [Target] = [
    .target(name: "CBootProtocol"),
    swift("HypervisorInterface"),
    swift("Arm"),
    swift("Machine", ["Arm"], features: ["RawLayout", "BuiltinModule"]),
    swift("HypervisorCore", ["Arm", "Machine", "HypervisorInterface", "CBootProtocol"]),
    swift("TableWalker"),
    swift("HostModuleCore", ["CBootProtocol", "HypervisorInterface"]),
    swift("VirtualGIC", ["Arm", "Machine"]),
    swift("KVMCore", ["HypervisorInterface"]),
    swift("VMMConfiguration"),
    swift("VMMBoot"),
    swift("VMMDevices", ["VMMBoot"]),
    swift("VMMRun", ["VMMConfiguration", "VMMBoot", "VMMDevices"]),
]
/// What holds ledger and tables against the specification.
let audit = swift(
    "Audit", ["Arm", "Machine", "HypervisorInterface", "HypervisorCore", "Specification", "TableWalker"])
// What stands where silicon stands, what says what should happen, and the tests of both and of
// the hypervisor's core.
let coreTests: [Target] = [
    swift("SimulatedMachine", ["Arm", "Machine", "TableWalker"]),
    swift("Specification", ["HypervisorInterface"]),
    audit,
    swift("Snapshot"),
    swift(
        "SearchKit",
        [
            "HypervisorCore", "SimulatedMachine", "Specification", "Machine", "Arm", "HypervisorInterface",
            "CBootProtocol", "Snapshot", "Audit", "TableWalker",
        ]),
    .testTarget(
        name: "AuditTests",
        dependencies: [
            "Audit", "SearchKit", "SimulatedMachine", "Specification", "HypervisorCore", "HypervisorInterface", "Arm",
            "TableWalker",
        ],
        swiftSettings: strict),
    .testTarget(
        name: "SearchKitTests",
        dependencies: [
            "SearchKit", "SimulatedMachine", "Specification", "HypervisorCore", "HypervisorInterface", "Arm",
        ],
        swiftSettings: strict),
    .testTarget(name: "ArmTests", dependencies: ["Arm"], swiftSettings: strict),
    .testTarget(
        name: "SimulatedMachineTests", dependencies: ["SimulatedMachine", "Machine", "Arm"], swiftSettings: strict),
    .testTarget(
        name: "SpecificationTests", dependencies: ["Specification", "HypervisorInterface"], swiftSettings: strict),
    // The attacks are held against the lab's table of them, and the lab needs other packages.
    .testTarget(
        name: "HypervisorCoreTests",
        dependencies: [
            "HypervisorCore", "SimulatedMachine", "Specification", "Machine", "Arm", "HypervisorInterface",
            "CBootProtocol", "SearchKit",
        ] + (world == .core ? [] : ["LabKit"]),
        exclude: world == .core ? ["Attacks"] : [],
        swiftSettings: strict),
]
// What must hold whatever bytes come from outside.
let fuzzTargets: [Target] = [
    swift("SimulatedMachine", ["Arm", "Machine", "TableWalker"]),
    swift(
        "FuzzTargets",
        [
            "Arm", "CBootProtocol", "HostModuleCore", "HypervisorCore", "HypervisorInterface", "KVMCore",
            "SimulatedMachine", "VMMBoot", "VMMConfiguration", "VirtualGIC",
        ]),
]
var products: [Product] = []
var dependencies: [Package.Dependency] = []

switch world {
case .developer:
    dependencies += [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
    ]
    // The lab: packages, images, machines in QEMU, system tests and checks.
    targets += [
        swift(
            "LabKit",
            [
                "HypervisorInterface", "SearchKit", "Specification",
                .product(name: "Subprocess", package: "swift-subprocess"),
                .product(name: "SystemPackage", package: "swift-system"),
            ]),
        .executableTarget(
            name: "lab",
            dependencies: ["LabKit", .product(name: "ArgumentParser", package: "swift-argument-parser")],
            swiftSettings: strict),
        .testTarget(name: "LabTests", dependencies: ["LabKit"], swiftSettings: strict),
        .testTarget(name: "KVMCoreTests", dependencies: ["KVMCore", "HypervisorInterface"], swiftSettings: strict),
        .testTarget(name: "VirtualGICTests", dependencies: ["VirtualGIC", "Arm"], swiftSettings: strict),
        .testTarget(
            name: "HostModuleCoreTests", dependencies: ["HostModuleCore", "HypervisorInterface"],
            swiftSettings: strict),
    ]
    targets += coreTests
    targets += [
        .executableTarget(
            name: "search",
            dependencies: ["SearchKit", .product(name: "ArgumentParser", package: "swift-argument-parser")],
            swiftSettings: strict)
    ]
    targets += fuzzTargets.filter { $0.name == "FuzzTargets" }
    targets += [.testTarget(name: "FuzzTests", dependencies: ["FuzzTargets"], swiftSettings: strict)]
    targets += ["VMMConfiguration", "VMMBoot", "VMMDevices", "VMMRun"].map { name in
        .testTarget(
            name: "\(name)Tests", dependencies: ["VMMConfiguration", "VMMBoot", "VMMDevices", "VMMRun"],
            swiftSettings: strict)
    }
case .core:
    targets += coreTests
case .fuzz:
    targets += fuzzTargets
    targets += [
        .executableTarget(
            name: "Fuzzer", dependencies: ["FuzzTargets"],
            swiftSettings: strict + [.enableExperimentalFeature("Extern")],
            linkerSettings: [.unsafeFlags(["-sanitize=fuzzer", "-use-ld=lld"])])
    ]
case .hypervisor:
    targets += [
        .target(name: "CEL2", dependencies: ["CBootProtocol"]),
        swift("EL2Machine", ["Arm", "Machine", "CBootProtocol", "CEL2"]),
        .executableTarget(
            name: "HypervisorImage",
            dependencies: [
                "Arm", "Machine", "HypervisorInterface", "HypervisorCore", "EL2Machine", "CEL2", "CBootProtocol",
            ] + (isChecked ? ["Audit", "CAudit"] : []),
            swiftSettings: strict + faults),
    ]
    // No product image links any of it.
    if isChecked { targets += [swift("Specification", ["HypervisorInterface"]), audit, .target(name: "CAudit")] }
    products += [.executable(name: "hypervisor", targets: ["HypervisorImage"])]
case .module:
    // The Swift half of martlet.ko; Sources/HostModule/Makefile links it with the C binding.
    targets += [
        .target(name: "CHostKernel", dependencies: ["CBootProtocol"]),
        swift(
            "HostModule",
            ["HostModuleCore", "HypervisorInterface", "CBootProtocol", "CHostKernel", "KVMCore", "VirtualGIC", "Arm"],
            exclude: ["Makefile", "kernel"]),
    ]
    products += [.library(name: "HostModule", type: .static, targets: ["HostModule"])]
case .linux:
    // The VMM. Only here is there a C library to bind; the makefile gives its place and zlib's.
    targets += [
        .target(name: "CLinux"),
        swift("VMMLinux", ["CLinux", "VMMConfiguration", "VMMBoot", "VMMDevices", "VMMRun"]),
        .executableTarget(
            name: "martlet",
            dependencies: ["VMMConfiguration", "VMMBoot", "VMMDevices", "VMMRun", "VMMLinux"],
            swiftSettings: strict),
    ]
    products += [.executable(name: "martlet", targets: ["martlet"])]
}

let package = Package(
    name: "martlet",
    products: products,
    dependencies: dependencies,
    targets: targets,
    swiftLanguageModes: [.v6]
)
