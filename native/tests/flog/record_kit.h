/* SPDX-License-Identifier: MIT */
/*
 * record_kit.h: what was durable, judged by what the device was asked and by nothing
 * else
 *
 * A sync covers the writes that were completed before it was submitted (device.h V6).
 * So a byte is durable when it was written by a write that ended well before a sync
 * began that ended well.
 */
#ifndef TESTS_FLOG_RECORD_KIT_H
#define TESTS_FLOG_RECORD_KIT_H

#include "flog/kit.h"

/* Half of the requests are completed by a thread of the device, in its own time. */
static const struct faster_fault_rule record_foreign = {
    .kinds = FASTER_KIND_WRITE | FASTER_KIND_SYNC | FASTER_KIND_READ,
    .fault = FASTER_FAULT_FOREIGN,
    .probability = UINT64_C(1) << 31};

static inline struct faster_recording_event record_event(struct kit *kit,
                                                         uint64_t index) {
    struct faster_recording_event event;
    CHECK_INT(faster_recording_event(kit->recording, index, &event), FASTER_OK);
    return event;
}

static inline bool record_done(const struct faster_recording_event *event) {
    return event->completed != 0 && event->code == FASTER_DEVICE_DONE;
}

/* When the last sync that has ended well was submitted; 0: none has. */
static inline uint64_t record_last_sync(struct kit *kit, uint64_t count) {
    uint64_t last = 0;
    for (uint64_t i = 0; i < count; i++) {
        struct faster_recording_event event = record_event(kit, i);
        if (event.kind == FASTER_KIND_SYNC && record_done(&event)) {
            last = event.submitted;
        }
    }
    return last;
}

/* Every byte of [from, until) is durable now. */
static inline void record_durable(struct kit *kit, uint64_t from, uint64_t until) {
    uint64_t count = faster_recording_count(kit->recording);
    uint64_t last = record_last_sync(kit, count);
    uint64_t first = from / kit->sector;
    uint64_t sectors = kit_round(until, kit->sector) / kit->sector;
    uint8_t *there = calloc(sectors + 1, 1);
    CHECK(there != NULL, "%s", "no memory");
    for (uint64_t i = 0; i < count; i++) {
        struct faster_recording_event event = record_event(kit, i);
        if (event.kind == FASTER_KIND_WRITE && record_done(&event) &&
            event.moved == event.length && event.completed < last) {
            uint64_t end = (event.offset + event.length) / kit->sector;
            for (uint64_t at = event.offset / kit->sector; at < end; at++) {
                there[at < sectors ? at : sectors] = 1;
            }
        }
    }
    for (uint64_t at = first; at < sectors; at++) {
        CHECK(there[at] != 0,
              "%" PRIu64 " is said to be durable, but the sector at %" PRIu64
              " is not; the last sync was submitted at %" PRIu64,
              until, at * kit->sector, last);
    }
    free(there);
}

/* L5: no sector was written twice by this life, unless a write failed. */
static inline void record_once(struct kit *kit) {
    uint64_t count = faster_recording_count(kit->recording);
    uint64_t end = 0;
    for (uint64_t i = 0; i < count; i++) {
        struct faster_recording_event event = record_event(kit, i);
        if (event.kind == FASTER_KIND_WRITE) {
            end = event.offset + event.length > end ? event.offset + event.length : end;
        }
    }
    uint8_t *there = calloc(end / kit->sector + 1, 1);
    CHECK(there != NULL, "%s", "no memory");
    for (uint64_t i = 0; i < count; i++) {
        struct faster_recording_event event = record_event(kit, i);
        if (event.kind != FASTER_KIND_WRITE) {
            continue;
        }
        CHECK_U64(event.offset % kit->sector, 0);
        CHECK_U64(event.length % kit->sector, 0);
        uint64_t last = (event.offset + event.length) / kit->sector;
        for (uint64_t at = event.offset / kit->sector; at < last; at++) {
            CHECK(there[at] == 0, "the sector at %" PRIu64 " is written twice",
                  at * kit->sector);
            there[at] = 1;
        }
    }
    free(there);
}

static inline uint64_t record_kinds(struct kit *kit, uint32_t kind) {
    uint64_t count = faster_recording_count(kit->recording);
    uint64_t found = 0;
    for (uint64_t i = 0; i < count; i++) {
        found += record_event(kit, i).kind == kind;
    }
    return found;
}

#endif
