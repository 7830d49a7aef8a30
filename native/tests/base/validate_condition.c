/* SPDX-License-Identifier: MIT */
/* condition.h: what is woken goes on, and what is not woken ends. */
#include "base/condition.h"
#include "harness.h"

enum { THREADS = 4, ROUNDS = 200 };

static struct lock lock;
static struct condition condition;
static uint64_t turn;

/* Each thread waits for its turn, so that a lost wake-up would end the test. */
static void take_turns(void *context, uint32_t thread) {
    const uint64_t *rounds = context;
    for (uint64_t i = 0; i < *rounds; i++) {
        uint64_t deadline = clock_ms() + 100000;
        lock_enter(&lock);
        while (turn % THREADS != thread) {
            CHECK(condition_wait_until(&condition, &lock, deadline), "turn %" PRIu64,
                  turn);
        }
        turn++;
        condition_wake(&condition);
        lock_leave(&lock);
    }
}

static void i1_a_wake_ends_every_wait(void) {
    uint64_t rounds = harness_count(ROUNDS);
    CHECK_INT(lock_init(&lock), 0);
    CHECK_INT(condition_init(&condition), 0);
    harness_threads(THREADS, take_turns, &rounds);
    CHECK_U64(turn, THREADS * rounds);
    condition_destroy(&condition);
    lock_destroy(&lock);
}

static void a_wait_without_a_wake_ends(void) {
    CHECK_INT(lock_init(&lock), 0);
    CHECK_INT(condition_init(&condition), 0);
    lock_enter(&lock);
    condition_wait(&condition, &lock, 0);
    condition_wait(&condition, &lock, 1);
    uint64_t deadline = clock_ms() + 2;
    uint64_t waits = 0;
    while (condition_wait_until(&condition, &lock, deadline)) {
        waits++; /* early returns are allowed, endless ones are not */
    }
    CHECK(clock_ms() >= deadline, "%" PRIu64 " waits", waits);
    CHECK(!condition_wait_until(&condition, &lock, 0), "%s", "a moment long ago");
    lock_leave(&lock);
    condition_destroy(&condition);
    lock_destroy(&lock);
}

HARNESS_MAIN(TEST(i1_a_wake_ends_every_wait), TEST(a_wait_without_a_wake_ends))
