/* SPDX-License-Identifier: MIT */
/*
 * copy_kit.h: copies of a store's log and index, taken by hand
 *
 * A test sets the store's phase and version itself, so that it knows which record is of
 * which version, and reads what a copier gives as the caller of a checkpoint would.
 */
#ifndef TESTS_CPR_COPY_KIT_H
#define TESTS_CPR_COPY_KIT_H

#include "base/memory.h"
#include "base/word.h"
#include "cpr/copy_delta.h"
#include "cpr/copy_index.h"
#include "cpr/copy_pages.h"
#include "log/disk.h"
#include "record/checksum.h"
#include "store/disk_kit.h"

enum { COPY_KIT_MEMORY = 4 << 20, COPY_KIT_SEED = 77 };

struct copy_kit {
    struct kit_disk disk;
    struct faster_kv *kv;
    struct faster_session *session;
    struct epoch_slot *slot; /* the copier's */
};

static inline struct copy_kit
copy_kit_open_with(enum kit_kind kind, const struct kit_disk_options *options) {
    struct copy_kit kit = {.disk = kit_disk_open(kind, options)};
    kit.kv = kit.disk.kv;
    kit.session = kit.disk.session;
    CHECK_INT(epoch_slot_take(&kit.kv->epoch, &kit.slot), FASTER_OK);
    return kit;
}

static inline struct copy_kit copy_kit_open(enum kit_kind kind) {
    struct kit_disk_options options = {.memory_size = COPY_KIT_MEMORY};
    return copy_kit_open_with(kind, &options);
}

static inline void copy_kit_state(struct copy_kit *kit, uint32_t phase,
                                  uint32_t version) {
    atomic_store_explicit(&kit->kv->state, state_make(phase, version),
                          memory_order_seq_cst);
}

static inline void copy_kit_close(struct copy_kit *kit) {
    epoch_slot_give(kit->slot);
    kit_disk_close(&kit->disk);
}

/* What was appended so far belongs to `version`; what comes is of the next one. */
static inline uint64_t copy_kit_shift(struct copy_kit *kit, uint32_t version) {
    uint64_t fuzzy_start = hlog_tail(&kit->kv->log);
    atomic_store_explicit(&kit->kv->fuzzy_start, fuzzy_start, memory_order_seq_cst);
    copy_kit_state(kit, FASTER_PHASE_IN_PROGRESS, version + 1);
    return fuzzy_start;
}

/* The tail on a sector's end, once everyone has left who reserved below. */
static inline uint64_t copy_kit_final(struct copy_kit *kit) {
    uint64_t final = 0;
    int result = FASTER_RETRY;
    while (result == FASTER_RETRY) { /* ends: a page is turned, or the worker lags */
        CHECK_INT(kv_enter_slot(kit->kv, kit->slot), FASTER_OK);
        result = hlog_pad(&kit->kv->log, disk_unit(&kit->kv->log), &final);
        epoch_leave(&kit->kv->epoch, kit->slot);
    }
    CHECK_INT(result, FASTER_OK);
    epoch_wait(&kit->kv->epoch, epoch_bump(&kit->kv->epoch));
    return final;
}

static inline void copy_kit_put(struct copy_kit *kit, uint64_t number, uint64_t seed,
                                uint64_t size) {
    struct kit_bytes key = kit_key(kit->disk.kind, number);
    struct kit_bytes value = kit_value(kit->disk.kind, seed, size);
    CHECK_INT(kit_upsert(kit->session, &key, &value), FASTER_OK);
}

/* Puts and deletes of a few keys, in place and not, with values of all sizes. */
static inline void copy_kit_churn(struct copy_kit *kit, struct rng *rng, uint64_t count,
                                  uint64_t keys) {
    for (uint64_t i = 0; i < count; i++) {
        uint64_t number = rng_below(rng, keys);
        struct kit_bytes key = kit_key(kit->disk.kind, number);
        if (rng_below(rng, 8) == 0) {
            int result = kit_delete(kit->session, &key);
            CHECK(result == FASTER_OK || result == FASTER_NOT_FOUND, "%d", result);
        } else {
            copy_kit_put(kit, number, rng_next(rng), rng_below(rng, 200));
        }
    }
}

/* A buffer of exactly this size, so that a byte too far is seen. */
static inline uint8_t *copy_kit_buffer(uint64_t capacity) {
    uint8_t *buffer = aligned_alloc(8, (size_t)(capacity & ~(uint64_t)7));
    CHECK(buffer != NULL, "no memory");
    return buffer;
}

/* --- streams ---------------------------------------------------------------------- */

typedef int (*copy_kit_next)(void *copier, struct epoch_slot *slot, void *buffer,
                             uint64_t capacity, uint64_t *size);
typedef void (*copy_kit_take)(void *context, const uint8_t *payload, uint64_t bytes);

/* Read a stream to its end, or to what `next` says instead. */
static inline int copy_kit_read(struct copy_kit *kit, uint32_t part, void *copier,
                                copy_kit_next next, uint64_t capacity,
                                copy_kit_take take, void *context) {
    uint8_t *buffer = copy_kit_buffer(capacity);
    struct faster_block block = {.last = 0};
    uint64_t number = 0;
    uint64_t size = 1;
    int result = FASTER_OK;
    while (result == FASTER_OK && size != 0) { /* ends with the stream */
        result = next(copier, kit->slot, buffer, capacity & ~(uint64_t)7, &size);
        CHECK(size <= capacity, "%" PRIu64 " bytes", size);
        CHECK(result == FASTER_OK || size == 0, "%" PRIu64 " bytes", size);
        /* The slot is idle: its owner may wait now (E4). */
        CHECK_U64(atomic_load_explicit(&kit->slot->word, memory_order_seq_cst), 0);
        for (uint64_t at = 0; at < size; at += block.whole) {
            CHECK_U64(block.last, 0);
            CHECK_INT(faster_block_next(buffer + at, size - at, COPY_KIT_SEED, part,
                                        number, &block),
                      FASTER_OK);
            number++;
            if (block.last == 0) {
                take(context, buffer + at + block.payload, block.bytes);
            }
        }
    }
    if (result == FASTER_OK) {
        CHECK_U64(block.last, 1);
    }
    free(buffer);
    return result;
}

static inline int copy_kit_pages_next(void *copier, struct epoch_slot *slot,
                                      void *buffer, uint64_t capacity, uint64_t *size) {
    return copy_pages_next(copier, slot, buffer, capacity, size);
}

static inline int copy_kit_delta_next(void *copier, struct epoch_slot *slot,
                                      void *buffer, uint64_t capacity, uint64_t *size) {
    return copy_delta_next(copier, slot, buffer, capacity, size);
}

static inline int copy_kit_index_next(void *copier, struct epoch_slot *slot,
                                      void *buffer, uint64_t capacity, uint64_t *size) {
    return copy_index_next(copier, slot, buffer, capacity, size);
}

/* --- the bytes of a part of the log ----------------------------------------------- */

struct copy_image {
    uint64_t page_size;
    uint64_t from;
    uint64_t until; /* have been given below */
    uint8_t *bytes; /* at from */
};

static inline void copy_image_take(void *context, const uint8_t *payload,
                                   uint64_t bytes) {
    struct copy_image *image = context;
    CHECK(bytes > 16, "%" PRIu64 " bytes of payload", bytes);
    uint64_t address = word_load64(payload);
    uint64_t length = word_load64(payload + 8);
    CHECK_U64(address, image->until); /* copy_pages.h I1 */
    CHECK_U64(length, bytes - 16);
    CHECK_U64(address / image->page_size, (address + length - 1) / image->page_size);
    memcpy(image->bytes + (address - image->from), payload + 16, (size_t)length);
    image->until += length;
}

static inline struct copy_image copy_image_new(struct copy_kit *kit, uint64_t from,
                                               uint64_t until) {
    struct copy_image image = {.page_size = kit->kv->log.page_size, .from = from};
    image.until = from;
    image.bytes = calloc(1, (size_t)(until - from) + 8);
    CHECK(image.bytes != NULL, "no memory");
    return image;
}

/* The PAGES stream of version `version`, as a caller gets it. */
static inline int copy_kit_try_image(struct copy_kit *kit, uint64_t from,
                                     uint64_t until, uint64_t fuzzy_start,
                                     uint32_t version, uint64_t capacity,
                                     struct copy_image *image) {
    struct copy_pages copier;
    *image = copy_image_new(kit, from, until);
    CHECK_INT(copy_pages_begin(&copier, kit->kv, from, until, fuzzy_start, version,
                               COPY_KIT_SEED),
              FASTER_OK);
    int result = copy_kit_read(kit, FASTER_PART_PAGES, &copier, copy_kit_pages_next,
                               capacity, copy_image_take, image);
    if (result != FASTER_OK) {
        free(image->bytes);
    }
    return result;
}

static inline struct copy_image copy_kit_image(struct copy_kit *kit, uint64_t from,
                                               uint64_t until, uint64_t fuzzy_start,
                                               uint32_t version, uint64_t capacity) {
    struct copy_image image;
    CHECK_INT(
        copy_kit_try_image(kit, from, until, fuzzy_start, version, capacity, &image),
        FASTER_OK);
    CHECK_U64(image.until, until);
    return image;
}

static inline uint64_t copy_kit_capacity(struct copy_kit *kit) {
    return kit->kv->log.page_size + COPY_PAGES_ROOM;
}

/* --- what the test itself knows of the log ---------------------------------------- */

/* A record, a filler, or what is behind a page's written part. */
static inline uint64_t copy_kit_extent(struct copy_kit *kit, uint64_t address,
                                       struct record *record, uint64_t info) {
    if (info == 0) {
        return kit->kv->log.page_size - (address & (kit->kv->log.page_size - 1));
    }
    return (info & INFO_FILLER) != 0 ? info_prev(info)
                                     : record_extent(&kit->kv->layout, record);
}

static inline bool copy_kit_is_record(uint64_t info) {
    return info != 0 && (info & INFO_FILLER) == 0;
}

/* Make a record's bytes what a device may hold: for who knows what it must be. */
static inline void copy_kit_finish(struct copy_kit *kit, uint64_t address,
                                   uint8_t *bytes, uint64_t extent, uint64_t info) {
    struct record *record = (struct record *)(void *)bytes;
    struct record_prefix prefix = {.info = info};
    memcpy(bytes, &prefix, sizeof prefix);
    prefix.checksum =
        record_checksum(record, extent, address, disk_seed_at(&kit->kv->log, address));
    memcpy(bytes, &prefix, sizeof prefix);
}

static inline void copy_kit_empty(struct copy_kit *kit, uint8_t *bytes,
                                  uint64_t extent) {
    struct record *record = (struct record *)(void *)bytes;
    uint64_t key_size = record_key_size(&kit->kv->layout, record);
    uint64_t value = record_value_offset(&kit->kv->layout, key_size);
    memset(bytes + value, 0, (size_t)(extent - value));
}

/* What the copy of [from, until) must be, while nobody writes. */
static inline struct copy_image copy_kit_expected(struct copy_kit *kit, uint64_t from,
                                                  uint64_t until, uint64_t fuzzy_start,
                                                  uint32_t version) {
    uint64_t page = from & ~(kit->kv->log.page_size - 1);
    struct copy_image whole = copy_image_new(kit, page, until);
    uint64_t address = page == 0 ? ADDRESS_FIRST : page;
    while (address < until) {
        struct record *record = hlog_record(&kit->kv->log, address);
        uint64_t info = record_info(record);
        uint64_t extent = copy_kit_extent(kit, address, record, info);
        uint8_t *to = whole.bytes + (address - page);
        if (copy_kit_is_record(info)) {
            bool is_next = address >= fuzzy_start && address >= from &&
                           info_version(info) == ((version + 1) & 0xffu);
            memcpy(to, record, (size_t)extent);
            if (is_next) {
                copy_kit_empty(kit, to, extent);
            }
            info = (info & ~INFO_SEALED) | (is_next ? INFO_INVALID : 0);
            copy_kit_finish(kit, address, to, extent, info);
        } else if (info != 0) {
            struct record *filler = (struct record *)(void *)to;
            memcpy(to, &info, sizeof info);
            if (extent >= 16) {
                filler->checksum = filler_checksum(
                    filler, address, disk_seed_at(&kit->kv->log, address));
            }
        }
        address += extent;
    }
    struct copy_image cut = copy_image_new(kit, from, until);
    memcpy(cut.bytes, whole.bytes + (from - page), (size_t)(until - from));
    cut.until = until;
    free(whole.bytes);
    return cut;
}

static inline void copy_kit_same(const struct copy_image *actual,
                                 const struct copy_image *expected) {
    CHECK_U64(actual->from, expected->from);
    CHECK_U64(actual->until, expected->until);
    for (uint64_t at = 0; at < actual->until - actual->from; at += 8) {
        CHECK(memcmp(actual->bytes + at, expected->bytes + at, 8) == 0,
              "another word at address %" PRIu64 ": %" PRIx64 ", not %" PRIx64,
              actual->from + at, word_load64(actual->bytes + at),
              word_load64(expected->bytes + at));
    }
}

#endif
