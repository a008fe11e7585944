// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Drives single operations of /dev/kvm and of a host between markers, so that what each costs can be
// counted:
//
//   bench-probe guest | between | lives | footprint  KIND
//   bench-probe host
//   bench-probe begin | end  ROW  KIND      a marker, for scripts
//   bench-probe row  ROW  KIND  COUNT       tells of such a row
//
// KIND is normal, protected, or protected-pinned.

#include "probe.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define ROW_NAME(name, text) text,
static const char *const names[] = { ROWS(ROW_NAME) };

void die(const char *what)
{
    printf("MARTLET-BENCH-FAILED %s: %s\n", what, strerror(errno));
    exit(1);
}

uint64_t number_of(enum kind kind, enum row row)
{
    return row == ROW_NOTHING ? 0 : row + (kind == NORMAL ? 0 : PROTECTED_ROWS);
}

void report(enum kind kind, enum row row, uint64_t operations)
{
    if (row == ROW_NOTHING)
        return;
    printf("MARTLET-ROW %llu %s/%s %llu\n", (unsigned long long)number_of(kind, row),
           kind == NORMAL ? "normal" : "protected", names[row], (unsigned long long)operations);
}

static enum kind kind_named(const char *name)
{
    return !strcmp(name, "protected") ? PROTECTED : !strcmp(name, "protected-pinned") ? PROTECTED_PINNED : NORMAL;
}

// The row with a name; ROW_COUNT if there is none.
static enum row row_named(const char *name)
{
    unsigned row = 0;
    while (row < ROW_COUNT && strcmp(names[row], name))
        row++;
    return row;
}

int main(int count, char **words)
{
    const char *what = count > 1 ? words[1] : "";
    enum row row = count > 2 ? row_named(words[2]) : ROW_COUNT;
    enum kind kind = kind_named(words[row == ROW_COUNT ? count - 1 : count > 3 ? 3 : 0]);
    uint64_t number = number_of(kind, row);
    struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };
    setvbuf(stdout, NULL, _IOLBF, 0);
    setrlimit(RLIMIT_MEMLOCK, &limit);
    if (!strcmp(what, "guest"))
        measure_guest(kind);
    else if (!strcmp(what, "between"))
        measure_interrupts_between(kind);
    else if (!strcmp(what, "lives"))
        measure_lives(kind);
    else if (!strcmp(what, "footprint"))
        measure_footprint(kind);
    else if (!strcmp(what, "host"))
        measure_host();
    else if (!strcmp(what, "begin") && row != ROW_COUNT)
        begin_row(number);
    else if (!strcmp(what, "end") && row != ROW_COUNT)
        end_row(number);
    else if (!strcmp(what, "row") && row != ROW_COUNT && count == 5)
        report(kind, row, strtoull(words[4], NULL, 10));
    else
        return 2;
    return 0;
}
