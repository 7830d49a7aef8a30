/* SPDX-License-Identifier: MIT */
/* stream.h and block_format.h: what was framed is accepted, and nothing else; records
 * are laid over an image only where they belong. */
#include "cpr/stream.h"

#include <stdlib.h>
#include <string.h>

#include "base/word.h"
#include "harness.h"
#include "hash/hash.h"

enum { PAYLOAD_MAX = 4096, FRAMED_MAX = BLOCK_HEADER + PAYLOAD_MAX };

#define SEED UINT64_C(0x0123456789abcdef)

/* A block in memory of exactly its size. */
struct framed {
    uint8_t *bytes;
    uint64_t size;
};

static struct framed frame(struct stream *stream, uint64_t bytes, uint64_t fill) {
    struct framed framed = {malloc(BLOCK_HEADER + (size_t)bytes), 0};
    struct rng rng = rng_seeded(fill);
    CHECK(framed.bytes != NULL, "no memory");
    rng_fill(&rng, framed.bytes + BLOCK_HEADER, (size_t)bytes);
    if (bytes != 0) {
        framed.size = stream_frame(stream, framed.bytes, bytes);
    } else {
        CHECK_INT(stream_end(stream, framed.bytes, BLOCK_HEADER, &framed.size),
                  FASTER_OK);
    }
    CHECK_U64(framed.size, BLOCK_HEADER + bytes);
    return framed;
}

static int next(const struct framed *framed, uint64_t size, uint32_t part,
                uint64_t number, struct faster_block *block) {
    memset(block, 0xee, sizeof *block);
    return faster_block_next(framed->bytes, size, SEED, part, number, block);
}

/* The bytes of a file are a promise: these were computed by another program. */
static void the_format_is_what_it_was(void) {
    static const uint8_t expected[48] = {
        0x46, 0x42, 0x4c, 0x4b, 2,    0,    1,    0,    5,  0,  0,  0,
        0,    0,    0,    0,    16,   0,    0,    0,    0,  0,  0,  0,
        0x00, 0x83, 0x1a, 0x6f, 0x8c, 0x9e, 0x7f, 0xd3, 1,  2,  3,  4,
        5,    6,    7,    8,    9,    10,   11,   12,   13, 14, 15, 16};
    static const uint8_t ending[32] = {0x46, 0x42, 0x4c, 0x4b, 3,    0,    1,    0,
                                       0,    0,    0,    0,    0,    0,    0,    0,
                                       0,    0,    0,    0,    1,    0,    0,    0,
                                       0x28, 0x73, 0x63, 0xc6, 0xe3, 0xc7, 0x18, 0xe4};
    struct stream stream;
    uint8_t block[48];
    uint64_t size;
    stream_begin(&stream, FASTER_PART_PAGES, SEED);
    stream.number = 5;
    memcpy(block + BLOCK_HEADER, expected + BLOCK_HEADER, 16);
    CHECK_U64(stream_frame(&stream, block, 16), 48);
    CHECK(memcmp(block, expected, sizeof block) == 0, "other bytes");
    stream_begin(&stream, FASTER_PART_DELTA, SEED);
    CHECK_INT(stream_end(&stream, block, sizeof block, &size), FASTER_OK);
    CHECK_U64(size, sizeof ending);
    CHECK(memcmp(block, ending, sizeof ending) == 0, "other bytes");
}

static void i1_blocks_are_numbered_and_one_is_the_last(void) {
    struct rng rng = rng_stream(0);
    struct stream stream;
    struct faster_block block;
    stream_begin(&stream, FASTER_PART_INDEX, SEED);
    for (uint64_t number = 0; number < harness_count(100); number++) {
        uint64_t bytes = 8 + rng_below(&rng, PAYLOAD_MAX / 8) * 8;
        struct framed framed = frame(&stream, bytes, number);
        CHECK_INT(next(&framed, framed.size, FASTER_PART_INDEX, number, &block),
                  FASTER_OK);
        CHECK_U64(block.payload, BLOCK_HEADER);
        CHECK_U64(block.bytes, bytes);
        CHECK_U64(block.whole, framed.size);
        CHECK_U64(block.last, 0);
        free(framed.bytes);
    }
    uint64_t number = stream.number;
    struct framed framed = frame(&stream, 0, 0);
    CHECK_INT(next(&framed, framed.size, FASTER_PART_INDEX, number, &block), FASTER_OK);
    CHECK_U64(block.last, 1);
    CHECK_U64(block.bytes, 0);
    CHECK_U64(block.whole, BLOCK_HEADER);
    uint64_t size = 1;
    CHECK_INT(stream_end(&stream, framed.bytes, BLOCK_HEADER, &size), FASTER_OK);
    CHECK_U64(size, 0);
    free(framed.bytes);
}

static void the_end_waits_for_room(void) {
    struct stream stream;
    uint8_t block[BLOCK_HEADER];
    uint64_t size = 1;
    stream_begin(&stream, FASTER_PART_PAGES, SEED);
    CHECK_INT(stream_end(&stream, block, BLOCK_HEADER - 1, &size), FASTER_SHORT);
    CHECK_U64(size, 0);
    CHECK_INT(stream_end(&stream, block, BLOCK_HEADER, &size), FASTER_OK);
    CHECK_U64(size, BLOCK_HEADER);
}

/* F33, F38: any bit.  A flipped length may ask for more bytes than there are, which at
 * a file's end is damage, too. */
static void i2_a_flipped_bit_is_noticed(void) {
    for (uint64_t bytes = 0; bytes <= 64; bytes += 8) {
        struct stream stream;
        struct faster_block block;
        stream_begin(&stream, FASTER_PART_PAGES, SEED);
        struct framed framed = frame(&stream, bytes, bytes);
        for (uint64_t bit = 0; bit < framed.size * 8; bit++) {
            framed.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            int result = next(&framed, framed.size, FASTER_PART_PAGES, 0, &block);
            bool longer = bit / 8 >= 16 && bit / 8 < 20 && block.whole > framed.size;
            CHECK_INT(result, longer ? FASTER_SHORT : FASTER_E_CORRUPT);
            framed.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        CHECK_INT(next(&framed, framed.size, FASTER_PART_PAGES, 0, &block), FASTER_OK);
        memset(framed.bytes, 0, (size_t)framed.size);
        CHECK_INT(next(&framed, framed.size, FASTER_PART_PAGES, 0, &block),
                  FASTER_E_CORRUPT);
        free(framed.bytes);
    }
}

/* F42: at every length; the missing bytes are not touched. */
static void a_cut_block_says_what_it_takes(void) {
    struct stream stream;
    struct faster_block block;
    stream_begin(&stream, FASTER_PART_PAGES, SEED);
    struct framed framed = frame(&stream, 64, 1);
    for (uint64_t size = 0; size < framed.size; size++) {
        struct framed cut = {malloc(size != 0 ? (size_t)size : 1), size};
        CHECK(cut.bytes != NULL, "no memory");
        memcpy(cut.bytes, framed.bytes, (size_t)size);
        CHECK_INT(next(&cut, size, FASTER_PART_PAGES, 0, &block), FASTER_SHORT);
        CHECK_U64(block.whole, size < BLOCK_HEADER ? BLOCK_HEADER : framed.size);
        free(cut.bytes);
    }
    free(framed.bytes);
}

/* F40, F41, F45: a right block of another checkpoint, stream or place. */
static void i2_a_block_counts_only_in_its_place(void) {
    struct stream stream;
    struct faster_block block;
    stream_begin(&stream, FASTER_PART_PAGES, SEED);
    stream.number = 7;
    for (uint64_t bytes = 0; bytes <= 64; bytes += 64) {
        stream.number = 7;
        struct framed framed = frame(&stream, bytes, 1);
        CHECK_INT(next(&framed, framed.size, FASTER_PART_PAGES, 7, &block), FASTER_OK);
        CHECK_INT(next(&framed, framed.size, FASTER_PART_PAGES, 6, &block),
                  FASTER_E_CORRUPT);
        CHECK_INT(next(&framed, framed.size, FASTER_PART_PAGES, 8, &block),
                  FASTER_E_CORRUPT);
        CHECK_INT(next(&framed, framed.size, FASTER_PART_DELTA, 7, &block),
                  FASTER_E_CORRUPT);
        CHECK_INT(next(&framed, framed.size, FASTER_PART_PAGES + (1u << 16), 7, &block),
                  FASTER_E_CORRUPT);
        CHECK_INT(faster_block_next(framed.bytes, framed.size, SEED + 1,
                                    FASTER_PART_PAGES, 7, &block),
                  FASTER_E_CORRUPT);
        free(framed.bytes);
    }
}

/* Headers that verify and still say what no stream does. */
static void i1_an_odd_header_is_refused(void) {
    static const struct {
        uint64_t bytes;
        uint64_t flags;
    } odd[] = {{0, 0}, {8, 1}, {0, 2}, {8, 2}, {12, 0}, {UINT32_C(0xfffffff8), 0}};
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        struct stream stream;
        struct faster_block block;
        stream_begin(&stream, FASTER_PART_PAGES, SEED);
        struct framed framed = frame(&stream, 64, 1);
        word_store64(framed.bytes + 16, odd[i].bytes | odd[i].flags << 32);
        uint64_t header = hash_xxh3(framed.bytes, BLOCK_HASHED, SEED);
        uint64_t most = odd[i].bytes < 64 ? odd[i].bytes : 64;
        word_store64(framed.bytes + BLOCK_HASHED,
                     hash_xxh3(framed.bytes + BLOCK_HEADER, most, header));
        CHECK_INT(next(&framed, framed.size, FASTER_PART_PAGES, 0, &block),
                  FASTER_E_CORRUPT);
        free(framed.bytes);
    }
}

/* --- images ----------------------------------------------------------------------- */

enum { IMAGE = 1024, RECORDS_MAX = 40 };

#define IMAGE_FIRST UINT64_C(0x4000)

struct delta {
    uint8_t bytes[8192];
    uint64_t size;
};

/* No two bytes of a record that are near each other are the same. */
static uint8_t record_byte(uint8_t fill, uint64_t i) { return (uint8_t)(fill + 3 * i); }

static void put_record(struct delta *delta, uint64_t address, uint64_t extent,
                       uint8_t fill) {
    word_store64(delta->bytes + delta->size, address);
    word_store64(delta->bytes + delta->size + 8, extent);
    for (uint64_t i = 0; i < extent; i++) {
        delta->bytes[delta->size + 16 + i] = record_byte(fill, i);
    }
    delta->size += 16 + extent;
}

static int apply(uint8_t *image, const struct delta *delta, uint64_t *applied) {
    uint8_t *exact = malloc((size_t)delta->size + 1);
    CHECK(exact != NULL, "no memory");
    memcpy(exact, delta->bytes, (size_t)delta->size);
    int result =
        faster_image_apply(image, IMAGE_FIRST, IMAGE, exact, delta->size, applied);
    free(exact);
    return result;
}

static void records_replace_what_lies_in_the_image(void) {
    struct rng rng = rng_stream(1);
    for (uint64_t i = 0; i < harness_count(2000); i++) {
        static uint8_t image[IMAGE];
        static uint8_t expected[IMAGE];
        struct delta delta = {.size = 0};
        uint64_t address = IMAGE_FIRST - 512 + rng_below(&rng, 64) * 8;
        uint64_t touched = 0;
        uint64_t applied;
        memset(image, 0, sizeof image);
        memset(expected, 0, sizeof expected);
        for (uint8_t n = 1; n <= RECORDS_MAX; n++) {
            uint64_t extent = 16 + rng_below(&rng, 16) * 8;
            uint64_t in = 0;
            put_record(&delta, address, extent, n);
            for (uint64_t at = address; at < address + extent; at++) {
                if (at >= IMAGE_FIRST && at < IMAGE_FIRST + IMAGE) {
                    expected[at - IMAGE_FIRST] = record_byte(n, at - address);
                    in = 1;
                }
            }
            touched += in;
            address += extent + rng_below(&rng, 8) * 8;
        }
        CHECK_INT(apply(image, &delta, &applied), FASTER_OK);
        CHECK_U64(applied, touched);
        CHECK(memcmp(image, expected, IMAGE) == 0, "another image");
    }
}

static void expect_refused(const struct delta *delta) {
    static const uint8_t untouched[IMAGE];
    static uint8_t image[IMAGE];
    uint64_t applied = 1;
    memset(image, 0, sizeof image);
    CHECK_INT(apply(image, delta, &applied), FASTER_E_CORRUPT);
    CHECK_U64(applied, 0);
    CHECK(memcmp(image, untouched, IMAGE) == 0, "the image was changed");
}

/* F86: a first record that is right, then one that is not. */
static void an_odd_record_is_refused_with_all(void) {
    static const uint64_t odd[][2] = {
        {IMAGE_FIRST + 24, 32},             /* overlaps the first */
        {IMAGE_FIRST, 32},                  /* does not follow it */
        {IMAGE_FIRST + 36, 32},             /* between words */
        {IMAGE_FIRST + 64, 8},              /* too short for a record */
        {IMAGE_FIRST + 64, 20},             /* ends between words */
        {IMAGE_FIRST + 64, 0},              /* nothing */
        {IMAGE_FIRST + 64, 40},             /* longer than the payload */
        {IMAGE_FIRST + 64, UINT64_MAX - 7}, /* far longer */
        {UINT64_C(1) << 48, 32},            /* no address */
        {UINT64_MAX - 7, 32},               /* no address at all */
    };
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        struct delta delta = {.size = 0};
        put_record(&delta, IMAGE_FIRST, 32, 1);
        put_record(&delta, IMAGE_FIRST + 64, 32, 2);
        word_store64(delta.bytes + 48, odd[i][0]);
        word_store64(delta.bytes + 56, odd[i][1]);
        expect_refused(&delta);
    }
    struct delta cut = {.size = 0};
    put_record(&cut, IMAGE_FIRST, 32, 1);
    put_record(&cut, IMAGE_FIRST + 64, 32, 2);
    for (uint64_t size = 49; size < 96; size++) {
        cut.size = size;
        expect_refused(&cut);
    }
}

static void nothing_is_applied_where_nothing_is(void) {
    struct delta delta = {.size = 0};
    uint8_t image[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    uint64_t applied = 1;
    CHECK_INT(faster_image_apply(image, IMAGE_FIRST, 8, NULL, 0, &applied), FASTER_OK);
    CHECK_U64(applied, 0);
    put_record(&delta, IMAGE_FIRST, 32, 9);
    CHECK_INT(
        faster_image_apply(image, UINT64_MAX - 7, 8, delta.bytes, delta.size, &applied),
        FASTER_E_CORRUPT);
    CHECK_U64(image[0], 1);
}

HARNESS_MAIN(
    TEST(the_format_is_what_it_was), TEST(i1_blocks_are_numbered_and_one_is_the_last),
    TEST(the_end_waits_for_room), TEST(i2_a_flipped_bit_is_noticed),
    TEST(a_cut_block_says_what_it_takes), TEST(i2_a_block_counts_only_in_its_place),
    TEST(i1_an_odd_header_is_refused), TEST(records_replace_what_lies_in_the_image),
    TEST(an_odd_record_is_refused_with_all), TEST(nothing_is_applied_where_nothing_is))
