/* SPDX-License-Identifier: MIT */
/* read.c: see read.h */
#include "flog/read.h"

#include <errno.h>

#include "base/bits.h"
#include "flog/reader.h"

/* The first look at an entry; a second one takes what it says it needs. */
enum { GUESS = 4096, LOOK_MS = 1000 };

/* What is read of one entry. */
struct look {
    struct entry_rules rules;
    struct entry_place place;
    struct flog_reader reader;
    const uint8_t *data;
};

static int take_rules(struct faster_flog *log, uint64_t address,
                      struct entry_rules *rules) {
    int result = FASTER_OK;
    lock_enter(&log->lock);
    const struct faster_flog_life *life = lives_at(log->lives, address);
    *rules = rules_of(log->log_id, log->page_size, life);
    if (address % 8 != 0 || address < flog_begin(log) ||
        address >= flog_committed(log) || address < life->first ||
        (rules->until != 0 && address >= rules->until)) {
        result = -EINVAL;
    }
    lock_leave(&log->lock);
    return result;
}

/* Have so many bytes of it in memory; a closing log ends the wait. */
static int bring(struct faster_flog *log, struct look *look, uint64_t address,
                 uint64_t needed) {
    int result;
    do { /* ends with the device's answer, or with the log */
        uint64_t end = address + needed;
        result = reader_fill(&look->reader, address, needed, end, clock_ms() + LOOK_MS);
    } while (result == FASTER_E_TIMEOUT &&
             (atomic_load_explicit(&log->state, memory_order_seq_cst) & /* M1 */
              FLOG_CLOSED) == 0);
    return result == FASTER_E_TIMEOUT ? FASTER_E_CLOSED : result;
}

/* Read and verify; whatever comes of it, reader_end follows. */
static int look_at(struct faster_flog *log, uint64_t address, uint64_t guess,
                   struct look *look, struct faster_flog_damage *damage) {
    uint64_t page_left = log->page_size - (address & (log->page_size - 1));
    uint64_t needed = guess < page_left ? guess : page_left;
    int result = take_rules(log, address, &look->rules);
    reader_init(&look->reader, &log->device, log->page_size, 0);
    look->reader.capacity_max =
        align_up(needed, look->reader.alignment) + 2 * look->reader.alignment;
    for (int i = 0; result == FASTER_OK && i < 2; i++) {
        result = bring(log, look, address, needed);
        if (result != FASTER_OK) {
            break;
        }
        uint64_t room = reader_room(&look->reader, address, &look->data);
        result =
            entry_parse(&look->rules, look->data, address, room, &look->place, damage);
        if (result != FASTER_SHORT) {
            break;
        }
        needed = look->place.extent;
        look->reader.capacity_max = log->page_size;
        result = FASTER_OK;
    }
    if (result == FASTER_E_CORRUPT) {
        /* A cut, or a new beginning, may have taken it away meanwhile. */
        struct entry_rules now;
        int gone = take_rules(log, address, &now);
        result = gone == FASTER_OK && now.seed == look->rules.seed ? result : -EINVAL;
    }
    return result;
}

int faster_flog_read(struct faster_flog *log, uint64_t address, void *data,
                     uint64_t capacity, uint64_t *size,
                     struct faster_flog_damage *damage) {
    struct look look = {.place = {0}};
    uint64_t guess = capacity + FASTER_FLOG_HEADER;
    int result = flog_begin_call(log);
    if (result != FASTER_OK) {
        return result;
    }
    result = look_at(log, address, guess > GUESS ? guess : GUESS, &look, damage);
    if (result == FASTER_OK && look.place.kind != ENTRY_DATA) {
        result = -EINVAL;
    }
    if (result == FASTER_OK) {
        *size = look.place.length;
        if (look.place.length > capacity) {
            result = FASTER_SHORT;
        } else if (look.place.length != 0) {
            memcpy(data, look.data + FASTER_FLOG_HEADER, look.place.length);
        }
    }
    reader_end(&look.reader);
    flog_end_call(log);
    return result;
}

int read_begins_entry(struct faster_flog *log, uint64_t address,
                      struct faster_flog_damage *damage) {
    struct look look = {.place = {0}};
    if (address == flog_committed(log)) {
        return FASTER_OK;
    }
    int result = look_at(log, address, GUESS, &look, damage);
    reader_end(&look.reader);
    return result == FASTER_E_CORRUPT ? -EINVAL : result;
}
