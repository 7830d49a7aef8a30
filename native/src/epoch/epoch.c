/* SPDX-License-Identifier: MIT */
/* epoch.c: see epoch.h */
#include "epoch/epoch.h"

#include <errno.h>

#include "base/assert.h"
#include "base/memory.h"
#include "base/thread.h"

/* Epochs start at 1 and are counted by bumps; these two are out of their reach. */
#define ACTION_FREE UINT64_MAX
#define ACTION_TAKEN (UINT64_MAX - 1)

void epoch_init(struct epoch *epoch, uint32_t slots_max) {
    atomic_init(&epoch->current, 1); /* I1 */
    atomic_init(&epoch->waiting, 0);
    epoch->slots_max = slots_max;
    for (int i = 0; i < EPOCH_CHUNKS_MAX; i++) {
        atomic_init(&epoch->chunks[i], NULL);
    }
    for (int i = 0; i < EPOCH_ACTIONS_MAX; i++) {
        atomic_init(&epoch->actions[i].epoch, ACTION_FREE);
    }
}

static struct epoch_chunk *chunk_at(struct epoch *epoch, uint32_t i) {
    return atomic_load_explicit(&epoch->chunks[i], memory_order_seq_cst); /* M4 */
}

void epoch_destroy(struct epoch *epoch) {
    for (uint32_t i = 0; i < EPOCH_CHUNKS_MAX; i++) {
        memory_lines_free(chunk_at(epoch, i));
    }
}

static struct epoch_chunk *chunk_new(void) {
    struct epoch_chunk *chunk = memory_lines_new(sizeof(struct epoch_chunk));
    if (chunk == NULL) {
        return NULL;
    }
    for (int i = 0; i < EPOCH_CHUNK_SLOTS; i++) {
        atomic_init(&chunk->slots[i].word, 0);
        atomic_init(&chunk->slots[i].taken, 0);
    }
    return chunk;
}

static struct epoch_slot *take_in_chunk(struct epoch_chunk *chunk, uint32_t limit) {
    for (uint32_t i = 0; i < EPOCH_CHUNK_SLOTS && i < limit; i++) {
        uint32_t free_word = 0;
        /* The owner before us stored 0 with release (epoch_slot_give). */
        if (atomic_compare_exchange_strong_explicit(
                &chunk->slots[i].taken, &free_word, 1, memory_order_acquire,
                memory_order_relaxed)) { /* M2, with epoch_slot_give */
            return &chunk->slots[i];
        }
    }
    return NULL;
}

/* Publish chunk i if nobody has; whoever loses frees its own. */
static int add_chunk(struct epoch *epoch, uint32_t i) {
    struct epoch_chunk *none = NULL;
    struct epoch_chunk *chunk = chunk_new();
    if (chunk == NULL) {
        return -ENOMEM;
    }
    if (!atomic_compare_exchange_strong_explicit(&epoch->chunks[i], &none, chunk,
                                                 memory_order_seq_cst,
                                                 memory_order_seq_cst)) { /* M4 */
        memory_lines_free(chunk);
    }
    return 0;
}

int epoch_slot_take(struct epoch *epoch, struct epoch_slot **slot) {
    for (uint32_t i = 0; i * EPOCH_CHUNK_SLOTS < epoch->slots_max; i++) {
        if (chunk_at(epoch, i) == NULL) {
            int error = add_chunk(epoch, i);
            if (error != 0) {
                return error;
            }
        }
        uint32_t limit = epoch->slots_max - i * EPOCH_CHUNK_SLOTS;
        struct epoch_slot *found = take_in_chunk(chunk_at(epoch, i), limit);
        if (found != NULL) {
            *slot = found;
            return 0;
        }
    }
    return FASTER_E_SESSIONS;
}

void epoch_slot_give(struct epoch_slot *slot) {
    atomic_store_explicit(&slot->taken, 0, memory_order_release); /* M2 */
}

uint64_t epoch_oldest(struct epoch *epoch) {
    /* The bound is read before the slots: a thread that enters after its slot was
     * read holds at least the value of `current` read here or does no harm (M1). */
    uint64_t oldest =
        atomic_load_explicit(&epoch->current, memory_order_seq_cst); /* M1 */
    for (uint32_t i = 0; i < EPOCH_CHUNKS_MAX; i++) {
        struct epoch_chunk *chunk = chunk_at(epoch, i);
        if (chunk == NULL) {
            break; /* M4: chunks are published in order */
        }
        for (int j = 0; j < EPOCH_CHUNK_SLOTS; j++) {
            uint64_t word = atomic_load_explicit(&chunk->slots[j].word,
                                                 memory_order_seq_cst) & /* M1, M2 */
                            ~EPOCH_HELPER;
            if (word != 0 && word < oldest) {
                oldest = word;
            }
        }
    }
    return oldest;
}

bool epoch_is_safe(struct epoch *epoch, uint64_t bumped_from) {
    return epoch_oldest(epoch) > bumped_from;
}

/* Take one action if it is due, and run it.  I3: the CAS lets one thread have it. */
static void run_if_due(struct epoch *epoch, struct epoch_action *action,
                       uint64_t oldest) {
    uint64_t filed =
        atomic_load_explicit(&action->epoch, memory_order_acquire); /* M3 */
    if (filed >= ACTION_TAKEN || filed >= oldest) {
        return;
    }
    if (!atomic_compare_exchange_strong_explicit(&action->epoch, &filed, ACTION_TAKEN,
                                                 memory_order_acquire,
                                                 memory_order_relaxed)) { /* M3 */
        return;
    }
    epoch_action_fn run = action->run;
    void *context = action->context;
    atomic_store_explicit(&action->epoch, ACTION_FREE, memory_order_release); /* M3 */
    /* relaxed: a hint for leave and refresh */
    (void)atomic_fetch_sub_explicit(&epoch->waiting, 1, memory_order_relaxed);
    run(context);
}

void epoch_drain(struct epoch *epoch) {
    uint64_t oldest = epoch_oldest(epoch);
    for (int i = 0; i < EPOCH_ACTIONS_MAX; i++) {
        run_if_due(epoch, &epoch->actions[i], oldest);
    }
}

uint64_t epoch_bump(struct epoch *epoch) {
    return atomic_fetch_add_explicit(&epoch->current, 1, memory_order_seq_cst); /* M1 */
}

static struct epoch_action *take_action(struct epoch *epoch) {
    for (int i = 0; i < EPOCH_ACTIONS_MAX; i++) {
        uint64_t free_word = ACTION_FREE;
        if (atomic_compare_exchange_strong_explicit(
                &epoch->actions[i].epoch, &free_word, ACTION_TAKEN,
                memory_order_acquire, memory_order_relaxed)) { /* M3 */
            return &epoch->actions[i];
        }
    }
    return NULL;
}

int epoch_bump_with(struct epoch *epoch, epoch_action_fn run, void *context) {
    struct epoch_action *action = take_action(epoch);
    if (action == NULL) {
        return FASTER_E_FULL;
    }
    action->run = run;
    action->context = context;
    /* Counted before it can be taken, so that the count never falls below 0.
     * relaxed: a hint for leave and refresh */
    (void)atomic_fetch_add_explicit(&epoch->waiting, 1, memory_order_relaxed);
    uint64_t bumped_from = epoch_bump(epoch);
    faster_assert(bumped_from < ACTION_TAKEN);
    atomic_store_explicit(&action->epoch, bumped_from, memory_order_release); /* M3 */
    return 0;
}

void epoch_wait(struct epoch *epoch, uint64_t bumped_from) {
    /* Ends: sessions inside do not wait for anything (E4). */
    for (uint32_t i = 0; !epoch_is_safe(epoch, bumped_from); i++) {
        epoch_drain(epoch);
        if (i < 64) {
            cpu_relax();
        } else {
            thread_yield();
        }
    }
    epoch_drain(epoch);
}
