/* SPDX-License-Identifier: MIT */
/* flog.c: opening and closing a durable log; see flog.h */
#include "flog/flog.h"

#include <errno.h>
#include <stdlib.h>

#include "base/bits.h"
#include "base/memory.h"
#include "flog/entry.h"
#include "flog/reader.h"

enum {
    PAGE_DEFAULT = 1 << HLOG_PAGE_BITS_DEFAULT,
    /* The tail's page, the one ahead, and several on their way. */
    PAGES_DEFAULT = 8,
    /* A commit record and its filler take half a page at most. */
    UNITS_PER_PAGE_MIN = 4,
    ENDING_PAGES = FLOG_SLOTS + 4, /* left for commits when the addresses run out */
    IN_FLIGHT_MAX = 64,
    FREE_TIMEOUT_MS = 10000,
    CLOSE_PAUSE_US = 100,
    CLOSE_LOOK_MS = 100
};

struct flog_lives *flog_lives_copy(struct faster_flog *log) {
    lock_enter(&log->lock);
    struct flog_lives *copy = lives_copy(log->lives->lives, log->lives->count);
    lock_leave(&log->lock);
    return copy;
}

/* --- opening ---------------------------------------------------------------------- */

static uint64_t page_size_of(const struct faster_flog_config *config) {
    return config->page_size != 0 ? config->page_size : PAGE_DEFAULT;
}

static bool config_is_sane(const struct faster_flog_config *config) {
    uint64_t page = page_size_of(config);
    bool sizes = is_power_of_two(page) && page >= (uint64_t)1 << HLOG_PAGE_BITS_MIN &&
                 page <= (uint64_t)1 << HLOG_PAGE_BITS_MAX;
    bool lives = lives_are_sane(config->lives, config->life_count);
    bool addresses = config->begin >= FASTER_FLOG_FIRST && config->begin % 8 == 0 &&
                     config->committed >= config->begin &&
                     config->committed < (uint64_t)1 << ADDRESS_BITS;
    bool flags = config->read_only <= 1 && config->commits_in_flight <= IN_FLIGHT_MAX;
    return sizes && flags && lives && addresses;
}

static uint64_t unit_of(const struct faster_device *device) {
    return device->sector_size > device->alignment ? device->sector_size
                                                   : device->alignment;
}

/* Where a writer begins: the last life's first address, behind all that is durable. */
static int check_start(const struct faster_flog *log,
                       const struct faster_flog_config *config) {
    uint64_t first = config->lives[config->life_count - 1].first;
    bool fresh = first == FASTER_FLOG_FIRST;
    bool fits = log->page_size / UNITS_PER_PAGE_MIN >= log->unit &&
                (fresh || first % log->unit == 0);
    bool pages = first / log->page_size < ((uint64_t)1 << TAIL_PAGE_BITS) - 1;
    return fits && pages && config->committed == first ? FASTER_OK : -EINVAL;
}

static void describe(struct faster_flog *log, const struct faster_flog_config *config) {
    log->device = *config->device;
    log->log_id = config->log_id;
    log->page_size = page_size_of(config);
    log->payload_max = log->page_size - ADDRESS_FIRST - FASTER_FLOG_HEADER;
    log->unit = unit_of(config->device);
    log->commit_bytes = config->commit_bytes != 0 ? config->commit_bytes : UINT64_MAX;
    log->commit_ms = config->commit_ms;
    log->commits_in_flight =
        config->commits_in_flight != 0 ? config->commits_in_flight : 1;
    log->fork_generation = fork_generation();
    log->read_only = config->read_only != 0;
    log->generation = config->lives[config->life_count - 1].generation;
    log->life_seed = entry_life_seed(log->log_id, log->generation);
    log->number = config->number;
    log->next_number = config->number;
    log->promised = config->committed;
    atomic_init(&log->state, log->read_only ? FLOG_FAILED : 0);
    atomic_init(&log->failed, -EROFS);
    atomic_init(&log->asked_until, config->committed);
    atomic_init(&log->users, 0);
    atomic_init(&log->scans, 0);
    atomic_init(&log->room_waiters, 0);
    atomic_init(&log->committed, config->committed);
    atomic_init(&log->begin, config->begin);
    atomic_init(&log->era, 0);
    atomic_init(&log->commit_waits, 0);
    atomic_init(&log->waits, 0);
    atomic_init(&log->syncs, 0);
    histogram_init(&log->commit_times);
    for (uint32_t i = 0; i < FLOG_SLOTS; i++) {
        atomic_init(&log->counts[i].entries, 0);
        atomic_init(&log->counts[i].bytes, 0);
    }
}

static void fill_with_entry(void *context, void *place, uint64_t address,
                            uint64_t gap) {
    struct faster_flog *log = context;
    entry_fill(place, log->life_seed, address, gap, log->generation);
}

static int take_slots(struct faster_flog *log) {
    int error = FASTER_OK;
    epoch_init(&log->epoch, FLOG_SLOTS);
    for (uint32_t i = 0; i < FLOG_SLOTS && error == FASTER_OK; i++) {
        error = epoch_slot_take(&log->epoch, &log->slots[i]);
    }
    return error;
}

static uint64_t ring_of(const struct faster_flog_config *config, uint64_t page) {
    uint64_t wanted = config->memory != 0 ? config->memory : PAGES_DEFAULT * page;
    uint64_t least = DISK_FRAMES_MIN * page;
    return power_of_two_at_least(wanted > least ? wanted : least);
}

/* The log that entries are appended to, behind what is on the device. */
static int build_log(struct faster_flog *log, const struct faster_flog_config *config) {
    uint64_t first = config->lives[config->life_count - 1].first;
    uint32_t bits = bit_highest(log->page_size);
    struct disk_config disk = {.device = &log->device, .worker = &log->worker};
    int error = hlog_init(&log->log, &log->epoch, &log->budget, bits,
                          ring_of(config, log->page_size));
    if (error != FASTER_OK) {
        return error;
    }
    log->log.fill = fill_with_entry;
    log->log.fill_context = log;
    if (first != FASTER_FLOG_FIRST) {
        error = hlog_start_at(&log->log, first);
    }
    if (error == FASTER_OK) {
        error = disk_attach(&log->log, &disk);
    }
    /* Every slot may have an append under way that sees the mark too late. */
    log->entries_end = log->log.end - ENDING_PAGES * log->page_size;
    if (first > log->entries_end) {
        atomic_init(&log->state, FLOG_ENDED);
    }
    if (error != FASTER_OK) {
        hlog_destroy(&log->log);
    }
    return error;
}

/* What a log has that is appended to.  Taken down in reverse when a part fails. */
static int build_writer(struct faster_flog *log,
                        const struct faster_flog_config *config) {
    int error = take_slots(log);
    if (error != FASTER_OK) {
        goto no_slots;
    }
    error = worker_init(&log->worker, flog_work, log);
    if (error != 0) {
        goto no_slots;
    }
    error = build_log(log, config);
    if (error != FASTER_OK) {
        goto no_log;
    }
    error = worker_start(&log->worker);
    if (error == 0 && log->commit_ms != 0) {
        error = flog_committer_start(log);
    }
    if (error == 0) {
        disk_ask(&log->log);
        return FASTER_OK;
    }
    worker_stop(&log->worker);
    disk_detach(&log->log);
    hlog_destroy(&log->log);
no_log:
    worker_destroy(&log->worker);
no_slots:
    epoch_destroy(&log->epoch);
    return error;
}

static void destroy_locks(struct faster_flog *log) {
    flog_committer_destroy(&log->committer);
    condition_destroy(&log->room);
    condition_destroy(&log->moved);
    lock_destroy(&log->flushing);
    lock_destroy(&log->lock);
}

static int build_locks(struct faster_flog *log) {
    int error = lock_init(&log->lock);
    if (error != 0) {
        return error;
    }
    error = lock_init(&log->flushing);
    if (error != 0) {
        goto no_flushing;
    }
    error = condition_init(&log->moved);
    if (error != 0) {
        goto no_moved;
    }
    error = condition_init(&log->room);
    if (error != 0) {
        goto no_room;
    }
    error = flog_committer_init(&log->committer);
    if (error == 0) {
        return FASTER_OK;
    }
    condition_destroy(&log->room);
no_room:
    condition_destroy(&log->moved);
no_moved:
    lock_destroy(&log->flushing);
no_flushing:
    lock_destroy(&log->lock);
    return error;
}

static int build(struct faster_flog *log, const struct faster_flog_config *config) {
    int error = log->read_only ? FASTER_OK : check_start(log, config);
    if (!reader_can_read(&log->device, log->page_size)) {
        error = -EINVAL;
    }
    if (error != FASTER_OK) {
        return error;
    }
    budget_init(&log->budget, UINT64_MAX);
    log->lives = lives_copy(config->lives, config->life_count);
    if (log->lives == NULL) {
        return -ENOMEM;
    }
    error = build_locks(log);
    if (error != 0) {
        goto no_locks;
    }
    error = log->read_only ? FASTER_OK : build_writer(log, config);
    if (error == FASTER_OK) {
        return FASTER_OK;
    }
    destroy_locks(log);
no_locks:
    free(log->lives);
    return error;
}

static int open_log(const struct faster_flog_config *config, struct faster_flog **out) {
    int error = config_is_sane(config) ? fork_watch() : FASTER_E_CONFIG;
    if (error != FASTER_OK) {
        return error;
    }
    struct faster_flog *log = memory_lines_new(sizeof *log);
    if (log == NULL) {
        return -ENOMEM;
    }
    memset((void *)log, 0, sizeof *log);
    describe(log, config);
    error = build(log, config);
    if (error != FASTER_OK) {
        memory_lines_free(log);
        return error;
    }
    *out = log;
    return FASTER_OK;
}

int faster_flog_open(const struct faster_flog_config *config,
                     struct faster_flog **log) {
    if (config->size < sizeof *config) {
        return FASTER_E_ABI;
    }
    int error = config->device != NULL ? device_validate(config->device) : -EINVAL;
    if (error != FASTER_OK) {
        return error;
    }
    error = open_log(config, log);
    if (error != FASTER_OK) {
        (void)device_close(config->device);
    }
    return error;
}

/* --- closing ---------------------------------------------------------------------- */

/* Whether nobody is inside a call or a slot any more. */
static bool is_deserted(struct faster_flog *log, uint64_t closed_at) {
    return atomic_load_explicit(&log->users, memory_order_seq_cst) == 0 && /* M3 */
           (log->read_only || epoch_is_safe(&log->epoch, closed_at));
}

static void release_parts(struct faster_flog *log) {
    if (log->read_only) {
        (void)device_close(&log->device);
        return;
    }
    worker_stop(&log->worker);
    (void)disk_close(&log->log);
    hlog_destroy(&log->log);
}

/* One of several who close does it; the others wait: behind a close the device is
 * closed, whoever called. */
static void release(struct faster_flog *log) {
    lock_enter(&log->lock);
    bool mine = !log->released;
    log->released = true;
    while (!mine && !log->gone) { /* ends: who has it does not wait for others */
        condition_wait(&log->moved, &log->lock, CLOSE_LOOK_MS);
    }
    lock_leave(&log->lock);
    if (mine) {
        release_parts(log);
        lock_enter(&log->lock);
        log->gone = true;
        condition_wake(&log->moved);
        lock_leave(&log->lock);
    }
}

int faster_flog_close(struct faster_flog *log, uint32_t timeout_ms) {
    uint64_t deadline = clock_ms() + timeout_ms;
    if (log->fork_generation != fork_generation()) {
        return FASTER_E_FORKED;
    }
    (void)atomic_fetch_or_explicit(&log->state, FLOG_CLOSED,
                                   memory_order_seq_cst); /* M1, M3 */
    uint64_t closed_at = log->read_only ? 0 : epoch_bump(&log->epoch);
    lock_enter(&log->lock);
    flog_wake(log);
    lock_leave(&log->lock);
    if (!log->read_only) {
        flog_committer_stop(log);
    }
    while (!is_deserted(log, closed_at)) { /* ends at the deadline */
        if (!log->read_only) {
            epoch_drain(&log->epoch);
        }
        if (clock_ms() >= deadline) {
            return FASTER_E_TIMEOUT;
        }
        lock_enter(&log->lock);
        condition_wake(&log->moved);
        condition_wake(&log->room);
        lock_leave(&log->lock);
        thread_pause_us(CLOSE_PAUSE_US);
    }
    release(log);
    return FASTER_OK;
}

void faster_flog_free(struct faster_flog *log) {
    if (log->fork_generation != fork_generation() ||
        faster_flog_close(log, FREE_TIMEOUT_MS) != FASTER_OK) {
        return; /* the parent's; or somebody is inside: rather keep the memory */
    }
    if (!log->read_only) {
        disk_detach(&log->log);
        worker_destroy(&log->worker);
        epoch_destroy(&log->epoch);
    }
    destroy_locks(log);
    free(log->notify);
    free(log->attachment);
    free(log->lives);
    memory_lines_free(log);
}

/* --- figures ---------------------------------------------------------------------- */

static void count_appended(struct faster_flog *log, struct faster_flog_stats *stats) {
    for (uint32_t i = 0; i < FLOG_SLOTS; i++) {
        /* relaxed, both: figures */
        stats->entries +=
            atomic_load_explicit(&log->counts[i].entries, memory_order_relaxed);
        /* relaxed: as above */
        stats->bytes +=
            atomic_load_explicit(&log->counts[i].bytes, memory_order_relaxed);
    }
}

static void take_stats(struct faster_flog *log, struct faster_flog_stats *stats) {
    /* relaxed, down to waits: figures */
    stats->scans = atomic_load_explicit(&log->scans, memory_order_relaxed);
    /* relaxed: as above */
    stats->commit_waits =
        atomic_load_explicit(&log->commit_waits, memory_order_relaxed);
    /* relaxed: as above */
    stats->syncs = atomic_load_explicit(&log->syncs, memory_order_relaxed);
    /* relaxed: as above */
    stats->waits = atomic_load_explicit(&log->waits, memory_order_relaxed);
    stats->address_begin = flog_begin(log);
    lock_enter(&log->lock);
    stats->address_committed = flog_committed(log);
    stats->number = log->number;
    stats->commits = log->commits;
    lock_leave(&log->lock);
    stats->address_flushed = stats->address_tail = stats->address_committed;
    if (!log->read_only) {
        count_appended(log, stats);
        stats->address_flushed = disk_flushed_until(&log->log);
        stats->address_tail = hlog_tail(&log->log);
        stats->memory_used = disk_bytes(&log->log);
        stats->device_write_bytes = disk_written(&log->log);
    }
}

int faster_flog_stats(struct faster_flog *log, struct faster_flog_stats *stats) {
    struct faster_flog_stats found = {0};
    int result = flog_begin_call(log);
    if (result != FASTER_OK) {
        return result;
    }
    take_stats(log, &found);
    flog_end_call(log);
    found.size = stats->size;
    memcpy(stats, &found, stats->size < sizeof found ? stats->size : sizeof found);
    return FASTER_OK;
}

/* NULL where nothing is written. */
static struct histogram *times_of(struct faster_flog *log, uint32_t timed) {
    if (timed == FASTER_FLOG_TIMED_COMMIT) {
        return &log->commit_times;
    }
    if (log->read_only) {
        return NULL;
    }
    struct log_figures *figures = disk_figures(&log->log);
    return timed == FASTER_FLOG_TIMED_DEVICE_WRITE ? &figures->write_times
                                                   : &figures->sync_times;
}

int faster_flog_histogram(struct faster_flog *log, uint32_t timed,
                          struct faster_histogram *histogram) {
    struct faster_histogram found = {.total_ns = 0};
    if (timed < FASTER_FLOG_TIMED_COMMIT || timed > FASTER_FLOG_TIMED_DEVICE_SYNC) {
        return -EINVAL;
    }
    int result = flog_begin_call(log);
    if (result != FASTER_OK) {
        return result;
    }
    struct histogram *times = times_of(log, timed);
    if (times != NULL) {
        histogram_read(times, found.counts, &found.total_ns);
    }
    flog_end_call(log);
    *histogram = found;
    return FASTER_OK;
}
