/* SPDX-License-Identifier: MIT */
/* checkpoint.c: see checkpoint.h */
#include "cpr/checkpoint.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/memory.h"
#include "base/thread.h"
#include "log/disk.h"

/* Between two looks at what others have done; each pause is twice the last. */
enum { PAUSE_US = 20, PAUSE_US_MAX = 1000 };

/* --- waiting ---------------------------------------------------------------------- */

struct waiting {
    uint64_t deadline;
    uint32_t pause;
};

static bool is_closed(struct faster_kv *kv) {
    uint64_t state =
        atomic_load_explicit(&kv->state, memory_order_seq_cst); /* store.h M1 */
    return (state & STATE_CLOSED) != 0;
}

/* Let others go on: FASTER_OK to look again, or why not. */
static int rest(struct faster_checkpoint *checkpoint, struct waiting *waiting) {
    if (is_closed(checkpoint->kv)) {
        return FASTER_E_CLOSED;
    }
    if (clock_ms() >= waiting->deadline) {
        return FASTER_E_TIMEOUT;
    }
    thread_pause_us(waiting->pause);
    waiting->pause = waiting->pause < PAUSE_US_MAX ? 2 * waiting->pause : PAUSE_US_MAX;
    return FASTER_OK;
}

/* Whose slot still has the epoch that we wait for to pass. */
static uint64_t slow_session(struct faster_checkpoint *checkpoint) {
    struct faster_kv *kv = checkpoint->kv;
    uint64_t slow = 0;
    lock_enter(&kv->lock);
    for (struct faster_session *s = kv->sessions; s != NULL; s = s->next) {
        uint64_t word =
            atomic_load_explicit(&s->slot->word, memory_order_seq_cst); /* epoch.h M1 */
        if (word != 0 && (word & ~EPOCH_HELPER) <= checkpoint->bumped) {
            slow = s->id;
            break;
        }
    }
    lock_leave(&kv->lock);
    return slow;
}

/* Wait until everyone who was inside at the bump has left or looked again. */
static int wait_seen(struct faster_checkpoint *checkpoint, struct waiting *waiting) {
    struct epoch *epoch = &checkpoint->kv->epoch;
    while (!epoch_is_safe(epoch, checkpoint->bumped)) { /* ends at the deadline */
        epoch_drain(epoch);
        int result = rest(checkpoint, waiting);
        if (result != FASTER_OK) {
            checkpoint->facts.slow_session = slow_session(checkpoint);
            return result;
        }
    }
    return FASTER_OK;
}

/* --- the global word -------------------------------------------------------------- */

static void enter_phase(struct faster_checkpoint *checkpoint, uint32_t phase,
                        uint32_t version) {
    struct faster_kv *kv = checkpoint->kv;
    uint64_t seen =
        atomic_load_explicit(&kv->state, memory_order_seq_cst); /* store.h M1 */
    while (!atomic_compare_exchange_weak_explicit(
        &kv->state, &seen, (seen & STATE_CLOSED) | state_make(phase, version),
        memory_order_seq_cst, memory_order_seq_cst)) { /* store.h M1 */
        /* ends: only close changes the word beside us, once */
    }
    checkpoint->bumped = epoch_bump(&kv->epoch);
    checkpoint->facts.phase = phase;
}

/* --- the steps, in the order of the model ----------------------------------------- */

static bool wants_index(const struct faster_checkpoint *checkpoint) {
    return checkpoint->config.kind == FASTER_INDEX_ONLY ||
           checkpoint->config.with_index != 0;
}

/* C11: the copy excludes a growth. */
static int hold_growth(struct faster_checkpoint *checkpoint, struct waiting *waiting) {
    while (!checkpoint->holds_growth) { /* ends at the deadline */
        int result = index_hold_growth(&checkpoint->kv->index);
        checkpoint->holds_growth = result == FASTER_OK;
        if (result == FASTER_RETRY) {
            result = rest(checkpoint, waiting);
        }
        if (result != FASTER_OK) {
            return result;
        }
    }
    return FASTER_OK;
}

/* N7: whoever has reserved below the start, and not published yet, leaves first. */
static void cpr_copy_index(struct faster_checkpoint *checkpoint) {
    checkpoint->facts.index_start = hlog_tail(&checkpoint->kv->log);
    enter_phase(checkpoint, FASTER_PHASE_INDEX_COPY, checkpoint->facts.version);
}

static void release_growth(struct faster_checkpoint *checkpoint) {
    if (checkpoint->holds_growth) {
        index_release_growth(&checkpoint->kv->index);
        checkpoint->holds_growth = false;
    }
}

static void cpr_prepare(struct faster_checkpoint *checkpoint) {
    release_growth(checkpoint);
    enter_phase(checkpoint, FASTER_PHASE_PREPARE, checkpoint->facts.version);
}

/* Help every session once: whether updates with a serial number are left; the id of
 * one that has some goes to slow_session. */
static bool help_all(struct faster_checkpoint *checkpoint) {
    struct faster_kv *kv = checkpoint->kv;
    bool left = false;
    lock_enter(&kv->lock);
    for (struct faster_session *s = kv->sessions; s != NULL; s = s->next) {
        if (s->queue != NULL && pending_numbered(s->queue) != 0) {
            pending_help(s);
            if (pending_numbered(s->queue) != 0) {
                left = true;
                checkpoint->facts.slow_session = s->id;
            }
        }
    }
    lock_leave(&kv->lock);
    return left;
}

/* C4: after PREPARE was seen by all, none is added. */
static int cpr_drain(struct faster_checkpoint *checkpoint, struct waiting *waiting) {
    struct hlog *log = &checkpoint->kv->log;
    while (help_all(checkpoint)) { /* ends at the deadline */
        if (disk_enter_device(log) == FASTER_OK) {
            (void)device_poll(disk_device(log)); /* device.h V10 */
            disk_leave_device(log);
        }
        int result = rest(checkpoint, waiting);
        if (result != FASTER_OK) {
            return result;
        }
    }
    checkpoint->facts.slow_session = 0;
    return FASTER_OK;
}

static void cpr_shift(struct faster_checkpoint *checkpoint) {
    struct faster_kv *kv = checkpoint->kv;
    checkpoint->facts.fuzzy_start = hlog_tail(&kv->log);
    atomic_store_explicit(&kv->fuzzy_start, checkpoint->facts.fuzzy_start,
                          memory_order_release); /* store.h M2 */
    enter_phase(checkpoint, FASTER_PHASE_IN_PROGRESS, checkpoint->next_version);
}

/* L5: no later byte shares a sector with the checkpoint's. */
static int cpr_pad(struct faster_checkpoint *checkpoint, struct waiting *waiting) {
    struct faster_kv *kv = checkpoint->kv;
    for (;;) { /* ends at the deadline: RETRY while the page is being turned */
        int result = kv_enter_slot(kv, checkpoint->slot);
        if (result == FASTER_OK) {
            result = hlog_pad(&kv->log, disk_unit(&kv->log), &checkpoint->facts.final);
            epoch_leave(&kv->epoch, checkpoint->slot);
        }
        if (result == FASTER_RETRY) {
            result = rest(checkpoint, waiting);
            if (result == FASTER_OK) {
                continue;
            }
        }
        if (result == FASTER_OK) {
            checkpoint->bumped = epoch_bump(&kv->epoch); /* N6 */
        }
        return result;
    }
}

/* C5: the serial number first, then the version. */
static uint64_t point_of(struct faster_session *session, uint32_t version) {
    uint64_t serial = faster_session_serial(session);
    uint32_t current = atomic_load_explicit(&session->current,
                                            memory_order_acquire); /* session.h M4 */
    if (current <= version) {
        return serial;
    }
    return atomic_load_explicit(&session->committed,
                                memory_order_acquire); /* session.h M4 */
}

/* Chains that two buckets of the index have apart are one in a table of fewer bits, and
 * only one of their newest records would be found there. */
static uint64_t table_bits(struct index *index) {
    struct index_table *table = index_current(index);
    struct index_table *next = table_next(table);
    return next != NULL ? next->bits : table->bits;
}

/* Under the store's lock no session comes or goes. */
static int cpr_capture(struct faster_checkpoint *checkpoint) {
    struct faster_kv *kv = checkpoint->kv;
    uint32_t version = checkpoint->facts.version;
    uint64_t count = 0;
    lock_enter(&kv->lock);
    uint64_t room = kv->named_count + kv->departed_count;
    struct faster_point *points = calloc((size_t)room + 1, sizeof *points);
    if (points != NULL) {
        for (struct faster_session *s = kv->sessions; s != NULL; s = s->next) {
            if (s->id != 0) {
                points[count++] = (struct faster_point){s->id, point_of(s, version)};
            }
        }
        for (uint64_t i = 0; i < kv->departed_count; i++) {
            const struct departed *gone = &kv->departed[i];
            uint64_t serial = gone->version <= version ? gone->serial : gone->committed;
            points[count++] = (struct faster_point){gone->id, serial};
        }
        faster_assert(count == room);
    }
    lock_leave(&kv->lock);
    free(checkpoint->points); /* of an attempt that was not gone on with */
    checkpoint->points = points;
    checkpoint->facts.points = count;
    return points != NULL ? FASTER_OK : -ENOMEM;
}

/* Inside the slot, where tables stay. */
static int note_table(struct faster_checkpoint *checkpoint) {
    struct faster_kv *kv = checkpoint->kv;
    int result = kv_enter_slot(kv, checkpoint->slot);
    if (result == FASTER_OK) {
        checkpoint->facts.table_bits = table_bits(&kv->index);
        epoch_leave(&kv->epoch, checkpoint->slot);
    }
    return result;
}

static bool has_pages(const struct faster_checkpoint *checkpoint) {
    return checkpoint->config.kind == FASTER_SNAPSHOT ||
           checkpoint->config.kind == FASTER_INCREMENTAL;
}

static void begin_writing(struct faster_checkpoint *checkpoint) {
    struct hlog *log = &checkpoint->kv->log;
    uint64_t final = checkpoint->facts.final;
    enter_phase(checkpoint, FASTER_PHASE_WAIT_FLUSH, checkpoint->next_version);
    if (has_pages(checkpoint)) {
        uint64_t flushed = disk_flushed_until(log);
        checkpoint->facts.log_until = flushed < final ? flushed : final;
    } else {
        checkpoint->facts.log_until = final;
        disk_want_flush(log, final);
    }
}

static bool has_ended(const struct faster_checkpoint *checkpoint, uint32_t part) {
    return (checkpoint->ended >> part & 1u) != 0;
}

/* Whether the streams of WAIT_FLUSH were read to their ends. */
static bool is_read(const struct faster_checkpoint *checkpoint) {
    bool delta = checkpoint->config.kind != FASTER_INCREMENTAL ||
                 has_ended(checkpoint, FASTER_PART_DELTA);
    bool pages = !has_pages(checkpoint) || has_ended(checkpoint, FASTER_PART_PAGES);
    return delta && pages;
}

static int wait_flushed(struct faster_checkpoint *checkpoint, struct waiting *waiting) {
    struct hlog *log = &checkpoint->kv->log;
    struct disk_failure failure;
    while (disk_flushed_until(log) < checkpoint->facts.log_until) { /* the deadline */
        int result = disk_failed(log, &failure);
        if (result == FASTER_OK) {
            result = rest(checkpoint, waiting);
        }
        if (result != FASTER_OK) {
            return result;
        }
    }
    return FASTER_OK;
}

/* An index copy of its own promises nothing about the log. */
static int cpr_persist(struct faster_checkpoint *checkpoint, struct waiting *waiting) {
    uint64_t now = clock_ms();
    uint64_t left = waiting->deadline > now ? waiting->deadline - now : 0;
    if (checkpoint->config.kind == FASTER_INDEX_ONLY) {
        return FASTER_OK;
    }
    return disk_sync_until(&checkpoint->kv->log, checkpoint->facts.log_until,
                           (uint32_t)left);
}

/* --- a step at a time ------------------------------------------------------------- */

/* Up to a copy of the index, if one is wanted. */
static int step_copy(struct faster_checkpoint *checkpoint, struct waiting *waiting) {
    int result = FASTER_OK;
    if (checkpoint->step == CPR_BEGUN) {
        result = hold_growth(checkpoint, waiting);
        if (result == FASTER_OK) {
            cpr_copy_index(checkpoint);
            checkpoint->step = CPR_HOLDING;
        }
    }
    if (result == FASTER_OK && checkpoint->step == CPR_HOLDING) {
        result = wait_seen(checkpoint, waiting);
        if (result == FASTER_OK) {
            checkpoint->step = CPR_COPYING;
        }
    }
    return result;
}

static int step_prepare(struct faster_checkpoint *checkpoint, struct waiting *waiting) {
    int result = FASTER_OK;
    if (checkpoint->step == CPR_BEGUN || checkpoint->step == CPR_COPYING) {
        cpr_prepare(checkpoint);
        checkpoint->step = CPR_PREPARING;
    }
    if (checkpoint->step == CPR_PREPARING) {
        result = wait_seen(checkpoint, waiting);
        if (result != FASTER_OK) {
            return result;
        }
        checkpoint->step = CPR_DRAINING;
    }
    result = cpr_drain(checkpoint, waiting);
    if (result == FASTER_OK) {
        checkpoint->step = CPR_PREPARED;
    }
    return result;
}

static int step_shift(struct faster_checkpoint *checkpoint, struct waiting *waiting) {
    int result = FASTER_OK;
    if (checkpoint->step == CPR_PREPARED) {
        cpr_shift(checkpoint);
        checkpoint->step = CPR_SHIFTING;
    }
    if (checkpoint->step == CPR_SHIFTING) {
        result = wait_seen(checkpoint, waiting);
        if (result != FASTER_OK) {
            return result;
        }
        checkpoint->step = CPR_PADDING;
    }
    if (checkpoint->step == CPR_PADDING) {
        result = cpr_pad(checkpoint, waiting);
        if (result != FASTER_OK) {
            return result;
        }
        checkpoint->step = CPR_SETTLING;
    }
    result = wait_seen(checkpoint, waiting);
    if (result == FASTER_OK) {
        result = cpr_capture(checkpoint);
    }
    if (result == FASTER_OK) {
        result = note_table(checkpoint);
    }
    if (result == FASTER_OK) {
        checkpoint->step = CPR_CAPTURED;
    }
    return result;
}

static int step_persist(struct faster_checkpoint *checkpoint, struct waiting *waiting) {
    int result = FASTER_OK;
    if (checkpoint->config.kind != FASTER_INDEX_ONLY) {
        if (!is_read(checkpoint)) {
            return -EINVAL;
        }
        result = wait_flushed(checkpoint, waiting);
    }
    if (result == FASTER_OK) {
        result = cpr_persist(checkpoint, waiting);
    }
    if (result == FASTER_OK) {
        uint32_t version = checkpoint->config.kind == FASTER_INDEX_ONLY
                               ? checkpoint->facts.version
                               : checkpoint->next_version;
        enter_phase(checkpoint, FASTER_PHASE_PERSIST, version);
        checkpoint->step = CPR_PERSISTED;
    }
    return result;
}

static int advance(struct faster_checkpoint *checkpoint, struct waiting *waiting) {
    bool only_index = checkpoint->config.kind == FASTER_INDEX_ONLY;
    switch (checkpoint->step) {
    case CPR_BEGUN:
    case CPR_HOLDING:
        return wants_index(checkpoint) ? step_copy(checkpoint, waiting)
                                       : step_prepare(checkpoint, waiting);
    case CPR_COPYING:
        if (!has_ended(checkpoint, FASTER_PART_INDEX)) {
            return -EINVAL;
        }
        return only_index ? step_persist(checkpoint, waiting)
                          : step_prepare(checkpoint, waiting);
    case CPR_PREPARING:
    case CPR_DRAINING:
        return step_prepare(checkpoint, waiting);
    case CPR_PREPARED:
    case CPR_SHIFTING:
    case CPR_PADDING:
    case CPR_SETTLING:
        return step_shift(checkpoint, waiting);
    case CPR_CAPTURED:
        begin_writing(checkpoint);
        checkpoint->step = CPR_WRITING;
        return FASTER_OK;
    case CPR_WRITING:
        return step_persist(checkpoint, waiting);
    case CPR_PERSISTED:
        return FASTER_OK;
    }
    return -EINVAL; /* not reached: every step is above */
}

int faster_checkpoint_advance(struct faster_checkpoint *checkpoint,
                              uint32_t timeout_ms) {
    struct waiting waiting = {clock_ms() + timeout_ms, PAUSE_US};
    if (checkpoint->kv->generation != fork_generation()) {
        return FASTER_E_FORKED;
    }
    checkpoint->facts.slow_session = 0; /* of an earlier call, if any */
    return is_closed(checkpoint->kv) ? FASTER_E_CLOSED : advance(checkpoint, &waiting);
}

/* --- the streams ------------------------------------------------------------------ */

/* Inside the slot, where tables stay. */
static int begin_index(struct faster_checkpoint *checkpoint) {
    struct faster_kv *kv = checkpoint->kv;
    int result = kv_enter_slot(kv, checkpoint->slot);
    if (result == FASTER_OK) {
        result =
            copy_index_begin(&checkpoint->copy.index, kv, checkpoint->facts.index_start,
                             checkpoint->config.seed);
        epoch_leave(&kv->epoch, checkpoint->slot);
    }
    return result;
}

static int begin_copy(struct faster_checkpoint *checkpoint, uint32_t part) {
    struct faster_kv *kv = checkpoint->kv;
    const struct faster_checkpoint_facts *facts = &checkpoint->facts;
    uint64_t seed = checkpoint->config.seed;
    uint64_t base_final = checkpoint->config.base_final;
    uint64_t from = facts->log_until;
    if (part == FASTER_PART_INDEX) {
        return begin_index(checkpoint);
    }
    if (part == FASTER_PART_DELTA) {
        uint64_t until = base_final < facts->final ? base_final : facts->final;
        return copy_delta_begin(&checkpoint->copy.delta, kv, from, until,
                                checkpoint->config.base_version, facts->version, seed);
    }
    if (checkpoint->config.kind == FASTER_INCREMENTAL && from < base_final) {
        from = base_final;
    }
    return copy_pages_begin(&checkpoint->copy.pages, kv, from, facts->final,
                            facts->fuzzy_start, facts->version, seed);
}

static int next_of_copy(struct faster_checkpoint *checkpoint, uint32_t part,
                        void *buffer, uint64_t capacity, uint64_t *size) {
    struct epoch_slot *slot = checkpoint->slot;
    switch (part) {
    case FASTER_PART_INDEX:
        return copy_index_next(&checkpoint->copy.index, slot, buffer, capacity, size);
    case FASTER_PART_DELTA:
        return copy_delta_next(&checkpoint->copy.delta, slot, buffer, capacity, size);
    default:
        return copy_pages_next(&checkpoint->copy.pages, slot, buffer, capacity, size);
    }
}

/* Whether the phase and the kind have this part, and it is its turn. */
static bool may_read(const struct faster_checkpoint *checkpoint, uint32_t part) {
    bool delta = checkpoint->config.kind == FASTER_INCREMENTAL;
    switch (part) {
    case FASTER_PART_INDEX:
        return checkpoint->step == CPR_COPYING;
    case FASTER_PART_DELTA:
        return checkpoint->step == CPR_WRITING && delta;
    case FASTER_PART_PAGES:
        return checkpoint->step == CPR_WRITING && has_pages(checkpoint) &&
               (!delta || has_ended(checkpoint, FASTER_PART_DELTA));
    default:
        return false;
    }
}

/* What was to be copied has left memory: it is on the device, so the log serves for
 * more, and the streams for less. */
static void begin_anew(struct faster_checkpoint *checkpoint) {
    uint64_t flushed = disk_flushed_until(&checkpoint->kv->log);
    uint64_t final = checkpoint->facts.final;
    checkpoint->facts.log_until = flushed < final ? flushed : final;
    checkpoint->copying = 0;
}

int faster_checkpoint_read(struct faster_checkpoint *checkpoint, uint32_t part,
                           void *buffer, uint64_t capacity, uint64_t *size) {
    *size = 0;
    if (checkpoint->kv->generation != fork_generation()) {
        return FASTER_E_FORKED;
    }
    if (!may_read(checkpoint, part)) {
        return -EINVAL;
    }
    if (has_ended(checkpoint, part)) {
        return FASTER_OK;
    }
    if (checkpoint->copying != part) {
        int error = begin_copy(checkpoint, part);
        if (error != FASTER_OK) {
            return error;
        }
        checkpoint->copying = part;
    }
    int result = next_of_copy(checkpoint, part, buffer, capacity, size);
    if (result == FASTER_RETRY) {
        begin_anew(checkpoint);
    } else if (result == FASTER_OK && *size == 0) {
        checkpoint->ended |= 1u << part;
        if (part == FASTER_PART_INDEX) {
            checkpoint->facts.index_bits = checkpoint->copy.index.bits;
            checkpoint->facts.index_entries = checkpoint->copy.index.entries;
        }
    }
    return result;
}

/* --- begin and end ---------------------------------------------------------------- */

static bool config_is_sane(const struct faster_kv *kv,
                           const struct faster_checkpoint_config *config,
                           uint32_t version) {
    bool kind = config->kind >= FASTER_FOLD_OVER && config->kind <= FASTER_INDEX_ONLY;
    bool base = config->kind != FASTER_INCREMENTAL ||
                (config->base_version < version &&
                 version - config->base_version <= CPR_BASE_AGE);
    return kv->log.disk != NULL && kind && base;
}

/* Under the lock: be the store's checkpoint (I4). */
static int take_turn(struct faster_kv *kv, struct faster_checkpoint *checkpoint) {
    uint64_t state =
        atomic_load_explicit(&kv->state, memory_order_seq_cst); /* store.h M1 */
    uint32_t version = state_version(state);
    if ((state & STATE_CLOSED) != 0) {
        return FASTER_E_CLOSED;
    }
    if (kv->checkpoint != NULL) {
        return FASTER_E_BUSY;
    }
    if (!config_is_sane(kv, &checkpoint->config, version)) {
        return FASTER_E_CONFIG;
    }
    int error = epoch_slot_take(&kv->epoch, &checkpoint->slot);
    if (error == FASTER_OK) {
        checkpoint->facts.version = version;
        checkpoint->next_version = version + 1;
        kv->checkpoint = checkpoint;
    }
    return error;
}

int faster_checkpoint_begin(struct faster_kv *kv,
                            const struct faster_checkpoint_config *config,
                            struct faster_checkpoint **out) {
    if (kv->generation != fork_generation()) {
        return FASTER_E_FORKED;
    }
    if (config->size < sizeof *config) {
        return FASTER_E_CONFIG;
    }
    struct faster_checkpoint *checkpoint = memory_lines_new(sizeof *checkpoint);
    if (checkpoint == NULL) {
        return -ENOMEM;
    }
    memset((void *)checkpoint, 0, sizeof *checkpoint);
    checkpoint->kv = kv;
    checkpoint->config = *config;
    checkpoint->facts.size = sizeof checkpoint->facts;
    checkpoint->facts.kind = config->kind;
    checkpoint->facts.begin = hlog_begin(&kv->log);
    lock_enter(&kv->lock);
    int error = take_turn(kv, checkpoint);
    lock_leave(&kv->lock);
    if (error != FASTER_OK) {
        memory_lines_free(checkpoint);
        return error;
    }
    *out = checkpoint;
    return FASTER_OK;
}

void faster_checkpoint_facts_of(struct faster_checkpoint *checkpoint,
                                struct faster_checkpoint_facts *facts) {
    uint32_t most = checkpoint->facts.size;
    uint32_t size = facts->size < most ? facts->size : most;
    memcpy(facts, &checkpoint->facts, size);
    facts->size = size;
}

int faster_checkpoint_points(struct faster_checkpoint *checkpoint,
                             struct faster_point *points, uint64_t capacity,
                             uint64_t *count) {
    uint64_t have = checkpoint->facts.points;
    *count = have < capacity ? have : capacity;
    if (checkpoint->points == NULL) {
        return -EINVAL;
    }
    memcpy(points, checkpoint->points, (size_t)(*count * sizeof *points));
    return FASTER_OK;
}

/* C8: back to REST, of the version that was reached. */
void faster_checkpoint_end(struct faster_checkpoint *checkpoint) {
    struct faster_kv *kv = checkpoint->kv;
    if (kv->generation != fork_generation()) {
        return; /* P4 */
    }
    release_growth(checkpoint);
    bool shifted = checkpoint->step >= CPR_SHIFTING &&
                   checkpoint->config.kind != FASTER_INDEX_ONLY;
    enter_phase(checkpoint, FASTER_PHASE_REST,
                shifted ? checkpoint->next_version : checkpoint->facts.version);
    lock_enter(&kv->lock);
    kv->checkpoint = NULL;
    epoch_slot_give(checkpoint->slot);
    lock_leave(&kv->lock);
    free(checkpoint->points);
    memory_lines_free(checkpoint);
}
