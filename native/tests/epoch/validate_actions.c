/* SPDX-License-Identifier: MIT */
/* epoch.h I3 and I4: an action runs once, late enough, and never inside another. */
#include "epoch/epoch.h"

#include "harness.h"

static struct epoch epoch;

/* An action that remembers what it saw. */
struct probe {
    uint64_t runs;
    uint64_t order; /* its place among all that ran */
    struct epoch_slot *slot;
    uint64_t slot_word; /* what the slot held when it ran */
};

static uint64_t ran;

static void note(void *context) {
    struct probe *probe = context;
    probe->runs++;
    probe->order = ++ran;
    if (probe->slot != NULL) {
        probe->slot_word =
            atomic_load_explicit(&probe->slot->word, memory_order_seq_cst);
    }
}

static void begin(uint32_t slots) {
    epoch_init(&epoch, slots);
    ran = 0;
}

static struct epoch_slot *take(void) {
    struct epoch_slot *slot = NULL;
    CHECK_INT(epoch_slot_take(&epoch, &slot), 0);
    return slot;
}

static void enter(struct epoch_slot *slot) {
    CHECK_INT(epoch_enter(&epoch, slot), FASTER_OK);
}

static void file(struct probe *probe) {
    CHECK_INT(epoch_bump_with(&epoch, note, probe), FASTER_OK);
}

static uint64_t current(void) {
    return atomic_load_explicit(&epoch.current, memory_order_seq_cst);
}

static uint32_t waiting(void) {
    return atomic_load_explicit(&epoch.waiting, memory_order_seq_cst);
}

static void i3_actions_wait_for_every_slot(void) {
    struct epoch_slot *slots[5];
    struct probe probe = {0};
    begin(5);
    for (int i = 0; i < 5; i++) {
        slots[i] = take();
        enter(slots[i]);
    }
    file(&probe);
    static const int order[] = {2, 0, 4, 1};
    for (int i = 0; i < 4; i++) {
        epoch_leave(&epoch, slots[order[i]]);
        epoch_drain(&epoch);
        CHECK(probe.runs == 0, "ran after %d of 5 had left", i + 1);
    }
    CHECK_U64(waiting(), 1);
    epoch_leave(&epoch, slots[3]);
    CHECK_U64(probe.runs, 1);
    CHECK_U64(waiting(), 0);
    epoch_destroy(&epoch);
}

static void i3_an_action_runs_once_however_often_it_is_looked_for(void) {
    struct probe probes[10] = {{0}};
    begin(1);
    struct epoch_slot *slot = take();
    for (int i = 0; i < 10; i++) {
        file(&probes[i]);
        for (int j = 0; j < 5; j++) {
            epoch_drain(&epoch);
            enter(slot);
            epoch_refresh(&epoch, slot);
            epoch_leave(&epoch, slot);
        }
        CHECK_U64(probes[i].runs, 1);
    }
    CHECK_U64(ran, 10);
    epoch_destroy(&epoch);
}

static void i3_who_entered_after_the_bump_holds_nothing_back(void) {
    struct probe probe = {0};
    begin(2);
    struct epoch_slot *early = take();
    probe.slot = take();
    enter(early);
    file(&probe);
    enter(probe.slot);
    CHECK_U64(probe.runs, 0);
    epoch_leave(&epoch, early);
    CHECK_U64(probe.runs, 1);
    CHECK_U64(probe.slot_word, current());
    epoch_leave(&epoch, probe.slot);
    epoch_destroy(&epoch);
}

/* A slot between two bumps lets the first action run and not the second. */
static void i3_each_action_waits_for_its_own_bump(void) {
    struct probe first = {0};
    struct probe second = {0};
    begin(2);
    struct epoch_slot *before = take();
    struct epoch_slot *between = take();
    enter(before);
    file(&first);
    enter(between);
    file(&second);
    epoch_leave(&epoch, before);
    CHECK_U64(first.runs, 1);
    CHECK_U64(second.runs, 0);
    epoch_leave(&epoch, between);
    CHECK_U64(second.runs, 1);
    epoch_destroy(&epoch);
}

static void i3_refreshing_lets_the_action_run_inside(void) {
    struct probe probe = {0};
    begin(1);
    probe.slot = take();
    enter(probe.slot);
    uint64_t entered = current();
    file(&probe);
    epoch_drain(&epoch);
    CHECK_U64(probe.runs, 0);
    epoch_refresh(&epoch, probe.slot);
    CHECK_U64(probe.runs, 1);
    CHECK_U64(probe.slot_word, entered + 1);
    epoch_leave(&epoch, probe.slot);
    epoch_destroy(&epoch);
}

static void i3_with_nobody_inside_the_next_drain_runs_it(void) {
    struct probe probe = {0};
    begin(1);
    file(&probe);
    CHECK_U64(probe.runs, 0); /* a bump queues, it does not run */
    epoch_drain(&epoch);
    CHECK_U64(probe.runs, 1);
    epoch_destroy(&epoch);
}

static void i3_a_waiter_runs_what_it_waited_for(void) {
    struct probe probe = {0};
    begin(1);
    file(&probe);
    epoch_wait(&epoch, current() - 1);
    CHECK_U64(probe.runs, 1);
    epoch_destroy(&epoch);
}

static void a_full_list_refuses_without_a_bump(void) {
    static struct probe probes[EPOCH_ACTIONS_MAX + 1];
    begin(1);
    struct epoch_slot *slot = take();
    enter(slot);
    for (int i = 0; i < EPOCH_ACTIONS_MAX; i++) {
        file(&probes[i]);
    }
    uint64_t before = current();
    struct probe *last = &probes[EPOCH_ACTIONS_MAX];
    for (int i = 0; i < 3; i++) {
        CHECK_INT(epoch_bump_with(&epoch, note, last), FASTER_E_FULL);
        CHECK_U64(current(), before);
        CHECK_U64(waiting(), EPOCH_ACTIONS_MAX);
    }
    epoch_leave(&epoch, slot);
    CHECK_U64(ran, EPOCH_ACTIONS_MAX);
    CHECK_U64(last->runs, 0);
    CHECK_INT(epoch_bump_with(&epoch, note, last), FASTER_OK);
    epoch_drain(&epoch);
    for (int i = 0; i <= EPOCH_ACTIONS_MAX; i++) {
        CHECK_U64(probes[i].runs, 1);
    }
    epoch_destroy(&epoch);
}

/* An action that files another, as the last step of some work files the first step of
 * the next. */
struct chain {
    uint64_t left;
    uint64_t runs;
};

static int depth;           /* of actions inside actions */
static uintptr_t frame_low; /* the stack that actions have stood on */
static uintptr_t frame_high;

static void begin_chains(void) {
    begin(1);
    depth = 0;
    frame_low = UINTPTR_MAX;
    frame_high = 0;
}

static void note_frame(uintptr_t frame) {
    frame_low = frame < frame_low ? frame : frame_low;
    frame_high = frame > frame_high ? frame : frame_high;
}

static void go_on(void *context) {
    struct chain *chain = context;
#if defined(__GNUC__) || defined(__clang__)
    note_frame((uintptr_t)__builtin_frame_address(0)); /* not a sanitizer's copy */
#endif
    chain->runs++;
    depth++;
    CHECK_INT(depth, 1);
    if (chain->left > 0) {
        chain->left--;
        CHECK_INT(epoch_bump_with(&epoch, go_on, chain), FASTER_OK);
    }
    depth--;
}

static void i4_an_action_that_files_another_does_not_run_it(void) {
    struct chain chain = {.left = 1};
    begin_chains();
    CHECK_INT(epoch_bump_with(&epoch, go_on, &chain), FASTER_OK);
    epoch_drain(&epoch);
    epoch_drain(&epoch);
    CHECK_U64(chain.runs, 2);
    epoch_destroy(&epoch);
}

/* Trap T03: draining by recursion overflowed the stack. */
static void t03_many_actions_take_no_more_stack_than_one(void) {
    enum { CHAINS = EPOCH_ACTIONS_MAX, LENGTH = 1000 };
    static struct chain chains[CHAINS];
    begin_chains();
    struct epoch_slot *slot = take();
    enter(slot);
    for (int i = 0; i < CHAINS; i++) {
        chains[i] = (struct chain){.left = LENGTH};
        CHECK_INT(epoch_bump_with(&epoch, go_on, &chains[i]), FASTER_OK);
    }
    epoch_leave(&epoch, slot); /* all are due at once */
    while (waiting() != 0) {   /* ends: every drain runs what is there */
        enter(slot);
        epoch_leave(&epoch, slot);
    }
    for (int i = 0; i < CHAINS; i++) {
        CHECK_U64(chains[i].runs, LENGTH + 1);
    }
    CHECK(frame_high < frame_low + 4096, "frames at %" PRIxPTR " ... %" PRIxPTR,
          frame_low, frame_high);
    epoch_destroy(&epoch);
}

/* Trap X18: a session that does nothing must not hold up a checkpoint. */
static void x18_idle_slots_hold_nobody_up(void) {
    struct probe probe = {0};
    begin(1000);
    struct epoch_slot *busy = take();
    for (int i = 1; i < 1000; i++) {
        struct epoch_slot *idle = take();
        if (i % 2 == 0) { /* idle for ever, or since its last operation */
            enter(idle);
            epoch_leave(&epoch, idle);
        }
    }
    enter(busy);
    file(&probe);
    epoch_leave(&epoch, busy);
    CHECK_U64(probe.runs, 1);
    epoch_wait(&epoch, epoch_bump(&epoch));
    epoch_destroy(&epoch);
}

/* Trap X19: each refresh added a nesting level, so the thread never left. */
static void x19_one_leave_ends_any_number_of_refreshes(void) {
    struct probe probe = {0};
    begin(1);
    struct epoch_slot *slot = take();
    enter(slot);
    for (int i = 0; i < 1000; i++) {
        uint64_t bumped_from = epoch_bump(&epoch);
        CHECK(!epoch_is_safe(&epoch, bumped_from), "refresh %d", i);
        epoch_refresh(&epoch, slot);
        CHECK(epoch_is_safe(&epoch, bumped_from), "refresh %d renewed nothing", i);
    }
    file(&probe);
    epoch_leave(&epoch, slot);
    CHECK_U64(atomic_load_explicit(&slot->word, memory_order_seq_cst), 0);
    CHECK_U64(probe.runs, 1);
    enter(slot);
    epoch_leave(&epoch, slot);
    epoch_destroy(&epoch);
}

HARNESS_MAIN(TEST(i3_actions_wait_for_every_slot),
             TEST(i3_an_action_runs_once_however_often_it_is_looked_for),
             TEST(i3_who_entered_after_the_bump_holds_nothing_back),
             TEST(i3_each_action_waits_for_its_own_bump),
             TEST(i3_refreshing_lets_the_action_run_inside),
             TEST(i3_with_nobody_inside_the_next_drain_runs_it),
             TEST(i3_a_waiter_runs_what_it_waited_for),
             TEST(a_full_list_refuses_without_a_bump),
             TEST(i4_an_action_that_files_another_does_not_run_it),
             TEST(t03_many_actions_take_no_more_stack_than_one),
             TEST(x18_idle_slots_hold_nobody_up),
             TEST(x19_one_leave_ends_any_number_of_refreshes))
