// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The bytes of an arm64 Image, wherever in a file they are.

public import VMMBoot
internal import VMMConfiguration
public import VMMRun

/// A kernel file, read from its first byte to its last as an arm64 Image, decompressed if need be.
public struct KernelSource: ~Copyable {
    private let file: InputFile
    /// What has been read already to tell the format, and has not been handed on.
    private let prefix: [UInt8]
    private let rest: Rest

    /// Where the bytes behind the prefix come from.
    private enum Rest {
        case plain
        case compressed(GzipStream)
    }

    /// The header of the Image.
    public let header: ImageHeader

    /// Tells what kind of kernel `file` is.
    public init(_ file: consuming InputFile) throws(FileFailure) {
        let first = try file.bytes(at: 0, count: ImageHeader.prefixSize)
        let format: KernelFormat
        do throws(KernelError) {
            format = try KernelFormat(prefix: first.span, fileSize: file.size)
        } catch {
            throw file.failure(.content(error))
        }
        switch format {
        case .image(let header): self.init(file, prefix: first, rest: .plain, header: header)
        case .gzip(let offset, let count): try self.init(compressed: file, offset: offset, count: count)
        }
    }

    private init(_ file: consuming InputFile, prefix: [UInt8], rest: Rest, header: ImageHeader) {
        self.file = file
        self.prefix = prefix
        self.rest = rest
        self.header = header
    }

    /// Decompresses the first bytes of a kernel: its header is needed before anything can be placed.
    private init(compressed file: consuming InputFile, offset: UInt64, count: UInt64) throws(FileFailure) {
        let stream: GzipStream
        do throws(SystemError) {
            stream = try GzipStream(offset: offset, count: count)
        } catch {
            throw file.failure(.read(error))
        }
        var prefix: [UInt8] = Array(repeating: 0, count: ImageHeader.prefixSize)
        var span = prefix.mutableSpan
        // Safety: every byte is a valid UInt8.
        var bytes = unsafe span.mutableBytes
        let made = try stream.read(into: &bytes, from: file)
        prefix.removeLast(prefix.count - made)
        let header: ImageHeader
        do throws(KernelError) {
            header = try ImageHeader(prefix.span)
        } catch {
            throw file.failure(.content(error == .bigEndian || error == .tooOld ? error : .gzipWithoutImage))
        }
        self.init(file, prefix: prefix, rest: .compressed(stream), header: header)
    }

    /// The path of the file.
    public var path: String { file.path }

    /// A failure of this kernel's file.
    public func failure(_ reason: FileFailure.Reason) -> FileFailure { file.failure(reason) }

    /// Reads the whole Image to `part` of the guest's memory, which has the size that the header asks for. What goes
    /// beyond is dropped: a signature behind the Image is not part of it.
    public consuming func load(into memory: borrowing GuestMemory, at part: GuestRange) throws(FileFailure) {
        let prefixRoom = min(prefix.count, Int(part.count))
        memory.write(Array(prefix[..<prefixRoom]), at: part.start)
        let behind = GuestRange(
            start: part.start.advanced(by: UInt64(prefixRoom)), count: part.count - UInt64(prefixRoom))
        var total = UInt64(prefix.count)
        switch rest {
        case .plain:
            let wanted = min(behind.count, file.size - total)
            let got = try memory.withBytes(of: GuestRange(start: behind.start, count: wanted)) {
                (bytes) throws(FileFailure) in try file.read(into: &bytes, at: total)
            }
            guard UInt64(got) == wanted else { throw file.failure(.changed) }
            total = file.size
        case .compressed(let stream):
            total += try memory.withBytes(of: behind) { (bytes) throws(FileFailure) in
                try UInt64(stream.read(into: &bytes, from: file))
            }
            total += try KernelSource.drain(stream, from: file)
        }
        do throws(KernelError) {
            try header.checkComplete(count: total)
        } catch {
            throw file.failure(.content(error))
        }
    }

    /// Goes on to the end of `stream` and returns how many bytes that took: only the end has the checksum.
    private static func drain(_ stream: GzipStream, from file: borrowing InputFile) throws(FileFailure) -> UInt64 {
        var scratch: [UInt8] = Array(repeating: 0, count: 1 << 16)
        var total: UInt64 = 0
        while !stream.isFinished {
            var span = scratch.mutableSpan
            // Safety: every byte is a valid UInt8.
            var bytes = unsafe span.mutableBytes
            total += try UInt64(stream.read(into: &bytes, from: file))
        }
        return total
    }
}
