/* SPDX-License-Identifier: MIT */
/* scan.c: what is committed, in order; see flog.h */
#include <errno.h>
#include <stdlib.h>

#include "flog/entry.h"
#include "flog/flog.h"
#include "flog/read.h"
#include "flog/reader.h"

enum { AHEAD_DEFAULT = 1, PIECE_COUNT_MIN = 64 };

struct faster_flog_scan {
    struct faster_flog *log;
    struct flog_reader reader;
    struct flog_lives *lives;
    uint64_t era;
    struct entry_rules rules; /* of the life that `position` is in */
    uint64_t position;
    uint64_t until;
    uint64_t limit;  /* committed, as seen last */
    uint64_t needed; /* bytes from position on that must come before it can go on */
    uint64_t piece_count; /* entries of the last piece: a guess of the next */
    bool commits;
    struct faster_flog_damage damage;
};

/* --- places ----------------------------------------------------------------------- */

/* Follow the lives to the one that `position` is in; over a gap between two. */
static void enter_life(struct faster_flog_scan *scan) {
    const struct flog_lives *lives = scan->lives;
    const struct faster_flog_life *life = lives_at(lives, scan->position);
    for (;; life++) { /* ends: the last one goes on */
        if (scan->position < life->first) {
            scan->position = life->first;
        }
        if (life->until == 0 || scan->position < life->until) {
            break;
        }
    }
    scan->rules = rules_of(scan->log->log_id, scan->log->page_size, life);
}

/* Whether the present life goes on at `position`. */
FASTER_INLINE bool is_in_life(const struct faster_flog_scan *scan) {
    return scan->rules.until == 0 || scan->position < scan->rules.until;
}

/* Whether the log still has what was read last: a cut has not removed it. */
static bool survives(const struct flog_lives *lives, uint64_t generation,
                     uint64_t position) {
    bool found = false;
    for (uint64_t i = 0; i < lives->count && !found; i++) {
        uint64_t until = lives->lives[i].until;
        found = lives->lives[i].generation == generation &&
                (until == 0 || position <= until);
    }
    return found;
}

/* The log's end was cut off: take its lives anew. */
static int follow_era(struct faster_flog_scan *scan) {
    struct faster_flog *log = scan->log;
    uint64_t era = atomic_load_explicit(&log->era, memory_order_acquire); /* M6 */
    if (era == scan->era) {
        return FASTER_OK;
    }
    struct flog_lives *lives = flog_lives_copy(log);
    if (lives == NULL) {
        return -ENOMEM;
    }
    bool goes_on = survives(lives, scan->rules.generation, scan->position);
    free(scan->lives);
    scan->lives = lives;
    scan->era = era;
    reader_forget(&scan->reader);
    if (!goes_on) {
        scan->position = UINT64_MAX;
        return -ERANGE;
    }
    enter_life(scan);
    return FASTER_OK;
}

/* --- the scan's life -------------------------------------------------------------- */

static int open_scan(struct faster_flog *log,
                     const struct faster_flog_scan_config *config,
                     struct faster_flog_scan **out) {
    uint64_t from = config->from != 0 ? config->from : flog_begin(log);
    if (config->size < sizeof *config || from % 8 != 0) {
        return -EINVAL;
    }
    if (from < flog_begin(log)) {
        return -ENOENT;
    }
    struct faster_flog_scan *scan = calloc(1, sizeof *scan);
    if (scan == NULL) {
        return -ENOMEM;
    }
    scan->log = log;
    scan->era = atomic_load_explicit(&log->era, memory_order_acquire); /* M6 */
    scan->lives = flog_lives_copy(log);
    if (scan->lives == NULL) {
        free(scan);
        return -ENOMEM;
    }
    scan->position = from;
    scan->until = config->until != 0 ? config->until : UINT64_MAX;
    scan->commits = config->commits != 0;
    scan->needed = FASTER_FLOG_HEADER;
    scan->piece_count = PIECE_COUNT_MIN;
    reader_init(&scan->reader, &log->device, log->page_size,
                config->read_ahead != 0 ? config->read_ahead : AHEAD_DEFAULT);
    enter_life(scan);
    /* relaxed: a figure */
    (void)atomic_fetch_add_explicit(&log->scans, 1, memory_order_relaxed);
    *out = scan;
    return FASTER_OK;
}

int faster_flog_scan_open(struct faster_flog *log,
                          const struct faster_flog_scan_config *config,
                          struct faster_flog_scan **scan) {
    int result = flog_begin_call(log);
    if (result == FASTER_OK) {
        result = open_scan(log, config, scan);
        flog_end_call(log);
    }
    return result;
}

/* What is on its way comes, or the log's close has ended its device, which completes
 * it. */
void faster_flog_scan_free(struct faster_flog_scan *scan) {
    uint32_t pause_us = 0;
    if (scan->log->fork_generation != fork_generation()) {
        return;
    }
    while (reader_is_busy(&scan->reader)) {
        if (flog_begin_call(scan->log) == FASTER_OK) {
            reader_rest(&scan->log->device, &pause_us);
            flog_end_call(scan->log);
        } else {
            thread_yield();
        }
    }
    /* relaxed: a figure */
    (void)atomic_fetch_sub_explicit(&scan->log->scans, 1, memory_order_relaxed);
    reader_destroy(&scan->reader);
    free(scan->lives);
    free(scan);
}

uint64_t faster_flog_scan_position(const struct faster_flog_scan *scan) {
    return scan->position;
}

void faster_flog_scan_damage(const struct faster_flog_scan *scan,
                             struct faster_flog_damage *damage) {
    *damage = scan->damage;
}

/* --- going on --------------------------------------------------------------------- */

/* Nothing is in memory at the scan's place: whether there is anything to bring. */
static int look_ahead(struct faster_flog_scan *scan) {
    if (scan->position < scan->limit) {
        return FASTER_PENDING;
    }
    scan->limit = flog_committed(scan->log);
    bool cut = atomic_load_explicit(&scan->log->era, memory_order_acquire) !=
               scan->era; /* M6 */
    return scan->position < scan->limit || cut ? FASTER_PENDING : FASTER_NOT_FOUND;
}

/* Damage is none where the log has begun anew behind it, or was cut meanwhile. */
static int judge_damage(struct faster_flog_scan *scan, uint64_t extent) {
    if (scan->position < flog_begin(scan->log)) {
        return -ENOENT;
    }
    if (atomic_load_explicit(&scan->log->era, memory_order_acquire) !=
        scan->era) { /* M6 */
        return FASTER_PENDING;
    }
    if (scan->position + extent > reader_device_end(&scan->reader)) {
        scan->damage.what = FASTER_FLOG_SHORT;
    }
    return FASTER_E_CORRUPT;
}

/* Parse what is at the scan's place and go behind it: FASTER_OK, FASTER_PENDING,
 * FASTER_NOT_FOUND, or what is wrong. */
FASTER_INLINE int step(struct faster_flog_scan *scan, struct entry_place *place,
                       const uint8_t **data) {
    if (faster_unlikely(!is_in_life(scan))) {
        enter_life(scan);
    }
    if (faster_unlikely(scan->position >= scan->until)) {
        return FASTER_NOT_FOUND;
    }
    uint64_t room = reader_room(&scan->reader, scan->position, data);
    if (faster_unlikely(room == 0 || scan->position >= scan->limit)) {
        return look_ahead(scan);
    }
    int result =
        entry_parse(&scan->rules, *data, scan->position, room, place, &scan->damage);
    if (faster_likely(result == FASTER_OK)) {
        scan->position += place->extent;
        return FASTER_OK;
    }
    if (result == FASTER_SHORT) {
        scan->needed = place->extent;
        return FASTER_PENDING;
    }
    return judge_damage(scan, place->extent);
}

/* Whether something was cut off since: what is in memory may be void. */
FASTER_INLINE bool is_stale(const struct faster_flog_scan *scan) {
    return scan->position == UINT64_MAX || scan->position < flog_begin(scan->log) ||
           atomic_load_explicit(&scan->log->era, memory_order_acquire) !=
               scan->era; /* M6, with go_on_at */
}

FASTER_INLINE bool is_closed(const struct faster_flog_scan *scan) {
    return (atomic_load_explicit(&scan->log->state, memory_order_seq_cst) & /* M1 */
            FLOG_CLOSED) != 0;
}

int faster_flog_scan_next(struct faster_flog_scan *scan,
                          struct faster_flog_entry *entry) {
    struct entry_place place;
    const uint8_t *data = NULL;
    int result = is_stale(scan) ? FASTER_PENDING : FASTER_OK;
    if (faster_unlikely(is_closed(scan))) {
        return FASTER_E_CLOSED;
    }
    while (result == FASTER_OK) { /* ends: every step goes on */
        result = step(scan, &place, &data);
        if (result == FASTER_OK && (place.kind == ENTRY_DATA ||
                                    (scan->commits && place.kind == ENTRY_COMMIT))) {
            *entry = (struct faster_flog_entry){
                .address = scan->position - place.extent,
                .next = scan->position,
                .data = data + FASTER_FLOG_HEADER,
                .size = place.length,
                .kind = place.kind,
            };
            break;
        }
    }
    return result;
}

static int fill(struct faster_flog_scan *scan, uint64_t deadline) {
    int result = follow_era(scan);
    if (result != FASTER_OK) {
        return result;
    }
    if (scan->position == UINT64_MAX) {
        return -ERANGE;
    }
    if (scan->position < flog_begin(scan->log)) {
        return -ENOENT;
    }
    scan->limit = flog_committed(scan->log);
    if (scan->position >= scan->limit) {
        return FASTER_NOT_FOUND;
    }
    result =
        reader_fill(&scan->reader, scan->position, scan->needed, scan->limit, deadline);
    if (result == FASTER_OK) {
        scan->needed = FASTER_FLOG_HEADER;
    }
    return result;
}

int faster_flog_scan_fill(struct faster_flog_scan *scan, uint32_t timeout_ms) {
    int result = flog_begin_call(scan->log);
    if (result == FASTER_OK) {
        result = fill(scan, clock_ms() + timeout_ms);
        flog_end_call(scan->log);
    }
    return result;
}

/* --- pieces ----------------------------------------------------------------------- */

/* What keeps a piece alive. */
struct piece_hold {
    struct reader_page *page;
    uint64_t capacity;
    uint32_t *sizes; /* behind the starts, in one block */
    uint32_t starts[];
};

static struct piece_hold *hold_new(uint64_t capacity) {
    struct piece_hold *hold =
        malloc(sizeof *hold + 2 * (size_t)capacity * sizeof(uint32_t));
    if (hold != NULL) {
        hold->page = NULL;
        hold->capacity = capacity;
        hold->sizes = hold->starts + capacity;
    }
    return hold;
}

static struct piece_hold *hold_grow(struct piece_hold *old, uint64_t count) {
    struct piece_hold *hold = hold_new(2 * old->capacity);
    if (hold != NULL) {
        memcpy(hold->starts, old->starts, count * sizeof *hold->starts);
        memcpy(hold->sizes, old->sizes, count * sizeof *hold->sizes);
    }
    free(old);
    return hold;
}

void faster_flog_piece_free(void *chunk) {
    struct piece_hold *hold = chunk;
    if (hold != NULL) {
        reader_give(hold->page);
        free(hold);
    }
}

/* Put all that is in memory into arrays; a piece begins where the scan stood. */
static int gather(struct faster_flog_scan *scan, struct piece_hold **hold,
                  struct faster_flog_piece *piece) {
    struct entry_place place;
    const uint8_t *data = NULL;
    const uint8_t *start = NULL;
    int result;
    while ((result = step(scan, &place, &data)) == FASTER_OK) { /* every step goes on */
        if (start == NULL) {
            start = data;
            piece->address = scan->position - place.extent;
        }
        if (place.kind != ENTRY_DATA) {
            continue;
        }
        if (piece->count == (*hold)->capacity) {
            *hold = hold_grow(*hold, piece->count);
            if (*hold == NULL) {
                scan->position = piece->address; /* all of it comes again */
                enter_life(scan);
                return -ENOMEM;
            }
        }
        uint64_t payload = (uint64_t)(data - start) + FASTER_FLOG_HEADER;
        (*hold)->starts[piece->count] = (uint32_t)payload;
        (*hold)->sizes[piece->count] = (uint32_t)place.length;
        piece->count++;
    }
    piece->data = start;
    return result;
}

/* Where the piece ends that was gathered. */
static uint64_t piece_end(const struct faster_flog_piece *piece,
                          const struct piece_hold *hold) {
    uint64_t last = piece->count - 1;
    return (hold->starts[last] + (uint64_t)hold->sizes[last] + 7) & ~(uint64_t)7;
}

int faster_flog_scan_piece(struct faster_flog_scan *scan,
                           struct faster_flog_piece *piece) {
    if (is_closed(scan) || is_stale(scan)) {
        return is_closed(scan) ? FASTER_E_CLOSED : FASTER_PENDING;
    }
    struct piece_hold *hold = hold_new(scan->piece_count);
    if (hold == NULL) {
        return -ENOMEM;
    }
    *piece = (struct faster_flog_piece){0};
    int result = gather(scan, &hold, piece);
    if (piece->count == 0 || hold == NULL) {
        free(hold);
        return result;
    }
    scan->piece_count = piece->count + piece->count / 8 + PIECE_COUNT_MIN;
    hold->page = reader_hold(&scan->reader);
    piece->size = piece_end(piece, hold);
    piece->starts = hold->starts;
    piece->sizes = hold->sizes;
    piece->chunk = hold;
    return FASTER_OK;
}
