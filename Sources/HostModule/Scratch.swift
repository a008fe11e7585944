// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Memory of the kernel for the time of an installation, and text written into memory.

internal import CHostKernel
internal import HostModuleCore

/// Zeroed memory from the kernel that goes back at the end of its owner's life. What is too
/// large for a kernel stack lives here.
@safe struct Scratch<Element: BitwiseCopyable>: ~Copyable {
    /// The first element. It is valid as long as this value lives.
    let pointer: UnsafeMutablePointer<Element>
    let count: Int

    /// Room for `count` elements whose all-zero form is a value; `nil` if the kernel has none.
    init?(count: Int) {
        // Safety: the kernel gives memory aligned for any type, and zeroed.
        guard let memory = unsafe martlet_kernel_scratch(UInt64(count * MemoryLayout<Element>.stride)) else {
            return nil
        }
        unsafe pointer = memory.bindMemory(to: Element.self, capacity: count)
        self.count = count
    }

    deinit {
        // Safety: allocated by `init` and by nobody else.
        unsafe martlet_kernel_scratch_free(pointer)
    }

    /// The element at `index`.
    subscript(index: Int) -> Element {
        get {
            precondition(index >= 0 && index < count)
            // Safety: below the count, and initialised.
            return unsafe pointer[index]
        }
        set {
            precondition(index >= 0 && index < count)
            // Safety: below the count, borrowed exclusively.
            unsafe pointer[index] = newValue
        }
    }

    /// The elements.
    var span: Span<Element> {
        @_lifetime(borrow self)
        borrowing get {
            // Safety: `count` initialised elements that live as long as self.
            let span = unsafe Span(_unsafeStart: pointer, count: count)
            return unsafe _overrideLifetime(span, borrowing: self)
        }
    }

    /// The elements, to change.
    var mutableSpan: MutableSpan<Element> {
        @_lifetime(&self)
        mutating get {
            // Safety: `count` initialised elements that live as long as self, borrowed exclusively.
            let span = unsafe MutableSpan(_unsafeStart: pointer, count: count)
            return unsafe _overrideLifetime(span, mutating: &self)
        }
    }
}

/// Text that is cut off at the end of its memory.
@safe struct TextBuffer: TextSink, ~Copyable {
    private let memory: UnsafeMutablePointer<UInt8>
    private let capacity: Int
    private(set) var count = 0

    /// Text in memory that outlives the buffer.
    @unsafe init(memory: UnsafeMutablePointer<UInt8>, capacity: Int) {
        unsafe self.memory = memory
        self.capacity = capacity
    }

    mutating func write(byte: UInt8) {
        guard count < capacity else { return }
        // Safety: below the capacity.
        unsafe memory[count] = byte
        count += 1
    }

    mutating func write(_ text: StaticString) {
        // Safety: a StaticString with a pointer has that many code units, and literals longer
        // than one scalar always have a pointer.
        guard text.hasPointerRepresentation else { return }
        for index in 0..<text.utf8CodeUnitCount { unsafe write(byte: text.utf8Start[index]) }
    }

    /// Writes the text to the kernel's log as one line, and begins anew.
    mutating func log(_ level: martlet_log_level) {
        // Safety: `count` bytes were written.
        unsafe martlet_kernel_log(level, memory, UInt64(count))
        count = 0
    }
}

/// Gives `body` an empty line of text that fits the kernel's log.
func withLine(_ body: (inout TextBuffer) -> Void) {
    guard let memory = Scratch<UInt8>(count: Int(MARTLET_LINE_SIZE)) else {
        let text: StaticString = "no memory for a report"
        // Safety: the text is a literal.
        return unsafe martlet_kernel_log(MARTLET_LOG_ERROR, text.utf8Start, UInt64(text.utf8CodeUnitCount))
    }
    // Safety: `memory` lives until the end of this function.
    var line = unsafe TextBuffer(memory: memory.pointer, capacity: memory.count)
    body(&line)
    extendLifetime(memory)
}
