/* SPDX-License-Identifier: MIT */
/* torture_grow.c: insertions, changes and lookups while the table doubles */
#include <stdio.h>

#include "index/kit.h"

enum {
    BITS = INDEX_BITS_MIN,
    THREADS = 4,
    OWN = 12000,    /* keys of each thread */
    SHARED = 64,    /* keys that all change */
    STEPS = 60000,  /* of each thread */
    ASK = 4096,     /* steps after which a thread asks for a doubling */
    LIMIT = 8 << 20 /* of the index: lets tables grow to 2^15 or 2^16 buckets */
};

struct shared {
    struct kit *kit;
    uint64_t steps;
};

struct own {
    struct shared *shared;
    struct kit_user user;
    struct rng rng;
    uint32_t thread;
    uint64_t count;      /* own keys inserted so far */
    uint64_t marks[OWN]; /* the oracle */
    uint64_t changes;    /* of shared keys */
};

/* Half of the keys collide in few buckets and tags, the others are spread. */
static uint64_t own_key(uint32_t thread, uint64_t i) {
    uint64_t number = i * THREADS + thread;
    if (i % 2 == 0) {
        return kit_hash(number % 61, number / 61, number % 16, BITS);
    }
    return number * UINT64_C(0x9e3779b97f4a7c15) | (uint64_t)1 << 63;
}

static uint64_t shared_key(uint64_t i) { return kit_hash(5000 + i, i, i * 5, BITS); }

static void check_own(struct own *own, uint64_t i) {
    uint64_t mark = kit_mark(own->shared->kit, &own->user, own_key(own->thread, i));
    CHECK(mark == own->marks[i],
          "thread %u key %" PRIu64 ": %" PRIu64 ", expected %" PRIu64, own->thread, i,
          mark, own->marks[i]);
}

static void do_step(struct own *own, uint64_t dice) {
    struct kit *kit = own->shared->kit;
    if (dice < 25 && own->count < OWN) {
        uint64_t hash = own_key(own->thread, own->count);
        CHECK_INT(kit_put(kit, &own->user, hash, 1, false), KIT_NEW);
        own->marks[own->count++] = 1;
        return;
    }
    if (dice < 35) {
        uint64_t hash = shared_key(rng_below(&own->rng, SHARED));
        CHECK_INT(kit_put(kit, &own->user, hash, 1, true), KIT_CHANGED);
        own->changes++;
        return;
    }
    if (own->count == 0) {
        return;
    }
    uint64_t i = rng_below(&own->rng, own->count);
    if (dice < 55) {
        uint64_t hash = own_key(own->thread, i);
        CHECK_INT(kit_put(kit, &own->user, hash, 1, true), KIT_CHANGED);
        own->marks[i]++;
    }
    check_own(own, i);
}

/* Growth is asked for by those who insert, too; one of them sees each to its end. */
static void ask_for_growth(struct own *own) {
    struct kit *kit = own->shared->kit;
    kit_enter(kit, &own->user);
    int result = index_grow(&kit->index);
    CHECK(result == FASTER_OK || result == FASTER_E_FULL, "%d", result);
    kit_leave(kit, &own->user);
    if (own->thread == 0) {
        kit_grown(kit);
    }
}

static _Atomic uint64_t changes_made;

static void run_steps(void *context, uint32_t thread) {
    struct own *own = calloc(1, sizeof *own);
    CHECK(own != NULL, "no memory");
    own->shared = context;
    own->user = kit_user(own->shared->kit);
    own->rng = rng_stream(thread);
    own->thread = thread;
    for (uint64_t i = 0; i < own->shared->steps; i++) {
        do_step(own, rng_below(&own->rng, 100));
        if (i % ASK == ASK - 1) {
            ask_for_growth(own);
        }
    }
    for (uint64_t i = 0; i < own->count; i++) {
        check_own(own, i);
    }
    (void)atomic_fetch_add_explicit(&changes_made, own->changes, memory_order_acq_rel);
    free(own);
}

/* I3, I4, T13: every key is found with its newest record at every moment of several
 * doublings, no change is lost, and the memory adds up afterwards. */
static void i4_growth_loses_nothing_under_load(void) {
    struct shared shared = {.steps = harness_count(STEPS)};
    uint64_t records = shared.steps * THREADS * 2 + 4096;
    struct kit *kit = kit_open(BITS, records, LIMIT, 0, true);
    struct kit_user user = kit_user(kit);
    shared.kit = kit;
    for (uint64_t i = 0; i < SHARED; i++) {
        CHECK_INT(kit_put(kit, &user, shared_key(i), 1, false), KIT_NEW);
    }
    harness_threads(THREADS, run_steps, &shared);
    kit_grown(kit);
    uint64_t sum = 0;
    for (uint64_t i = 0; i < SHARED; i++) {
        sum += kit_mark(kit, &user, shared_key(i)) - 1;
    }
    CHECK_U64(sum, atomic_load_explicit(&changes_made, memory_order_acquire));
    CHECK_INT(index_audit(&kit->index), 0);
    kit_check_budget(kit);
    uint64_t asked = shared.steps / ASK;
    CHECK(kit_growths(kit) >= (asked < 5 ? asked : 5), "%" PRIu64 " growths",
          kit_growths(kit));
    printf("%" PRIu64 " doublings\n", kit_growths(kit));
    kit_close(kit);
}

/* Three threads that tell each other nothing but what the index tells: flags are
 * relaxed, so that a sanitizer sees which edges the index itself makes. */
struct relay {
    struct kit *kit;
    _Atomic int turn;
};

static void take_turn(struct relay *relay, int turn) {
    /* relaxed: see struct relay.  Ends: the thread before hands over. */
    while (atomic_load_explicit(&relay->turn, memory_order_relaxed) != turn) {
        thread_yield();
    }
}

static void hand_over(struct relay *relay, int turn) {
    /* relaxed: see struct relay */
    atomic_store_explicit(&relay->turn, turn, memory_order_relaxed);
}

static void run_relay(void *context, uint32_t thread) {
    struct relay *relay = context;
    struct kit *kit = relay->kit;
    struct kit_user user = kit_user(kit);
    uint64_t hash = kit_hash(1, 0, 0, BITS);
    take_turn(relay, (int)thread);
    if (thread == 0) {
        kit_add(kit, &user, hash);
    } else if (thread == 1) {
        kit_enter(kit, &user);
        CHECK_INT(index_grow(&kit->index), FASTER_OK);
        CHECK_INT(index_step(&kit->index, index_current(&kit->index)), FASTER_OK);
        kit_leave(kit, &user);
    } else {
        CHECK_U64(kit_mark(kit, &user, hash), hash | 1);
    }
    hand_over(relay, (int)thread + 1);
}

/* M1, M4, M5: who finds an entry that another thread has carried over sees the record
 * that a third one wrote. */
static void m4_a_carried_entry_shows_its_record(void) {
    struct relay relay = {.kit = kit_open(BITS, 1024, UINT64_MAX, 0, false)};
    atomic_init(&relay.turn, 0);
    harness_threads(3, run_relay, &relay);
    kit_close(relay.kit);
}

HARNESS_MAIN(TEST(m4_a_carried_entry_shows_its_record),
             TEST(i4_growth_loses_nothing_under_load))
