/* SPDX-License-Identifier: MIT */
/*
 * update.h: one attempt at changing a key
 *
 * Level 5.  Includes: store.
 *
 * Purpose
 *   Upsert, insert, delete, read-modify-write and compare-and-set differ in what they
 *   make of the old value.  Where and how a change is made (R2, R3, R4) is the same for
 *   all, and is written once.
 *
 * Model
 *   lookup -> mutable record:  lock, decide, change in place; or copy, publish, seal
 *          -> older record:    decide, append, publish (locked and sealed while not
 *                              everyone has seen that it is read-only)
 *          -> absent:          decide, append, publish
 *   "Decide" is decide_change(): given the old value, or none, it says what the new one
 *   is, or that nothing changes and why.
 *
 * Invariants
 *   I1  An attempt that does not answer FASTER_OK has changed nothing that a reader can
 *       see.
 *   I2  A record that was reserved is published or invalid before the attempt ends
 *   (R3). I3  A lock that was taken is given back before the attempt ends.
 *
 * Ordering   as record.h and index.h
 * Progress   one attempt is bounded
 * Threads    inside the session
 * Errors     FASTER_RETRY and what api.h says for the operation
 * Limits     none
 * Source     Chandramouli et al., SIGMOD 2018, sections 5 and 6
 * Tests      tests/store/{validate_update,validate_regions,torture_rmw}.c
 */
#ifndef FASTER_STORE_UPDATE_H
#define FASTER_STORE_UPDATE_H

#include "store/merge.h"
#include "store/store.h"

enum update_kind {
    UPDATE_UPSERT,
    UPDATE_INSERT,
    UPDATE_DELETE,
    UPDATE_RMW,
    UPDATE_COMPARE,
    UPDATE_DISCARD /* a delete that does not ask whether the key is there */
};

struct update {
    enum update_kind kind;
    const void *key;
    uint64_t key_size;
    uint64_t hash;
    const void *value; /* the new value, or the input of a merge */
    uint64_t value_size;

    /* compare-and-set */
    const void *expected;
    uint64_t expected_size;

    /* read-modify-write */
    const struct faster_merge *merge;
    void *out; /* NULL when the new value is not wanted */
    uint64_t capacity;
    uint64_t *out_size;
};

/* One attempt, from the lookup on. */
int update_once(struct faster_session *session, struct update *update);

/* One attempt after a lookup's answer.  FASTER_PENDING when the old value is needed and
 * only the device has it; then found->address is where. */
int update_found(struct faster_session *session, struct update *update, int looked,
                 struct found *found);

/* One attempt after a lookup that led to the device: found->record is a copy of the old
 * record from there, or NULL when there is none. */
int update_fetched(struct faster_session *session, struct update *update,
                   struct found *found);

/* Whether the update is made by update_word where values are words. */
FASTER_INLINE bool update_is_word(enum update_kind kind,
                                  const struct faster_merge *merge) {
    return kind == UPDATE_UPSERT ||
           (kind == UPDATE_RMW && merge_is_arithmetic(merge->kind));
}

/*
 * Change a live 8-byte value in place (R2): the way of nearly every counter and gauge.
 * The caller has checked that the merge applies.  FASTER_OK with the new value,
 * FASTER_RETRY, FASTER_E_OVERFLOW, or FASTER_PENDING when the general way must be gone.
 */
FASTER_INLINE int update_word(struct faster_session *session, const struct found *found,
                              uint64_t key_size, enum update_kind kind,
                              const struct faster_merge *merge, uint64_t input,
                              uint64_t *merged) {
    const struct faster_kv *kv = session->kv;
    struct record *record = found->record;
    uint32_t seq;
    int result = FASTER_OK;
    if (faster_unlikely(found->address < session->mutable_from)) {
        return FASTER_PENDING;
    }
    if (faster_unlikely(record_lock(record, &seq) != FASTER_OK)) {
        return FASTER_RETRY;
    }
    _Atomic uint64_t *value = record_value(&kv->layout, record, key_size);
    uint64_t info = record_info(record);
    *merged = input;
    if (faster_unlikely((info & (INFO_SEALED | INFO_TOMBSTONE)) != 0) ||
        faster_unlikely(!session_may_change(session, info))) {
        result = FASTER_PENDING;
    } else if (kind == UPDATE_RMW) {
        result =
            merge_words(kv->value_type, merge->kind, word_load(value), input, merged);
    }
    if (faster_likely(result == FASTER_OK)) {
        if (faster_unlikely(info_version(info) != (session->version & 0xffu))) {
            record_set_info(record, info_with_version(info, session->version));
        }
        word_store(value, *merged);
    }
    record_unlock(record, seq);
    return result;
}

/* Count an update that changed nothing, or failed. */
void update_count_other(struct faster_session *session, enum update_kind kind,
                        int result);

/* The same, and number it unless it failed; one that has not ended is neither. */
void update_account_other(struct faster_session *session, enum update_kind kind,
                          int result);

/* Count an update that ended with `result`. */
FASTER_INLINE void update_count(struct faster_session *session, enum update_kind kind,
                                int result) {
    if (faster_likely(result == FASTER_OK)) {
        session_count(session, (enum session_count)(COUNT_UPSERT + kind));
    } else {
        update_count_other(session, kind, result);
    }
}

/* Count and number an update that ended with `result`. */
FASTER_INLINE void update_account(struct faster_session *session, enum update_kind kind,
                                  int result) {
    if (faster_likely(result == FASTER_OK)) {
        session_issue(session);
        session_count(session, (enum session_count)(COUNT_UPSERT + kind));
    } else {
        update_account_other(session, kind, result);
    }
}

/* What api.h calls the kind. */
static inline uint32_t update_operation(enum update_kind kind) {
    static const uint8_t kinds[] = {
        [UPDATE_UPSERT] = FASTER_UPSERT,   [UPDATE_INSERT] = FASTER_INSERT,
        [UPDATE_DELETE] = FASTER_DELETE,   [UPDATE_RMW] = FASTER_RMW,
        [UPDATE_COMPARE] = FASTER_COMPARE, [UPDATE_DISCARD] = FASTER_DISCARD,
    };
    return kinds[kind];
}

#endif
