/* SPDX-License-Identifier: MIT */
/* scan_pages.c: whole pages from the device, one ahead, see scan.h */
#include <errno.h>
#include <stdlib.h>

#include "base/memory.h"
#include "log/disk.h"
#include "store/scan.h"

enum {
    PIECE_SIZE = 1 << 20, /* several are in flight of one large page */
    REST_US = 50,
    REST_MS = 1
};

#define NO_PAGE UINT64_MAX

struct piece {
    struct device_request request; /* first: its completion gets this address */
    struct faster_scan_pages *pages;
    struct slot *slot;
    uint64_t length;
    bool refused; /* for now: the device was full (-EAGAIN) */
};

struct slot {
    uint64_t page;
    uint8_t *buffer;
    struct piece *pieces;
    _Atomic uint32_t left; /* pieces in flight (scan.h M1) */
    _Atomic int status;    /* scan.h M1 */
};

struct faster_scan_pages {
    struct faster_kv *kv;
    const struct faster_device *device;
    uint64_t page_size;
    uint64_t piece_size;
    uint32_t piece_count;
    uint8_t *block;
    struct slot slots[2];
    _Atomic uint32_t refs; /* scan.h M2 */
};

static void pages_release(struct faster_scan_pages *pages) {
    if (atomic_fetch_sub_explicit(&pages->refs, 1, memory_order_acq_rel) !=
        1) { /* scan.h M2 */
        return;
    }
    budget_give(&pages->kv->budget, 2 * pages->page_size);
    memory_lines_free(pages->block);
    free(pages->slots[0].pieces);
    free(pages->slots[1].pieces);
    memory_lines_free(pages);
}

static void finish_piece(struct device_request *request, int status, uint64_t moved) {
    struct piece *piece = (struct piece *)request;
    struct slot *slot = piece->slot;
    struct faster_scan_pages *pages = piece->pages;
    if (status == FASTER_OK && moved < piece->length) {
        status = FASTER_E_CORRUPT; /* a page that has left memory is there whole */
    }
    if (status != FASTER_OK) {
        /* relaxed: before the decrement below */
        atomic_store_explicit(&slot->status, status, memory_order_relaxed);
    }
    (void)atomic_fetch_sub_explicit(&slot->left, 1,
                                    memory_order_acq_rel); /* scan.h M1 */
    pages_release(pages);
}

static int make_slot(struct faster_scan_pages *pages, struct slot *slot,
                     uint8_t *buffer) {
    slot->page = NO_PAGE;
    slot->buffer = buffer;
    slot->pieces = calloc(pages->piece_count, sizeof *slot->pieces);
    atomic_init(&slot->left, 0);
    atomic_init(&slot->status, FASTER_OK);
    if (slot->pieces == NULL) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < pages->piece_count; i++) {
        device_request_init(&slot->pieces[i].request, finish_piece);
        slot->pieces[i].pages = pages;
        slot->pieces[i].slot = slot;
    }
    return FASTER_OK;
}

/* max_io is at least a sector (disk.h), but perhaps no power of two. */
static uint64_t piece_size_of(const struct hlog *log) {
    const struct faster_device *device = disk_device(log);
    uint64_t unit = disk_unit(log);
    uint64_t most = device->max_io != 0 ? device->max_io & ~(unit - 1) : PIECE_SIZE;
    most = most < PIECE_SIZE ? most : PIECE_SIZE;
    return most < log->page_size ? most : log->page_size;
}

int scan_pages_new(struct faster_kv *kv, struct faster_scan_pages **out) {
    uint64_t page_size = kv->log.page_size;
    uint64_t alignment = disk_unit(&kv->log);
    struct faster_scan_pages *pages = memory_lines_new(sizeof *pages);
    if (pages == NULL) {
        return -ENOMEM;
    }
    memset((void *)pages, 0, sizeof *pages);
    pages->kv = kv;
    pages->device = disk_device(&kv->log);
    pages->page_size = page_size;
    pages->piece_size = piece_size_of(&kv->log);
    pages->piece_count =
        (uint32_t)((page_size + pages->piece_size - 1) / pages->piece_size);
    pages->block = memory_lines_new(2 * page_size + alignment);
    atomic_init(&pages->refs, 1);
    /* Forced: what a scan needs to go on at all; the log gives way. */
    budget_force(&kv->budget, 2 * page_size);
    uint8_t *buffer =
        (uint8_t *)(uintptr_t)align_up((uint64_t)(uintptr_t)pages->block, alignment);
    if (pages->block == NULL ||
        make_slot(pages, &pages->slots[0], buffer) != FASTER_OK ||
        make_slot(pages, &pages->slots[1], buffer + page_size) != FASTER_OK) {
        pages_release(pages);
        return -ENOMEM;
    }
    *out = pages;
    return FASTER_OK;
}

/* Submit the pieces that the device has not taken yet. */
static void submit_pieces(struct faster_scan_pages *pages, struct slot *slot) {
    struct hlog *log = &pages->kv->log;
    uint64_t from = slot->page * pages->page_size;
    int entered = disk_enter_device(log);
    for (uint32_t i = 0; i < pages->piece_count; i++) {
        struct piece *piece = &slot->pieces[i];
        uint64_t at = i * pages->piece_size;
        if (!piece->refused) {
            continue;
        }
        int status = entered;
        if (status == FASTER_OK) {
            piece->refused = false;
            status = device_read(pages->device, from + at, slot->buffer + at,
                                 piece->length, &piece->request);
        }
        piece->refused = status == -EAGAIN;
        if (status != FASTER_OK && status != -EAGAIN) {
            piece->refused = false;
            finish_piece(&piece->request, status, 0);
        }
    }
    if (entered == FASTER_OK) {
        (void)device_poll(pages->device); /* device.h V10 */
        disk_leave_device(log);
    }
}

static void read_page(struct faster_scan_pages *pages, struct slot *slot,
                      uint64_t page) {
    slot->page = page;
    /* relaxed, all three: published by the submissions (device.h M1) */
    atomic_store_explicit(&slot->status, FASTER_OK, memory_order_relaxed);
    /* relaxed: as above */
    atomic_store_explicit(&slot->left, pages->piece_count, memory_order_relaxed);
    /* relaxed: as above */
    (void)atomic_fetch_add_explicit(&pages->refs, pages->piece_count,
                                    memory_order_relaxed);
    for (uint32_t i = 0; i < pages->piece_count; i++) {
        uint64_t left = pages->page_size - i * pages->piece_size;
        slot->pieces[i].length = left < pages->piece_size ? left : pages->piece_size;
        slot->pieces[i].refused = true;
    }
    submit_pieces(pages, slot);
}

static bool is_there(struct slot *slot) {
    return atomic_load_explicit(&slot->left, memory_order_acquire) == 0; /* scan.h M1 */
}

/* Bring the device on, and rest a little if that completed nothing. */
static void rest(struct faster_scan_pages *pages) {
    struct hlog *log = &pages->kv->log;
    bool driven = (pages->device->capabilities & FASTER_DEVICE_DRIVEN) != 0;
    if (disk_enter_device(log) == FASTER_OK) {
        int done = device_poll(pages->device);
        if (done <= 0 && driven) {
            (void)device_wait(pages->device, REST_MS);
        }
        disk_leave_device(log);
        if (done > 0 || driven) {
            return;
        }
    }
    thread_pause_us(REST_US);
}

/* Ends: the device completes what it accepted, when it is closed at the latest
 * (device.h V2, V9). */
static int wait_page(struct faster_scan_pages *pages, struct slot *slot) {
    while (!is_there(slot)) {
        rest(pages);
        submit_pieces(pages, slot); /* those that were refused */
    }
    /* relaxed: behind the acquire of is_there */
    return atomic_load_explicit(&slot->status, memory_order_relaxed);
}

int scan_pages_get(struct faster_scan_pages *pages, uint64_t page, uint64_t until,
                   uint8_t **bytes) {
    struct slot *slot = &pages->slots[page % 2];
    struct slot *ahead = &pages->slots[(page + 1) % 2];
    if (slot->page != page) {
        (void)wait_page(pages, slot); /* of an earlier place of the cursor */
        read_page(pages, slot, page);
    }
    int status = wait_page(pages, slot);
    if (status != FASTER_OK) {
        slot->page = NO_PAGE;
        return status;
    }
    bool wanted = (page + 2) * pages->page_size <= until && ahead->page != page + 1;
    if (wanted && is_there(ahead)) {
        read_page(pages, ahead, page + 1);
    }
    *bytes = slot->buffer;
    return FASTER_OK;
}

void scan_pages_free(struct faster_scan_pages *pages) { pages_release(pages); }
