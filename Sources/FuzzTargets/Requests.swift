// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Structures of ioctls, and identifiers of registers.

import HypervisorInterface
import KVMCore

/// One structure of each kind.
func checkArguments(_ input: inout FuzzInput) throws(BrokenProperty) {
    let words = (0..<20).map { _ in input.number() }
    let lengths = VectorLengths(bits: input.number())
    if let start = try? VCPUInitArgument([words[0], words[1], words[2], words[3]], vectors: lengths) {
        try hold(start.features.contains(.psci), "a vCPU without PSCI")
        try hold(lengths != .none || !start.features.contains(.scalableVectors), "vectors that there are not")
        try hold(words[1] | words[2] | words[3] == 0, "features that nobody knows")
    }
    if let memory = try? PrivateMemoryArgument([words[0], words[1], 0, 0, 0, 0, 0, 0]) {
        try hold(memory.pages > 0 && memory.pages <= PrivateMemoryArgument.maximumPages, "\(memory)")
        try hold(memory.pages << 12 == words[0], "\(memory) of \(words[0]) bytes")
    }
    let limit = words[19] % 53
    if let bits = try? MachineType.addressBits(of: words[0], limit: limit) {
        try hold(bits >= 32 && bits <= limit, "\(bits) bits of at most \(limit)")
    }
    let region = PrivateRegionArgument([
        words[0], words[1], words[2], words[3], words[4], words[5], words[6], words[7], words[8], words[9],
        words[10], words[11], words[12], words[13], words[14], words[15], words[16], words[17], words[18], words[19],
    ])
    let pages = input.number() % (PrivateMemoryArgument.maximumPages + 1)
    if let first = try? region.firstPage(of: pages) {
        try hold(first << 12 == region.offset && first <= pages, "page \(first) of \(pages)")
        try hold(region.region.size <= (pages - first) << 12, "\(region) in \(pages) pages")
    }
    let device = CreateDeviceArgument([words[0], words[1]])
    try hold(device.type == UInt32(truncatingIfNeeded: words[0]), "\(device)")
    let level = InterruptLevelArgument(words[0])
    try hold(UInt64(level.line) | UInt64(level.level) << 32 == words[0], "\(level)")
    try checkRuns(GuestRun(first: words[0] >> 12, pages: words[1] % 5000), words[2], words[3] >> 12)
}

/// A run of guest pages, an answer of EL2's and an end of memory.
private func checkRuns(_ whole: GuestRun, _ frame: UInt64, _ limit: UInt64) throws(BrokenProperty) {
    let end = whole.first + whole.pages
    var rest = whole
    if rest.advance(to: frame) {
        try hold(rest.first == frame && frame > whole.first, "\(whole) goes on at \(rest)")
        try hold(rest.first + rest.pages == end, "\(whole) ends as \(rest)")
    } else {
        try hold(rest == whole, "\(whole) becomes \(rest)")
    }
    var grown = whole
    guard whole.pages > 0, end <= limit, grown.growToBlocks(limit: limit) else { return }
    try hold(grown.first <= whole.first && grown.first + grown.pages >= end, "\(whole) grows to \(grown)")
    try hold(grown.first % 512 == 0 && grown.first + grown.pages <= limit, "\(grown) below \(limit)")
    try hold(grown.pages < whole.pages + 1024, "\(whole) grows to \(grown)")
}

/// An identifier, with the parts that matter chosen by a byte each.
func checkRegisters(_ input: inout FuzzInput) throws(BrokenProperty) {
    let kinds: [UInt64] = [0x10_0000, 0x13_0000, 0x14_0000, 0x15_0000]
    while !input.isEmpty {
        var identifier = input.number()
        let shape = input.byte()
        if shape & 1 == 0 {
            identifier =
                0x6000_0000_0000_0000 | UInt64(shape >> 1 & 15) << 52 | kinds[Int(shape >> 5 & 3)]
                | identifier & 0xFFFF
        }
        guard let (register, width) = try? OneRegister.decode(identifier) else { continue }
        try hold(width.rawValue == identifier >> 52 & 0xF, "\(register) of \(width)")
        try hold(identifier & 0xF00F_FFFF_0000_0000 == 0x6000_0000_0000_0000, "\(register) of another architecture")
        if case .vcpu(let place) = register {
            let number = place.number
            try hold(VCPURegister(number: number) == place, "\(place) is \(number), which is another")
        }
        let protected = ProtectedRules(.protected, .started)
        if (try? protected.checkGet(register)) != nil {
            switch register {
            case .vcpu(let place): throw BrokenProperty("the host reads \(place) of a protected guest")
            default: break
            }
        }
    }
}
