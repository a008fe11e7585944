// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Kernel files: whatever they claim, nothing outside of the file is read or of memory is written.

import CBootProtocol
import HostModuleCore
import VMMBoot

/// The file's size and the sizes of memory and initrd first, then the file.
func checkKernel(_ input: inout FuzzInput) throws(BrokenProperty) {
    let claimed = input.number()
    let blocks = input.number() % (1 << 19)
    let initrd = input.byte() & 1 == 0 ? nil : Optional(input.number())
    let file = input.rest()
    let prefix = Array(file.prefix(ImageHeader.prefixSize))
    // A file may be longer than what was read of it, and is never shorter.
    let size = max(claimed, UInt64(file.count))
    let format: KernelFormat
    do {
        format = try KernelFormat(prefix: prefix.span, fileSize: size)
    } catch {
        return
    }
    switch format {
    case .gzip(let offset, let count):
        let (end, overflow) = offset.addingReportingOverflow(count)
        try hold(!overflow && end <= size, "a stream from \(offset) of \(count) bytes in a file of \(size)")
    case .image(let header):
        try hold(header.imageSize >= 64 && header.imageSize <= 4 << 30, "an Image of \(header.imageSize) bytes")
        try hold(header.textOffset < 2 << 20, "an offset of \(header.textOffset)")
        try hold(header.fileEnd ?? 0 <= size, "a file of \(size) bytes that ends at \(header.fileEnd ?? 0)")
        let memory = GuestRange(start: GuestAddress(2 << 30), count: blocks << 21)
        guard let plan = try? BootPlan(memory: memory, kernel: header, initrdSize: initrd) else { return }
        let parts = [plan.kernel, plan.initrd, plan.deviceTree].compactMap { $0 }
        for part in parts { try hold(memory.contains(part), "\(part) outside of \(memory)") }
        for (earlier, later) in zip(parts, parts.dropFirst()) {
            try hold(earlier.end.value <= later.start.value, "\(earlier) and \(later) overlap")
        }
        let room = plan.deviceTree
        try hold(
            room.start.value >> 21 == (room.end.value - 1) >> 21 && room.start.value % 8 == 0,
            "a device tree at \(room)")
        try hold(plan.kernel.start.value == memory.start.value + header.textOffset, "a kernel at \(plan.kernel)")
        try hold(plan.initrd?.count == initrd, "an initrd of another size")
    }
}

/// The bytes of the image that the module carries, and which of them it says are there.
func checkHypervisorImage(_ input: inout FuzzInput) throws(BrokenProperty) {
    // What is compared with constants is right already, unless the first byte says so: else few would get further.
    let isWhole = input.byte() & 1 == 0
    var words: [UInt64] = []
    while !input.isEmpty, words.count < 512 { words.append(words.count < 16 ? input.number() : input.word()) }
    if isWhole, words.count > 2 {
        words[0] = UInt64(MARTLET_MAGIC)
        words[1] = UInt64(MARTLET_BOOT_PROTOCOL) | UInt64(MARTLET_PERCPU_SIZE) << 32
        words[2] = UInt64(words.count) * 8
    }
    guard let header = try? HostModuleCore.ImageHeader(checking: words.span) else { return }
    try hold(header.fileSize == UInt64(words.count) * 8, "\(header) of \(words.count) words")
    try hold(header.memorySize >= header.fileSize && header.memorySize <= 2 << 20, "\(header)")
    try hold(header.enter % 4 == 0 && header.enter < header.fileSize, "\(header)")
}
