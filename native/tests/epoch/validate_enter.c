/* SPDX-License-Identifier: MIT */
/* epoch.h: entering, leaving, and which slots a bump waits for. */
#include "epoch/epoch.h"

#include "harness.h"

enum { THREADS = 4, BUMPS = 50000 };

/* In static memory: an epoch is larger than a stack should hold. */
static struct epoch epoch;

static struct epoch_slot *take(void) {
    struct epoch_slot *slot = NULL;
    CHECK_INT(epoch_slot_take(&epoch, &slot), 0);
    return slot;
}

static uint64_t word_of(struct epoch_slot *slot) {
    return atomic_load_explicit(&slot->word, memory_order_seq_cst);
}

static void set_word(struct epoch_slot *slot, uint64_t word) {
    atomic_store_explicit(&slot->word, word, memory_order_seq_cst);
}

static uint64_t current(void) {
    return atomic_load_explicit(&epoch.current, memory_order_seq_cst);
}

static void enter(struct epoch_slot *slot) {
    CHECK_INT(epoch_enter(&epoch, slot), FASTER_OK);
}

static void e1_epochs_start_at_1_and_each_bump_adds_1(void) {
    epoch_init(&epoch, 1);
    for (uint64_t e = 1; e < 100; e++) {
        CHECK_U64(current(), e);
        CHECK_U64(epoch_bump(&epoch), e);
    }
    epoch_destroy(&epoch);
}

static void i2_a_slot_holds_the_epoch_of_its_entry_or_refresh(void) {
    epoch_init(&epoch, 1);
    struct epoch_slot *slot = take();
    CHECK_U64(word_of(slot), 0);
    for (int round = 0; round < 10; round++) {
        enter(slot);
        CHECK_U64(word_of(slot), current());
        epoch_bump(&epoch);
        CHECK_U64(word_of(slot), current() - 1);
        epoch_refresh(&epoch, slot);
        CHECK_U64(word_of(slot), current());
        epoch_leave(&epoch, slot);
        CHECK_U64(word_of(slot), 0);
    }
    epoch_destroy(&epoch);
}

static void e2_a_second_entry_is_refused_and_changes_nothing(void) {
    epoch_init(&epoch, 2);
    struct epoch_slot *slot = take();
    struct epoch_slot *other = take();
    enter(slot);
    uint64_t inside = word_of(slot);
    epoch_bump(&epoch);
    CHECK_INT(epoch_enter(&epoch, slot), FASTER_E_BUSY);
    CHECK_U64(word_of(slot), inside);
    CHECK_INT(epoch_enter(&epoch, other), FASTER_OK);
    epoch_leave(&epoch, other);
    epoch_leave(&epoch, slot);
    CHECK_INT(epoch_enter(&epoch, slot), FASTER_OK);
    epoch_leave(&epoch, slot);
    epoch_destroy(&epoch);
}

static void e2_a_helper_inside_means_try_again(void) {
    epoch_init(&epoch, 1);
    struct epoch_slot *slot = take();
    set_word(slot, current() | EPOCH_HELPER);
    CHECK_INT(epoch_enter(&epoch, slot), FASTER_RETRY);
    CHECK_U64(word_of(slot), current() | EPOCH_HELPER);
    epoch_leave(&epoch, slot);
    CHECK_INT(epoch_enter(&epoch, slot), FASTER_OK);
    epoch_leave(&epoch, slot);
    epoch_destroy(&epoch);
}

static void i2_the_helper_bit_is_no_part_of_the_epoch(void) {
    epoch_init(&epoch, 2);
    struct epoch_slot *slot = take();
    set_word(slot, current() | EPOCH_HELPER);
    uint64_t bumped_from = epoch_bump(&epoch);
    CHECK(!epoch_is_safe(&epoch, bumped_from), "a helper is still inside");
    set_word(slot, current() | EPOCH_HELPER);
    CHECK(epoch_is_safe(&epoch, bumped_from), "the helper entered later");
    set_word(slot, 0);
    epoch_destroy(&epoch);
}

static void i3_only_entries_before_the_bump_hold_it_back(void) {
    epoch_init(&epoch, 3);
    struct epoch_slot *early = take();
    struct epoch_slot *late = take();
    (void)take(); /* and one that is idle all the time */
    enter(early);
    uint64_t bumped_from = epoch_bump(&epoch);
    enter(late);
    CHECK(!epoch_is_safe(&epoch, bumped_from), "one is inside");
    epoch_leave(&epoch, early);
    CHECK(epoch_is_safe(&epoch, bumped_from), "the other entered later");
    uint64_t again = epoch_bump(&epoch);
    CHECK(!epoch_is_safe(&epoch, again), "but before this bump");
    epoch_refresh(&epoch, late);
    CHECK(epoch_is_safe(&epoch, again), "it has refreshed");
    epoch_leave(&epoch, late);
    epoch_destroy(&epoch);
}

/* Trap T05: the minimum was once taken over a wrong range of the table. */
static void t05_every_slot_up_to_the_last_is_looked_at(void) {
    static struct epoch_slot *slots[EPOCH_SLOTS_MAX];
    epoch_init(&epoch, EPOCH_SLOTS_MAX);
    for (int i = 0; i < EPOCH_SLOTS_MAX; i++) {
        slots[i] = take();
    }
    for (int i = 0; i < EPOCH_SLOTS_MAX; i++) {
        enter(slots[i]);
        uint64_t bumped_from = epoch_bump(&epoch);
        CHECK(!epoch_is_safe(&epoch, bumped_from), "slot %d is inside", i);
        epoch_leave(&epoch, slots[i]);
        CHECK(epoch_is_safe(&epoch, bumped_from), "slot %d has left", i);
    }
    epoch_destroy(&epoch);
}

/* The oldest decides wherever it stands among newer ones. */
static void t05_the_oldest_slot_decides_not_the_first_or_last(void) {
    enum { COUNT = 3 * EPOCH_CHUNK_SLOTS };
    struct epoch_slot *slots[COUNT];
    struct rng rng = rng_stream(1);
    epoch_init(&epoch, COUNT);
    for (int i = 0; i < COUNT; i++) {
        slots[i] = take();
    }
    for (int round = 0; round < 200; round++) {
        uint64_t oldest = rng_below(&rng, COUNT);
        enter(slots[oldest]);
        uint64_t bumped_from = epoch_bump(&epoch);
        for (uint64_t i = 0; i < COUNT; i++) {
            if (i != oldest) {
                enter(slots[i]);
            }
        }
        CHECK(!epoch_is_safe(&epoch, bumped_from), "slot %" PRIu64, oldest);
        CHECK(epoch_is_safe(&epoch, bumped_from - 1), "slot %" PRIu64, oldest);
        epoch_leave(&epoch, slots[oldest]);
        CHECK(epoch_is_safe(&epoch, bumped_from), "slot %" PRIu64, oldest);
        for (uint64_t i = 0; i < COUNT; i++) {
            epoch_leave(&epoch, slots[i]);
        }
    }
    epoch_destroy(&epoch);
}

static void slots_are_apart_and_aligned_and_bounded(void) {
    static const uint32_t limits[] = {1, 2, 63, 64, 65, 100, 128, EPOCH_SLOTS_MAX};
    for (size_t l = 0; l < sizeof limits / sizeof limits[0]; l++) {
        struct epoch_slot *slot = NULL;
        epoch_init(&epoch, limits[l]);
        for (uint32_t i = 0; i < limits[l]; i++) {
            slot = take();
            CHECK_U64((uintptr_t)slot % CACHE_LINE, 0);
            CHECK_U64(word_of(slot), 0);
            enter(slot); /* fails if the slot was given out before */
        }
        CHECK_INT(epoch_slot_take(&epoch, &slot), FASTER_E_SESSIONS);
        epoch_destroy(&epoch);
    }
}

static void a_slot_given_back_is_given_out_again(void) {
    struct epoch_slot *slots[EPOCH_CHUNK_SLOTS + 1];
    struct epoch_slot *refused = NULL;
    epoch_init(&epoch, EPOCH_CHUNK_SLOTS + 1);
    for (int i = 0; i <= EPOCH_CHUNK_SLOTS; i++) {
        slots[i] = take();
    }
    for (int i = 0; i <= EPOCH_CHUNK_SLOTS; i++) {
        epoch_slot_give(slots[i]);
        struct epoch_slot *again = take();
        CHECK(again == slots[i], "slot %d", i);
        CHECK_INT(epoch_slot_take(&epoch, &refused), FASTER_E_SESSIONS);
        CHECK(refused == NULL, "written without success");
    }
    epoch_destroy(&epoch);
}

struct takers {
    struct epoch_slot *slots[THREADS][EPOCH_CHUNK_SLOTS];
    uint64_t bumps[THREADS][BUMPS];
};

static void take_many(void *context, uint32_t thread) {
    struct takers *takers = context;
    for (int i = 0; i < EPOCH_CHUNK_SLOTS; i++) {
        takers->slots[thread][i] = take();
        enter(takers->slots[thread][i]);
    }
}

static void m4_threads_that_add_chunks_never_share_a_slot(void) {
    static struct takers takers;
    struct epoch_slot *refused = NULL;
    for (int round = 0; round < 20; round++) {
        epoch_init(&epoch, THREADS * EPOCH_CHUNK_SLOTS);
        harness_threads(THREADS, take_many, &takers); /* a shared one would be busy */
        CHECK_INT(epoch_slot_take(&epoch, &refused), FASTER_E_SESSIONS);
        epoch_destroy(&epoch);
    }
}

static void bump_many(void *context, uint32_t thread) {
    struct takers *takers = context;
    for (int i = 0; i < BUMPS; i++) {
        takers->bumps[thread][i] = epoch_bump(&epoch);
    }
}

static void i1_no_two_bumps_come_from_the_same_epoch(void) {
    static struct takers takers;
    static uint8_t seen[THREADS * BUMPS + 1];
    epoch_init(&epoch, 1);
    harness_threads(THREADS, bump_many, &takers);
    for (int t = 0; t < THREADS; t++) {
        for (int i = 0; i < BUMPS; i++) {
            uint64_t from = takers.bumps[t][i];
            CHECK(from >= 1 && from <= THREADS * BUMPS, "%" PRIu64, from);
            CHECK(seen[from]++ == 0, "%" PRIu64 " twice", from);
            CHECK(i == 0 || from > takers.bumps[t][i - 1], "%" PRIu64, from);
        }
    }
    epoch_destroy(&epoch);
}

HARNESS_MAIN(TEST(e1_epochs_start_at_1_and_each_bump_adds_1),
             TEST(i2_a_slot_holds_the_epoch_of_its_entry_or_refresh),
             TEST(e2_a_second_entry_is_refused_and_changes_nothing),
             TEST(e2_a_helper_inside_means_try_again),
             TEST(i2_the_helper_bit_is_no_part_of_the_epoch),
             TEST(i3_only_entries_before_the_bump_hold_it_back),
             TEST(t05_every_slot_up_to_the_last_is_looked_at),
             TEST(t05_the_oldest_slot_decides_not_the_first_or_last),
             TEST(slots_are_apart_and_aligned_and_bounded),
             TEST(a_slot_given_back_is_given_out_again),
             TEST(m4_threads_that_add_chunks_never_share_a_slot),
             TEST(i1_no_two_bumps_come_from_the_same_epoch))
