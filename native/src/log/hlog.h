/* SPDX-License-Identifier: MIT */
/*
 * hlog.h: the log that records live in
 *
 * Level 3.  Includes: base, address, epoch, events.
 *
 * Purpose
 *   Records are appended to one log and named by their address in it.  The log says
 *   which of them may still be changed in place, and which are in memory at all.
 *
 * Model
 *   begin <= head <= safe_read_only <= read_only <= tail.  Memory is a ring of pages:
 *   an address becomes a pointer by cutting it to the ring and adding `base`.  Pages of
 *   the ring are committed as the tail reaches them.
 *
 *      begin    head           safe_read_only      read_only              tail
 *        | on the | immutable for  | immutable for   | mutable              |
 *        | device | all            | some already    | (in place)           |
 *
 *   A log without a device keeps everything: head is begin, and the ring is as large as
 *   the log may ever become.  With one, disk.h moves the regions and frees pages.
 *   The tail is one word of page and offset (address.h).  Reserving adds to it; who
 *   finds that its addition crossed the page's end turns the page.
 *   What is appended is the owner's business; where nothing is, the owner's `fill` says
 *   so, in the owner's form.
 *
 * Invariants
 *   I1  Every reserved range lies within one page, and ranges do not overlap.
 *   I2  Whoever reserves writes a record there, valid or invalid, before it leaves or
 *       refreshes; so below a tail that everyone has seen there is no gap.
 *   I3  read_only never decreases; safe_read_only follows it once everyone has seen it.
 *   I4  A page is committed, and zero, before the tail points into it.
 *   I5  A record below safe_read_only never changes again but for bits that mean
 *       nothing outside memory.
 *   I6  hlog_tail never decreases, and nothing is reserved below what it gave.  So it
 *       marks a tail that is being turned (TAIL_SEEN): if the turn fails, the page
 *       stays closed.  Opened again, it would take records below a read_only or a
 *       scan's end that was taken from hlog_tail.
 *   I7  head never decreases.  Who finds an address at or above head after entering may
 *       use its pointer until it leaves or refreshes.
 *
 * Ordering
 *   M1  tail: fetch_add and store are seq_cst with one another (L1); the store that
 *       turns a page comes after the page was committed, so whoever reserves there may
 *       write.  What hlog_tail marks and a failed turn undoes goes by CAS, so that
 *       neither overwrites the other.
 *   M2  read_only and head: stored seq_cst, then bumped; loaded seq_cst after the
 *       slot's CAS (epoch.h M1).  safe_read_only is stored once nobody who still holds
 *       an older read_only is left.
 *   M3  Pin counts: taken acq_rel inside the epoch, given back release.
 *
 * Progress   reserve: lock-free; it may answer FASTER_RETRY while a page is turned,
 *            which takes one system call, or while none is free.
 * Threads    any, inside an epoch
 * Errors     FASTER_RETRY, FASTER_E_FULL, and why a device takes no more writes
 * Limits     HLOG_PAGE_BITS_MIN ... MAX; 2^TAIL_PAGE_BITS pages; address space of
 *            about twice the memory
 * Source     Chandramouli et al., SIGMOD 2018, section 5 (HybridLog)
 * Tests      tests/log/{validate_reserve,validate_regions,torture_reserve}.c
 */
#ifndef FASTER_LOG_HLOG_H
#define FASTER_LOG_HLOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "address/address.h"
#include "base/budget.h"
#include "base/compiler.h"
#include "epoch/epoch.h"
#include "events/events.h"
#include "faster/status.h"

enum { HLOG_PAGE_BITS_MIN = 12, HLOG_PAGE_BITS_DEFAULT = 22, HLOG_PAGE_BITS_MAX = 30 };

/* The tail's highest offset bit, which no addition reaches: hlog_tail called the page
 * full while it was being turned (I6). */
#define TAIL_SEEN ((uint64_t)1 << (TAIL_OFFSET_BITS - 1))

struct hlog;
struct hlog_disk;

/* Write what says that `gap` bytes (at least 8) at an address hold nothing. */
typedef void (*hlog_fill_fn)(void *context, void *place, uint64_t address,
                             uint64_t gap);

/* A shift of read_only that not everyone has seen yet. */
struct hlog_shift {
    struct hlog *log;
    uint64_t read_only;
    _Atomic bool busy;
};

/* More shifts than pages turn while one thread is inside an operation. */
enum { HLOG_SHIFTS_MAX = 16 };

struct hlog {
    /* set once */
    uint8_t *base;
    uint32_t page_bits;
    uint64_t page_size;
    uint64_t range;     /* bytes of address space: the ring */
    uint64_t ring_mask; /* cuts an address to its place in the ring */
    uint64_t end;       /* addresses that the tail may not reach */
    struct epoch *epoch;
    struct budget *budget;
    _Atomic uint32_t *pins; /* per page of the ring (E6) */
    struct hlog_disk *disk; /* NULL when everything stays in memory */
    hlog_fill_fn fill;      /* hlog_init sets that of records */
    void *fill_context;
    struct events *events; /* what happens is told there, or NULL; set by the owner */

    /* read by every operation, written when regions move */
    _Alignas(CACHE_LINE) _Atomic uint64_t begin;
    _Atomic uint64_t head;           /* M2 */
    _Atomic uint64_t read_only;      /* M2 */
    _Atomic uint64_t safe_read_only; /* M2 */

    struct hlog_shift shifts[HLOG_SHIFTS_MAX];

    /* written by every append */
    _Alignas(CACHE_LINE) _Atomic uint64_t tail; /* M1 */
};

/* `range` is rounded up, and cut to the pages that the tail can count.  Memory is taken
 * from the budget page by page. */
int hlog_init(struct hlog *log, struct epoch *epoch, struct budget *budget,
              uint32_t page_bits, uint64_t range);
void hlog_destroy(struct hlog *log);

/* The tail and all regions are at `until`; nobody is inside (disk_restart). */
void hlog_restart(struct hlog *log, uint64_t until);

/* Let a log that nobody has used begin its memory at the page of `until`, and its tail
 * there: what is below is on a device.  Whoever does so also brings the beginning of
 * that page into memory, before anything is reserved.  FASTER_OK, FASTER_E_FULL,
 * -ENOMEM. */
int hlog_start_at(struct hlog *log, uint64_t until);

/* Move the tail over what was written behind it by nobody but the caller: while the
 * log is recovered, nothing is reserved.  The page of `until` is ready, or `until` is
 * the end of the tail's page. */
void hlog_move_tail(struct hlog *log, uint64_t until);

/* Have a filler of `gap` bytes written, at least 8, that nobody has seen. */
void hlog_fill(struct hlog *log, uint64_t address, uint64_t gap);

/* The general way of hlog_reserve: turns pages. */
int hlog_reserve_slow(struct hlog *log, uint64_t size, uint64_t before,
                      uint64_t *address);

/* Make everything below the present tail read-only; returns read_only as it then is.
 * The safe one follows when everyone has seen it (M2).  While HLOG_SHIFTS_MAX shifts
 * wait for that, nothing is shifted: who needs an address looks at the result. */
uint64_t hlog_shift_read_only(struct hlog *log);

/* Take a page's memory from the budget; it reads zero. */
int hlog_commit_page(struct hlog *log, uint64_t page);

/* Raise a word that never falls (M2). */
void hlog_raise(_Atomic uint64_t *word, uint64_t value);

/* The address after the last reserved byte. */
uint64_t hlog_tail(struct hlog *log);

/* Bytes of pages the log has taken. */
uint64_t hlog_bytes(struct hlog *log);

/* Fill the tail's page up to a multiple of `unit` (a power of two, at most a page) with
 * a record that says nothing, inside an epoch.  *until is then the tail, on such a
 * multiple.  FASTER_OK or FASTER_RETRY. */
int hlog_pad(struct hlog *log, uint64_t unit, uint64_t *until);

/* Reserve `size` bytes (as hlog_reserve) and what is left behind them to a multiple of
 * `unit`, as one range [*address, *until), inside an epoch.  FASTER_OK, FASTER_RETRY,
 * FASTER_E_FULL. */
int hlog_reserve_to_unit(struct hlog *log, uint64_t size, uint64_t unit,
                         uint64_t *address, uint64_t *until);

/* Pin the page of an address, inside the epoch (E6); give it back at any time. */
uint64_t hlog_pin(struct hlog *log, uint64_t address);
void hlog_unpin(struct hlog *log, uint64_t page);
uint64_t hlog_pinned(struct hlog *log);

/* The largest record that fits a page; page 0 is shorter by ADDRESS_FIRST. */
FASTER_INLINE uint64_t hlog_record_max(const struct hlog *log) {
    return log->page_size - ADDRESS_FIRST;
}

FASTER_INLINE struct record *hlog_record(const struct hlog *log, uint64_t address) {
    return (struct record *)(void *)(log->base + (address & log->ring_mask));
}

FASTER_INLINE uint64_t hlog_head(struct hlog *log) {
    return atomic_load_explicit(&log->head, memory_order_seq_cst); /* M2 */
}

FASTER_INLINE uint64_t hlog_begin(struct hlog *log) {
    return atomic_load_explicit(&log->begin, memory_order_seq_cst); /* M2 */
}

FASTER_INLINE uint64_t hlog_read_only(struct hlog *log) {
    return atomic_load_explicit(&log->read_only, memory_order_seq_cst); /* M2 */
}

FASTER_INLINE uint64_t hlog_safe_read_only(struct hlog *log) {
    return atomic_load_explicit(&log->safe_read_only, memory_order_seq_cst); /* M2 */
}

/* Reserve `size` bytes (a multiple of 8, at most hlog_record_max).  FASTER_OK with the
 * address, FASTER_RETRY, or FASTER_E_FULL with nothing taken. */
FASTER_INLINE int hlog_reserve(struct hlog *log, uint64_t size, uint64_t *address) {
    uint64_t tail = atomic_load_explicit(&log->tail, memory_order_seq_cst); /* M1 */
    if (faster_unlikely(tail_offset(tail) > log->page_size)) {
        return FASTER_RETRY; /* L1: never add to a page that is over */
    }
    tail = atomic_fetch_add_explicit(&log->tail, size, memory_order_seq_cst); /* M1 */
    if (faster_likely(tail_offset(tail) + size <= log->page_size)) {
        *address = (tail_page(tail) << log->page_bits) + tail_offset(tail);
        return FASTER_OK;
    }
    return hlog_reserve_slow(log, size, tail, address);
}

#endif
