/* SPDX-License-Identifier: MIT */
/*
 * Threads reserve at random and fill what they got; then the log is walked.
 *
 * The first word of a range says its size and its thread, the others repeat it.  Ranges
 * that overlapped would have overwritten each other; one that was given out and not
 * filled, or a gap, ends the walk of its page too early.  A page may only end where the
 * range that begins the next one did not fit.
 */
#include <string.h>

#include "base/bits.h"
#include "base/thread.h"
#include "harness.h"
#include "log/hlog.h"

enum { THREADS = 4, PAGE_BITS = HLOG_PAGE_BITS_MIN, PAGE = 1 << PAGE_BITS };

static struct epoch epoch;
static struct budget budget;
static struct hlog hlog;

struct run {
    uint64_t each; /* bytes a thread wants; UINT64_MAX: until the log is full */
    bool ask;      /* threads also ask for the tail, and shift read_only */
    uint64_t got[THREADS];
};

static void begin(uint64_t pages) {
    epoch_init(&epoch, THREADS);
    budget_init(&budget, pages * PAGE);
    CHECK_INT(hlog_init(&hlog, &epoch, &budget, PAGE_BITS, pages * PAGE), FASTER_OK);
}

static void end(void) {
    hlog_destroy(&hlog);
    epoch_destroy(&epoch);
}

static void fill(uint64_t address, uint64_t size, uint32_t thread) {
    uint64_t *words = (uint64_t *)(void *)(hlog.base + address);
    for (uint64_t i = 0; i < size / 8; i++) {
        CHECK(words[i] == 0, "address %" PRIu64 " word %" PRIu64 " is in use", address,
              i);
        words[i] = size << 8 | (thread + 1);
    }
}

/* What must hold at any moment, seen by any thread (I3, I6). */
static uint64_t check_regions(uint64_t *last_safe, uint64_t *last_read_only) {
    uint64_t safe = hlog_safe_read_only(&hlog);
    uint64_t read_only = hlog_read_only(&hlog);
    uint64_t tail = hlog_tail(&hlog);
    CHECK(safe <= read_only, "%" PRIu64 " above %" PRIu64, safe, read_only);
    CHECK(read_only <= tail, "%" PRIu64 " above %" PRIu64, read_only, tail);
    CHECK(safe >= *last_safe, "%" PRIu64 " after %" PRIu64, safe, *last_safe);
    CHECK(read_only >= *last_read_only, "%" PRIu64 " after %" PRIu64, read_only,
          *last_read_only);
    *last_safe = safe;
    *last_read_only = read_only;
    return tail;
}

/* M2: what this entry took for mutable is not safe to be written out before it ends. */
static void check_held(uint64_t read_only) {
    uint64_t safe = hlog_safe_read_only(&hlog);
    CHECK(safe <= read_only, "%" PRIu64 " is safe, %" PRIu64 " was read here", safe,
          read_only);
}

static uint64_t random_size(struct rng *rng, uint64_t most) {
    uint64_t size =
        rng_below(rng, 16) == 0 ? rng_below(rng, PAGE) : rng_below(rng, 200);
    size = 8 + (size & ~(uint64_t)7);
    return size < most ? size : most;
}

static void reserve_and_fill(void *context, uint32_t thread) {
    struct run *run = context;
    struct rng rng = rng_stream(thread);
    struct epoch_slot *slot = NULL;
    uint64_t most = hlog_record_max(&hlog);
    uint64_t last_safe = 0;
    uint64_t last_read_only = 0;
    CHECK_INT(epoch_slot_take(&epoch, &slot), 0);
    while (run->got[thread] < run->each && most >= 8) {
        uint64_t size = random_size(&rng, most);
        uint64_t told = 0;
        uint64_t address = 0;
        CHECK_INT(epoch_enter(&epoch, slot), FASTER_OK);
        uint64_t read_only = hlog_read_only(&hlog);
        if (run->ask) {
            told = check_regions(&last_safe, &last_read_only);
            if (rng_below(&rng, 16) == 0) {
                (void)hlog_shift_read_only(&hlog);
            }
        }
        int result = hlog_reserve(&hlog, size, &address);
        if (result == FASTER_OK) {
            CHECK(address >= told, "%" PRIu64 " below the tail %" PRIu64, address,
                  told);
            CHECK_U64(address / PAGE, (address + size - 1) / PAGE);
            fill(address, size, thread);
            run->got[thread] += size;
        }
        check_held(read_only);
        epoch_leave(&epoch, slot);
        CHECK(result == FASTER_OK || result == FASTER_RETRY || result == FASTER_E_FULL,
              "%d", result);
        if (result == FASTER_E_FULL) {
            most = size - 8; /* something smaller may fit */
        } else if (result == FASTER_RETRY) {
            thread_yield();
        }
    }
}

/* Add up what each thread left in a page; give the offset behind the last range. */
static uint64_t walk_page(uint64_t page, uint64_t *found) {
    uint64_t offset = page == 0 ? ADDRESS_FIRST : 0;
    while (offset < PAGE) {
        const uint64_t *words =
            (const uint64_t *)(const void *)(hlog.base + page * PAGE + offset);
        uint64_t size = words[0] >> 8;
        uint64_t thread = (words[0] & 0xff) - 1;
        if (words[0] == 0) {
            break;
        }
        CHECK(thread < THREADS && offset + size <= PAGE, "%" PRIu64 " bytes", size);
        for (uint64_t i = 1; i < size / 8; i++) {
            CHECK_U64(words[i], words[0]);
        }
        found[thread] += size;
        offset += size;
    }
    return offset;
}

static void check_rest_of_page(uint64_t page, uint64_t offset) {
    for (uint64_t i = offset; i < PAGE; i++) {
        CHECK_U64(hlog.base[page * PAGE + i], 0);
    }
}

/* I1, I2: everything that was given out is found, and nothing else. */
static void walk(const struct run *run) {
    uint64_t found[THREADS] = {0};
    uint64_t pages = hlog_bytes(&hlog) / PAGE;
    uint64_t left = 0; /* behind the last range of the page before */
    for (uint64_t page = 0; page < pages; page++) {
        uint64_t first =
            *(const uint64_t *)(const void *)(hlog.base + page * PAGE) >> 8;
        uint64_t offset = walk_page(page, found);
        CHECK(page == 0 || left < first,
              "page %" PRIu64 " ends %" PRIu64 " bytes early, before %" PRIu64,
              page - 1, left, first);
        check_rest_of_page(page, offset);
        left = PAGE - offset;
    }
    for (int t = 0; t < THREADS; t++) {
        CHECK_U64(found[t], run->got[t]);
    }
}

static void i1_ranges_of_many_threads_lie_side_by_side(void) {
    uint64_t each = harness_count(8 << 20);
    struct run run = {.each = each};
    begin(THREADS * each / PAGE * 3 + 8);
    harness_threads(THREADS, reserve_and_fill, &run);
    walk(&run);
    end();
}

/* The same while others ask for the tail and shift the regions all the time. */
static void i3_regions_keep_their_order_beside_appends(void) {
    uint64_t each = harness_count(2 << 20);
    struct run run = {.each = each, .ask = true};
    begin(THREADS * each / PAGE * 3 + 8);
    harness_threads(THREADS, reserve_and_fill, &run);
    walk(&run);
    epoch_drain(&epoch);
    end();
}

/* Until not even one word fits: then every byte of the budget is in use. */
static void full_is_reached_only_when_the_last_page_is_full(void) {
    for (uint64_t i = 0; i < harness_count(200); i++) {
        struct run run = {.each = UINT64_MAX};
        begin(3);
        harness_threads(THREADS, reserve_and_fill, &run);
        CHECK_U64(hlog_tail(&hlog), 3 * PAGE);
        CHECK_U64(budget_used(&budget), 3 * PAGE);
        walk(&run);
        end();
    }
}

/* While turns fail again and again nobody is given room below a tail he was told. */
static void i6_no_tail_is_undercut_when_the_log_is_full(void) {
    for (uint64_t i = 0; i < harness_count(400); i++) {
        struct run run = {.each = UINT64_MAX, .ask = true};
        begin(2);
        harness_threads(THREADS, reserve_and_fill, &run);
        CHECK_U64(hlog_tail(&hlog), 2 * PAGE);
        walk(&run);
        epoch_drain(&epoch);
        end();
    }
}

/* One thread appends and shifts from outside; the others stay a while with what they
 * found read-only when they entered. */
struct stays {
    uint64_t shifts;
    _Atomic bool over;
};

static void shift_or_stay(void *context, uint32_t thread) {
    struct stays *stays = context;
    struct rng rng = rng_stream(thread);
    struct epoch_slot *slot = NULL;
    uint64_t address;
    for (uint64_t i = 0; thread == 0 && i < stays->shifts; i++) {
        CHECK_INT(hlog_reserve(&hlog, 8, &address), FASTER_OK);
        (void)hlog_shift_read_only(&hlog);
        epoch_drain(&epoch);
    }
    if (thread == 0) {
        atomic_store_explicit(&stays->over, true, memory_order_relaxed);
        return;
    }
    CHECK_INT(epoch_slot_take(&epoch, &slot), 0);
    while (!atomic_load_explicit(&stays->over, memory_order_relaxed)) {
        CHECK_INT(epoch_enter(&epoch, slot), FASTER_OK);
        uint64_t read_only = hlog_read_only(&hlog);
        for (uint64_t i = rng_below(&rng, 32); i > 0; i--) {
            cpu_relax();
        }
        check_held(read_only);
        epoch_leave(&epoch, slot);
    }
}

static void m2_nobody_is_left_with_an_older_read_only(void) {
    struct stays stays = {.shifts = harness_count(100000)};
    begin(stays.shifts * 8 / PAGE + 2);
    harness_threads(3, shift_or_stay, &stays);
    epoch_drain(&epoch);
    end();
}

/* One thread's turns fail all the time; the others ask for the tail, then reserve. */
struct undercut {
    _Atomic uint32_t left; /* threads that still find room */
};

static void fail_or_reserve(void *context, uint32_t thread) {
    struct undercut *undercut = context;
    uint64_t address = 0;
    int result = FASTER_OK;
    while (thread == 0 &&
           atomic_load_explicit(&undercut->left, memory_order_relaxed) != 0) {
        result = hlog_reserve(&hlog, hlog_record_max(&hlog), &address);
        CHECK(result == FASTER_E_FULL || result == FASTER_RETRY, "%d", result);
    }
    while (thread != 0 && result != FASTER_E_FULL) { /* ends with the page */
        uint64_t told = hlog_tail(&hlog);
        result = hlog_reserve(&hlog, 8, &address);
        CHECK(result != FASTER_OK || address >= told,
              "%" PRIu64 " below the tail %" PRIu64, address, told);
    }
    if (thread != 0) {
        atomic_fetch_sub_explicit(&undercut->left, 1, memory_order_relaxed);
    }
}

static void i6_no_tail_is_undercut_beside_failing_turns(void) {
    for (uint64_t i = 0; i < harness_count(300); i++) {
        struct undercut undercut;
        uint64_t address;
        atomic_init(&undercut.left, THREADS - 1);
        begin(1);
        CHECK_INT(hlog_reserve(&hlog, 8, &address), FASTER_OK); /* one is too many */
        harness_threads(THREADS, fail_or_reserve, &undercut);
        CHECK_U64(hlog_tail(&hlog), PAGE);
        end();
    }
}

HARNESS_MAIN(TEST(i1_ranges_of_many_threads_lie_side_by_side),
             TEST(i3_regions_keep_their_order_beside_appends),
             TEST(m2_nobody_is_left_with_an_older_read_only),
             TEST(full_is_reached_only_when_the_last_page_is_full),
             TEST(i6_no_tail_is_undercut_when_the_log_is_full),
             TEST(i6_no_tail_is_undercut_beside_failing_turns))
