/* SPDX-License-Identifier: MIT */
/* record.h and format/record_format.h: where things are, and moving them. */
#include "record/record.h"

#include <stdlib.h>

#include "harness.h"

static const struct record_layout varlen = {.header = RECORD_VARLEN_HEADER};

static struct record_layout fixed_layout(uint32_t key_size, uint32_t value_size) {
    return (struct record_layout){.fixed = true,
                                  .header = RECORD_FIXED_HEADER,
                                  .key_size = key_size,
                                  .value_size = value_size};
}

/* Room for a record in words, zero as the log gives it. */
static struct record *record_new(uint64_t size) {
    struct record *record = calloc((size_t)size / 8 + 1, 8);
    CHECK(record != NULL, "%" PRIu64 " bytes", size);
    return record;
}

static void set_lengths(struct record *record, uint64_t value_size, uint64_t key_size,
                        uint64_t slack) {
    atomic_store_explicit(record_lengths_word(record),
                          lengths_make(value_size, key_size, slack),
                          memory_order_release);
}

static void a_record_of_two_words_is_32_bytes(void) {
    struct record_layout layout = fixed_layout(8, 8);
    CHECK_U64(record_size(&layout, 8, 8), 32);
    CHECK_U64(record_value_offset(&layout, 8), 24);
    CHECK_U64(record_size(&varlen, 8, 8), 40);
    CHECK_U64(record_value_offset(&varlen, 8), 32);
}

static void sizes_are_whole_words_and_hold_header_key_and_value(void) {
    for (uint64_t key = 0; key <= 40; key++) {
        for (uint64_t value = 0; value <= 40; value++) {
            struct record_layout layout = fixed_layout((uint32_t)key, (uint32_t)value);
            uint64_t words = (key + 7) / 8 + (value + 7) / 8;
            CHECK_U64(record_size(&layout, key, value), 16 + words * 8);
            CHECK_U64(record_size(&varlen, key, value), 24 + words * 8);
        }
    }
    uint64_t most = record_size(&varlen, RECORD_KEY_MAX, UINT32_MAX);
    CHECK_U64(most, 24 + 65536 + ((uint64_t)1 << 32));
}

/* A key and a value written by hand are found where the layout says. */
static void check_places(const struct record_layout *layout, uint64_t key_size,
                         uint64_t value_size, uint64_t slack) {
    uint64_t size = record_size(layout, key_size, value_size) + slack * 8;
    struct record *record = record_new(size);
    uint8_t *bytes = (uint8_t *)record;
    if (!layout->fixed) {
        set_lengths(record, value_size, key_size, slack);
    }
    uint64_t room = layout->fixed ? size - record_value_offset(layout, key_size)
                                  : (value_size + 7) / 8 * 8 + slack * 8;
    CHECK_U64(record_key_size(layout, record), key_size);
    CHECK_U64(record_value_size(layout, record), value_size);
    CHECK_U64(record_room(layout, record), room);
    CHECK(record_key(layout, record) == bytes + layout->header, "key");
    uint8_t *value = (uint8_t *)(void *)record_value(layout, record, key_size);
    CHECK_U64((uintptr_t)value % 8, 0);
    CHECK(value >= bytes + layout->header + key_size, "the value is in the key");
    CHECK_U64((uint64_t)(value - bytes) + room, size);
    free(record);
}

static void layouts_agree_on_every_small_size_and_at_the_limits(void) {
    for (uint64_t key = 0; key <= 24; key++) {
        for (uint64_t value = 0; value <= 24; value++) {
            struct record_layout layout = fixed_layout((uint32_t)key, (uint32_t)value);
            check_places(&layout, key, value, 0);
            check_places(&varlen, key, value, 0);
            check_places(&varlen, key, value, 3);
        }
    }
    check_places(&varlen, RECORD_KEY_MAX, 0, 0);
    check_places(&varlen, RECORD_KEY_MAX, 1 << 20, RECORD_SLACK_MAX);
    check_places(&varlen, 0, (1 << 22) - 64 - 24, 0);
}

static void check_info(uint64_t prev, uint32_t version, uint64_t flags) {
    uint64_t info = info_make(prev, version, flags);
    CHECK_U64(info_prev(info), prev);
    CHECK_U64(info_version(info), version & 0xffu);
    CHECK_U64(info & ~(INFO_PREV_MASK | INFO_VERSION_MASK), flags | INFO_WRITTEN);
    for (uint32_t other = 0; other < 600; other += 37) {
        uint64_t changed = info_with_version(info, other);
        CHECK_U64(info_version(changed), other & 0xffu);
        CHECK_U64(changed & ~INFO_VERSION_MASK, info & ~INFO_VERSION_MASK);
    }
}

static void i1_info_keeps_its_parts_apart_and_is_never_zero(void) {
    static const uint64_t all[] = {INFO_TOMBSTONE, INFO_INVALID, INFO_SEALED,
                                   INFO_FILLER};
    struct rng rng = rng_stream(1);
    CHECK(info_make(0, 0, 0) != 0, "a live header of zero");
    for (uint64_t flags = 0; flags < 16; flags++) {
        uint64_t set = 0;
        for (int i = 0; i < 4; i++) {
            set |= (flags >> i & 1) != 0 ? all[i] : 0;
        }
        check_info(0, 0, set);
        check_info(INFO_PREV_MASK, 255, set);
        check_info(INFO_PREV_MASK, 256, set);
        check_info(rng_next(&rng) & INFO_PREV_MASK, (uint32_t)rng_next(&rng), set);
    }
}

static void lengths_keep_their_parts_apart(void) {
    static const uint64_t values[] = {0, 1, 7, 8, 9, 65535, 65536, UINT32_MAX};
    static const uint64_t shorts[] = {0, 1, 8, 255, 256, 65534, 65535};
    for (size_t v = 0; v < sizeof values / sizeof values[0]; v++) {
        for (size_t k = 0; k < sizeof shorts / sizeof shorts[0]; k++) {
            for (size_t s = 0; s < sizeof shorts / sizeof shorts[0]; s++) {
                uint64_t lengths = lengths_make(values[v], shorts[k], shorts[s]);
                CHECK_U64(lengths_value(lengths), values[v]);
                CHECK_U64(lengths_key(lengths), shorts[k]);
                CHECK_U64(lengths_slack(lengths), shorts[s]);
            }
        }
    }
}

/* Shrinking and growing move bytes between value and slack; their sum is the room. */
static void room_stays_whatever_the_value_and_slack_are(void) {
    struct record *record = record_new(record_size(&varlen, 5, 128));
    for (uint64_t value = 0; value <= 128; value++) {
        uint64_t slack = (128 - (value + 7) / 8 * 8) / 8;
        set_lengths(record, value, 5, slack);
        CHECK_U64(record_room(&varlen, record), 128);
    }
    free(record);
}

enum { WORDS = 12, BYTES = WORDS * 8 };

static void copying_in_changes_exactly_the_bytes_named(void) {
    struct rng rng = rng_stream(2);
    for (uint64_t offset = 0; offset <= BYTES; offset++) {
        for (uint64_t size = 0; offset + size <= BYTES; size++) {
            _Atomic uint64_t words[WORDS];
            uint8_t expected[BYTES];
            uint8_t got[BYTES];
            uint8_t in[BYTES + 1];
            rng_fill(&rng, expected, BYTES);
            rng_fill(&rng, in, sizeof in);
            record_copy_in(words, 0, expected, BYTES);
            record_copy_in(words, offset, in + 1, size); /* an odd source, too */
            memcpy(expected + offset, in + 1, (size_t)size);
            record_copy_out(words, got, BYTES);
            CHECK(memcmp(got, expected, BYTES) == 0, "%" PRIu64 " at %" PRIu64, size,
                  offset);
            CHECK(memcmp((const void *)words, expected, BYTES) == 0,
                  "%" PRIu64 " at %" PRIu64, size, offset);
        }
    }
}

static void copying_out_writes_no_byte_more(void) {
    struct rng rng = rng_stream(3);
    _Atomic uint64_t words[WORDS];
    uint8_t bytes[BYTES];
    rng_fill(&rng, bytes, BYTES);
    record_copy_in(words, 0, bytes, BYTES);
    for (uint64_t size = 0; size <= BYTES; size++) {
        uint8_t got[BYTES + 2];
        memset(got, 0xa5, sizeof got);
        record_copy_out(words, got + 1, size); /* to an odd place */
        CHECK(memcmp(got + 1, bytes, (size_t)size) == 0, "%" PRIu64, size);
        CHECK(got[0] == 0xa5 && got[size + 1] == 0xa5, "%" PRIu64, size);
    }
}

static void keys_are_equal_only_if_every_byte_and_the_size_are(void) {
    struct rng rng = rng_stream(4);
    uint8_t key[64];
    rng_fill(&rng, key, sizeof key);
    for (uint64_t size = 0; size <= 40; size++) {
        struct record *record = record_new(record_size(&varlen, size, 8));
        set_lengths(record, 8, size, 0);
        memcpy((uint8_t *)record + varlen.header, key, (size_t)size);
        CHECK(record_has_key(&varlen, record, key, size), "%" PRIu64, size);
        CHECK(!record_has_key(&varlen, record, key, size + 1), "%" PRIu64, size);
        for (uint64_t i = 0; i < size; i++) {
            CHECK(!record_has_key(&varlen, record, key, i), "%" PRIu64, i);
            key[i] ^= 0x80;
            CHECK(!record_has_key(&varlen, record, key, size), "%" PRIu64, i);
            key[i] ^= 0x80;
        }
        free(record);
    }
    struct record *record = record_new(record_size(&varlen, 0, 0));
    CHECK(record_has_key(&varlen, record, NULL, 0), "the empty key has no address");
    free(record);
}

/* Write a value as an update does (R2): under the lock, lengths before bytes. */
static void put(struct record *record, const void *value, uint64_t size) {
    uint32_t seq;
    CHECK_INT(record_lock(record, &seq), FASTER_OK);
    uint64_t slack = (record_room(&varlen, record) - (size + 7) / 8 * 8) / 8;
    set_lengths(record, size, record_key_size(&varlen, record), slack);
    record_copy_in(record_value(&varlen, record, 3), 0, value, size);
    record_unlock(record, seq);
}

static void reading_gives_the_value_or_the_room_it_needs(void) {
    struct record *record = record_new(record_size(&varlen, 3, 64));
    uint8_t value[64];
    uint8_t out[65];
    struct rng rng = rng_stream(5);
    set_lengths(record, 64, 3, 0);
    record_finish(record, info_make(0, 1, 0));
    for (uint64_t size = 0; size <= 64; size++) {
        uint64_t got = UINT64_MAX;
        rng_fill(&rng, value, sizeof value);
        put(record, value, size);
        for (uint64_t room = 0; room < size; room++) {
            memset(out, 0xa5, sizeof out);
            CHECK_INT(record_read_value(&varlen, record, out, room, &got),
                      FASTER_SHORT);
            CHECK_U64(got, size);
            CHECK(out[0] == 0xa5, "written without room");
        }
        memset(out, 0xa5, sizeof out);
        CHECK_INT(record_read_value(&varlen, record, out, size, &got), FASTER_OK);
        CHECK_U64(got, size);
        CHECK(memcmp(out, value, (size_t)size) == 0, "size %" PRIu64, size);
        CHECK(out[size] == 0xa5, "size %" PRIu64, size);
    }
    free(record);
}

static void i2_a_locked_record_is_neither_read_nor_locked_again(void) {
    struct record *record = record_new(64);
    uint8_t out[8];
    uint64_t size = 77;
    uint32_t seq;
    uint32_t other;
    set_lengths(record, 8, 3, 0);
    record_finish(record, info_make(0, 1, 0));
    CHECK_INT(record_lock(record, &seq), FASTER_OK);
    CHECK_U64(seq, 0);
    CHECK_INT(record_lock(record, &other), FASTER_RETRY);
    CHECK_INT(record_read_value(&varlen, record, out, sizeof out, &size), FASTER_RETRY);
    CHECK_U64(size, 77); /* nothing told */
    record_unlock(record, seq);
    CHECK_INT(record_read_value(&varlen, record, out, sizeof out, &size), FASTER_OK);
    CHECK_INT(record_lock(record, &other), FASTER_OK);
    free(record);
}

static void i4_each_change_has_a_number_of_its_own(void) {
    struct record *record = record_new(64);
    uint32_t last = 0;
    record_finish(record, info_make(0, 1, 0));
    for (int i = 0; i < 100; i++) {
        uint32_t seq;
        CHECK_INT(record_lock(record, &seq), FASTER_OK);
        CHECK(i == 0 || seq == last + 2, "%u after %u", seq, last);
        last = seq;
        record_unlock(record, seq);
    }
    /* At the word's end it goes on from 0, which is even as well. */
    atomic_store_explicit(&record->seq, UINT32_MAX - 1, memory_order_release);
    uint32_t seq;
    CHECK_INT(record_lock(record, &seq), FASTER_OK);
    CHECK_U64(seq, UINT32_MAX - 1);
    record_unlock(record, seq);
    CHECK_INT(record_lock(record, &seq), FASTER_OK);
    CHECK_U64(seq, 0);
    free(record);
}

static void a_tombstone_has_no_value(void) {
    struct record_layout layout = fixed_layout(8, 8);
    struct record *record = record_new(32);
    uint64_t size = 77;
    uint64_t out = 5;
    record_finish(record, info_make(0, 1, INFO_TOMBSTONE));
    CHECK_INT(record_read_value(&layout, record, &out, 8, &size), FASTER_NOT_FOUND);
    CHECK_INT(record_read_word(record, record_value(&layout, record, 8), &out),
              FASTER_NOT_FOUND);
    CHECK_U64(out, 5);
    record_set_info(record, info_make(0, 1, 0));
    word_store(record_value(&layout, record, 8), 9);
    CHECK_INT(record_read_word(record, record_value(&layout, record, 8), &out),
              FASTER_OK);
    CHECK_U64(out, 9);
    free(record);
}

static void finishing_and_invalidating_keep_what_scans_need(void) {
    struct record *record = record_new(32);
    uint64_t info = info_make(4096, 7, INFO_TOMBSTONE);
    memset((void *)record, 0xff, 32);
    record_finish(record, info);
    CHECK_U64(record_info(record), info);
    CHECK_U64(record->checksum, 0);
    CHECK_U64(atomic_load_explicit(&record->seq, memory_order_acquire), 0);
    record_invalidate(record);
    CHECK_U64(record_info(record), info | INFO_INVALID); /* prev stays (R5) */
    free(record);
}

HARNESS_MAIN(TEST(a_record_of_two_words_is_32_bytes),
             TEST(sizes_are_whole_words_and_hold_header_key_and_value),
             TEST(layouts_agree_on_every_small_size_and_at_the_limits),
             TEST(i1_info_keeps_its_parts_apart_and_is_never_zero),
             TEST(lengths_keep_their_parts_apart),
             TEST(room_stays_whatever_the_value_and_slack_are),
             TEST(copying_in_changes_exactly_the_bytes_named),
             TEST(copying_out_writes_no_byte_more),
             TEST(keys_are_equal_only_if_every_byte_and_the_size_are),
             TEST(reading_gives_the_value_or_the_room_it_needs),
             TEST(i2_a_locked_record_is_neither_read_nor_locked_again),
             TEST(i4_each_change_has_a_number_of_its_own),
             TEST(a_tombstone_has_no_value),
             TEST(finishing_and_invalidating_keep_what_scans_need))
