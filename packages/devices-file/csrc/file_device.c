/* SPDX-License-Identifier: MIT */
/* file_device.c: see file_device.h */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "file_device.h"
#include "transfer.h"

enum { KIND_READ, KIND_WRITE, KIND_SYNC };

struct request {
    struct request *next;
    struct faster_completion completion;
    uint64_t offset;
    uint64_t length;
    uint8_t *buffer;  /* written to only by reads */
    uintptr_t thread; /* that submitted it (os_thread_id) */
    int kind;
};

/* First in, first out. */
struct queue {
    struct request *first;
    struct request *last;
};

enum {
    SLAB_SIZE = 256, /* requests are made in slabs, which live as long as the device */
    GATHER_MAX = 16, /* transfers that are handed on without a call of poll: enough to
                      * pay for waking threads, and few beside what the threads do */
    LOOK_MAX = 32    /* transfers that a waiting thread looks through for its own */
};

struct slab {
    struct slab *next;
    struct request requests[SLAB_SIZE];
};

struct file_device {
    const struct os *os;
    struct segments *segments;
    uint32_t alignment;
    uint32_t fork_generation;
    uint32_t threads;
    struct os_thread pool[FILE_DEVICE_THREADS_MAX];

    struct os_lock lock;            /* guards the rest */
    struct os_condition work;       /* posted once for each thread that is called */
    struct os_condition completion; /* woken when something was completed */
    struct queue transfers;
    uint64_t queued; /* transfers in it */
    struct queue syncs;
    bool syncing; /* one thread runs a sync */
    bool stopping;
    uint32_t idle;      /* threads of the pool that have nothing to do */
    uint32_t called;    /* so many of them are to look again (I5) */
    uint32_t waiting;   /* threads that sleep in wait or close */
    uint64_t in_flight; /* submitted and not counted as completed */
    uint64_t completed;
    uint64_t reported; /* of `completed`, by poll and wait */
    struct request *unused;
    struct slab *slabs;
    uint64_t made;
};

/* ---- requests ----------------------------------------------------------------------
 */

static void queue_push(struct queue *queue, struct request *request) {
    request->next = NULL;
    if (queue->first == NULL) {
        queue->first = request;
    } else {
        queue->last->next = request;
    }
    queue->last = request;
}

/* Take out the request behind `before`, or the first one for NULL. */
static struct request *queue_take(struct queue *queue, struct request *before) {
    struct request *request = before == NULL ? queue->first : before->next;
    if (request == NULL) {
        return NULL;
    }
    if (before == NULL) {
        queue->first = request->next;
    } else {
        before->next = request->next;
    }
    if (queue->last == request) {
        queue->last = before;
    }
    return request;
}

/* Make more requests.  Inside the lock. */
static int make_requests(struct file_device *device) {
    if (device->made >= FILE_DEVICE_REQUESTS) {
        return -EAGAIN;
    }
    struct slab *slab = malloc(sizeof *slab);
    if (slab == NULL) {
        return -ENOMEM;
    }
    slab->next = device->slabs;
    device->slabs = slab;
    device->made += SLAB_SIZE;
    for (int i = 0; i < SLAB_SIZE; i++) {
        slab->requests[i].next = device->unused;
        device->unused = &slab->requests[i];
    }
    return 0;
}

static bool may_sync(const struct file_device *device) {
    return device->syncs.first != NULL && !device->syncing;
}

/* Hand on what was gathered: call as many threads as there is work for, but those that
 * are called already.  Busy ones look by themselves.  Inside the lock. */
static void call_pool(struct file_device *device) {
    uint64_t wanted = device->queued + (may_sync(device) ? 1u : 0u);
    while (device->called < device->idle && device->called < wanted) {
        device->called++;
        os_condition_wake_one(&device->work);
    }
}

static int submit(struct file_device *device, const struct request *wanted) {
    int status = 0;
    os_lock_enter(&device->lock);
    if (device->unused == NULL) {
        status = make_requests(device);
    }
    if (status == 0) {
        struct request *request = device->unused;
        device->unused = request->next;
        *request = *wanted;
        request->thread = os_thread_id();
        device->in_flight++;
        if (request->kind == KIND_SYNC) {
            queue_push(&device->syncs, request);
        } else {
            queue_push(&device->transfers, request);
            device->queued++;
        }
        /* Who reads may have other things to do before it polls; who writes and syncs
         * waits for both. */
        if (request->kind == KIND_READ || device->queued >= GATHER_MAX) {
            call_pool(device);
        }
    }
    os_lock_leave(&device->lock);
    return status;
}

/* Tell whoever submitted, then count it (I1). */
static void complete(struct file_device *device, struct request *request, int status,
                     uint64_t moved) {
    int32_t code = status == 0 ? (int32_t)FASTER_DEVICE_DONE : (int32_t)status;
    request->completion.done(request->completion.context, code, moved);
    os_lock_enter(&device->lock);
    request->next = device->unused;
    device->unused = request;
    device->in_flight--;
    device->completed++;
    if (device->waiting > 0) {
        os_condition_wake_all(&device->completion);
    }
    os_lock_leave(&device->lock);
}

/* ---- carrying out ------------------------------------------------------------------
 */

static struct transfer transfer_of(const struct file_device *device,
                                   const struct segments_piece *piece) {
    return (struct transfer){
        .os = device->os,
        .file = piece->file,
        .position = piece->position,
        .length = piece->length,
        .alignment = device->alignment,
    };
}

/* Read what a piece has. */
static int read_piece(struct file_device *device, const struct segments_piece *piece,
                      uint8_t *to) {
    if (piece->kind != SEGMENTS_FILE) {
        memset(to, 0, (size_t)piece->length);
        return 0;
    }
    struct transfer transfer = transfer_of(device, piece);
    int64_t moved = transfer_read(&transfer, to);
    segments_unpin(device->segments, piece, false);
    if (moved < 0) {
        return (int)moved;
    }
    return (uint64_t)moved == piece->length ? 0 : -EIO; /* segments.h I6 */
}

static void run_read(struct file_device *device, struct request *request) {
    uint64_t done = 0;
    bool ended = false;
    int status = 0;
    while (done < request->length && status == 0 && !ended) {
        struct segments_piece piece;
        status = segments_pin_read(device->segments, request->offset + done,
                                   request->length - done, &piece);
        if (status == 0) {
            status = read_piece(device, &piece, request->buffer + done);
            done += status == 0 ? piece.length : 0;
            ended = piece.kind == SEGMENTS_END;
        }
    }
    complete(device, request, status, done);
}

static void run_write(struct file_device *device, struct request *request) {
    uint64_t done = 0;
    int status = 0;
    while (done < request->length && status == 0) {
        struct segments_piece piece;
        status = segments_pin_write(device->segments, request->offset + done,
                                    request->length - done, &piece);
        if (status == 0 && piece.kind == SEGMENTS_FILE) {
            struct transfer transfer = transfer_of(device, &piece);
            status = transfer_write(&transfer, request->buffer + done);
            segments_unpin(device->segments, &piece, true);
        }
        done += status == 0 ? piece.length : 0;
    }
    complete(device, request, status, done);
}

/* Sync once for all that have gathered (I2).  The next one may begin before these are
 * told: whoever is woken by one of them may want to run it. */
static void run_syncs(struct file_device *device, struct request *first) {
    int status = segments_sync(device->segments);
    os_lock_enter(&device->lock);
    device->syncing = false;
    os_lock_leave(&device->lock);
    while (first != NULL) {
        struct request *next = first->next;
        complete(device, first, status, 0);
        first = next;
    }
}

static void run(struct file_device *device, struct request *request) {
    if (request->kind == KIND_SYNC) {
        run_syncs(device, request);
    } else if (request->kind == KIND_READ) {
        run_read(device, request);
    } else {
        run_write(device, request);
    }
}

/* Take all syncs that have gathered; none runs.  Inside the lock. */
static struct request *take_syncs(struct file_device *device) {
    struct request *first = device->syncs.first;
    device->syncs.first = NULL;
    device->syncing = true;
    return first;
}

/* As queue_take.  Inside the lock. */
static struct request *take_transfer(struct file_device *device,
                                     struct request *before) {
    struct request *request = queue_take(&device->transfers, before);
    device->queued -= request != NULL ? 1u : 0u;
    return request;
}

/* ---- the pool ----------------------------------------------------------------------
 */

/* Take all syncs, or one transfer, or NULL.  Inside the lock. */
static struct request *take_work(struct file_device *device) {
    return may_sync(device) ? take_syncs(device) : take_transfer(device, NULL);
}

/* Sleep until this thread, or another one in its place, is called; it is counted as
 * idle already.  Inside the lock. */
static void sleep_until_called(struct file_device *device) {
    while (device->called == 0 && !device->stopping) {
        os_condition_wait(&device->work, &device->lock, OS_FOREVER);
    }
    device->called -= device->called > 0 ? 1u : 0u;
    device->idle--;
}

/* A thread of the pool; it begins idle (I6). */
static void run_pool(void *context) {
    struct file_device *device = context;
    os_lock_enter(&device->lock);
    sleep_until_called(device);
    for (;;) {
        struct request *request = take_work(device);
        if (request != NULL) {
            os_lock_leave(&device->lock);
            run(device, request);
            os_lock_enter(&device->lock);
        } else if (device->stopping) {
            break;
        } else {
            device->idle++;
            sleep_until_called(device);
        }
    }
    os_lock_leave(&device->lock);
}

/* ---- the table ---------------------------------------------------------------------
 */

static int check_owner(const struct file_device *device) {
    return os_fork_generation() == device->fork_generation ? 0 : -EOWNERDEAD; /* I3 */
}

static int check_range(const struct file_device *device, uint64_t offset,
                       const void *buffer, uint64_t length) {
    const uint64_t end = (uint64_t)INT64_MAX;
    uint64_t misfit = (offset | length | (uintptr_t)buffer) & (device->alignment - 1);
    if (misfit != 0 || offset > end || length > end - offset) {
        return -EINVAL;
    }
    return check_owner(device);
}

static int file_read(void *context, uint64_t offset, void *buffer, uint64_t length,
                     const struct faster_completion *completion) {
    struct file_device *device = context;
    int status = check_range(device, offset, buffer, length);
    const struct request request = {.completion = *completion,
                                    .offset = offset,
                                    .length = length,
                                    .buffer = buffer,
                                    .kind = KIND_READ};
    return status == 0 ? submit(device, &request) : status;
}

static int file_write(void *context, uint64_t offset, const void *buffer,
                      uint64_t length, const struct faster_completion *completion) {
    struct file_device *device = context;
    int status = check_range(device, offset, buffer, length);
    const struct request request = {.completion = *completion,
                                    .offset = offset,
                                    .length = length,
                                    .buffer = (uint8_t *)(uintptr_t)buffer,
                                    .kind = KIND_WRITE};
    return status == 0 ? submit(device, &request) : status;
}

static int file_sync(void *context, const struct faster_completion *completion) {
    struct file_device *device = context;
    int status = check_owner(device);
    const struct request request = {.completion = *completion, .kind = KIND_SYNC};
    return status == 0 ? submit(device, &request) : status;
}

static int file_truncate_before(void *context, uint64_t offset) {
    struct file_device *device = context;
    int status = check_owner(device);
    return status == 0 ? segments_truncate_before(device->segments, offset) : status;
}

/* What was completed since the last report.  Inside the lock. */
static int report(struct file_device *device) {
    uint64_t count = device->completed - device->reported;
    device->reported = device->completed;
    return count < INT32_MAX ? (int)count : INT32_MAX;
}

static int file_poll(void *context) {
    struct file_device *device = context;
    int status = check_owner(device);
    if (status != 0) {
        return status;
    }
    os_lock_enter(&device->lock);
    call_pool(device);
    int count = report(device);
    os_lock_leave(&device->lock);
    return count;
}

static bool has_sync_of(const struct file_device *device, uintptr_t thread) {
    const struct request *each = device->syncs.first;
    for (int i = 0; i < LOOK_MAX && each != NULL && each->thread != thread; i++) {
        each = each->next;
    }
    return each != NULL && each->thread == thread;
}

/* Take the oldest transfer that a thread has submitted itself, or the syncs if one of
 * them is its own, or NULL (I4).  Inside the lock. */
static struct request *take_own(struct file_device *device, uintptr_t thread) {
    struct request *before = NULL;
    struct request *each = device->transfers.first;
    for (int i = 0; i < LOOK_MAX && each != NULL; i++) {
        if (each->thread == thread) {
            return take_transfer(device, before);
        }
        before = each;
        each = each->next;
    }
    bool sync = may_sync(device) && has_sync_of(device, thread);
    return sync ? take_syncs(device) : NULL;
}

/* Carry out a request of the calling thread, which would otherwise sleep while a thread
 * of the pool does it: waking one and being woken cost as much as a short write.
 * Inside the lock, which is left meanwhile. */
static bool help(struct file_device *device) {
    struct request *own = take_own(device, os_thread_id());
    call_pool(device);
    if (own == NULL) {
        return false;
    }
    os_lock_leave(&device->lock);
    run(device, own);
    os_lock_enter(&device->lock);
    call_pool(device); /* syncs that could not be taken while this one ran */
    return true;
}

/* Sleep until something is completed that was not when this began, nothing is in
 * flight, or the time is over.  Inside the lock. */
static void sleep_until_completed(struct file_device *device, uint32_t timeout_ms) {
    uint64_t seen = device->completed;
    uint64_t begin = os_clock_ms(), past = 0;
    device->waiting++;
    while (device->completed == seen && device->in_flight > 0 && past < timeout_ms) {
        os_condition_wait(&device->completion, &device->lock,
                          (uint32_t)(timeout_ms - past));
        past = os_clock_ms() - begin;
    }
    device->waiting--;
}

static int file_wait(void *context, uint32_t timeout_ms) {
    struct file_device *device = context;
    int status = check_owner(device);
    if (status != 0) {
        return status;
    }
    os_lock_enter(&device->lock);
    if (device->completed != device->reported || timeout_ms == 0) {
        call_pool(device);
    } else if (!help(device)) {
        sleep_until_completed(device, timeout_ms);
    }
    int count = report(device);
    os_lock_leave(&device->lock);
    return count;
}

/* ---- beginning and end -------------------------------------------------------------
 */

/* Let the threads end when nothing is in flight any more. */
static void stop_threads(struct file_device *device) {
    os_lock_enter(&device->lock);
    call_pool(device);
    device->waiting++;
    while (device->in_flight > 0) {
        os_condition_wait(&device->completion, &device->lock, OS_FOREVER);
    }
    device->waiting--;
    device->stopping = true;
    os_condition_wake_all(&device->work);
    os_lock_leave(&device->lock);
    for (uint32_t i = 0; i < device->threads; i++) {
        os_thread_join(&device->pool[i]);
    }
}

static void file_free(struct file_device *device) {
    while (device->slabs != NULL) {
        struct slab *next = device->slabs->next;
        free(device->slabs);
        device->slabs = next;
    }
    os_condition_destroy(&device->completion);
    os_condition_destroy(&device->work);
    os_lock_destroy(&device->lock);
    free(device);
}

static int file_close(void *context) {
    struct file_device *device = context;
    int status = check_owner(device);
    if (status != 0) {
        return status;
    }
    stop_threads(device);
    status = segments_close(device->segments);
    file_free(device);
    return status;
}

/* Start the pool.  A thread counts as idle before it runs (I6), so none takes what was
 * submitted just because it began late. */
static int start_threads(struct file_device *device, uint32_t threads) {
    int status = 0;
    while (device->threads < threads && status == 0) {
        os_lock_enter(&device->lock);
        device->idle++;
        os_lock_leave(&device->lock);
        status = os_thread_start(&device->pool[device->threads], run_pool, device);
        device->threads += status == 0 ? 1 : 0;
    }
    return status;
}

static int file_new(struct file_device **out) {
    struct file_device *device = calloc(1, sizeof *device);
    if (device == NULL) {
        return -ENOMEM;
    }
    int status = os_lock_init(&device->lock);
    if (status != 0) {
        goto no_lock;
    }
    status = os_condition_init(&device->work);
    if (status != 0) {
        goto no_work;
    }
    status = os_condition_init(&device->completion);
    if (status != 0) {
        goto no_completion;
    }
    *out = device;
    return 0;
no_completion:
    os_condition_destroy(&device->work);
no_work:
    os_lock_destroy(&device->lock);
no_lock:
    free(device);
    return status;
}

static void fill_table(struct file_device *context, bool read_only,
                       struct faster_device *device) {
    struct segments_geometry geometry = segments_geometry(context->segments);
    uint64_t promised = read_only ? FASTER_DEVICE_SHARED
                                  : FASTER_DEVICE_TRUNCATES | FASTER_DEVICE_FLUSHES;
    *device = (struct faster_device){
        .abi = FASTER_DEVICE_ABI,
        .size = sizeof *device,
        .context = context,
        .capabilities = promised | FASTER_DEVICE_DRIVEN,
        .sector_size = geometry.sector_size,
        .alignment = geometry.alignment,
        .read = file_read,
        .write = file_write,
        .sync = file_sync,
        .truncate_before = file_truncate_before,
        .poll = file_poll,
        .wait = file_wait,
        .close = file_close,
    };
}

int file_device_open(const struct segments_settings *settings, uint32_t threads,
                     const struct os *os, struct faster_device *device,
                     struct segments_problem *problem) {
    memset(problem, 0, sizeof *problem);
    if (threads == 0 || threads > FILE_DEVICE_THREADS_MAX) {
        return -EINVAL;
    }
    struct file_device *opened = NULL;
    int status = os_fork_watch();
    if (status == 0) {
        status = file_new(&opened);
    }
    if (status != 0) {
        return status;
    }
    opened->os = os;
    opened->fork_generation = os_fork_generation();
    status = segments_open(settings, os, &opened->segments, problem);
    if (status != 0) {
        file_free(opened);
        return status;
    }
    opened->alignment = segments_geometry(opened->segments).alignment;
    status = start_threads(opened, threads);
    if (status != 0) {
        stop_threads(opened);
        (void)segments_close(opened->segments);
        file_free(opened);
        return status;
    }
    fill_table(opened, settings->read_only, device);
    return 0;
}

bool file_device_is_direct(const struct faster_device *device) {
    const struct file_device *context = device->context;
    return segments_geometry(context->segments).direct;
}
