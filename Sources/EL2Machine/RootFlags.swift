// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What every CPU must know before, or in spite of, the root value.

import CBootProtocol
import CEL2

/// Flags in the root's storage that stand before the root itself exists.
public enum RootFlags {
    /// Whether some CPU has panicked. Raised by a panic, never lowered.
    public static var hasPanicked: Bool {
        get { el2_load64(el2_address_of_root_storage() &+ UInt64(MARTLET_ROOT_PANICKED)) != 0 }
        set { el2_store64(el2_address_of_root_storage() &+ UInt64(MARTLET_ROOT_PANICKED), newValue ? 1 : 0) }
    }

    /// Whether the root value is in place.
    public static var isInitialised: Bool {
        get { el2_load64(el2_address_of_root_storage() &+ UInt64(MARTLET_ROOT_INITIALISED)) != 0 }
        set {
            // The root must be complete for a CPU that sees the flag.
            el2_dsb_ish()
            el2_store64(el2_address_of_root_storage() &+ UInt64(MARTLET_ROOT_INITIALISED), newValue ? 1 : 0)
        }
    }
}
