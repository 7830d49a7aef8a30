/* SPDX-License-Identifier: MIT */
/* checksum.h: every damage, and every other place or store, gives another checksum. */
#include "record/checksum.h"

#include "harness.h"

enum { SIZE_MAX_ = 256 };

#define ADDRESS ((uint64_t)0x12345678)
#define SEED ((uint64_t)77)

static const struct record_layout fixed = {
    .fixed = true, .header = RECORD_FIXED_HEADER, .key_size = 8, .value_size = 24};
static const struct record_layout varlen = {.fixed = false,
                                            .header = RECORD_VARLEN_HEADER};

static _Alignas(8) uint8_t bytes[SIZE_MAX_];

/* Fill `bytes` with a record; gives its extent. */
static uint64_t make(const struct record_layout *layout, uint64_t value_size) {
    struct record *record = (struct record *)(void *)bytes;
    struct rng rng = rng_stream(value_size);
    rng_fill(&rng, bytes, sizeof bytes);
    if (!layout->fixed) {
        uint64_t lengths = lengths_make(value_size, 5, 2);
        memcpy(bytes + RECORD_FIXED_HEADER, &lengths, 8);
    }
    record_finish(record, info_make(ADDRESS - 64, 3, 0));
    return record_extent(layout, record);
}

static uint32_t sum_at(uint64_t extent, uint64_t address, uint64_t seed) {
    return record_checksum((struct record *)(void *)bytes, extent, address, seed);
}

/* All bits of the record but `sealed`, the checksum itself, and seq. */
static void check_bits(uint64_t extent) {
    uint32_t right = sum_at(extent, ADDRESS, SEED);
    for (uint64_t bit = 0; bit < extent * 8; bit++) {
        bool counts = bit != INFO_SEALED_SHIFT && (bit < 64 || bit >= 128);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        uint32_t other = sum_at(extent, ADDRESS, SEED);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        CHECK((other != right) == counts, "bit %" PRIu64, bit);
    }
    CHECK_U64(sum_at(extent, ADDRESS, SEED), right);
}

/* F31: one bit of any word. */
static void every_bit_but_sealed_counts(void) {
    check_bits(make(&fixed, 24));
    for (uint64_t size = 0; size < 100; size += 9) {
        check_bits(make(&varlen, size));
    }
}

/* F04: bytes of another place are not those of this one; nor are another store's. */
static void place_and_store_count(void) {
    uint64_t extent = make(&fixed, 24);
    uint32_t right = sum_at(extent, ADDRESS, SEED);
    for (uint32_t bit = 0; bit < 64; bit++) {
        CHECK(sum_at(extent, ADDRESS ^ (uint64_t)1 << bit, SEED) != right,
              "address bit %u", bit);
        CHECK(sum_at(extent, ADDRESS, SEED ^ (uint64_t)1 << bit) != right,
              "seed bit %u", bit);
    }
    CHECK(sum_at(extent, SEED, ADDRESS) != right, "%s", "the two are exchanged");
}

/* What is sealed after it was written is still whole. */
static void sealed_does_not_count(void) {
    uint64_t extent = make(&fixed, 24);
    struct record *record = (struct record *)(void *)bytes;
    uint32_t right = sum_at(extent, ADDRESS, SEED);
    record_set_info(record, record_info(record) | INFO_SEALED);
    CHECK_U64(sum_at(extent, ADDRESS, SEED), right);
    record_set_info(record, record_info(record) | INFO_TOMBSTONE);
    CHECK(sum_at(extent, ADDRESS, SEED) != right, "%s", "a tombstone counts");
}

HARNESS_MAIN(TEST(every_bit_but_sealed_counts), TEST(place_and_store_count),
             TEST(sealed_does_not_count))
