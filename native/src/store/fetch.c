/* SPDX-License-Identifier: MIT */
/* fetch.c: one record from the device, see pending.h */
#include <errno.h>

#include "base/memory.h"
#include "record/checksum.h"
#include "store/pending.h"

/* What a first read asks for at least: a sector is what a device reads anyhow. */
enum { GUESS_MIN = 256, GUESS_MAX = 64 << 10 };

uint64_t fetch_guess(const struct pending_queue *queue) {
    const struct record_layout *layout = &queue->kv->layout;
    if (layout->fixed) {
        return record_size(layout, layout->key_size, layout->value_size);
    }
    return queue->guess < GUESS_MIN ? GUESS_MIN : queue->guess;
}

/* Remember the sizes of late: at once when larger, slowly when smaller. */
static void learn_size(struct pending_queue *queue, uint64_t extent) {
    uint64_t size = extent < GUESS_MAX ? extent : GUESS_MAX;
    uint64_t less = queue->guess - queue->guess / 64;
    queue->guess = size > less ? size : less;
}

/* Take a buffer of at least so many bytes, aligned as the device wants it. */
static int make_buffer(struct faster_pending *pending, uint64_t size,
                       uint64_t alignment) {
    if (size <= pending->buffer_size) {
        return FASTER_OK;
    }
    uint8_t *block = memory_lines_new(size + alignment);
    if (block == NULL) {
        return -ENOMEM;
    }
    if (pending->block != NULL) {
        memory_lines_free(pending->block);
        pending_give(pending->queue, pending->buffer_size);
    }
    /* Forced: a lookup that has begun must be able to end; the log gives way. */
    pending_take(pending->queue, size);
    pending->block = block;
    pending->buffer = (uint8_t *)(uintptr_t)align_up((uintptr_t)block, alignment);
    pending->buffer_size = size;
    return FASTER_OK;
}

/* What a device wants offsets, lengths and buffers to be multiples of. */
static uint64_t alignment_of(const struct pending_queue *queue) {
    return queue->device->alignment > 8 ? queue->device->alignment : 8;
}

int fetch_prepare(struct faster_pending *pending, uint64_t address, uint64_t size) {
    struct pending_queue *queue = pending->queue;
    const struct hlog *log = &queue->kv->log;
    uint64_t alignment = alignment_of(queue);
    uint64_t page_end = (address | (log->page_size - 1)) + 1; /* I4 */
    uint64_t from = address & ~(alignment - 1);
    uint64_t until = align_up(address + size, alignment);
    until = until < page_end ? until : page_end;
    int result = make_buffer(pending, until - from, alignment);
    if (result != FASTER_OK) {
        return result;
    }
    pending->address = address;
    pending->read_from = from;
    pending->read_size = until - from;
    pending->read_done = 0;
    return FASTER_OK;
}

void fetch_submit(struct faster_pending *pending) {
    struct pending_queue *queue = pending->queue;
    uint64_t most = queue->device->max_io & ~(alignment_of(queue) - 1);
    uint64_t done = pending->read_done;
    uint64_t size = pending->read_size - done;
    size = most != 0 && size > most ? most : size;
    struct hlog *log = &queue->kv->log;
    pending->read_begun = clock_ns();
    int status = disk_enter_device(log);
    if (status == FASTER_OK) {
        status = device_read(queue->device, pending->read_from + done,
                             pending->buffer + done, size, &pending->request);
        disk_leave_device(log);
    }
    if (status != 0) {
        pending->request.finish(&pending->request, status, 0);
    }
}

/* I4, N2: the bytes of a varlen record by its lengths, or 0 when they are
 * impossible. */
static uint64_t varlen_extent(const struct record_layout *layout, uint64_t lengths,
                              uint64_t room) {
    uint64_t extent = record_size(layout, lengths_key(lengths), 0) +
                      align_up(lengths_value(lengths), 8) + lengths_slack(lengths) * 8;
    return extent <= room ? extent : 0;
}

/* Whether a header can be that of a record which something points to. */
static bool is_plausible(uint64_t info, uint64_t address) {
    uint64_t known = INFO_PREV_MASK | INFO_VERSION_MASK | INFO_TOMBSTONE |
                     INFO_INVALID | INFO_SEALED | INFO_WRITTEN;
    return (info & INFO_WRITTEN) != 0 && (info & ~known) == 0 &&
           info_prev(info) < address;
}

/* Whether the rest of what was asked for can be had: the request was one of several, or
 * the device gave less.  One that gives nothing more has ended (F03, F04). */
static bool goes_on(struct faster_pending *pending, uint64_t got) {
    uint64_t whole = got & ~(alignment_of(pending->queue) - 1);
    if (got >= pending->read_size || whole <= pending->read_done) {
        return false;
    }
    pending->read_done = whole;
    return true;
}

int fetch_examine(struct faster_pending *pending, struct record **record,
                  uint64_t *need) {
    struct pending_queue *queue = pending->queue;
    const struct record_layout *layout = &queue->kv->layout;
    const struct hlog *log = &queue->kv->log;
    uint64_t address = pending->address;
    uint64_t room = log->page_size - (address & (log->page_size - 1));
    uint64_t skip = address - pending->read_from;
    uint64_t got = pending->read_done + pending->io_moved;
    uint64_t have = got > skip ? got - skip : 0;
    struct record *found = (struct record *)(void *)(pending->buffer + skip);
    if (pending->io_status != FASTER_OK) {
        return pending->io_status;
    }
    if (room < layout->header) {
        return FASTER_E_CORRUPT;
    }
    if (have < layout->header) { /* short where a record must be */
        return goes_on(pending, got) ? FASTER_RETRY : FASTER_E_CORRUPT;
    }
    uint64_t extent = layout->fixed
                          ? fetch_guess(queue)
                          : varlen_extent(layout, record_lengths(found), room);
    if (!is_plausible(record_info(found), address) || extent == 0 || extent > room) {
        return FASTER_E_CORRUPT;
    }
    learn_size(queue, extent);
    if (extent > have) {
        *need = extent;
        if (got >= pending->read_size) {
            return FASTER_PENDING;
        }
        return goes_on(pending, got) ? FASTER_RETRY : FASTER_E_CORRUPT;
    }
    if (record_checksum(found, extent, address, disk_seed_at(log, address)) !=
        found->checksum) {
        return FASTER_E_CORRUPT;
    }
    *record = found;
    return FASTER_OK;
}
