/* SPDX-License-Identifier: MIT */
/*
 * record.h: reading and changing one record beside others who do
 *
 * Level 2.  Includes: base, format, address.
 *
 * Purpose
 *   A record in the mutable region is changed in place while others read it.  Here is
 *   the protocol for that: a sequence lock in the prefix, values moved word by word,
 *   and the layouts that say where key and value are.
 *
 * Model
 *   seq is even when the record is free and odd while somebody changes it.  A reader of
 *   a value longer than a word takes seq, copies, and takes seq again; the copy counts
 *   only if both are the same even number.  info carries the flags; `sealed` says that
 *   a newer record has taken this one's place (R4).
 *
 * Invariants
 *   I1  Key, key size and prev never change once the record is published.
 *   I2  Value words, lengths, tombstone, sealed and version change only while seq is
 *       odd, by the thread that made it odd.
 *   I3  A sealed record never changes again.
 *   I4  seq returns to an even number that it did not have since the reader began,
 *       short of 2^31 changes during one read.
 *
 * Ordering
 *   M1  lock: CAS of seq (acquire).  unlock: store of seq (release).  What one owner
 *       wrote is seen by the next.
 *   M2  Value words and lengths are stored release and loaded acquire (R1).  A reader
 *       that got a word of a later change is ordered after that change's lock, so its
 *       second load of seq shows an odd or later number.  Without it a torn value could
 *       pass the check.
 *   M3  info is stored release under the lock and loaded acquire.  A reader of a
 *       one-word value loads info, the value, and info again: the value is returned
 *       only if the flags did not change, so a value that a revival is about to publish
 *       is never returned while the key is still absent.
 *   M4  A new record is written with plain stores before the index entry's CAS
 *       (release) publishes it; whoever finds it loaded the entry with acquire.
 *
 * Progress   Lock attempts and reads are bounded by RECORD_SPINS, then FASTER_RETRY; an
 *            owner never waits.
 * Threads    any, inside an epoch
 * Errors     FASTER_RETRY
 * Limits     as format/record_format.h
 * Source     Chandramouli et al., SIGMOD 2018, section 5; Lamport 1977 on concurrent
 *            reading and writing (the sequence check)
 * Tests      tests/record/{validate_record,torture_values}.c
 */
#ifndef FASTER_RECORD_RECORD_H
#define FASTER_RECORD_RECORD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "base/bits.h"
#include "base/compiler.h"
#include "faster/status.h"
#include "format/record_format.h"

/* About a microsecond of somebody else's memcpy; beyond it the owner was
 * descheduled. */
enum { RECORD_SPINS = 128 };

/* The prefix as memory sees it: the same bytes as struct record_prefix. */
struct record {
    _Atomic uint64_t info;
    uint32_t checksum; /* set by whoever writes the record to a device */
    _Atomic uint32_t seq;
};

static_assert(sizeof(struct record) == sizeof(struct record_prefix),
              "memory and device agree on the prefix");
static_assert(offsetof(struct record, seq) == offsetof(struct record_prefix, seq),
              "memory and device agree on seq");

/* Where things are in the records of one store. */
struct record_layout {
    bool fixed;
    uint32_t header;     /* bytes before the key */
    uint32_t key_size;   /* fixed */
    uint32_t value_size; /* fixed */
};

FASTER_INLINE uint64_t record_value_offset(const struct record_layout *layout,
                                           uint64_t key_size) {
    return layout->header + align_up(key_size, 8);
}

/* Bytes that a record with room for `value_room` bytes of value takes. */
FASTER_INLINE uint64_t record_size(const struct record_layout *layout,
                                   uint64_t key_size, uint64_t value_room) {
    return record_value_offset(layout, key_size) + align_up(value_room, 8);
}

FASTER_INLINE _Atomic uint64_t *record_lengths_word(struct record *record) {
    return (_Atomic uint64_t *)(void *)((uint8_t *)record + RECORD_FIXED_HEADER);
}

FASTER_INLINE uint64_t record_info(struct record *record) {
    return atomic_load_explicit(&record->info, memory_order_acquire); /* M3 */
}

FASTER_INLINE uint64_t record_lengths(struct record *record) {
    return atomic_load_explicit(record_lengths_word(record),
                                memory_order_acquire); /* M2 */
}

FASTER_INLINE uint64_t record_key_size(const struct record_layout *layout,
                                       struct record *record) {
    return layout->fixed ? layout->key_size : lengths_key(record_lengths(record));
}

FASTER_INLINE const uint8_t *record_key(const struct record_layout *layout,
                                        struct record *record) {
    return (const uint8_t *)record + layout->header;
}

/* The value's words; the first one is 8-byte aligned. */
FASTER_INLINE _Atomic uint64_t *record_value(const struct record_layout *layout,
                                             struct record *record, uint64_t key_size) {
    return (_Atomic uint64_t *)(void *)((uint8_t *)record +
                                        record_value_offset(layout, key_size));
}

FASTER_INLINE uint64_t record_value_size(const struct record_layout *layout,
                                         struct record *record) {
    return layout->fixed ? layout->value_size : lengths_value(record_lengths(record));
}

/* Bytes of value the record has room for.  Under the lock, or before publication. */
FASTER_INLINE uint64_t record_room(const struct record_layout *layout,
                                   struct record *record) {
    if (layout->fixed) {
        return align_up(layout->value_size, 8);
    }
    uint64_t lengths = record_lengths(record);
    return align_up(lengths_value(lengths), 8) + lengths_slack(lengths) * 8;
}

/* The bytes a record takes in the log.  Slack changes under the lock, but the sum does
 * not: room stays. */
FASTER_INLINE uint64_t record_extent(const struct record_layout *layout,
                                     struct record *record) {
    if (layout->fixed) {
        return record_size(layout, layout->key_size, layout->value_size);
    }
    return record_value_offset(layout, record_key_size(layout, record)) +
           record_room(layout, record);
}

/* Compare two keys of the same size; an empty one may be NULL. */
FASTER_INLINE bool record_same_bytes(const uint8_t *a, const void *b, uint64_t size) {
    if (size == 8) {
        uint64_t x;
        uint64_t y;
        memcpy(&x, a, 8);
        memcpy(&y, b, 8);
        return x == y;
    }
    return size == 0 || memcmp(a, b, (size_t)size) == 0;
}

FASTER_INLINE bool record_has_key(const struct record_layout *layout,
                                  struct record *record, const void *key,
                                  uint64_t key_size) {
    return record_key_size(layout, record) == key_size &&
           record_same_bytes(record_key(layout, record), key, key_size);
}

FASTER_INLINE uint64_t word_load(_Atomic uint64_t *word) {
    return atomic_load_explicit(word, memory_order_acquire); /* M2, with word_store */
}

FASTER_INLINE void word_store(_Atomic uint64_t *word, uint64_t value) {
    atomic_store_explicit(word, value, memory_order_release); /* M2, with word_load */
}

/* Copy a value out, or into place, word by word. */
void record_copy_out(_Atomic uint64_t *words, void *out, uint64_t size);
void record_copy_in(_Atomic uint64_t *words, uint64_t offset, const void *in,
                    uint64_t size);

int record_lock_slow(struct record *record, uint32_t *seq);

/* Make seq odd.  *seq gets the even number it had.  FASTER_OK or FASTER_RETRY. */
FASTER_INLINE int record_lock(struct record *record, uint32_t *seq) {
    /* relaxed: a guess, proved by the CAS */
    uint32_t seen = atomic_load_explicit(&record->seq, memory_order_relaxed);
    if (faster_likely((seen & 1u) == 0) &&
        faster_likely(atomic_compare_exchange_strong_explicit(
            &record->seq, &seen, seen + 1, memory_order_acquire,
            memory_order_relaxed))) { /* M1, with record_unlock */
        *seq = seen;
        return FASTER_OK;
    }
    return record_lock_slow(record, seq);
}

FASTER_INLINE void record_unlock(struct record *record, uint32_t seq) {
    atomic_store_explicit(&record->seq, seq + 2, memory_order_release); /* M1 */
}

/* Under the lock (I2). */
FASTER_INLINE void record_set_info(struct record *record, uint64_t info) {
    atomic_store_explicit(&record->info, info, memory_order_release); /* M3 */
}

/* Mark a record that was never published (R3). */
static inline void record_invalidate(struct record *record) {
    /* relaxed: nobody was shown the record; a scan of the log loads the whole word */
    uint64_t info = atomic_load_explicit(&record->info, memory_order_relaxed);
    record_set_info(record, info | INFO_INVALID);
}

/* Finish a record that nobody can see yet: its prefix, after key, lengths and value.
 * The header is the last word written, so that a log scan that finds it finds all. */
FASTER_INLINE void record_finish(struct record *record, uint64_t info) {
    /* relaxed: before info's release, and before publication (M4) */
    atomic_store_explicit(&record->seq, 0, memory_order_relaxed);
    record->checksum = 0;
    record_set_info(record, info);
}

/*
 * Read the value as it was at one moment.  FASTER_OK, FASTER_NOT_FOUND for a tombstone,
 * FASTER_SHORT with the size, or FASTER_RETRY.
 */
int record_read_value(const struct record_layout *layout, struct record *record,
                      void *out, uint64_t capacity, uint64_t *size);

/* The same for an 8-byte value of a fixed layout with 8-byte keys, inlined (M3). */
FASTER_INLINE int record_read_word(struct record *record, _Atomic uint64_t *value,
                                   void *out) {
    uint64_t before = record_info(record);
    if (faster_unlikely((before & INFO_TOMBSTONE) != 0)) {
        return FASTER_NOT_FOUND;
    }
    uint64_t word = word_load(value);
    /* M3: flags that changed meanwhile make the word doubtful; version and sealed may
     * change without touching the value. */
    if (faster_unlikely((record_info(record) & INFO_TOMBSTONE) != 0)) {
        return FASTER_RETRY;
    }
    memcpy(out, &word, 8);
    return FASTER_OK;
}

#endif
