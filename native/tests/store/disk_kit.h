/* SPDX-License-Identifier: MIT */
/*
 * disk_kit.h: stores on a device that does what it is told, wrong things too
 *
 * The stack is store, faulty device, memory device; pages are small and the budget is
 * tiny, so that a few thousand records are far larger than memory.
 */
#ifndef TESTS_STORE_DISK_KIT_H
#define TESTS_STORE_DISK_KIT_H

#include <errno.h>

#include "device/faulty.h"
#include "store/kit.h"
#include "store/pending.h"

enum {
    KIT_DISK_PAGE = 4096,
    KIT_DISK_MEMORY = 128 << 10,
    KIT_DISK_WAIT_MS = 100000, /* only a test that fails waits so long */
    KIT_DISK_ID = 4711
};

struct kit_disk {
    enum kit_kind kind;
    struct faster_device *memory;
    struct faster_faulty *faulty;
    struct faster_kv *kv;
    struct faster_session *session;
};

/* What a test wants other than usual. */
struct kit_disk_options {
    const struct faster_fault_rule *rules;
    uint32_t rules_count;
    uint64_t memory_size;
    uint64_t page_size;
    uint64_t max_io;
    uint64_t capabilities_set;
    uint64_t read_cache;
    uint32_t alignment;
    uint32_t index_permille;
};

static inline struct faster_kv_config
kit_disk_config(enum kit_kind kind, const struct kit_disk_options *options) {
    struct faster_kv_config config = kit_config(kind);
    config.page_size = options->page_size != 0 ? options->page_size : KIT_DISK_PAGE;
    config.memory = options->memory_size != 0 ? options->memory_size : KIT_DISK_MEMORY;
    config.store_id = KIT_DISK_ID;
    config.read_cache = options->read_cache;
    config.index_permille = options->index_permille;
    return config;
}

/* The two devices, one before the other. */
static inline void kit_disk_devices(struct kit_disk *disk,
                                    const struct kit_disk_options *options) {
    struct faster_faulty_config faulty = {.size = sizeof faulty,
                                          .rules = options->rules,
                                          .rules_count = options->rules_count,
                                          .seed = harness_seed(),
                                          .capabilities_set = options->capabilities_set,
                                          .max_io = options->max_io,
                                          .alignment = options->alignment};
    CHECK_INT(faster_device_memory(1 << 20, 0, &disk->memory), FASTER_OK);
    CHECK_INT(faster_faulty_open(&faulty, disk->memory, &disk->faulty), FASTER_OK);
}

static inline struct kit_disk kit_disk_open(enum kit_kind kind,
                                            const struct kit_disk_options *options) {
    struct kit_disk disk = {.kind = kind};
    struct faster_kv_config config = kit_disk_config(kind, options);
    kit_disk_devices(&disk, options);
    config.device = faster_faulty_device(disk.faulty);
    disk.kv = kit_open_config(&config);
    disk.session = kit_session(disk.kv);
    return disk;
}

static inline void kit_disk_free_devices(struct kit_disk *disk) {
    faster_faulty_free(disk->faulty);
    faster_device_free(disk->memory);
}

static inline void kit_disk_close(struct kit_disk *disk) {
    kit_close(disk->kv, disk->session);
    kit_disk_free_devices(disk);
}

/* No rule fires any more; what waits for a release goes on.  How often a rule has fired
 * is not known after this. */
static inline void kit_disk_lift(struct kit_disk *disk) {
    lock_enter(&disk->faulty->lock);
    for (uint32_t i = 0; i < disk->faulty->rules_count; i++) {
        disk->faulty->rules[i].fired = UINT64_MAX;
    }
    lock_leave(&disk->faulty->lock);
    (void)faster_faulty_release(disk->faulty);
}

/* From its next request on the rule fires.  No request that it fired for may be under
 * way. */
static inline void kit_disk_arm(struct kit_disk *disk, uint32_t rule, uint64_t times) {
    struct fault_rule *armed = &disk->faulty->rules[rule];
    lock_enter(&disk->faulty->lock);
    armed->fired = armed->fired == UINT64_MAX ? 0 : armed->fired;
    armed->is.nth = armed->matched + 1;
    armed->is.every = 1;
    armed->is.times = times != 0 ? armed->fired + times : UINT64_MAX;
    lock_leave(&disk->faulty->lock);
}

/* A rule that waits for kit_disk_arm. */
#define KIT_DISK_UNARMED .nth = UINT64_MAX

static inline void kit_disk_evict(struct kit_disk *disk) {
    CHECK_INT(faster_kv_evict(disk->kv, KIT_DISK_WAIT_MS), FASTER_OK);
}

/* How many reads the device has been asked for. */
static inline uint64_t kit_disk_reads(struct kit_disk *disk) {
    struct faster_faulty_stats stats;
    faster_faulty_stats(disk->faulty, &stats);
    return stats.reads;
}

static inline struct faster_operation kit_operation(uint32_t kind,
                                                    const struct kit_bytes *key,
                                                    const struct kit_bytes *value) {
    struct faster_operation operation = {
        .kind = kind, .key = key->data, .key_size = key->size};
    if (value != NULL) {
        operation.value = value->data;
        operation.value_size = value->size;
    }
    return operation;
}

/* Begin an operation; FASTER_RETRY is gone through. */
static inline int kit_start(struct faster_session *session,
                            const struct faster_operation *operation,
                            struct kit_bytes *out, struct faster_pending **pending) {
    int result;
    KIT_RETRY(session, result,
              faster_start(session, operation, out->data, sizeof out->data, &out->size,
                           pending));
    return result;
}

/* Begin an operation that only the device can end. */
static inline struct faster_pending *
kit_start_pending(struct faster_session *session,
                  const struct faster_operation *operation) {
    struct faster_pending *pending = NULL;
    struct kit_bytes out = {.size = 0};
    CHECK_INT(kit_start(session, operation, &out, &pending), FASTER_PENDING);
    CHECK(pending != NULL, "%s", "nothing is pending");
    return pending;
}

/* Its end: the status, and a value that fits into `out`. */
static inline int kit_take(struct faster_session *session,
                           struct faster_pending *pending, struct kit_bytes *out,
                           struct faster_result *result) {
    CHECK_INT(faster_wait(session, pending, KIT_DISK_WAIT_MS), FASTER_OK);
    faster_result_of(pending, result);
    if (out != NULL && result->value != NULL) {
        CHECK(result->value_size <= sizeof out->data, "%" PRIu64, result->value_size);
        memcpy(out->data, result->value, (size_t)result->value_size);
        out->size = result->value_size;
    }
    CHECK_INT(faster_forget(session, pending), FASTER_OK);
    return result->status;
}

/* Begin an operation and wait for its end, wherever the record is. */
static inline int kit_run(struct faster_session *session,
                          const struct faster_operation *operation,
                          struct kit_bytes *out) {
    struct kit_bytes none;
    struct faster_result result;
    struct faster_pending *pending = NULL;
    out = out != NULL ? out : &none;
    int status = kit_start(session, operation, out, &pending);
    return status == FASTER_PENDING ? kit_take(session, pending, out, &result) : status;
}

static inline int kit_run_read(struct faster_session *session,
                               const struct kit_bytes *key, struct kit_bytes *out) {
    struct faster_operation operation = kit_operation(FASTER_READ, key, NULL);
    return kit_run(session, &operation, out);
}

static inline int kit_run_write(struct faster_session *session, uint32_t kind,
                                const struct kit_bytes *key,
                                const struct kit_bytes *value) {
    struct faster_operation operation = kit_operation(kind, key, value);
    return kit_run(session, &operation, NULL);
}

static inline int kit_run_merge(struct faster_session *session, uint32_t kind,
                                const struct kit_bytes *key,
                                const struct kit_bytes *input, struct kit_bytes *out) {
    struct faster_merge merge = {.kind = kind};
    struct faster_operation operation = kit_operation(FASTER_RMW, key, input);
    operation.merge = &merge;
    return kit_run(session, &operation, out);
}

/* The key's value, wherever it is, must be this one; NULL: it must be absent. */
static inline void kit_disk_expect(struct faster_session *session,
                                   const struct kit_bytes *key,
                                   const struct kit_bytes *value) {
    struct kit_bytes found = {.size = 0};
    int result = kit_run_read(session, key, &found);
    CHECK_INT(result, value != NULL ? FASTER_OK : FASTER_NOT_FOUND);
    if (value != NULL) {
        CHECK(kit_same(&found, value), "another value of %" PRIu64 " bytes",
              found.size);
    }
}

/* The first number from `from` on whose key has the entry of `number`'s: the same chain
 * in an index of at most 2^bits buckets. */
static inline uint64_t kit_collision(struct faster_kv *kv, enum kit_kind kind,
                                     uint64_t number, uint64_t from, uint32_t bits) {
    struct kit_bytes key = kit_key(kind, number);
    uint64_t hash = kv_hash(kv, key.data, key.size);
    for (;; from++) { /* ends: hashes are spread */
        struct kit_bytes other = kit_key(kind, from);
        uint64_t distance = hash ^ kv_hash(kv, other.data, other.size);
        if (from != number && distance >> 50 == 0 &&
            (distance & (((uint64_t)1 << bits) - 1)) == 0) {
            return from;
        }
    }
}

#endif
