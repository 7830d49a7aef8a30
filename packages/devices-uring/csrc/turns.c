/* SPDX-License-Identifier: MIT */
/* turns.c: handing over, fetching, sleeping, and the keeper */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "uring_state.h"

/* What entries carry that are not of requests; no request is there. */
enum { WAKE = 1, MARK = 2 };

/* ---- slots and the ring, inside the lock -------------------------------------------
 */

struct request *uring_slot(struct uring *uring) {
    if (uring->free == NULL) {
        struct slots *more = calloc(1, sizeof *more);
        if (more == NULL) {
            return NULL;
        }
        more->next = uring->slots;
        uring->slots = more;
        for (int i = 0; i < SLOTS_AT_ONCE; i++) {
            more->slots[i].next = uring->free;
            uring->free = &more->slots[i];
        }
    }
    struct request *request = uring->free;
    uring->free = request->next;
    return request;
}

static uint32_t gathered(const struct uring *uring) {
    /* relaxed: exact inside the lock, outside of it a hint */
    return atomic_load_explicit(&uring->gathered, memory_order_relaxed);
}

static void set_gathered(struct uring *uring, uint32_t count) {
    /* relaxed: as above */
    atomic_store_explicit(&uring->gathered, count, memory_order_relaxed);
}

static bool place(struct uring *uring, struct request *request) {
    if (uring->in_ring >= uring->room) {
        return false;
    }
    struct io_uring_sqe *entry = ring_take(&uring->ring);
    if (entry == NULL) {
        return false;
    }
    request_describe(request, entry);
    ring_publish(&uring->ring);
    request->in_kernel = true;
    uring->in_ring++;
    set_gathered(uring, gathered(uring) + 1);
    return true;
}

void uring_queue(struct uring *uring, struct request *request) {
    if (uring->waiting.first != NULL || !place(uring, request)) {
        push(&uring->waiting, request);
        uring->figures.excess++;
    }
}

void uring_let_go(struct uring *uring) {
    struct request *held = uring->held;
    uring->held = NULL;
    if (held != NULL && uring->broken != 0) {
        push(&uring->waiting, held); /* and fails there */
    } else if (held != NULL) {
        uring_queue(uring, held);
    }
}

static void feed(struct uring *uring) {
    while (uring->waiting.first != NULL && place(uring, uring->waiting.first)) {
        (void)pop(&uring->waiting);
    }
}

/* An entry without a file; the room for its result is reserved. */
static bool place_empty(struct uring *uring, uint64_t user_data, uint8_t flags) {
    struct io_uring_sqe *entry = ring_take(&uring->ring);
    if (entry == NULL) {
        return false;
    }
    entry->opcode = IORING_OP_NOP;
    entry->flags = flags;
    entry->fd = -1;
    entry->user_data = user_data;
    ring_publish(&uring->ring);
    set_gathered(uring, gathered(uring) + 1);
    return true;
}

/* Whether the ring takes nothing any more, so that what it has not taken fails. */
static bool refuses(const struct uring *uring) {
    return uring->broken != 0 && uring->refusals >= REFUSALS_MAX;
}

uint32_t uring_take_gathered(struct uring *uring) {
    bool pauses = uring->refusals > 0 && os_clock_ms() < uring->pause_end_ms;
    if (pauses || refuses(uring)) {
        return 0;
    }
    uint32_t count = gathered(uring);
    set_gathered(uring, 0);
    uring->figures.submitted += count; /* settle() takes back what the kernel did not */
    return count;
}

static void give_up(struct uring *uring, int32_t why) {
    if (uring->broken == 0) {
        uring->broken = why;
    }
}

/* Whether a call may succeed later. */
static bool passes_by(int taken) {
    return taken == -EAGAIN || taken == -EBUSY || taken == -EINTR || taken == -ETIME;
}

/* Have again what the kernel did not take.  Inside the lock. */
static void count_back(struct uring *uring, uint32_t count) {
    set_gathered(uring, gathered(uring) + count);
    uring->figures.submitted -= count;
}

/* Account for a call that should have handed over `count`.  Inside the lock. */
static void settle(struct uring *uring, uint32_t count, int taken) {
    uring->figures.enters++;
    if (taken >= 0) {
        if (count > 0 && !refuses(uring)) {
            uring->refusals = 0;
        }
        count_back(uring, count - (uint32_t)taken);
        return;
    }
    count_back(uring, count);
    if (count > 0) {
        uring->refusals++;
        uint64_t pause = uring->refusals <= REFUSALS_FAST ? REST_MS : PAUSE_MS;
        uring->pause_end_ms = os_clock_ms() + pause;
    }
    if (taken == -EBADR) {
        uring->mark_wanted = true;
        give_up(uring, -EIO);
    } else if (!passes_by(taken)) {
        give_up(uring, taken);
        uring->refusals = REFUSALS_MAX;
    }
    if (uring->refusals >= REFUSALS_MAX) {
        give_up(uring, taken);
    }
}

int uring_hand_over(struct uring *uring, uint32_t count) {
    if (count == 0) {
        return 0;
    }
    int taken = ring_enter(&uring->ring, count, 0, 0);
    os_lock_enter(&uring->lock);
    settle(uring, count, taken);
    os_lock_leave(&uring->lock);
    return taken < 0 ? taken : 0;
}

/* ---- finished requests -------------------------------------------------------------
 */

/* Wake a thread that may sleep for a result which was fetched before it slept: nothing
 * else would, for nothing is in the kernel.  Inside the lock. */
static uint32_t wake_sleepers(struct uring *uring) {
    bool needed = uring->sleepers > 0 && uring->in_ring == 0 && !uring->woken;
    if (!needed || !place_empty(uring, WAKE, 0)) {
        return 0;
    }
    uring->woken = true;
    return uring_take_gathered(uring);
}

void uring_deliver(struct uring *uring, struct request *finished) {
    uint32_t count = 0;
    struct request *last = NULL;
    if (finished == NULL) {
        return;
    }
    os_lock_enter(&uring->lock);
    uring->delivering++;
    os_lock_leave(&uring->lock);
    for (struct request *each = finished; each != NULL; each = each->next) {
        const struct faster_completion *completion = each->completion;
        completion->done(completion->context, each->status, each->moved);
        last = each;
        count++;
    }
    os_lock_enter(&uring->lock);
    uring->delivering--;
    last->next = uring->free;
    uring->free = finished;
    uring->active -= count;
    uring->figures.completed += count;
    uint32_t gathered_now = wake_sleepers(uring);
    uring->inside += gathered_now > 0;
    if (uring->closing && uring->active == 0) {
        os_condition_wake_all(&uring->left);
    }
    os_lock_leave(&uring->lock);
    if (gathered_now > 0) {
        (void)uring_hand_over(uring, gathered_now);
        uring_leave(uring);
    }
}

bool uring_enter(struct uring *uring, bool let_go) {
    os_lock_enter(&uring->lock);
    uring->inside++;
    if (let_go) {
        uring_let_go(uring);
    }
    bool any = gathered(uring) > 0;
    os_lock_leave(&uring->lock);
    return any;
}

void uring_leave(struct uring *uring) {
    os_lock_enter(&uring->lock);
    uring->inside--;
    if (uring->closing && uring->inside == 0) {
        os_condition_wake_all(&uring->left);
    }
    os_lock_leave(&uring->lock);
}

/* A sync has ended: all that share it have, and those that came meanwhile begin. */
static void end_sync(struct uring *uring, struct request *sync,
                     struct requests *finished, struct requests *again) {
    while (sync != NULL) {
        struct request *sharers = sync->sharers;
        int32_t status = sync->status;
        push(finished, sync);
        while (sharers != NULL) {
            struct request *next = sharers->next;
            sharers->status = status;
            push(finished, sharers);
            sharers = next;
        }
        os_lock_enter(&uring->lock);
        sync = uring->syncs.first;
        uring->syncs.first = NULL;
        uring->sync_running = sync;
        os_lock_leave(&uring->lock);
        if (sync != NULL) {
            sync->sharers = sync->next;
        }
        if (sync != NULL && request_begin_sync(uring, sync)) {
            push(again, sync);
            sync = NULL;
        }
    }
}

static void end(struct uring *uring, struct request *request, struct requests *finished,
                struct requests *again) {
    if (request->kind == REQUEST_SYNC) {
        end_sync(uring, request, finished, again);
    } else {
        push(finished, request);
    }
}

/* ---- fetching ----------------------------------------------------------------------
 */

/* Requests whose results were lost; all earlier ones have ended.  Inside the lock. */
static void take_lost(struct uring *uring, struct requests *lost) {
    for (struct slots *slots = uring->slots; slots != NULL; slots = slots->next) {
        for (int i = 0; i < SLOTS_AT_ONCE; i++) {
            if (slots->slots[i].in_kernel) {
                slots->slots[i].in_kernel = false;
                uring->in_ring--;
                push(lost, &slots->slots[i]);
            }
        }
    }
}

/* Fetch results; those that are not of requests are worked off.  Inside the lock. */
static uint32_t fetch(struct uring *uring, struct ring_result *results,
                      struct requests *lost) {
    uint32_t fetched = ring_reap(&uring->ring, results, BATCH);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < fetched; i++) {
        if (results[i].user_data == WAKE) {
            uring->woken = false;
        } else if (results[i].user_data == MARK) {
            /* A mark that failed says nothing of the others: they stay (I3). */
            if (results[i].result == 0) {
                take_lost(uring, lost);
            }
        } else {
            struct request *request = (void *)(uintptr_t)results[i].user_data;
            request->in_kernel = false;
            uring->in_ring--;
            results[kept++] = results[i];
        }
    }
    if (uring->broken == 0) {
        feed(uring);
    }
    return kept;
}

/* Queue what is not finished; a ring that is given up finishes it. */
static void go_on(struct uring *uring, struct requests *again, struct requests *rest,
                  struct requests *lost) {
    os_lock_enter(&uring->lock);
    bool broken = uring->broken != 0;
    for (struct request *each; (each = pop(again)) != NULL;) {
        if (broken) {
            push(lost, each);
        } else {
            uring->figures.retried += each->tries > 0;
            uring->figures.rests += each->tries == 0;
            uring_queue(uring, each);
        }
    }
    for (struct request *each; (each = pop(rest)) != NULL;) {
        if (broken) {
            push(lost, each);
        } else {
            if (uring->resting.first == NULL) {
                uring->rest_end_ms = os_clock_ms() + REST_MS;
            }
            uring->figures.retried++;
            push(&uring->resting, each);
        }
    }
    os_lock_leave(&uring->lock);
}

/* End requests whose hand-over failed for good or whose result was lost. */
static void fail_all(struct uring *uring, struct requests *lost,
                     struct requests *finished, struct requests *again) {
    for (struct request *each; (each = pop(lost)) != NULL;) {
        request_fail(uring, each, -EIO);
        if (each->kind == REQUEST_SYNC) {
            (void)segments_latch(uring->segments, -EIO);
        }
        end(uring, each, finished, again);
    }
}

/* Queue what goes on, end what cannot, and tell of all that ended.  Each pass ends or
 * queues every request that it is given. */
static uint32_t sort_out(struct uring *uring, struct requests *finished,
                         struct requests *again, struct requests *rest,
                         struct requests *lost) {
    fail_all(uring, lost, finished, again);
    while (again->first != NULL || rest->first != NULL) {
        go_on(uring, again, rest, lost);
        fail_all(uring, lost, finished, again);
    }
    uint32_t count = 0;
    for (struct request *each = finished->first; each != NULL; each = each->next) {
        count++;
    }
    uring_deliver(uring, finished->first);
    return count;
}

void uring_run_sync(struct uring *uring, struct request *sync) {
    struct requests finished = {0}, again = {0}, rest = {0}, lost = {0};
    if (request_begin_sync(uring, sync)) {
        os_lock_enter(&uring->lock);
        bool held = uring_hold(uring, sync);
        os_lock_leave(&uring->lock);
        if (held) {
            return;
        }
        push(&again, sync);
    } else {
        end_sync(uring, sync, &finished, &again);
    }
    (void)sort_out(uring, &finished, &again, &rest, &lost);
}

/* Decide by its result what becomes of a request. */
static void judge(struct uring *uring, struct request *request, int32_t result,
                  struct requests *finished, struct requests *again,
                  struct requests *rest) {
    switch (request_judge(uring, request, result)) {
    case VERDICT_DONE:
        end(uring, request, finished, again);
        break;
    case VERDICT_AGAIN:
        push(again, request);
        break;
    case VERDICT_REST:
        push(rest, request);
        break;
    }
}

/* Fetch one batch and tell of what ended. */
static uint32_t collect_batch(struct uring *uring, uint32_t *fetched) {
    struct ring_result results[BATCH];
    struct requests finished = {0}, again = {0}, rest = {0}, lost = {0};
    os_lock_enter(&uring->lock);
    *fetched = fetch(uring, results, &lost);
    os_lock_leave(&uring->lock);
    for (uint32_t i = 0; i < *fetched; i++) {
        struct request *request = (void *)(uintptr_t)results[i].user_data;
        judge(uring, request, results[i].result, &finished, &again, &rest);
    }
    return sort_out(uring, &finished, &again, &rest, &lost);
}

/* Fetch results that did not fit, and notice those that the kernel lost. */
static void look_for_overflow(struct uring *uring) {
    if (ring_overflowed(&uring->ring)) {
        int status = ring_flush(&uring->ring);
        os_lock_enter(&uring->lock);
        uring->figures.overflows++;
        if (status == -EBADR) {
            uring->mark_wanted = true;
            give_up(uring, -EIO);
        }
        os_lock_leave(&uring->lock);
    }
    if (ring_dropped(&uring->ring) != 0) {
        os_lock_enter(&uring->lock);
        uring->mark_wanted = true;
        give_up(uring, -EIO);
        os_lock_leave(&uring->lock);
    }
}

/* All that is ready: at most what the ring holds, so that it ends. */
static uint32_t collect(struct uring *uring) {
    uint32_t count = 0;
    uint32_t fetched = BATCH;
    for (uint32_t i = 0; i <= uring->room / BATCH; i++) {
        look_for_overflow(uring);
        if (!ring_ready(&uring->ring)) {
            break;
        }
        count += collect_batch(uring, &fetched);
    }
    return count;
}

/* ---- handing over ------------------------------------------------------------------
 */

/* Of a ring that is given up: take back what the kernel never saw.  Inside the lock. */
static void take_back(struct uring *uring, struct requests *lost) {
    for (struct request *each; (each = pop(&uring->waiting)) != NULL;) {
        push(lost, each);
    }
    for (struct request *each; (each = pop(&uring->resting)) != NULL;) {
        push(lost, each);
    }
    /* Entries beyond those gathered are some thread's to hand over at this moment. */
    if (!refuses(uring) || ring_unsubmitted(&uring->ring) != gathered(uring)) {
        return;
    }
    uint64_t user_data = 0;
    while (ring_withdraw(&uring->ring, &user_data)) {
        if (user_data != WAKE && user_data != MARK) {
            struct request *request = (void *)(uintptr_t)user_data;
            request->in_kernel = false;
            uring->in_ring--;
            push(lost, request);
        }
    }
    set_gathered(uring, 0);
}

/* Let what rested or waited into the ring.  Inside the lock. */
static void prepare(struct uring *uring, struct requests *lost) {
    if (uring->broken != 0) {
        take_back(uring, lost);
        if (uring->mark_wanted && !uring->mark_made) {
            uring->mark_made = place_empty(uring, MARK, IOSQE_IO_DRAIN);
        }
        return;
    }
    if (uring->resting.first != NULL && os_clock_ms() >= uring->rest_end_ms) {
        for (struct request *each; (each = pop(&uring->resting)) != NULL;) {
            push(&uring->waiting, each);
        }
    }
    feed(uring);
}

/* End what `prepare` gave up; returns how many. */
static uint32_t end_lost(struct uring *uring, struct requests *lost) {
    struct requests finished = {0}, again = {0}, rest = {0};
    return sort_out(uring, &finished, &again, &rest, lost);
}

static int hand_over_all(struct uring *uring, uint32_t *ended) {
    struct requests lost = {0};
    os_lock_enter(&uring->lock);
    prepare(uring, &lost);
    uint32_t count = uring_take_gathered(uring);
    os_lock_leave(&uring->lock);
    int status = uring_hand_over(uring, count);
    *ended += end_lost(uring, &lost);
    return status;
}

int uring_turn(struct uring *uring) {
    uint32_t count = collect(uring);
    int status = hand_over_all(uring, &count);
    if (count == 0) {
        count = collect(uring); /* what the hand-over itself has finished */
    }
    return count == 0 ? status : (int)count;
}

/* ---- without the ring --------------------------------------------------------------
 */

bool uring_hold(struct uring *uring, struct request *request) {
    bool small = request->kind == REQUEST_SYNC || request->length <= HOLD_MAX;
    bool alone = uring->active == 1 && uring->broken == 0;
    if (!small || !alone || uring->ring.calls.perform == NULL) {
        return false;
    }
    request->thread = os_thread_id();
    uring->held = request;
    return true;
}

/* Take what is held, if nothing else is active and the calling thread's it is; else let
 * it go. */
static struct request *take_held(struct uring *uring) {
    os_lock_enter(&uring->lock);
    struct request *held = uring->held;
    bool own = held != NULL && uring->active == 1 && held->thread == os_thread_id();
    if (own) {
        uring->held = NULL;
        uring->figures.helped++;
    } else {
        uring_let_go(uring);
    }
    os_lock_leave(&uring->lock);
    return own ? held : NULL;
}

/* What the first attempt leaves goes through the ring. */
int uring_help(struct uring *uring) {
    struct requests finished = {0}, again = {0}, rest = {0}, lost = {0};
    struct request *held = take_held(uring);
    if (held == NULL) {
        return 0;
    }
    struct io_uring_sqe entry;
    memset(&entry, 0, sizeof entry);
    request_describe(held, &entry);
    const struct ring_calls *calls = &uring->ring.calls;
    int32_t result = calls->perform(calls->context, &entry);
    judge(uring, held, result, &finished, &again, &rest);
    uint32_t count = sort_out(uring, &finished, &again, &rest, &lost);
    (void)hand_over_all(uring, &count); /* what others have gathered: V10 */
    return (int)count;
}

/* ---- sleeping ----------------------------------------------------------------------
 */

/* Until something that rests or pauses is due.  Inside the lock. */
static uint64_t longest_sleep(const struct uring *uring) {
    uint64_t now = os_clock_ms();
    uint64_t due = now + SLICE_MS;
    if (uring->refusals > 0 && uring->pause_end_ms < due) {
        due = uring->pause_end_ms;
    }
    if (uring->resting.first != NULL && uring->rest_end_ms < due) {
        due = uring->rest_end_ms;
    }
    return due > now ? due - now : REST_MS;
}

/* Hand over and sleep, in one call, unless something ended since `seen`.  False: it
 * did, or the keeper is to end. */
static bool sleep_once(struct uring *uring, uint64_t seen, uint64_t limit_ms,
                       bool attend, uint32_t *ended) {
    struct requests lost = {0};
    os_lock_enter(&uring->lock);
    prepare(uring, &lost);
    bool others = uring->figures.completed != seen || (!attend && uring->keeper_stop);
    bool ready = others || lost.first != NULL || ring_ready(&uring->ring);
    uint64_t most_ms = longest_sleep(uring);
    uint32_t count = uring_take_gathered(uring);
    uring->sleepers += !ready && attend;
    os_lock_leave(&uring->lock);
    if (ready) {
        (void)uring_hand_over(uring, count);
        *ended += end_lost(uring, &lost);
        return !others;
    }
    if (limit_ms > most_ms) {
        limit_ms = most_ms;
    }
    int taken = ring_enter(&uring->ring, count, 1, limit_ms * 1000);
    os_lock_enter(&uring->lock);
    uring->sleepers -= attend;
    settle(uring, count, taken);
    if (taken < 0 && taken != -ETIME && count == 0) { /* it did not even sleep */
        os_condition_wait(&uring->left, &uring->lock, REST_MS);
    }
    os_lock_leave(&uring->lock);
    return true;
}

int uring_sleep(struct uring *uring, uint32_t timeout_ms, bool attend) {
    os_lock_enter(&uring->lock);
    uint64_t seen = uring->figures.completed;
    os_lock_leave(&uring->lock);
    uint32_t count = collect(uring);
    if (count > 0 || timeout_ms == 0) {
        int status = hand_over_all(uring, &count);
        count = count > 0 ? count : collect(uring);
        return count == 0 ? status : (int)count;
    }
    uint64_t now = os_clock_ms();
    uint64_t until = now + timeout_ms;
    while (count == 0 && now < until) {
        if (!sleep_once(uring, seen, until - now, attend, &count)) {
            break;
        }
        count += collect(uring);
        now = count == 0 ? os_clock_ms() : until;
    }
    return (int)count;
}

/* ---- the keeper --------------------------------------------------------------------
 */

/* Ended by uring_stop_keeper. */
static void keep(void *context) {
    struct uring *uring = context;
    uint64_t last = 0;
    uint32_t idle = 0;
    bool needed = false; /* it was the last to fetch: it had better be in the kernel */
    os_lock_enter(&uring->lock);
    while (!uring->keeper_stop) {
        idle = uring->active == 0 ? idle + 1 : 0;
        if (idle > IDLE_LOOKS) {
            idle = 0;
            uring->keeper_asleep = true;
            os_condition_wait(&uring->work, &uring->lock, OS_FOREVER);
            uring->keeper_asleep = false;
            continue;
        }
        /* relaxed: a hint; a late sight costs one look */
        uint64_t attended =
            atomic_load_explicit(&uring->attended, memory_order_relaxed);
        needed = needed && attended == last;
        if (attended != last || uring->sleepers > 0 ||
            (uring->active == 0 && !needed)) {
            last = attended;
            os_condition_wait(&uring->work, &uring->lock, REST_MS);
            continue;
        }
        os_lock_leave(&uring->lock);
        int count = uring_sleep(uring, SLICE_MS, false);
        os_lock_enter(&uring->lock);
        uring->figures.keeper += count > 0 ? (uint64_t)count : 0;
        needed = needed || count > 0;
    }
    os_lock_leave(&uring->lock);
}

int uring_start_keeper(struct uring *uring) {
    int status = os_thread_start(&uring->keeper, keep, uring);
    uring->keeper_started = status == 0;
    return status;
}

void uring_stop_keeper(struct uring *uring) {
    os_lock_enter(&uring->lock);
    bool started = uring->keeper_started;
    uring->keeper_stop = true;
    uint32_t count = 0;
    if (started) {
        os_condition_wake_all(&uring->work);
        (void)place_empty(uring, WAKE, 0); /* it may sleep in the kernel */
        count = uring_take_gathered(uring);
    }
    os_lock_leave(&uring->lock);
    (void)uring_hand_over(uring, count);
    if (started) {
        os_thread_join(&uring->keeper);
    }
}
