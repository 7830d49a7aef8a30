/* SPDX-License-Identifier: MIT */
/*
 * disk_kit.h: a log on a device whose worker is a hand
 *
 * The stack is log, faulty device, recording device, memory device.  Nothing runs by
 * itself: kit_round() is one round of the worker.  Records have an 8-byte key, their
 * number, and an 8-byte value that follows from it.
 */
#ifndef TESTS_LOG_DISK_KIT_H
#define TESTS_LOG_DISK_KIT_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "device/faulty.h"
#include "harness.h"
#include "log/disk.h"
#include "record/checksum.h"

enum {
    KIT_PAGE_BITS = HLOG_PAGE_BITS_MIN,
    KIT_PAGE = 1 << KIT_PAGE_BITS,
    KIT_SECTOR = 512,
    KIT_SLOTS = 8,
    KIT_FRAMES = 8,      /* what the budget allows */
    KIT_RING = 16,       /* pages of address space */
    KIT_RECORD = 32,     /* bytes of a record */
    KIT_ROUNDS_MAX = 200 /* rounds within which anything that can end has ended */
};

#define KIT_SEED ((uint64_t)0x5eed)

static const struct record_layout kit_layout = {
    .fixed = true, .header = RECORD_FIXED_HEADER, .key_size = 8, .value_size = 8};

struct kit {
    struct epoch epoch;
    struct budget budget;
    struct worker worker;
    struct hlog log;
    struct epoch_slot *slots[KIT_SLOTS];
    struct faster_device *memory;
    struct faster_recording *recording;
    struct faster_faulty *faulty;
    uint64_t appended; /* the number of the next record */
};

struct kit_options {
    const struct faster_fault_rule *rules;
    uint32_t rules_count;
    uint32_t mutable_permille;
    uint64_t max_io;
    uint32_t alignment;
    uint32_t sector_size;
};

static bool kit_no_work(void *context) {
    (void)context;
    return false;
}

static inline void kit_devices(struct kit *kit, const struct kit_options *options) {
    struct faster_recording_config recording = {.size = sizeof recording,
                                                .flags = FASTER_RECORD_READS};
    struct faster_faulty_config faulty = {.size = sizeof faulty,
                                          .rules = options->rules,
                                          .rules_count = options->rules_count,
                                          .seed = harness_seed(),
                                          .max_io = options->max_io,
                                          .alignment = options->alignment,
                                          .sector_size = options->sector_size};
    CHECK_INT(faster_device_memory(1 << 20, 0, &kit->memory), FASTER_OK);
    CHECK_INT(faster_recording_open(&recording, kit->memory, &kit->recording),
              FASTER_OK);
    CHECK_INT(faster_faulty_open(&faulty, faster_recording_device(kit->recording),
                                 &kit->faulty),
              FASTER_OK);
}

static inline struct kit *kit_begin(const struct kit_options *options) {
    struct kit *kit = calloc(1, sizeof *kit);
    CHECK(kit != NULL, "%s", "no memory");
    kit_devices(kit, options);
    epoch_init(&kit->epoch, KIT_SLOTS);
    budget_init(&kit->budget, KIT_FRAMES * KIT_PAGE);
    CHECK_INT(worker_init(&kit->worker, kit_no_work, NULL), 0);
    CHECK_INT(hlog_init(&kit->log, &kit->epoch, &kit->budget, KIT_PAGE_BITS,
                        KIT_RING * KIT_PAGE),
              FASTER_OK);
    struct disk_config config = {
        .device = faster_faulty_device(kit->faulty),
        .layout = &kit_layout,
        .worker = &kit->worker,
        .store_id = KIT_SEED,
        .mutable_permille =
            options->mutable_permille != 0 ? options->mutable_permille : 500,
    };
    CHECK_INT(disk_attach(&kit->log, &config), FASTER_OK);
    for (int i = 0; i < KIT_SLOTS; i++) {
        CHECK_INT(epoch_slot_take(&kit->epoch, &kit->slots[i]), 0);
    }
    return kit;
}

/* The budget must be as it was: what is left is the log's. */
static inline void kit_end(struct kit *kit) {
    CHECK_INT(device_close(faster_faulty_device(kit->faulty)), 0);
    CHECK_U64(budget_used(&kit->budget), hlog_bytes(&kit->log));
    hlog_destroy(&kit->log);
    disk_detach(&kit->log);
    worker_destroy(&kit->worker);
    epoch_destroy(&kit->epoch);
    faster_faulty_free(kit->faulty);
    faster_recording_free(kit->recording);
    faster_device_free(kit->memory);
    free(kit);
}

/* No rule fires any more.  How often one has fired is not known after this. */
static inline void kit_lift(struct kit *kit) {
    lock_enter(&kit->faulty->lock);
    for (uint32_t i = 0; i < kit->faulty->rules_count; i++) {
        kit->faulty->rules[i].fired = UINT64_MAX;
    }
    lock_leave(&kit->faulty->lock);
}

static inline uint64_t kit_value_of(uint64_t number) {
    return number * 0x9e3779b97f4a7c15u + 1;
}

/* Write record `number` where there is room: FASTER_OK, or what hlog_reserve says. */
static inline int kit_append(struct kit *kit, struct epoch_slot *slot, uint64_t number,
                             uint64_t *address) {
    CHECK_INT(epoch_enter(&kit->epoch, slot), FASTER_OK);
    int result = hlog_reserve(&kit->log, KIT_RECORD, address);
    if (result == FASTER_OK) {
        struct record *record = hlog_record(&kit->log, *address);
        uint64_t value = kit_value_of(number);
        memcpy((uint8_t *)record + RECORD_FIXED_HEADER, &number, 8);
        memcpy((uint8_t *)record + RECORD_FIXED_HEADER + 8, &value, 8);
        record_finish(record, info_make(ADDRESS_NONE, 0, 0));
    }
    epoch_leave(&kit->epoch, slot);
    return result;
}

/* The words of the log in their order, at any moment between two rounds (I1, I2). */
static inline void kit_check_order(struct kit *kit) {
    uint64_t closed = disk_closed_until(&kit->log);
    uint64_t head = hlog_head(&kit->log);
    uint64_t flushed = disk_flushed_until(&kit->log);
    uint64_t safe = hlog_safe_read_only(&kit->log);
    CHECK(closed <= head, "%" PRIu64 " %" PRIu64, closed, head);
    CHECK(head <= (flushed > ADDRESS_FIRST ? flushed : ADDRESS_FIRST),
          "%" PRIu64 " %" PRIu64, head, flushed);
    CHECK(flushed <= safe, "%" PRIu64 " %" PRIu64, flushed, safe);
    CHECK(safe <= hlog_tail(&kit->log), "%" PRIu64, safe);
}

static inline bool kit_round(struct kit *kit) {
    bool more = disk_work(&kit->log);
    kit_check_order(kit);
    return more;
}

/* Rounds until there is nothing more to do. */
static inline void kit_settle(struct kit *kit) {
    for (int i = 0; kit_round(kit); i++) {
        CHECK(i < KIT_ROUNDS_MAX, "the worker still moves after %d rounds", i);
    }
}

/* Append one record, with rounds while there is no page. */
static inline int kit_append_wait(struct kit *kit) {
    uint64_t address;
    int result = kit_append(kit, kit->slots[0], kit->appended, &address);
    for (int i = 0; result == FASTER_RETRY && i < KIT_ROUNDS_MAX; i++) {
        (void)kit_round(kit);
        result = kit_append(kit, kit->slots[0], kit->appended, &address);
    }
    kit->appended += result == FASTER_OK;
    return result;
}

static inline void kit_fill(struct kit *kit, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        CHECK_INT(kit_append_wait(kit), FASTER_OK);
    }
}

/* Fill until the log gives something else than FASTER_OK, which is returned. */
static inline int kit_fill_up(struct kit *kit) {
    int result = FASTER_OK;
    for (uint64_t i = 0; i < 2 * KIT_RING * KIT_PAGE / KIT_RECORD; i++) {
        result = kit_append_wait(kit);
        if (result != FASTER_OK) {
            return result;
        }
    }
    return result;
}

/* Pad to `unit` and have it flushed, or evicted too. */
static inline uint64_t kit_want(struct kit *kit, uint64_t unit, bool evict) {
    uint64_t until = 0;
    CHECK_INT(epoch_enter(&kit->epoch, kit->slots[0]), FASTER_OK);
    CHECK_INT(hlog_pad(&kit->log, unit, &until), FASTER_OK);
    epoch_leave(&kit->epoch, kit->slots[0]);
    if (evict) {
        disk_want_evict(&kit->log, until);
    } else {
        disk_want_flush(&kit->log, until);
    }
    return until;
}

/* A record as the device or memory has it: right in every byte. */
static inline void kit_check_record(struct record *record, uint64_t address,
                                    uint64_t number, bool summed) {
    uint64_t key;
    uint64_t value;
    memcpy(&key, (uint8_t *)record + RECORD_FIXED_HEADER, 8);
    memcpy(&value, (uint8_t *)record + RECORD_FIXED_HEADER + 8, 8);
    CHECK_U64(key, number);
    CHECK_U64(value, kit_value_of(number));
    if (summed) {
        CHECK_U64(record->checksum, record_checksum(record, KIT_RECORD, address,
                                                    record_seed(KIT_SEED, 1)));
    }
}

/* Walk over `bytes`, the log from `from` to `until`, whose first record is `number`:
 * every record is right.  Gives the number of the first record behind. */
static inline uint64_t kit_walk(uint8_t *bytes, uint64_t from, uint64_t until,
                                uint64_t number) {
    uint64_t address = from == 0 ? ADDRESS_FIRST : from;
    while (address < until) { /* ends: each step is up */
        struct record *record = (struct record *)(void *)(bytes + (address - from));
        uint64_t info = record_info(record);
        if (info == 0) {
            address = (address | (KIT_PAGE - 1)) + 1;
        } else if ((info & INFO_FILLER) != 0) {
            address += info_prev(info);
        } else {
            if (address + KIT_RECORD <= until) { /* else its end is not there yet */
                kit_check_record(record, address, number, true);
            }
            number++;
            address += KIT_RECORD;
        }
    }
    return number;
}

/* All that is below flushed_until is on the device, right in every record; gives how
 * many records that is. */
static inline uint64_t kit_check_device(struct kit *kit) {
    uint64_t until = disk_flushed_until(&kit->log);
    uint8_t *bytes = calloc(1, (size_t)until + 1);
    uint64_t moved = 0;
    CHECK(bytes != NULL, "%s", "no memory");
    if (until != 0) {
        CHECK_INT(device_read_wait(kit->memory, 0, bytes, until, &moved), FASTER_OK);
    }
    CHECK_U64(moved, until);
    uint64_t number = kit_walk(bytes, 0, until, 0);
    free(bytes);
    return number;
}

/* No sector was written twice (I3): what was recorded, whose writes all succeeded. */
static inline void kit_check_once(struct kit *kit) {
    static uint8_t written[1 << 16];
    memset(written, 0, sizeof written);
    for (uint64_t i = 0; i < faster_recording_count(kit->recording); i++) {
        struct faster_recording_event event;
        CHECK_INT(faster_recording_event(kit->recording, i, &event), FASTER_OK);
        if (event.kind != FASTER_KIND_WRITE) {
            continue;
        }
        CHECK_U64(event.offset % KIT_SECTOR, 0);
        CHECK_U64(event.length % KIT_SECTOR, 0);
        for (uint64_t at = event.offset; at < event.offset + event.length;
             at += KIT_SECTOR) {
            CHECK(at / KIT_SECTOR < sizeof written, "%" PRIu64, at);
            CHECK(written[at / KIT_SECTOR]++ == 0, "sector at %" PRIu64 " again", at);
        }
    }
}

#endif
