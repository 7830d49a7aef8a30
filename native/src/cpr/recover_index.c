/* SPDX-License-Identifier: MIT */
/* recover_index.c: the index's copy, put back, see recovery.h */
#include <errno.h>
#include <string.h>

#include "cpr/recovery.h"
#include "cpr/stream.h"

static int say(struct faster_recovery *recovery, uint32_t what, uint64_t where,
               uint64_t expected, uint64_t found) {
    struct faster_damage damage;
    int result = replay_damage(&damage, what, where, expected, found);
    recovery_note(recovery, &damage);
    return result;
}

static int bad_block(struct faster_recovery *recovery, uint64_t expected,
                     uint64_t found) {
    return say(recovery, FASTER_DAMAGE_BLOCK, recovery->restore.number, expected,
               found);
}

/* Whether a word can be an entry of a copy.  One below begin names what is no more;
 * *word is then zero.  Without a branch: which places of a bucket are used is noise. */
static bool entry_is_sane(const struct faster_recovery *recovery, uint64_t *word) {
    uint64_t address = entry_address(*word);
    bool none = *word == 0;
    bool sane = (*word & (ENTRY_TENTATIVE | ENTRY_FROZEN)) == 0;
    sane &= (*word & ~ENTRY_ADDRESS_MASK) != 0;
    sane &= !address_is_cached(address);
    sane &= address % 8 == 0;
    sane &= address >= ADDRESS_FIRST;
    sane &= address < recovery->config.final;
    *word &= -(uint64_t)(address >= recovery->config.begin);
    return none | sane;
}

/* index.h I1: no tag twice.  Most are told apart by their lowest bits. */
static bool are_distinct(const uint64_t words[BUCKET_ENTRIES]) {
    uint64_t seen = 0;
    bool same = false;
    for (int i = 0; i < BUCKET_ENTRIES; i++) {
        uint64_t bit = (uint64_t)(words[i] != 0) << (words[i] >> ENTRY_TAG_SHIFT) % 64;
        same |= (seen & bit) != 0;
        seen |= bit;
    }
    if (!same) {
        return true;
    }
    same = false;
    for (int i = 1; i < BUCKET_ENTRIES; i++) {
        for (int j = 0; j < i; j++) {
            same |= words[i] != 0 &&
                    words[i] >> ENTRY_TAG_SHIFT == words[j] >> ENTRY_TAG_SHIFT;
        }
    }
    return !same;
}

/* The table may have more buckets than the copy: what was in one may be in each of
 * those that share its low bits (I3). */
static uint64_t spread_of(const struct faster_recovery *recovery) {
    const struct index_table *table = index_current(&recovery->kv->index);
    return (uint64_t)1 << (table->bits - recovery->config.index_bits);
}

static int put_bucket(struct faster_recovery *recovery, uint64_t number,
                      const uint8_t *bytes) {
    uint64_t words[BUCKET_ENTRIES];
    uint64_t spread = spread_of(recovery);
    memcpy(words, bytes, sizeof words);
    for (int i = 0; i < BUCKET_ENTRIES; i++) {
        uint64_t word = words[i];
        if (!entry_is_sane(recovery, &words[i])) {
            return say(recovery, FASTER_DAMAGE_ENTRY, number, 0, word);
        }
    }
    if (!are_distinct(words)) {
        return say(recovery, FASTER_DAMAGE_ENTRY, number, 0, words[0]);
    }
    for (uint64_t i = 0; i < spread; i++) {
        index_restore_bucket(&recovery->kv->index,
                             number | i << recovery->config.index_bits, words,
                             &recovery->restore.tally);
    }
    return FASTER_OK;
}

/* An entry of an overflow bucket goes the way of a link: by a hash that leads there. */
static int put_pair(struct faster_recovery *recovery, uint64_t number, uint64_t word) {
    uint64_t found = word;
    uint64_t spread = spread_of(recovery);
    if (number >> recovery->config.index_bits != 0 || word == 0 ||
        !entry_is_sane(recovery, &word)) {
        return say(recovery, FASTER_DAMAGE_ENTRY, number, 0, found);
    }
    int result = FASTER_OK;
    for (uint64_t i = 0; i < spread && word != 0 && result == FASTER_OK; i++) {
        uint64_t hash = (word >> ENTRY_TAG_SHIFT) << (64 - ENTRY_TAG_BITS) | number |
                        i << recovery->config.index_bits;
        result = replay_link_one(&recovery->kv->index, &recovery->restore.tally, hash,
                                 entry_address(word));
    }
    return result;
}

static int take_main_run(struct faster_recovery *recovery, const struct index_run *run,
                         const uint8_t *bytes) {
    struct restore *restore = &recovery->restore;
    uint64_t buckets = (uint64_t)1 << recovery->config.index_bits;
    if (run->first != restore->next || run->count > buckets - restore->next) {
        return bad_block(recovery, restore->next, run->first);
    }
    int result = FASTER_OK;
    for (uint32_t i = 0; i < run->count && result == FASTER_OK; i++) {
        result = put_bucket(recovery, restore->next + i,
                            bytes + (uint64_t)i * INDEX_RUN_BUCKET);
    }
    restore->next += run->count;
    return result;
}

static int take_pairs(struct faster_recovery *recovery, const struct index_run *run,
                      const uint8_t *bytes) {
    uint64_t buckets = (uint64_t)1 << recovery->config.index_bits;
    if (recovery->restore.next != buckets) {
        return bad_block(recovery, buckets, recovery->restore.next);
    }
    int result = FASTER_OK;
    for (uint32_t i = 0; i < run->count && result == FASTER_OK; i++) {
        uint64_t pair[2];
        memcpy(pair, bytes + (uint64_t)i * INDEX_RUN_PAIR, sizeof pair);
        result = put_pair(recovery, pair[0], pair[1]);
    }
    return result;
}

static int take_opening(struct faster_recovery *recovery, const uint8_t *payload,
                        uint64_t size) {
    const struct faster_recovery_config *config = &recovery->config;
    struct index_opening opening;
    if (size != sizeof opening) {
        return bad_block(recovery, sizeof opening, size);
    }
    memcpy(&opening, payload, sizeof opening);
    if (opening.start != config->index_start || opening.bits != config->index_bits ||
        opening.buckets != (uint64_t)1 << config->index_bits) {
        return bad_block(recovery, config->index_bits, opening.bits);
    }
    recovery->restore.opened = true;
    return FASTER_OK;
}

/* The runs of a block's payload. */
static int take_runs(struct faster_recovery *recovery, const uint8_t *payload,
                     uint64_t size) {
    int result = FASTER_OK;
    while (size != 0 && result == FASTER_OK) { /* ends: each run has a head */
        struct index_run run;
        if (size < sizeof run) {
            return bad_block(recovery, sizeof run, size);
        }
        memcpy(&run, payload, sizeof run);
        payload += sizeof run;
        size -= sizeof run;
        bool main = run.type == INDEX_RUN_MAIN;
        uint64_t each = main ? INDEX_RUN_BUCKET : INDEX_RUN_PAIR;
        uint64_t bytes = run.count * each;
        if ((!main && run.type != INDEX_RUN_OVERFLOW) || bytes > size) {
            return bad_block(recovery, size, bytes);
        }
        result = main ? take_main_run(recovery, &run, payload)
                      : take_pairs(recovery, &run, payload);
        payload += bytes;
        size -= bytes;
    }
    return result;
}

static int take_block(struct faster_recovery *recovery, const uint8_t *bytes,
                      uint64_t size, uint64_t *whole) {
    struct restore *restore = &recovery->restore;
    struct faster_block block;
    /* relaxed: this thread's own store */
    bool ended = atomic_load_explicit(&restore->ended, memory_order_relaxed);
    int result = ended ? FASTER_E_CORRUPT
                       : faster_block_next(bytes, size, recovery->config.seed_index,
                                           FASTER_PART_INDEX, restore->number, &block);
    if (result != FASTER_OK) {
        return bad_block(recovery, restore->number, 0);
    }
    const uint8_t *payload = bytes + block.payload;
    uint64_t buckets = (uint64_t)1 << recovery->config.index_bits;
    if (block.last != 0) {
        if (!restore->opened || restore->next != buckets) {
            return bad_block(recovery, buckets, restore->next);
        }
        atomic_store_explicit(&restore->ended, true, memory_order_release); /* M3 */
    } else {
        result = restore->opened ? take_runs(recovery, payload, block.bytes)
                                 : take_opening(recovery, payload, block.bytes);
    }
    restore->number++;
    *whole = block.whole;
    return result;
}

int faster_recovery_index(struct faster_recovery *recovery, const void *blocks,
                          uint64_t size) {
    const uint8_t *bytes = blocks;
    int result = FASTER_OK;
    if (recovery->finished || recovery->config.index_bits == 0) {
        return -EINVAL;
    }
    while (size != 0 && result == FASTER_OK) { /* ends: each block has a head */
        uint64_t whole = 0;
        result = take_block(recovery, bytes, size, &whole);
        bytes += whole;
        size -= whole;
    }
    return result;
}
