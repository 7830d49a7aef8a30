/* SPDX-License-Identifier: MIT */
/* Any bytes as a checkpoint's file, and as records of a delta: what is accepted
 * verifies, what is refused changes nothing, and no byte beyond is touched. */
#include <string.h>

#include "base/word.h"
#include "cpr/stream.h"
#include "fuzz.h"

enum { PAYLOAD_MAX = 256, IMAGE = 512 };

#define SEED UINT64_C(0x5eed)
#define FIRST UINT64_C(0x10000)

/* In memory of exactly its size, so that AddressSanitizer sees a byte too far. */
static uint8_t *exact_copy(const uint8_t *data, size_t size) {
    uint8_t *exact = malloc(size > 0 ? size : 1);
    FUZZ_CHECK(exact != NULL);
    if (size > 0) {
        memcpy(exact, data, size);
    }
    return exact;
}

/* Noise as a file: blocks that were never framed are not accepted, but for a chance of
 * one in 2^64. */
static void read_noise(const uint8_t *data, size_t size) {
    uint8_t *exact = exact_copy(data, size);
    for (uint32_t part = FASTER_PART_INDEX; part <= FASTER_PART_DELTA; part++) {
        struct faster_block block;
        int result = faster_block_next(exact, size, SEED, part, 0, &block);
        FUZZ_CHECK(result == FASTER_SHORT || result == FASTER_E_CORRUPT);
        FUZZ_CHECK(result != FASTER_SHORT || block.whole > size);
    }
    free(exact);
}

/* A block that was framed, cut and with one byte changed. */
static void read_damaged(struct fuzz_input input) {
    uint8_t framed[BLOCK_HEADER + PAYLOAD_MAX] = {0};
    struct faster_block block;
    struct stream stream;
    uint64_t at = fuzz_take(&input, 2);
    uint8_t flip = (uint8_t)fuzz_take(&input, 1);
    uint64_t cut = fuzz_take(&input, 2);
    uint64_t bytes = input.size < PAYLOAD_MAX ? input.size & ~(size_t)7 : PAYLOAD_MAX;
    if (bytes == 0) {
        return;
    }
    memcpy(framed + BLOCK_HEADER, input.data, bytes);
    stream_begin(&stream, FASTER_PART_DELTA, SEED);
    uint64_t size = stream_frame(&stream, framed, bytes);
    FUZZ_CHECK(faster_block_next(framed, size, SEED, FASTER_PART_DELTA, 0, &block) ==
               FASTER_OK);
    FUZZ_CHECK(block.bytes == bytes && block.whole == size && block.last == 0);
    framed[at % size] ^= flip;
    cut = cut % (size + 1);
    uint8_t *exact = exact_copy(framed, cut);
    int result = faster_block_next(exact, cut, SEED, FASTER_PART_DELTA, 0, &block);
    FUZZ_CHECK((result == FASTER_OK) == (flip == 0 && cut == size));
    FUZZ_CHECK(result != FASTER_SHORT || block.whole > cut);
    free(exact);
}

/* Records from the input: their addresses and extents are near what is right. */
static size_t make_delta(struct fuzz_input input, uint8_t *payload, size_t room) {
    size_t size = 0;
    uint64_t address = FIRST - 64;
    while (input.size > 0 && size + 32 <= room) {
        uint32_t step = fuzz_take(&input, 1);
        uint64_t extent = 16 + (uint64_t)fuzz_take(&input, 1) % 8 * 8;
        uint64_t odd = fuzz_take(&input, 1);
        address += (uint64_t)(step % 8) * 8;
        if (odd > 250) {
            extent = odd == 255 ? UINT64_MAX - 7 : extent - 4;
        }
        word_store64(payload + size, odd == 250 ? address - 8 : address);
        word_store64(payload + size + 8, extent);
        size += 16;
        uint64_t body = extent <= room - size ? extent : room - size;
        memset(payload + size, (int)odd, body);
        size += body;
        address += extent;
    }
    return size;
}

static void apply(const uint8_t *data, size_t size, uint64_t address) {
    uint8_t *payload = exact_copy(data, size);
    uint8_t *image = malloc(IMAGE);
    uint64_t applied = 1;
    FUZZ_CHECK(image != NULL);
    memset(image, 0xa5, IMAGE);
    int result = faster_image_apply(image, address, IMAGE, payload, size, &applied);
    FUZZ_CHECK(result == FASTER_OK || result == FASTER_E_CORRUPT);
    FUZZ_CHECK(applied <= size / 16);
    if (result != FASTER_OK || applied == 0) {
        FUZZ_CHECK(applied == 0);
        for (size_t i = 0; i < IMAGE; i++) {
            FUZZ_CHECK(image[i] == 0xa5);
        }
    }
    free(image);
    free(payload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t payload[1024];
    struct fuzz_input input = {data, size};
    read_noise(data, size);
    read_damaged(input);
    apply(data, size, FIRST);
    apply(payload, make_delta(input, payload, sizeof payload), FIRST);
    apply(payload, make_delta(input, payload, sizeof payload), fuzz_take(&input, 3));
    return 0;
}
