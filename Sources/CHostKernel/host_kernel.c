/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Makes the header a target of the package; the functions are Sources/HostModule/kernel. */
#include "martlet_host_kernel.h"
