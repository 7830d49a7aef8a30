/* SPDX-License-Identifier: MIT */
/* copy_pages.h: the log's end as a device would have it, without the next version. */
#include "cpr/copy_kit.h"
#include "cpr/copy_record.h"

enum { CHURN = 3000, KEYS = 2000 };

#define NO_FUZZ UINT64_MAX

/* Copies of every capacity are the same, whoever cuts them. */
static void compare(struct copy_kit *kit, uint64_t from, uint64_t until,
                    uint64_t fuzzy_start, uint32_t version, uint64_t capacity) {
    struct copy_image expected =
        copy_kit_expected(kit, from, until, fuzzy_start, version);
    struct copy_image image =
        copy_kit_image(kit, from, until, fuzzy_start, version, capacity);
    copy_kit_same(&image, &expected);
    free(image.bytes);
    free(expected.bytes);
}

static void i1_blocks_are_the_range_without_a_gap(void) {
    struct rng rng = rng_stream(0);
    for (uint32_t kind = 0; kind < KIT_KINDS; kind++) {
        struct copy_kit kit = copy_kit_open((enum kit_kind)kind);
        copy_kit_churn(&kit, &rng, CHURN, KEYS);
        uint64_t final = copy_kit_final(&kit);
        CHECK(final > 8 * KIT_DISK_PAGE, "%" PRIu64, final);
        for (int i = 0; i < 8; i++) {
            uint64_t capacity = copy_kit_capacity(&kit) + rng_below(&rng, 1 << 16);
            compare(&kit, 0, final, NO_FUZZ, 1, capacity);
        }
        compare(&kit, 0, final, NO_FUZZ, 1, 16 << 20);
        compare(&kit, 2 * KIT_DISK_PAGE, final, NO_FUZZ, 1, copy_kit_capacity(&kit));
        compare(&kit, final, final, NO_FUZZ, 1, copy_kit_capacity(&kit));
        copy_kit_close(&kit);
    }
}

/* Clear what means nothing on a device (R5). */
static void forget_locks(struct copy_kit *kit, struct copy_image *image) {
    uint64_t address = image->from == 0 ? ADDRESS_FIRST : image->from;
    while (address < image->until) {
        struct record *record =
            (struct record *)(void *)(image->bytes + (address - image->from));
        uint64_t info = record_info(record);
        if (copy_kit_is_record(info)) {
            record_set_info(record, info & ~INFO_SEALED);
            atomic_store_explicit(&record->seq, 0, memory_order_seq_cst);
        }
        address += copy_kit_extent(kit, address, record, info);
    }
}

static void whole_records_are_as_the_device_gets_them(void) {
    struct rng rng = rng_stream(1);
    for (uint32_t kind = 0; kind < KIT_KINDS; kind++) {
        struct copy_kit kit = copy_kit_open((enum kit_kind)kind);
        copy_kit_churn(&kit, &rng, CHURN, KEYS);
        uint64_t final = copy_kit_final(&kit);
        uint64_t capacity = copy_kit_capacity(&kit);
        struct copy_image image = copy_kit_image(&kit, 0, final, NO_FUZZ, 1, capacity);
        struct copy_image device = copy_image_new(&kit, 0, final);
        uint64_t moved = 0;
        CHECK_INT(faster_kv_flush(kit.kv, KIT_DISK_WAIT_MS), FASTER_OK);
        CHECK_INT(
            device_read_wait(disk_device(&kit.kv->log), 0, device.bytes, final, &moved),
            FASTER_OK);
        CHECK_U64(moved, final);
        device.until = final;
        forget_locks(&kit, &device);
        copy_kit_same(&image, &device);
        free(image.bytes);
        free(device.bytes);
        copy_kit_close(&kit);
    }
}

/* Values of the next version must not get out: these bytes are in none other. */
static const char secret[] = "a value of the next version, at length";

static bool holds_secret(const struct copy_image *image) {
    for (uint64_t at = 0; at + 32 <= image->until - image->from; at++) {
        if (memcmp(image->bytes + at, secret, 16) == 0) {
            return true;
        }
    }
    return false;
}

static void put_secrets(struct copy_kit *kit, uint64_t count) {
    struct kit_bytes value = {.size = sizeof secret};
    memcpy(value.data, secret, sizeof secret);
    for (uint64_t number = 0; number < count; number++) {
        struct kit_bytes key = kit_key(KIT_TEXT, number * 3);
        CHECK_INT(kit_upsert(kit->session, &key, &value), FASTER_OK);
        value.data[sizeof secret - 1] = (uint8_t)number; /* again, in place */
        CHECK_INT(kit_upsert(kit->session, &key, &value), FASTER_OK);
    }
}

static void i2_the_next_version_is_left_out(void) {
    struct rng rng = rng_stream(2);
    for (uint32_t version = 1; version < 600; version += 254) {
        struct copy_kit kit = copy_kit_open(KIT_TEXT);
        copy_kit_state(&kit, FASTER_PHASE_REST, version);
        copy_kit_churn(&kit, &rng, CHURN, KEYS);
        uint64_t fuzzy_start = copy_kit_shift(&kit, version);
        put_secrets(&kit, 50);
        copy_kit_churn(&kit, &rng, CHURN / 4, KEYS);
        uint64_t final = copy_kit_final(&kit);
        put_secrets(&kit, 50);
        CHECK(final > fuzzy_start + 2 * KIT_DISK_PAGE, "%" PRIu64, final);
        compare(&kit, 0, final, fuzzy_start, version, copy_kit_capacity(&kit));
        struct copy_image image = copy_kit_image(&kit, 0, final, fuzzy_start, version,
                                                 copy_kit_capacity(&kit));
        CHECK(!holds_secret(&image), "a value of the next version was copied");
        free(image.bytes);
        image = copy_kit_image(&kit, 0, final, NO_FUZZ, version, 1 << 20);
        CHECK(holds_secret(&image), "no value of the next version was there");
        free(image.bytes);
        copy_kit_close(&kit);
    }
}

static void i2_fixed_records_of_the_next_version_are_void_too(void) {
    struct rng rng = rng_stream(3);
    for (uint32_t kind = KIT_WORD; kind <= KIT_WIDE; kind++) {
        struct copy_kit kit = copy_kit_open((enum kit_kind)kind);
        copy_kit_churn(&kit, &rng, CHURN, KEYS);
        uint64_t fuzzy_start = copy_kit_shift(&kit, 1);
        copy_kit_churn(&kit, &rng, CHURN, KEYS);
        uint64_t final = copy_kit_final(&kit);
        compare(&kit, 0, final, fuzzy_start, 1, copy_kit_capacity(&kit));
        copy_kit_close(&kit);
    }
}

/* C12: 256 versions ago the bits were the same. */
static void below_the_fuzzy_start_no_record_is_new(void) {
    struct copy_kit kit = copy_kit_open(KIT_WORD);
    copy_kit_state(&kit, FASTER_PHASE_REST, 2);
    for (uint64_t number = 0; number < KEYS; number++) {
        copy_kit_put(&kit, number, number, 0);
    }
    copy_kit_state(&kit, FASTER_PHASE_REST, 257);
    uint64_t fuzzy_start = copy_kit_shift(&kit, 257);
    for (uint64_t number = 0; number < KEYS; number++) {
        copy_kit_put(&kit, number, number, 0);
    }
    uint64_t final = copy_kit_final(&kit);
    uint64_t valid = 0;
    struct copy_image image =
        copy_kit_image(&kit, 0, final, fuzzy_start, 257, copy_kit_capacity(&kit));
    for (uint64_t at = ADDRESS_FIRST; at < final;) {
        struct record *record = (struct record *)(void *)(image.bytes + at);
        uint64_t info = record_info(record);
        if (copy_kit_is_record(info)) {
            CHECK_U64(info_version(info), 2);
            CHECK_INT((info & INFO_INVALID) != 0, at >= fuzzy_start);
            valid += (info & INFO_INVALID) == 0;
        }
        at += copy_kit_extent(&kit, at, record, info);
    }
    CHECK_U64(valid, KEYS);
    free(image.bytes);
    copy_kit_close(&kit);
}

/* A sector's end is in the middle of a record: what is in front of it is in the log, as
 * it is, of whatever version, so the rest must fit to that. */
static void a_record_that_is_cut_goes_on_as_it_began(void) {
    struct rng rng = rng_stream(4);
    for (uint32_t kind = 0; kind < KIT_KINDS; kind++) {
        struct copy_kit kit = copy_kit_open((enum kit_kind)kind);
        copy_kit_churn(&kit, &rng, CHURN, KEYS);
        uint64_t fuzzy_start = copy_kit_shift(&kit, 1);
        copy_kit_churn(&kit, &rng, CHURN, KEYS);
        uint64_t final = copy_kit_final(&kit);
        kit_settle(kit.kv);
        uint64_t page = fuzzy_start & ~(uint64_t)(KIT_DISK_PAGE - 1);
        for (uint64_t from = page; from <= page + 2 * KIT_DISK_PAGE; from += 8) {
            uint64_t until = page + 3 * KIT_DISK_PAGE;
            CHECK(until <= final, "%" PRIu64, final);
            compare(&kit, from, until, fuzzy_start, 1, copy_kit_capacity(&kit));
        }
        for (uint64_t from = 0; from <= 4 * ADDRESS_FIRST; from += 8) {
            compare(&kit, from, KIT_DISK_PAGE, fuzzy_start, 1, copy_kit_capacity(&kit));
        }
        copy_kit_close(&kit);
    }
}

/* A page is larger than what is copied under one entry. */
static void a_large_page_is_copied_in_steps(void) {
    struct rng rng = rng_stream(5);
    struct kit_disk_options options = {.memory_size = 32 << 20, .page_size = 1 << 20};
    struct copy_kit kit = copy_kit_open_with(KIT_TEXT, &options);
    copy_kit_churn(&kit, &rng, 6000, 6000);
    uint64_t fuzzy_start = copy_kit_shift(&kit, 1);
    copy_kit_churn(&kit, &rng, 20000, 12000);
    uint64_t final = copy_kit_final(&kit);
    CHECK(final > 2 * options.page_size && options.page_size >= 3 * COPY_STEP,
          "%" PRIu64, final);
    compare(&kit, 0, final, fuzzy_start, 1, copy_kit_capacity(&kit));
    kit_settle(kit.kv);
    compare(&kit, 512, final, fuzzy_start, 1, copy_kit_capacity(&kit));
    copy_kit_close(&kit);
}

static void a_page_that_left_memory_voids_the_stream(void) {
    struct rng rng = rng_stream(6);
    struct copy_kit kit = copy_kit_open(KIT_TEXT);
    copy_kit_churn(&kit, &rng, CHURN, KEYS);
    uint64_t final = copy_kit_final(&kit);
    uint64_t capacity = copy_kit_capacity(&kit);
    uint8_t *buffer = copy_kit_buffer(capacity);
    struct copy_pages copier;
    uint64_t size = 0;
    CHECK_INT(copy_pages_begin(&copier, kit.kv, 0, final, NO_FUZZ, 1, COPY_KIT_SEED),
              FASTER_OK);
    CHECK_INT(copy_pages_next(&copier, kit.slot, buffer, capacity, &size), FASTER_OK);
    CHECK(size != 0, "nothing was copied");
    kit_disk_evict(&kit.disk);
    CHECK_INT(copy_pages_next(&copier, kit.slot, buffer, capacity, &size),
              FASTER_RETRY);
    CHECK_U64(size, 0);
    CHECK_U64(atomic_load_explicit(&kit.slot->word, memory_order_seq_cst), 0);
    uint64_t flushed = disk_flushed_until(&kit.kv->log);
    CHECK(flushed >= final, "%" PRIu64, flushed);
    compare(&kit, flushed, flushed, NO_FUZZ, 1, capacity);
    free(buffer);
    copy_kit_close(&kit);
}

static void what_cannot_be_is_told(void) {
    struct copy_kit kit = copy_kit_open(KIT_WORD);
    copy_kit_put(&kit, 1, 1, 0);
    uint64_t final = copy_kit_final(&kit);
    uint64_t capacity = copy_kit_capacity(&kit);
    uint8_t *buffer = copy_kit_buffer(capacity + 8);
    struct copy_pages copier;
    uint64_t size = 1;
    CHECK_INT(copy_pages_begin(&copier, kit.kv, 0, final, NO_FUZZ, 1, COPY_KIT_SEED),
              FASTER_OK);
    CHECK_INT(copy_pages_next(&copier, kit.slot, buffer + 4, capacity, &size), -EINVAL);
    CHECK_INT(copy_pages_next(&copier, kit.slot, buffer, 48 + final - 1, &size),
              FASTER_SHORT);
    CHECK_U64(size, 0);
    /* Somebody else is inside the slot: nothing is copied, and nothing is lost. */
    CHECK_INT(epoch_enter(&kit.kv->epoch, kit.slot), FASTER_OK);
    CHECK_INT(copy_pages_next(&copier, kit.slot, buffer, capacity, &size),
              FASTER_E_BUSY);
    epoch_leave(&kit.kv->epoch, kit.slot);
    /* The page first, then the end, where there is no room for both. */
    CHECK_INT(copy_pages_next(&copier, kit.slot, buffer, 48 + final, &size), FASTER_OK);
    CHECK_U64(size, 48 + final);
    CHECK_INT(copy_pages_next(&copier, kit.slot, buffer, capacity, &size), FASTER_OK);
    CHECK_U64(size, BLOCK_HEADER);
    CHECK_INT(copy_pages_next(&copier, kit.slot, buffer, capacity, &size), FASTER_OK);
    CHECK_U64(size, 0);
    free(buffer);
    copy_kit_close(&kit);
}

static void a_closed_store_is_not_copied(void) {
    struct copy_kit kit = copy_kit_open(KIT_WORD);
    copy_kit_put(&kit, 1, 1, 0);
    uint64_t final = copy_kit_final(&kit);
    uint8_t *buffer = copy_kit_buffer(copy_kit_capacity(&kit));
    struct copy_pages copier;
    uint64_t size = 1;
    CHECK_INT(copy_pages_begin(&copier, kit.kv, 0, final, NO_FUZZ, 1, COPY_KIT_SEED),
              FASTER_OK);
    copy_kit_state(&kit, FASTER_PHASE_REST, 1);
    atomic_store_explicit(&kit.kv->state, STATE_CLOSED | 1, memory_order_seq_cst);
    CHECK_INT(
        copy_pages_next(&copier, kit.slot, buffer, copy_kit_capacity(&kit), &size),
        FASTER_E_CLOSED);
    CHECK_U64(size, 0);
    copy_kit_state(&kit, FASTER_PHASE_REST, 1);
    free(buffer);
    copy_kit_close(&kit);
}

HARNESS_MAIN(TEST(i1_blocks_are_the_range_without_a_gap),
             TEST(whole_records_are_as_the_device_gets_them),
             TEST(i2_the_next_version_is_left_out),
             TEST(i2_fixed_records_of_the_next_version_are_void_too),
             TEST(below_the_fuzzy_start_no_record_is_new),
             TEST(a_record_that_is_cut_goes_on_as_it_began),
             TEST(a_large_page_is_copied_in_steps),
             TEST(a_page_that_left_memory_voids_the_stream),
             TEST(what_cannot_be_is_told), TEST(a_closed_store_is_not_copied))
