/* SPDX-License-Identifier: MIT */
/*
 * recover.c: from a slot to the last commit; see faster/flog.h
 *
 * Entries are followed from the slot's `until` on, all of the life that the slot names.
 * Each commit record that is met, with all before it whole, moves the end.  Where an
 * entry is not whole, the log ends there (behind a record whose filler is damaged, at
 * the record's end), unless something behind it proves that this place
 * had been durable: a later record of the same life whose `durable` is above it.  A
 * later record alone proves nothing: of what was not synced, any part may have come.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/bits.h"
#include "flog/entry.h"
#include "flog/flog.h"
#include "flog/read.h"
#include "flog/reader.h"

/* A hole that no writer leaves: beyond it nothing of this life follows. */
#define BLANK_MAX ((uint64_t)64 << 20)

enum { LOOK_MS = 1000 };

struct faster_flog_recovery {
    struct faster_flog_found found;
    uint8_t *bytes; /* the last record's payload, or NULL */
    struct faster_flog_record record;
};

/* One walk over the log. */
struct walk {
    struct flog_reader reader;
    struct entry_rules rules;
    uint64_t log_id;
    struct faster_flog_recovery *result;
    uint64_t position;
    uint64_t entries;    /* whole ones since the last commit */
    uint64_t data_until; /* where the last of them ends */
    uint64_t closed_at;  /* where the last record's filler ends */
};

/* Bring so many bytes at the walk's place into memory: FASTER_OK, or why not. */
static int bring(struct walk *walk, uint64_t needed) {
    int result;
    do { /* ends with the device's answer */
        result = reader_fill(&walk->reader, walk->position, needed, UINT64_MAX,
                             clock_ms() + LOOK_MS);
    } while (result == FASTER_E_TIMEOUT);
    return result;
}

/* Whether a record says what its place allows. */
static bool is_plausible(const struct walk *walk, const struct entry_place *place,
                         const struct faster_flog_record *record) {
    uint64_t end = walk->position + place->extent;
    uint64_t page_end = (walk->position | (walk->rules.page_size - 1)) + 1;
    bool places = record->begin >= FASTER_FLOG_FIRST &&
                  record->begin <= walk->position &&
                  record->durable <= walk->position &&
                  (record->begin | record->durable | record->until) % 8 == 0;
    return places && record->until >= end && record->until <= page_end &&
           record->number > walk->result->found.number;
}

/* A whole commit record: the log ends behind its filler, as far as is known. */
static int take_record(struct walk *walk, const struct entry_place *place,
                       const uint8_t *payload) {
    struct faster_flog_recovery *result = walk->result;
    struct faster_flog_record record;
    if (faster_flog_record_read(payload, place->length, &record) != FASTER_OK ||
        !is_plausible(walk, place, &record)) {
        return FASTER_E_CORRUPT;
    }
    uint8_t *bytes = malloc((size_t)place->length);
    if (bytes == NULL) {
        return -ENOMEM;
    }
    memcpy(bytes, payload, place->length);
    free(result->bytes);
    result->bytes = bytes;
    (void)faster_flog_record_read(bytes, place->length, &result->record);
    walk->position += place->extent;
    walk->closed_at = record.until;
    result->found.number = record.number;
    result->found.until = walk->position;
    result->found.record = walk->position - place->extent;
    result->found.begin = record.begin;
    result->found.cookie_size = record.cookie_size;
    result->found.attachment_size = record.attachment_size;
    result->found.entries += walk->entries;
    walk->entries = 0;
    return FASTER_OK;
}

/* What is at the walk's place: FASTER_OK and behind it, FASTER_E_CORRUPT where the log
 * ends, or why nothing could be read. */
static int step(struct walk *walk) {
    struct faster_flog_damage *damage = &walk->result->found.damage;
    struct entry_place place = {.extent = FASTER_FLOG_HEADER};
    uint64_t needed;
    const uint8_t *data = NULL;
    int result;
    do { /* ends: a second look has all that it needs */
        needed = place.extent;
        result = bring(walk, needed);
        if (result != FASTER_OK) {
            return result;
        }
        uint64_t room = reader_room(&walk->reader, walk->position, &data);
        result = entry_parse(&walk->rules, data, walk->position, room, &place, damage);
    } while (result == FASTER_SHORT && place.extent > needed);
    if (result != FASTER_OK) {
        return FASTER_E_CORRUPT;
    }
    if (place.kind == ENTRY_COMMIT) {
        result = take_record(walk, &place, data + FASTER_FLOG_HEADER);
        if (result == FASTER_E_CORRUPT) {
            *damage = (struct faster_flog_damage){.address = walk->position,
                                                  .what = FASTER_FLOG_BOUNDS};
        }
        return result;
    }
    walk->position += place.extent;
    if (walk->position == walk->closed_at) {
        walk->result->found.until = walk->position;
    }
    if (place.kind == ENTRY_DATA) {
        walk->entries++;
        walk->data_until = walk->position;
    }
    return FASTER_OK;
}

/* Whether what is at the walk's place is a record that had `damaged` behind it when it
 * was durable. */
static bool proves(struct walk *walk, const uint8_t *data, uint64_t room,
                   uint64_t damaged) {
    struct faster_flog_damage ignored;
    struct faster_flog_record record;
    uint64_t word = word_load64(data);
    struct entry_place place = {.extent = entry_extent(entry_length(word)),
                                .length = entry_length(word),
                                .kind = entry_kind(word)};
    /* The checksum last: hostile bytes may look like a header at every word. */
    return place.kind == ENTRY_COMMIT && place.extent <= room &&
           faster_flog_record_read(data + FASTER_FLOG_HEADER, place.length, &record) ==
               FASTER_OK &&
           is_plausible(walk, &place, &record) && record.durable > damaged &&
           entry_parse(&walk->rules, data, walk->position, room, &place, &ignored) ==
               FASTER_OK;
}

/* Places at which a later life may have begun: behind the end, on a unit. */
enum { OVERTAKEN_STEP = 512, OVERTAKEN_REACH = 1 << 16 };

/* Whether a whole entry of a later generation is where the walk stands, or where a
 * life could begin behind it: then the slot is older than the log.  Every life has both
 * slots before it writes. */
static int check_overtaken(struct walk *walk) {
    uint64_t end = walk->position;
    uint64_t left = walk->rules.page_size - (end & (walk->rules.page_size - 1));
    const uint8_t *data = NULL;
    int result = bring(walk, left);
    uint64_t room = result == FASTER_OK ? reader_room(&walk->reader, end, &data) : 0;
    uint64_t reach = room < OVERTAKEN_REACH ? room : OVERTAKEN_REACH;
    uint64_t at = 0;
    while (result == FASTER_OK && at + FASTER_FLOG_HEADER <= reach) {
        uint16_t found = (uint16_t)entry_generation(word_load64(data + at));
        uint16_t newer = (uint16_t)(found - (uint16_t)walk->rules.generation);
        struct entry_rules later = walk->rules;
        struct entry_place place;
        struct faster_flog_damage ignored;
        later.generation += newer;
        later.seed = entry_life_seed(walk->log_id, later.generation);
        if (newer != 0 && newer < 1 << 15 &&
            entry_parse(&later, data + at, end + at, room - at, &place, &ignored) ==
                FASTER_OK) {
            walk->result->found.damage =
                (struct faster_flog_damage){.address = end + at,
                                            .expected = walk->rules.generation,
                                            .found = later.generation,
                                            .what = FASTER_FLOG_STALE};
            result = FASTER_E_CORRUPT;
        }
        at += OVERTAKEN_STEP - (end + at) % OVERTAKEN_STEP;
    }
    return result;
}

/* Look through what follows the damage: FASTER_OK when nothing proves that it lost
 * something durable; else FASTER_E_CORRUPT, or why nothing could be read. */
static int search_behind(struct walk *walk) {
    uint64_t damaged = walk->position;
    uint64_t blank = 0;
    while (blank < BLANK_MAX) { /* ends: the place ascends, zeros are counted */
        uint64_t left =
            walk->rules.page_size - (walk->position & (walk->rules.page_size - 1));
        int result = bring(walk, left);
        if (result != FASTER_OK) {
            return result;
        }
        const uint8_t *data = NULL;
        uint64_t room = reader_room(&walk->reader, walk->position, &data);
        if (walk->position >= reader_device_end(&walk->reader)) {
            return FASTER_OK;
        }
        for (; room >= ENTRY_SHORT_FILLER; room -= 8, data += 8, walk->position += 8) {
            blank = word_load64(data) == 0 ? blank + 8 : 0;
            if (proves(walk, data, room, damaged)) {
                return FASTER_E_CORRUPT;
            }
        }
    }
    return FASTER_OK;
}

static int follow(struct walk *walk) {
    struct faster_flog_found *found = &walk->result->found;
    int result = FASTER_OK;
    while (result == FASTER_OK) { /* ends: every step goes on, the device ends */
        result = step(walk);
    }
    found->cut_entries = walk->entries;
    found->cut_until = walk->entries != 0 ? walk->data_until : found->until;
    if (result == FASTER_E_CORRUPT &&
        walk->position + FASTER_FLOG_HEADER > reader_device_end(&walk->reader)) {
        found->damage.what = FASTER_FLOG_SHORT;
    }
    return result;
}

static void begin_walk(struct walk *walk,
                       const struct faster_flog_recovery_config *config,
                       struct faster_flog_recovery *recovery) {
    *walk = (struct walk){
        .rules = rules_of(config->log_id, config->page_size, &config->life),
        .log_id = config->log_id,
        .result = recovery,
        .position = config->from,
    };
    recovery->found =
        (struct faster_flog_found){.number = config->number, .until = config->from};
    reader_init(&walk->reader, config->device, config->page_size, 1);
}

static bool config_is_sane(const struct faster_flog_recovery_config *config) {
    return config->size >= sizeof *config && config->device != NULL &&
           is_power_of_two(config->page_size) &&
           config->page_size >= (uint64_t)1 << HLOG_PAGE_BITS_MIN &&
           config->page_size <= (uint64_t)1 << HLOG_PAGE_BITS_MAX &&
           config->from >= FASTER_FLOG_FIRST && config->from % 8 == 0 &&
           config->from < (uint64_t)1 << ADDRESS_BITS;
}

int faster_flog_recover(const struct faster_flog_recovery_config *config,
                        struct faster_flog_recovery **recovery,
                        struct faster_flog_damage *damage) {
    int result = config_is_sane(config) ? device_validate(config->device) : -EINVAL;
    if (result == FASTER_OK && !reader_can_read(config->device, config->page_size)) {
        result = -EINVAL;
    }
    if (result != FASTER_OK) {
        return result;
    }
    struct faster_flog_recovery *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return -ENOMEM;
    }
    struct walk walk;
    begin_walk(&walk, config, made);
    result = follow(&walk);
    if (result == FASTER_E_CORRUPT) {
        result = check_overtaken(&walk);
    }
    if (result == FASTER_OK) {
        result = search_behind(&walk);
    }
    reader_end(&walk.reader);
    if (result != FASTER_OK) {
        *damage = made->found.damage;
        faster_flog_recovery_free(made);
        return result;
    }
    *recovery = made;
    return FASTER_OK;
}

void faster_flog_recovery_found(const struct faster_flog_recovery *recovery,
                                struct faster_flog_found *found) {
    *found = recovery->found;
    if (found->damage.what == FASTER_FLOG_ABSENT) {
        found->damage.what = FASTER_FLOG_WHOLE;
    }
}

const void *faster_flog_recovery_cookie(const struct faster_flog_recovery *recovery) {
    return recovery->record.cookie;
}

const void *
faster_flog_recovery_attachment(const struct faster_flog_recovery *recovery) {
    return recovery->record.attachment;
}

void faster_flog_recovery_free(struct faster_flog_recovery *recovery) {
    free(recovery->bytes);
    free(recovery);
}

/* --- another process's log -------------------------------------------------------- */

static int look_for_more(struct faster_flog *log, struct faster_flog_found *found) {
    struct faster_flog_recovery recovery = {.bytes = NULL};
    struct walk walk;
    lock_enter(&log->lock);
    struct faster_flog_recovery_config config = {
        .size = sizeof config,
        .device = &log->device,
        .log_id = log->log_id,
        .page_size = log->page_size,
        .life = log->lives->lives[log->lives->count - 1],
        .from = flog_committed(log),
        .number = log->number,
    };
    lock_leave(&log->lock);
    begin_walk(&walk, &config, &recovery);
    int result = follow(&walk);
    reader_end(&walk.reader);
    *found = recovery.found;
    free(recovery.bytes);
    return result == FASTER_E_CORRUPT ? FASTER_OK : result;
}

int faster_flog_follow(struct faster_flog *log, struct faster_flog_commit *commit) {
    struct faster_flog_found found;
    int result = log->read_only ? flog_begin_call(log) : -EINVAL;
    if (result != FASTER_OK) {
        return result;
    }
    result = look_for_more(log, &found);
    lock_enter(&log->lock);
    if (result == FASTER_OK && found.until > flog_committed(log)) {
        log->number = found.number;
        atomic_store_explicit(&log->committed, found.until,
                              memory_order_release); /* M2, with flog_committed */
        if (found.begin > flog_begin(log)) {
            atomic_store_explicit(&log->begin, found.begin,
                                  memory_order_seq_cst); /* M5 */
        }
        flog_wake(log);
    } else if (result == FASTER_OK) {
        result = FASTER_NOT_FOUND;
    }
    lock_leave(&log->lock);
    faster_flog_committed(log, commit);
    flog_end_call(log);
    return result;
}
