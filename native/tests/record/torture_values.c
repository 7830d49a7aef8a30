/* SPDX-License-Identifier: MIT */
/*
 * Readers beside writers see whole values, and no value of a key that is absent.
 *
 * Torn values: writers fill the record with one repeated byte that tells the value's
 * size, under the lock, in the order of an update (R2): lengths, then bytes.  A value
 * that mixes two changes has two different bytes, or a size that its byte denies.
 *
 * Delete and revive: one writer gives life n of the key the value n.  It stores n
 * while the record is still a tombstone, waits, writes `allowed` = n, and only then
 * clears the tombstone; after the delete that ends life n it writes `ended` = n.  A
 * reader that gets v must have ended < v as read before, v <= allowed as read after.
 */
#include "base/thread.h"
#include "record/record.h"

#include "harness.h"

enum { WRITERS = 2, READERS = 2, MOST = 100, KEY = 8 };

static const struct record_layout varlen = {.header = RECORD_VARLEN_HEADER};
static const struct record_layout words = {
    .fixed = true, .header = RECORD_FIXED_HEADER, .key_size = KEY, .value_size = 8};

static _Alignas(CACHE_LINE) uint64_t room[32];
static _Atomic uint32_t writers_left;

static struct record *record_in_room(void) { return (struct record *)(void *)room; }

static bool is_going_on(void) {
    return atomic_load_explicit(&writers_left, memory_order_relaxed) != 0;
}

static void lock(struct record *record, uint32_t *seq) {
    while (record_lock(record, seq) != FASTER_OK) { /* ends: owners do not wait */
        thread_yield();
    }
}

/* The byte tells the size, and there are two of each size. */
static uint8_t byte_of(uint64_t size, bool second) {
    return (uint8_t)(second ? size + MOST : size);
}

static void write_values(uint32_t thread, uint64_t count) {
    struct record *record = record_in_room();
    struct rng rng = rng_stream(thread);
    uint8_t value[MOST];
    for (uint64_t i = 0; i < count; i++) {
        uint64_t size = 1 + rng_below(&rng, MOST);
        uint32_t seq;
        memset(value, byte_of(size, rng_below(&rng, 2) == 0), (size_t)size);
        lock(record, &seq);
        uint64_t slack = (record_room(&varlen, record) - align_up(size, 8)) / 8;
        atomic_store_explicit(record_lengths_word(record),
                              lengths_make(size, KEY, slack), memory_order_release);
        record_copy_in(record_value(&varlen, record, KEY), 0, value, size);
        record_unlock(record, seq);
    }
    atomic_fetch_sub_explicit(&writers_left, 1, memory_order_relaxed);
}

static void check_value(const uint8_t *value, uint64_t size) {
    CHECK(size >= 1 && size <= MOST, "size %" PRIu64, size);
    CHECK(value[0] == byte_of(size, false) || value[0] == byte_of(size, true),
          "byte %u in a value of %" PRIu64, value[0], size);
    for (uint64_t i = 1; i < size; i++) {
        CHECK(value[i] == value[0], "torn at %" PRIu64 " of %" PRIu64 ": %u after %u",
              i, size, value[i], value[0]);
    }
}

static void read_values(void) {
    struct record *record = record_in_room();
    uint8_t value[MOST];
    uint64_t size;
    while (is_going_on()) {
        int result = record_read_value(&varlen, record, value, MOST, &size);
        CHECK(result == FASTER_OK || result == FASTER_RETRY, "%d", result);
        if (result == FASTER_OK) {
            check_value(value, size);
        }
        uint64_t most = 0;
        result = record_read_value(&varlen, record, value, 0, &most);
        CHECK(result == FASTER_SHORT || result == FASTER_RETRY, "%d", result);
        CHECK(result == FASTER_RETRY || (most >= 1 && most <= MOST), "%" PRIu64, most);
    }
}

static void values_thread(void *context, uint32_t thread) {
    const uint64_t *count = context;
    if (thread < WRITERS) {
        write_values(thread, *count);
    } else {
        read_values();
    }
}

static void r1_a_long_value_is_never_torn(void) {
    uint64_t count = harness_count(200000);
    struct record *record = record_in_room();
    memset(room, 0, sizeof room);
    atomic_store_explicit(record_lengths_word(record), lengths_make(1, KEY, MOST / 8),
                          memory_order_relaxed);
    memset((uint8_t *)record + record_value_offset(&varlen, KEY), byte_of(1, false), 1);
    record_finish(record, info_make(0, 1, 0));
    atomic_store_explicit(&writers_left, WRITERS, memory_order_relaxed);
    harness_threads(WRITERS + READERS, values_thread, &count);
}

/* The record apart from its value by a cache line, so that a reader is often caught
 * between the two; record_read_word is told where the value is. */
static _Alignas(CACHE_LINE) _Atomic uint64_t life_value;
static _Alignas(CACHE_LINE) _Atomic uint64_t allowed;
static _Alignas(CACHE_LINE) _Atomic uint64_t ended;

static void begin_lives(void) {
    memset(room, 0, sizeof room);
    atomic_store_explicit(&allowed, 0, memory_order_relaxed);
    atomic_store_explicit(&ended, 0, memory_order_relaxed);
    record_finish(record_in_room(), info_make(0, 1, INFO_TOMBSTONE));
    atomic_store_explicit(&writers_left, 1, memory_order_relaxed);
}

static void linger(struct rng *rng) {
    for (uint64_t i = rng_below(rng, 64); i > 0; i--) {
        cpu_relax();
    }
}

static void live_and_die(uint64_t lives) {
    struct record *record = record_in_room();
    struct rng rng = rng_stream(0);
    uint64_t info = info_make(0, 1, 0);
    uint32_t seq;
    for (uint64_t life = 1; life <= lives; life++) {
        lock(record, &seq);
        word_store(&life_value, life); /* the value, while the key is still absent */
        linger(&rng);
        atomic_store_explicit(&allowed, life, memory_order_seq_cst);
        record_set_info(record, info);
        record_unlock(record, seq);
        linger(&rng);
        lock(record, &seq);
        record_set_info(record, info | INFO_TOMBSTONE);
        record_unlock(record, seq);
        atomic_store_explicit(&ended, life, memory_order_seq_cst);
    }
    atomic_fetch_sub_explicit(&writers_left, 1, memory_order_relaxed);
}

static void read_lives(void) {
    struct record *record = record_in_room();
    uint64_t last = 0;
    while (is_going_on()) {
        uint64_t value = 0;
        uint64_t before = atomic_load_explicit(&ended, memory_order_seq_cst);
        int result = record_read_word(record, &life_value, &value);
        uint64_t after = atomic_load_explicit(&allowed, memory_order_seq_cst);
        CHECK(result == FASTER_OK || result == FASTER_NOT_FOUND ||
                  result == FASTER_RETRY,
              "%d", result);
        if (result == FASTER_OK) {
            CHECK(value > before, "value %" PRIu64 " after its life, %" PRIu64 " ended",
                  value, before);
            CHECK(value <= after, "value %" PRIu64 " before its life, %" PRIu64, value,
                  after);
            CHECK(value >= last, "value %" PRIu64 " after %" PRIu64, value, last);
            last = value;
        }
    }
}

static void lives_thread(void *context, uint32_t thread) {
    const uint64_t *lives = context;
    if (thread == 0) {
        live_and_die(*lives);
    } else {
        read_lives();
    }
}

static void m3_a_word_is_never_read_outside_its_life(void) {
    uint64_t lives = harness_count(300000);
    begin_lives();
    harness_threads(1 + READERS, lives_thread, &lives);
}

/* The same through the general read, whose two looks at seq stand for the flags. */
static void read_long_lives(void) {
    struct record *record = record_in_room();
    while (is_going_on()) {
        uint64_t value = 0;
        uint64_t size = 0;
        uint64_t before = atomic_load_explicit(&ended, memory_order_seq_cst);
        int result = record_read_value(&words, record, &value, sizeof value, &size);
        uint64_t after = atomic_load_explicit(&allowed, memory_order_seq_cst);
        if (result == FASTER_OK) {
            CHECK_U64(size, 8);
            CHECK(value > before && value <= after,
                  "value %" PRIu64 ", %" PRIu64 " ended, %" PRIu64 " begun", value,
                  before, after);
        }
    }
}

static void long_lives_thread(void *context, uint32_t thread) {
    const uint64_t *lives = context;
    struct record *record = record_in_room();
    uint64_t info = info_make(0, 1, 0);
    if (thread != 0) {
        read_long_lives();
        return;
    }
    for (uint64_t life = 1; life <= *lives; life++) {
        uint32_t seq;
        lock(record, &seq);
        word_store(record_value(&words, record, KEY), life);
        atomic_store_explicit(&allowed, life, memory_order_seq_cst);
        record_set_info(record, info);
        record_unlock(record, seq);
        lock(record, &seq);
        record_set_info(record, info | INFO_TOMBSTONE);
        record_unlock(record, seq);
        atomic_store_explicit(&ended, life, memory_order_seq_cst);
    }
    atomic_fetch_sub_explicit(&writers_left, 1, memory_order_relaxed);
}

static void m2_a_value_is_never_read_outside_its_life(void) {
    uint64_t lives = harness_count(200000);
    begin_lives();
    harness_threads(1 + READERS, long_lives_thread, &lives);
}

/* Increments under the lock, with the value in plain steps: none is lost (M1). */
static void add_under_lock(void *context, uint32_t thread) {
    struct record *record = record_in_room();
    const uint64_t *count = context;
    _Atomic uint64_t *value = record_value(&words, record, KEY);
    (void)thread;
    for (uint64_t i = 0; i < *count; i++) {
        uint32_t seq;
        lock(record, &seq);
        record->checksum++; /* plain: whoever holds the lock is alone */
        word_store(value, word_load(value) + 1);
        record_unlock(record, seq);
    }
}

static void m1_the_lock_loses_no_increment(void) {
    uint64_t count = harness_count(200000);
    memset(room, 0, sizeof room);
    record_finish(record_in_room(), info_make(0, 1, 0));
    harness_threads(WRITERS + READERS, add_under_lock, &count);
    CHECK_U64(word_load(record_value(&words, record_in_room(), KEY)),
              (WRITERS + READERS) * count);
    CHECK_U64(record_in_room()->checksum, (uint32_t)((WRITERS + READERS) * count));
}

HARNESS_MAIN(TEST(m1_the_lock_loses_no_increment), TEST(r1_a_long_value_is_never_torn),
             TEST(m2_a_value_is_never_read_outside_its_life),
             TEST(m3_a_word_is_never_read_outside_its_life))
