// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A kernel or initrd file, opened and checked to be a regular file.

internal import CLinux
public import VMMBoot
public import VMMConfiguration
public import VMMRun

/// A regular file that the guest is to be given.
public struct InputFile: ~Copyable, Sendable {
    /// What the file is for.
    public let role: FileRole
    /// Its path.
    public let path: String
    /// Its size when it was opened.
    public let size: UInt64
    private let descriptor: Descriptor

    /// Opens the file at `path`.
    public init(role: FileRole, path: String) throws(FileFailure) {
        let descriptor: Descriptor
        do throws(SystemError) {
            // Safety: the string's bytes are valid and NUL-terminated for the call.
            descriptor = try Descriptor(owning: unsafe path.withCString { unsafe clinux_open_for_reading($0) })
        } catch {
            throw FileFailure(role: role, path: path, reason: .open(error))
        }
        var status = clinux_file_status()
        let result = unsafe clinux_status(descriptor.number, &status)
        guard result == 0 else {
            throw FileFailure(role: role, path: path, reason: .read(SystemError(result)))
        }
        switch status.kind {
        case CLINUX_FILE_REGULAR: break
        case CLINUX_FILE_DIRECTORY: throw FileFailure(role: role, path: path, reason: .directory)
        default: throw FileFailure(role: role, path: path, reason: .special)
        }
        guard status.size > 0 else {
            throw FileFailure(role: role, path: path, reason: role == .kernel ? .content(.empty) : .empty)
        }
        // A type that is moved and not copied is built at once, after everything that can fail.
        self.role = role
        self.path = path
        size = status.size
        self.descriptor = descriptor
    }

    /// A failure of this file.
    func failure(_ reason: FileFailure.Reason) -> FileFailure {
        FileFailure(role: role, path: path, reason: reason)
    }

    /// Reads into `bytes` from `offset` on and returns how many bytes came: fewer than asked for only at the end of
    /// the file.
    func read(into bytes: inout MutableRawSpan, at offset: UInt64) throws(FileFailure) -> Int {
        var done = 0
        while done < bytes.byteCount {
            // Safety: the pointer and the count stay within the span.
            let result = unsafe bytes.withUnsafeMutableBytes { buffer in
                let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
                return unsafe clinux_read_at(
                    descriptor.number, rest.baseAddress, UInt64(rest.count), offset + UInt64(done))
            }
            if result == 0 { break }
            if result < 0 {
                let error = SystemError(truncatingIfNeeded: result)
                if error.name == .interrupted { continue }
                throw failure(.read(error))
            }
            done += Int(result)
        }
        return done
    }
}

extension InputFile {
    /// Up to `count` bytes from `offset` on; fewer only at the end of the file.
    func bytes(at offset: UInt64, count: Int) throws(FileFailure) -> [UInt8] {
        var bytes: [UInt8] = Array(repeating: 0, count: count)
        var span = bytes.mutableSpan
        // Safety: every byte is a valid UInt8.
        var room = unsafe span.mutableBytes
        let got = try read(into: &room, at: offset)
        bytes.removeLast(count - got)
        return bytes
    }

    /// Opens the host's own kernel at `path`, which nobody named.
    public init(hostsOwnKernel path: String) throws(FileFailure) {
        do throws(FileFailure) {
            self = try InputFile(role: .kernel, path: path)
        } catch {
            guard case .open(let reason) = error.reason else { throw error }
            throw FileFailure(role: .kernel, path: path, reason: .hostsOwnMissing(reason))
        }
    }

    /// Reads the whole file to `part` of the guest's memory, which has exactly its size.
    public func load(into memory: borrowing GuestMemory, at part: GuestRange) throws(FileFailure) {
        let got = try memory.withBytes(of: part) { (bytes) throws(FileFailure) in
            try read(into: &bytes, at: 0)
        }
        guard got == Int(part.count) else { throw failure(.changed) }
    }
}

extension InputFile? {
    /// Opens the file at `path`; nil if there is none.
    public init(ifPresent path: String, role: FileRole) throws(FileFailure) {
        do throws(FileFailure) {
            self = .some(try InputFile(role: role, path: path))
        } catch {
            guard case .open(let reason) = error.reason, reason.name == .noEntry else { throw error }
            self = .none
        }
    }
}
