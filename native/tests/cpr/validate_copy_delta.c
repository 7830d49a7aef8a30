/* SPDX-License-Identifier: MIT */
/* copy_delta.h: what the base has, with the delta over it, is what memory has. */
#include "cpr/copy_kit.h"

enum { CHURN = 3000, KEYS = 2000, RECORDS_MAX = 1 << 16 };

#define NO_FUZZ UINT64_MAX

/* A DELTA stream: its records over an image, and where they are from. */
struct gathered {
    struct copy_image *image; /* or NULL */
    uint64_t *addresses;
    uint64_t count;
    uint64_t above; /* where the last record ended */
    uint64_t blocks;
};

static void take_records(void *context, const uint8_t *payload, uint64_t bytes) {
    struct gathered *gathered = context;
    uint64_t applied = 0;
    uint64_t before = gathered->count;
    gathered->blocks++;
    for (uint64_t at = 0; at < bytes;) {
        uint64_t address = word_load64(payload + at);
        uint64_t extent = word_load64(payload + at + 8);
        CHECK(address >= gathered->above, "%" PRIu64, address);
        CHECK(gathered->count < RECORDS_MAX, "too many records");
        gathered->above = address + extent;
        gathered->addresses[gathered->count++] = address;
        at += 16 + extent;
    }
    if (gathered->image != NULL) {
        struct copy_image *image = gathered->image;
        CHECK_INT(faster_image_apply(image->bytes, image->from,
                                     image->until - image->from, payload, bytes,
                                     &applied),
                  FASTER_OK);
        CHECK_U64(applied, gathered->count - before);
    }
}

static struct gathered gather(struct copy_kit *kit, uint64_t from, uint64_t until,
                              uint32_t base, uint32_t version, uint64_t capacity,
                              struct copy_image *image) {
    struct copy_delta copier;
    struct gathered gathered = {.image = image};
    gathered.addresses = calloc(RECORDS_MAX, sizeof *gathered.addresses);
    CHECK(gathered.addresses != NULL, "no memory");
    CHECK_INT(
        copy_delta_begin(&copier, kit->kv, from, until, base, version, COPY_KIT_SEED),
        FASTER_OK);
    CHECK_INT(copy_kit_read(kit, FASTER_PART_DELTA, &copier, copy_kit_delta_next,
                            capacity, take_records, &gathered),
              FASTER_OK);
    return gathered;
}

/* A checkpoint by hand: `version` ends, and its pages are copied.  Some records of the
 * next one come before final. */
static struct copy_image take_base(struct copy_kit *kit, struct rng *rng,
                                   uint32_t version) {
    uint64_t fuzzy_start = copy_kit_shift(kit, version);
    copy_kit_churn(kit, rng, CHURN / 20, KEYS);
    uint64_t final = copy_kit_final(kit);
    struct copy_image image =
        copy_kit_image(kit, 0, final, fuzzy_start, version, copy_kit_capacity(kit));
    copy_kit_state(kit, FASTER_PHASE_REST, version + 1);
    return image;
}

static struct copy_image cut_image(struct copy_kit *kit, const struct copy_image *image,
                                   uint64_t from) {
    struct copy_image cut = copy_image_new(kit, from, image->until);
    memcpy(cut.bytes, image->bytes + from, (size_t)(image->until - from));
    cut.until = image->until;
    return cut;
}

/* The base with the delta of [from, its end) is what a snapshot would have there. */
static void compare(struct copy_kit *kit, const struct copy_image *base, uint64_t from,
                    uint32_t base_version, uint32_t version, uint64_t capacity) {
    struct copy_image merged = cut_image(kit, base, from);
    struct gathered gathered =
        gather(kit, from, base->until, base_version, version, capacity, &merged);
    struct copy_image now = copy_kit_image(kit, from, base->until, NO_FUZZ, version,
                                           copy_kit_capacity(kit));
    copy_kit_same(&merged, &now);
    free(gathered.addresses);
    free(merged.bytes);
    free(now.bytes);
}

static void i1_base_and_delta_are_what_memory_has(void) {
    struct rng rng = rng_stream(0);
    for (uint32_t kind = 0; kind < KIT_KINDS; kind++) {
        for (uint32_t first = 1; first < 520; first += 253) {
            struct copy_kit kit = copy_kit_open((enum kit_kind)kind);
            copy_kit_state(&kit, FASTER_PHASE_REST, first);
            copy_kit_churn(&kit, &rng, CHURN, KEYS);
            struct copy_image base = take_base(&kit, &rng, first);
            uint32_t version = first + 1;
            for (int i = 0; i < 4; i++) {
                copy_kit_churn(&kit, &rng, CHURN / 10, KEYS);
                uint64_t capacity = copy_kit_capacity(&kit) + rng_below(&rng, 1 << 16);
                compare(&kit, &base, 0, first, version, capacity);
                compare(&kit, &base, 4 * KIT_DISK_PAGE, first, version, 1 << 20);
                version += 1 + (uint32_t)rng_below(&rng, 31);
                copy_kit_state(&kit, FASTER_PHASE_REST, version);
            }
            free(base.bytes);
            copy_kit_close(&kit);
        }
    }
}

/* Nothing but what has changed: an incremental checkpoint is small. */
static void only_changed_records_are_copied(void) {
    struct rng rng = rng_stream(1);
    struct copy_kit kit = copy_kit_open(KIT_WORD);
    for (uint64_t number = 0; number < KEYS; number++) {
        copy_kit_put(&kit, number, 1, 0);
    }
    uint64_t final = copy_kit_final(&kit);
    copy_kit_state(&kit, FASTER_PHASE_REST, 2);
    uint64_t expected[KEYS];
    uint64_t count = 0;
    for (uint64_t number = 0; number < KEYS; number++) { /* in the log's order */
        if (rng_below(&rng, 100) == 0) {
            struct kit_bytes key = kit_key(KIT_WORD, number);
            copy_kit_put(&kit, number, 2, 0);
            CHECK(kit_record(kit.session, &key, &expected[count]) != NULL, "no record");
            CHECK(expected[count] < final, "a record has moved");
            count++;
        }
    }
    copy_kit_put(&kit, KEYS, 2, 0); /* above the base's end */
    struct gathered gathered = gather(&kit, 0, final, 1, 2, 1 << 20, NULL);
    CHECK(count != 0, "nothing has changed");
    CHECK_U64(gathered.count, count);
    CHECK(memcmp(gathered.addresses, expected, count * 8) == 0, "other records");
    free(gathered.addresses);
    gathered = gather(&kit, 0, final, 2, 3, 1 << 20, NULL);
    CHECK_U64(gathered.count, 0);
    CHECK_U64(gathered.blocks, 0);
    free(gathered.addresses);
    copy_kit_close(&kit);
}

/* C12: bits that have come round are not newer than the checkpoint itself. */
static void old_records_do_not_pass_for_new(void) {
    struct copy_kit kit = copy_kit_open(KIT_WORD);
    copy_kit_state(&kit, FASTER_PHASE_REST, 5);
    for (uint64_t number = 0; number < KEYS; number++) {
        copy_kit_put(&kit, number, 1, 0);
    }
    uint64_t final = copy_kit_final(&kit);
    static const struct {
        uint32_t base;
        uint32_t version;
        uint64_t count;
    } ages[] = {{257, 258, 0},    {257, 260, 0}, {257, 261, KEYS}, {261, 262, 0},
                {260, 261, KEYS}, {4, 5, KEYS},  {5, 6, 0},        {134, 260, 0},
                {134, 261, KEYS}, {133, 260, 0}, {262, 389, 0}};
    for (size_t i = 0; i < sizeof ages / sizeof ages[0]; i++) {
        struct gathered gathered =
            gather(&kit, 0, final, ages[i].base, ages[i].version, 1 << 20, NULL);
        CHECK(gathered.count == ages[i].count, "%" PRIu64 " from %u to %u",
              gathered.count, ages[i].base, ages[i].version);
        free(gathered.addresses);
    }
    copy_kit_close(&kit);
}

static void a_base_that_is_too_old_is_refused(void) {
    struct copy_kit kit = copy_kit_open(KIT_WORD);
    struct copy_delta copier;
    static const uint32_t bad[][2] = {{1, 1}, {2, 1}, {1, 129}, {1, 257}, {1, 258}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_INT(copy_delta_begin(&copier, kit.kv, 0, 64, bad[i][0], bad[i][1],
                                   COPY_KIT_SEED),
                  -EINVAL);
    }
    CHECK_INT(
        copy_delta_begin(&copier, kit.kv, 0, 64, 1, 1 + DELTA_AGE_MAX, COPY_KIT_SEED),
        FASTER_OK);
    copy_kit_close(&kit);
}

/* `from` is a sector's end, which may be in the middle of a record. */
static void a_record_that_is_cut_is_there_whole(void) {
    struct rng rng = rng_stream(2);
    for (uint32_t kind = 0; kind < KIT_KINDS; kind++) {
        struct copy_kit kit = copy_kit_open((enum kit_kind)kind);
        copy_kit_churn(&kit, &rng, CHURN, KEYS);
        struct copy_image base = take_base(&kit, &rng, 1);
        copy_kit_churn(&kit, &rng, CHURN, KEYS);
        struct copy_image now =
            copy_kit_image(&kit, 0, base.until, NO_FUZZ, 2, 1 << 20);
        for (uint64_t from = 0; from < KIT_DISK_PAGE + 512; from += 8) {
            struct copy_image merged = cut_image(&kit, &base, from);
            struct copy_image rest = cut_image(&kit, &now, from);
            struct gathered gathered =
                gather(&kit, from, base.until, 1, 2, 1 << 20, &merged);
            copy_kit_same(&merged, &rest);
            free(gathered.addresses);
            free(merged.bytes);
            free(rest.bytes);
        }
        free(now.bytes);
        free(base.bytes);
        copy_kit_close(&kit);
    }
}

static void a_page_that_left_memory_voids_the_stream(void) {
    struct rng rng = rng_stream(3);
    struct copy_kit kit = copy_kit_open(KIT_TEXT);
    copy_kit_churn(&kit, &rng, CHURN, KEYS);
    uint64_t final = copy_kit_final(&kit);
    copy_kit_state(&kit, FASTER_PHASE_REST, 2);
    copy_kit_churn(&kit, &rng, CHURN, KEYS);
    uint64_t capacity = copy_kit_capacity(&kit);
    uint8_t *buffer = copy_kit_buffer(capacity);
    struct copy_delta copier;
    uint64_t size = 0;
    CHECK_INT(copy_delta_begin(&copier, kit.kv, 0, final, 1, 2, COPY_KIT_SEED),
              FASTER_OK);
    CHECK_INT(copy_delta_next(&copier, kit.slot, buffer, capacity, &size), FASTER_OK);
    CHECK(size != 0, "nothing was copied");
    kit_disk_evict(&kit.disk);
    CHECK_INT(copy_delta_next(&copier, kit.slot, buffer, capacity, &size),
              FASTER_RETRY);
    CHECK_U64(size, 0);
    CHECK_U64(atomic_load_explicit(&kit.slot->word, memory_order_seq_cst), 0);
    /* Above the base's end nothing is left to do. */
    struct gathered gathered =
        gather(&kit, disk_flushed_until(&kit.kv->log), final, 1, 2, capacity, NULL);
    CHECK_U64(gathered.count, 0);
    free(gathered.addresses);
    free(buffer);
    copy_kit_close(&kit);
}

static void what_cannot_be_is_told(void) {
    struct copy_kit kit = copy_kit_open(KIT_WORD);
    copy_kit_put(&kit, 1, 1, 0);
    uint64_t final = copy_kit_final(&kit);
    uint8_t *buffer = copy_kit_buffer(1024);
    uint64_t least = BLOCK_HEADER + 16 + 32; /* one record's */
    struct copy_delta copier;
    uint64_t size = 1;
    CHECK_INT(copy_delta_begin(&copier, kit.kv, 0, final, 0, 1, COPY_KIT_SEED),
              FASTER_OK);
    CHECK_INT(copy_delta_next(&copier, kit.slot, buffer + 4, 1000, &size), -EINVAL);
    CHECK_INT(copy_delta_next(&copier, kit.slot, buffer, least - 8, &size),
              FASTER_SHORT);
    CHECK_INT(copy_delta_next(&copier, kit.slot, buffer, 8, &size), FASTER_SHORT);
    CHECK_U64(size, 0);
    CHECK_INT(epoch_enter(&kit.kv->epoch, kit.slot), FASTER_OK);
    CHECK_INT(copy_delta_next(&copier, kit.slot, buffer, 1024, &size), FASTER_E_BUSY);
    epoch_leave(&kit.kv->epoch, kit.slot);
    CHECK_INT(copy_delta_next(&copier, kit.slot, buffer, least, &size), FASTER_OK);
    CHECK_U64(size, least);
    CHECK_INT(copy_delta_next(&copier, kit.slot, buffer, 8, &size), FASTER_SHORT);
    CHECK_INT(copy_delta_next(&copier, kit.slot, buffer, least, &size), FASTER_OK);
    CHECK_U64(size, BLOCK_HEADER);
    CHECK_INT(copy_delta_next(&copier, kit.slot, buffer, least, &size), FASTER_OK);
    CHECK_U64(size, 0);
    free(buffer);
    copy_kit_close(&kit);
}

HARNESS_MAIN(TEST(i1_base_and_delta_are_what_memory_has),
             TEST(only_changed_records_are_copied),
             TEST(old_records_do_not_pass_for_new),
             TEST(a_base_that_is_too_old_is_refused),
             TEST(a_record_that_is_cut_is_there_whole),
             TEST(a_page_that_left_memory_voids_the_stream),
             TEST(what_cannot_be_is_told))
