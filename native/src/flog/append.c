/* SPDX-License-Identifier: MIT */
/* append.c: see flog.h */
#include <errno.h>

#include "base/bits.h"
#include "flog/entry.h"
#include "flog/flog.h"

/* A run of a batch is reserved as one: long enough that reserving costs nothing, short
 * enough that nobody who waits for this thread to leave waits for long. */
enum { RUN_BYTES = 1 << 16 };

/* Who waits for room looks again so often, should a wake have been missed. */
enum { ROOM_LOOK_MS = 2 };

/* Where a thread begins to look for a free slot: its stack tells it from others. */
static uint32_t slot_hint(void) {
    uint8_t here;
    uint64_t place = (uint64_t)(uintptr_t)&here >> 20;
    return (uint32_t)(place * HASH_PRIME64_1 >> 32);
}

/* Enter a slot that is free: its index, or a status. */
static int enter(struct faster_flog *log, uint32_t *index) {
    uint32_t hint = slot_hint();
    if (faster_unlikely(log->fork_generation != fork_generation())) {
        return FASTER_E_FORKED;
    }
    for (uint32_t i = 0; i < FLOG_SLOTS; i++) {
        uint32_t at = (hint + i) % FLOG_SLOTS;
        if (faster_likely(epoch_enter(&log->epoch, log->slots[at]) == FASTER_OK)) {
            uint32_t state =
                atomic_load_explicit(&log->state, memory_order_seq_cst); /* M1 */
            if (faster_unlikely(state != 0)) {
                epoch_leave(&log->epoch, log->slots[at]);
                return flog_refusal(log, state);
            }
            *index = at;
            return FASTER_OK;
        }
    }
    return FASTER_RETRY;
}

static void count(struct faster_flog *log, uint32_t index, uint64_t entries,
                  uint64_t bytes) {
    struct flog_count *counts = &log->counts[index];
    /* relaxed, all: figures; one writer at a time, which holds the slot */
    uint64_t seen = atomic_load_explicit(&counts->entries, memory_order_relaxed);
    /* relaxed: as above */
    atomic_store_explicit(&counts->entries, seen + entries, memory_order_relaxed);
    /* relaxed: as above */
    seen = atomic_load_explicit(&counts->bytes, memory_order_relaxed);
    /* relaxed: as above */
    atomic_store_explicit(&counts->bytes, seen + bytes, memory_order_relaxed);
}

/* Have a commit made when enough waits for one, and say when the end is near. */
static void follow_policy(struct faster_flog *log, uint64_t end) {
    if (faster_unlikely(end > log->entries_end)) {
        (void)atomic_fetch_or_explicit(&log->state, FLOG_ENDED,
                                       memory_order_seq_cst); /* M1 */
    }
    /* relaxed: a hint; who is late asks once more */
    uint64_t asked = atomic_load_explicit(&log->asked_until, memory_order_relaxed);
    bool low = end < asked && asked - end <= log->log.range; /* else: of before a cut */
    if (faster_likely(low || (end >= asked && end - asked < log->commit_bytes))) {
        return;
    }
    /* relaxed: as above */
    if (atomic_compare_exchange_strong_explicit(&log->asked_until, &asked, end,
                                                memory_order_relaxed,
                                                memory_order_relaxed)) {
        (void)flog_committer_ask(log, end);
    }
}

static uint8_t *place_of(const struct faster_flog *log, uint64_t address) {
    return log->log.base + (address & log->log.ring_mask);
}

int faster_flog_append(struct faster_flog *log, const void *data, uint64_t size,
                       uint64_t *address, uint64_t *end) {
    uint32_t index;
    uint64_t at;
    if (faster_unlikely(size > log->payload_max || log->read_only)) {
        return log->read_only ? -EROFS : FASTER_E_VALUE_SIZE;
    }
    int result = enter(log, &index);
    if (faster_unlikely(result != FASTER_OK)) {
        return result;
    }
    uint64_t extent = entry_extent(size);
    result = hlog_reserve(&log->log, extent, &at);
    if (faster_likely(result == FASTER_OK)) {
        entry_put(place_of(log, at), log->life_seed, at,
                  entry_word(size, ENTRY_DATA, log->generation), data, size);
        count(log, index, 1, size);
    }
    epoch_leave(&log->epoch, log->slots[index]);
    if (faster_likely(result == FASTER_OK)) {
        *address = at;
        *end = at + extent;
        follow_policy(log, at + extent);
    }
    return result;
}

/* --- batches ---------------------------------------------------------------------- */

/* Entries [from, until) of a batch that are reserved as one. */
struct run {
    uint64_t from;
    uint64_t until;
    uint64_t bytes;
};

static uint64_t size_of(const struct faster_flog_batch *batch, uint64_t i) {
    return batch->offsets[i + 1] - batch->offsets[i];
}

static int check_batch(const struct faster_flog *log,
                       const struct faster_flog_batch *batch) {
    uint64_t bytes = 0;
    if (log->read_only) {
        return -EROFS;
    }
    for (uint64_t i = 0; i < batch->count; i++) {
        if (batch->offsets[i + 1] < batch->offsets[i]) {
            return -EINVAL;
        }
        if (size_of(batch, i) > log->payload_max) {
            return FASTER_E_VALUE_SIZE;
        }
        bytes += entry_extent(size_of(batch, i));
        if (batch->atomic != 0 && bytes > hlog_record_max(&log->log)) {
            return FASTER_E_VALUE_SIZE;
        }
    }
    return FASTER_OK;
}

/* Room in the page that the tail is in, as far as one can know. */
static uint64_t room_in_page(struct faster_flog *log) {
    uint64_t tail = hlog_tail(&log->log);
    return log->page_size - (tail & (log->page_size - 1));
}

/* The next run: all of an atomic batch; else what fits into the page, and at least one
 * entry. */
static struct run next_run(struct faster_flog *log,
                           const struct faster_flog_batch *batch, uint64_t from) {
    struct run run = {from, from, 0};
    uint64_t room = room_in_page(log);
    uint64_t largest = hlog_record_max(&log->log);
    uint64_t bound = largest < RUN_BYTES ? largest : RUN_BYTES;
    uint64_t most = room < bound ? room : bound;
    while (run.until < batch->count) {
        uint64_t extent = entry_extent(size_of(batch, run.until));
        if (batch->atomic == 0 && run.until > from && run.bytes + extent > most) {
            break;
        }
        run.bytes += extent;
        run.until++;
    }
    return run;
}

static void put_run(struct faster_flog *log, const struct faster_flog_batch *batch,
                    const struct run *run, uint64_t address) {
    const uint8_t *data = batch->data;
    for (uint64_t i = run->from; i < run->until; i++) {
        uint64_t size = size_of(batch, i);
        const uint8_t *from = size != 0 ? data + batch->offsets[i] : NULL;
        entry_put_copy(place_of(log, address), log->life_seed, address,
                       entry_word(size, ENTRY_DATA, log->generation), from, size);
        if (batch->addresses != NULL) {
            batch->addresses[i] = address;
        }
        address += entry_extent(size);
    }
}

static int append_run(struct faster_flog *log, const struct faster_flog_batch *batch,
                      const struct run *run, uint64_t *end) {
    uint32_t index;
    uint64_t address;
    int result = enter(log, &index);
    if (result != FASTER_OK) {
        return result;
    }
    result = hlog_reserve(&log->log, run->bytes, &address);
    if (result == FASTER_OK) {
        put_run(log, batch, run, address);
        count(log, index, run->until - run->from,
              batch->offsets[run->until] - batch->offsets[run->from]);
        *end = address + run->bytes;
    }
    epoch_leave(&log->epoch, log->slots[index]);
    if (result == FASTER_OK) {
        follow_policy(log, *end);
    }
    return result;
}

int faster_flog_append_many(struct faster_flog *log,
                            const struct faster_flog_batch *batch, uint32_t timeout_ms,
                            uint64_t *done, uint64_t *end) {
    uint64_t deadline = clock_ms() + timeout_ms;
    *done = 0;
    int result = check_batch(log, batch);
    while (result == FASTER_OK && *done < batch->count) {
        struct run run = next_run(log, batch, *done);
        result = append_run(log, batch, &run, end);
        if (result == FASTER_OK) {
            *done = run.until;
        } else if (result == FASTER_RETRY) {
            uint64_t now = clock_ms();
            result = now >= deadline
                         ? FASTER_E_TIMEOUT
                         : faster_flog_wait(log, (uint32_t)(deadline - now));
        }
    }
    return result;
}

uint64_t faster_flog_payload_max(const struct faster_flog *log) {
    return log->payload_max;
}

/* --- waiting for room (D2) -------------------------------------------------------- */

/* Whether an append would find a page, or an error. */
static bool has_room(struct faster_flog *log) {
    uint64_t tail = hlog_tail(&log->log);
    uint32_t state = atomic_load_explicit(&log->state, memory_order_seq_cst); /* M1 */
    if (state != 0) {
        return (state & ~(uint32_t)FLOG_ENDED) != FLOG_SUSPENDED;
    }
    return disk_page_ready(&log->log, (tail >> log->log.page_bits) + 1) != FASTER_RETRY;
}

int faster_flog_wait(struct faster_flog *log, uint32_t timeout_ms) {
    uint64_t deadline = clock_ms() + timeout_ms;
    int result = flog_begin_call(log);
    if (result != FASTER_OK) {
        return result;
    }
    /* relaxed: a figure */
    (void)atomic_fetch_add_explicit(&log->waits, 1, memory_order_relaxed);
    lock_enter(&log->lock);
    /* relaxed: under the lock; a worker that misses it is why waits are short */
    (void)atomic_fetch_add_explicit(&log->room_waiters, 1, memory_order_relaxed);
    while (!has_room(log) && result == FASTER_OK) { /* ends at the deadline */
        condition_wait(&log->room, &log->lock, ROOM_LOOK_MS);
        result = clock_ms() < deadline ? FASTER_OK : FASTER_E_TIMEOUT;
    }
    /* relaxed: as above */
    (void)atomic_fetch_sub_explicit(&log->room_waiters, 1, memory_order_relaxed);
    lock_leave(&log->lock);
    uint32_t state = atomic_load_explicit(&log->state, memory_order_seq_cst); /* M1 */
    if ((state & FLOG_FAILED) != 0) {
        result = flog_refusal(log, state);
    }
    flog_end_call(log);
    return result;
}
