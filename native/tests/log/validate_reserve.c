/* SPDX-License-Identifier: MIT */
/* hlog.h: what reserving gives, where a page ends, and what a full log leaves. */
#include "log/hlog.h"

#include <string.h>

#include "base/bits.h"
#include "harness.h"

enum { PAGE_BITS = HLOG_PAGE_BITS_MIN, PAGE = 1 << PAGE_BITS };

static struct epoch epoch;
static struct budget budget;
static struct hlog hlog;

/* A log that may take `pages` pages, by budget. */
static void begin(uint64_t pages) {
    epoch_init(&epoch, 4);
    budget_init(&budget, pages * PAGE);
    CHECK_INT(hlog_init(&hlog, &epoch, &budget, PAGE_BITS, 1 << 24), FASTER_OK);
}

static void end(void) {
    hlog_destroy(&hlog);
    epoch_destroy(&epoch);
}

static uint64_t tail_word(void) {
    return atomic_load_explicit(&hlog.tail, memory_order_seq_cst);
}

static void set_tail(uint64_t tail) {
    atomic_store_explicit(&hlog.tail, tail, memory_order_seq_cst);
}

static uint64_t reserve(uint64_t size) {
    uint64_t address = 0;
    CHECK_INT(hlog_reserve(&hlog, size, &address), FASTER_OK);
    return address;
}

/* A refusal leaves no trace. */
static void check_full(uint64_t size) {
    uint64_t tail = tail_word();
    uint64_t used = budget_used(&budget);
    uint64_t bytes = hlog_bytes(&hlog);
    uint64_t address = 77;
    CHECK_INT(hlog_reserve(&hlog, size, &address), FASTER_E_FULL);
    CHECK_U64(address, 77);
    CHECK_U64(tail_word(), tail);
    CHECK_U64(budget_used(&budget), used);
    CHECK_U64(hlog_bytes(&hlog), bytes);
}

/* The page filled but for `left` bytes. */
static void fill_page_but(uint64_t left) {
    uint64_t offset = tail_offset(tail_word());
    if (offset + left < PAGE) {
        (void)reserve(PAGE - left - offset);
    }
    CHECK_U64(tail_offset(tail_word()), PAGE - left);
}

static void i1_ranges_follow_each_other_within_pages(void) {
    begin(4096);
    struct rng rng = rng_stream(1);
    uint64_t next = ADDRESS_FIRST;
    while (next < 1000 * PAGE) {
        uint64_t words = rng_below(&rng, 4) == 0 ? 500 : 20;
        uint64_t size = 8 * (1 + rng_below(&rng, words));
        uint64_t address = reserve(size);
        if (address != next) {
            CHECK_U64(address % PAGE, 0);
            CHECK_U64(address, align_up(next, PAGE));
            CHECK(next + size > address, "%" PRIu64 " would have fitted at %" PRIu64,
                  size, next);
        }
        CHECK_U64(address / PAGE, (address + size - 1) / PAGE);
        next = address + size;
        CHECK_U64(hlog_tail(&hlog), next);
        CHECK_U64(hlog_bytes(&hlog), (address / PAGE + 1) * PAGE);
    }
    end();
}

static void i1_the_largest_record_fits_every_page(void) {
    begin(10);
    CHECK_U64(hlog_record_max(&hlog), PAGE - ADDRESS_FIRST);
    CHECK_U64(reserve(hlog_record_max(&hlog)), ADDRESS_FIRST);
    CHECK_U64(hlog_tail(&hlog), PAGE); /* to the last byte */
    CHECK_U64(reserve(hlog_record_max(&hlog)), PAGE);
    CHECK_U64(reserve(ADDRESS_FIRST - 8), 2 * PAGE - ADDRESS_FIRST);
    CHECK_U64(reserve(8), 2 * PAGE - 8);
    CHECK_U64(reserve(8), 2 * PAGE);
    CHECK_U64(reserve(hlog_record_max(&hlog)), 2 * PAGE + 8);
    end();
}

static void i4_what_is_reserved_is_writable_and_zero(void) {
    begin(100);
    struct rng rng = rng_stream(2);
    for (int i = 0; i < 1000; i++) {
        uint64_t size = 8 * (1 + rng_below(&rng, 40));
        uint8_t *bytes = (uint8_t *)hlog_record(&hlog, reserve(size));
        for (uint64_t b = 0; b < size; b++) {
            CHECK(bytes[b] == 0, "byte %" PRIu64 " is %u", b, bytes[b]);
        }
        memset(bytes, 0xa5, (size_t)size);
    }
    end();
}

static void full_leaves_the_tail_and_smaller_records_fit(void) {
    for (uint64_t left = 8; left <= 512; left += 56) {
        begin(2);
        fill_page_but(0);
        (void)reserve(8); /* the second page, the budget's last */
        fill_page_but(left);
        for (uint64_t size = left + 8; size <= hlog_record_max(&hlog); size += 8) {
            check_full(size);
        }
        uint64_t at = hlog_tail(&hlog);
        CHECK_U64(reserve(8), at);
        if (left > 8) {
            check_full(left);
            CHECK_U64(reserve(left - 8), at + 8);
        }
        CHECK_U64(hlog_tail(&hlog), 2 * PAGE);
        check_full(8);
        check_full(hlog_record_max(&hlog));
        end();
    }
}

static void full_ends_when_the_budget_has_room_again(void) {
    begin(3);
    CHECK(budget_take(&budget, 2 * PAGE), "what others take");
    fill_page_but(8);
    check_full(16);
    budget_give(&budget, PAGE - 1);
    check_full(16); /* a byte short of a page */
    budget_give(&budget, 1);
    CHECK_U64(reserve(16), PAGE);
    CHECK_U64(budget_used(&budget), 3 * PAGE);
    fill_page_but(8);
    check_full(16);
    end();
}

static void full_at_the_end_of_the_address_range(void) {
    epoch_init(&epoch, 1);
    budget_init(&budget, 0);
    CHECK_INT(hlog_init(&hlog, &epoch, &budget, PAGE_BITS, 3 * PAGE - 1), FASTER_OK);
    CHECK_U64(hlog.range, 3 * PAGE);
    for (uint64_t page = 0; page < 3; page++) {
        (void)reserve(hlog_record_max(&hlog));
    }
    fill_page_but(0);
    check_full(8);
    end();
}

/* With small pages there are more addresses than the tail has page numbers; the last
 * page must not be followed by the first. */
static void i1_page_numbers_do_not_begin_again(void) {
    uint64_t pages = (uint64_t)1 << TAIL_PAGE_BITS;
    epoch_init(&epoch, 1);
    budget_init(&budget, 0);
    CHECK_INT(hlog_init(&hlog, &epoch, &budget, PAGE_BITS, (uint64_t)1 << ADDRESS_BITS),
              FASTER_OK);
    CHECK_U64(hlog.range, pages * PAGE);
    set_tail(tail_make(pages - 1, PAGE - 8));
    CHECK_U64(reserve(8), pages * PAGE - 8);
    check_full(8);
    CHECK_U64(hlog_tail(&hlog), pages * PAGE);
    end();
}

static void a_budget_below_one_page_is_refused_at_once(void) {
    epoch_init(&epoch, 1);
    budget_init(&budget, PAGE - 1);
    CHECK_INT(hlog_init(&hlog, &epoch, &budget, PAGE_BITS, 1 << 20), FASTER_E_FULL);
    CHECK_U64(budget_used(&budget), 0);
    hlog_destroy(&hlog); /* nothing is left, and a second time does nothing */
    hlog_destroy(&hlog);
    epoch_destroy(&epoch);
}

/* L1: who sees that a page is over does not add, so the offset cannot run away. */
static void l1_nobody_adds_to_a_page_that_is_over(void) {
    begin(10);
    uint64_t over = tail_make(0, PAGE + 8);
    set_tail(over);
    for (uint64_t size = 8; size <= hlog_record_max(&hlog); size += 8) {
        uint64_t address;
        CHECK_INT(hlog_reserve(&hlog, size, &address), FASTER_RETRY);
        CHECK_U64(tail_word(), over);
    }
    end();
}

/* The steps of hlog_reserve by hand, so that others can come between them. */
static uint64_t add(uint64_t size) {
    return atomic_fetch_add_explicit(&hlog.tail, size, memory_order_seq_cst);
}

static void m1_additions_during_a_turn_get_nothing_and_leave_no_trace(void) {
    begin(10);
    fill_page_but(16);
    uint64_t address = 77;
    uint64_t crossing = add(64);
    uint64_t late = add(8); /* had looked before the other added */
    CHECK_INT(hlog_reserve_slow(&hlog, 8, late, &address), FASTER_RETRY);
    CHECK_U64(address, 77);
    CHECK_INT(hlog_reserve_slow(&hlog, 64, crossing, &address), FASTER_OK);
    CHECK_U64(address, PAGE);
    CHECK_U64(tail_word(), tail_make(1, 64));
    end();
}

static void m1_a_turn_that_fails_forgets_the_late_additions(void) {
    begin(1);
    fill_page_but(16);
    uint64_t before = tail_word();
    uint64_t address = 77;
    uint64_t crossing = add(64);
    uint64_t late = add(8);
    CHECK_INT(hlog_reserve_slow(&hlog, 8, late, &address), FASTER_RETRY);
    CHECK_INT(hlog_reserve_slow(&hlog, 64, crossing, &address), FASTER_E_FULL);
    CHECK_U64(tail_word(), before);
    CHECK_U64(reserve(16), PAGE - 16);
    end();
}

/* Who asks for the tail during a turn is told the page's end.  If the turn then fails,
 * nothing may be reserved below that. */
static void i6_a_tail_that_was_told_is_never_undercut(void) {
    begin(1);
    fill_page_but(16);
    uint64_t address = 77;
    uint64_t crossing = add(64);
    CHECK_U64(hlog_tail(&hlog), PAGE);
    uint64_t late = add(8);
    CHECK_U64(hlog_tail(&hlog), PAGE);
    CHECK_INT(hlog_reserve_slow(&hlog, 8, late, &address), FASTER_RETRY);
    CHECK_INT(hlog_reserve_slow(&hlog, 64, crossing, &address), FASTER_E_FULL);
    CHECK_U64(hlog_tail(&hlog), PAGE);
    check_full(8);
    CHECK_U64(hlog_tail(&hlog), PAGE);
    budget_allow(&budget, budget_limit(&budget) + PAGE);
    CHECK_U64(reserve(8), PAGE);
    end();
}

static void i6_a_turn_that_succeeds_leaves_no_mark(void) {
    begin(2);
    fill_page_but(16);
    uint64_t address = 77;
    uint64_t crossing = add(64);
    CHECK_U64(hlog_tail(&hlog), PAGE);
    CHECK_INT(hlog_reserve_slow(&hlog, 64, crossing, &address), FASTER_OK);
    CHECK_U64(address, PAGE);
    CHECK_U64(tail_word(), tail_make(1, 64));
    CHECK_U64(hlog_tail(&hlog), PAGE + 64);
    end();
}

static void m3_pins_are_counted_by_page(void) {
    begin(4);
    (void)reserve(hlog_record_max(&hlog));
    (void)reserve(hlog_record_max(&hlog));
    CHECK_U64(hlog_pinned(&hlog), 0);
    CHECK_U64(hlog_pin(&hlog, ADDRESS_FIRST), 0);
    CHECK_U64(hlog_pin(&hlog, PAGE - 8), 0);
    CHECK_U64(hlog_pin(&hlog, PAGE), 1);
    CHECK_U64(hlog_pinned(&hlog), 3);
    hlog_unpin(&hlog, 0);
    hlog_unpin(&hlog, 1);
    hlog_unpin(&hlog, 0);
    CHECK_U64(hlog_pinned(&hlog), 0);
    end();
}

HARNESS_MAIN(TEST(i1_ranges_follow_each_other_within_pages),
             TEST(i1_the_largest_record_fits_every_page),
             TEST(i4_what_is_reserved_is_writable_and_zero),
             TEST(full_leaves_the_tail_and_smaller_records_fit),
             TEST(full_ends_when_the_budget_has_room_again),
             TEST(full_at_the_end_of_the_address_range),
             TEST(i1_page_numbers_do_not_begin_again),
             TEST(a_budget_below_one_page_is_refused_at_once),
             TEST(l1_nobody_adds_to_a_page_that_is_over),
             TEST(m1_additions_during_a_turn_get_nothing_and_leave_no_trace),
             TEST(m1_a_turn_that_fails_forgets_the_late_additions),
             TEST(i6_a_tail_that_was_told_is_never_undercut),
             TEST(i6_a_turn_that_succeeds_leaves_no_mark),
             TEST(m3_pins_are_counted_by_page))
