// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Tests of /dev/kvm from user space, for any kernel that serves it on arm64:
//
//   kvm-exerciser refusals | exits | sign-extension | memory | vectors | nonsense SEED ROUNDS | cycles COUNT
//
// Exit code 0 means that all was as it should be.

#include "tests.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int count, char **words)
{
    const char *group = count > 1 ? words[1] : "";
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!strcmp(group, "refusals"))
        refusals();
    else if (!strcmp(group, "exits"))
        exits();
    else if (!strcmp(group, "sign-extension"))
        sign_extension();
    else if (!strcmp(group, "memory"))
        memory();
    else if (!strcmp(group, "vectors"))
        vectors();
    else if (!strcmp(group, "nonsense") && count == 4)
        nonsense(strtoull(words[2], NULL, 0), strtoul(words[3], NULL, 0));
    else if (!strcmp(group, "cycles") && count == 3)
        cycles(strtoul(words[2], NULL, 0));
    else
        return 2;
    printf("%u failures\n", failures);
    return failures != 0;
}
