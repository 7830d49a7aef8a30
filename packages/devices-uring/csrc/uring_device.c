/* SPDX-License-Identifier: MIT */
/* uring_device.c: the device's table, its beginning and its end */
#include "uring_device.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "uring_state.h"

/* Fewer entries than the least that a ring is made of would only refuse more often. */
enum { SUBMIT_MIN = GATHER_MAX, CLOSE_WAIT_MS = 10 };

/* ---- requests ----------------------------------------------------------------------
 */

/* uring_device.h I5: nothing but this is done in a child. */
static int check_owner(const struct uring *uring) {
    return os_fork_generation() == uring->generation ? 0 : E_FORKED;
}

static int check_range(const struct uring *uring, uint64_t offset, const void *buffer,
                       uint64_t length) {
    uint64_t end = (uint64_t)INT64_MAX;
    uint64_t misfit = (offset | length | (uintptr_t)buffer) &
                      (uint64_t)(uring->geometry.alignment - 1);
    return offset <= end && length <= end - offset && misfit == 0 ? 0 : -EINVAL;
}

/* Have a slot, and the keeper at hand.  Inside the lock. */
static int accept(struct uring *uring, struct request **request) {
    if (uring->closing) {
        return E_CLOSED;
    }
    if (uring->broken != 0) {
        return uring->broken;
    }
    int status = uring->keeper_started ? 0 : uring_start_keeper(uring);
    if (status != 0) {
        return status;
    }
    *request = uring_slot(uring);
    if (*request == NULL) {
        return -ENOMEM;
    }
    uring->active++;
    if (uring->keeper_asleep) {
        uring->keeper_asleep = false;
        os_condition_wake_one(&uring->work);
    }
    return 0;
}

/* Whether a batch is worth a call.  Inside the lock. */
static bool enough(struct uring *uring) {
    uint32_t most = uring->delivering > 0 ? GATHER_NESTED : GATHER_MAX;
    if (most > uring->ring.entries_count) {
        most = uring->ring.entries_count;
    }
    /* relaxed: exact inside the lock */
    return atomic_load_explicit(&uring->gathered, memory_order_relaxed) >= most;
}

/* Queue an accepted request; hand over when that is worth it. */
static int submit(struct uring *uring, struct request *prepared, bool begun) {
    struct request *request = NULL;
    os_lock_enter(&uring->lock);
    int status = accept(uring, &request);
    if (status != 0) {
        os_lock_leave(&uring->lock);
        return status;
    }
    *request = *prepared;
    uint32_t count = 0;
    if (begun && !uring_hold(uring, request)) {
        uring_queue(uring, request);
        if (enough(uring)) {
            count = uring_take_gathered(uring);
            uring->inside += count > 0;
        }
    }
    os_lock_leave(&uring->lock);
    if (!begun) {
        uring_deliver(uring, request);
    } else if (count > 0) {
        (void)uring_hand_over(uring, count); /* what passes is tried by later turns */
        uring_leave(uring);
    }
    return 0;
}

static int transfer(struct uring *uring, uint32_t kind, uint64_t offset, void *buffer,
                    uint64_t length, const struct faster_completion *completion) {
    int status = check_owner(uring);
    if (status == 0) {
        status = check_range(uring, offset, buffer, length);
    }
    if (status != 0) {
        return status;
    }
    struct request request = {
        .completion = completion,
        .buffer = buffer,
        .offset = offset,
        .length = length,
        .kind = kind,
    };
    bool begun = request_advance(uring, &request);
    if (!begun && request.status != FASTER_DEVICE_DONE) {
        return request.status; /* refused: nothing is pinned */
    }
    status = submit(uring, &request, begun);
    if (status != 0 && begun) {
        segments_unpin(uring->segments, &request.piece, false);
    }
    return status;
}

static int uring_read(void *context, uint64_t offset, void *buffer, uint64_t length,
                      const struct faster_completion *completion) {
    return transfer(context, REQUEST_READ, offset, buffer, length, completion);
}

static int uring_write(void *context, uint64_t offset, const void *buffer,
                       uint64_t length, const struct faster_completion *completion) {
    /* Only read from; requests of both kinds are one struct. */
    void *bytes = (void *)(uintptr_t)buffer;
    return transfer(context, REQUEST_WRITE, offset, bytes, length, completion);
}

/* A sync waits for the one that runs, or begins. */
static int uring_sync(void *context, const struct faster_completion *completion) {
    struct uring *uring = context;
    int status = check_owner(uring);
    if (status == 0) {
        status = segments_failed(uring->segments);
    }
    if (status != 0) {
        return status;
    }
    struct request *request = NULL;
    os_lock_enter(&uring->lock);
    status = accept(uring, &request);
    if (status != 0) {
        os_lock_leave(&uring->lock);
        return status;
    }
    *request = (struct request){.completion = completion, .kind = REQUEST_SYNC};
    bool waits = uring->sync_running != NULL;
    if (waits) {
        push(&uring->syncs, request);
    } else {
        uring->sync_running = request;
        uring->inside++;
    }
    os_lock_leave(&uring->lock);
    if (!waits) {
        uring_run_sync(uring, request);
        uring_leave(uring);
    }
    return 0;
}

static int uring_truncate_before(void *context, uint64_t offset) {
    struct uring *uring = context;
    int status = check_owner(uring);
    return status == 0 ? segments_truncate_before(uring->segments, offset) : status;
}

static void attend(struct uring *uring) {
    /* relaxed: a hint for the keeper; a lost count is a look too many */
    uint64_t count = atomic_load_explicit(&uring->attended, memory_order_relaxed);
    /* relaxed: as above */
    atomic_store_explicit(&uring->attended, count + 1, memory_order_relaxed);
}

static int uring_poll(void *context) {
    struct uring *uring = context;
    int status = check_owner(uring);
    if (status != 0) {
        return status;
    }
    /* Who only hands over may never look for the results; who has nothing to hand over
     * came to look. */
    if (!uring_enter(uring, true)) {
        attend(uring);
    }
    int count = uring_turn(uring);
    uring_leave(uring);
    return count;
}

static int uring_wait(void *context, uint32_t timeout_ms) {
    struct uring *uring = context;
    int status = check_owner(uring);
    if (status != 0) {
        return status;
    }
    attend(uring);
    (void)uring_enter(uring, timeout_ms == 0);
    int count = timeout_ms > 0 ? uring_help(uring) : 0;
    if (count == 0) {
        count = uring_sleep(uring, timeout_ms, true);
    }
    uring_leave(uring);
    return count;
}

/* ---- the end -----------------------------------------------------------------------
 */

static void tell_figures(struct uring *uring, struct uring_figures *figures) {
    os_lock_enter(&uring->lock);
    *figures = uring->figures;
    os_lock_leave(&uring->lock);
    figures->depth = uring->room;
    figures->alignment = uring->geometry.alignment;
    figures->sector_size = uring->geometry.sector_size;
    figures->direct = uring->geometry.direct ? 1 : 0;
    figures->restricted = uring->ring.restricted ? 1 : 0;
    figures->failed = segments_failed(uring->segments);
}

static void free_memory(struct uring *uring) {
    while (uring->slots != NULL) {
        struct slots *next = uring->slots->next;
        free(uring->slots);
        uring->slots = next;
    }
    os_condition_destroy(&uring->work);
    os_condition_destroy(&uring->left);
    os_lock_destroy(&uring->lock);
    free(uring);
}

/* Complete what is in flight; ended by the kernel, which answers every request. */
static void drain(struct uring *uring) {
    os_lock_enter(&uring->lock);
    uring->closing = true;
    uring_let_go(uring);
    while (uring->active > 0) {
        os_lock_leave(&uring->lock);
        (void)uring_sleep(uring, CLOSE_WAIT_MS, true);
        os_lock_enter(&uring->lock);
    }
    while (uring->inside > 0) { /* ended by uring_leave */
        os_condition_wait(&uring->left, &uring->lock, CLOSE_WAIT_MS);
    }
    os_lock_leave(&uring->lock);
}

static int uring_close(void *context) {
    struct uring *uring = context;
    int status = check_owner(uring);
    if (status != 0) {
        return status;
    }
    drain(uring);
    uring_stop_keeper(uring);
    if (uring->closing_call != NULL) {
        struct uring_figures last;
        tell_figures(uring, &last);
        uring->closing_call(uring->closing_context, &last);
    }
    ring_close(&uring->ring, false);
    status = segments_close(uring->segments);
    free_memory(uring);
    return status;
}

/* ---- the beginning -----------------------------------------------------------------
 */

/* As the system does; but a ring takes "do not block" at its word, and would answer
 * -EAGAIN where a read has to wait for the disk. */
static int open_for_ring(const struct os *os, os_file directory, const char *name,
                         uint32_t flags, os_file *file) {
    (void)os;
    const struct os *system = os_system();
    os_file opened = OS_NOWHERE;
    int status = system->open_file(system, directory, name, flags, &opened);
    if (status != 0) {
        return status;
    }
    int modes = fcntl((int)opened, F_GETFL);
    if (modes < 0 || fcntl((int)opened, F_SETFL, modes & ~O_NONBLOCK) != 0) {
        status = -errno;
        (void)system->close_file(system, opened);
        return status;
    }
    *file = opened;
    return 0;
}

static int uring_new(struct uring **out) {
    struct uring *uring = calloc(1, sizeof *uring);
    if (uring == NULL) {
        return -ENOMEM;
    }
    int status = os_lock_init(&uring->lock);
    if (status != 0) {
        goto no_lock;
    }
    status = os_condition_init(&uring->left);
    if (status != 0) {
        goto no_left;
    }
    status = os_condition_init(&uring->work);
    if (status != 0) {
        goto no_work;
    }
    uring->os = *os_system();
    uring->os.open_file = open_for_ring;
    *out = uring;
    return 0;
no_work:
    os_condition_destroy(&uring->left);
no_left:
    os_lock_destroy(&uring->lock);
no_lock:
    free(uring);
    return status;
}

static int open_ring(struct ring *ring, uint32_t depth,
                     const struct ring_calls *calls) {
    uint32_t entries = depth / 2 < SUBMIT_MIN ? (uint32_t)SUBMIT_MIN : depth / 2;
    return ring_open(ring, entries, depth, calls == NULL ? &ring_system : calls);
}

static void fill_table(struct uring *uring, bool read_only,
                       struct faster_device *device) {
    uint64_t promised = read_only ? FASTER_DEVICE_SHARED
                                  : FASTER_DEVICE_TRUNCATES | FASTER_DEVICE_FLUSHES;
    *device = (struct faster_device){
        .abi = FASTER_DEVICE_ABI,
        .size = sizeof *device,
        .context = uring,
        .capabilities = promised | FASTER_DEVICE_DRIVEN,
        .sector_size = uring->geometry.sector_size,
        .alignment = uring->geometry.alignment,
        .read = uring_read,
        .write = uring_write,
        .sync = uring_sync,
        .truncate_before = uring_truncate_before,
        .poll = uring_poll,
        .wait = uring_wait,
        .close = uring_close,
    };
}

int uring_device_open(const struct uring_settings *settings,
                      struct faster_device *device, struct segments_problem *problem,
                      bool *ring_refused) {
    uint32_t depth = settings->depth;
    memset(problem, 0, sizeof *problem);
    *ring_refused = false;
    if (depth < RING_ENTRIES_MIN || depth > RING_ENTRIES_MAX ||
        (depth & (depth - 1)) != 0) {
        return -EINVAL;
    }
    struct uring *uring = NULL;
    int status = os_fork_watch();
    if (status == 0) {
        status = uring_new(&uring);
    }
    if (status != 0) {
        return status;
    }
    /* The ring first: a refusal must leave the directory as it was. */
    status = open_ring(&uring->ring, depth, settings->calls);
    if (status != 0) {
        *ring_refused = true;
        free_memory(uring);
        return status;
    }
    uring->generation = os_fork_generation();
    uring->room = uring->ring.results_count - RESERVED;
    status = segments_open(&settings->segments, &uring->os, &uring->segments, problem);
    if (status != 0) {
        ring_close(&uring->ring, false);
        free_memory(uring);
        return status;
    }
    uring->geometry = segments_geometry(uring->segments);
    uring->closing_call = settings->closing;
    uring->closing_context = settings->closing_context;
    fill_table(uring, settings->segments.read_only, device);
    return 0;
}

void uring_device_figures(const struct faster_device *device,
                          struct uring_figures *figures) {
    tell_figures(device->context, figures);
}

int uring_device_probe(const struct ring_calls *calls) {
    struct ring ring;
    int status = open_ring(&ring, RING_ENTRIES_MIN, calls);
    if (status == 0) {
        ring_close(&ring, false);
    }
    return status;
}
