// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A plugin of QEMU's translator that counts executed arm64 instructions by who executes them and by
// kind. It writes all counts to a file whenever a marker is executed anywhere in the machine.
//
// Markers are unallocated hints, which do nothing at any exception level: HINT #64 begins and HINT #65
// ends the row whose number is in x0.
//
// Arguments: out=FILE; profile=ROW, to add which blocks of code a row's instructions are in.
//
// Who executes a block is decided when it is translated. The translator keeps blocks by physical page and
// exception level, and a host and a guest never execute the same page at the same level, so that a block
// stays with whom it belongs to.

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The part of QEMU's plugin interface that is used here (version 4: QEMU 10.0), and of GLib's byte
// arrays. Distributions have no package with its header.
typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_plugin_scoreboard;
struct plugin_counter {
    struct qemu_plugin_scoreboard *board;
    size_t offset;
};
struct plugin_register {
    void *handle;
    const char *name;
    const char *feature;
};
struct plugin_array {
    char *data;
    unsigned length;
};
struct plugin_bytes {
    uint8_t *data;
    unsigned length;
};
enum { WITHOUT_REGISTERS = 0, READS_REGISTERS = 1 };
enum { INLINE_ADD = 0 };

void qemu_plugin_register_vcpu_init_cb(plugin_id, void (*)(plugin_id, unsigned));
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_atexit_cb(plugin_id, void (*)(plugin_id, void *), void *);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *, void *, size_t);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, void (*)(unsigned, void *), int, void *);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *, void (*)(unsigned, void *), int, void *);
void qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(
    struct qemu_plugin_insn *, int, struct plugin_counter, uint64_t);
struct qemu_plugin_scoreboard *qemu_plugin_scoreboard_new(size_t);
uint64_t qemu_plugin_u64_sum(struct plugin_counter);
struct plugin_array *qemu_plugin_get_registers(void);
int qemu_plugin_read_register(void *, struct plugin_bytes *);
struct plugin_bytes *g_byte_array_new(void);
struct plugin_bytes *g_byte_array_set_size(struct plugin_bytes *, unsigned);

__attribute__((visibility("default"))) int qemu_plugin_version = 4;

// Who executes. With host extensions the whole host kernel is at EL2.
enum executor { HOST_EL0, HOST_EL1, EL2, GUEST_EL0, GUEST_EL1, EXECUTORS };
// What is executed; every instruction also counts as ANY.
enum kind { ANY, SYSTEM_REGISTER, ISB, DATA_BARRIER, ERET, CALL, TLBI, CACHE, KINDS };

static struct qemu_plugin_scoreboard *counters;
static FILE *out;
static struct plugin_bytes *scratch;
static void *processor_state, *hypervisor_configuration, *stage2_base, *x0;

// The profile of one row: instructions by the start of their block. A key is the block's address with
// the executor in bits 50:48, which repeat bit 47 in a canonical address.
// Beside it are the steps from one block to the next, which tell who calls a function, and how often.
enum { SPOTS = 1 << 18 };
struct spot {
    uint64_t key, from, count;
};
struct block {
    uint64_t key, length;
};
static struct spot *spots, *steps;
static uint64_t profiled, last_block;
static bool is_profiling;

static struct plugin_counter counter(enum executor executor, enum kind kind)
{
    struct plugin_counter place = { counters, (size_t)(executor * KINDS + kind) * sizeof(uint64_t) };
    return place;
}

static uint64_t read_register(void *handle, const char *name)
{
    uint64_t value = 0;
    g_byte_array_set_size(scratch, 0);
    int size = handle ? qemu_plugin_read_register(handle, scratch) : 0;
    if (size <= 0 || size > 8) {
        // Counts that belong to nobody would only look like counts.
        fprintf(stderr, "counter: register %s cannot be read\n", name);
        exit(1);
    }
    memcpy(&value, scratch->data, size);
    return value;
}

static void find_registers(plugin_id id, unsigned vcpu)
{
    (void)id;
    // The handles of one are good for all CPUs of its model.
    if (vcpu != 0)
        return;
    struct plugin_array *array = qemu_plugin_get_registers();
    struct plugin_register *registers = (struct plugin_register *)array->data;
    for (unsigned i = 0; i < array->length; i++) {
        if (!strcmp(registers[i].name, "cpsr"))
            processor_state = registers[i].handle;
        else if (!strcmp(registers[i].name, "HCR_EL2"))
            hypervisor_configuration = registers[i].handle;
        else if (!strcmp(registers[i].name, "VTTBR_EL2"))
            stage2_base = registers[i].handle;
        else if (!strcmp(registers[i].name, "x0"))
            x0 = registers[i].handle;
    }
}

// A guest is what runs below EL2 behind a stage-2 (HCR_EL2.VM without TGE) whose VMID is not 0: hosts
// that are behind a stage-2 themselves have VMID 0.
static enum executor executor(void)
{
    unsigned level = read_register(processor_state, "cpsr") >> 2 & 3;
    if (level >= 2)
        return EL2;
    uint64_t configuration = read_register(hypervisor_configuration, "HCR_EL2");
    bool is_behind_stage2 = (configuration & 1) && !(configuration >> 27 & 1);
    if (is_behind_stage2 && read_register(stage2_base, "VTTBR_EL2") >> 48 != 0)
        return level == 0 ? GUEST_EL0 : GUEST_EL1;
    return level == 0 ? HOST_EL0 : HOST_EL1;
}

// The kind of an instruction (Arm ARM, C4.1.66, branches, exceptions and system instructions).
static enum kind kind_of(uint32_t word)
{
    if ((word & 0xffd00000) == 0xd5100000)
        return SYSTEM_REGISTER;
    if ((word & 0xfffff0ff) == 0xd50330df)
        return ISB;
    if ((word & 0xfffff0ff) == 0xd503309f || (word & 0xfffff0ff) == 0xd50330bf)
        return DATA_BARRIER;
    if (word == 0xd69f03e0 || word == 0xd69f0bff || word == 0xd69f0fff)
        return ERET;
    if ((word & 0xffe0001c) == 0xd4000000 && (word & 3))
        return CALL;
    // With CRn = 9 they are the variants of FEAT_XS.
    if ((word & 0xfff8f000) == 0xd5088000 || (word & 0xfff8f000) == 0xd5089000)
        return TLBI;
    if ((word & 0xfff8f000) == 0xd5087000)
        return CACHE;
    return ANY;
}

static void write_counters(void)
{
    for (int executor = 0; executor < EXECUTORS; executor++)
        for (int kind = 0; kind < KINDS; kind++)
            fprintf(out, " %" PRIu64, qemu_plugin_u64_sum(counter(executor, kind)));
    fputc('\n', out);
}

static void begin(unsigned vcpu, void *unused)
{
    (void)vcpu, (void)unused;
    uint64_t row = read_register(x0, "x0");
    fprintf(out, "begin %" PRIu64, row);
    write_counters();
    is_profiling |= spots && row == profiled;
}

static void end(unsigned vcpu, void *unused)
{
    (void)vcpu, (void)unused;
    uint64_t row = read_register(x0, "x0");
    is_profiling &= row != profiled;
    fprintf(out, "end %" PRIu64, row);
    write_counters();
}

// Adds to a place in a table; the keys of a profile of blocks have no `from`.
static void add(struct spot *table, uint64_t key, uint64_t from, uint64_t count)
{
    size_t i = (key ^ from * 3) * 0x9e3779b97f4a7c15 >> 46;
    for (unsigned tries = 0; table[i].key && (table[i].key != key || table[i].from != from); tries++) {
        if (tries == SPOTS) {
            fprintf(stderr, "counter: the profile is full\n");
            exit(1);
        }
        i = (i + 1) % SPOTS;
    }
    table[i].key = key;
    table[i].from = from;
    table[i].count += count;
}

static void run_block(unsigned vcpu, void *argument)
{
    (void)vcpu;
    const struct block *block = argument;
    if (!is_profiling)
        return;
    add(spots, block->key, 0, block->length);
    add(steps, block->key, last_block, 1);
    last_block = block->key;
}

static void write_place(uint64_t key)
{
    uint64_t high = key >> 63 ? 0xffff : 0;
    fprintf(out, " %" PRIu64 " %" PRIx64, ((key >> 48) ^ high) & 7, (key & 0xffffffffffff) | high << 48);
}

static void translate(plugin_id id, struct qemu_plugin_tb *tb)
{
    (void)id;
    enum executor who = executor();
    size_t length = qemu_plugin_tb_n_insns(tb);
    if (spots) {
        // Lives as long as the machine: a translated block may run at any time.
        struct block *block = malloc(sizeof *block);
        if (!block)
            abort();
        block->key = qemu_plugin_tb_vaddr(tb) ^ (uint64_t)who << 48;
        block->length = length;
        qemu_plugin_register_vcpu_tb_exec_cb(tb, run_block, WITHOUT_REGISTERS, block);
    }
    for (size_t i = 0; i < length; i++) {
        struct qemu_plugin_insn *instruction = qemu_plugin_tb_get_insn(tb, i);
        uint32_t word = 0;
        qemu_plugin_insn_data(instruction, &word, sizeof word);
        enum kind kind = kind_of(word);
        qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(instruction, INLINE_ADD, counter(who, ANY), 1);
        if (kind != ANY)
            qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(instruction, INLINE_ADD, counter(who, kind), 1);
        if (word == 0xd503281f)
            qemu_plugin_register_vcpu_insn_exec_cb(instruction, begin, READS_REGISTERS, NULL);
        if (word == 0xd503283f)
            qemu_plugin_register_vcpu_insn_exec_cb(instruction, end, READS_REGISTERS, NULL);
    }
}

static void finish(plugin_id id, void *unused)
{
    (void)id, (void)unused;
    for (size_t i = 0; spots && i < SPOTS; i++) {
        if (spots[i].key) {
            fprintf(out, "block");
            write_place(spots[i].key);
            fprintf(out, " %" PRIu64 "\n", spots[i].count);
        }
    }
    for (size_t i = 0; steps && i < SPOTS; i++) {
        if (steps[i].key && steps[i].from) {
            fprintf(out, "step");
            write_place(steps[i].from);
            write_place(steps[i].key);
            fprintf(out, " %" PRIu64 "\n", steps[i].count);
        }
    }
    fprintf(out, "total 0");
    write_counters();
    fclose(out);
}

__attribute__((visibility("default"))) int qemu_plugin_install(
    plugin_id id, const void *information, int count, char **arguments)
{
    (void)information;
    const char *file = NULL;
    for (int i = 0; i < count; i++) {
        if (!strncmp(arguments[i], "out=", 4))
            file = arguments[i] + 4;
        else if (!strncmp(arguments[i], "profile=", 8)) {
            profiled = strtoull(arguments[i] + 8, NULL, 10);
            spots = calloc(SPOTS, sizeof *spots);
            steps = calloc(SPOTS, sizeof *steps);
            if (!spots || !steps)
                return -1;
        }
    }
    out = file ? fopen(file, "w") : NULL;
    if (!out) {
        fprintf(stderr, "counter: out=FILE is missing or cannot be written\n");
        return -1;
    }
    counters = qemu_plugin_scoreboard_new(EXECUTORS * KINDS * sizeof(uint64_t));
    scratch = g_byte_array_new();
    qemu_plugin_register_vcpu_init_cb(id, find_registers);
    qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
    qemu_plugin_register_atexit_cb(id, finish, NULL);
    return 0;
}
