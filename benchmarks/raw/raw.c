/* SPDX-License-Identifier: MIT */
/*
 * raw.c: what a file system gives to a program that wants nothing but bytes
 *
 * Loops around io_uring's system calls, past the system's cache, from one thread:
 * large writes one behind the other into a new file; reads of a block at random
 * places of files that are there; and large reads of them from beginning to end.
 * Nothing of the store is in it, so that the store's rates have something to be
 * compared with.  Prints one line of JSON.
 *
 *   raw write FILE MIB DEPTH
 *   raw read SECONDS COUNT DEPTH SEED BLOCK FILE BYTES [FILE BYTES ...]
 *   raw scan DEPTH FILE BYTES [FILE BYTES ...]
 *
 * A read run ends after SECONDS, or after COUNT reads if that is not 0.  Only the
 * first BYTES of a FILE are read, so that holes behind the data do not flatter.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* DEPTH_MAX: entries of the ring; a power of two, and more than anybody asks for. */
enum { BLOCK_MAX = 4096, SPAN = 1 << 20, DEPTH_MAX = 1024, FILES_MAX = 4096 };

/* The ring as the kernel shares it: indexes that only one side writes. */
struct ring {
    int fd;
    _Atomic uint32_t *sq_tail;
    _Atomic uint32_t *cq_head;
    _Atomic uint32_t *cq_tail;
    uint32_t sq_mask;
    uint32_t cq_mask;
    uint32_t *sq_array;
    struct io_uring_sqe *entries;
    struct io_uring_cqe *results;
};

struct target {
    int fd;
    uint64_t blocks;
};

struct targets {
    uint32_t block;
    uint32_t count;
    uint64_t blocks;
    struct target list[FILES_MAX];
};

static void stop(const char *what, int error) {
    (void)fprintf(stderr, "raw: %s: %s\n", what, strerror(error));
    exit(1);
}

static double now(void) {
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* splitmix64: every seed gives another sequence, none a short one. */
static uint64_t next(uint64_t *state) {
    uint64_t word = (*state += UINT64_C(0x9E3779B97F4A7C15));
    word = (word ^ (word >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    word = (word ^ (word >> 27)) * UINT64_C(0x94D049BB133111EB);
    return word ^ (word >> 31);
}

/* ---- the ring ----------------------------------------------------------------------
 */

static void *map(int fd, size_t size, uint64_t where) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                        fd, (off_t)where);
    if (memory == MAP_FAILED) {
        stop("mmap of the ring", errno);
    }
    return memory;
}

static void ring_open(struct ring *ring) {
    struct io_uring_params params;
    memset(&params, 0, sizeof params);
    ring->fd = (int)syscall(__NR_io_uring_setup, DEPTH_MAX, &params);
    if (ring->fd < 0) {
        stop("io_uring_setup", errno);
    }
    const struct io_sqring_offsets *sq = &params.sq_off;
    const struct io_cqring_offsets *cq = &params.cq_off;
    char *asked = map(ring->fd, sq->array + params.sq_entries * sizeof(uint32_t),
                      IORING_OFF_SQ_RING);
    char *given =
        map(ring->fd, cq->cqes + params.cq_entries * sizeof(struct io_uring_cqe),
            IORING_OFF_CQ_RING);
    ring->entries =
        map(ring->fd, params.sq_entries * sizeof(struct io_uring_sqe), IORING_OFF_SQES);
    ring->sq_tail = (_Atomic uint32_t *)(void *)(asked + sq->tail);
    ring->sq_mask = *(uint32_t *)(void *)(asked + sq->ring_mask);
    ring->sq_array = (uint32_t *)(void *)(asked + sq->array);
    ring->cq_head = (_Atomic uint32_t *)(void *)(given + cq->head);
    ring->cq_tail = (_Atomic uint32_t *)(void *)(given + cq->tail);
    ring->cq_mask = *(uint32_t *)(void *)(given + cq->ring_mask);
    ring->results = (struct io_uring_cqe *)(void *)(given + cq->cqes);
}

/* Puts a request into the ring; the kernel looks when `ring_turn` asks it to. */
static void ring_ask(struct ring *ring, uint8_t opcode, int fd, void *buffer,
                     uint32_t length, uint64_t offset, uint64_t name) {
    /* relaxed: only this thread writes the tail */
    uint32_t tail = atomic_load_explicit(ring->sq_tail, memory_order_relaxed);
    struct io_uring_sqe *entry = &ring->entries[tail & ring->sq_mask];
    memset(entry, 0, sizeof *entry);
    entry->opcode = opcode;
    entry->fd = fd;
    entry->addr = (uint64_t)(uintptr_t)buffer;
    entry->len = length;
    entry->off = offset;
    entry->user_data = name;
    ring->sq_array[tail & ring->sq_mask] = tail & ring->sq_mask;
    /* M1, with the kernel: it sees the entry before the tail that covers it. */
    atomic_store_explicit(ring->sq_tail, tail + 1, memory_order_release);
}

/* Submits `asked` requests and waits until at least one is done. */
static void ring_turn(struct ring *ring, uint32_t asked) {
    for (;;) { /* ends with the kernel taking all that was asked, or refusing */
        long taken = syscall(__NR_io_uring_enter, ring->fd, asked, 1,
                             IORING_ENTER_GETEVENTS, NULL, 0);
        if (taken >= 0 && (uint32_t)taken >= asked) {
            return;
        }
        if (taken < 0 && errno != EINTR && errno != EAGAIN) {
            stop("io_uring_enter", errno);
        }
        asked -= taken > 0 ? (uint32_t)taken : 0;
    }
}

/* Takes one result; false when there is none now. */
static int ring_take(struct ring *ring, uint64_t *name, int32_t *result) {
    /* relaxed: only this thread writes the head */
    uint32_t head = atomic_load_explicit(ring->cq_head, memory_order_relaxed);
    /* M2, with the kernel: the result is there before the tail that covers it. */
    if (head == atomic_load_explicit(ring->cq_tail, memory_order_acquire)) {
        return 0;
    }
    *name = ring->results[head & ring->cq_mask].user_data;
    *result = ring->results[head & ring->cq_mask].res;
    /* M3, with the kernel: it reuses the place after it was read. */
    atomic_store_explicit(ring->cq_head, head + 1, memory_order_release);
    return 1;
}

/* ---- writing -----------------------------------------------------------------------
 */

static char *aligned(size_t size) {
    void *memory = NULL;
    int status = posix_memalign(&memory, SPAN, size);
    if (status != 0) {
        stop("memory", status);
    }
    uint64_t state = 1;
    for (size_t at = 0; at < size; at += sizeof state) {
        uint64_t word = next(&state);
        memcpy((char *)memory + at, &word, sizeof word);
    }
    return memory;
}

static void run_write(const char *path, uint64_t spans, uint32_t depth) {
    struct ring ring;
    char *buffers = aligned((size_t)depth * SPAN);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_DIRECT | O_CLOEXEC, 0600);
    if (fd < 0) {
        stop(path, errno);
    }
    ring_open(&ring);
    uint64_t asked = 0, done = 0;
    uint32_t fresh = 0;
    double begin = now();
    for (; asked < depth && asked < spans; asked++, fresh++) {
        ring_ask(&ring, IORING_OP_WRITE, fd, buffers + asked * SPAN, SPAN, asked * SPAN,
                 asked);
    }
    while (done < spans) {
        ring_turn(&ring, fresh);
        fresh = 0;
        uint64_t name;
        int32_t result;
        while (ring_take(&ring, &name, &result)) {
            if (result != SPAN) {
                stop("write", result < 0 ? -result : EIO);
            }
            done++;
            if (asked < spans) {
                ring_ask(&ring, IORING_OP_WRITE, fd, buffers + name * SPAN, SPAN,
                         asked * SPAN, name);
                asked++;
                fresh++;
            }
        }
    }
    double written = now();
    if (fdatasync(fd) != 0) {
        stop("fdatasync", errno);
    }
    (void)printf("{\"bytes\": %llu, \"seconds\": %.6f, \"sync_seconds\": %.6f}\n",
                 (unsigned long long)(spans * SPAN), written - begin, now() - written);
    free(buffers);
}

/* ---- reading -----------------------------------------------------------------------
 */

static int open_part(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
    if (fd < 0) {
        stop(path, errno);
    }
    return fd;
}

static void open_targets(struct targets *targets, int count, char **words) {
    for (int at = 0; at + 1 < count && targets->count < FILES_MAX; at += 2) {
        struct target *target = &targets->list[targets->count];
        target->blocks = strtoull(words[at + 1], NULL, 10) / targets->block;
        if (target->blocks == 0) {
            continue;
        }
        target->fd = open_part(words[at]);
        targets->blocks += target->blocks;
        targets->count++;
    }
    if (targets->blocks == 0) {
        stop("nothing to read", EINVAL);
    }
}

static void ask_read(struct ring *ring, const struct targets *targets, char *buffers,
                     uint64_t *state, uint64_t name) {
    uint64_t block = next(state) % targets->blocks;
    uint32_t at = 0;
    while (block >= targets->list[at].blocks) {
        block -= targets->list[at++].blocks;
    }
    ring_ask(ring, IORING_OP_READ, targets->list[at].fd, buffers + name * BLOCK_MAX,
             targets->block, block * targets->block, name);
}

static void run_read(const struct targets *targets, double seconds, uint64_t most,
                     uint32_t depth, uint64_t seed) {
    struct ring ring;
    char *buffers = aligned((size_t)depth * BLOCK_MAX);
    ring_open(&ring);
    uint64_t reads = 0, flying = depth;
    uint32_t fresh = depth;
    double begin = now(), end = begin + seconds;
    for (uint64_t name = 0; name < depth; name++) {
        ask_read(&ring, targets, buffers, &seed, name);
    }
    while (flying > 0) {
        ring_turn(&ring, fresh);
        fresh = 0;
        int more = now() < end;
        uint64_t name;
        int32_t result;
        while (ring_take(&ring, &name, &result)) {
            if (result != (int32_t)targets->block) {
                stop("read", result < 0 ? -result : EIO);
            }
            reads++;
            flying--;
            if (more && (most == 0 || reads + flying < most)) {
                ask_read(&ring, targets, buffers, &seed, name);
                flying++;
                fresh++;
            }
        }
    }
    (void)printf("{\"reads\": %llu, \"seconds\": %.6f}\n", (unsigned long long)reads,
                 now() - begin);
    free(buffers);
}

/* ---- from beginning to end ---------------------------------------------------------
 */

/* Reads a file's first bytes, a span at a time; gives how many there were. */
static uint64_t scan_part(struct ring *ring, char *buffers, uint32_t depth, int fd,
                          uint64_t bytes) {
    uint64_t spans = (bytes + SPAN - 1) / SPAN, asked = 0, done = 0, got = 0;
    uint32_t fresh = 0;
    for (; asked < depth && asked < spans; asked++, fresh++) {
        ring_ask(ring, IORING_OP_READ, fd, buffers + asked * SPAN, SPAN, asked * SPAN,
                 asked);
    }
    while (done < spans) {
        ring_turn(ring, fresh);
        fresh = 0;
        uint64_t name;
        int32_t result;
        while (ring_take(ring, &name, &result)) {
            if (result < 0) {
                stop("scan", -result);
            }
            got += (uint64_t)result;
            done++;
            if (asked < spans) {
                ring_ask(ring, IORING_OP_READ, fd, buffers + name * SPAN, SPAN,
                         asked * SPAN, name);
                asked++;
                fresh++;
            }
        }
    }
    return got;
}

static void run_scan(int count, char **words, uint32_t depth) {
    struct ring ring;
    char *buffers = aligned((size_t)depth * SPAN);
    uint64_t got = 0;
    ring_open(&ring);
    double begin = now();
    for (int at = 0; at + 1 < count; at += 2) {
        uint64_t bytes = strtoull(words[at + 1], NULL, 10);
        int fd = open_part(words[at]);
        uint64_t had = scan_part(&ring, buffers, depth, fd, bytes);
        if (had < bytes) {
            stop(words[at], EIO);
        }
        got += bytes;
        (void)close(fd);
    }
    (void)printf("{\"bytes\": %llu, \"seconds\": %.6f}\n", (unsigned long long)got,
                 now() - begin);
    free(buffers);
}

/* ---- the program -------------------------------------------------------------------
 */

static uint32_t depth_of(const char *word) {
    unsigned long depth = strtoul(word, NULL, 10);
    if (depth == 0 || depth > DEPTH_MAX) {
        stop("depth", ERANGE);
    }
    return (uint32_t)depth;
}

int main(int count, char **words) {
    static struct targets targets;
    if (count == 5 && strcmp(words[1], "write") == 0) {
        run_write(words[2], strtoull(words[3], NULL, 10), depth_of(words[4]));
        return 0;
    }
    if (count >= 9 && strcmp(words[1], "read") == 0) {
        targets.block = (uint32_t)strtoul(words[6], NULL, 10);
        if (targets.block < 512 || targets.block > BLOCK_MAX) {
            stop("block", ERANGE);
        }
        open_targets(&targets, count - 7, words + 7);
        run_read(&targets, strtod(words[2], NULL), strtoull(words[3], NULL, 10),
                 depth_of(words[4]), strtoull(words[5], NULL, 10));
        return 0;
    }
    if (count >= 5 && strcmp(words[1], "scan") == 0) {
        run_scan(count - 3, words + 3, depth_of(words[2]));
        return 0;
    }
    (void)fprintf(stderr,
                  "usage: raw write FILE MIB DEPTH\n"
                  "       raw read SECONDS COUNT DEPTH SEED BLOCK FILE BYTES ...\n"
                  "       raw scan DEPTH FILE BYTES ...\n");
    return 2;
}
