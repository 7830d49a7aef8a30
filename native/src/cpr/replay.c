/* SPDX-License-Identifier: MIT */
/* replay.c: see replay.h */
#include "cpr/replay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/thread.h"
#include "log/disk.h"
#include "record/checksum.h"

/* Attempts at a link before the others, or the worker, get time to go on. */
enum { LINK_SPINS = 64, LINK_PAUSE_US = 50 };

void replay_init(struct replay *replay, struct faster_kv *kv,
                 const struct replay_skips *skips, uint64_t link_from, uint64_t until) {
    memset((void *)replay, 0, sizeof *replay);
    replay->kv = kv;
    replay->skips = skips;
    replay->link_from = link_from;
    replay->until = until;
    replay->summed_until = until;
}

int starts_init(struct replay_starts *starts, struct hlog *log, uint64_t from,
                uint64_t until, uint64_t first) {
    uint64_t span = align_up(until, log->page_size) - from;
    bool whole = span <= log->range;
    starts->from = from;
    starts->low = first > from ? first : from;
    if (starts->low < ADDRESS_FIRST) {
        starts->low = ADDRESS_FIRST; /* a begin of 0 means the same; prev may be 0 */
    }
    starts->bytes = whole ? span : log->ring_mask + 1;
    starts->mask = whole ? UINT64_MAX : log->ring_mask;
    /* The system gives it as pages are walked over. */
    starts->bits = calloc((size_t)(starts->bytes / 64) + 1, 1);
    if (starts->bits == NULL) {
        return -ENOMEM;
    }
    budget_force(log->budget, starts->bytes / 64);
    return FASTER_OK;
}

void starts_destroy(struct replay_starts *starts, struct hlog *log) {
    if (starts->bits != NULL) {
        free(starts->bits);
        budget_give(log->budget, starts->bytes / 64);
        starts->bits = NULL;
    }
}

static uint64_t place_of(const struct replay_starts *starts, uint64_t address) {
    return ((address - starts->from) & starts->mask) / 8;
}

static void note_start(struct replay_starts *starts, uint64_t address) {
    uint64_t place = place_of(starts, address);
    starts->bits[place / 64] |= (uint64_t)1 << place % 64;
}

void starts_clear_page(struct replay_starts *starts, uint64_t address,
                       uint64_t page_size) {
    uint64_t start = address & ~(page_size - 1);
    uint64_t end = start + page_size;
    if (end > starts->bytes && starts->low < end - starts->bytes) {
        starts->low = end - starts->bytes; /* its bits are the page's now */
    }
    memset(starts->bits + place_of(starts, start) / 64, 0, (size_t)(page_size / 64));
}

bool starts_fit(const struct replay_starts *starts, uint64_t address) {
    if (address < starts->low) {
        return true;
    }
    uint64_t place = place_of(starts, address);
    return (starts->bits[place / 64] >> place % 64 & 1) != 0;
}

int replay_damage(struct faster_damage *damage, uint32_t what, uint64_t address,
                  uint64_t expected, uint64_t found) {
    *damage = (struct faster_damage){
        .address = address, .expected = expected, .found = found, .what = what};
    return FASTER_E_CORRUPT;
}

/* Ends: whoever is in the way of an insertion waits for nothing, and the worker gives
 * memory or says that it has none. */
int replay_link_one(struct index *index, struct index_tally *tally, uint64_t hash,
                    uint64_t address) {
    for (uint32_t tries = 1;; tries++) {
        struct index_ref ref;
        int result = index_find(index, hash, &ref);
        if (result == FASTER_OK && entry_address(ref.seen) >= address) {
            return FASTER_OK;
        }
        if (result != FASTER_RETRY) {
            result = index_publish(index, &ref, address, tally);
        }
        if (result != FASTER_RETRY) {
            return result;
        }
        if (tries % LINK_SPINS == 0) {
            thread_pause_us(LINK_PAUSE_US);
        }
    }
}

static int do_links(struct replay *replay) {
    int result = FASTER_OK;
    for (uint32_t i = 0; i < replay->count && result == FASTER_OK; i++) {
        result = replay_link_one(&replay->kv->index, &replay->tally,
                                 replay->links[i].hash, replay->links[i].address);
    }
    replay->count = 0;
    return result;
}

int replay_settle(struct replay *replay) {
    int result = do_links(replay);
    index_settle(&replay->kv->index, &replay->tally);
    return result;
}

/* Have a record linked, when its bucket has arrived. */
static int gather(struct replay *replay, struct record *record, uint64_t address) {
    struct faster_kv *kv = replay->kv;
    uint64_t hash = kv_hash(kv, record_key(&kv->layout, record),
                            record_key_size(&kv->layout, record));
    faster_prefetch(index_bucket_hint(index_current(&kv->index), hash));
    replay->links[replay->count++] = (struct replay_link){hash, address};
    return replay->count == REPLAY_GROUP ? do_links(replay) : FASTER_OK;
}

/* C9, C12: whether a record was left behind by a recovery, this one or an earlier. */
static bool is_skipped(const struct replay_skips *skips, uint64_t address,
                       uint64_t info) {
    uint64_t low = 0;
    uint64_t high = skips->count;
    if (address < skips->from || address >= skips->until) {
        return false;
    }
    while (high - low > 1) { /* ends: the distance halves */
        uint64_t middle = low + (high - low) / 2;
        if (skips->list[middle].from <= address) {
            low = middle;
        } else {
            high = middle;
        }
    }
    const struct faster_skip *skip = &skips->list[low];
    return address < skip->until && info_version(info) == (skip->version & 0xffu);
}

/* What the walk knows of where it is. */
struct step {
    struct record *record;
    uint64_t address;
    uint64_t have;   /* bytes at hand */
    uint64_t room;   /* bytes that what begins here may take */
    uint64_t extent; /* of it */
};

static int say(struct replay *replay, const struct step *step, uint32_t what,
               uint64_t expected, uint64_t found) {
    return replay_damage(&replay->damage, what, step->address, expected, found);
}

static uint64_t seed_at(const struct replay *replay, uint64_t address) {
    return replay->seeds != NULL ? seeds_at(replay->seeds, address)
                                 : disk_seed_at(&replay->kv->log, address);
}

static int step_filler(struct replay *replay, struct step *step, uint64_t info) {
    uint64_t seed = seed_at(replay, step->address);
    if (!filler_fits(info, step->address, step->room)) {
        return say(replay, step, FASTER_DAMAGE_HEADER, step->room, info);
    }
    step->extent = info_prev(info);
    if (step->extent < FILLER_SUMMED ||
        step->address + FILLER_SUMMED > replay->summed_until) {
        return FASTER_OK;
    }
    if (step->have < FILLER_SUMMED) {
        step->extent = FILLER_SUMMED;
        return FASTER_SHORT;
    }
    uint32_t right = filler_checksum(step->record, step->address, seed);
    return right == step->record->checksum ? FASTER_OK
                                           : say(replay, step, FASTER_DAMAGE_CHECKSUM,
                                                 right, step->record->checksum);
}

/* The bytes that a record takes; all 64 bits of the sum are right, whatever lengths
 * are. */
static uint64_t extent_of(const struct record_layout *layout, struct record *record) {
    if (layout->fixed) {
        return record_size(layout, layout->key_size, layout->value_size);
    }
    uint64_t lengths = record_lengths(record);
    return record_size(layout, lengths_key(lengths), lengths_value(lengths)) +
           lengths_slack(lengths) * 8;
}

/* A value of a type has the type's size, which operations rely on. */
static bool has_right_size(const struct faster_kv *kv, struct record *record,
                           uint64_t info) {
    return kv->layout.fixed || !kv->sized ||
           (info & (INFO_TOMBSTONE | INFO_INVALID)) != 0 ||
           lengths_value(record_lengths(record)) == kv->value_width;
}

/* I3: whether a record may point there. */
static bool may_lead(const struct replay *replay, uint64_t address, uint64_t prev) {
    bool place = prev == 0 || (prev >= ADDRESS_FIRST && prev % 8 == 0);
    return place && prev < address &&
           (replay->starts == NULL || starts_fit(replay->starts, prev));
}

/* Header, bounds and checksum of a record (I1). */
static int step_record(struct replay *replay, struct step *step, uint64_t info) {
    const struct record_layout *layout = &replay->kv->layout;
    uint64_t known = INFO_PREV_MASK | INFO_VERSION_MASK | INFO_TOMBSTONE |
                     INFO_INVALID | INFO_SEALED | INFO_WRITTEN;
    if ((info & INFO_WRITTEN) == 0 || (info & ~known) != 0 ||
        !may_lead(replay, step->address, info_prev(info))) { /* I3 */
        return say(replay, step, FASTER_DAMAGE_HEADER, step->address, info);
    }
    if (layout->header > step->room) {
        return say(replay, step, FASTER_DAMAGE_BOUNDS, step->room, layout->header);
    }
    step->extent = layout->header;
    if (step->have < layout->header) {
        return FASTER_SHORT;
    }
    step->extent = extent_of(layout, step->record);
    if (step->extent > step->room) {
        return say(replay, step, FASTER_DAMAGE_BOUNDS, step->room, step->extent);
    }
    if (!has_right_size(replay->kv, step->record, info)) {
        return say(replay, step, FASTER_DAMAGE_BOUNDS, replay->kv->value_width,
                   lengths_value(record_lengths(step->record)));
    }
    if (step->have < step->extent) {
        return FASTER_SHORT;
    }
    uint32_t right = record_checksum(step->record, step->extent, step->address,
                                     seed_at(replay, step->address));
    return right == step->record->checksum ? FASTER_OK
                                           : say(replay, step, FASTER_DAMAGE_CHECKSUM,
                                                 right, step->record->checksum);
}

/* R5: locks and seals of another life are none; what does not count is invalid, and
 * what is below begin is no more (I3). */
static void mark(struct replay *replay, struct record *record, uint64_t info,
                 bool counts) {
    bool ends = info_prev(info) < hlog_begin(&replay->kv->log);
    uint64_t kept = info & ~(INFO_SEALED | (ends ? INFO_PREV_MASK : 0));
    /* relaxed: nobody else has seen the record; the tail's store publishes it */
    atomic_store_explicit(&record->seq, 0, memory_order_relaxed);
    record_set_info(record, kept | (counts ? 0 : INFO_INVALID));
}

/* Link a record that is whole, if it counts. */
static int take_record(struct replay *replay, const struct step *step, uint64_t info) {
    bool counts =
        (info & INFO_INVALID) == 0 && !is_skipped(replay->skips, step->address, info);
    if (replay->starts != NULL) {
        note_start(replay->starts, step->address);
        mark(replay, step->record, info, counts);
    }
    if (!counts) {
        return FASTER_OK;
    }
    return step->address >= replay->link_from
               ? gather(replay, step->record, step->address)
               : FASTER_OK;
}

static int walk_step(struct replay *replay, struct step *step) {
    step->extent = sizeof(uint64_t);
    if (step->room < sizeof(uint64_t)) {
        return say(replay, step, FASTER_DAMAGE_BOUNDS, sizeof(uint64_t), step->room);
    }
    if (step->have < sizeof(uint64_t)) {
        return FASTER_SHORT;
    }
    uint64_t info = record_info(step->record);
    if (info == 0) {
        return say(replay, step, FASTER_DAMAGE_ABSENT, INFO_WRITTEN, 0);
    }
    if ((info & INFO_FILLER) != 0) {
        return step_filler(replay, step, info);
    }
    int result = step_record(replay, step, info);
    return result == FASTER_OK ? take_record(replay, step, info) : result;
}

int replay_walk(struct replay *replay, uint64_t address, uint8_t *bytes, uint64_t size,
                uint64_t *used, uint64_t *need) {
    uint64_t page_end = (address | (replay->kv->log.page_size - 1)) + 1;
    uint64_t end = page_end < replay->until ? page_end : replay->until;
    uint64_t at = address < ADDRESS_FIRST ? ADDRESS_FIRST - address : 0;
    while (at < size) { /* ends: extents are positive (I2) */
        struct step step = {
            .record = (struct record *)(void *)(bytes + at),
            .address = address + at,
            .have = size - at,
            .room = end - (address + at),
        };
        int result = walk_step(replay, &step);
        *used = at;
        *need = step.extent;
        if (result != FASTER_OK) {
            return result;
        }
        at += step.extent;
    }
    *used = at;
    return FASTER_OK;
}
