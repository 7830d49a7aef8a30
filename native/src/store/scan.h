/* SPDX-License-Identifier: MIT */
/*
 * scan.h: the live records, in log order, wherever they are
 *
 * Level 5.  Includes: base, device, log, pending, store.
 *
 * Purpose
 *   A scan walks the log from begin to the tail as it was when the scan began (`end`).
 *   A key may have several records there; it is given at the newest of them below
 *   `end`, so that a key that moves to the tail meanwhile is neither missed nor given
 *   twice.
 *
 * Model
 *   scan.c        records in memory: given with the value of the newest record at all
 *   scan_disk.c   records on the device: given with their own value, which cannot
 *                 change.  Where the index leads to a record that lies between this one
 *                 and `end`, its chain is walked on the device to learn whose it is;
 *                 all walks of a block are in flight together.
 *   scan_pages.c  pages are read whole, the next one while one is worked on
 *
 * Invariants
 *   I1  `end` is followed by a bump and a wait: then everyone who had reserved room
 *       below it has written a record there (hlog.h I2), and the walk meets no header
 *       that is still zero but at the end of a page's written part.
 *   I2  Nothing of a page is believed before its checksum was: a damaged page ends the
 *       call with FASTER_E_CORRUPT, and the next call goes on behind it.  A record that
 *       cannot be judged because its chain cannot be walked is told and passed
 *       likewise; for lack of memory nothing is passed.
 *   I3  A scan holds no session between two calls, and two pages of memory.
 *
 * Ordering
 *   M1  A piece's status is stored before `left` is decremented (acq_rel); who waits
 *       loads `left` (acquire) first.
 *   M2  refs: decremented acq_rel, so that who frees comes after all others.
 *
 * Progress   As the device.
 * Threads    A cursor is used by one thread at a time.
 * Errors     -ENOMEM, FASTER_E_CORRUPT, the device's
 * Limits     none
 * Source     Chandramouli et al., SIGMOD 2018, section 5 (log scan)
 * Tests      tests/store/{validate_scan,validate_scan_disk,torture_scan_disk}.c
 */
#ifndef FASTER_STORE_SCAN_H
#define FASTER_STORE_SCAN_H

#include "store/pending.h"

/* Records looked at under one entry (E5): dead ones count too.  They are hashed and
 * their buckets prefetched before the first is looked up. */
enum { SCAN_BLOCK = 64 };

struct scan_item {
    uint64_t address;
    uint64_t hash;
    struct record *record;          /* in memory, or in a page that was read */
    struct faster_pending *pending; /* a walk on the device, or NULL */
    bool turn;                      /* the newest of its key below the end */
    bool lost;                      /* the device cannot tell whether it is */
};

struct scan {
    struct faster_session *session;
    struct faster_kv *kv;
    struct faster_cursor *cursor;
    const struct faster_results *keys;
    const struct faster_results *values;
    uint64_t count;
    uint64_t found;
    uint64_t need_key;
    uint64_t need_value;
};

/* Give a record's key and value to row `found`: FASTER_OK, FASTER_NOT_FOUND for a
 * tombstone, FASTER_SHORT, FASTER_RETRY. */
int scan_give(struct scan *scan, struct record *newest, const uint8_t *key,
              uint64_t key_size);

/* Say where to go on behind the row that was given last. */
static inline void scan_note_place(const struct scan *scan, uint64_t address,
                                   struct record *record) {
    if (scan->cursor->places != NULL) {
        scan->cursor->places[scan->found - 1] =
            address + record_extent(&scan->kv->layout, record);
    }
}

/* A block of records below head, outside the slot. */
int scan_disk_block(struct scan *scan);

/* --- scan_pages.c ----------------------------------------------------------------- */

struct faster_scan_pages;

/* Make room for a scan's pages.  FASTER_OK or -ENOMEM. */
int scan_pages_new(struct faster_kv *kv, struct faster_scan_pages **pages);

/* The bytes of a page of the log that is on the device, and have the next one read when
 * it lies below `until`.  Blocks.  FASTER_OK, FASTER_E_CORRUPT, the device's
 * failure. */
int scan_pages_get(struct faster_scan_pages *pages, uint64_t page, uint64_t until,
                   uint8_t **bytes);

/* Free the pages, once nothing is in flight any more. */
void scan_pages_free(struct faster_scan_pages *pages);

#endif
