// SPDX-License-Identifier: MIT OR GPL-2.0-only
// Compiles the boot protocol's header once, so that its assertions are checked in every world.
#include "martlet_boot.h"
#include "martlet_percpu.h"
