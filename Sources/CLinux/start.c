// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// From C's start-up code to the program, keeping the words of the command line on the way.

#include "CLinux.h"

static int argument_count;
static char **arguments;

// SwiftPM links an executable so that `main` stands for the name of the program's module with `_main` behind it. The
// attribute `@main` would give that symbol too, but hand over no arguments.
int martlet_main(int count, char **words);
int32_t martlet_start(void);

int martlet_main(int count, char **words)
{
    argument_count = count;
    arguments = words;
    return martlet_start();
}

const char *_Nullable clinux_argument(int32_t index)
{
    return index >= 0 && index < argument_count ? arguments[index] : (const char *)0;
}
