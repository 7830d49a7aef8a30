/* SPDX-License-Identifier: MIT */
/* budget.h: what is refused has not been taken, and no byte more than the limit is. */
#include "base/budget.h"

#include "harness.h"

enum { THREADS = 4 };

static void i1_the_limit_can_be_reached_and_not_passed(void) {
    struct budget budget;
    budget_init(&budget, 100);
    CHECK_U64(budget_used(&budget), 0);
    CHECK(budget_take(&budget, 60), "60 of 100");
    CHECK(!budget_take(&budget, 41), "41 of 40");
    CHECK_U64(budget_used(&budget), 60);
    CHECK(budget_take(&budget, 40), "40 of 40");
    CHECK(!budget_take(&budget, 1), "1 of 0");
    CHECK(budget_take(&budget, 0), "nothing is always there");
    CHECK_U64(budget_used(&budget), 100);
    budget_give(&budget, 1);
    CHECK(budget_take(&budget, 1), "what was given back");
    CHECK(!budget_take(&budget, 1), "1 of 0");
}

static void i1_sizes_near_the_words_end_do_not_wrap(void) {
    struct budget budget;
    budget_init(&budget, 100);
    CHECK(budget_take(&budget, 10), "10 of 100");
    CHECK(!budget_take(&budget, UINT64_MAX), "everything");
    CHECK(!budget_take(&budget, UINT64_MAX - 9), "wraps to 0");
    CHECK(!budget_take(&budget, UINT64_MAX - 5), "wraps to 4");
    CHECK_U64(budget_used(&budget), 10);
}

static void no_limit_is_the_words_end(void) {
    struct budget budget;
    budget_init(&budget, 0);
    CHECK(budget_take(&budget, UINT64_MAX - 1), "nearly everything");
    CHECK(!budget_take(&budget, 2), "2 of 1");
    CHECK(budget_take(&budget, 1), "1 of 1");
    CHECK_U64(budget_used(&budget), UINT64_MAX);
}

static void i1_what_was_forced_counts_against_later_takers(void) {
    struct budget budget;
    budget_init(&budget, 100);
    budget_force(&budget, 130);
    CHECK_U64(budget_used(&budget), 130);
    CHECK(!budget_take(&budget, 1), "beyond the limit");
    CHECK(!budget_take(&budget, 0), "beyond the limit");
    budget_give(&budget, 50);
    CHECK(!budget_take(&budget, 21), "21 of 20");
    CHECK(budget_take(&budget, 20), "20 of 20");
}

struct race {
    struct budget budget;
    uint64_t taken[THREADS];
};

/* One byte at a time until nothing is left, with a give and take in between. */
static void take_all(void *context, uint32_t thread) {
    struct race *race = context;
    while (budget_take(&race->budget, 1)) { /* ends: every take but the spare stays */
        race->taken[thread]++;
        uint64_t used = budget_used(&race->budget);
        CHECK(used <= race->budget.limit, "%" PRIu64 " used", used);
        if (budget_take(&race->budget, 3)) {
            budget_give(&race->budget, 3);
        }
    }
}

static void i1_threads_together_take_exactly_the_limit(void) {
    uint64_t limit = harness_count(2000000);
    struct race race = {.taken = {0}};
    budget_init(&race.budget, limit);
    harness_threads(THREADS, take_all, &race);
    /* A thread may have met another's spare three bytes and stopped early. */
    take_all(&race, 0);
    uint64_t sum = 0;
    for (int i = 0; i < THREADS; i++) {
        sum += race.taken[i];
    }
    CHECK_U64(sum, limit);
    CHECK_U64(budget_used(&race.budget), limit);
}

HARNESS_MAIN(TEST(i1_the_limit_can_be_reached_and_not_passed),
             TEST(i1_sizes_near_the_words_end_do_not_wrap),
             TEST(no_limit_is_the_words_end),
             TEST(i1_what_was_forced_counts_against_later_takers),
             TEST(i1_threads_together_take_exactly_the_limit))
