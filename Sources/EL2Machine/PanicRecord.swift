// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What a panic leaves for the host to print and for a tool to turn into file and line.

import CBootProtocol
import CEL2

/// The panic record: 32 words in the root's storage, written once.
///
/// 0 magic, 1 physical address of the image, 2 CPU, 3 ELR, 4 ESR, 5 FAR, 6 LR, 7 number of return
/// addresses, 8…23 return addresses from the innermost on, 24…31 the message in ASCII.
public enum PanicRecord {
    private static func address(_ word: UInt64) -> UInt64 {
        el2_address_of_root_storage() &+ UInt64(MARTLET_ROOT_PANIC_RECORD) &+ word &* 8
    }

    /// Reads a word; 0 past the end.
    public static subscript(word: UInt64) -> UInt64 {
        word < UInt64(MARTLET_PANIC_WORDS) ? el2_load64(address(word)) : 0
    }

    /// Whether there is a record.
    public static var exists: Bool { self[0] == UInt64(MARTLET_PANIC_MAGIC) }

    /// Writes the record of an exception that this CPU took from EL2 to EL2. The first panic
    /// stays; later ones are its consequences.
    public static func write(_ cpu: PerCPU) {
        guard !exists else { return }
        el2_store64(address(1), el2_address_of_image_start())
        el2_store64(address(2), cpu[MARTLET_PERCPU_INDEX])
        el2_store64(address(3), el2_read_elr_el2())
        el2_store64(address(4), el2_read_esr_el2())
        el2_store64(address(5), el2_read_far_el2())
        // While a guest's registers were loaded, LR and FP may be its own.
        if cpu[MARTLET_PERCPU_HAS_HOST] != 0 {
            el2_store64(address(6), cpu[MARTLET_PERCPU_PANIC_LR])
            el2_store64(address(7), writeFrames(cpu))
        }
        writeMessage(cpu[MARTLET_PERCPU_PANIC_MESSAGE])
        el2_dsb_ish()
        el2_store64(address(0), UInt64(MARTLET_PANIC_MAGIC))
    }

    /// Follows the chain of frame records (AAPCS64, section 6.4.6) as long as it stays on this
    /// CPU's stack, and returns how many return addresses it found.
    private static func writeFrames(_ cpu: PerCPU) -> UInt64 {
        let top = cpu.address
        let bottom = top &- UInt64(MARTLET_PERCPU_STACK_TOP) &+ UInt64(MARTLET_PAGE_SIZE)
        var frame = cpu[MARTLET_PERCPU_PANIC_FP]
        var count: UInt64 = 0
        while count < UInt64(MARTLET_PANIC_MAX_FRAMES), frame >= bottom, frame &+ 16 <= top, frame & 7 == 0 {
            el2_store64(address(UInt64(MARTLET_PANIC_FRAMES) &+ count), el2_load64(frame &+ 8))
            count &+= 1
            let next = el2_load64(frame)
            // Callers' records lie higher; anything else is no chain.
            guard next > frame else { break }
            frame = next
        }
        return count
    }

    private static func writeMessage(_ text: UInt64) {
        guard text != 0 else { return }
        var index: UInt64 = 0
        while index < UInt64(MARTLET_PANIC_MESSAGE_BYTES) {
            let byte = el2_load8(text &+ index)
            guard byte != 0 else { return }
            el2_store8(address(UInt64(MARTLET_PANIC_MESSAGE)) &+ index, byte)
            index &+= 1
        }
    }
}
