// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The bytes of an arm64 Image, wherever in a file they are.

internal import CLinux
public import VMMBoot
public import VMMConfiguration
public import VMMRun

/// A kernel file, read from its first byte to its last as an arm64 Image, decompressed if need be.
public struct KernelSource: ~Copyable {
    private let file: InputFile
    private let inflater: Inflater?
    /// What has been read already to tell the format, and has not been handed on.
    private var prefix: [UInt8]
    /// Where in the file to go on reading, and where to stop.
    private var position: UInt64
    private let end: UInt64
    private var stage: Stage

    private enum Stage {
        case plain
        case inflating
        case finished
    }

    /// The header of the Image.
    public let header: ImageHeader

    /// zlib's state, freed with its owner.
    @safe private final class Inflater {
        let state: UnsafeMutableRawPointer
        var input: [UInt8] = []
        var used = 0

        init() throws(SystemError) {
            guard let state = unsafe clinux_inflate_create() else { throw SystemError(12) }
            unsafe self.state = unsafe state
        }

        // Safety: the state was made by the initializer.
        deinit { unsafe clinux_inflate_destroy(state) }
    }

    /// Tells what kind of kernel `file` is.
    public init(_ file: consuming InputFile) throws(FileFailure) {
        let size = file.size
        let first = try KernelSource.bytes(of: file, at: 0, count: ImageHeader.prefixSize)
        let format: KernelFormat
        do throws(KernelError) {
            format = try KernelFormat(prefix: first.span, fileSize: size)
        } catch {
            throw file.failure(.content(error))
        }
        switch format {
        case .image(let header):
            self.init(
                file: file, inflater: nil, prefix: first, position: UInt64(first.count), end: size, stage: .plain,
                header: header)
        case .gzip(let offset, let count):
            try self.init(compressed: file, offset: offset, count: count)
        }
    }

    private init(
        file: consuming InputFile, inflater: Inflater?, prefix: [UInt8], position: UInt64, end: UInt64, stage: Stage,
        header: ImageHeader
    ) {
        self.file = file
        self.inflater = inflater
        self.prefix = prefix
        self.position = position
        self.end = end
        self.stage = stage
        self.header = header
    }

    /// Decompresses the first bytes of a kernel: its header is needed before anything can be placed.
    private init(compressed file: consuming InputFile, offset: UInt64, count: UInt64) throws(FileFailure) {
        let inflater: Inflater
        do throws(SystemError) {
            inflater = try Inflater()
        } catch {
            throw file.failure(.read(error))
        }
        var position = offset
        let end = offset + count
        var stage = Stage.inflating
        var start: [UInt8] = Array(repeating: 0, count: ImageHeader.prefixSize)
        var span = start.mutableSpan
        // Safety: every byte is a valid UInt8; so below.
        var bytes = unsafe span.mutableBytes
        let made = try KernelSource.inflate(
            into: &bytes, file: file, inflater: inflater, position: &position, end: end, stage: &stage)
        start.removeLast(start.count - made)
        let header: ImageHeader
        do throws(KernelError) {
            header = try ImageHeader(start.span)
        } catch {
            throw file.failure(.content(error == .bigEndian || error == .tooOld ? error : .gzipWithoutImage))
        }
        self.init(
            file: file, inflater: inflater, prefix: start, position: position, end: end, stage: stage, header: header)
    }

    /// The path of the file.
    public var path: String { file.path }

    /// Whether and why the kernel with its header does not fit: a failure of this file.
    public func failure(_ reason: FileFailure.Reason) -> FileFailure { file.failure(reason) }

    /// Reads the whole Image to the start of `memory`'s `part`. What goes beyond the part is read and dropped: a
    /// signature behind the Image is not part of it.
    public mutating func load(into memory: borrowing GuestMemory, at part: GuestRange) throws(FileFailure) {
        var total = UInt64(prefix.count)
        memory.write(prefix, at: part.start)
        prefix = []
        let rest = GuestRange(start: part.start.advanced(by: total), count: part.count - total)
        total += try memory.withBytes(of: rest) { (bytes) throws(FileFailure) in
            try UInt64(read(into: &bytes))
        }
        // Going on to the end checks the checksum of a compressed kernel, wherever its Image ends.
        var scratch: [UInt8] = Array(repeating: 0, count: 1 << 16)
        while stage == .inflating {
            var span = scratch.mutableSpan
            // Safety: every byte is a valid UInt8.
            var bytes = unsafe span.mutableBytes
            total += try UInt64(read(into: &bytes))
        }
        do throws(KernelError) {
            try header.checkComplete(count: total)
        } catch {
            throw file.failure(.content(error))
        }
    }

    /// Fills `bytes` with the next bytes of the Image; fewer only at its end.
    private mutating func read(into bytes: inout MutableRawSpan) throws(FileFailure) -> Int {
        switch stage {
        case .finished: return 0
        case .plain:
            let count = Int(min(UInt64(bytes.byteCount), end - position))
            var part = bytes._mutatingExtracting(first: count)
            let got = try file.read(into: &part, at: position)
            guard got == count else { throw file.failure(.changed) }
            position += UInt64(got)
            stage = .finished
            return got
        case .inflating:
            return try KernelSource.inflate(
                into: &bytes, file: file, inflater: inflater!, position: &position, end: end, stage: &stage)
        }
    }

    private static func bytes(
        of file: borrowing InputFile, at offset: UInt64, count: Int
    ) throws(FileFailure) -> [UInt8] {
        var bytes: [UInt8] = Array(repeating: 0, count: count)
        var span = bytes.mutableSpan
        // Safety: every byte is a valid UInt8.
        var room = unsafe span.mutableBytes
        let got = try file.read(into: &room, at: offset)
        bytes.removeLast(count - got)
        return bytes
    }

    private static func inflate(
        into bytes: inout MutableRawSpan, file: borrowing InputFile, inflater: Inflater,
        position: inout UInt64, end: UInt64, stage: inout Stage
    ) throws(FileFailure) -> Int {
        var done = 0
        while done < bytes.byteCount, stage == .inflating {
            if inflater.used == inflater.input.count {
                let count = Int(min(1 << 16, end - position))
                guard count > 0 else { throw file.failure(.content(.gzipTruncated)) }
                inflater.input = try KernelSource.bytes(of: file, at: position, count: count)
                inflater.used = 0
                guard inflater.input.count == count else { throw file.failure(.changed) }
                position += UInt64(count)
            }
            var used: UInt32 = 0
            var made: UInt32 = 0
            let room = UInt32(truncatingIfNeeded: min(bytes.byteCount - done, 1 << 30))
            // Safety: both pointers are valid for the counts that go with them.
            let result = unsafe bytes.withUnsafeMutableBytes { output in
                unsafe inflater.input.withUnsafeBytes { input in
                    unsafe clinux_inflate_step(
                        inflater.state, input.baseAddress! + inflater.used,
                        UInt32(truncatingIfNeeded: input.count - inflater.used),
                        output.baseAddress! + done, room, &used, &made)
                }
            }
            inflater.used += Int(used)
            done += Int(made)
            switch result {
            case CLINUX_INFLATE_MORE: break
            case CLINUX_INFLATE_END: stage = .finished
            case CLINUX_INFLATE_NO_MEMORY: throw file.failure(.read(SystemError(12)))
            default: throw file.failure(.content(.gzipDamaged))
            }
        }
        return done
    }
}
