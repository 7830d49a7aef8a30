/* SPDX-License-Identifier: MIT */
#include "ring.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* How often an interrupted submission is tried again; each try is one signal. */
enum { INTERRUPTIONS_MAX = 64 };

/* EXT_ARG: waiting with a time limit (5.11).  NODROP: results that do not fit are kept.
 * SINGLE_MMAP: both queues are one mapping. */
#define FEATURES_NEEDED                                                                \
    (IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG)

/* I3.  Empty requests wake a waiting thread and mark the end of all earlier ones. */
static const uint8_t opcodes[] = {IORING_OP_NOP, IORING_OP_READ, IORING_OP_WRITE,
                                  IORING_OP_FSYNC};
enum { OPCODES = sizeof opcodes };

static int system_setup(void *context, uint32_t entries,
                        struct io_uring_params *params) {
    (void)context;
    long fd = syscall(__NR_io_uring_setup, entries, params);
    return fd < 0 ? -errno : (int)fd;
}

static int system_enter(void *context, struct ring *ring, uint32_t submit,
                        uint32_t wait_for, uint32_t flags,
                        const struct io_uring_getevents_arg *argument) {
    (void)context;
    size_t size = argument == NULL ? 0 : sizeof *argument;
    long taken =
        syscall(__NR_io_uring_enter, ring->fd, submit, wait_for, flags, argument, size);
    return taken < 0 ? -errno : (int)taken;
}

static int system_configure(void *context, int fd, uint32_t what, void *argument,
                            uint32_t count) {
    (void)context;
    long result = syscall(__NR_io_uring_register, fd, what, argument, count);
    return result < 0 ? -errno : (int)result;
}

static int32_t system_perform(void *context, const struct io_uring_sqe *entry) {
    (void)context;
    void *buffer = (void *)(uintptr_t)entry->addr;
    off_t position = (off_t)entry->off;
    ssize_t moved = -1;
    if (entry->opcode == IORING_OP_READ) {
        moved = pread(entry->fd, buffer, entry->len, position);
    } else if (entry->opcode == IORING_OP_WRITE) {
        moved = pwrite(entry->fd, buffer, entry->len, position);
    } else {
        moved = fdatasync(entry->fd);
    }
    return moved < 0 ? -errno : (int32_t)moved;
}

const struct ring_calls ring_system = {
    .setup = system_setup,
    .enter = system_enter,
    .configure = system_configure,
    .perform = system_perform,
};

static int configure(struct ring *ring, uint32_t what, void *argument, uint32_t count) {
    return ring->calls.configure(ring->calls.context, ring->fd, what, argument, count);
}

/* Ask whether the kernel knows our opcodes. */
static int probe(struct ring *ring) {
    enum { ASKED = 64 };
    union {
        struct io_uring_probe head;
        uint8_t room[sizeof(struct io_uring_probe) +
                     ASKED * sizeof(struct io_uring_probe_op)];
    } answer;
    memset(&answer, 0, sizeof answer);
    int status = configure(ring, IORING_REGISTER_PROBE, &answer, ASKED);
    if (status < 0) {
        return status == -EINVAL ? -EOPNOTSUPP : status;
    }
    for (size_t i = 0; i < OPCODES; i++) {
        uint8_t code = opcodes[i];
        if (code >= answer.head.ops_len ||
            (answer.head.ops[code].flags & IO_URING_OP_SUPPORTED) == 0) {
            return -EOPNOTSUPP;
        }
    }
    return 0;
}

/* I3, and let the ring run.  A kernel without restrictions runs it unrestricted. */
static int enable(struct ring *ring) {
    enum { COUNT = OPCODES + 1 };
    struct io_uring_restriction rules[COUNT];
    memset(rules, 0, sizeof rules);
    for (size_t i = 0; i < OPCODES; i++) {
        rules[i].opcode = IORING_RESTRICTION_SQE_OP;
        rules[i].sqe_op = opcodes[i];
    }
    rules[OPCODES].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
    rules[OPCODES].sqe_flags = IOSQE_IO_DRAIN;
    ring->restricted = configure(ring, IORING_REGISTER_RESTRICTIONS, rules, COUNT) == 0;
    return configure(ring, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

static _Atomic uint32_t *word(const struct ring *ring, uint32_t offset) {
    return (_Atomic uint32_t *)(void *)((uint8_t *)ring->queues + offset);
}

/* Where the kernel says that things are. */
static void locate(struct ring *ring, const struct io_uring_params *params) {
    ring->entries_count = params->sq_entries;
    ring->submit_head = word(ring, params->sq_off.head);
    ring->submit_tail = word(ring, params->sq_off.tail);
    ring->submit_flags = word(ring, params->sq_off.flags);
    ring->results_count = params->cq_entries;
    ring->result_head = word(ring, params->cq_off.head);
    ring->result_tail = word(ring, params->cq_off.tail);
    ring->result_dropped = word(ring, params->cq_off.overflow);
    uint8_t *queues = ring->queues;
    ring->results = (struct io_uring_cqe *)(void *)(queues + params->cq_off.cqes);
    memcpy(&ring->results_mask, queues + params->cq_off.ring_mask, sizeof(uint32_t));
    /* Entry i is always in place i of the queue. */
    uint32_t *places = (uint32_t *)(void *)(queues + params->sq_off.array);
    for (uint32_t i = 0; i < params->sq_entries; i++) {
        places[i] = i;
    }
    ring->tail = 0;
}

static int map(struct ring *ring, size_t size, off_t what, void **at) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                        ring->fd, what);
    if (memory == MAP_FAILED) {
        return -errno;
    }
    if (madvise(memory, size, MADV_DONTFORK) != 0) { /* I4 */
        int status = -errno;
        (void)munmap(memory, size);
        return status;
    }
    *at = memory;
    return 0;
}

static int map_all(struct ring *ring, const struct io_uring_params *params) {
    size_t submit = params->sq_off.array + params->sq_entries * sizeof(uint32_t);
    size_t result =
        params->cq_off.cqes + params->cq_entries * sizeof(struct io_uring_cqe);
    size_t size = submit > result ? submit : result;
    int status = map(ring, size, IORING_OFF_SQ_RING, &ring->queues);
    if (status != 0) {
        return status;
    }
    ring->queues_size = size;
    size = params->sq_entries * sizeof(struct io_uring_sqe);
    void *entries = NULL;
    status = map(ring, size, IORING_OFF_SQES, &entries);
    if (status != 0) {
        return status;
    }
    ring->entries = entries;
    ring->entries_size = size;
    return 0;
}

int ring_open(struct ring *ring, uint32_t entries, uint32_t results,
              const struct ring_calls *calls) {
    struct io_uring_params params;
    memset(&params, 0, sizeof params);
    params.flags = IORING_SETUP_CQSIZE | IORING_SETUP_R_DISABLED;
    params.cq_entries = results;
    memset(ring, 0, sizeof *ring);
    ring->calls = *calls;
    ring->fd = calls->setup(calls->context, entries, &params);
    if (ring->fd < 0) {
        return ring->fd == -EINVAL ? -EOPNOTSUPP : ring->fd;
    }
    int status = -EOPNOTSUPP;
    if ((params.features & FEATURES_NEEDED) == FEATURES_NEEDED) {
        status = map_all(ring, &params);
    }
    if (status == 0) {
        status = probe(ring);
    }
    if (status == 0) {
        locate(ring, &params);
        status = enable(ring);
    }
    if (status != 0) {
        ring_close(ring, false);
    }
    return status;
}

void ring_close(struct ring *ring, bool child) {
    if (ring->entries != NULL && !child) {
        (void)munmap(ring->entries, ring->entries_size);
    }
    if (ring->queues != NULL && !child) {
        (void)munmap(ring->queues, ring->queues_size);
    }
    if (ring->fd >= 0) {
        (void)close(ring->fd);
    }
    ring->entries = NULL;
    ring->queues = NULL;
    ring->fd = -1;
}

struct io_uring_sqe *ring_take(struct ring *ring) {
    uint32_t head = atomic_load_explicit(ring->submit_head,
                                         memory_order_acquire); /* M1, with kernel */
    if (ring->tail - head >= ring->entries_count) {
        return NULL;
    }
    struct io_uring_sqe *entry = &ring->entries[ring->tail & (ring->entries_count - 1)];
    memset(entry, 0, sizeof *entry);
    ring->tail++;
    return entry;
}

void ring_publish(struct ring *ring) {
    atomic_store_explicit(ring->submit_tail, ring->tail,
                          memory_order_release); /* M1, with kernel */
}

uint32_t ring_unsubmitted(const struct ring *ring) {
    return ring->tail -
           atomic_load_explicit(ring->submit_head,
                                memory_order_acquire); /* M1, with kernel */
}

bool ring_withdraw(struct ring *ring, uint64_t *user_data) {
    uint32_t head = atomic_load_explicit(ring->submit_head,
                                         memory_order_acquire); /* M1, with kernel */
    if (ring->tail == head) {
        return false;
    }
    ring->tail--;
    *user_data = ring->entries[ring->tail & (ring->entries_count - 1)].user_data;
    ring_publish(ring);
    return true;
}

int ring_enter(struct ring *ring, uint32_t submit, uint32_t wait_for,
               uint64_t timeout_us) {
    struct __kernel_timespec limit = {
        .tv_sec = (int64_t)(timeout_us / 1000000),
        .tv_nsec = (long long)(timeout_us % 1000000) * 1000,
    };
    struct io_uring_getevents_arg argument = {
        .sigmask_sz = _NSIG / 8,
        .ts = (uint64_t)(uintptr_t)&limit,
    };
    const struct ring_calls *calls = &ring->calls;
    if (wait_for > 0) {
        return calls->enter(calls->context, ring, submit, wait_for,
                            IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &argument);
    }
    int taken = -EINTR;
    for (int i = 0; taken == -EINTR && i < INTERRUPTIONS_MAX; i++) {
        taken = calls->enter(calls->context, ring, submit, 0, 0, NULL);
    }
    return taken;
}

/* Let whoever stands in the kernel's place change results. */
static uint32_t scripted(struct ring *ring, struct ring_result *results,
                         uint32_t count) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (ring->calls.result(ring->calls.context, &results[i])) {
            results[kept++] = results[i];
        }
    }
    return kept;
}

uint32_t ring_reap(struct ring *ring, struct ring_result *results, uint32_t max) {
    /* relaxed: only we write it */
    uint32_t head = atomic_load_explicit(ring->result_head, memory_order_relaxed);
    uint32_t tail = atomic_load_explicit(ring->result_tail,
                                         memory_order_acquire); /* M2, with kernel */
    uint32_t count = tail - head;
    if (count > max) {
        count = max;
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct io_uring_cqe *from =
            &ring->results[(head + i) & ring->results_mask];
        results[i].user_data = from->user_data;
        results[i].result = from->res;
    }
    if (count > 0) {
        atomic_store_explicit(ring->result_head, head + count,
                              memory_order_release); /* M2, with kernel */
    }
    return ring->calls.result == NULL ? count : scripted(ring, results, count);
}

bool ring_ready(const struct ring *ring) {
    /* relaxed: a hint; ring_reap looks again */
    return atomic_load_explicit(ring->result_head, memory_order_relaxed) !=
           atomic_load_explicit(ring->result_tail, memory_order_relaxed);
}

bool ring_overflowed(const struct ring *ring) {
    uint32_t flags = atomic_load_explicit(ring->submit_flags,
                                          memory_order_acquire); /* M3, with kernel */
    return (flags & IORING_SQ_CQ_OVERFLOW) != 0;
}

int ring_flush(struct ring *ring) {
    const struct ring_calls *calls = &ring->calls;
    return calls->enter(calls->context, ring, 0, 0, IORING_ENTER_GETEVENTS, NULL);
}

uint32_t ring_dropped(const struct ring *ring) {
    /* relaxed: a count that only grows, looked at again each turn */
    return atomic_load_explicit(ring->result_dropped, memory_order_relaxed);
}
