// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The words of the command line.

internal import CLinux

/// The words that the program was called with.
public enum Arguments {
    /// All words but the program's own name.
    public static var words: [String] {
        var words: [String] = []
        // The first word is the program's own name; a caller may leave even that out.
        var index: Int32 = 1
        // Safety: C gives a NUL-terminated string that lives as long as the process, or NULL behind the last.
        while let word = unsafe clinux_argument(index) {
            words.append(unsafe String(cString: word))
            index += 1
        }
        return words
    }
}
