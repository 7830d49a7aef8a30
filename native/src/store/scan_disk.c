/* SPDX-License-Identifier: MIT */
/* scan_disk.c: the records that have left memory, see scan.h */
#include <errno.h>

#include "log/disk.h"
#include "record/checksum.h"
#include "store/scan.h"

enum { REST_MS = 100 };

/* Whether a record can be what the walk has met, and is whole (I2). */
static bool is_whole(const struct scan *scan, struct record *record, uint64_t address,
                     uint64_t room) {
    const struct record_layout *layout = &scan->kv->layout;
    uint64_t info = record_info(record);
    if (room < layout->header || info_prev(info) >= address) {
        return false;
    }
    uint64_t extent = record_extent(layout, record);
    return extent <= room &&
           record_checksum(record, extent, address,
                           disk_seed_at(&scan->kv->log, address)) == record->checksum;
}

/* Step over the record at `at`; *next is where the walk goes on.  FASTER_OK with a
 * record to look at, FASTER_NOT_FOUND without, FASTER_E_CORRUPT. */
static int step(const struct scan *scan, uint8_t *bytes, uint64_t address,
                struct record **record, uint64_t *next) {
    uint64_t page_size = scan->kv->log.page_size;
    uint64_t at = address & (page_size - 1);
    uint64_t room = page_size - at;
    *record = (struct record *)(void *)(bytes + at);
    uint64_t info = room >= sizeof(uint64_t) ? record_info(*record) : 0;
    *next = address + room;
    if (info == 0) {
        return FASTER_E_CORRUPT; /* a page that has left memory is written to its end */
    }
    if ((info & INFO_FILLER) != 0) {
        *next = address + info_prev(info);
        bool whole = filler_is_whole(*record, address, room,
                                     disk_seed_at(&scan->kv->log, address));
        return whole ? FASTER_NOT_FOUND : FASTER_E_CORRUPT;
    }
    if (!is_whole(scan, *record, address, room)) {
        return FASTER_E_CORRUPT;
    }
    /* relaxed: nobody else has the page.  R5: a device's lock is none. */
    atomic_store_explicit(&(*record)->seq, 0, memory_order_relaxed);
    *next = address + record_extent(&scan->kv->layout, *record);
    return (info & INFO_INVALID) != 0 ? FASTER_NOT_FOUND : FASTER_OK;
}

/* Walk over a block of records of the cursor's page, as far as they are below `until`;
 * *position gets where the next block begins. */
static int collect(const struct scan *scan, uint8_t *bytes, uint64_t until,
                   struct scan_item *items, int *count, uint64_t *position) {
    const struct record_layout *layout = &scan->kv->layout;
    uint64_t address = scan->cursor->position;
    uint64_t page_end = (address | (scan->kv->log.page_size - 1)) + 1;
    until = until < page_end ? until : page_end;
    *count = 0;
    while (address < until && *count < SCAN_BLOCK) {
        struct record *record;
        uint64_t next;
        int result = step(scan, bytes, address, &record, &next);
        if (result < 0) {
            *position = page_end;
            return result;
        }
        if (result == FASTER_OK) {
            items[(*count)++] = (struct scan_item){
                .address = address,
                .hash = kv_hash(scan->kv, record_key(layout, record),
                                record_key_size(layout, record)),
                .record = record,
            };
        }
        address = next;
    }
    *position = address;
    return FASTER_OK;
}

/* Find out whether an item is the newest of its key below the end: at once, or by a
 * walk on the device that begins at *walk. */
static int judge(struct scan *scan, struct scan_item *item, uint64_t *walk) {
    const struct record_layout *layout = &scan->kv->layout;
    const uint8_t *key = record_key(layout, item->record);
    uint64_t key_size = record_key_size(layout, item->record);
    struct found found;
    item->turn = false;
    int result = find_record(scan->session, item->hash, key, key_size, &found);
    while (result == FASTER_OK && found.address >= scan->cursor->end) {
        /* ends: each step is below */
        found.ref.seen = info_prev(record_info(found.record));
        result = find_in_chain_of(scan->session, key, key_size, &found);
    }
    if (result == FASTER_OK) { /* in memory, or a copy in the cache */
        item->turn = found.address == item->address;
        return FASTER_OK;
    }
    if (result != FASTER_PENDING || found.address < item->address) {
        return result == FASTER_RETRY ? FASTER_RETRY : FASTER_OK;
    }
    item->turn = found.address == item->address;
    *walk = found.address;
    return item->turn ? FASTER_OK : FASTER_PENDING;
}

/* Have the chain of an item's key walked on the device. */
static int begin_walk(struct scan *scan, struct scan_item *item, uint64_t start,
                      struct pending_outbox *outbox) {
    const struct record_layout *layout = &scan->kv->layout;
    struct faster_operation operation = {
        .kind = FASTER_READ,
        .flags = FASTER_CLAIMED,
        .key = record_key(layout, item->record),
        .key_size = record_key_size(layout, item->record),
    };
    return pending_begin_walk(scan->session, &operation, start, scan->cursor->end,
                              outbox, &item->pending);
}

/* Judge all items of a block in one entry. */
static int judge_block(struct scan *scan, struct scan_item *items, int count) {
    struct pending_outbox outbox = {NULL};
    int result = session_enter(scan->session);
    if (result != FASTER_OK) {
        return result;
    }
    struct index_table *table = index_current(&scan->kv->index);
    for (int i = 0; i < count; i++) {
        faster_prefetch(index_bucket_hint(table, items[i].hash));
    }
    for (int i = 0; i < count && result == FASTER_OK; i++) {
        uint64_t walk = ADDRESS_NONE;
        KV_ATTEMPT(scan->session, result, judge(scan, &items[i], &walk));
        if (result == FASTER_PENDING) {
            result = begin_walk(scan, &items[i], walk, &outbox);
        }
    }
    session_leave(scan->session);
    pending_send(&outbox);
    return result;
}

/* Wait for an item's walk, and see where it led. */
static int end_walk(struct scan *scan, struct scan_item *item) {
    bool ready = false;
    int result = FASTER_OK;
    while (!ready && (result == FASTER_OK || result == FASTER_RETRY)) {
        /* ends: the device completes what it accepted (device.h V2) */
        result = pending_run(scan->session, item->pending, &ready);
        if (!ready) {
            pending_rest(scan->session, REST_MS);
        }
    }
    if (ready) {
        int status = item->pending->status;
        item->turn = status == FASTER_OK && item->pending->address == item->address;
        item->lost = status < 0 && status != -ENOMEM;
        result = status < 0 ? status : FASTER_OK;
        (void)faster_forget(scan->session, item->pending);
        item->pending = NULL;
    }
    return result;
}

static int give_item(struct scan *scan, struct scan_item *item) {
    const struct record_layout *layout = &scan->kv->layout;
    int result = item->pending != NULL ? end_walk(scan, item) : FASTER_OK;
    if (result != FASTER_OK || !item->turn) {
        return result;
    }
    if (scan->found == scan->count) {
        return FASTER_PENDING; /* all rows are filled */
    }
    result = scan_give(scan, item->record, record_key(layout, item->record),
                       record_key_size(layout, item->record));
    if (result == FASTER_OK) {
        scan_note_place(scan, item->address, item->record);
    }
    return result == FASTER_NOT_FOUND ? FASTER_OK : result;
}

/* Walks that nobody waits for any more. */
static void drop_walks(struct scan *scan, struct scan_item *items, int count) {
    for (int i = 0; i < count; i++) {
        if (items[i].pending != NULL) {
            (void)faster_forget(scan->session, items[i].pending);
        }
    }
}

/* Where the next call goes on when an item could not be given (I2). */
static uint64_t go_on_at(const struct scan *scan, const struct scan_item *item) {
    uint64_t extent = record_extent(&scan->kv->layout, item->record);
    return item->lost ? item->address + extent : item->address;
}

int scan_disk_block(struct scan *scan) {
    struct faster_cursor *cursor = scan->cursor;
    struct hlog *log = &scan->kv->log;
    struct scan_item items[SCAN_BLOCK];
    uint64_t page = cursor->position >> log->page_bits;
    uint64_t next = (page + 1) << log->page_bits;
    uint8_t *bytes;
    int count = 0;
    int result =
        cursor->pages == NULL ? scan_pages_new(scan->kv, &cursor->pages) : FASTER_OK;
    if (result == FASTER_OK) {
        uint64_t head = hlog_head(log) & ~(log->page_size - 1);
        result = scan_pages_get(cursor->pages, page, head, &bytes);
    }
    if (result == FASTER_OK) {
        result = collect(scan, bytes, cursor->end, items, &count, &next);
    }
    if (result < 0 && count == 0) {
        cursor->position = result != -ENOMEM ? next : cursor->position; /* I2 */
        return result;
    }
    int given = judge_block(scan, items, count);
    int i = 0;
    for (; i < count && given == FASTER_OK; i++) {
        given = give_item(scan, &items[i]);
        next = given == FASTER_OK ? next : go_on_at(scan, &items[i]);
    }
    drop_walks(scan, items, count);
    cursor->position = given == FASTER_OK || i > 0 ? next : cursor->position;
    return given != FASTER_OK ? given : result;
}
