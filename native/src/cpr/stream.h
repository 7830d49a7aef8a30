/* SPDX-License-Identifier: MIT */
/*
 * stream.h: blocks that say what they are
 *
 * Level 6.  Includes: base, format, hash.
 *
 * Purpose
 *   The core opens no file of a checkpoint.  It fills a caller's buffer with whole
 *   blocks, and verifies blocks that a caller has read.  What a block looks like is
 *   format/block_format.h; here it is made and taken apart.
 *
 * Model
 *   A copier writes a payload BLOCK_HEADER bytes into the caller's buffer and frames it
 *   (stream_frame), which numbers and hashes it.  When all is said it writes the end
 *   (stream_end), once.  A reader calls faster_block_next for block 0, 1, 2 ... until
 *   one is the last.
 *
 * Invariants
 *   I1  Blocks of a stream are numbered from 0 without gaps, and exactly one, the last,
 *       has no payload.
 *   I2  A block is accepted only if its part and number are the ones asked for and its
 *       hash is right under the seed; nothing of its payload is looked at before.
 *
 * Ordering   none: the bytes belong to the caller
 * Progress   one pass over the bytes
 * Threads    one at a time for a stream
 * Errors     FASTER_SHORT, FASTER_E_CORRUPT
 * Limits     BLOCK_PAYLOAD_MAX
 * Source     none
 * Tests      tests/cpr/validate_stream.c, fuzz/fuzz_block.c
 */
#ifndef FASTER_CPR_STREAM_H
#define FASTER_CPR_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "faster/api.h"
#include "faster/status.h"
#include "format/block_format.h"

/* A stream that is being written. */
struct stream {
    uint64_t seed;
    uint64_t number; /* of the next block */
    uint32_t part;   /* enum faster_part */
    bool ended;
};

void stream_begin(struct stream *stream, uint32_t part, uint64_t seed);

/* Make a block of the `bytes` (a multiple of 8, not 0) of payload that stand at block +
 * BLOCK_HEADER; returns the whole block's size. */
uint64_t stream_frame(struct stream *stream, uint8_t *block, uint64_t bytes);

/* Write the block that ends the stream.  FASTER_OK with *size 0 when it has been
 * written before; FASTER_SHORT when there is no room for it. */
int stream_end(struct stream *stream, uint8_t *block, uint64_t capacity,
               uint64_t *size);

#endif
