/* SPDX-License-Identifier: MIT */
/* recover_pages.c: the log's end, handed in, see recovery.h */
#include <errno.h>
#include <string.h>

#include "cpr/read_ahead.h"
#include "cpr/recovery.h"
#include "log/disk.h"

/* Between two looks at whether a frame is there. */
enum { FRAME_PAUSE_US = 50 };

static bool is_closed(struct faster_kv *kv) {
    uint64_t state =
        atomic_load_explicit(&kv->state, memory_order_seq_cst); /* store.h M1 */
    return (state & STATE_CLOSED) != 0;
}

/* Wait for a page's frame.  Ends: the worker has it, or says why not. */
static int wait_frame(struct faster_recovery *recovery, uint64_t page) {
    struct faster_kv *kv = recovery->kv;
    int result = disk_page_ready(&kv->log, page);
    while (result == FASTER_RETRY) {
        if (is_closed(kv)) {
            return FASTER_E_CLOSED;
        }
        thread_pause_us(FRAME_PAUSE_US);
        result = disk_page_ready(&kv->log, page);
    }
    return result;
}

/* Verify and link what is in the log's memory up to `until`, within one page. */
static int verify(struct faster_recovery *recovery, uint64_t until) {
    struct hlog *log = &recovery->kv->log;
    struct replay *replay = &recovery->replay;
    uint64_t from = recovery->verified;
    uint64_t used;
    uint64_t need;
    if (from >= until) {
        return FASTER_OK; /* below begin */
    }
    replay->until = until;
    starts_clear_page(&recovery->starts, from, log->page_size);
    int result = replay_walk(replay, from, log->base + (from & log->ring_mask),
                             until - from, &used, &need);
    if (result == FASTER_OK) {
        recovery->verified = until;
    }
    return result;
}

/* Copy [from, until) of the device into the log's memory, where it ends up anyhow. */
static int read_page(struct faster_recovery *recovery, struct read_ahead *ahead,
                     uint64_t from, uint64_t until) {
    struct hlog *log = &recovery->kv->log;
    while (from < until) { /* ends: each piece moves on, or is the last */
        uint64_t at;
        uint64_t size;
        uint8_t *bytes;
        int result = read_ahead_take(ahead, &at, &bytes, &size);
        if (result != FASTER_OK) {
            return result;
        }
        if (size == 0 || at != from) {
            return replay_damage(&recovery->replay.damage, FASTER_DAMAGE_SHORT, from,
                                 until, from);
        }
        memcpy(log->base + (from & log->ring_mask), bytes, (size_t)size);
        from += size;
    }
    return FASTER_OK;
}

/* What is below begin may be anything: walks over the page must not see it. */
static void hide_below_begin(struct hlog *log, uint64_t start, uint64_t begin) {
    uint64_t first = start > ADDRESS_FIRST ? start : ADDRESS_FIRST;
    if (begin > first && begin < start + log->page_size) {
        memset(log->base + (first & log->ring_mask), 0, (size_t)(begin - first));
        hlog_fill(log, first, begin - first);
    }
}

/* Bring the part of the tail's page that is on the device into memory, once.  It is
 * verified with what comes behind it: the device's end may cut a record. */
static int load_page(struct faster_recovery *recovery) {
    struct hlog *log = &recovery->kv->log;
    uint64_t until = recovery->config.log_until;
    uint64_t from = until & ~(log->page_size - 1);
    uint64_t begin = recovery->config.begin;
    struct read_ahead ahead;
    int result = FASTER_OK;
    if (recovery->loaded) {
        return FASTER_OK;
    }
    replay_init(&recovery->replay, recovery->kv, &recovery->skips, recovery->link_from,
                until);
    recovery->replay.starts = &recovery->starts;
    recovery->replay.seeds = recovery->own_seeds ? NULL : &recovery->taken_with;
    recovery->verified = from > begin ? from : begin;
    result = starts_init(&recovery->starts, log, from, recovery->config.final, begin);
    if (result == FASTER_OK && from < until) {
        result = read_ahead_begin(&ahead, log, from, until);
        if (result == FASTER_OK) {
            result = read_page(recovery, &ahead, from, until);
            read_ahead_end(&ahead);
        }
    }
    recovery->loaded = result == FASTER_OK;
    if (result != FASTER_OK) {
        starts_destroy(&recovery->starts, log);
    }
    return result;
}

/* I2: the tail moves over a page that is whole and verified. */
static int finish_page(struct faster_recovery *recovery, uint64_t page_end) {
    struct hlog *log = &recovery->kv->log;
    int result = verify(recovery, page_end);
    if (result == FASTER_OK) {
        hide_below_begin(log, page_end - log->page_size, recovery->config.begin);
        hlog_move_tail(log, page_end); /* recovery.h M1 */
        disk_ask(log);
    }
    return result;
}

static int put_bytes(struct faster_recovery *recovery, const uint8_t *bytes,
                     uint64_t size) {
    struct hlog *log = &recovery->kv->log;
    int result = load_page(recovery);
    while (result == FASTER_OK && size != 0) { /* ends: each turn takes bytes */
        uint64_t page_end = (recovery->pushed | (log->page_size - 1)) + 1;
        uint64_t left = page_end - recovery->pushed;
        uint64_t piece = size < left ? size : left;
        result = wait_frame(recovery, recovery->pushed >> log->page_bits);
        if (result != FASTER_OK) {
            return result;
        }
        memcpy(log->base + (recovery->pushed & log->ring_mask), bytes, (size_t)piece);
        recovery->pushed += piece;
        bytes += piece;
        size -= piece;
        if (recovery->pushed == page_end) {
            result = finish_page(recovery, page_end);
        }
    }
    return result;
}

static int note(struct faster_recovery *recovery, int result) {
    if (result == FASTER_E_CORRUPT) {
        recovery_note(recovery, &recovery->replay.damage);
    }
    return result;
}

int faster_recovery_pages(struct faster_recovery *recovery, uint64_t address,
                          const void *bytes, uint64_t size) {
    if (recovery->finished || address != recovery->pushed ||
        size > recovery->config.final - address) {
        return -EINVAL;
    }
    if (address + size > recovery->link_from && !recovery_has_index(recovery)) {
        return -EINVAL;
    }
    return note(recovery, put_bytes(recovery, bytes, size));
}

static bool entry_fits(void *context, uint64_t address) {
    struct faster_recovery *recovery = context;
    return starts_fit(&recovery->starts, address);
}

/* What the index's copy says of the log in memory, now that it is known (F86). */
static int check_entries(struct faster_recovery *recovery) {
    uint64_t bucket;
    uint64_t address;
    uint64_t low = recovery->starts.low; /* all below fits */
    if (index_check(&recovery->kv->index, low, entry_fits, recovery, &bucket,
                    &address)) {
        return FASTER_OK;
    }
    return replay_damage(&recovery->replay.damage, FASTER_DAMAGE_ENTRY, bucket, 0,
                         address);
}

int recovery_close_page(struct faster_recovery *recovery) {
    struct hlog *log = &recovery->kv->log;
    uint64_t final = recovery->config.final;
    uint64_t rest = -final & (log->page_size - 1);
    int result = load_page(recovery);
    if (result == FASTER_OK && rest != 0) {
        result = verify(recovery, final);
    }
    if (result == FASTER_OK && recovery->config.index_bits != 0) {
        result = check_entries(recovery);
    }
    if (result == FASTER_OK && rest != 0) {
        hlog_fill(log, final, rest);
        hide_below_begin(log, final + rest - log->page_size, recovery->config.begin);
        hlog_move_tail(log, final + rest); /* recovery.h M1 */
    }
    return note(recovery, result);
}
