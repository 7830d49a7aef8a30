/* SPDX-License-Identifier: MIT */
/*
 * reader.h: the log's bytes, page by page, back in memory
 *
 * Level 5.  Includes: base, device.
 *
 * Purpose
 *   Whoever reads a log reads it in order.  So the next page is on its way while one is
 *   looked at, in several requests, and what has come of a page can be used before the
 *   rest has.
 *
 * Model
 *   A page's buffer covers [from, until) of the log's addresses, of which [from, ready)
 *   has come.  No entry crosses a page, so an entry is always whole in one buffer.
 *
 *      address      from            ready          asked           until
 *         |          | in memory     | on its way   | not asked yet  |
 *
 * Invariants
 *   I1  Bytes below `ready` never change again; a buffer is used anew only when nobody
 *       but its reader holds it.
 *   I2  A buffer is freed only when nothing is on its way to it.
 *   I3  Where the device ends, zeros follow, up to `until`.
 *   I4  `until` is never above the limit that its reading began with: what a device
 *       gives beyond it, to a whole unit, may have been read before it was written.
 *
 * Ordering
 *   M1  A request's status and count are stored before its state (release); the reader
 *       loads the state (acquire) first.  Without it bytes could be used that have not
 *       come.
 *   M2  `holders` is lowered acq_rel: who frees the buffer comes after all who read it.
 *
 * Progress   reader_fill blocks for the device, up to its deadline; the rest does not.
 * Threads    a reader belongs to one thread at a time; buffers may be given back by any
 * Errors     the device's; -ENOMEM
 * Limits     READER_PARTS requests for a page at a time, READER_AHEAD_MAX pages ahead
 * Source     none
 * Tests      tests/flog/{validate_scan,fault_device}.c
 */
#ifndef FASTER_FLOG_READER_H
#define FASTER_FLOG_READER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/compiler.h"
#include "device/device.h"

enum { READER_PARTS = 8, READER_AHEAD_MAX = 8, READER_PART_MAX = 1 << 20 };

struct reader_part {
    struct device_request request; /* first: its completion gets this address */
    uint64_t from;
    uint64_t until;
    uint64_t moved;
    int status;
    _Atomic uint32_t state; /* M1 */
};

struct reader_page {
    _Atomic uint32_t holders; /* M2 */
    uint64_t capacity;
    uint8_t *data; /* of `address`, at a multiple of the device's alignment */

    uint64_t address;
    uint64_t from;
    uint64_t ready;
    uint64_t asked;
    uint64_t until;
    uint64_t end; /* where the device ended; UINT64_MAX: not yet */
    uint32_t first;
    uint32_t count; /* parts on their way, in order */
    struct reader_part parts[READER_PARTS];
    uint8_t room[];
};

struct flog_reader {
    const struct faster_device *device;
    uint64_t page_size;
    uint64_t alignment;
    uint64_t part_size;
    uint64_t capacity_max; /* of a buffer: less than a page when less is wanted */
    uint32_t ahead_max;
    uint32_t ahead_count;
    struct reader_page *page; /* the one that is looked at, or NULL */
    struct reader_page *spare;
    struct reader_page *ahead[READER_AHEAD_MAX]; /* by address */
};

/* What reads are multiples of; entries are, too. */
static inline uint64_t reader_unit(const struct faster_device *device) {
    return device->alignment < sizeof(uint64_t) ? sizeof(uint64_t) : device->alignment;
}

/* Whether a log with such pages can be read from a device at all. */
static inline bool reader_can_read(const struct faster_device *device,
                                   uint64_t page_size) {
    return reader_unit(device) <= page_size &&
           (device->max_io == 0 || device->max_io >= reader_unit(device));
}

void reader_init(struct flog_reader *reader, const struct faster_device *device,
                 uint64_t page_size, uint32_t ahead);

/* Whether something is on its way to its buffers; if so, only what completes it helps:
 * the device's polling, or its end. */
bool reader_is_busy(struct flog_reader *reader);

/* Let the device go on, and rest when that brought nothing: at most a millisecond. */
void reader_rest(const struct faster_device *device, uint32_t *pause_us);

/* Wait until it is not busy, and free the buffers. */
void reader_end(struct flog_reader *reader);

/* Free the buffers, once it is not busy. */
void reader_destroy(struct flog_reader *reader);

/* Forget what was read: the log has changed. */
void reader_forget(struct flog_reader *reader);

/* Bring [position, position + needed) into memory, as far as it lies below `limit` and
 * in position's page, and begin with what comes behind.  FASTER_OK, FASTER_E_TIMEOUT
 * (call again), -ENOMEM, why the device failed. */
int reader_fill(struct flog_reader *reader, uint64_t position, uint64_t needed,
                uint64_t limit, uint64_t deadline);

/* What is in memory from `position` on; 0 bytes when nothing is. */
FASTER_INLINE uint64_t reader_room(const struct flog_reader *reader, uint64_t position,
                                   const uint8_t **data) {
    const struct reader_page *page = reader->page;
    if (page == NULL || position < page->from || position >= page->ready) {
        return 0;
    }
    *data = page->data + (position - page->address);
    return page->ready - position;
}

/* Where the device ended, of the page that is looked at. */
static inline uint64_t reader_device_end(const struct flog_reader *reader) {
    return reader->page != NULL ? reader->page->end : UINT64_MAX;
}

/* Keep the present buffer, and give it back. */
struct reader_page *reader_hold(struct flog_reader *reader);
void reader_give(struct reader_page *page);

#endif
