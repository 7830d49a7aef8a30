/* SPDX-License-Identifier: MIT */
/* reader.c: see reader.h */
#include "flog/reader.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "base/memory.h"
#include "base/thread.h"
#include "faster/status.h"

/* Between two looks at a device that does not want to be driven: first it gives way,
 * then it rests, longer each time. */
enum { REST_YIELDS = 32, REST_US_MAX = 1000, REST_WAIT_MS = 1 };

enum part_state { PART_FREE, PART_FLYING, PART_DONE };

/* --- buffers ---------------------------------------------------------------------- */

static void finish_part(struct device_request *request, int status, uint64_t moved) {
    struct reader_part *part = (struct reader_part *)request;
    part->status = status;
    part->moved = moved;
    atomic_store_explicit(&part->state, PART_DONE,
                          memory_order_release); /* M1, with take_part */
}

static struct reader_page *page_new(const struct flog_reader *reader,
                                    uint64_t capacity) {
    struct reader_page *page =
        memory_lines_new(sizeof *page + capacity + reader->alignment);
    if (page == NULL) {
        return NULL;
    }
    memset((void *)page, 0, sizeof *page);
    uint64_t room = (uint64_t)(uintptr_t)page->room;
    page->data = page->room + (align_up(room, reader->alignment) - room);
    page->capacity = capacity;
    atomic_init(&page->holders, 1);
    for (int i = 0; i < READER_PARTS; i++) {
        device_request_init(&page->parts[i].request, finish_part);
        atomic_init(&page->parts[i].state, PART_FREE);
    }
    return page;
}

void reader_give(struct reader_page *page) {
    if (atomic_fetch_sub_explicit(&page->holders, 1, memory_order_acq_rel) ==
        1) { /* M2 */
        memory_lines_free(page);
    }
}

struct reader_page *reader_hold(struct flog_reader *reader) {
    /* relaxed: the reader holds it already */
    (void)atomic_fetch_add_explicit(&reader->page->holders, 1, memory_order_relaxed);
    return reader->page;
}

static bool is_own(struct reader_page *page) {
    return atomic_load_explicit(&page->holders, memory_order_acquire) == 1; /* M2 */
}

static bool page_is_busy(struct reader_page *page) {
    bool busy = false;
    for (int i = 0; i < READER_PARTS; i++) {
        busy |= atomic_load_explicit(&page->parts[i].state, memory_order_acquire) ==
                PART_FLYING; /* M1 */
    }
    return busy;
}

/* --- one page --------------------------------------------------------------------- */

/* Cover [from, until); nothing is asked yet. */
static void page_cover(struct reader_page *page, uint64_t address, uint64_t from,
                       uint64_t until) {
    page->address = address;
    page->from = from;
    page->ready = from;
    page->asked = from;
    page->until = until;
    page->end = UINT64_MAX;
    page->first = 0;
    page->count = 0;
    for (int i = 0; i < READER_PARTS; i++) {
        /* relaxed: nothing is on its way */
        atomic_store_explicit(&page->parts[i].state, PART_FREE, memory_order_relaxed);
    }
}

/* Ask the device for what comes next: FASTER_OK, or why it refuses.  One that is full
 * for now is asked again later. */
static int page_ask(const struct flog_reader *reader, struct reader_page *page) {
    while (page->asked < page->until && page->count < READER_PARTS) {
        uint32_t at = (page->first + page->count) % READER_PARTS;
        struct reader_part *part = &page->parts[at];
        uint64_t left = page->until - page->asked;
        part->from = page->asked;
        part->until =
            page->asked + (left < reader->part_size ? left : reader->part_size);
        /* relaxed: published by the submission (device.h M1) */
        atomic_store_explicit(&part->state, PART_FLYING, memory_order_relaxed);
        uint64_t length = align_up(part->until - part->from, reader->alignment);
        int status = device_read(reader->device, part->from,
                                 page->data + (part->from - page->address), length,
                                 &part->request);
        if (status != 0) {
            /* relaxed: it was refused */
            atomic_store_explicit(&part->state, PART_FREE, memory_order_relaxed);
            return status == -EAGAIN ? FASTER_OK : status;
        }
        page->asked = part->until;
        page->count++;
    }
    return FASTER_OK;
}

/* The oldest part has come: FASTER_OK, or what became of it. */
static int take_part(struct reader_page *page) {
    struct reader_part *part = &page->parts[page->first];
    if (atomic_load_explicit(&part->state, memory_order_acquire) !=
        PART_DONE) { /* M1, with finish_part */
        return FASTER_RETRY;
    }
    if (part->status != FASTER_OK) {
        return part->status;
    }
    uint64_t length = part->until - part->from;
    if (part->moved < length) { /* I3 */
        memset(page->data + (part->from - page->address) + part->moved, 0,
               length - part->moved);
        if (page->end == UINT64_MAX) {
            page->end = part->from + part->moved;
        }
    }
    page->ready = part->until;
    page->first = (page->first + 1) % READER_PARTS;
    page->count--;
    /* relaxed: the reader's own again */
    atomic_store_explicit(&part->state, PART_FREE, memory_order_relaxed);
    return FASTER_OK;
}

/* Take what has come, and ask for more. */
static int page_look(const struct flog_reader *reader, struct reader_page *page) {
    int result = FASTER_OK;
    while (page->count != 0 && result == FASTER_OK) {
        result = take_part(page);
    }
    return result == FASTER_OK || result == FASTER_RETRY ? page_ask(reader, page)
                                                         : result;
}

/* --- the reader ------------------------------------------------------------------- */

void reader_rest(const struct faster_device *device, uint32_t *pause_us) {
    if ((device->capabilities & FASTER_DEVICE_DRIVEN) != 0) {
        (void)device_wait(device, REST_WAIT_MS); /* device.h V10, V11 */
    } else if (device_poll(device) > 0) {
        *pause_us = 0;
    } else if (*pause_us < REST_YIELDS) {
        *pause_us += 1;
        thread_yield();
    } else {
        thread_pause_us(*pause_us);
        *pause_us = *pause_us < REST_US_MAX ? 2 * *pause_us : *pause_us;
    }
}

void reader_init(struct flog_reader *reader, const struct faster_device *device,
                 uint64_t page_size, uint32_t ahead) {
    uint64_t unit = reader_unit(device);
    uint64_t most =
        device->max_io != 0 ? device->max_io & ~(unit - 1) : READER_PART_MAX;
    *reader = (struct flog_reader){
        .device = device,
        .page_size = page_size,
        .alignment = unit,
        .part_size = most < READER_PART_MAX ? most : READER_PART_MAX,
        .capacity_max = page_size,
        .ahead_max = ahead < READER_AHEAD_MAX ? ahead : READER_AHEAD_MAX,
    };
}

bool reader_is_busy(struct flog_reader *reader) {
    bool busy = reader->page != NULL && page_is_busy(reader->page);
    for (uint32_t i = 0; i < reader->ahead_count; i++) {
        busy |= page_is_busy(reader->ahead[i]);
    }
    return busy || (reader->spare != NULL && page_is_busy(reader->spare));
}

static void give(struct reader_page **page) {
    if (*page != NULL) {
        reader_give(*page);
        *page = NULL;
    }
}

void reader_end(struct flog_reader *reader) {
    uint32_t pause_us = 0;
    while (reader_is_busy(reader)) { /* ends: a device completes (V2) */
        reader_rest(reader->device, &pause_us);
    }
    reader_destroy(reader);
}

void reader_destroy(struct flog_reader *reader) {
    give(&reader->page);
    give(&reader->spare);
    while (reader->ahead_count != 0) {
        give(&reader->ahead[--reader->ahead_count]);
    }
}

/* Put a buffer aside.  One that something is on its way to stays with the reader until
 * it has come (I2): there is one place for it, so whoever needs it waits. */
static int put_aside(struct flog_reader *reader, struct reader_page *page,
                     uint64_t deadline) {
    uint32_t pause_us = 0;
    while (page_is_busy(page)) { /* ends at the deadline */
        reader_rest(reader->device, &pause_us);
        if (clock_ms() >= deadline) {
            return FASTER_E_TIMEOUT;
        }
    }
    if (reader->spare == NULL && is_own(page)) {
        reader->spare = page;
    } else {
        reader_give(page);
    }
    return FASTER_OK;
}

/* Let go what is ahead and does not fit any more: all of it. */
static int drop_ahead(struct flog_reader *reader, uint64_t deadline) {
    int result = FASTER_OK;
    while (reader->ahead_count != 0 && result == FASTER_OK) {
        result = put_aside(reader, reader->ahead[reader->ahead_count - 1], deadline);
        if (result == FASTER_OK) {
            reader->ahead_count--;
        }
    }
    return result;
}

/* It covers no address any more; the next fill puts it aside. */
static void page_forget(struct reader_page *page) {
    page->ready = page->from;
    page->until = page->from;
}

void reader_forget(struct flog_reader *reader) {
    if (reader->page != NULL) {
        page_forget(reader->page);
    }
    for (uint32_t i = 0; i < reader->ahead_count; i++) {
        page_forget(reader->ahead[i]);
    }
}

static int take_page(struct flog_reader *reader, struct reader_page **page) {
    *page = reader->spare;
    reader->spare = NULL;
    if (*page == NULL || (*page)->capacity < reader->capacity_max) {
        give(page);
        *page = page_new(reader, reader->capacity_max);
    }
    return *page != NULL ? FASTER_OK : -ENOMEM;
}

/* Begin to read the page of `position` from there on, below `limit`. */
static int begin_page(struct flog_reader *reader, uint64_t position, uint64_t limit,
                      struct reader_page **page) {
    uint64_t address = position & ~(reader->page_size - 1);
    uint64_t end = address + reader->page_size;
    uint64_t until = limit < end ? limit : end;
    int result = take_page(reader, page);
    if (result == FASTER_OK) {
        uint64_t from = position & ~(reader->alignment - 1);
        /* A buffer of less than a page begins with what is wanted. */
        uint64_t start = reader->capacity_max < reader->page_size ? from : address;
        page_cover(*page, start, from, until);
        result = page_ask(reader, *page);
    }
    return result;
}

static bool covers(const struct reader_page *page, uint64_t position) {
    return page->from <= position && position < page->until;
}

/* Make the page of `position` the one that is looked at. */
static int turn_to(struct flog_reader *reader, uint64_t position, uint64_t limit,
                   uint64_t deadline) {
    if (reader->page != NULL) {
        int result = put_aside(reader, reader->page, deadline);
        if (result != FASTER_OK) {
            return result;
        }
        reader->page = NULL;
    }
    if (reader->ahead_count != 0 && covers(reader->ahead[0], position)) {
        reader->page = reader->ahead[0];
        reader->ahead_count--;
        memmove(reader->ahead, reader->ahead + 1,
                reader->ahead_count * sizeof reader->ahead[0]);
        return FASTER_OK;
    }
    int result = drop_ahead(reader, deadline);
    return result == FASTER_OK ? begin_page(reader, position, limit, &reader->page)
                               : result;
}

/* Have the pages behind the present one read, below `limit`. */
static void read_ahead(struct flog_reader *reader, uint64_t limit) {
    uint64_t next = (reader->page->from | (reader->page_size - 1)) + 1;
    int result = FASTER_OK; /* a failure is told when its page is looked at */
    if (reader->page->until != next) {
        return;
    }
    for (uint32_t i = 0; i < reader->ahead_count && result == FASTER_OK; i++) {
        result = page_look(reader, reader->ahead[i]);
        next = reader->ahead[i]->address + reader->page_size;
    }
    while (result == FASTER_OK && next < limit &&
           reader->ahead_count < reader->ahead_max) {
        struct reader_page *page = NULL;
        result = begin_page(reader, next, limit, &page);
        if (page != NULL) {
            reader->ahead[reader->ahead_count++] = page;
        }
        next += reader->page_size;
    }
    /* Nobody waits for these: what was gathered goes on now (device.h V10). */
    (void)device_poll(reader->device);
}

/* Whether what is covered ends before what is wanted, although the log goes on. */
static bool ends_early(const struct reader_page *page, uint64_t wanted) {
    return page->until < wanted; /* `wanted` is within the page */
}

int reader_fill(struct flog_reader *reader, uint64_t position, uint64_t needed,
                uint64_t limit, uint64_t deadline) {
    uint64_t page_end = (position | (reader->page_size - 1)) + 1;
    uint64_t most = limit < page_end ? limit : page_end;
    uint64_t wanted = needed < most - position ? position + needed : most;
    uint32_t pause_us = 0;
    int result = FASTER_OK;
    if (reader->page == NULL || !covers(reader->page, position) ||
        ends_early(reader->page, wanted)) {
        result = turn_to(reader, position, limit, deadline);
    }
    while (result == FASTER_OK) { /* ends at the deadline */
        result = page_look(reader, reader->page);
        if (result != FASTER_OK) {
            page_forget(reader->page);
            break;
        }
        read_ahead(reader, limit);
        if (reader->page->ready >= wanted) {
            break;
        }
        if (clock_ms() >= deadline) {
            return FASTER_E_TIMEOUT;
        }
        reader_rest(reader->device, &pause_us);
    }
    return result;
}
