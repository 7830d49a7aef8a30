/* SPDX-License-Identifier: MIT */
/* hlog.c: see hlog.h */
#include "log/hlog.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/bits.h"
#include "base/memory.h"
#include "format/record_format.h"
#include "log/disk.h"
#include "log/figures.h"

int hlog_commit_page(struct hlog *log, uint64_t page) {
    uint64_t place = (page << log->page_bits) & log->ring_mask;
    if (!budget_take(log->budget, log->page_size)) {
        return FASTER_E_FULL;
    }
    if (memory_commit(log->base + place, log->page_size) != 0) {
        budget_give(log->budget, log->page_size);
        return -ENOMEM;
    }
    return FASTER_OK;
}

/* Whether the tail may move into a page (I4). */
static int open_page(struct hlog *log, uint64_t page) {
    if ((page + 1) << log->page_bits > log->end) {
        return FASTER_E_FULL;
    }
    int result =
        log->disk != NULL ? disk_page_ready(log, page) : hlog_commit_page(log, page);
    return result == -ENOMEM ? FASTER_E_FULL : result;
}

/* The filler of a log of records. */
static void fill_with_record(void *context, void *place, uint64_t address,
                             uint64_t gap) {
    _Atomic uint64_t *header = place;
    (void)context;
    (void)address;
    atomic_store_explicit(header, info_make(gap, 0, INFO_FILLER),
                          memory_order_release); /* record.h M3 */
}

int hlog_init(struct hlog *log, struct epoch *epoch, struct budget *budget,
              uint32_t page_bits, uint64_t range) {
    log->page_bits = page_bits;
    log->page_size = (uint64_t)1 << page_bits;
    /* The tail has TAIL_PAGE_BITS for a page's number: more would begin again at 0. */
    uint64_t most = (uint64_t)1 << (TAIL_PAGE_BITS + page_bits);
    log->range = align_up(range < most ? range : most, log->page_size);
    log->end = log->range;
    log->ring_mask = power_of_two_at_least(log->range) - 1;
    log->disk = NULL;
    log->fill = fill_with_record;
    log->fill_context = NULL;
    log->events = NULL;
    log->epoch = epoch;
    log->budget = budget;
    log->pins = calloc((size_t)(log->range >> page_bits), sizeof *log->pins);
    log->base = log->pins != NULL ? memory_reserve(log->range) : NULL;
    if (log->base == NULL) {
        free((void *)log->pins);
        log->pins = NULL;
        return -ENOMEM;
    }
    atomic_init(&log->begin, ADDRESS_FIRST);
    atomic_init(&log->head, ADDRESS_FIRST);
    atomic_init(&log->read_only, ADDRESS_FIRST);
    atomic_init(&log->safe_read_only, ADDRESS_FIRST);
    for (int i = 0; i < HLOG_SHIFTS_MAX; i++) {
        atomic_init(&log->shifts[i].busy, false);
    }
    atomic_init(&log->tail, tail_make(0, ADDRESS_FIRST));
    int error = open_page(log, 0);
    if (error != FASTER_OK) {
        hlog_destroy(log);
    }
    return error;
}

int hlog_start_at(struct hlog *log, uint64_t until) {
    uint64_t start = until & ~(log->page_size - 1);
    uint64_t place = start & log->ring_mask;
    if (place != 0) {
        memory_discard(log->base, log->page_size);
        budget_give(log->budget, log->page_size);
        int error = hlog_commit_page(log, start >> log->page_bits);
        if (error != FASTER_OK) {
            return error;
        }
    }
    atomic_init(&log->begin, start > ADDRESS_FIRST ? start : ADDRESS_FIRST);
    atomic_init(&log->head, start > ADDRESS_FIRST ? start : ADDRESS_FIRST);
    atomic_init(&log->read_only, until);
    atomic_init(&log->safe_read_only, until);
    atomic_init(&log->tail,
                tail_make(start >> log->page_bits, until & (log->page_size - 1)));
    return FASTER_OK;
}

void hlog_restart(struct hlog *log, uint64_t until) {
    uint64_t start = until & ~(log->page_size - 1);
    uint64_t first = start > ADDRESS_FIRST ? start : ADDRESS_FIRST;
    atomic_store_explicit(&log->begin, first, memory_order_seq_cst);          /* M2 */
    atomic_store_explicit(&log->head, first, memory_order_seq_cst);           /* M2 */
    atomic_store_explicit(&log->read_only, until, memory_order_seq_cst);      /* M2 */
    atomic_store_explicit(&log->safe_read_only, until, memory_order_seq_cst); /* M2 */
    atomic_store_explicit(&log->tail, tail_make(start >> log->page_bits, until - start),
                          memory_order_seq_cst); /* M1 */
}

void hlog_move_tail(struct hlog *log, uint64_t until) {
    uint64_t last = until - 1; /* a full page's tail stays in it until it is turned */
    uint64_t start = last & ~(log->page_size - 1);
    atomic_store_explicit(&log->tail, tail_make(start >> log->page_bits, until - start),
                          memory_order_seq_cst); /* M1 */
}

void hlog_destroy(struct hlog *log) {
    if (log->base != NULL) {
        memory_release(log->base, log->range);
        log->base = NULL;
    }
    free((void *)log->pins);
    log->pins = NULL;
}

void hlog_fill(struct hlog *log, uint64_t address, uint64_t gap) {
    log->fill(log->fill_context, log->base + (address & log->ring_mask), address, gap);
}

/* On a device the rest of a page is a filler, so that zeros there are never right. */
static void close_page(struct hlog *log, uint64_t page, uint64_t offset) {
    if (log->disk != NULL && offset != log->page_size) {
        hlog_fill(log, (page << log->page_bits) + offset, log->page_size - offset);
    }
}

/*
 * The next page cannot be had: the page is as it was, and smaller records may still
 * fit.  Nobody was given room behind `before`, since every later addition found the
 * page over.  But if hlog_tail has called the page full meanwhile, it stays so (I6).
 */
static void reopen_page(struct hlog *log, uint64_t before) {
    uint64_t full = tail_make(tail_page(before), log->page_size);
    uint64_t seen = atomic_load_explicit(&log->tail, memory_order_seq_cst); /* M1 */
    while (!atomic_compare_exchange_weak_explicit(
        &log->tail, &seen, (seen & TAIL_SEEN) != 0 ? full : before,
        memory_order_seq_cst, memory_order_seq_cst)) { /* M1, with hlog_tail */
        /* ends: whoever loads the tail now adds nothing, so the additions run out */
    }
    if ((seen & TAIL_SEEN) != 0) {
        close_page(log, tail_page(before), tail_offset(before));
    }
}

/*
 * The addition crossed the page's end, or came after one that did.  Exactly one
 * addition crosses, and it turns the page; the others found the offset already beyond
 * the end.
 */
int hlog_reserve_slow(struct hlog *log, uint64_t size, uint64_t before,
                      uint64_t *address) {
    uint64_t offset = tail_offset(before);
    uint64_t page = tail_page(before);
    faster_assert(size % 8 == 0);
    faster_assert(size <= hlog_record_max(log));
    if (offset > log->page_size) {
        return FASTER_RETRY;
    }
    int error = open_page(log, page + 1); /* I4; RETRY while no page is free */
    if (error != FASTER_OK) {
        reopen_page(log, before);
        return error;
    }
    close_page(log, page, offset);
    atomic_store_explicit(&log->tail, tail_make(page + 1, size),
                          memory_order_seq_cst); /* M1 */
    *address = (page + 1) << log->page_bits;
    figures_turned(log->events, page + 1, *address);
    return FASTER_OK;
}

uint64_t hlog_tail(struct hlog *log) {
    uint64_t tail = atomic_load_explicit(&log->tail, memory_order_seq_cst); /* M1 */
    while (tail_offset(tail) > log->page_size && (tail & TAIL_SEEN) == 0 &&
           !atomic_compare_exchange_weak_explicit(
               &log->tail, &tail, tail | TAIL_SEEN, memory_order_seq_cst,
               memory_order_seq_cst)) { /* M1, with reopen_page */
        /* ends: as in reopen_page, or the page is turned */
    }
    uint64_t offset = tail_offset(tail);
    if (offset > log->page_size) {
        offset = log->page_size;
    }
    return (tail_page(tail) << log->page_bits) + offset;
}

int hlog_pad(struct hlog *log, uint64_t unit, uint64_t *until) {
    uint64_t tail = atomic_load_explicit(&log->tail, memory_order_seq_cst); /* M1 */
    for (;;) { /* ends: each failure means that somebody has reserved */
        uint64_t offset = tail_offset(tail);
        uint64_t gap = align_up(offset, unit) - offset;
        if (offset > log->page_size) {
            return FASTER_RETRY;
        }
        uint64_t address = (tail_page(tail) << log->page_bits) + offset;
        *until = address + gap;
        if (gap == 0) {
            return FASTER_OK;
        }
        if (atomic_compare_exchange_weak_explicit(
                &log->tail, &tail, tail + gap, memory_order_seq_cst,
                memory_order_seq_cst)) { /* M1, with hlog_reserve */
            hlog_fill(log, address, gap);
            return FASTER_OK;
        }
    }
}

/* The page has no room for `whole` bytes, a multiple of the unit: who turns it gets
 * them at the next one's beginning.  If somebody else has turned it meanwhile, they may
 * lie anywhere, and are given up. */
static int reserve_over_page(struct hlog *log, uint64_t whole, uint64_t unit,
                             uint64_t *address, uint64_t *until) {
    int result = hlog_reserve(log, whole, address);
    if (result != FASTER_OK) {
        return result;
    }
    *until = *address + whole;
    if ((*until & (unit - 1)) != 0) {
        hlog_fill(log, *address, whole);
        return FASTER_RETRY;
    }
    return FASTER_OK;
}

/* A range that ends with the unit, or a FASTER_RETRY that may be tried at once: a page
 * that has no room for it is turned by a reservation that becomes a filler. */
int hlog_reserve_to_unit(struct hlog *log, uint64_t size, uint64_t unit,
                         uint64_t *address, uint64_t *until) {
    uint64_t tail = atomic_load_explicit(&log->tail, memory_order_seq_cst); /* M1 */
    for (;;) { /* ends: each failure means that somebody has reserved */
        uint64_t offset = tail_offset(tail);
        if (offset > log->page_size) {
            return FASTER_RETRY;
        }
        uint64_t whole = align_up(offset + size, unit) - offset;
        if (offset + whole > log->page_size) {
            return reserve_over_page(log, align_up(size, unit), unit, address, until);
        }
        if (atomic_compare_exchange_weak_explicit(
                &log->tail, &tail, tail + whole, memory_order_seq_cst,
                memory_order_seq_cst)) { /* M1, with hlog_reserve */
            *address = (tail_page(tail) << log->page_bits) + offset;
            *until = *address + whole;
            return FASTER_OK;
        }
    }
}

uint64_t hlog_bytes(struct hlog *log) {
    if (log->disk != NULL) {
        return disk_bytes(log);
    }
    uint64_t tail = atomic_load_explicit(&log->tail, memory_order_seq_cst); /* M1 */
    return (tail_page(tail) + 1) << log->page_bits;
}

void hlog_raise(_Atomic uint64_t *word, uint64_t value) {
    uint64_t seen = atomic_load_explicit(word, memory_order_seq_cst); /* M2 */
    while (seen < value && !atomic_compare_exchange_weak_explicit(
                               word, &seen, value, memory_order_seq_cst,
                               memory_order_seq_cst)) { /* M2 */
        /* ends: each failure means that the word has risen */
    }
}

/* The action of a shift.  The value travels with the action: read_only itself may have
 * risen since to a value that not everyone has seen. */
static void make_safe(void *context) {
    struct hlog_shift *shift = context;
    hlog_raise(&shift->log->safe_read_only, shift->read_only);
    atomic_store_explicit(&shift->busy, false, memory_order_release); /* M2 */
}

static struct hlog_shift *take_shift(struct hlog *log) {
    for (int i = 0; i < HLOG_SHIFTS_MAX; i++) {
        bool free_word = false;
        if (atomic_compare_exchange_strong_explicit(&log->shifts[i].busy, &free_word,
                                                    true, memory_order_acquire,
                                                    memory_order_relaxed)) { /* M2 */
            return &log->shifts[i];
        }
    }
    return NULL;
}

uint64_t hlog_shift_read_only(struct hlog *log) {
    struct hlog_shift *shift = take_shift(log);
    if (shift == NULL) {
        return hlog_read_only(log);
    }
    uint64_t target = hlog_tail(log);
    shift->log = log;
    shift->read_only = target;
    hlog_raise(&log->read_only, target);
    if (epoch_bump_with(log->epoch, make_safe, shift) != FASTER_OK) {
        /* Too many actions under way: read_only has moved, and the next shift moves
         * safe_read_only past it. */
        atomic_store_explicit(&shift->busy, false, memory_order_release); /* M2 */
    }
    return hlog_read_only(log);
}

uint64_t hlog_pin(struct hlog *log, uint64_t address) {
    uint64_t page = (address & log->ring_mask) >> log->page_bits;
    (void)atomic_fetch_add_explicit(&log->pins[page], 1, memory_order_acq_rel); /* M3 */
    return page;
}

void hlog_unpin(struct hlog *log, uint64_t page) {
    (void)atomic_fetch_sub_explicit(&log->pins[page], 1, memory_order_release); /* M3 */
}

uint64_t hlog_pinned(struct hlog *log) {
    uint64_t pages = log->range >> log->page_bits;
    uint64_t pinned = 0;
    for (uint64_t page = 0; page < pages; page++) {
        pinned += atomic_load_explicit(&log->pins[page], memory_order_acquire); /* M3 */
    }
    return pinned;
}
