// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What the VMM uses of Linux: thin bindings to system calls, threads, the terminal, KVM and
// zlib. Nothing here decides anything. Unless said otherwise a function returns what the
// system call returns, or a negative errno.
//
// A buffer may be NULL where an empty one makes sense, since an empty buffer in Swift has no
// address.
//
// The header names no type of the C library, so that importing it into Swift needs no module
// of the C library.

#ifndef CLINUX_H
#define CLINUX_H

#include <stdint.h>

#pragma clang assume_nonnull begin

// ---- the command line (start.c)

/// A word of the command line, 0 being the program's name; NULL behind the last.
const char *_Nullable clinux_argument(int32_t index);

// ---- files (files.c)

enum clinux_file_kind { CLINUX_FILE_REGULAR, CLINUX_FILE_DIRECTORY, CLINUX_FILE_OTHER };

struct clinux_file_status {
    uint64_t size;
    enum clinux_file_kind kind;
};

/// Opens a file for reading. Never blocks, not even on a FIFO without a writer.
int32_t clinux_open_for_reading(const char *path);
/// Opens a device for reading and writing.
int32_t clinux_open_device(const char *path);
/// Opens what `fd` is, a terminal or a pipe, once more for writing without blocking. The flag is then this file's
/// alone and not that of everyone who shares the terminal. -EINVAL for other kinds of file.
int32_t clinux_reopen_for_writing(int32_t fd);
int32_t clinux_status(int32_t fd, struct clinux_file_status *status);
int64_t clinux_read(int32_t fd, void *_Nullable bytes, uint64_t count);
int64_t clinux_read_at(int32_t fd, void *_Nullable bytes, uint64_t count, uint64_t offset);
int64_t clinux_write(int32_t fd, const void *_Nullable bytes, uint64_t count);
int32_t clinux_close(int32_t fd);
/// A counter that a thread sets and `clinux_poll` sees.
int32_t clinux_event_create(void);

enum clinux_poll_bits { CLINUX_POLL_READ = 1, CLINUX_POLL_WRITE = 2, CLINUX_POLL_CLOSED = 4 };

struct clinux_poll_entry {
    int32_t fd;
    /// What to wait for, and then what happened: a set of `clinux_poll_bits`. A closed peer is always reported.
    uint32_t wanted;
    uint32_t happened;
};

/// Waits until something happens on one of the files; `milliseconds` < 0 means for ever.
int32_t clinux_poll(struct clinux_poll_entry *_Nullable entries, uint32_t count, int32_t milliseconds);

// ---- the system (system.c)

/// Copies the running kernel's release, NUL-terminated.
int32_t clinux_kernel_release(char *_Nullable text, uint64_t capacity);
/// Fills `bytes` from the kernel's random number generator.
int32_t clinux_random(void *_Nullable bytes, uint64_t count);

struct clinux_limits {
    /// RLIMIT_AS, RLIMIT_DATA and RLIMIT_MEMLOCK in bytes, UINT64_MAX for none.
    uint64_t address_space;
    uint64_t data;
    uint64_t locked;
    /// RAM and swap of the machine, in bytes.
    uint64_t machine;
};

int32_t clinux_limits(struct clinux_limits *limits);
/// Anonymous, zeroed memory at a multiple of `alignment`; NULL on failure, with the errno in `*error`.
void *_Nullable clinux_map_memory(uint64_t size, uint64_t alignment, int32_t *error);
/// The same of a file's pages, shared with it.
void *_Nullable clinux_map_shared(int32_t fd, uint64_t size, uint64_t alignment, int32_t *error);
void clinux_unmap(void *memory, uint64_t size);
/// Whether this process may lock so much memory that it has mapped; nothing stays locked.
int32_t clinux_may_lock(void *memory, uint64_t size);

// ---- threads and signals (threads.c)

/// A mutual exclusion lock, on the heap. NULL if there is no memory.
void *_Nullable clinux_lock_create(void);
void clinux_lock_destroy(void *lock);
void clinux_lock_acquire(void *lock);
void clinux_lock_release(void *lock);

/// Starts a thread with every signal blocked but the kick.
int32_t clinux_thread_start(void (*body)(void *), void *context, uint64_t *handle);
int32_t clinux_thread_join(uint64_t handle);
/// Interrupts the system call that a thread is in.
int32_t clinux_thread_kick(uint64_t handle);

/// Blocks the signals that end, stop or continue a program and returns a file that reports them instead; ignores
/// SIGPIPE, so that a closed pipe is an error of write; and sets the kick signal up.
int32_t clinux_signals_to_file(void);
/// The number of the next signal of that file, or a negative errno.
int32_t clinux_next_signal(int32_t fd);
/// Stops the process as SIGTSTP would, and returns when it is continued.
void clinux_stop_self(void);

enum clinux_signal { CLINUX_SIGNAL_STOP = 20, CLINUX_SIGNAL_CONTINUE = 18 };

// ---- the terminal (terminal.c)

/// Whether `fd` is a terminal.
int32_t clinux_is_terminal(int32_t fd);
/// Switches a terminal to raw mode. The first time, and the first time after a restore, it remembers the mode
/// before. Should the process die of a fault, a signal handler restores it.
int32_t clinux_terminal_make_raw(int32_t fd);
/// Restores what `clinux_terminal_make_raw` remembered, if anything.
void clinux_terminal_restore(void);

// ---- KVM (kvm.c)

int32_t clinux_kvm_api_version(int32_t kvm);
int32_t clinux_kvm_check_extension(int32_t fd, uint32_t capability);
int32_t clinux_kvm_create_vm(int32_t kvm, uint64_t type);
int32_t clinux_kvm_run_size(int32_t kvm);
int32_t clinux_kvm_set_memory(int32_t vm, uint32_t slot, uint64_t address, uint64_t size, void *memory);
/// The memory is that of a descriptor which `clinux_kvm_create_private_memory` gave; `memory` is where it is mapped.
int32_t clinux_kvm_set_private_memory(int32_t vm, uint32_t slot, uint64_t address, uint64_t size, void *memory,
                                      int32_t descriptor);
/// A descriptor of private memory that can be mapped until the guest has it.
int32_t clinux_kvm_create_private_memory(int32_t vm, uint64_t size);
int32_t clinux_kvm_create_vcpu(int32_t vm, uint64_t index);
/// The feature words are 32-bit bitmaps; the target is the host's preferred one.
int32_t clinux_kvm_init_vcpu(int32_t vm, int32_t vcpu, uint32_t features);
int32_t clinux_kvm_finalize_vcpu(int32_t vcpu, int32_t feature);
int32_t clinux_kvm_set_register(int32_t vcpu, uint64_t identifier, uint64_t value);
int32_t clinux_kvm_create_gic(int32_t vm);
int32_t clinux_kvm_set_attribute(int32_t device, uint32_t group, uint64_t attribute, const void *_Nullable value);
/// `line` is the interrupt in the encoding of KVM_IRQ_LINE.
int32_t clinux_kvm_set_interrupt(int32_t vm, uint32_t line, uint32_t level);

/// The shared page of a vCPU; NULL on failure, with the errno in `*error`.
void *_Nullable clinux_kvm_map_run(int32_t vcpu, uint64_t size, int32_t *error);
int32_t clinux_kvm_run(int32_t vcpu);
/// Makes the next KVM_RUN return at once. May be called from another thread.
void clinux_kvm_set_immediate_exit(void *run);

struct clinux_kvm_exit {
    uint32_t reason;
    uint32_t length;
    uint64_t address;
    uint64_t data;
    uint32_t detail;
    uint8_t is_write;
};

/// What `struct kvm_run` says about the last exit, each field read from the member that its reason selects.
struct clinux_kvm_exit clinux_kvm_last_exit(const void *run);
/// The value that a device read yields.
void clinux_kvm_answer_read(void *run, uint64_t value);

// ---- gzip (inflate.c)

enum clinux_inflate_result {
    CLINUX_INFLATE_MORE,
    CLINUX_INFLATE_END,
    CLINUX_INFLATE_DAMAGED,
    CLINUX_INFLATE_NO_MEMORY
};

/// A decompressor of one gzip stream. NULL if there is no memory.
void *_Nullable clinux_inflate_create(void);
void clinux_inflate_destroy(void *inflater);
/// Decompresses as much as both buffers allow; says how much of each was used.
enum clinux_inflate_result clinux_inflate_step(void *inflater, const void *_Nullable input, uint32_t input_count,
                                               void *_Nullable output, uint32_t output_count, uint32_t *input_used,
                                               uint32_t *output_used);

#pragma clang assume_nonnull end

#endif
