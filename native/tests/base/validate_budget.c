/* SPDX-License-Identifier: MIT */
/* budget.h: what is refused has not been taken, and no byte more than the limit is. */
#include "base/budget.h"

#include <errno.h>

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

static void say_nothing(void *context) { (void)context; }

/* I2: who asks is told no only by an answer to what he asks for. */
static void i2_a_refusal_answers_its_own_wish(void) {
    struct budget budget;
    budget_init(&budget, 100);
    CHECK_INT(budget_want(&budget, 1), FASTER_E_FULL); /* nobody gives anything */
    budget_sated(&budget);
    budget.yield = say_nothing;
    CHECK_INT(budget_want(&budget, 640), FASTER_RETRY);
    struct budget_wish wish = budget_wish(&budget);
    CHECK_U64(wish.bytes, 640);
    budget_refuse(&budget, &wish, FASTER_OK);
    CHECK_INT(budget_want(&budget, 640), FASTER_RETRY);
    budget_refuse(&budget, &wish, FASTER_E_FULL);
    CHECK_INT(budget_want(&budget, 320), FASTER_RETRY); /* less may be there */
    CHECK_INT(budget_want(&budget, UINT64_MAX), FASTER_E_FULL);
    CHECK_U64(budget_wish(&budget).bytes, 0);           /* he has given up */
    CHECK_INT(budget_want(&budget, 640), FASTER_RETRY); /* so this is a new one */
    budget_refuse(&budget, &wish, -EIO);                /* he had looked before */
    CHECK_INT(budget_want(&budget, 640), FASTER_RETRY);
    wish = budget_wish(&budget);
    budget_refuse(&budget, &wish, -EIO);
    CHECK_INT(budget_want(&budget, 640), -EIO);
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
             TEST(i2_a_refusal_answers_its_own_wish),
             TEST(i1_threads_together_take_exactly_the_limit))
