/* SPDX-License-Identifier: MIT */
/*
 * store.h: the pieces of one store, and what its operations share
 *
 * Level 5.  Includes: base, cache, epoch, events, hash, index, log, record, session,
 * worker.
 *
 * Purpose
 *   A store is an index over a log, used by sessions.  This header holds the struct
 *   that joins them; the operations are in files of their own.
 *
 * Model
 *   lookup   hash -> index entry -> chain of records, newest first -> the key's record;
 *            copies that the read cache holds come before the log's
 *   read     copy the value under the record's protocol
 *   update   in place where R2 allows, else a new record before the chain (R3, R4)
 *
 * Invariants
 *   I1  What a lookup finds first is the key's newest record that is not invalid.
 *   I2  A key is live if that record is not a tombstone.
 *   I3  A new record's prev is a log address: its publication detaches the copies that
 *       were before it (cache.h I1).
 *
 * Ordering
 *   M1  state is changed seq_cst by close and by checkpoints, then bumped; sessions
 *       load it after entering (epoch.h M1).
 *   M2  fuzzy_start is stored (release) before the phase that uses it; who has seen
 *       that phase, or a record that was written in it, loads it (acquire).
 *
 * Progress   Operations are lock-free but for records that another thread is changing,
 *            which ends in FASTER_RETRY.
 * Threads    any, each through a session of its own
 * Errors     as api.h
 * Limits     as api.h
 * Source     Chandramouli et al., SIGMOD 2018
 * Tests      tests/store/
 */
#ifndef FASTER_STORE_STORE_H
#define FASTER_STORE_STORE_H

#include "base/budget.h"
#include "base/histogram.h"
#include "base/thread.h"
#include "cache/cache.h"
#include "device/device.h"
#include "events/events.h"
#include "faster/api.h"
#include "hash/hash.h"
#include "index/index.h"
#include "log/hlog.h"
#include "record/record.h"
#include "session/session.h"
#include "worker/worker.h"

struct departed;
struct faster_checkpoint;

enum { KV_SESSIONS_MAX = 4096 };

/* Attempts inside one entry before the caller is asked to wait outside (E4). */
enum { ATTEMPTS_MAX = 16 };

/* Histograms by enum faster_timed, up to those that the log has. */
enum { TIMED_OWN = FASTER_TIMED_DEVICE_READ + 1 };

/* What a session's reads from the device came to. */
struct read_figures {
    uint64_t reads;
    uint64_t bytes;
    uint64_t retries; /* reads that failed and were made again */
    uint64_t errors;  /* the same, or failed for good */
};

/* See timing.h: written now and then, by anyone. */
struct timing {
    _Atomic uint32_t sample_every;
    _Atomic uint64_t traced; /* the last number that tracing.h has given */
    struct histogram histograms[TIMED_OWN];
};

struct faster_kv {
    /* set once */
    struct record_layout layout;
    enum faster_hash hash;
    enum faster_type value_type;
    uint32_t generation;
    bool sized;           /* every value has value_width bytes */
    bool word_values;     /* and these are 8: one word, read and changed as such */
    uint32_t value_width; /* 0 where sizes vary */
    bool words; /* 8-byte keys and values in a fixed layout: the paths made for them */
    uint32_t merges; /* bit k: the named merge k applies to the values */

    /* The table that the store was given: a copy, since whoever owns the original may
     * be collected before the store.  What is behind its context goes with `close`. */
    struct faster_device device;

    struct hlog log;
    struct index index;
    struct epoch epoch;
    struct budget budget;
    struct worker worker;
    struct events events;
    uint32_t event_capacity; /* set once */
    struct cache cache;      /* of what reads bring back from the device */
    _Alignas(CACHE_LINE) _Atomic uint64_t state; /* M1 */
    _Atomic uint64_t fuzzy_start;                /* M2 */

    /* under `lock` */
    struct lock lock;
    struct faster_session *sessions;
    uint32_t session_count;
    uint32_t sessions_max;
    struct epoch_slot *slot;             /* for figures and growth from outside */
    uint64_t closed_counts[COUNT_KINDS]; /* of sessions that have ended */
    struct read_figures closed_figures;  /* of these */
    struct departed *departed;           /* named sessions that were closed (C5) */
    uint64_t departed_count;
    uint64_t departed_capacity; /* room for every named session, open ones included */
    uint64_t named_count;       /* of those that are open */
    _Atomic uint32_t orphans;   /* how many at most; a hint without the lock */
    struct faster_checkpoint *checkpoint; /* under way, or NULL */
    bool released;

    struct timing timing;
};

/* What a capture needs of a session that is gone (C5). */
struct departed {
    uint64_t id;
    uint64_t serial;
    uint64_t committed; /* the last serial before it went over to `version` */
    uint32_t version;
};

/* Under the lock: end sessions whose handles are gone (session.h I5), as far as their
 * updates are done; with `help` bring these forward.  Whether some are left. */
bool sessions_end_orphans(struct faster_kv *kv, bool help);

/* The same, until none is left or the time is over. */
bool sessions_drain_orphans(struct faster_kv *kv, uint64_t deadline);

/* Of a store that has ended, whose device is closed: free what is left of them. */
void sessions_free_orphans(struct faster_kv *kv);

/* What the index may take of a budget, 0 for none. */
uint64_t kv_index_limit(uint64_t memory, uint32_t permille);

/* Under the lock: enter the store's own slot, for who has no session.  FASTER_OK (leave
 * it with epoch_leave) or FASTER_E_CLOSED. */
int kv_enter_outside(struct faster_kv *kv);

/* The same for a slot of the caller's own; FASTER_RETRY while it is in use. */
int kv_enter_slot(struct faster_kv *kv, struct epoch_slot *slot);

FASTER_INLINE uint64_t kv_hash(const struct faster_kv *kv, const void *key,
                               uint64_t key_size) {
    return hash_key((uint32_t)kv->hash, key, key_size);
}

/* A key's newest record, or where it would go.  The address is always the log's; the
 * record may be a copy of it in the cache (cache_holds). */
struct found {
    struct index_ref ref;
    uint64_t address;
    struct record *record;
};

/* find_in_chain_of where the chain begins with copies: apart, so that lookups without
 * them pay one branch. */
int kv_find_with_copies(struct faster_session *session, const void *key,
                        uint64_t key_size, struct found *found);

/* The same for a read, which is counted when a copy answers it. */
int kv_read_copies(struct faster_session *session, const void *key, uint64_t key_size,
                   struct found *found);

/* Keep a copy of a record that came from the device: the lookup `found` led there, and
 * it is the key's newest.  At `address` it is in the log. */
void kv_keep_copy(struct faster_session *session, const struct found *found,
                  struct record *record, uint64_t address);

/* Count a read that a copy has answered: its record has left memory. */
FASTER_INLINE void kv_note_read(struct faster_session *session,
                                const struct found *found) {
    if (faster_unlikely(found->address < session->head)) {
        session_count(session, COUNT_CACHE_HIT);
    }
}

/* Where the chain of an entry's word begins in the log (I3). */
FASTER_INLINE uint64_t kv_log_address(const struct faster_kv *kv, uint64_t word) {
    uint64_t address = entry_address(word);
    return faster_unlikely(address_is_cached(address))
               ? cache_below(&kv->cache, address)
               : address;
}

/* C2: find_in_log for a session that may meet records of the next version; it then has
 * to switch before it goes on: FASTER_RETRY. */
int kv_find_watching(struct faster_session *session, const void *key, uint64_t key_size,
                     uint64_t address, struct found *found);

/* C2: whether the chain at `address` begins with such a record; it does if it has any:
 * who would have put an older one before it has met it. */
bool kv_begins_newer(const struct faster_session *session, uint64_t address);

/* Follow a chain in the log from `address` on. */
FASTER_INLINE int find_in_log(struct faster_session *session, const void *key,
                              uint64_t key_size, uint64_t address,
                              struct found *found) {
    const struct faster_kv *kv = session->kv;
    if (faster_unlikely(session->watches)) {
        return kv_find_watching(session, key, key_size, address, found);
    }
    while (address >= session->head) { /* ends: prev is below (record_format.h I2) */
        struct record *record = hlog_record(&kv->log, address);
        uint64_t info = record_info(record);
        if (faster_likely(record_has_key(&kv->layout, record, key, key_size)) &&
            faster_likely((info & INFO_INVALID) == 0)) {
            found->address = address;
            found->record = record;
            return FASTER_OK;
        }
        address = info_prev(info);
    }
    found->address = address;
    return address >= session->begin ? FASTER_PENDING : FASTER_NOT_FOUND;
}

/* Follow the chain that an index entry begins (I1).  FASTER_PENDING when it goes on
 * below head: found->address is then the first record that only the device has. */
FASTER_INLINE int find_in_chain_of(struct faster_session *session, const void *key,
                                   uint64_t key_size, struct found *found) {
    uint64_t address = entry_address(found->ref.seen);
    if (faster_unlikely(address_is_cached(address))) {
        return kv_find_with_copies(session, key, key_size, found);
    }
    return find_in_log(session, key, key_size, address, found);
}

FASTER_INLINE int find_record(struct faster_session *session, uint64_t hash,
                              const void *key, uint64_t key_size, struct found *found) {
    int result = index_find(&session->kv->index, hash, &found->ref);
    return result == FASTER_OK ? find_in_chain_of(session, key, key_size, found)
                               : result;
}

/* find_record for a read, which a copy that answers it counts: where there is none,
 * nothing is asked. */
FASTER_INLINE int find_to_read(struct faster_session *session, uint64_t hash,
                               const void *key, uint64_t key_size,
                               struct found *found) {
    int result = index_find(&session->kv->index, hash, &found->ref);
    if (faster_unlikely(result != FASTER_OK)) {
        return result;
    }
    uint64_t address = entry_address(found->ref.seen);
    if (faster_unlikely(address_is_cached(address))) {
        return kv_read_copies(session, key, key_size, found);
    }
    return find_in_log(session, key, key_size, address, found);
}

/* Sizes that the store's layout allows. */
static inline int check_key(const struct faster_kv *kv, uint64_t key_size) {
    bool fits = kv->layout.fixed ? key_size == kv->layout.key_size
                                 : key_size <= RECORD_KEY_MAX &&
                                       record_size(&kv->layout, key_size, 0) <=
                                           hlog_record_max(&kv->log);
    return fits ? FASTER_OK : FASTER_E_KEY_SIZE;
}

static inline int check_value(const struct faster_kv *kv, uint64_t key_size,
                              uint64_t value_size) {
    bool fits =
        (!kv->sized || value_size == kv->value_width) &&
        value_size <= kv->log.page_size &&
        record_size(&kv->layout, key_size, value_size) <= hlog_record_max(&kv->log);
    return fits ? FASTER_OK : FASTER_E_VALUE_SIZE;
}

/* Whether a merge and its input apply to the store. */
static inline int check_merge(const struct faster_kv *kv,
                              const struct faster_merge *merge, uint64_t key_size,
                              uint64_t input_size) {
    if (merge->kind == FASTER_MERGE_NATIVE) {
        return merge->native != NULL ? FASTER_OK : FASTER_E_MERGE;
    }
    if (merge->kind > FASTER_MERGE_NATIVE || (kv->merges >> merge->kind & 1u) == 0) {
        return FASTER_E_MERGE;
    }
    int result = check_key(kv, key_size);
    return result == FASTER_OK ? check_value(kv, key_size, input_size) : result;
}

/* Run `attempt` until it is not FASTER_RETRY, at most ATTEMPTS_MAX times. */
#define KV_ATTEMPT(session, result, attempt)                                           \
    do {                                                                               \
        for (int tries_ = 0; tries_ < ATTEMPTS_MAX; tries_++) {                        \
            (result) = (attempt);                                                      \
            if (faster_likely((result) != FASTER_RETRY)) {                             \
                break;                                                                 \
            }                                                                          \
            int again_ = session_again(session);                                       \
            if (again_ != FASTER_OK) {                                                 \
                (result) = again_;                                                     \
                break;                                                                 \
            }                                                                          \
        }                                                                              \
    } while (0)

#endif
