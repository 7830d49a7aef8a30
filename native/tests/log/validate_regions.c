/* SPDX-License-Identifier: MIT */
/* hlog.h I3: read_only moves at once, safe_read_only when everyone has seen it. */
#include "log/hlog.h"

#include "harness.h"

enum { PAGE_BITS = HLOG_PAGE_BITS_MIN, SLOTS = 4 };

static struct epoch epoch;
static struct budget budget;
static struct hlog hlog;
static struct epoch_slot *slots[SLOTS];

static void begin(void) {
    epoch_init(&epoch, SLOTS);
    budget_init(&budget, 0);
    CHECK_INT(hlog_init(&hlog, &epoch, &budget, PAGE_BITS, 1 << 24), FASTER_OK);
    for (int i = 0; i < SLOTS; i++) {
        CHECK_INT(epoch_slot_take(&epoch, &slots[i]), 0);
    }
}

static void end(void) {
    hlog_destroy(&hlog);
    epoch_destroy(&epoch);
}

static void enter(int slot) { CHECK_INT(epoch_enter(&epoch, slots[slot]), FASTER_OK); }

static void leave(int slot) { epoch_leave(&epoch, slots[slot]); }

/* Append something, and say where the tail is then. */
static uint64_t append(void) {
    uint64_t address;
    CHECK_INT(hlog_reserve(&hlog, 1000, &address), FASTER_OK);
    return address + 1000;
}

static void check_regions(uint64_t safe_read_only, uint64_t read_only) {
    CHECK_U64(hlog_begin(&hlog), ADDRESS_FIRST);
    CHECK_U64(hlog_safe_read_only(&hlog), safe_read_only);
    CHECK_U64(hlog_read_only(&hlog), read_only);
    CHECK(read_only <= hlog_tail(&hlog), "the tail is at %" PRIu64, hlog_tail(&hlog));
}

static void everything_is_mutable_at_first(void) {
    begin();
    check_regions(ADDRESS_FIRST, ADDRESS_FIRST);
    (void)append();
    epoch_drain(&epoch);
    check_regions(ADDRESS_FIRST, ADDRESS_FIRST);
    end();
}

static void i3_the_safe_one_follows_when_nobody_is_inside(void) {
    begin();
    uint64_t tail = append();
    CHECK_U64(hlog_shift_read_only(&hlog), tail);
    check_regions(ADDRESS_FIRST, tail);
    epoch_drain(&epoch);
    check_regions(tail, tail);
    end();
}

static void i3_the_safe_one_waits_for_every_slot(void) {
    begin();
    uint64_t tail = append();
    for (int i = 0; i < SLOTS; i++) {
        enter(i);
    }
    CHECK_U64(hlog_shift_read_only(&hlog), tail);
    for (int i = 0; i < SLOTS; i++) {
        check_regions(ADDRESS_FIRST, tail);
        if (i % 2 == 0) {
            leave(i);
        } else {
            epoch_refresh(&epoch, slots[i]); /* has seen the new one from now on */
        }
    }
    check_regions(tail, tail);
    end();
}

static void i3_who_entered_after_the_shift_does_not_hold_it_up(void) {
    begin();
    uint64_t tail = append();
    enter(0);
    (void)hlog_shift_read_only(&hlog);
    enter(1);
    check_regions(ADDRESS_FIRST, tail);
    leave(0);
    check_regions(tail, tail);
    end();
}

/* read_only has risen again when the first shift's action runs: what the second one
 * made read-only has not been seen by everyone. */
static void i3_each_shift_makes_only_its_own_part_safe(void) {
    begin();
    enter(0);
    uint64_t first = append();
    CHECK_U64(hlog_shift_read_only(&hlog), first);
    enter(1); /* sees `first`, not what comes */
    uint64_t second = append();
    CHECK_U64(hlog_shift_read_only(&hlog), second);
    leave(0);
    check_regions(first, second);
    leave(1);
    check_regions(second, second);
    end();
}

static void i3_shifting_an_unchanged_tail_changes_nothing(void) {
    begin();
    uint64_t tail = append();
    for (int i = 0; i < 100; i++) {
        CHECK_U64(hlog_shift_read_only(&hlog), tail);
        epoch_drain(&epoch);
        check_regions(tail, tail);
    }
    end();
}

static void i3_shifts_go_on_for_ever(void) {
    begin();
    for (int i = 0; i < 10 * HLOG_SHIFTS_MAX; i++) {
        uint64_t tail = append();
        enter(0);
        CHECK_U64(hlog_shift_read_only(&hlog), tail);
        leave(0);
        check_regions(tail, tail);
    }
    end();
}

/* Beyond HLOG_SHIFTS_MAX a shift is passed over, and says so by what it returns. */
static void i3_too_many_shifts_leave_the_regions_as_they_are(void) {
    begin();
    enter(0);
    uint64_t tail = 0;
    for (int i = 0; i < HLOG_SHIFTS_MAX; i++) {
        tail = append();
        CHECK_U64(hlog_shift_read_only(&hlog), tail);
    }
    (void)append();
    for (int i = 0; i < 3; i++) {
        CHECK_U64(hlog_shift_read_only(&hlog), tail);
        check_regions(ADDRESS_FIRST, tail);
    }
    leave(0);
    check_regions(tail, tail);
    uint64_t last = append();
    CHECK_U64(hlog_shift_read_only(&hlog), last);
    epoch_drain(&epoch);
    check_regions(last, last);
    end();
}

static void do_nothing(void *context) { (void)context; }

/* The epoch's list is full of others' actions: read_only moves, and the next shift
 * takes safe_read_only along. */
static void i3_a_full_action_list_only_delays_the_safe_one(void) {
    begin();
    enter(0);
    while (epoch_bump_with(&epoch, do_nothing, NULL) == FASTER_OK) {
        /* ends with FASTER_E_FULL */
    }
    uint64_t tail = append();
    for (int i = 0; i < 3 * HLOG_SHIFTS_MAX; i++) { /* none of them may be leaked */
        CHECK_U64(hlog_shift_read_only(&hlog), tail);
    }
    leave(0);
    epoch_drain(&epoch);
    check_regions(ADDRESS_FIRST, tail);
    CHECK_U64(hlog_shift_read_only(&hlog), tail);
    epoch_drain(&epoch);
    check_regions(tail, tail);
    end();
}

/* An older shift whose action runs after a newer one's takes nothing back. */
static void i3_actions_in_any_order_only_raise_the_safe_one(void) {
    begin();
    enter(0);
    CHECK_INT(epoch_bump_with(&epoch, do_nothing, NULL), FASTER_OK); /* first place */
    enter(1);
    uint64_t first = append();
    CHECK_U64(hlog_shift_read_only(&hlog), first); /* second place */
    leave(0);                                      /* the first place is free again */
    uint64_t second = append();
    CHECK_U64(hlog_shift_read_only(&hlog), second);
    check_regions(ADDRESS_FIRST, second);
    leave(1); /* both are due, the newer one is found first */
    check_regions(second, second);
    end();
}

/* During a turn that fails the tail is told as the page's end (I6); a shift then must
 * not make read-only what is yet to be reserved. */
static void i6_a_shift_during_a_failing_turn_stays_below_the_tail(void) {
    begin();
    budget_allow(&budget, budget_used(&budget)); /* this page and no other */
    uint64_t tail = append();
    uint64_t crossing =
        atomic_fetch_add_explicit(&hlog.tail, 4000, memory_order_seq_cst);
    uint64_t read_only = hlog_shift_read_only(&hlog);
    uint64_t address;
    CHECK_INT(hlog_reserve_slow(&hlog, 4000, crossing, &address), FASTER_E_FULL);
    CHECK(hlog_tail(&hlog) >= tail, "the tail fell to %" PRIu64, hlog_tail(&hlog));
    check_regions(ADDRESS_FIRST, read_only);
    if (hlog_reserve(&hlog, 8, &address) == FASTER_OK) {
        CHECK(address >= read_only, "%" PRIu64 " is read-only from birth", address);
    }
    end();
}

HARNESS_MAIN(TEST(everything_is_mutable_at_first),
             TEST(i3_the_safe_one_follows_when_nobody_is_inside),
             TEST(i3_the_safe_one_waits_for_every_slot),
             TEST(i3_who_entered_after_the_shift_does_not_hold_it_up),
             TEST(i3_each_shift_makes_only_its_own_part_safe),
             TEST(i3_shifting_an_unchanged_tail_changes_nothing),
             TEST(i3_shifts_go_on_for_ever),
             TEST(i3_too_many_shifts_leave_the_regions_as_they_are),
             TEST(i3_a_full_action_list_only_delays_the_safe_one),
             TEST(i3_actions_in_any_order_only_raise_the_safe_one),
             TEST(i6_a_shift_during_a_failing_turn_stays_below_the_tail))
