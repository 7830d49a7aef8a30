/* SPDX-License-Identifier: MIT */
/*
 * Memory that a bump has freed is seen by nobody.
 *
 * Readers enter, load a pointer, read the pattern it leads to, and leave.  Writers put
 * another buffer in its place, bump, and once the bump is safe poison the old one and
 * use it again.  The pattern is read and written with plain accesses: a reader that is
 * still looking finds poison, or ThreadSanitizer finds the race.
 */
#include "base/thread.h"
#include "epoch/epoch.h"

#include "harness.h"

enum {
    READERS = 3,
    WRITERS = 2,
    WORDS = 32,
    BUFFERS = 8,
    LEAST = 1000,
    SHARED_THREADS = 4
};

#define POISON UINT64_C(0xdeaddeaddeaddead)

struct buffer {
    uint64_t words[WORDS];
    _Atomic uint32_t used; /* 1 until poisoned; the writers' */
};

static struct epoch epoch;
static _Atomic(struct buffer *) shared;          /* the guarded state */
static struct buffer buffers[WRITERS * BUFFERS]; /* BUFFERS for each writer */
static _Atomic uint32_t readers_left;

static struct epoch_slot *take(void) {
    struct epoch_slot *slot = NULL;
    CHECK_INT(epoch_slot_take(&epoch, &slot), 0);
    return slot;
}

static void fill(struct buffer *buffer, uint64_t pattern) {
    for (int i = 0; i < WORDS; i++) {
        buffer->words[i] = pattern;
    }
}

/* The action: nobody can be looking, so the buffer may be spoiled and used again. */
static void poison(void *context) {
    struct buffer *buffer = context;
    fill(buffer, POISON);
    atomic_store_explicit(&buffer->used, 0, memory_order_release);
}

static void look(void) {
    struct buffer *buffer = atomic_load_explicit(&shared, memory_order_seq_cst);
    uint64_t first = buffer->words[0];
    CHECK(first != POISON, "poison at once");
    for (int i = 1; i < WORDS; i++) {
        CHECK(buffer->words[i] == first, "word %d: %" PRIx64 " after %" PRIx64, i,
              buffer->words[i], first);
    }
}

static void read_on(uint32_t thread, uint64_t entries) {
    struct rng rng = rng_stream(thread);
    struct epoch_slot *slot = take();
    for (uint64_t entry = 0; entry < entries; entry++) {
        uint64_t looks = rng_below(&rng, 8);
        CHECK_INT(epoch_enter(&epoch, slot), FASTER_OK);
        look();
        for (uint64_t i = 0; i < looks; i++) {
            epoch_refresh(&epoch, slot); /* what was read before is void */
            look();
        }
        epoch_leave(&epoch, slot);
        if (looks == 0) {
            thread_yield(); /* outside, so that writers seldom wait for the scheduler */
        }
    }
    epoch_slot_give(slot);
    atomic_fetch_sub_explicit(&readers_left, 1, memory_order_relaxed);
}

static struct buffer *free_buffer(uint32_t writer) {
    for (;;) { /* ends: readers leave, and draining runs the actions */
        for (int i = 0; i < BUFFERS; i++) {
            struct buffer *buffer = &buffers[writer * BUFFERS + (uint32_t)i];
            if (atomic_load_explicit(&buffer->used, memory_order_acquire) == 0) {
                return buffer;
            }
        }
        epoch_drain(&epoch);
        thread_yield();
    }
}

static void replace(uint32_t writer, uint64_t pattern, bool wait) {
    struct buffer *fresh = free_buffer(writer);
    atomic_store_explicit(&fresh->used, 1, memory_order_relaxed);
    fill(fresh, pattern);
    struct buffer *old = atomic_exchange_explicit(&shared, fresh, memory_order_seq_cst);
    if (wait) {
        epoch_wait(&epoch, epoch_bump(&epoch));
        poison(old);
    } else {
        CHECK_INT(epoch_bump_with(&epoch, poison, old), FASTER_OK);
    }
}

static void read_or_write(void *context, uint32_t thread) {
    const uint64_t *entries = context;
    if (thread >= WRITERS) {
        read_on(thread, *entries);
        return;
    }
    struct rng rng = rng_stream(thread);
    uint64_t pattern = (uint64_t)(thread + 1) << 32;
    for (uint64_t i = 0;
         i < LEAST || atomic_load_explicit(&readers_left, memory_order_relaxed) != 0;
         i++) {
        replace(thread, pattern + i, rng_below(&rng, 4) == 0);
    }
}

static void t01_memory_is_reused_only_when_nobody_looks(void) {
    uint64_t entries = harness_count(100000);
    epoch_init(&epoch, READERS);
    atomic_store_explicit(&readers_left, READERS, memory_order_relaxed);
    fill(&buffers[0], 1);
    atomic_store_explicit(&buffers[0].used, 1, memory_order_relaxed);
    atomic_store_explicit(&shared, &buffers[0], memory_order_seq_cst);
    harness_threads(WRITERS + READERS, read_or_write, &entries);
    epoch_drain(&epoch);
    uint32_t used = 0;
    for (int i = 0; i < WRITERS * BUFFERS; i++) {
        used += atomic_load_explicit(&buffers[i].used, memory_order_acquire);
    }
    CHECK_U64(used, 1); /* the one that is still shared: no action was lost */
    epoch_destroy(&epoch);
}

/* One slot for all: what is done between entry and leaving needs no other lock. */
struct turns {
    struct epoch_slot *slot;
    uint64_t rounds;
    uint64_t inside; /* plain: only who is inside touches it and the owner */
    uint32_t owner;
    uint64_t sum[SHARED_THREADS];
};

static void take_turns(void *context, uint32_t thread) {
    struct turns *turns = context;
    uint64_t refused = 0;
    while (turns->sum[thread] < turns->rounds) { /* ends: somebody always gets in */
        int result = epoch_enter(&epoch, turns->slot);
        CHECK(result == FASTER_OK || result == FASTER_E_BUSY, "%d", result);
        if (result != FASTER_OK) {
            if (++refused % 256 == 0) {
                thread_yield(); /* seldom: to be there when the other leaves */
            }
            continue;
        }
        turns->inside++;
        turns->owner = thread;
        if (turns->sum[thread] % 16 == 0) {
            epoch_refresh(&epoch, turns->slot);
        }
        turns->sum[thread]++;
        CHECK(turns->owner == thread, "thread %u is inside, too", turns->owner);
        epoch_leave(&epoch, turns->slot);
    }
}

static void e2_the_slot_is_a_lock(void) {
    static struct turns turns;
    epoch_init(&epoch, 1);
    turns = (struct turns){.slot = take(), .rounds = harness_count(400000)};
    harness_threads(SHARED_THREADS, take_turns, &turns);
    CHECK_U64(turns.inside, SHARED_THREADS * turns.rounds);
    epoch_destroy(&epoch);
}

/* Threads that take and give back slots all the time never hold one together. */
static void take_and_give(void *context, uint32_t thread) {
    const uint64_t *rounds = context;
    (void)thread;
    for (uint64_t i = 0; i < *rounds; i++) {
        struct epoch_slot *slot = take();
        CHECK_INT(epoch_enter(&epoch, slot), FASTER_OK); /* a shared one is busy */
        epoch_leave(&epoch, slot);
        epoch_slot_give(slot);
    }
}

static void m2_a_slot_belongs_to_who_took_it(void) {
    uint64_t rounds = harness_count(300000);
    epoch_init(&epoch, SHARED_THREADS);
    harness_threads(SHARED_THREADS, take_and_give, &rounds);
    epoch_destroy(&epoch);
}

/* Every action runs once, whoever runs it. */
struct filed {
    _Atomic uint32_t runs;
};

struct filing {
    struct filed *actions;
    uint64_t each;
};

static void count_run(void *context) {
    struct filed *filed = context;
    atomic_fetch_add_explicit(&filed->runs, 1, memory_order_relaxed);
}

static void file_and_leave(void *context, uint32_t thread) {
    const struct filing *filing = context;
    struct epoch_slot *slot = take();
    struct filed *mine = filing->actions + thread * filing->each;
    for (uint64_t i = 0; i < filing->each;) {
        CHECK_INT(epoch_enter(&epoch, slot), FASTER_OK);
        int result = epoch_bump_with(&epoch, count_run, &mine[i]);
        CHECK(result == FASTER_OK || result == FASTER_E_FULL, "%d", result);
        i += result == FASTER_OK;
        epoch_leave(&epoch, slot);
    }
    epoch_slot_give(slot);
}

static struct filed filed_actions[SHARED_THREADS * 300000];

static void e3_every_action_of_many_threads_runs_once(void) {
    enum { MOST = sizeof filed_actions / sizeof filed_actions[0] / SHARED_THREADS };
    uint64_t each = harness_count(60000);
    struct filing filing = {filed_actions, each < MOST ? each : MOST};
    epoch_init(&epoch, SHARED_THREADS);
    harness_threads(SHARED_THREADS, file_and_leave, &filing);
    epoch_drain(&epoch);
    CHECK_U64(atomic_load_explicit(&epoch.waiting, memory_order_relaxed), 0);
    for (uint64_t i = 0; i < SHARED_THREADS * filing.each; i++) {
        uint32_t runs =
            atomic_load_explicit(&filed_actions[i].runs, memory_order_relaxed);
        CHECK(runs == 1, "action %" PRIu64 " ran %u times", i, runs);
    }
    epoch_destroy(&epoch);
}

HARNESS_MAIN(TEST(t01_memory_is_reused_only_when_nobody_looks),
             TEST(e2_the_slot_is_a_lock), TEST(m2_a_slot_belongs_to_who_took_it),
             TEST(e3_every_action_of_many_threads_runs_once))
