// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// EL2's random number generator: ChaCha20 with fast key erasure. No library that Debian or Swift
// offers can be linked here (no heap, no vector registers); the block function is 40 lines and is
// held to RFC 8439's vectors (docs/decisions/0017).

import Arm
import CBootProtocol
import Machine

/// The ChaCha20 block function (RFC 8439, section 2.3).
enum ChaCha20 {
    /// One block of key stream, as sixteen little-endian words.
    static func block(
        key: InlineArray<8, UInt32>, counter: UInt32, nonce: (UInt32, UInt32, UInt32)
    ) -> InlineArray<16, UInt32> {
        // Sixteen variables and not an array, so that all of them are in registers.
        let (c0, c1, c2, c3): (UInt32, UInt32, UInt32, UInt32) = (0x6170_7865, 0x3320_646E, 0x7962_2D32, 0x6B20_6574)
        var (x0, x1, x2, x3) = (c0, c1, c2, c3)
        var (x4, x5, x6, x7) = (key[0], key[1], key[2], key[3])
        var (x8, x9, x10, x11) = (key[4], key[5], key[6], key[7])
        var (x12, x13, x14, x15) = (counter, nonce.0, nonce.1, nonce.2)
        for _ in 0..<10 {
            quarter(&x0, &x4, &x8, &x12)
            quarter(&x1, &x5, &x9, &x13)
            quarter(&x2, &x6, &x10, &x14)
            quarter(&x3, &x7, &x11, &x15)
            quarter(&x0, &x5, &x10, &x15)
            quarter(&x1, &x6, &x11, &x12)
            quarter(&x2, &x7, &x8, &x13)
            quarter(&x3, &x4, &x9, &x14)
        }
        return [
            x0 &+ c0, x1 &+ c1, x2 &+ c2, x3 &+ c3, x4 &+ key[0], x5 &+ key[1], x6 &+ key[2], x7 &+ key[3],
            x8 &+ key[4], x9 &+ key[5], x10 &+ key[6], x11 &+ key[7],
            x12 &+ counter, x13 &+ nonce.0, x14 &+ nonce.1, x15 &+ nonce.2,
        ]
    }

    @inline(__always)
    private static func quarter(_ a: inout UInt32, _ b: inout UInt32, _ c: inout UInt32, _ d: inout UInt32) {
        a = a &+ b
        d = rotated(d ^ a, 16)
        c = c &+ d
        b = rotated(b ^ c, 12)
        a = a &+ b
        d = rotated(d ^ a, 8)
        c = c &+ d
        b = rotated(b ^ c, 7)
    }

    @inline(__always)
    private static func rotated(_ value: UInt32, _ bits: UInt32) -> UInt32 {
        value &<< bits | value &>> (32 &- bits)
    }
}

/// Random bits for guests. Whoever learns the state later learns nothing of what it gave before: each
/// block replaces the key, and what is given of a block is erased.
struct RandomGenerator: Lockable, Sendable {
    static var lockRank: LockRank { .generator }

    private var key: InlineArray<8, UInt32>
    /// The half of the last block that is not the key. Words from `left` on have been given.
    private(set) var words: InlineArray<4, UInt64> = [0, 0, 0, 0]
    /// How many words have not been given.
    private(set) var left = 0

    /// Seeds the generator from 64 bytes that the host's own generator gave while the host was
    /// trusted, and wipes them.
    init(seed: Address<HypervisorVirtual>, on processor: some Processor) {
        key = InlineArray(repeating: 0)
        for half in 0..<UInt64(2) {
            for word in 0..<8 {
                let at = seed.advanced(by: half &* 32 &+ UInt64(truncatingIfNeeded: word) &* 4)
                key[word] ^= processor.load32(at)
                processor.store32(at, 0)
            }
            takeKey(from: ChaCha20.block(key: key, counter: 0, nonce: (0, 0, 0)))
        }
    }

    /// A generator with this key.
    init(key: InlineArray<8, UInt32>) { self.key = key }

    private mutating func takeKey(from block: InlineArray<16, UInt32>) {
        for word in 0..<8 { key[word] = block[word] }
    }

    /// A fresh word.
    /// - Parameter hardware: bits of the CPU's own generator, if it has one; they are mixed into each block.
    mutating func next(mixing hardware: () -> UInt64) -> UInt64 {
        if left == 0 { refill(hardware()) }
        // The mask changes no index, and spares a check that could only trap.
        left = (left &- 1) & 3
        let word = words[left]
        words[left] = 0
        return word
    }

    private mutating func refill(_ hardware: UInt64) {
        key[0] ^= UInt32(truncatingIfNeeded: hardware)
        key[1] ^= UInt32(truncatingIfNeeded: hardware >> 32)
        let block = ChaCha20.block(key: key, counter: 1, nonce: (0, 0, 0))
        takeKey(from: block)
        for word in 0..<4 { words[word] = UInt64(block[8 &+ 2 &* word]) | UInt64(block[9 &+ 2 &* word]) << 32 }
        left = 4
    }
}
