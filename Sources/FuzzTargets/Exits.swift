// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Exits: at EL2 the syndrome of what a guest did, in the module what EL2 says of it.

import Arm
import HypervisorInterface
import KVMCore
import SimulatedMachine

@testable import HypervisorCore

/// A syndrome and a value, then an answer of EL2.
func checkExits(_ input: inout FuzzInput) throws(BrokenProperty) {
    let syndrome = ExceptionSyndrome(bits: input.number() << 25 | input.number() & 0x1FF_FFFF)
    let value = input.number()
    let kind = FaultKind(ofDataAbort: syndrome)
    if let access = DecodedAccess(syndrome) {
        try hold(kind != .walk, "a table walk that is a load or a store")
        try hold([1, 2, 4, 8].contains(access.bytes) && access.register < 32, "\(access)")
        let carried = access.truncated(value)
        try hold(access.truncated(carried) == carried, "\(access) of \(value)")
        try hold(access.bytes == 8 || carried >> (access.bytes * 8) == 0, "\(access) carries \(carried)")
        let loaded = access.loaded(value)
        // A register of 32 bits takes no 8 bytes; a CPU that said so would lose what does not fit.
        let isWide = syndrome.bits & 1 << 15 != 0
        try hold(!isWide && access.bytes == 8 || access.truncated(loaded) == carried, "\(access) loads \(loaded)")
        try hold(isWide || loaded >> 32 == 0, "\(access) of 32 bits loads \(loaded)")
        let pending = PendingAccess.load(access)
        guard case .load(let again) = PendingAccess(bits: pending.bits) else {
            throw BrokenProperty("\(pending) is forgotten")
        }
        try hold(again.bits == access.bits, "\(pending) becomes another")
    }
    let pending = PendingAccess(bits: value)
    try hold(PendingAccess(bits: pending.bits).bits == pending.bits, "\(pending) is not kept")
    let event = ExitEvent(status: input.number(), input.number(), input.number(), input.number(), input.number())
    if case .device(let access) = event {
        let carried = access.truncated(value)
        try hold(access.truncated(carried) == carried, "\(access) of \(value)")
    }
    // A list register of the host's that EL2 has made of what it was given is one that it makes nothing else of.
    let list = Hypervisor<SimulatedCPU>.checkedList(value)
    try hold(Hypervisor<SimulatedCPU>.checkedList(list) == list, "list register \(value) becomes \(list)")
    try hold(list == 0 || list & 0xFFFF_FFFF < 1020, "list register \(list)")
}
