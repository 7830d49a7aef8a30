/* SPDX-License-Identifier: MIT */
/* copy_index.c: see copy_index.h */
#include "cpr/copy_index.h"

#include <errno.h>

#include "base/assert.h"
#include "base/word.h"

enum {
    OPENING = sizeof(struct index_opening),
    RUN = sizeof(struct index_run),
    LINK_PAIRS = BUCKET_ENTRIES * INDEX_RUN_PAIR /* all that one overflow bucket has */
};

static_assert(sizeof(struct index_bucket) == INDEX_RUN_BUCKET, "buckets are copied");
static_assert(COPY_INDEX_ROOM >= BLOCK_HEADER + RUN + LINK_PAIRS &&
                  COPY_INDEX_ROOM >= BLOCK_HEADER + RUN + INDEX_RUN_BUCKET &&
                  COPY_INDEX_ROOM >= BLOCK_HEADER + OPENING,
              "the smallest block of each kind fits");

/* A run that is being filled. */
struct run {
    uint8_t *to; /* the first bucket or pair */
    uint64_t count;
    uint64_t limit;
};

int copy_index_begin(struct copy_index *copier, struct faster_kv *kv, uint64_t start,
                     uint64_t seed) {
    *copier = (struct copy_index){.kv = kv, .start = start};
    copier->table = index_current(&kv->index); /* index.h I6 */
    copier->bits = copier->table->bits;
    copier->mask = copier->table->mask;
    stream_begin(&copier->stream, FASTER_PART_INDEX, seed);
    return FASTER_OK;
}

/* An entry as it is kept, or 0 (I2). */
static uint64_t clean_entry(struct copy_index *copier, uint64_t word) {
    faster_assert((word & ENTRY_FROZEN) == 0);
    if (word == 0 || (word & ENTRY_TENTATIVE) != 0) {
        return 0;
    }
    uint64_t address = kv_log_address(copier->kv, word);
    if (address == ADDRESS_NONE) {
        return 0;
    }
    copier->entries++;
    return entry_make(word & ~ENTRY_ADDRESS_MASK, address);
}

static void copy_bucket(struct copy_index *copier, struct run *run) {
    struct index_bucket *bucket = &copier->table->buckets[copier->bucket];
    uint8_t *to = run->to + run->count * INDEX_RUN_BUCKET;
    for (uint32_t i = 0; i < BUCKET_ENTRIES; i++) {
        word_store64(to + (uint64_t)i * 8,
                     clean_entry(copier, bucket_entry(bucket, i)));
    }
    word_store64(to + (uint64_t)BUCKET_ENTRIES * 8, 0);
    copier->bucket++;
    run->count++;
}

/* Inside the slot. */
static void copy_buckets(struct copy_index *copier, struct run *run) {
    for (int i = 0; i < COPY_INDEX_STEP && run->count < run->limit; i++) {
        copy_bucket(copier, run);
    }
}

/* Copy what one overflow bucket has, and go on to the next of its chain. */
static void copy_link(struct copy_index *copier, struct run *run) {
    struct index_bucket *link = overflow_bucket(&copier->table->pool, copier->link);
    for (uint32_t i = 0; i < BUCKET_ENTRIES; i++) {
        uint64_t entry = clean_entry(copier, bucket_entry(link, i));
        if (entry != 0) {
            uint8_t *to = run->to + run->count * INDEX_RUN_PAIR;
            word_store64(to, copier->bucket);
            word_store64(to + 8, entry);
            run->count++;
        }
    }
    copier->link = bucket_overflow(link);
    copier->bucket += copier->link == 0;
}

/* Inside the slot.  A link is copied whole or not at all: entries that come meanwhile
 * would change where in it to go on. */
static void copy_links(struct copy_index *copier, struct run *run) {
    struct index_table *table = copier->table;
    for (int i = 0; i < COPY_INDEX_STEP && copier->bucket <= copier->mask; i++) {
        if (copier->link == 0) {
            copier->link = bucket_overflow(&table->buckets[copier->bucket]);
        }
        if (copier->link == 0) {
            copier->bucket++;
        } else if (run->count + BUCKET_ENTRIES <= run->limit) {
            copy_link(copier, run);
        } else {
            return;
        }
    }
}

static bool run_goes_on(const struct copy_index *copier, const struct run *run) {
    uint64_t more = copier->stage == COPY_OVERFLOW ? BUCKET_ENTRIES : 1;
    return copier->bucket <= copier->mask && run->count + more <= run->limit;
}

/* Fill a run, a step under each entry. */
static int fill(struct copy_index *copier, struct epoch_slot *slot, struct run *run) {
    int result = FASTER_OK;
    while (result == FASTER_OK && run_goes_on(copier, run)) {
        result = kv_enter_slot(copier->kv, slot);
        if (result == FASTER_OK) {
            if (copier->stage == COPY_MAIN) {
                copy_buckets(copier, run);
            } else {
                copy_links(copier, run);
            }
            epoch_leave(&copier->kv->epoch, slot);
        }
    }
    return result;
}

static uint64_t smaller(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* Write the stage's next block, or nothing where it has nothing more to say. */
static int write_run(struct copy_index *copier, struct epoch_slot *slot, uint8_t *block,
                     uint64_t room, uint64_t *size) {
    bool is_main = copier->stage == COPY_MAIN;
    uint64_t first = is_main ? copier->bucket : 0;
    uint64_t left = copier->mask + 1 - copier->bucket;
    uint64_t unit = is_main ? INDEX_RUN_BUCKET : INDEX_RUN_PAIR;
    struct run run = {.to = block + BLOCK_HEADER + RUN};
    run.limit = smaller((room - BLOCK_HEADER - RUN) / unit,
                        is_main ? smaller(COPY_INDEX_BUCKETS, left) : COPY_INDEX_PAIRS);
    int result = fill(copier, slot, &run);
    if (result != FASTER_OK || run.count == 0) {
        return result;
    }
    uint64_t type = is_main ? INDEX_RUN_MAIN : INDEX_RUN_OVERFLOW;
    word_store64(block + BLOCK_HEADER, type | run.count << 32);
    word_store64(block + BLOCK_HEADER + 8, first);
    *size = stream_frame(&copier->stream, block, RUN + run.count * unit);
    return FASTER_OK;
}

static uint64_t write_opening(struct copy_index *copier, uint8_t *block) {
    word_store64(block + BLOCK_HEADER, copier->start);
    word_store64(block + BLOCK_HEADER + 8, copier->bits);
    word_store64(block + BLOCK_HEADER + 16, copier->mask + 1);
    return stream_frame(&copier->stream, block, OPENING);
}

/* A stage is over when all buckets have been seen. */
static void end_stage(struct copy_index *copier) {
    if (copier->stage == COPY_OPENING || copier->bucket > copier->mask) {
        copier->stage++;
        copier->bucket = 0;
    }
}

static int write_block(struct copy_index *copier, struct epoch_slot *slot,
                       uint8_t *block, uint64_t room, uint64_t *size) {
    int result = FASTER_OK;
    *size = 0;
    if (copier->stage == COPY_DONE) {
        return stream_end(&copier->stream, block, room, size);
    }
    if (copier->stage == COPY_OPENING) {
        *size = write_opening(copier, block);
    } else {
        result = write_run(copier, slot, block, room, size);
    }
    end_stage(copier);
    return result;
}

int copy_index_next(struct copy_index *copier, struct epoch_slot *slot, void *buffer,
                    uint64_t capacity, uint64_t *size) {
    uint8_t *out = buffer;
    uint64_t filled = 0;
    uint64_t written = 0;
    int result = (uintptr_t)buffer % 8 == 0 ? FASTER_OK : -EINVAL;
    *size = 0;
    if (result == FASTER_OK && capacity < COPY_INDEX_ROOM) {
        return FASTER_SHORT;
    }
    while (result == FASTER_OK && !copier->stream.ended &&
           capacity - filled >= COPY_INDEX_ROOM) {
        result = write_block(copier, slot, out + filled, capacity - filled, &written);
        filled += result == FASTER_OK ? written : 0;
    }
    *size = result == FASTER_OK ? filled : 0;
    return result;
}
