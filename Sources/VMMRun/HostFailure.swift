// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Why the host does not give a machine, in words.

public import VMMConfiguration

/// Why the host refuses to run a guest.
public enum HostFailure: Explainable, Equatable, Sendable {
    /// `/dev/kvm` cannot be opened.
    case openKVM(SystemError)
    /// `/dev/kvm` speaks another version of its interface than 12.
    case wrongVersion(Int32)
    /// KVM lacks something that every guest needs.
    case missing(Capability)
    /// KVM gives a guest fewer CPUs than were asked for.
    case tooManyProcessors(asked: Int, most: Int)
    /// A guest's address space on this host ends before the memory that was asked for.
    case addressSpaceTooSmall(bits: Int, needed: Int)
    /// The VM could not be created.
    case createVM(SystemError)
    /// The protected VM could not be created.
    case createProtectedVM(SystemError)
    /// The guest's memory could not be had.
    case memory(MemoryRefusal)
    /// Another step failed.
    case step(Step, SystemError)

    /// What `martlet` needs of KVM.
    public enum Capability: Equatable, Sendable {
        /// Guest memory from a mapping of the process.
        case userMemory
        /// A vCPU's registers one by one.
        case oneRegister
        /// PSCI 0.2 or later.
        case psci
        /// Devices inside the kernel.
        case devices
        /// Stopping a vCPU without a race.
        case immediateExit
        /// A descriptor of private memory that can be mapped.
        case privateMemory

        var name: String {
            switch self {
            case .userMemory: "KVM_CAP_USER_MEMORY"
            case .oneRegister: "KVM_CAP_ONE_REG"
            case .psci: "KVM_CAP_ARM_PSCI_0_2"
            case .devices: "KVM_CAP_DEVICE_CTRL"
            case .immediateExit: "KVM_CAP_IMMEDIATE_EXIT"
            case .privateMemory: "KVM_CAP_GUEST_MEMFD_FLAGS"
            }
        }
    }

    /// A step on the way to a running machine.
    public enum Step: Equatable, Sendable {
        /// Creating a descriptor of private memory.
        case createPrivateMemory
        /// Handing the memory to the VM.
        case setMemory
        /// Creating a vCPU.
        case createProcessor
        /// Initialising a vCPU.
        case initProcessor
        /// Setting a vCPU's first registers.
        case setRegister
        /// Creating or placing the GIC.
        case interruptController
        /// Driving an interrupt line.
        case interruptLine
        /// Starting a thread.
        case thread
        /// Catching signals.
        case signals
        /// Switching the terminal to raw mode.
        case terminal
        /// Asking the kernel for its name, its limits or random bytes.
        case system
        /// Waiting for the console or a signal.
        case wait

        var name: String {
            switch self {
            case .createPrivateMemory: "creating private memory"
            case .setMemory: "giving the guest its memory"
            case .createProcessor: "creating a CPU"
            case .initProcessor: "initialising a CPU"
            case .setRegister: "setting a CPU's registers"
            case .interruptController: "creating the GICv3"
            case .interruptLine: "driving an interrupt line"
            case .thread: "starting a thread"
            case .signals: "catching signals"
            case .terminal: "switching the terminal to raw mode"
            case .system: "asking the kernel"
            case .wait: "waiting for the console"
            }
        }
    }

    /// The failure in words.
    public var explanation: Explanation {
        switch self {
        case .openKVM(let error): explainOpen(error)
        case .wrongVersion(let version):
            refused(
                "/dev/kvm cannot be used", "it speaks version \(version) of KVM's interface and martlet version 12",
                "check what serves it (`ls -l /dev/kvm`)")
        case .missing(.privateMemory):
            refused(
                "this KVM has no descriptors of private memory",
                "it lacks \(Capability.privateMemory.name) for protected VMs", "use `--private-memory pinned`")
        case .missing(let capability):
            refused("this KVM cannot run the guest", "it lacks \(capability.name)", "use a newer host kernel")
        case .tooManyProcessors(let asked, let most):
            refused(
                "the guest cannot have \(asked) CPUs", "this KVM gives a guest \(most) at most",
                "give `--cpus \(most)` or fewer")
        case .addressSpaceTooSmall(let bits, let needed):
            refused(
                "the guest cannot have that much memory",
                "it needs \(needed) bits of address and this host's guests have \(bits)", "give less with `--memory`")
        case .createVM(let error):
            refused("the VM cannot be created", error.text, "`dmesg` on the host may say more")
        case .createProtectedVM(let error): explainProtected(error)
        case .memory(let refusal): refusal.explanation
        case .step(let step, let error):
            Explanation(
                what: "the machine cannot be built", why: "\(step.name) failed: \(error.text)", next: nextStep(step),
                status: .hostRefused)
        }
    }

    private func explainOpen(_ error: SystemError) -> Explanation {
        switch error.name {
        case .noEntry:
            refused(
                "there is no /dev/kvm", "no hypervisor serves it on this host",
                "load martlet.ko, or boot a host kernel whose own KVM is on (`dmesg | grep -i kvm` says why it is not)")
        case .accessDenied, .notPermitted:
            refused(
                "/dev/kvm cannot be opened", "you have no permission",
                "join the group that owns it (`ls -l /dev/kvm`, often `usermod -aG kvm USER`), or run martlet as root")
        case .noDevice:
            refused(
                "/dev/kvm cannot be opened", "the file is there but no hypervisor is behind it",
                "load martlet.ko, or boot a host kernel whose own KVM is on")
        default:
            refused("/dev/kvm cannot be opened", error.text, "`ls -l /dev/kvm` and `dmesg` may say more")
        }
    }

    private func explainProtected(_ error: SystemError) -> Explanation {
        let why =
            switch error.name {
            case .invalid: "KVM does not offer protected VMs on this host (\(error.text))"
            default: error.text
            }
        return refused(
            "the protected VM cannot be created", why,
            "load martlet.ko first; without `--protected` the guest runs as a normal VM that the host can read")
    }

    private func nextStep(_ step: Step) -> String {
        switch step {
        case .interruptController: "check that the host has a GICv3 (`dmesg | grep -i gic`)"
        case .thread: "raise the limit on processes (`ulimit -u`)"
        case .terminal: "run martlet in the foreground of a terminal, or redirect standard input"
        default: "`dmesg` on the host may say more"
        }
    }

    private func refused(_ what: String, _ why: String, _ next: String) -> Explanation {
        Explanation(what: what, why: why, next: next, status: .hostRefused)
    }
}
