/* SPDX-License-Identifier: MIT */
/*
 * Threads reserve ranges that end with a unit among others that reserve any; then the
 * log is walked.
 *
 * The first word of a range says its size and who took it, the others repeat it; so do
 * the fillers, which the log has written by a function of this test.  Every byte
 * belongs to exactly one of them, but for the end of a page where the next did not fit.
 */
#include <string.h>

#include "base/thread.h"
#include "harness.h"
#include "log/hlog.h"

enum {
    THREADS = 4,
    FILLER = 0xff,
    UNIT = 512,
    PAGE_BITS = HLOG_PAGE_BITS_MIN,
    PAGE = 1 << PAGE_BITS,
    PAGES = 2048
};

static struct epoch epoch;
static struct budget budget;
static struct hlog hlog;

static void mark(void *place, uint64_t size, uint64_t who) {
    uint64_t *words = place;
    for (uint64_t i = 0; i < size / 8; i++) {
        CHECK(words[i] == 0, "word %" PRIu64 " of %" PRIu64 " is in use", i, size / 8);
        words[i] = size << 8 | who;
    }
}

static void fill_gap(void *context, void *place, uint64_t address, uint64_t gap) {
    (void)context;
    CHECK(gap >= 8 && gap % 8 == 0, "%" PRIu64 " at %" PRIu64, gap, address);
    mark(place, gap, FILLER);
}

/* One range of either kind. */
static int reserve(struct rng *rng, bool whole, uint32_t thread) {
    uint64_t size = 8 + 8 * rng_below(rng, whole ? 200 : 100);
    uint64_t address = 0;
    uint64_t until = 0;
    int result = whole ? hlog_reserve_to_unit(&hlog, size, UNIT, &address, &until)
                       : hlog_reserve(&hlog, size, &address);
    if (result == FASTER_OK) {
        until = whole ? until : address + size;
        CHECK(until >= address + size && until - address < size + UNIT, "%" PRIu64,
              until);
        CHECK(!whole || until % UNIT == 0, "%" PRIu64, until);
        CHECK_U64(address / PAGE, (until - 1) / PAGE);
        mark(hlog.base + address, until - address, thread + 1);
    }
    return result;
}

static void work(void *context, uint32_t thread) {
    struct rng rng = rng_stream(thread);
    struct epoch_slot *slot = NULL;
    int result = FASTER_OK;
    (void)context;
    CHECK_INT(epoch_slot_take(&epoch, &slot), 0);
    while (result != FASTER_E_FULL) { /* ends: the log is full */
        CHECK_INT(epoch_enter(&epoch, slot), FASTER_OK);
        result = reserve(&rng, thread % 2 == 0, thread);
        epoch_leave(&epoch, slot);
        CHECK(result == FASTER_OK || result == FASTER_RETRY || result == FASTER_E_FULL,
              "%d", result);
    }
}

static void walk(uint64_t until) {
    uint64_t at = ADDRESS_FIRST;
    while (at < until) { /* ends: a range is not empty */
        uint64_t word;
        memcpy(&word, hlog.base + at, 8);
        uint64_t size = word >> 8;
        if (word == 0) { /* without a device the rest of a page stays as it was */
            size = PAGE - at % PAGE;
        }
        CHECK(size >= 8 && size <= PAGE, "nothing at %" PRIu64, at);
        for (uint64_t i = 8; i < size; i += 8) {
            uint64_t next;
            memcpy(&next, hlog.base + at + i, 8);
            CHECK_U64(next, word);
        }
        at += size;
    }
}

static void every_byte_is_somebodys(void) {
    for (uint64_t turn = 0; turn < harness_count(8); turn++) {
        epoch_init(&epoch, THREADS);
        budget_init(&budget, (uint64_t)PAGES * PAGE);
        CHECK_INT(hlog_init(&hlog, &epoch, &budget, PAGE_BITS, (uint64_t)PAGES * PAGE),
                  FASTER_OK);
        hlog.fill = fill_gap;
        harness_threads(THREADS, work, NULL);
        walk((uint64_t)(PAGES - 1) * PAGE);
        hlog_destroy(&hlog);
        epoch_destroy(&epoch);
    }
}

HARNESS_MAIN(TEST(every_byte_is_somebodys))
