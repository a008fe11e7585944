// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Whether and how the installed module offers /dev/kvm.

internal import CHostKernel
internal import HostModuleCore

/// Offers /dev/kvm, or says in the log why not. The hypervisor is in force either way.
func offerKVM() {
    var error = martlet_kernel_kvm_interrupts()
    guard error == 0 else { return refuse("the interrupts that guests make cannot be had, error ", -error) }
    let timer = GuestMachine.current().timerInterrupt
    guard timer == guestTimerInterrupt else {
        return refuse("EL2 knows the virtual timer's interrupt as 27, and this machine's is ", Int32(timer))
    }
    error = martlet_kernel_kvm_register()
    guard error == 0 else { return refuse("somebody else has registered that device, error ", -error) }
}

private func refuse(_ why: StaticString, _ number: Int32) {
    withLine { line in
        line.write("/dev/kvm is not offered: ")
        line.write(why)
        line.write(signed: Int64(number))
        line.log(MARTLET_LOG_ERROR)
    }
}
