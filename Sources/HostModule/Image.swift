// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The hypervisor image that the module carries.

internal import CHostKernel
internal import HostModuleCore

/// The image, with its checked header.
struct Image: ~Copyable {
    let header: ImageHeader

    /// Checks the image in the module.
    init() throws(Refusal) {
        header = try ImageHeader(checking: Image.words)
    }

    private static var words: Span<UInt64> {
        @_lifetime(immortal)
        get {
            // Safety: constant data of the module, aligned by its assembly, which lives as long as the code.
            let span = unsafe Span(
                _unsafeStart: martlet_kernel_image(), count: Int(martlet_kernel_image_size() / 8))
            return unsafe _overrideLifetime(span, copying: ())
        }
    }

    /// Copies the image to the start of `superpages`, measures the copy and relocates it.
    ///
    /// The copy is measured and not the original: what is copied is what will run.
    ///
    /// - Returns: SHA-256 of the flat image, before relocation.
    @inline(never)
    func copy(to superpages: borrowing Superpages) throws(Refusal) -> InlineArray<32, UInt8> {
        // Safety: the plan reserves `memorySize` bytes for the image at the start.
        let memory = unsafe superpages.pointer(at: 0).assumingMemoryBound(to: UInt64.self)
        var copy = unsafe MutableSpan(_unsafeStart: memory, count: Int(header.memorySize / 8))
        let words = Image.words
        for index in words.indices { copy[index] = words[index] }
        var digest = InlineArray<32, UInt8>(repeating: 0)
        // Safety: 32 bytes for the digest, `fileSize` bytes of copy.
        unsafe withUnsafeMutableBytes(of: &digest) { digest in
            guard let start = digest.baseAddress else { return }
            unsafe martlet_kernel_sha256(
                memory, UInt32(header.fileSize), start.assumingMemoryBound(to: UInt8.self))
        }
        try header.relocate(&copy, base: superpages.base)
        return digest
    }
}
