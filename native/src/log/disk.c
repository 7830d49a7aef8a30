/* SPDX-License-Identifier: MIT */
/* disk.c: see disk.h */
#include "log/disk.h"

#include <errno.h>

#include "base/assert.h"
#include "base/bits.h"
#include "base/memory.h"
#include "base/thread.h"
#include "log/seeds.h"
#include "log/sync.h"
#include "record/checksum.h"

enum write_state { WRITE_FREE, WRITE_FLYING, WRITE_DONE };

/* The first pause before a failed write is tried again; each is twice the last. */
enum { BACKOFF_US = 1000 };

/* Frames made ready before the tail needs them: enough that operations seldom wait for
 * the worker, few enough that little memory holds no records. */
enum { AHEAD_SHARE = 16, AHEAD_MAX = 8 };

struct disk_write {
    struct device_request request; /* first: its completion gets this address */
    struct hlog *log;
    uint64_t from;
    uint64_t until;
    uint32_t attempts;
    int status;
    struct figures_request figures;
    _Atomic uint32_t state; /* M3 */
};

struct hlog_disk {
    /* set once */
    const struct faster_device *device;
    struct record_layout layout;
    bool summed; /* what is appended has its checksum, and all frames are held */
    struct worker *worker;
    struct log_seeds seeds;
    uint64_t sector_size;
    uint64_t write_size;

    /* the worker's own: writes in order of their addresses, first .. first + count */
    struct disk_write writes[DISK_WRITES_MAX];
    uint32_t first;
    uint32_t count;
    uint64_t submitted;     /* written or in flight below */
    uint64_t checksummed;   /* records below have their checksum */
    uint64_t settled_until; /* safe_read_only as every updater has seen it */

    _Atomic uint32_t mutable_permille; /* disk_keep_mutable */

    /* written by the worker, read by all */
    _Alignas(CACHE_LINE) _Atomic uint64_t ready_until; /* M1 */
    _Atomic uint64_t flushed_until;                    /* M1 */
    _Atomic uint64_t closed_until;                     /* M1 */
    _Atomic int failed;                                /* M4 */
    _Atomic uint64_t failed_from;                      /* M4 */
    _Atomic uint64_t failed_until;                     /* M4 */
    _Atomic uint64_t written;                          /* bytes, for figures */
    _Atomic bool refused; /* the system gives no memory for a frame */
    _Atomic bool pinned;  /* views keep the only pages that could go */

    /* written by all */
    _Alignas(CACHE_LINE) _Atomic bool asked; /* M2 */
    _Atomic bool wanted;           /* M2: not only by a write that has ended */
    _Atomic bool resume;           /* M2 */
    _Atomic uint64_t flush_wanted; /* M2 */
    _Atomic uint64_t evict_wanted; /* M2 */

    /* written around each call of the device */
    _Alignas(CACHE_LINE) _Atomic uint64_t users; /* M5 */

    struct log_sync sync;
    struct log_figures figures;
};

/* In `users`: the device is being closed. */
#define USERS_CLOSED ((uint64_t)1 << 63)

static uint64_t load(_Atomic uint64_t *word) {
    return atomic_load_explicit(word, memory_order_acquire); /* M1, with publish */
}

static void publish(_Atomic uint64_t *word, uint64_t value) {
    atomic_store_explicit(word, value, memory_order_release); /* M1, with load */
}

static void wake(struct hlog *log) {
    struct hlog_disk *disk = log->disk;
    if (!atomic_exchange_explicit(&disk->asked, true,
                                  memory_order_seq_cst)) { /* M2, with disk_work */
        worker_post(disk->worker);
    }
}

void disk_ask(struct hlog *log) {
    atomic_store_explicit(&log->disk->wanted, true, memory_order_seq_cst); /* M2 */
    wake(log);
}

static void finish_write(struct device_request *request, int status, uint64_t moved) {
    struct disk_write *write = (struct disk_write *)request;
    (void)moved; /* a write that moved less has failed (device.h V4) */
    struct hlog *log = write->log;
    write->figures.ended_ns = clock_ns();
    write->status = status;
    atomic_store_explicit(&write->state, WRITE_DONE,
                          memory_order_release); /* M3, with reap */
    wake(log);
}

static void yield_memory(void *context) { disk_ask(context); }

/* Both are powers of two, so the larger is a multiple of the other. */
static uint64_t unit_of(const struct faster_device *device) {
    return device->sector_size > device->alignment ? device->sector_size
                                                   : device->alignment;
}

/* What is below the log's tail is on the device, and the tail's page is ready. */
static void disk_init(struct hlog_disk *disk, struct hlog *log,
                      const struct disk_config *config) {
    const struct faster_device *device = config->device;
    uint64_t tail = hlog_tail(log);
    uint64_t until = tail == ADDRESS_FIRST ? 0 : tail;
    uint64_t page_start = tail & ~(log->page_size - 1);
    uint64_t unit = unit_of(device);
    uint64_t most = device->max_io != 0 ? device->max_io & ~(unit - 1) : UINT64_MAX;
    disk->device = device;
    disk->summed = config->layout == NULL;
    if (!disk->summed) {
        disk->layout = *config->layout;
    }
    disk->worker = config->worker;
    disk->sector_size = unit;
    disk->write_size = most < DISK_WRITE_SIZE ? most : DISK_WRITE_SIZE;
    atomic_init(&disk->mutable_permille, config->mutable_permille);
    disk->submitted = until;
    disk->checksummed = page_start > ADDRESS_FIRST ? page_start : ADDRESS_FIRST;
    disk->settled_until = tail;
    for (int i = 0; i < DISK_WRITES_MAX; i++) {
        device_request_init(&disk->writes[i].request, finish_write);
        disk->writes[i].log = log;
        atomic_init(&disk->writes[i].state, WRITE_FREE);
    }
    atomic_init(&disk->ready_until, page_start + log->page_size);
    atomic_init(&disk->flushed_until, until);
    atomic_init(&disk->closed_until, page_start);
    atomic_init(&disk->failed, FASTER_OK);
    atomic_init(&disk->failed_from, 0);
    atomic_init(&disk->failed_until, 0);
    atomic_init(&disk->pinned, false);
    atomic_init(&disk->written, 0);
    atomic_init(&disk->refused, false);
    atomic_init(&disk->asked, false);
    atomic_init(&disk->wanted, false);
    atomic_init(&disk->resume, false);
    atomic_init(&disk->flush_wanted, 0);
    atomic_init(&disk->evict_wanted, 0);
    atomic_init(&disk->users, 0);
    figures_init(&disk->figures);
    sync_init(&disk->sync, device, until, &disk->figures, log->events);
}

/* Who appends bytes with their checksums also writes every byte that it reserves, so
 * frames need not read zero, and taking them anew would only cost page faults. */
static int hold_frames(struct hlog *log) {
    if (memory_commit(log->base, log->range) != 0) {
        return -ENOMEM;
    }
    budget_force(log->budget, log->range - log->page_size);
    return FASTER_OK;
}

int disk_attach(struct hlog *log, const struct disk_config *config) {
    uint64_t unit = unit_of(config->device);
    uint64_t most = (uint64_t)1 << (TAIL_PAGE_BITS + log->page_bits);
    uint64_t addresses = (uint64_t)1 << ADDRESS_BITS;
    uint64_t tail = hlog_tail(log);
    if (unit > log->page_size || log->range < DISK_FRAMES_MIN * log->page_size ||
        (tail != ADDRESS_FIRST && (tail & (unit - 1)) != 0) ||
        (config->device->max_io != 0 && config->device->max_io < unit)) {
        return -EINVAL;
    }
    struct hlog_disk *disk = memory_lines_new(sizeof *disk);
    if (disk == NULL) {
        return -ENOMEM;
    }
    memset((void *)disk, 0, sizeof *disk);
    int error = seeds_init(&disk->seeds, config->store_id, config->generations,
                           config->generation_count);
    if (error != FASTER_OK) {
        memory_lines_free(disk);
        return error;
    }
    if (config->layout == NULL) {
        error = hold_frames(log);
    }
    if (error != FASTER_OK) {
        seeds_destroy(&disk->seeds);
        memory_lines_free(disk);
        return error;
    }
    disk_init(disk, log, config);
    log->disk = disk;
    log->budget->yield = yield_memory;
    log->budget->context = log;
    log->end = most < addresses ? most : addresses;
    return FASTER_OK;
}

void disk_detach(struct hlog *log) {
    if (log->disk != NULL) {
        seeds_destroy(&log->disk->seeds);
    }
    memory_lines_free(log->disk);
    log->budget->yield = NULL;
    log->disk = NULL;
}

/* Why writing has stopped.  Who has asked to try again is not told of a failure from
 * before that: `resume` is taken back after `failed` was (try_again). */
static int failure_of(struct hlog_disk *disk) {
    if (atomic_load_explicit(&disk->resume, memory_order_seq_cst)) { /* M2 */
        return FASTER_OK;
    }
    return atomic_load_explicit(&disk->failed, memory_order_acquire); /* M4 */
}

/* Whether the page that must go next is one that a view keeps. */
static bool is_stuck(struct hlog *log) {
    struct hlog_disk *disk = log->disk;
    uint64_t place = load(&disk->closed_until) & log->ring_mask;
    /* relaxed: a hint; who is refused may try again */
    return atomic_load_explicit(&disk->pinned, memory_order_relaxed) &&
           atomic_load_explicit(&log->pins[place >> log->page_bits],
                                memory_order_acquire) != 0; /* hlog.h M3 */
}

int disk_page_ready(struct hlog *log, uint64_t page) {
    struct hlog_disk *disk = log->disk;
    bool ready = (page + 1) << log->page_bits <= load(&disk->ready_until);
    disk_ask(log); /* a turn is when regions move */
    if (ready) {
        return FASTER_OK;
    }
    int failed = failure_of(disk);
    if (failed != FASTER_OK) {
        return failed;
    }
    /* relaxed: a hint; who is refused may try again */
    bool refused = atomic_load_explicit(&disk->refused, memory_order_relaxed);
    return refused || is_stuck(log) ? FASTER_E_FULL : FASTER_RETRY;
}

/* Pages that the log may hold: what the budget leaves beside index and buffers, and
 * what somebody else is waiting for.  Also bounded by the ring. */
static uint64_t frames_allowed(struct hlog *log) {
    struct hlog_disk *disk = log->disk;
    if (disk->summed) {
        return log->range >> log->page_bits; /* they are the log's for good */
    }
    uint64_t held = load(&disk->ready_until) - load(&disk->closed_until);
    uint64_t excess = budget_excess(log->budget);
    uint64_t kept = held > excess ? held - excess : 0;
    uint64_t frames = (kept + budget_left(log->budget)) >> log->page_bits;
    uint64_t ring = log->range >> log->page_bits;
    frames = frames < ring ? frames : ring;
    return frames > DISK_FRAMES_MIN ? frames : DISK_FRAMES_MIN;
}

static uint64_t frames_ahead(const struct hlog_disk *disk, uint64_t frames) {
    uint64_t ahead = frames / AHEAD_SHARE;
    if (disk->summed) {
        return frames / 2; /* they are held all the same */
    }
    return ahead < 1 ? 1 : ahead < AHEAD_MAX ? ahead : AHEAD_MAX;
}

/* Let everyone who may still hold the older value of a guarded word leave. */
static void let_all_see(struct hlog *log) {
    epoch_wait(log->epoch, epoch_bump(log->epoch));
}

static uint64_t tail_page_start(struct hlog *log) {
    return hlog_tail(log) & ~(log->page_size - 1);
}

void disk_keep_mutable(struct hlog *log, uint32_t permille) {
    /* relaxed: see read_only_target */
    atomic_store_explicit(&log->disk->mutable_permille, permille, memory_order_relaxed);
    disk_ask(log);
}

/* L2: where read_only should be: behind the share of the frames that stays mutable. */
static uint64_t read_only_target(struct hlog *log) {
    struct hlog_disk *disk = log->disk;
    uint64_t frames = frames_allowed(log);
    /* relaxed: a share; the next shift goes by it */
    uint32_t permille =
        atomic_load_explicit(&disk->mutable_permille, memory_order_relaxed);
    uint64_t mutable = frames * permille / 1000;
    /* The tail's page, those ahead, and as many on their way out are no choice. */
    uint64_t most = frames - 2 * frames_ahead(disk, frames);
    mutable = mutable < most ? mutable : most;
    uint64_t kept = (mutable > 1 ? mutable - 1 : 0) << log->page_bits;
    uint64_t start = tail_page_start(log);
    uint64_t target = start > kept ? start - kept : 0;
    uint64_t wanted =
        atomic_load_explicit(&disk->flush_wanted, memory_order_seq_cst); /* M2 */
    return target > wanted ? target : wanted;
}

/* Also a shift that somebody else began ends here: safe_read_only has moved, and who
 * entered before that may still be setting bits below it. */
static bool shift_read_only(struct hlog *log) {
    struct hlog_disk *disk = log->disk;
    uint64_t target = read_only_target(log);
    bool moved = target > hlog_read_only(log);
    if (moved) {
        hlog_raise(&log->read_only, target);
        let_all_see(log);
        hlog_raise(&log->safe_read_only, target); /* hlog.h M2 */
    }
    uint64_t safe = hlog_safe_read_only(log);
    if (safe > disk->settled_until) {
        let_all_see(log);
        disk->settled_until = safe;
    }
    return moved;
}

/* Give what begins at `address` its checksum; returns its extent. */
static uint64_t checksum_at(struct hlog *log, uint64_t address, uint64_t info) {
    struct hlog_disk *disk = log->disk;
    struct record *record = hlog_record(log, address);
    uint64_t seed = seeds_at(&disk->seeds, address);
    if ((info & INFO_FILLER) == 0) {
        uint64_t extent = record_extent(&disk->layout, record);
        record->checksum = record_checksum(record, extent, address, seed);
        return extent;
    }
    if (info_prev(info) >= FILLER_SUMMED) {
        record->checksum = filler_checksum(record, address, seed);
    }
    return info_prev(info);
}

/* Give the records below `until` their checksums; the walk ends where a record begins
 * at or above it, or with the page's written part. */
static void checksum_until(struct hlog *log, uint64_t until) {
    struct hlog_disk *disk = log->disk;
    uint64_t address = disk->summed ? until : disk->checksummed;
    while (address < until) { /* ends: extents are positive, pages finite */
        uint64_t page_end = (address | (log->page_size - 1)) + 1;
        bool fits = page_end - address >= sizeof(uint64_t);
        uint64_t info = fits ? record_info(hlog_record(log, address)) : 0;
        address = info == 0 ? page_end : address + checksum_at(log, address, info);
    }
    disk->checksummed = address;
}

static bool is_failed(struct hlog_disk *disk) {
    /* relaxed: the worker's own store */
    return atomic_load_explicit(&disk->failed, memory_order_relaxed) != FASTER_OK;
}

/* R6: hand one write to the device; a refusal is a failed write. */
static void start_write(struct hlog *log, struct disk_write *write) {
    struct hlog_disk *disk = log->disk;
    write->attempts++;
    figures_start(&write->figures);
    /* relaxed: published by the submission (device.h M1) */
    atomic_store_explicit(&write->state, WRITE_FLYING, memory_order_relaxed);
    int status = device_write(disk->device, write->from,
                              log->base + (write->from & log->ring_mask),
                              write->until - write->from, &write->request);
    if (status != 0) {
        write->status = status;
        atomic_store_explicit(&write->state, WRITE_DONE, memory_order_release); /* M3 */
    }
}

static bool submit_writes(struct hlog *log) {
    struct hlog_disk *disk = log->disk;
    uint64_t end = disk->settled_until & ~(disk->sector_size - 1);
    bool any = false;
    while (disk->submitted < end && disk->count < DISK_WRITES_MAX && !is_failed(disk)) {
        uint64_t page_end = (disk->submitted | (log->page_size - 1)) + 1;
        uint64_t until = disk->submitted + disk->write_size;
        until = until < page_end ? until : page_end;
        until = until < end ? until : end;
        checksum_until(log, until);
        struct disk_write *write =
            &disk->writes[(disk->first + disk->count) % DISK_WRITES_MAX];
        write->from = disk->submitted;
        write->until = until;
        write->attempts = 0;
        write->figures = (struct figures_request){0};
        disk->submitted = until;
        disk->count++;
        start_write(log, write);
        any = true;
    }
    return any;
}

/* L4: stop writing, and say why. */
static void stop_writing(struct hlog *log, const struct disk_write *write) {
    struct hlog_disk *disk = log->disk;
    /* relaxed, both: before the release below; a reader may mix two failures' ends */
    atomic_store_explicit(&disk->failed_from, write->from, memory_order_relaxed);
    /* relaxed: as above */
    atomic_store_explicit(&disk->failed_until, write->until, memory_order_relaxed);
    atomic_store_explicit(&disk->failed, write->status,
                          memory_order_release); /* M4, with disk_failed */
    figures_gave_up(log->events, FASTER_EVENT_WRITE, write->status, write->from,
                    write->until);
}

bool disk_is_full(int status) {
#ifdef EDQUOT
    if (status == -EDQUOT) {
        return true;
    }
#endif
    return status == -ENOSPC;
}

/* The oldest write has failed: try again after a pause, or give up.  A device that is
 * full for now has not failed; it must be polled, though, so that it has room again:
 * false. */
static bool mend_write(struct hlog *log, struct disk_write *write) {
    struct hlog_disk *disk = log->disk;
    bool full = write->status == -EAGAIN;
    if (full) {
        write->attempts = 0;
    } else {
        if (write->attempts != 0) { /* else it was counted before writing stopped */
            figures_fail(&disk->figures, &write->figures, write->status);
        }
        if (write->attempts >= DISK_ATTEMPTS) {
            stop_writing(log, write);
            return true;
        }
        figures_retry(&disk->figures);
    }
    thread_pause_us((uint32_t)BACKOFF_US << write->attempts);
    start_write(log, write);
    return !full;
}

/* Move flushed_until over the writes that are done, oldest first (I1). */
static bool reap(struct hlog *log) {
    struct hlog_disk *disk = log->disk;
    bool any = false;
    while (disk->count != 0 && !is_failed(disk)) {
        struct disk_write *write = &disk->writes[disk->first];
        if (atomic_load_explicit(&write->state, memory_order_acquire) !=
            WRITE_DONE) { /* M3 */
            break;
        }
        any = true;
        if (write->status != FASTER_OK) {
            if (!mend_write(log, write)) {
                break;
            }
            continue;
        }
        /* relaxed: the worker's own again */
        atomic_store_explicit(&write->state, WRITE_FREE, memory_order_relaxed);
        /* Counted and told before it is published: who waited for it finds both. */
        /* relaxed: a figure with one writer */
        (void)atomic_fetch_add_explicit(&disk->written, write->until - write->from,
                                        memory_order_relaxed);
        figures_wrote(&disk->figures, log->events, &write->figures, write->from,
                      write->until);
        publish(&disk->flushed_until, write->until);
        disk->first = (disk->first + 1) % DISK_WRITES_MAX;
        disk->count--;
    }
    figures_set_flying(&disk->figures, disk->count);
    return any;
}

/* After a failure: begin again when asked to; for lack of space whenever somebody wants
 * room, since it may be there again. */
static void try_again(struct hlog *log, bool wanted) {
    struct hlog_disk *disk = log->disk;
    bool resume = atomic_load_explicit(&disk->resume, memory_order_seq_cst); /* M2 */
    /* relaxed: the worker's own store */
    int failed = atomic_load_explicit(&disk->failed, memory_order_relaxed);
    bool room = wanted && disk_is_full(failed);
    if (failed != FASTER_OK && (resume || room)) {
        if (!resume) {
            /* writers that come again and again must not spin */
            thread_pause_us(BACKOFF_US);
        }
        for (uint32_t i = 0; i < disk->count; i++) {
            disk->writes[(disk->first + i) % DISK_WRITES_MAX].attempts = 0;
        }
        atomic_store_explicit(&disk->failed, FASTER_OK, memory_order_release); /* M4 */
        figures_resumed(log->events);
    }
    if (resume) {
        atomic_store_explicit(&disk->resume, false,
                              memory_order_seq_cst); /* M2, with failure_of */
    }
}

/* Give the frames below head back, up to one that a view pins (I2). */
static bool close_frames(struct hlog *log) {
    struct hlog_disk *disk = log->disk;
    uint64_t closed = load(&disk->closed_until);
    uint64_t head = hlog_head(log) & ~(log->page_size - 1);
    uint64_t before = closed;
    bool pinned = false;
    while (closed < head && !pinned) {
        uint64_t place = closed & log->ring_mask;
        pinned = atomic_load_explicit(&log->pins[place >> log->page_bits],
                                      memory_order_acquire) != 0; /* hlog.h M3 */
        if (!pinned) {
            if (!disk->summed) {
                memory_discard(log->base + place, log->page_size);
                budget_give(log->budget, log->page_size);
            }
            closed += log->page_size;
        }
    }
    if (closed != before) {
        figures_evicted(log->events, before, closed);
    }
    publish(&disk->closed_until, closed);
    return closed != before;
}

/* Move head towards `target`, over whole pages that are written (I1). */
static bool advance_head(struct hlog *log, uint64_t target) {
    uint64_t written = load(&log->disk->flushed_until) & ~(log->page_size - 1);
    uint64_t head = target < written ? target : written;
    if (head > hlog_head(log)) {
        hlog_raise(&log->head, head);
        let_all_see(log);
    }
    return close_frames(log);
}

/* Take one more frame.  The least that the log needs to go on is not refused: whoever
 * has the budget may be waiting for an append to end. */
static int take_frame(struct hlog *log, uint64_t page, uint64_t held) {
    if (log->disk->summed) {
        return FASTER_OK;
    }
    if (held >= DISK_FRAMES_MIN * log->page_size) {
        return hlog_commit_page(log, page);
    }
    uint64_t place = (page << log->page_bits) & log->ring_mask;
    int error = memory_commit(log->base + place, log->page_size);
    if (error == FASTER_OK) {
        budget_force(log->budget, log->page_size);
    }
    return error;
}

/* Take the frames that the tail will need next. */
static bool prepare_frames(struct hlog *log, uint64_t wanted) {
    struct hlog_disk *disk = log->disk;
    uint64_t ready = load(&disk->ready_until);
    uint64_t before = ready;
    uint64_t closed = load(&disk->closed_until);
    int error = FASTER_OK;
    while (ready < wanted && ready < log->end && ready - closed < log->range) {
        error = take_frame(log, ready >> log->page_bits, ready - closed);
        if (error != FASTER_OK) {
            break;
        }
        uint64_t place = ready & log->ring_mask;
        memory_populate(log->base + place, log->page_size);
        ready += log->page_size;
    }
    publish(&disk->ready_until, ready);
    bool refused = error != FASTER_OK && error != FASTER_E_FULL;
    /* relaxed: a hint for those who find no page ready */
    atomic_store_explicit(&disk->refused, refused, memory_order_relaxed);
    return ready != before;
}

/* Say whether those who want memory may hope for it: not when writing has stopped, or
 * when this round could move nothing and nothing is on its way to the device. */
static void tell_refusal(struct hlog *log, const struct budget_wish *wish, bool moved) {
    struct hlog_disk *disk = log->disk;
    /* relaxed: the worker's own store */
    int refusal = atomic_load_explicit(&disk->failed, memory_order_relaxed);
    if (refusal == FASTER_OK && !moved && disk->count == 0) {
        refusal = FASTER_E_FULL;
    }
    bool wanted = wish->bytes != 0 && budget_excess(log->budget) != 0;
    budget_refuse(log->budget, wish, wanted ? refusal : FASTER_OK);
}

/* Evict what must go, and prepare what is needed next. */
static bool make_room(struct hlog *log) {
    struct hlog_disk *disk = log->disk;
    uint64_t frames = frames_allowed(log);
    uint64_t ahead = frames_ahead(disk, frames);
    uint64_t wanted = tail_page_start(log) + ((1 + ahead) << log->page_bits);
    uint64_t limit = frames << log->page_bits;
    uint64_t target =
        atomic_load_explicit(&disk->evict_wanted, memory_order_seq_cst); /* M2 */
    /* Frames that are ready beyond what is wanted now count, too: they are held. */
    uint64_t ready = load(&disk->ready_until);
    uint64_t end = wanted > ready ? wanted : ready;
    uint64_t needed = end > limit ? end - limit : 0;
    bool moved = advance_head(log, target > needed ? target : needed);
    moved |= prepare_frames(log, wanted);
    uint64_t head = hlog_head(log) & ~(log->page_size - 1);
    bool stuck = load(&disk->ready_until) < wanted && load(&disk->closed_until) < head;
    /* relaxed: a hint for those who find no page ready */
    atomic_store_explicit(&disk->pinned, stuck, memory_order_relaxed);
    return moved;
}

static bool work(struct hlog *log, bool polls) {
    struct hlog_disk *disk = log->disk;
    atomic_store_explicit(&disk->asked, false, memory_order_seq_cst); /* M2 */
    bool wanted = atomic_exchange_explicit(
        &disk->wanted, false, memory_order_seq_cst); /* M2, with disk_ask */
    struct budget_wish wish = budget_wish(log->budget);
    try_again(log, wanted);
    bool moved = shift_read_only(log);
    moved |= submit_writes(log);
    if (polls) {
        (void)device_poll(disk->device); /* device.h V10 */
    }
    moved |= reap(log);
    moved |= make_room(log);
    tell_refusal(log, &wish, moved);
    return moved;
}

bool disk_work(struct hlog *log) { return log->disk != NULL && work(log, true); }

bool disk_work_waiting(struct hlog *log) { return work(log, false); }

void disk_hold(struct hlog *log) {
    atomic_store_explicit(&log->disk->asked, true, memory_order_seq_cst); /* M2 */
}

void disk_restart(struct hlog *log, uint64_t until) {
    struct hlog_disk *disk = log->disk;
    uint64_t start = until & ~(log->page_size - 1);
    faster_assert(disk->summed);
    faster_assert(disk->count == 0);
    disk->submitted = until;
    disk->checksummed = until;
    disk->settled_until = until;
    atomic_store_explicit(&disk->flush_wanted, 0, memory_order_seq_cst); /* M2 */
    atomic_store_explicit(&disk->evict_wanted, 0, memory_order_seq_cst); /* M2 */
    publish(&disk->closed_until, start);
    publish(&disk->flushed_until, until);
    publish(&disk->ready_until, start + log->page_size);
    sync_restart(&disk->sync, until);
    hlog_restart(log, until);
    disk_ask(log);
}

void disk_want_flush(struct hlog *log, uint64_t until) {
    hlog_raise(&log->disk->flush_wanted, until); /* M2 */
    disk_ask(log);
}

void disk_want_evict(struct hlog *log, uint64_t until) {
    hlog_raise(&log->disk->flush_wanted, until); /* M2 */
    hlog_raise(&log->disk->evict_wanted, until); /* M2 */
    disk_ask(log);
}

void disk_resume(struct hlog *log) {
    atomic_store_explicit(&log->disk->resume, true, memory_order_seq_cst); /* M2 */
    disk_ask(log);
}

int disk_failed(struct hlog *log, struct disk_failure *failure) {
    struct hlog_disk *disk = log->disk;
    int failed = failure_of(disk);
    if (failed != FASTER_OK) {
        failure->status = failed;
        /* relaxed, both: behind the acquire above */
        failure->from = atomic_load_explicit(&disk->failed_from, memory_order_relaxed);
        /* relaxed: as above */
        failure->until =
            atomic_load_explicit(&disk->failed_until, memory_order_relaxed);
    }
    return failed;
}

uint64_t disk_flushed_until(struct hlog *log) {
    return load(&log->disk->flushed_until);
}

uint64_t disk_written(struct hlog *log) {
    /* relaxed: a figure */
    return atomic_load_explicit(&log->disk->written, memory_order_relaxed);
}

uint64_t disk_closed_until(struct hlog *log) { return load(&log->disk->closed_until); }

uint64_t disk_bytes(struct hlog *log) {
    return load(&log->disk->ready_until) - load(&log->disk->closed_until);
}

struct log_figures *disk_figures(struct hlog *log) {
    return &log->disk->figures;
}

struct log_sync *disk_log_sync(struct hlog *log) {
    return &log->disk->sync;
}

const struct faster_device *disk_device(const struct hlog *log) {
    return log->disk->device;
}

uint64_t disk_seed_at(const struct hlog *log, uint64_t address) {
    return seeds_at(&log->disk->seeds, address);
}

uint64_t disk_store_id(const struct hlog *log) { return log->disk->seeds.store_id; }

uint64_t disk_unit(const struct hlog *log) { return log->disk->sector_size; }

void disk_leave_device(struct hlog *log) {
    (void)atomic_fetch_sub_explicit(&log->disk->users, 1,
                                    memory_order_release); /* M5, with disk_close */
}

int disk_enter_device(struct hlog *log) {
    uint64_t users =
        atomic_fetch_add_explicit(&log->disk->users, 1, memory_order_acquire); /* M5 */
    if ((users & USERS_CLOSED) == 0) {
        return FASTER_OK;
    }
    disk_leave_device(log);
    return FASTER_E_CLOSED;
}

int disk_close(struct hlog *log) {
    struct hlog_disk *disk = log->disk;
    uint64_t users = atomic_fetch_or_explicit(&disk->users, USERS_CLOSED,
                                              memory_order_acq_rel); /* M5 */
    while ((users & ~USERS_CLOSED) != 0) { /* ends: a call of the device is short */
        thread_yield();
        users = atomic_load_explicit(&disk->users, memory_order_acquire); /* M5 */
    }
    return device_close(disk->device);
}
