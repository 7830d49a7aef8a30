/* SPDX-License-Identifier: MIT */
/* scan.c: see scan.h */
#include <errno.h>

#include "store/scan.h"

static uint64_t next_page(const struct hlog *log, uint64_t address) {
    return ((address >> log->page_bits) + 1) << log->page_bits;
}

/* Walk to the next record, over page ends.  False at the scan's end. */
static bool next_record(struct scan *scan, struct record **record) {
    const struct hlog *log = &scan->kv->log;
    struct faster_cursor *cursor = scan->cursor;
    while (cursor->position < cursor->end) {
        uint64_t address = cursor->position;
        uint64_t in_page = address & (log->page_size - 1);
        bool header_fits = in_page + sizeof(uint64_t) <= log->page_size;
        *record = hlog_record(log, address);
        uint64_t info = header_fits ? record_info(*record) : 0;
        if (info != 0 && (info & INFO_FILLER) == 0) {
            return true;
        }
        cursor->position = info != 0 ? address + info_prev(info) /* a filler */
                                     : next_page(log, address);
    }
    return false;
}

/* Whether the item's record is the newest of its key below the scan's end; *newest gets
 * the newest of all. */
static int is_turn(struct scan *scan, const struct scan_item *item, const uint8_t *key,
                   uint64_t key_size, struct record **newest) {
    struct found found;
    int result = find_record(scan->session, item->hash, key, key_size, &found);
    if (result != FASTER_OK) {
        return result;
    }
    *newest = found.record;
    while (found.address >= scan->cursor->end) { /* ends: each step is below */
        found.ref.seen = info_prev(record_info(found.record));
        result = find_in_chain_of(scan->session, key, key_size, &found);
        if (result != FASTER_OK) {
            return result;
        }
    }
    return found.address == item->address ? FASTER_OK : FASTER_NOT_FOUND;
}

static bool room_for_key(const struct scan *scan, uint64_t key_size) {
    const struct faster_results *keys = scan->keys;
    return keys->offsets == NULL ||
           keys->capacity - keys->offsets[scan->found] >= key_size;
}

/* Copy the newest value to row `found`, if values are wanted. */
static int give_value(struct scan *scan, struct record *newest) {
    const struct record_layout *layout = &scan->kv->layout;
    const struct faster_results *values = scan->values;
    uint64_t row = scan->found;
    uint64_t width = layout->value_size;
    if (values == NULL) {
        return FASTER_OK;
    }
    uint64_t to = layout->fixed ? row * width : values->offsets[row];
    uint64_t room = layout->fixed ? width : values->capacity - to;
    uint64_t size = 0;
    int result = record_read_value(layout, newest, values->data + to, room, &size);
    scan->need_value = size;
    if (result == FASTER_OK && !layout->fixed) {
        values->offsets[row + 1] = to + size;
    }
    return result;
}

int scan_give(struct scan *scan, struct record *newest, const uint8_t *key,
              uint64_t key_size) {
    const struct record_layout *layout = &scan->kv->layout;
    const struct faster_results *keys = scan->keys;
    uint64_t row = scan->found;
    uint64_t at = layout->fixed ? row * key_size : keys->offsets[row];
    if ((record_info(newest) & INFO_TOMBSTONE) != 0) {
        return FASTER_NOT_FOUND;
    }
    /* Both, so that a caller without room for the key need not ask twice. */
    scan->need_key = key_size;
    scan->need_value = scan->values != NULL ? record_value_size(layout, newest) : 0;
    if (!room_for_key(scan, key_size)) {
        return FASTER_SHORT;
    }
    int result = give_value(scan, newest);
    if (result != FASTER_OK) {
        return result;
    }
    memcpy(keys->data + at, key, (size_t)key_size);
    if (!layout->fixed) {
        keys->offsets[row + 1] = at + key_size;
    }
    scan->found++;
    return FASTER_OK;
}

/* Look at one record.  FASTER_OK also when it is not to be given. */
static int visit(struct scan *scan, const struct scan_item *item) {
    const struct record_layout *layout = &scan->kv->layout;
    struct record *record = hlog_record(&scan->kv->log, item->address);
    uint64_t key_size = record_key_size(layout, record);
    const uint8_t *key = record_key(layout, record);
    struct record *newest;
    int result = is_turn(scan, item, key, key_size, &newest);
    if (result == FASTER_OK) {
        result = scan_give(scan, newest, key, key_size);
    }
    if (result == FASTER_OK) {
        scan_note_place(scan, item->address, record);
    }
    /* PENDING: the chain leaves memory, so what is above has been overtaken. */
    return result == FASTER_NOT_FOUND || result == FASTER_PENDING ? FASTER_OK : result;
}

/* Walk over a block of records, and let the buckets of the valid ones come near. */
static int collect(struct scan *scan, struct scan_item *items) {
    const struct record_layout *layout = &scan->kv->layout;
    struct index_table *table = index_current(&scan->kv->index);
    struct record *record;
    int count = 0;
    for (int i = 0; i < SCAN_BLOCK && next_record(scan, &record); i++) {
        uint64_t address = scan->cursor->position;
        if ((record_info(record) & INFO_INVALID) == 0) {
            uint64_t hash = kv_hash(scan->kv, record_key(layout, record),
                                    record_key_size(layout, record));
            faster_prefetch(index_bucket_hint(table, hash));
            items[count++] = (struct scan_item){.address = address, .hash = hash};
        }
        scan->cursor->position = address + record_extent(layout, record);
    }
    return count;
}

/* At most SCAN_BLOCK records of memory under one entry.  Stops before the record that
 * cannot be given now, or at once where memory begins behind the cursor. */
static int scan_block(struct scan *scan) {
    struct scan_item items[SCAN_BLOCK];
    if (scan->cursor->position < scan->session->head) {
        return FASTER_OK;
    }
    int count = collect(scan, items);
    for (int i = 0; i < count; i++) {
        int result =
            scan->found < scan->count ? visit(scan, &items[i]) : FASTER_PENDING;
        if (result != FASTER_OK) {
            scan->cursor->position = items[i].address;
            return result;
        }
    }
    return FASTER_OK;
}

/* Fix the end, and wait until everything below it is written (outside: E4). */
static int begin_scan(struct scan *scan) {
    struct faster_session *session = scan->session;
    int result = session_enter(session);
    if (result != FASTER_OK) {
        return result;
    }
    uint64_t position = session->begin;
    uint64_t end = hlog_tail(&scan->kv->log);
    uint64_t bumped_from = epoch_bump(session->epoch);
    session_leave(session);
    epoch_wait(session->epoch, bumped_from);
    scan->cursor->position = position;
    scan->cursor->end = end;
    return FASTER_OK;
}

static int run_scan(struct scan *scan) {
    struct faster_session *session = scan->session;
    int result = FASTER_OK;
    while (result == FASTER_OK && scan->found < scan->count &&
           scan->cursor->position < scan->cursor->end) {
        if (scan->kv->log.disk != NULL &&
            scan->cursor->position < hlog_head(&scan->kv->log)) {
            result = scan_disk_block(scan);
        } else {
            result = session_enter(session);
            if (result == FASTER_OK) {
                result = scan_block(scan);
                session_leave(session);
            }
        }
        if (result == FASTER_RETRY) {
            faster_session_wait(session);
            result = FASTER_OK;
        }
    }
    /* What was found is given first.  PENDING: all rows are filled.  SHORT: the next
     * call says that its first does not fit.  A failure is told by the next call. */
    if (result == FASTER_PENDING || (result == FASTER_SHORT && scan->found != 0)) {
        return FASTER_OK;
    }
    if (result < 0 && scan->found != 0) {
        scan->cursor->failure = result;
        return FASTER_OK;
    }
    return result;
}

/* Whether a buffer has the places of all rows, or says where the first one's is. */
static bool holds_rows(const struct faster_results *results, bool fixed, uint64_t width,
                       uint64_t count) {
    if (!fixed) {
        return results->offsets != NULL;
    }
    return count == 0 || width == 0 ||
           (results->data != NULL && results->capacity / width >= count);
}

static int check_rows(const struct scan *scan) {
    const struct record_layout *layout = &scan->kv->layout;
    bool keys = holds_rows(scan->keys, layout->fixed, layout->key_size, scan->count);
    bool values = scan->values == NULL || holds_rows(scan->values, layout->fixed,
                                                     layout->value_size, scan->count);
    return keys && values ? FASTER_OK : -EINVAL;
}

/* Whether a cursor can have come from this store: that its position is a record's is
 * the caller's to know. */
static bool is_place(struct faster_kv *kv, const struct faster_cursor *cursor) {
    return cursor->position == 0 ||
           (cursor->position % 8 == 0 && cursor->position >= hlog_begin(&kv->log) &&
            cursor->end <= hlog_tail(&kv->log));
}

int faster_scan_next(struct faster_session *session, struct faster_cursor *cursor,
                     const struct faster_results *keys,
                     const struct faster_results *values, uint64_t count,
                     uint64_t *found, uint64_t *need_key, uint64_t *need_value) {
    struct scan scan = {.session = session,
                        .kv = session->kv,
                        .cursor = cursor,
                        .keys = keys,
                        .values = values,
                        .count = count};
    int result =
        session->generation != fork_generation() ? FASTER_E_FORKED : check_rows(&scan);
    if (result == FASTER_OK && !is_place(scan.kv, cursor)) {
        result = -EINVAL;
    }
    if (result == FASTER_OK && cursor->failure != FASTER_OK) {
        result = cursor->failure;
        cursor->failure = FASTER_OK;
    }
    while (cursor->position == 0 && result == FASTER_OK) {
        result = begin_scan(&scan);
        if (result == FASTER_RETRY) {
            faster_session_wait(session); /* ends: a helper is inside for one step */
            result = FASTER_OK;
        }
    }
    if (result == FASTER_OK) {
        result = run_scan(&scan);
    }
    *found = scan.found;
    *need_key = scan.need_key;
    *need_value = scan.need_value;
    return result;
}

void faster_cursor_close(struct faster_cursor *cursor) {
    if (cursor->pages != NULL) {
        scan_pages_free(cursor->pages);
        cursor->pages = NULL;
    }
}
