/* SPDX-License-Identifier: MIT */
/* segment_header.c: see segment_header.h */
#include <errno.h>
#include <string.h>

#include "segment_header.h"

static const uint8_t MAGIC[8] = {'P', 'Y', 'F', 'S', 'E', 'G', '\r', '\n'};

enum {
    AT_MAGIC = 0,
    AT_VERSION = 8,
    AT_HEADER_SIZE = 12,
    AT_STORE = 16,
    AT_BASE = 24,
    AT_SEGMENT_SIZE = 32,
    AT_GENERATION = 40,
    AT_ZEROS = 48,
    AT_CHECKSUM = SEGMENT_HEADER_SIZE - 4
};

/* The remainders of the sixteen half bytes by the reversed polynomial 0x82f63b78. */
static const uint32_t HALF_BYTES[16] = {
    0x00000000u, 0x105ec76fu, 0x20bd8edeu, 0x30e349b1u, 0x417b1dbcu, 0x5125dad3u,
    0x61c69362u, 0x7198540du, 0x82f63b78u, 0x92a8fc17u, 0xa24bb5a6u, 0xb21572c9u,
    0xc38d26c4u, 0xd3d3e1abu, 0xe330a81au, 0xf36e6f75u,
};

uint32_t crc32c(const uint8_t *bytes, uint64_t length) {
    uint32_t crc = UINT32_MAX;
    for (uint64_t i = 0; i < length; i++) {
        crc ^= bytes[i];
        crc = (crc >> 4) ^ HALF_BYTES[crc & 15u];
        crc = (crc >> 4) ^ HALF_BYTES[crc & 15u];
    }
    return crc ^ UINT32_MAX;
}

static void put(uint8_t *block, int at, int size, uint64_t value) {
    for (int i = 0; i < size; i++) {
        block[at + i] = (uint8_t)(value >> (8 * i));
    }
}

static uint64_t get(const uint8_t *block, int at, int size) {
    uint64_t value = 0;
    for (int i = 0; i < size; i++) {
        value |= (uint64_t)block[at + i] << (8 * i);
    }
    return value;
}

void segment_header_write(uint8_t *block, const struct segment_label *label) {
    memset(block, 0, SEGMENT_HEADER_SIZE);
    memcpy(block + AT_MAGIC, MAGIC, sizeof MAGIC);
    put(block, AT_VERSION, 4, SEGMENT_FORMAT_VERSION);
    put(block, AT_HEADER_SIZE, 4, SEGMENT_HEADER_SIZE);
    put(block, AT_STORE, 8, label->store_id);
    put(block, AT_BASE, 8, label->base);
    put(block, AT_SEGMENT_SIZE, 8, label->segment_size);
    put(block, AT_GENERATION, 8, label->generation);
    put(block, AT_CHECKSUM, 4, crc32c(block, AT_CHECKSUM));
}

static int wrong(struct segments_problem *problem, uint32_t kind, uint64_t found,
                 uint64_t expected) {
    problem->kind = kind;
    problem->found = found;
    problem->expected = expected;
    return -EILSEQ;
}

bool segment_header_is_ours(const uint8_t *block) {
    return memcmp(block + AT_MAGIC, MAGIC, sizeof MAGIC) == 0;
}

/* What version 1 has nothing for is zero (I1). */
static bool rest_is_zero(const uint8_t *block) {
    for (int i = AT_ZEROS; i < AT_CHECKSUM; i++) {
        if (block[i] != 0) {
            return false;
        }
    }
    return get(block, AT_HEADER_SIZE, 4) == SEGMENT_HEADER_SIZE;
}

int segment_header_read(const uint8_t *block, struct segment_label *label,
                        struct segments_problem *problem) {
    if (!segment_header_is_ours(block)) {
        return wrong(problem, SEGMENTS_MAGIC, get(block, AT_MAGIC, 8),
                     get(MAGIC, AT_MAGIC, 8));
    }
    /* The version comes before the checksum: another one may keep that elsewhere. */
    uint64_t version = get(block, AT_VERSION, 4);
    if (version != SEGMENT_FORMAT_VERSION) {
        return wrong(problem, SEGMENTS_VERSION, version, SEGMENT_FORMAT_VERSION);
    }
    uint64_t stored = get(block, AT_CHECKSUM, 4);
    uint32_t computed = crc32c(block, AT_CHECKSUM);
    if (stored != computed || !rest_is_zero(block)) {
        return wrong(problem, SEGMENTS_CHECKSUM, stored, computed);
    }
    label->store_id = get(block, AT_STORE, 8);
    label->base = get(block, AT_BASE, 8);
    label->segment_size = get(block, AT_SEGMENT_SIZE, 8);
    label->generation = get(block, AT_GENERATION, 8);
    return 0;
}
