// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The escape keys and the byte queue.

import Testing
import VMMDevices

private func meanings(_ bytes: [UInt8]) -> [ConsoleEscape.Meaning] {
    var escape = ConsoleEscape()
    return bytes.map { escape.consume($0) }
}

@Suite struct ConsoleEscapeTests {
    @Test func everythingElsePasses() {
        for byte in UInt8.min...UInt8.max where byte != ConsoleEscape.prefix {
            #expect(meanings([byte]) == [.pass(byte)])
        }
    }

    @Test func sequences() {
        #expect(meanings([1, UInt8(ascii: "x")]) == [.nothing, .leave])
        #expect(meanings([1, UInt8(ascii: "X")]) == [.nothing, .leave])
        #expect(meanings([1, UInt8(ascii: "h")]) == [.nothing, .help])
        #expect(meanings([1, UInt8(ascii: "?")]) == [.nothing, .help])
        #expect(meanings([1, 1]) == [.nothing, .pass(1)])
        #expect(meanings([1, UInt8(ascii: "a")]) == [.nothing, .pass(1)])
    }

    @Test func anUnknownKeyEndsTheSequence() {
        #expect(meanings([1, UInt8(ascii: "q"), UInt8(ascii: "x")]) == [.nothing, .nothing, .pass(UInt8(ascii: "x"))])
        // The doubled prefix is complete: the key behind it is the guest's.
        #expect(meanings([1, 1, UInt8(ascii: "x")]) == [.nothing, .pass(1), .pass(UInt8(ascii: "x"))])
    }
}

@Suite struct ByteQueueTests {
    @Test func firstInFirstOut() {
        var queue = ByteQueue(capacity: 3)
        for byte: UInt8 in 1...3 { #expect(queue.push(byte) == true) }
        #expect(queue.push(4) == false)
        #expect(queue.pop() == 1)
        #expect(queue.push(5) == true)
        #expect(queue.peek(limit: 10) == [2, 3, 5])
        queue.drop(2)
        #expect(queue.count == 1)
        #expect(queue.pop() == 5)
        #expect(queue.pop() == nil)
    }

    @Test func behavesAsAnArray() {
        var queue = ByteQueue(capacity: 7)
        var model: [UInt8] = []
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<10_000 {
            switch Int.random(in: 0..<5, using: &generator) {
            case 0, 1:
                let byte = UInt8.random(in: 0...255, using: &generator)
                let fitted = queue.push(byte)
                #expect(fitted == (model.count < 7))
                if fitted { model.append(byte) }
            case 2: #expect(queue.pop() == (model.isEmpty ? nil : model.removeFirst()))
            case 3:
                let number = Int.random(in: -2...9, using: &generator)
                queue.drop(number)
                model.removeFirst(min(max(number, 0), model.count))
            default: #expect(queue.peek(limit: 4) == Array(model.prefix(4)))
            }
            #expect(queue.count == model.count && queue.room == 7 - model.count)
        }
        queue.clear()
        #expect(queue.isEmpty)
    }
}
