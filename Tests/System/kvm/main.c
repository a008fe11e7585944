// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Tests of /dev/kvm from user space, for any kernel that serves it on arm64:
//
//   kvm-exerciser refusals | exits | ends | interrupts | sign-extension | registers | memory | vectors
//                 | nonsense SEED ROUNDS [protected] | cycles COUNT [protected]
//
// and for one that serves protected VMs, those after `first-run` with the module peek.ko:
//
//   kvm-exerciser abi | limits | first-run | isolation | misuse | attacks | attack NAME DEFENCES
//
// and calls to EL2 from a trace (docs/search.md), with the test module raw.ko:
//
//   kvm-exerciser replay [DEFENCES] < TRACE
//
// Exit code 0 means that all was as it should be.

#include "tests.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned long type_of(int count, char **words)
{
    return count > 0 && !strcmp(words[0], "protected") ? PROTECTED : 0;
}

int main(int count, char **words)
{
    const char *group = count > 1 ? words[1] : "";
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!strcmp(group, "refusals"))
        refusals();
    else if (!strcmp(group, "exits"))
        exits();
    else if (!strcmp(group, "ends"))
        ends();
    else if (!strcmp(group, "interrupts"))
        interrupts();
    else if (!strcmp(group, "sign-extension"))
        sign_extension();
    else if (!strcmp(group, "registers"))
        registers();
    else if (!strcmp(group, "memory"))
        memory();
    else if (!strcmp(group, "vectors"))
        vectors();
    else if (!strcmp(group, "nonsense") && count >= 4)
        nonsense(type_of(count - 4, words + 4), strtoull(words[2], NULL, 0), strtoul(words[3], NULL, 0));
    else if (!strcmp(group, "cycles") && count >= 3)
        cycles(type_of(count - 3, words + 3), strtoul(words[2], NULL, 0));
    else if (!strcmp(group, "abi"))
        abi();
    else if (!strcmp(group, "limits"))
        limits();
    else if (!strcmp(group, "first-run"))
        first_run();
    else if (!strcmp(group, "isolation"))
        isolation();
    else if (!strcmp(group, "misuse"))
        misuse();
    else if (!strcmp(group, "attacks"))
        attacks();
    else if (!strcmp(group, "attack") && count == 4)
        attack_named(words[2], strtoull(words[3], NULL, 0));
    else if (!strcmp(group, "replay")) {
        replay(count > 2 ? strtoull(words[2], NULL, 0) : 0);
        return 0;
    }
    else
        return 2;
    if (strcmp(group, "attack"))
        printf("%u failures\n", failures);
    return failures != 0;
}
