// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What `martlet --help` and `martlet --version` print.

/// The program's texts.
public enum HelpText {
    /// The version of the VMM.
    public static let version = "martlet 0.1.0\n"

    /// The help page.
    public static let help = """
        martlet runs a Linux guest on an arm64 host through /dev/kvm.

        usage: martlet run [options]
               martlet --help | --version

          --kernel FILE     arm64 Image, also gzip-compressed or as an EFI zboot file
                            (default: the host's own, /boot/vmlinuz-RELEASE)
          --initrd FILE     initial RAM disk
                            (default: the host's own if the kernel is; else none)
          --cmdline TEXT    kernel command line
                            (default: "earlycon console=ttyS0 panic=-1")
          --cpus N          virtual CPUs, 1 to 8 (default: 1)
          --memory SIZE     memory with K, M or G behind the number (default: 512M)
          --protected       ask the hypervisor for a VM that the host cannot read
          --private-memory KIND
                            of a protected VM: "descriptor" (pages leave this process)
                            or "pinned" (default: descriptor if KVM has them)
          --dry-run         check everything and print the plan; leave /dev/kvm alone
          --json            report as JSON, one object a line, on standard error

        The guest's console is this terminal. Ctrl-A x leaves, Ctrl-A Ctrl-A sends Ctrl-A,
        Ctrl-A h lists these keys. When standard input is not a terminal, every byte
        goes to the guest and nothing is an escape.

        exit status:
          0  the guest powered off            6  the machine failed while running
          2  the command line is wrong       32  the guest asked for a reset
          3  a file cannot be used           33  the guest crashed
          4  something does not fit          34  left by Ctrl-A x
          5  the host refuses           128 + n  ended by signal n

        """
}
