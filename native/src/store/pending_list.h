/* SPDX-License-Identifier: MIT */
/*
 * pending_list.h: lists and counts of pending operations
 *
 * Level 5.  Includes: pending.
 *
 * Purpose
 *   An operation is on one list of its session's queue, or about to be put on one; what
 *   moves it is spread over two files, which share these few steps.
 *
 * Model      as pending.h
 * Invariants as pending.h I1: everything here happens inside the slot.
 * Ordering   as pending.h M5, M6
 * Progress   wait-free
 * Threads    whoever is inside
 * Errors     none
 * Limits     none
 * Source     none
 * Tests      tests/store/{validate_pending,torture_pending}.c
 */
#ifndef FASTER_STORE_PENDING_LIST_H
#define FASTER_STORE_PENDING_LIST_H

#include "store/pending.h"

static inline void pending_list_add(struct pending_list *list,
                                    struct faster_pending *pending) {
    pending->next = NULL;
    pending->prev = list->last;
    if (list->last != NULL) {
        list->last->next = pending;
    } else {
        list->first = pending;
    }
    list->last = pending;
}

static inline void pending_list_remove(struct pending_list *list,
                                       struct faster_pending *pending) {
    if (pending->prev != NULL) {
        pending->prev->next = pending->next;
    } else {
        list->first = pending->next;
    }
    if (pending->next != NULL) {
        pending->next->prev = pending->prev;
    } else {
        list->last = pending->prev;
    }
}

static inline void pending_set_state(struct faster_pending *pending,
                                     enum pending_state state) {
    atomic_store_explicit(&pending->state, state,
                          memory_order_release); /* pending.h M5 */
}

/* Inside the slot. */
static inline void pending_count_numbered(struct pending_queue *queue, int64_t change) {
    atomic_store_explicit(&queue->numbered, pending_numbered(queue) + (uint64_t)change,
                          memory_order_release); /* pending.h M6 */
}

/* One writer. */
static inline void pending_count_by(struct pending_queue *queue, int64_t change) {
    /* relaxed: see above */
    atomic_store_explicit(&queue->count, pending_count(queue) + (uint64_t)change,
                          memory_order_relaxed);
}

/* --- pending_queue.c -------------------------------------------------------------- */

/* Whether an update with its serial is on its way to a key of this hash. */
bool pending_is_under_way(const struct pending_queue *queue, uint64_t hash);

/* An operation on no list, which counts as being on its way. */
int pending_make(struct pending_queue *queue, const struct faster_operation *operation,
                 struct faster_pending **pending);

/* Keep an operation's memory for the next, if there is not enough of that. */
void pending_drop(struct pending_queue *queue, struct faster_pending *pending);

#endif
