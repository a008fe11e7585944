// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A gzip stream within a file, decompressed step by step.

internal import CLinux
internal import VMMBoot
internal import VMMConfiguration
internal import VMMRun

/// The decompression of one gzip stream.
@safe final class GzipStream {
    private let state: UnsafeMutableRawPointer
    /// Where in the file to go on reading, and where to stop.
    private var position: UInt64
    private let end: UInt64
    /// What was read from the file, and how much of it zlib has taken.
    private var input: [UInt8] = []
    private var used = 0
    /// Whether the stream's end was met and its checksum found right.
    private(set) var isFinished = false

    /// The stream that lies in `count` bytes of a file from `offset` on.
    init(offset: UInt64, count: UInt64) throws(SystemError) {
        guard let state = unsafe clinux_inflate_create() else { throw .outOfMemory }
        unsafe self.state = unsafe state
        position = offset
        end = offset + count
    }

    // Safety: the state was made by the initializer.
    deinit { unsafe clinux_inflate_destroy(state) }

    /// Fills `bytes` with what comes next and returns how many came: fewer than there is room for only at the end.
    func read(into bytes: inout MutableRawSpan, from file: borrowing InputFile) throws(FileFailure) -> Int {
        var done = 0
        while done < bytes.byteCount, !isFinished {
            if used == input.count { try refill(from: file) }
            var taken: UInt32 = 0
            var made: UInt32 = 0
            // Safety: both buffers are valid, and zlib stays within the counts that go with them.
            let result = unsafe bytes.withUnsafeMutableBytes { output in
                unsafe input.withUnsafeBytes { input in
                    let from = unsafe UnsafeRawBufferPointer(rebasing: input[used...])
                    let to = unsafe UnsafeMutableRawBufferPointer(rebasing: output[done...].prefix(1 << 30))
                    return unsafe clinux_inflate_step(
                        state, from.baseAddress, UInt32(from.count), to.baseAddress, UInt32(to.count), &taken, &made)
                }
            }
            used += Int(taken)
            done += Int(made)
            switch result {
            case CLINUX_INFLATE_MORE: break
            case CLINUX_INFLATE_END: isFinished = true
            case CLINUX_INFLATE_NO_MEMORY: throw file.failure(.read(.outOfMemory))
            default: throw file.failure(.content(.gzipDamaged))
            }
        }
        return done
    }

    private func refill(from file: borrowing InputFile) throws(FileFailure) {
        let count = Int(min(1 << 16, end - position))
        guard count > 0 else { throw file.failure(.content(.gzipTruncated)) }
        input = try file.bytes(at: position, count: count)
        used = 0
        guard input.count == count else { throw file.failure(.changed) }
        position += UInt64(count)
    }
}
