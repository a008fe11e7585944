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
        let start: InlineArray<16, UInt32> = [
            0x6170_7865, 0x3320_646E, 0x7962_2D32, 0x6B20_6574,
            key[0], key[1], key[2], key[3], key[4], key[5], key[6], key[7],
            counter, nonce.0, nonce.1, nonce.2,
        ]
        var x = start
        func rotated(_ value: UInt32, _ bits: UInt32) -> UInt32 { value << bits | value >> (32 &- bits) }
        func quarter(_ a: Int, _ b: Int, _ c: Int, _ d: Int) {
            x[a] = x[a] &+ x[b]
            x[d] = rotated(x[d] ^ x[a], 16)
            x[c] = x[c] &+ x[d]
            x[b] = rotated(x[b] ^ x[c], 12)
            x[a] = x[a] &+ x[b]
            x[d] = rotated(x[d] ^ x[a], 8)
            x[c] = x[c] &+ x[d]
            x[b] = rotated(x[b] ^ x[c], 7)
        }
        for _ in 0..<10 {
            quarter(0, 4, 8, 12)
            quarter(1, 5, 9, 13)
            quarter(2, 6, 10, 14)
            quarter(3, 7, 11, 15)
            quarter(0, 5, 10, 15)
            quarter(1, 6, 11, 12)
            quarter(2, 7, 8, 13)
            quarter(3, 4, 9, 14)
        }
        for word in 0..<16 { x[word] = x[word] &+ start[word] }
        return x
    }
}

/// Random bits for guests. Whoever learns the state later learns nothing of what it gave before:
/// every request replaces the key.
struct RandomGenerator: Sendable {
    private var key: InlineArray<8, UInt32>

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
            key = Self.firstHalf(ChaCha20.block(key: key, counter: 0, nonce: (0, 0, 0)))
        }
    }

    private static func firstHalf(_ block: InlineArray<16, UInt32>) -> InlineArray<8, UInt32> {
        var half = InlineArray<8, UInt32>(repeating: 0)
        for word in 0..<8 { half[word] = block[word] }
        return half
    }

    /// 192 fresh bits.
    /// - Parameter hardware: bits of the CPU's own generator, if it has one; they are mixed in.
    mutating func next(mixing hardware: UInt64) -> InlineArray<3, UInt64> {
        key[0] ^= UInt32(truncatingIfNeeded: hardware)
        key[1] ^= UInt32(truncatingIfNeeded: hardware >> 32)
        let block = ChaCha20.block(key: key, counter: 1, nonce: (0, 0, 0))
        key = Self.firstHalf(block)
        func word(_ index: Int) -> UInt64 { UInt64(block[index]) | UInt64(block[index &+ 1]) << 32 }
        return [word(8), word(10), word(12)]
    }
}
