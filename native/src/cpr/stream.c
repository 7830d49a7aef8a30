/* SPDX-License-Identifier: MIT */
/* stream.c: see stream.h and format/block_format.h */
#include "cpr/stream.h"

#include <string.h>

#include "base/assert.h"
#include "base/word.h"
#include "format/record_format.h"
#include "hash/hash.h"

/* Header words of 64 bits, as they are stored. */
enum { WORD_KIND = 0, WORD_NUMBER = 8, WORD_BYTES = 16, WORD_HASH = BLOCK_HASHED };

static uint64_t kind_word(uint32_t part) {
    return BLOCK_MAGIC | (uint64_t)part << 32 | (uint64_t)BLOCK_FORMAT << 48;
}

static uint64_t block_hash(const uint8_t *block, uint64_t bytes, uint64_t seed) {
    uint64_t header = hash_xxh3(block, BLOCK_HASHED, seed);
    return hash_xxh3(block + BLOCK_HEADER, bytes, header);
}

static void put_header(struct stream *stream, uint8_t *block, uint64_t bytes,
                       uint64_t flags) {
    word_store64(block + WORD_KIND, kind_word(stream->part));
    word_store64(block + WORD_NUMBER, stream->number++);
    word_store64(block + WORD_BYTES, bytes | flags << 32);
    word_store64(block + WORD_HASH, block_hash(block, bytes, stream->seed));
}

void stream_begin(struct stream *stream, uint32_t part, uint64_t seed) {
    *stream = (struct stream){.seed = seed, .part = part};
}

uint64_t stream_frame(struct stream *stream, uint8_t *block, uint64_t bytes) {
    faster_assert(bytes % 8 == 0);
    faster_assert(bytes != 0);
    faster_assert(bytes <= BLOCK_PAYLOAD_MAX);
    put_header(stream, block, bytes, 0);
    return BLOCK_HEADER + bytes;
}

int stream_end(struct stream *stream, uint8_t *block, uint64_t capacity,
               uint64_t *size) {
    *size = 0;
    if (stream->ended) {
        return FASTER_OK;
    }
    if (capacity < BLOCK_HEADER) {
        return FASTER_SHORT;
    }
    put_header(stream, block, 0, BLOCK_LAST);
    stream->ended = true;
    *size = BLOCK_HEADER;
    return FASTER_OK;
}

/* Whether a header can be one of the block asked for. */
static bool header_fits(const uint8_t *block, uint32_t part, uint64_t number) {
    uint64_t sizes = word_load64(block + WORD_BYTES);
    uint64_t bytes = sizes & 0xffffffffu;
    uint64_t flags = sizes >> 32;
    bool ends = flags == BLOCK_LAST && bytes == 0;
    bool goes_on = flags == 0 && bytes != 0;
    return word_load64(block + WORD_KIND) == kind_word(part) &&
           word_load64(block + WORD_NUMBER) == number && (ends || goes_on) &&
           bytes % 8 == 0 && bytes <= BLOCK_PAYLOAD_MAX;
}

int faster_block_next(const void *data, uint64_t size, uint64_t seed, uint32_t part,
                      uint64_t number, struct faster_block *block) {
    const uint8_t *at = data;
    *block = (struct faster_block){.payload = BLOCK_HEADER, .whole = BLOCK_HEADER};
    if (size < BLOCK_HEADER) {
        return FASTER_SHORT;
    }
    if (part > UINT16_MAX || !header_fits(at, part, number)) {
        return FASTER_E_CORRUPT;
    }
    block->bytes = word_load32(at + WORD_BYTES);
    block->whole = BLOCK_HEADER + block->bytes;
    block->last = block->bytes == 0; /* stream.h I1 */
    if (size < block->whole) {
        return FASTER_SHORT;
    }
    bool right = block_hash(at, block->bytes, seed) == word_load64(at + WORD_HASH);
    return right ? FASTER_OK : FASTER_E_CORRUPT;
}

/* Whether a payload is records in order: then *count of them. */
static bool delta_is_sane(const uint8_t *payload, uint64_t bytes, uint64_t *count) {
    uint64_t at = 0;
    uint64_t above = 0; /* where the last record ends */
    *count = 0;
    while (at < bytes) { /* ends: extents are positive */
        if (bytes - at < sizeof(struct delta_opening)) {
            return false;
        }
        uint64_t address = word_load64(payload + at);
        uint64_t extent = word_load64(payload + at + 8);
        at += sizeof(struct delta_opening);
        if (address < above || address >> INFO_PREV_BITS != 0 || address % 8 != 0 ||
            extent < RECORD_FIXED_HEADER || extent % 8 != 0 || extent > bytes - at) {
            return false;
        }
        above = address + extent;
        at += extent;
        *count += 1;
    }
    return true;
}

/* Copy what of [address, address + extent) lies in the image. */
static bool lay_over(uint8_t *image, uint64_t first, uint64_t size,
                     const uint8_t *record, uint64_t address, uint64_t extent) {
    uint64_t from = address > first ? address : first;
    uint64_t until = address + extent < first + size ? address + extent : first + size;
    if (from >= until) {
        return false;
    }
    memcpy(image + (from - first), record + (from - address), (size_t)(until - from));
    return true;
}

int faster_image_apply(void *image, uint64_t address, uint64_t size,
                       const void *payload, uint64_t bytes, uint64_t *applied) {
    const uint8_t *at = payload;
    uint64_t count;
    *applied = 0;
    if (address >> INFO_PREV_BITS != 0 || size > (uint64_t)1 << INFO_PREV_BITS ||
        !delta_is_sane(at, bytes, &count)) {
        return FASTER_E_CORRUPT;
    }
    for (uint64_t i = 0; i < count; i++) {
        uint64_t place = word_load64(at);
        uint64_t extent = word_load64(at + 8);
        at += sizeof(struct delta_opening);
        *applied += lay_over(image, address, size, at, place, extent);
        at += extent;
    }
    return FASTER_OK;
}
