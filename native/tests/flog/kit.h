/* SPDX-License-Identifier: MIT */
/*
 * kit.h: logs that live more than once, and what was put into them
 *
 * The bytes stay in a memory device while logs come and go; each life has a faulty
 * device before it, and if wanted a recording one before that.  The kit remembers each
 * entry that was appended, so that a scan can be held against it; the payload of an
 * entry follows from its number.
 */
#ifndef TESTS_FLOG_KIT_H
#define TESTS_FLOG_KIT_H

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/thread.h"
#include "device/device.h"
#include "device/faulty.h"
#include "faster/device_tools.h"
#include "faster/flog.h"
#include "harness.h"

enum {
    KIT_PAGE = 4096,
    KIT_MEMORY = 8 * KIT_PAGE,
    KIT_SECTOR = 512,
    KIT_WAIT_MS = 100000, /* only a test that fails waits so long */
    KIT_LIVES = 2048,
    KIT_ID = 815
};

struct kit_entry {
    uint64_t number; /* the payload follows from it, and from the size */
    uint64_t size;
    uint64_t address;
    uint64_t end;
};

/* What a test wants other than usual; and what a slot would hold. */
struct kit {
    const struct faster_fault_rule *rules;
    uint32_t rules_count;
    bool recorded; /* with the bytes */
    bool read_only;
    uint32_t commits_in_flight;
    uint64_t page_size;
    uint64_t memory;
    uint64_t commit_bytes;
    uint32_t commit_ms;
    uint32_t sector;
    uint64_t capabilities_set;

    struct faster_flog_life lives[KIT_LIVES];
    uint64_t life_count;
    uint64_t begin;
    uint64_t committed;
    uint64_t number;
    uint64_t slot_until; /* of the slot that recovery begins from */

    struct faster_device *contents;
    struct faster_device shelf; /* the same, but that closing it keeps the bytes */
    struct faster_faulty *faulty;
    struct faster_recording *recording;
    struct faster_flog *log;

    struct kit_entry *entries;
    uint64_t count;
    uint64_t room;
};

static inline int kit_keep(void *context) {
    (void)context;
    return 0;
}

/* A kit for a new log, which kit_start opens; fields may be changed before. */
static inline struct kit *kit_new(void) {
    struct kit *kit = calloc(1, sizeof *kit);
    CHECK(kit != NULL, "%s", "no memory");
    kit->page_size = KIT_PAGE;
    kit->memory = KIT_MEMORY;
    kit->sector = KIT_SECTOR;
    kit->life_count = 1;
    kit->lives[0] = (struct faster_flog_life){1, FASTER_FLOG_FIRST, 0};
    kit->begin = FASTER_FLOG_FIRST;
    kit->committed = FASTER_FLOG_FIRST;
    kit->slot_until = FASTER_FLOG_FIRST;
    CHECK_INT(faster_device_memory(1 << 16, 0, &kit->contents), FASTER_OK);
    kit->shelf = *kit->contents;
    kit->shelf.close = kit_keep;
    return kit;
}

static inline struct faster_flog_config kit_config(const struct kit *kit) {
    return (struct faster_flog_config){
        .size = sizeof(struct faster_flog_config),
        .read_only = kit->read_only,
        .log_id = KIT_ID,
        .page_size = kit->page_size,
        .memory = kit->memory,
        .lives = kit->lives,
        .life_count = kit->life_count,
        .begin = kit->begin,
        .committed = kit->committed,
        .number = kit->number,
        .commit_bytes = kit->commit_bytes,
        .commit_ms = kit->commit_ms,
        .commits_in_flight = kit->commits_in_flight,
    };
}

/* The devices of one life; the one that a log is given. */
static inline const struct faster_device *kit_devices(struct kit *kit) {
    struct faster_faulty_config faulty = {.size = sizeof faulty,
                                          .rules = kit->rules,
                                          .rules_count = kit->rules_count,
                                          .seed = harness_seed(),
                                          .capabilities_set = kit->capabilities_set,
                                          .sector_size = kit->sector,
                                          .alignment = kit->sector};
    CHECK_INT(faster_faulty_open(&faulty, &kit->shelf, &kit->faulty), FASTER_OK);
    if (!kit->recorded) {
        return faster_faulty_device(kit->faulty);
    }
    struct faster_recording_config config = {.size = sizeof config,
                                             .flags = FASTER_RECORD_BYTES};
    CHECK_INT(faster_recording_open(&config, faster_faulty_device(kit->faulty),
                                    &kit->recording),
              FASTER_OK);
    return faster_recording_device(kit->recording);
}

static inline void kit_free_devices(struct kit *kit) {
    if (kit->recording != NULL) {
        faster_recording_free(kit->recording);
    }
    faster_faulty_free(kit->faulty);
    kit->recording = NULL;
    kit->faulty = NULL;
}

static inline void kit_start(struct kit *kit) {
    struct faster_flog_config config = kit_config(kit);
    config.device = kit_devices(kit);
    CHECK_INT(faster_flog_open(&config, &kit->log), FASTER_OK);
}

/* A log that is new and open. */
static inline struct kit *kit_open(void) {
    struct kit *kit = kit_new();
    kit_start(kit);
    return kit;
}

/* No rule fires any more, and what is held goes on. */
static inline void kit_lift(struct kit *kit) {
    lock_enter(&kit->faulty->lock);
    for (uint32_t i = 0; i < kit->faulty->rules_count; i++) {
        kit->faulty->rules[i].fired = UINT64_MAX;
    }
    lock_leave(&kit->faulty->lock);
    (void)faster_faulty_release(kit->faulty);
}

/* Requests that a rule holds, or has swallowed. */
static inline uint64_t kit_held(struct kit *kit) {
    struct faster_faulty_stats stats;
    faster_faulty_stats(kit->faulty, &stats);
    return stats.waiting;
}

/* End a life; what was committed is what a clean slot would say. */
static inline void kit_stop(struct kit *kit) {
    struct faster_flog_commit last;
    faster_flog_committed(kit->log, &last);
    kit->committed = last.until;
    kit->number = last.number;
    CHECK_INT(faster_flog_close(kit->log, KIT_WAIT_MS), FASTER_OK);
    faster_flog_free(kit->log);
    kit->log = NULL;
    kit_free_devices(kit);
}

static inline void kit_free(struct kit *kit) {
    if (kit->log != NULL) {
        kit_stop(kit);
    }
    CHECK_INT(device_close(kit->contents), 0);
    faster_device_free(kit->contents);
    free(kit->entries);
    free(kit);
}

/* --- lives ------------------------------------------------------------------------ */

static inline uint64_t kit_round(uint64_t address, uint64_t unit) {
    return (address + unit - 1) & ~(unit - 1);
}

/* A life more, from `until` on, as an opening or a cut makes it; lives of which nothing
 * is left are forgotten. */
static inline void kit_next_life(struct kit *kit, uint64_t until, uint64_t number) {
    uint64_t first = kit_round(until, kit->sector);
    uint64_t generation = kit->lives[kit->life_count - 1].generation + 1;
    while (kit->life_count > 1 && kit->lives[kit->life_count - 1].first >= until) {
        kit->life_count--;
    }
    CHECK(kit->life_count < KIT_LIVES, "%" PRIu64, kit->life_count);
    uint64_t *end = &kit->lives[kit->life_count - 1].until;
    *end = *end != 0 && *end < until ? *end : until;
    kit->lives[kit->life_count++] = (struct faster_flog_life){generation, first, 0};
    kit->committed = first;
    kit->slot_until = first;
    kit->number = number;
}

static inline struct faster_flog_recovery_config
kit_recovery_config(const struct kit *kit) {
    return (struct faster_flog_recovery_config){
        .size = sizeof(struct faster_flog_recovery_config),
        .device = &kit->shelf,
        .log_id = KIT_ID,
        .page_size = kit->page_size,
        .life = kit->lives[kit->life_count - 1],
        .from = kit->slot_until,
        .number = kit->number,
    };
}

/* What recovery says of what the device holds, from the kit's slot on. */
static inline int kit_find(struct kit *kit, struct faster_flog_found *found,
                           struct faster_flog_damage *damage) {
    struct faster_flog_recovery_config config = kit_recovery_config(kit);
    struct faster_flog_recovery *recovery = NULL;
    int result = faster_flog_recover(&config, &recovery, damage);
    if (result == FASTER_OK) {
        faster_flog_recovery_found(recovery, found);
        faster_flog_recovery_free(recovery);
    }
    return result;
}

/* Stop, forget what was known but the slot, recover, and begin the next life. */
static inline struct faster_flog_found kit_crash(struct kit *kit) {
    struct faster_flog_found found;
    struct faster_flog_damage damage;
    uint64_t number = kit->number;
    if (kit->log != NULL) {
        kit_stop(kit);
    }
    kit->number = number;
    CHECK_INT(kit_find(kit, &found, &damage), FASTER_OK);
    kit_next_life(kit, found.until, found.number);
    kit_start(kit);
    return found;
}

/* Change what the device holds, behind everybody's back. */
static inline void kit_peek(struct kit *kit, uint64_t at, void *data, uint64_t size) {
    uint64_t moved = 0;
    memset(data, 0, (size_t)size);
    CHECK_INT(device_read_wait(kit->contents, at, data, size, &moved), FASTER_OK);
}

static inline void kit_poke(struct kit *kit, uint64_t at, const void *data,
                            uint64_t size) {
    CHECK_INT(device_write_wait(kit->contents, at, data, size), FASTER_OK);
}

static inline void kit_flip(struct kit *kit, uint64_t at, uint8_t bits) {
    uint8_t byte;
    kit_peek(kit, at, &byte, 1);
    byte ^= bits;
    kit_poke(kit, at, &byte, 1);
}

/* --- entries ---------------------------------------------------------------------- */

static inline void kit_payload(uint64_t number, uint8_t *data, uint64_t size) {
    struct rng rng = rng_seeded(number + 1);
    rng_fill(&rng, data, (size_t)size);
    memcpy(data, &number, size < 8 ? (size_t)size : 8);
}

static inline void kit_remember(struct kit *kit, struct kit_entry entry) {
    if (kit->count == kit->room) {
        kit->room = kit->room == 0 ? 256 : kit->room * 2;
        kit->entries = realloc(kit->entries, kit->room * sizeof *kit->entries);
        CHECK(kit->entries != NULL, "%s", "no memory");
    }
    kit->entries[kit->count++] = entry;
}

/* Append, waiting for room; the entry is remembered. */
static inline struct kit_entry kit_append(struct kit *kit, uint64_t number,
                                          uint64_t size) {
    struct kit_entry entry = {.number = number, .size = size};
    uint8_t *data = malloc((size_t)size + 1);
    CHECK(data != NULL, "%s", "no memory");
    kit_payload(number, data, size);
    int result;
    for (;;) { /* ends: pages that are full are written, which makes room */
        result = faster_flog_append(kit->log, data, size, &entry.address, &entry.end);
        if (result != FASTER_RETRY) {
            break;
        }
        CHECK_INT(faster_flog_wait(kit->log, KIT_WAIT_MS), FASTER_OK);
    }
    CHECK_INT(result, FASTER_OK);
    free(data);
    kit_remember(kit, entry);
    return entry;
}

/* Append `count` entries of sizes up to `size_max`, numbered as they come. */
static inline void kit_fill(struct kit *kit, struct rng *rng, uint64_t count,
                            uint64_t size_max) {
    for (uint64_t i = 0; i < count; i++) {
        (void)kit_append(kit, kit->count, rng_below(rng, size_max + 1));
    }
}

static inline struct faster_flog_commit kit_commit(struct kit *kit) {
    struct faster_flog_commit commit;
    CHECK_INT(faster_flog_commit(kit->log, 0, KIT_WAIT_MS, &commit), FASTER_OK);
    return commit;
}

static inline struct faster_flog_commit kit_committed(struct kit *kit) {
    struct faster_flog_commit commit;
    faster_flog_committed(kit->log, &commit);
    return commit;
}

static inline struct faster_flog_stats kit_stats(struct kit *kit) {
    struct faster_flog_stats stats = {.size = sizeof stats};
    CHECK_INT(faster_flog_stats(kit->log, &stats), FASTER_OK);
    return stats;
}

/* --- scans ------------------------------------------------------------------------ */

static inline struct faster_flog_scan *kit_scan(struct kit *kit, uint64_t from,
                                                uint64_t until) {
    struct faster_flog_scan_config config = {
        .size = sizeof config, .from = from, .until = until};
    struct faster_flog_scan *scan = NULL;
    CHECK_INT(faster_flog_scan_open(kit->log, &config, &scan), FASTER_OK);
    return scan;
}

/* The next entry, or why there is none. */
static inline int kit_next(struct faster_flog_scan *scan,
                           struct faster_flog_entry *entry) {
    for (;;) { /* ends: what is filled is there at the next call */
        int result = faster_flog_scan_next(scan, entry);
        if (result != FASTER_PENDING) {
            return result;
        }
        result = faster_flog_scan_fill(scan, KIT_WAIT_MS);
        if (result != FASTER_OK) {
            return result;
        }
    }
}

static inline int kit_piece(struct faster_flog_scan *scan,
                            struct faster_flog_piece *piece) {
    for (;;) { /* ends: as above */
        int result = faster_flog_scan_piece(scan, piece);
        if (result != FASTER_PENDING) {
            return result;
        }
        result = faster_flog_scan_fill(scan, KIT_WAIT_MS);
        if (result != FASTER_OK) {
            return result;
        }
    }
}

static inline void kit_same(const struct kit_entry *wanted, const void *data,
                            uint64_t size) {
    uint8_t small[KIT_PAGE];
    uint8_t *payload = wanted->size <= KIT_PAGE ? small : malloc((size_t)wanted->size);
    CHECK(payload != NULL, "%s", "no memory");
    kit_payload(wanted->number, payload, wanted->size);
    CHECK_U64(size, wanted->size);
    CHECK(size == 0 || memcmp(payload, data, (size_t)size) == 0,
          "entry %" PRIu64 " of %" PRIu64 " bytes at %" PRIu64 " has other bytes",
          wanted->number, wanted->size, wanted->address);
    if (payload != small) {
        free(payload);
    }
}

/* The entry is the one that was appended. */
static inline void kit_is(const struct kit_entry *wanted,
                          const struct faster_flog_entry *entry) {
    CHECK_U64(entry->kind, FASTER_FLOG_DATA);
    CHECK_U64(entry->address, wanted->address);
    CHECK_U64(entry->next, wanted->end);
    CHECK_U64(entry->address % 8, 0);
    kit_same(wanted, entry->data, entry->size);
}

/* The scan gives the entries [first, last), then nothing more. */
static inline void kit_expect(struct kit *kit, struct faster_flog_scan *scan,
                              uint64_t first, uint64_t last) {
    struct faster_flog_entry entry;
    for (uint64_t i = first; i < last; i++) {
        CHECK_INT(kit_next(scan, &entry), FASTER_OK);
        kit_is(&kit->entries[i], &entry);
    }
    CHECK_INT(kit_next(scan, &entry), FASTER_NOT_FOUND);
}

/* The log holds the entries [first, last), and nothing else. */
static inline void kit_holds(struct kit *kit, uint64_t first, uint64_t last) {
    struct faster_flog_scan *scan = kit_scan(kit, 0, 0);
    kit_expect(kit, scan, first, last);
    faster_flog_scan_free(scan);
}

#endif
