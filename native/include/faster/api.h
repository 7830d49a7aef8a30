/* SPDX-License-Identifier: MIT */
/*
 * api.h: everything that can be asked of the core
 *
 * Conventions
 *   Results are statuses of status.h; out-parameters are written only where the text
 *   says so.  Sizes are bytes.  A store is used through sessions; a session is used by
 *   one thread at a time, which the core checks (FASTER_E_BUSY).
 *
 *   Single operations never wait.  They may return FASTER_RETRY; the caller then calls
 *   faster_session_wait() (in Python: with the GIL released) and calls again.  They may
 *   return FASTER_PENDING when only the device has the record: nothing has been done
 *   then, and faster_start() begins the same operation as one that may wait.
 *   Functions whose comment says "Blocks: yes" retry by themselves and must not be
 *   called by a thread that others may be waiting for.
 *
 *   Every operation may also return FASTER_E_CLOSED, FASTER_E_FORKED and FASTER_E_BUSY.
 *   A failed operation has changed nothing and taken no serial number.
 */
#ifndef FASTER_API_H
#define FASTER_API_H

#include <stddef.h>
#include <stdint.h>

#include "faster/event.h"
#include "faster/figures.h"
#include "faster/status.h"

/* Number of this interface; a change of meaning or order raises it. */
enum { FASTER_ABI = 1 };

enum faster_layout {
    FASTER_FIXED = 1, /* key_size and value_size hold for every record */
    FASTER_VARLEN = 2 /* both vary; lengths are in the record */
};

enum faster_hash { FASTER_HASH_XXH3 = 1, FASTER_HASH_XXH64 = 2 };

/* What a value is, for the merges that compute with it. */
enum faster_type {
    FASTER_TYPE_OPAQUE = 0, /* bytes with no arithmetic */
    FASTER_TYPE_TEXT = 1,   /* varlen bytes or UTF-8: append applies */
    FASTER_TYPE_I8 = 2,
    FASTER_TYPE_I16 = 3,
    FASTER_TYPE_I32 = 4,
    FASTER_TYPE_I64 = 5,
    FASTER_TYPE_U8 = 6,
    FASTER_TYPE_U16 = 7,
    FASTER_TYPE_U32 = 8,
    FASTER_TYPE_U64 = 9,
    FASTER_TYPE_F32 = 10,
    FASTER_TYPE_F64 = 11
};

enum faster_merge_kind {
    FASTER_MERGE_ADD = 1,           /* old + input; integers refuse to overflow */
    FASTER_MERGE_MIN = 2,           /* the smaller of the two */
    FASTER_MERGE_MAX = 3,           /* the larger of the two */
    FASTER_MERGE_BIT_OR = 4,        /* integers only */
    FASTER_MERGE_BIT_AND = 5,       /* integers only */
    FASTER_MERGE_APPEND = 6,        /* old then input; varlen text only */
    FASTER_MERGE_SET_IF_ABSENT = 7, /* the old value stays if there is one */
    FASTER_MERGE_PUT_NEWEST = 8,    /* the one with the larger leading u64 timestamp */
    FASTER_MERGE_NATIVE = 9         /* machine code of the caller's */
};

/*
 * A merge as machine code.  `value` is a private copy of `value_size` bytes (-1: the
 * key is absent) with room for `capacity` bytes, `input` the operation's argument.  It
 * leaves the new value in `value` and returns its size; a size above `capacity` asks to
 * be called again with at least that room and the old value restored; a negative size
 * refuses (FASTER_E_MERGE).  It may run several times for one operation, under a
 * record's lock: it must be short, pure, and must not call back.
 */
typedef int64_t (*faster_merge_fn)(uint8_t *value, int64_t value_size, int64_t capacity,
                                   const uint8_t *input, int64_t input_size);

struct faster_merge {
    uint32_t kind; /* enum faster_merge_kind */
    uint32_t reserved;
    faster_merge_fn native; /* for FASTER_MERGE_NATIVE, else NULL */
};

struct faster_device;

/* Addresses from `first` on, until the next one's, belong to generation `number`: one
 * life of the store, from a recovery to the next.  Numbers differ from each other, also
 * over lives that no checkpoint knows of. */
struct faster_generation {
    uint64_t first;
    uint64_t number;
};

struct faster_kv_config {
    uint32_t size;       /* sizeof(struct faster_kv_config) when the caller was built */
    uint32_t layout;     /* enum faster_layout */
    uint32_t hash;       /* enum faster_hash */
    uint32_t value_type; /* enum faster_type */
    uint32_t key_size;   /* fixed layout: 1 ... 65535; varlen: 0 */
    uint32_t value_size; /* fixed layout: 0 ... what a page holds; varlen: 0 */
    uint64_t page_size;  /* power of two, 4 KiB ... 1 GiB; 0 means 4 MiB */
    uint64_t memory;     /* budget for all that grows with the data; 0 means none */
    uint64_t expected_keys;  /* size the index ahead for these; 0 means start small */
    uint32_t index_permille; /* share of the budget the index may take; 0 means 500 */
    uint32_t sessions_max;   /* 1 ... 4096; 0 means 4096 */

    /* Larger than memory: where the log's older pages go.  The store closes the device
     * when it is closed, also when opening fails.  Needs a memory budget. */
    const struct faster_device *device; /* NULL: everything stays in memory */
    uint64_t store_id;                  /* seeds the checksums of records */
    uint64_t read_cache;       /* bytes of the budget for records read back; 0: none */
    uint32_t mutable_permille; /* of the log's memory, changed in place; 0 means 900 */
    uint32_t version;          /* of checkpoints, to begin with; 0 means 1 */

    /* Recovery (faster_recovery_begin): the device holds the log below log_until, which
     * is a multiple of its unit; log_start is the beginning of that address's page.
     * Zeros: a new store. */
    uint64_t log_start;
    uint64_t log_until;
    const struct faster_generation *generations; /* NULL: one, with the number 1 */
    uint64_t generation_count; /* ascending from 0 on; new addresses are the last's */

    uint32_t event_capacity; /* events kept for whoever listens; 0 means 4096 */
    uint32_t sample_every;   /* as faster_kv_sample; 0: none is timed */
};

struct faster_kv;
struct faster_session;

/*
 * Open a store.
 * Blocks: no.  Allocates: the index and the log's address space.
 * Errors: FASTER_E_CONFIG for a setting out of range; FASTER_E_FULL when the budget
 * (or, without one, half of the physical memory) cannot hold the index for
 * `expected_keys`, or the budget not two pages; -ENOMEM.
 */
int faster_kv_open(const struct faster_kv_config *config, struct faster_kv **kv);

/*
 * Close: updates of sessions that were freed are brought to their end, as far as the
 * time goes; then new calls get FASTER_E_CLOSED, calls in flight finish, the worker is
 * joined, the log and the index are given back.  The handle stays valid until
 * faster_kv_free.
 * A second close does nothing.
 * Blocks: yes, up to timeout_ms.  Errors: FASTER_E_TIMEOUT when a call in flight did
 * not end in time (memory is then kept; close may be called again).
 */
int faster_kv_close(struct faster_kv *kv, uint32_t timeout_ms);

/* Free the handle, after every session's handle was freed.  Closes first.  In a forked
 * child it frees nothing. */
void faster_kv_free(struct faster_kv *kv);

/*
 * Open a session: one logical thread of operations with serial numbers of its own.
 * Sessions that were freed before their updates were done are brought forward.
 * Errors: FASTER_E_SESSIONS; FASTER_E_BUSY where such a one holds the last place: call
 * again; -ENOMEM.
 */
int faster_session_open(struct faster_kv *kv, struct faster_session **session);

/*
 * Open a session that checkpoints keep a commit point of, by its `id` (not 0).  It goes
 * on behind `serial`, or, when a session of this id was open before in this life of the
 * store, behind that one's last.
 * Errors: FASTER_E_BUSY while a session of this id is open, or was freed and its
 * updates are not done: call again; and as faster_session_open.
 */
int faster_session_resume(struct faster_kv *kv, uint64_t id, uint64_t serial,
                          struct faster_session **session);

/* Keep a closed session's commit point no longer.  FASTER_NOT_FOUND when no session of
 * this id was open.  Errors: FASTER_E_BUSY while it is. */
int faster_session_forget(struct faster_kv *kv, uint64_t id);

/* Close a session and give its slot back.  FASTER_PENDING: updates that have their
 * serial numbers are on their way; the session stays open (faster_session_drain brings
 * them to their end), unless the store is closed: then they end with it.  Updates that
 * wait for their turn without one do not take place.  Errors: FASTER_E_BUSY while
 * another thread is inside.  A second close does nothing. */
int faster_session_close(struct faster_session *session);

/* Bring updates of sessions that were freed before these were done to their end.
 * Blocks: yes, up to timeout_ms.  Errors: FASTER_E_TIMEOUT. */
int faster_kv_drain(struct faster_kv *kv, uint32_t timeout_ms);

/* Free a session's handle; closes first.  While that gives FASTER_PENDING the store
 * keeps the session, without its handle: checkpoints, whoever opens a session, and
 * faster_kv_close bring its updates to their end.  Merges of such updates may be called
 * until then.  Never waits.  In a forked child it frees nothing. */
void faster_session_free(struct faster_session *session);

/* The serial number of the session's last update, 0 before the first. */
uint64_t faster_session_serial(const struct faster_session *session);

/* Let others go on before a call that returned FASTER_RETRY is made again.
 * Blocks: briefly. */
void faster_session_wait(struct faster_session *session);

/*
 * Read a value.  On FASTER_OK `out` holds it and *value_size its size; on FASTER_SHORT
 * nothing was copied and *value_size is the room needed.
 * Outcomes: FASTER_OK, FASTER_NOT_FOUND, FASTER_SHORT, FASTER_RETRY.
 */
int faster_read(struct faster_session *session, const void *key, uint64_t key_size,
                void *out, uint64_t capacity, uint64_t *value_size);

/* Set a value whatever was there.
 * Outcomes: FASTER_OK, FASTER_RETRY.  Errors: FASTER_E_FULL, FASTER_E_KEY_SIZE,
 * FASTER_E_VALUE_SIZE. */
int faster_upsert(struct faster_session *session, const void *key, uint64_t key_size,
                  const void *value, uint64_t value_size);

/* Set a value only if the key is absent.
 * Outcomes: FASTER_OK, FASTER_EXISTS, FASTER_RETRY.  Errors: as faster_upsert. */
int faster_insert(struct faster_session *session, const void *key, uint64_t key_size,
                  const void *value, uint64_t value_size);

/* Remove a key.  Outcomes: FASTER_OK, FASTER_NOT_FOUND, FASTER_RETRY. */
int faster_delete(struct faster_session *session, const void *key, uint64_t key_size);

/*
 * Combine the value with `input`; an absent key gets the merge of nothing and input
 * (for every named merge: the input).  On FASTER_OK the new value is in `out` and
 * *value_size is its size; on FASTER_SHORT nothing has changed and *value_size is the
 * room to come back with.  With out == NULL the new value is not wanted.
 * Outcomes: FASTER_OK, FASTER_SHORT, FASTER_RETRY.  Errors: FASTER_E_MERGE,
 * FASTER_E_OVERFLOW, and as faster_upsert.
 */
int faster_rmw(struct faster_session *session, const struct faster_merge *merge,
               const void *key, uint64_t key_size, const void *input,
               uint64_t input_size, void *out, uint64_t capacity, uint64_t *value_size);

/* Remove a key without asking whether it is there: never waits for the device.
 * Outcomes: FASTER_OK, FASTER_NOT_FOUND when it surely was not, FASTER_RETRY.
 * Errors: FASTER_E_FULL. */
int faster_discard(struct faster_session *session, const void *key, uint64_t key_size);

/*
 * Set `value` only if the present value equals `expected` byte for byte.
 * Outcomes: FASTER_OK, FASTER_MISMATCH, FASTER_NOT_FOUND, FASTER_RETRY.
 * Errors: as faster_upsert.
 */
int faster_compare_and_set(struct faster_session *session, const void *key,
                           uint64_t key_size, const void *expected,
                           uint64_t expected_size, const void *value,
                           uint64_t value_size);

/* --- operations that may wait for the device ------------------------------------- */

enum faster_operation_kind {
    FASTER_READ = 1,
    FASTER_UPSERT = 2,
    FASTER_INSERT = 3,
    FASTER_DELETE = 4,
    FASTER_DISCARD = 5,
    FASTER_RMW = 6,
    FASTER_COMPARE = 7
};

/* Bits of an operation's flags. */
enum {
    FASTER_CLAIMED = 1 /* whoever starts it waits for it: nobody else is given it */
};

/* What is asked; everything is copied when the operation has to wait. */
struct faster_operation {
    uint32_t kind; /* enum faster_operation_kind */
    uint32_t flags;
    const void *key;
    uint64_t key_size;
    const void *value; /* the new value, or the input of a merge */
    uint64_t value_size;
    const void *expected; /* FASTER_COMPARE */
    uint64_t expected_size;
    const struct faster_merge *merge; /* FASTER_RMW */
    uint64_t context;                 /* given back with the result */
};

/* An operation on its way, and then its result.  Freed by the caller. */
struct faster_pending;

/* How an operation ended.  Pointers are valid until it is freed. */
struct faster_result {
    uint32_t kind;
    int32_t status; /* as the single operation's, never RETRY, PENDING or SHORT */
    uint64_t context;
    uint64_t serial; /* of an update; 0 for a read */
    const uint8_t *key;
    uint64_t key_size;
    const uint8_t *value; /* of a read, or the new value of a FASTER_RMW */
    uint64_t value_size;
    uint64_t device_reads; /* how many it took */
};

/*
 * Begin an operation.  What can be done in memory is done: the results are those of the
 * single operation, with a value in `out` (which may be NULL for updates).  Else
 * FASTER_PENDING: *pending is the operation on its way, and an update has its serial
 * number, unless an earlier update of the session is on its way to the same key: then
 * it and all updates after it wait their turn.
 * FASTER_RETRY also when too much is on its way for the budget: fetch what is finished.
 * Blocks: no.  Allocates: the pending operation.  Errors: -ENOMEM.
 */
int faster_start(struct faster_session *session,
                 const struct faster_operation *operation, void *out, uint64_t capacity,
                 uint64_t *value_size, struct faster_pending **pending);

/*
 * Wait for one pending operation, or with NULL for any, at most so long; with a timeout
 * of 0 only look.  Operations that others wait for go on, too.
 * FASTER_OK: it is finished (with NULL: faster_next_finished has one). 
 * FASTER_NOT_FOUND with NULL: nothing is pending.  Errors: FASTER_E_TIMEOUT.
 * Blocks: yes, up to timeout_ms.
 */
int faster_wait(struct faster_session *session, struct faster_pending *pending,
                uint32_t timeout_ms);

/* Take the next finished operation; FASTER_NOT_FOUND when there is none.  One that
 * faster_wait has waited for is not given here. */
int faster_next_finished(struct faster_session *session,
                         struct faster_pending **pending);

/* How a finished operation ended. */
void faster_result_of(const struct faster_pending *pending,
                      struct faster_result *result);

/* Forget an operation.  One that is not finished goes on to its end unseen: an update
 * still takes place.  Errors: as faster_start. */
int faster_forget(struct faster_session *session, struct faster_pending *pending);

/* How many operations are on their way: neither finished nor forgotten. */
uint64_t faster_pending_count(struct faster_session *session);

/* How many updates are on their way: forgotten ones count, too. */
uint64_t faster_session_updates(struct faster_session *session);

/* Bring all updates on their way to their end, at most so long; what they gave is
 * fetched as usual.  Errors: FASTER_E_TIMEOUT.  Blocks: yes, up to timeout_ms. */
int faster_session_drain(struct faster_session *session, uint32_t timeout_ms);

/* Write a word of 8 bytes, the number 1, to a descriptor (an eventfd or a socket that
 * does not block) whenever the device has completed something; -1 for none. */
int faster_session_notify(struct faster_session *session, int64_t descriptor);

/* --- batches ---------------------------------------------------------------------- */

/* Many items in one buffer.  With offsets, item i is data[offsets[i] .. offsets[i+1]);
 * without (NULL), item i is `size` bytes at data + i * stride. */
struct faster_items {
    const uint8_t *data;
    const uint64_t *offsets;
    uint64_t size;
    uint64_t stride;
};

/* Where many results go.  Fixed layout: result i goes to data + i * value_size, offsets
 * is NULL, and capacity holds all rows (else -EINVAL, with nothing done).  Varlen:
 * results are appended, result i is data[offsets[i] .. offsets[i+1]); the caller sets
 * offsets[0].  flags[i] is 1 for a result and 0 for none; flags may be NULL.  data may
 * be NULL where results are not wanted (rmw). */
struct faster_results {
    uint8_t *data;
    uint64_t capacity;
    uint64_t *offsets;
    uint8_t *flags;
};

/*
 * Batches.  Items are done in order from *done (which the caller sets, first to 0);
 * *done is moved past each finished item, so that after FASTER_SHORT (room for the next
 * result is missing; make `results` larger) or an error the caller knows where it stood
 * and may call again.  In a fixed layout, rows of absent keys are left as they were.
 * Blocks: yes, between items, never inside one.  Serial numbers follow item order.
 */
int faster_read_many(struct faster_session *session, const struct faster_items *keys,
                     uint64_t count, const struct faster_results *results,
                     uint64_t *done);
int faster_upsert_many(struct faster_session *session, const struct faster_items *keys,
                       const struct faster_items *values, uint64_t count,
                       uint64_t *done);
int faster_rmw_many(struct faster_session *session, const struct faster_merge *merge,
                    const struct faster_items *keys, const struct faster_items *inputs,
                    uint64_t count, const struct faster_results *results,
                    uint64_t *done);
/* flags[i] becomes 1 where the key was there; flags may be NULL. */
int faster_delete_many(struct faster_session *session, const struct faster_items *keys,
                       uint64_t count, uint8_t *flags, uint64_t *done);

struct faster_scan_pages;

/* Where a scan stands.  Zeroed by the caller before the first call.  position and end
 * alone are enough to go on later, with another cursor of the same store; what cannot
 * be a position of it is refused with -EINVAL. */
struct faster_cursor {
    uint64_t position; /* next address to look at; 0 before the first call */
    uint64_t end;      /* the log's tail when the scan began */
    uint64_t
        *places; /* the caller's, or NULL: place i is where to go on behind row i */
    struct faster_scan_pages *pages; /* read from the device; the core's */
    int32_t failure;                 /* met behind what was given; the core's */
    uint32_t reserved;
};

/*
 * Give the next live records, at most `count`: keys and values as in struct
 * faster_results (fixed layout: row i).  *found is how many; FASTER_OK with *found == 0
 * is the end.  FASTER_SHORT, always with *found == 0, means that the next record
 * does not fit: *need_key and *need_value are the room it needs.  A key that was live
 * from the scan's begin to its end is given once; one that came, changed or went
 * meanwhile at most once, with a value it had during the scan.
 * A page of the device that is damaged or cannot be read ends a call with
 * FASTER_E_CORRUPT or the device's failure; the next call goes on behind it.
 * values may be NULL.  Blocks: yes.
 */
int faster_scan_next(struct faster_session *session, struct faster_cursor *cursor,
                     const struct faster_results *keys,
                     const struct faster_results *values, uint64_t count,
                     uint64_t *found, uint64_t *need_key, uint64_t *need_value);

/* Give back what a cursor holds; it may be used again after that. */
void faster_cursor_close(struct faster_cursor *cursor);

/* A borrowed value of a record that cannot change any more. */
struct faster_view {
    const uint8_t *data;
    uint64_t size;
    uint64_t page; /* what is pinned */
};

/* Borrow a value.  Outcomes: FASTER_OK (close the view later), FASTER_NOT_FOUND,
 * FASTER_MUTABLE (read it instead), FASTER_RETRY. */
int faster_view_open(struct faster_session *session, const void *key, uint64_t key_size,
                     struct faster_view *view);
/* Give a borrowed value back.  Any thread, at any time before faster_kv_free. */
void faster_view_close(struct faster_kv *kv, const struct faster_view *view);

/* --- the log and its device ------------------------------------------------------- */

/* Have everything that is in the log now written to the device; evict also frees its
 * memory.  Without a device nothing happens.
 * Blocks: yes, up to timeout_ms.  Errors: FASTER_E_TIMEOUT, why a write failed. */
int faster_kv_flush(struct faster_kv *kv, uint32_t timeout_ms);
int faster_kv_evict(struct faster_kv *kv, uint32_t timeout_ms);

/* Let writing begin again after it has failed (faster_kv_failure). */
int faster_kv_resume_writes(struct faster_kv *kv);

/* The status that stopped writing to the device, and which bytes could not be written;
 * FASTER_OK when nothing has. */
int faster_kv_failure(struct faster_kv *kv, uint64_t *from, uint64_t *until);

/* --- checkpoints ------------------------------------------------------------------ */

enum faster_phase {
    FASTER_PHASE_REST = 0,
    FASTER_PHASE_INDEX_COPY = 1,  /* the index is copied */
    FASTER_PHASE_PREPARE = 2,     /* updates on their way come to their end */
    FASTER_PHASE_IN_PROGRESS = 3, /* sessions go over to the next version */
    FASTER_PHASE_WAIT_FLUSH = 4,  /* what belongs to the checkpoint is written */
    FASTER_PHASE_PERSIST = 5      /* the log is durable; the manifest is missing */
};

enum faster_checkpoint_kind {
    FASTER_FOLD_OVER = 1,   /* the log is flushed up to the checkpoint */
    FASTER_SNAPSHOT = 2,    /* what is not flushed goes to a file of its own */
    FASTER_INCREMENTAL = 3, /* as a snapshot, as far as the base does not have it */
    FASTER_INDEX_ONLY = 4   /* a copy of the index, to make recovery shorter */
};

struct faster_checkpoint_config {
    uint32_t size;         /* sizeof(struct faster_checkpoint_config) */
    uint32_t kind;         /* enum faster_checkpoint_kind */
    uint32_t with_index;   /* 1: copy the index, too */
    uint32_t base_version; /* FASTER_INCREMENTAL: of the base, at most 127 older */
    uint64_t base_final;   /* likewise */
    uint64_t seed;         /* of the streams' checksums */
};

/* What is known of a checkpoint; grows with the phases. */
struct faster_checkpoint_facts {
    uint32_t size; /* sizeof(struct faster_checkpoint_facts) */
    uint32_t kind;
    uint32_t phase;   /* enum faster_phase */
    uint32_t version; /* every update of it, and of none later, is in the checkpoint */
    uint64_t begin;
    uint64_t fuzzy_start;
    uint64_t final;         /* the log ends here, on a multiple of the device's unit */
    uint64_t log_until;     /* the log's bytes serve up to here, the streams' behind */
    uint64_t index_start;   /* the log is replayed over the index copy from here */
    uint64_t index_bits;    /* of the copy's table; 0 without */
    uint64_t index_entries; /* in it, once it was read to its end */
    uint64_t table_bits;    /* of the index at `final`: recovery needs no fewer */
    uint64_t points;        /* commit points captured */
    uint64_t slow_session;  /* who held a phase that timed out; 0 when it has no id */
};

/* A session's commit point: its last update that is in the checkpoint. */
struct faster_point {
    uint64_t id;
    uint64_t serial;
};

struct faster_checkpoint;

/*
 * Begin a checkpoint; operations go on all the while.  It is brought forward by
 * faster_checkpoint_advance, one phase each, until the phase is FASTER_PHASE_PERSIST:
 *
 *   in INDEX_COPY  faster_checkpoint_read gives the INDEX stream: read it to its end
 *   in WAIT_FLUSH  it gives DELTA (FASTER_INCREMENTAL), then PAGES (but for a
 *                  fold-over): read them to their ends
 *
 * Then the caller makes what it has read durable, publishes it, and ends the handle.
 * One thread at a time may use it; it ends before faster_kv_free.
 * Blocks: no.  Errors: FASTER_E_BUSY while another one is under way; FASTER_E_CONFIG
 * for a store without a device, or a base that is too old; FASTER_E_SESSIONS, -ENOMEM.
 */
int faster_checkpoint_begin(struct faster_kv *kv,
                            const struct faster_checkpoint_config *config,
                            struct faster_checkpoint **checkpoint);

/* Go on to the next phase.  Blocks: yes, up to timeout_ms.
 * Errors: FASTER_E_TIMEOUT, after which it may be called again; FASTER_E_FULL when the
 * index cannot be copied because it grows; why the device failed; -EINVAL when a
 * stream was not read to its end. */
int faster_checkpoint_advance(struct faster_checkpoint *checkpoint,
                              uint32_t timeout_ms);

void faster_checkpoint_facts_of(struct faster_checkpoint *checkpoint,
                                struct faster_checkpoint_facts *facts);

/* The commit points, from WAIT_FLUSH on; *count is how many were written, at most
 * `capacity`. */
int faster_checkpoint_points(struct faster_checkpoint *checkpoint,
                             struct faster_point *points, uint64_t capacity,
                             uint64_t *count);

/*
 * The next whole blocks of a stream (enum faster_part), at least one, up to `capacity`
 * bytes, which must hold a page and 64 KiB.  *size 0 is the end.
 * FASTER_RETRY: begin its file anew, what was read of this part does not count.
 * Blocks: no longer than it takes to copy them.  Errors: -EINVAL for a part that the
 * phase or kind has not.
 */
int faster_checkpoint_read(struct faster_checkpoint *checkpoint, uint32_t part,
                           void *buffer, uint64_t capacity, uint64_t *size);

/* End it in whatever phase it is, and free it: operations are as ever.  One that was
 * not published has no effect but that the version may have gone up. */
void faster_checkpoint_end(struct faster_checkpoint *checkpoint);

/* --- recovery --------------------------------------------------------------------- */

/* Records in [from, until) of this version (its low 8 bits) are no part of the store: a
 * recovery to the version before has left them behind. */
struct faster_skip {
    uint64_t from;
    uint64_t until;
    uint32_t version;
    uint32_t reserved;
};

/* What is recovered: the numbers of a manifest. */
struct faster_recovery_config {
    uint32_t size;         /* sizeof(struct faster_recovery_config) */
    uint32_t version;      /* of the checkpoint; the store goes on with the next */
    uint64_t begin;        /* the log begins here, 0 and 64 are the same */
    uint64_t index_start;  /* of the index's copy: earlier records are in it */
    uint64_t index_bits;   /* of the copy's table; 0: there is none */
    uint64_t table_bits;   /* of the table when the checkpoint was taken; 0: not known.
                             * Fewer could lose records: the new one never has fewer. */
    uint64_t entries_hint; /* about how many keys, to size the table; 0: not known */
    uint64_t fuzzy_start;  /* records from here on may be of the next version: left */
    uint64_t log_until;    /* as the store was opened with */
    uint64_t final;        /* the checkpoint ends here */
    uint64_t seed_index;   /* of the blocks of the index's copy */
    const struct faster_skip *skips; /* of earlier recoveries, ascending, disjoint */
    uint64_t skip_count;
    /* Of the life that took the checkpoint: the bytes of faster_recovery_pages have its
     * checksums, and get those of the store's own generations when they are written.
     * NULL: both are the same. */
    const struct faster_generation *generations;
    uint64_t generation_count;
};

enum faster_damage_kind {
    FASTER_DAMAGE_NONE = 0,
    FASTER_DAMAGE_ABSENT = 1,   /* nothing was ever written there */
    FASTER_DAMAGE_HEADER = 2,   /* a header that no record has */
    FASTER_DAMAGE_BOUNDS = 3,   /* lengths that do not fit where the record is */
    FASTER_DAMAGE_CHECKSUM = 4, /* bytes that are not the ones written */
    FASTER_DAMAGE_SHORT = 5,    /* the device ends there */
    FASTER_DAMAGE_BLOCK = 6,    /* of the index's copy; the address is its number */
    FASTER_DAMAGE_ENTRY = 7     /* an entry of it; the address is its bucket */
};

/* Where the lowest damage was found, and what was expected there. */
struct faster_damage {
    uint64_t address;
    uint64_t expected;
    uint64_t found;
    uint32_t what; /* enum faster_damage_kind */
    uint32_t reserved;
};

struct faster_recovery;

/*
 * Recover a store that was just opened with log_until (or, for a checkpoint without a
 * byte in the log, as a new one) and has no session.  In this order:
 *
 *   faster_recovery_index   all blocks of the index's copy, when there is one
 *   faster_recovery_log     every part of [begin or index_start, log_until), perhaps
 *                           by several threads
 *   faster_recovery_pages   the bytes of [log_until, final); those below index_start
 *                           also by another thread while the index is taken
 *   faster_recovery_finish  then sessions may be opened
 *
 * Nothing below log_until is written.  After an error the store is of no use: free the
 * recovery, then the store.
 * Blocks: yes, for a page's reading.  Errors: -EINVAL for numbers that contradict each
 * other or the store, FASTER_E_FULL when the budget does not hold the index,
 * FASTER_E_CORRUPT, why the device failed, -ENOMEM.
 */
int faster_recovery_begin(struct faster_kv *kv,
                          const struct faster_recovery_config *config,
                          struct faster_recovery **recovery);

/* Take the next whole blocks of the INDEX stream: any number of them, in order, one
 * thread.  Errors: FASTER_E_CORRUPT, also for a block that is not whole;
 * FASTER_E_FULL. */
int faster_recovery_index(struct faster_recovery *recovery, const void *blocks,
                          uint64_t size);

/* Read, verify and link the records of [from, until).  `from` is begin, index_start or
 * a page's beginning, `until` a page's beginning or log_until; a range may be empty.
 * Several threads may do disjoint ranges.
 * Blocks: yes, for the reading.  Errors: as faster_recovery_begin. */
int faster_recovery_log(struct faster_recovery *recovery, uint64_t from,
                        uint64_t until);

/* Take bytes of [log_until, final): in order, pieces of any size, one thread.
 * Blocks: yes, until earlier pages are written and give way.
 * Errors: -EINVAL out of order, FASTER_E_FULL, FASTER_E_CLOSED, FASTER_E_CORRUPT, why
 * the device failed. */
int faster_recovery_pages(struct faster_recovery *recovery, uint64_t address,
                          const void *bytes, uint64_t size);

/* Open the store for sessions.  Errors: -EINVAL when a part is missing; else as
 * faster_recovery_pages. */
int faster_recovery_finish(struct faster_recovery *recovery);

/* The lowest damage found so far: FASTER_OK, or FASTER_NOT_FOUND. */
int faster_recovery_damage(struct faster_recovery *recovery,
                           struct faster_damage *damage);

/* Free the handle, before the store's; nobody uses it any more. */
void faster_recovery_free(struct faster_recovery *recovery);

/* --- the blocks of a checkpoint's files ------------------------------------------- */

/* The streams of a checkpoint; each is a file of blocks. */
enum faster_part {
    FASTER_PART_INDEX = 1, /* the index as it was when the checkpoint began */
    FASTER_PART_PAGES = 2, /* the log's end, page by page */
    FASTER_PART_DELTA = 3  /* records below it that have changed since the base */
};

/* What faster_block_next found. */
struct faster_block {
    uint64_t payload; /* where it begins, counted from the block's first byte */
    uint64_t bytes;   /* of payload: 0 in the block that ends a stream, only there */
    uint64_t whole;   /* header and payload: the next block begins behind it */
    uint32_t last;    /* 1: the stream ends here */
    uint32_t reserved;
};

/* Verify the block that begins at `data`: block `number` (0, 1, 2 ...) of a stream of
 * this part and seed.  Outcomes: FASTER_OK; FASTER_SHORT when `size` bytes do not hold
 * it, which takes block->whole (not verified yet; at the file's end that is damage).
 * Needs no store.  Errors: FASTER_E_CORRUPT. */
int faster_block_next(const void *data, uint64_t size, uint64_t seed, uint32_t part,
                      uint64_t number, struct faster_block *block);

/* Put the records of a DELTA block's payload over the log's bytes at [address, address
 * + size), as far as they lie there.  *applied: how many did.  Errors:
 * FASTER_E_CORRUPT, with the image unchanged. */
int faster_image_apply(void *image, uint64_t address, uint64_t size,
                       const void *payload, uint64_t bytes, uint64_t *applied);

/* --- figures (and figures.h) ------------------------------------------------------ */

/* Start doubling the index now.  Outcomes: FASTER_OK (started or already under way).
 * Errors: FASTER_E_FULL when the budget refuses, -ENOMEM. */
int faster_kv_grow_index(struct faster_kv *kv);

/* Change the budget of a store in memory, 0 for none, and with it the index's share.
 * What is in use stays; where the new budget is below it, whatever would take more is
 * refused.  Errors: FASTER_E_CONFIG on a device, whose log has its place in memory for
 * good; FASTER_E_FULL beyond faster_kv_memory_most. */
int faster_kv_limit_memory(struct faster_kv *kv, uint64_t memory,
                           uint32_t index_permille);

/* The largest budget that faster_kv_limit_memory takes. */
uint64_t faster_kv_memory_most(struct faster_kv *kv);

/* Change how many sessions may be open at once; those that are stay.
 * Errors: FASTER_E_CONFIG out of range. */
int faster_kv_limit_sessions(struct faster_kv *kv, uint32_t most);

/* Change the share of the log's memory that stays mutable; nothing in memory.
 * Errors: FASTER_E_CONFIG out of range. */
int faster_kv_keep_mutable(struct faster_kv *kv, uint32_t permille);

/* Whether a merge applies to the store's values: FASTER_OK or FASTER_E_MERGE. */
int faster_kv_check_merge(struct faster_kv *kv, const struct faster_merge *merge);

/* The store's hash of some bytes: hash is an enum faster_hash. */
uint64_t faster_hash_bytes(uint32_t hash, const void *data, uint64_t size,
                           uint64_t seed);

#endif
