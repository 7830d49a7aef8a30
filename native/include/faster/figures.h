/* SPDX-License-Identifier: MIT */
/*
 * figures.h: what a store says about itself
 *
 * Figures are taken while everybody goes on: each is right for some moment of the call,
 * and those that count never go back.  Structs grow at their ends.
 */
#ifndef FASTER_FIGURES_H
#define FASTER_FIGURES_H

#include <stdint.h>

struct faster_kv;

struct faster_kv_stats {
    uint32_t size; /* sizeof(struct faster_kv_stats) when the caller was built */
    uint32_t sessions;
    uint64_t address_begin;
    uint64_t address_read_only;
    uint64_t address_tail;
    uint64_t log_bytes;       /* memory committed to log pages */
    uint64_t index_bytes;     /* memory of tables and overflow buckets */
    uint64_t index_buckets;   /* of the newest table */
    uint64_t index_entries;   /* in use, as last counted */
    uint64_t index_overflow;  /* overflow buckets of the newest table */
    uint64_t index_growths;   /* doublings finished */
    uint32_t index_growing;   /* 1 while a doubling is under way */
    uint32_t index_saturated; /* 1 once the budget refused a doubling */
    uint64_t reads_hit;
    uint64_t reads_missed;
    uint64_t upserts;
    uint64_t inserts; /* that inserted */
    uint64_t rmws;
    uint64_t deletes;  /* that deleted, discards included */
    uint64_t compares; /* compare-and-sets that set */
    uint64_t retries;  /* attempts that had to start again */
    uint64_t epoch;

    /* of a log with a device; without one head is begin */
    uint64_t address_head;           /* first in memory */
    uint64_t address_flushed;        /* everything below is on the device */
    uint64_t address_safe_read_only; /* nothing below changes any more */
    uint64_t pages_evicted;
    uint64_t memory_used;  /* of the budget: log, index, cache, buffers */
    uint64_t memory_limit; /* 0 when there is none */
    uint64_t device_reads; /* records read back */
    uint64_t device_read_bytes;
    uint64_t device_write_bytes;
    uint64_t pending;    /* operations on their way */
    uint64_t cache_hits; /* reads that the read cache answered */
    uint64_t cache_insertions;
    uint64_t cache_evictions; /* records that left the cache */
    uint64_t cache_bytes;

    /* other outcomes */
    uint64_t inserts_found;    /* inserts that found the key */
    uint64_t deletes_missed;   /* deletes and discards that found none */
    uint64_t compares_refused; /* the value was another, or there was none */
    uint64_t failed;           /* operations that ended in an error */
    uint64_t reads_pending;    /* that had to wait for the device */
    uint64_t updates_pending;  /* the same, or waited behind one that had to */

    /* the device's queues and accidents */
    uint64_t device_writes;  /* that succeeded */
    uint64_t device_syncs;   /* the same */
    uint64_t device_retries; /* requests made again */
    uint64_t device_errors;  /* requests that failed */
    uint64_t writes_in_flight;
    uint64_t reads_in_flight;

    uint64_t epoch_safe; /* everybody inside has seen the epochs up to this one */
    uint64_t events_waiting;
    uint64_t events_lost;
    uint64_t pending_bytes; /* what operations on their way hold */
    uint64_t session_bytes; /* what sessions hold beside that; not of the budget */
    uint32_t sample_every;  /* one operation in so many is timed; 0: none */
    uint32_t reserved;
};

/* Take figures.  Fields beyond stats->size are not written. */
int faster_kv_stats(struct faster_kv *kv, struct faster_kv_stats *stats);

/* Durations: counts[i] of those below 2 to the i + 1 ns and not below 2 to the i;
 * counts[0] also has those of 0 ns.  Between the counts and the sum some may be
 * missing that are just being added. */
struct faster_histogram {
    uint64_t counts[64];
    uint64_t total_ns;
};

/* What is timed: single operations, one in sample_every of a session; all else always.
 * The kinds up to FASTER_TIMED_COMPARE are those of enum faster_operation_kind. */
enum faster_timed {
    FASTER_TIMED_READ = 1,
    FASTER_TIMED_UPSERT = 2,
    FASTER_TIMED_INSERT = 3,
    FASTER_TIMED_DELETE = 4,
    FASTER_TIMED_DISCARD = 5,
    FASTER_TIMED_RMW = 6,
    FASTER_TIMED_COMPARE = 7,
    FASTER_TIMED_PENDING = 8,     /* from the start to the end of one that waited */
    FASTER_TIMED_DEVICE_READ = 9, /* from handing over to completion, all three */
    FASTER_TIMED_DEVICE_WRITE = 10,
    FASTER_TIMED_DEVICE_SYNC = 11
};

/* Take a histogram.  Errors: -EINVAL for what is not an enum faster_timed. */
int faster_kv_histogram(struct faster_kv *kv, uint32_t timed,
                        struct faster_histogram *histogram);

/* Time one single operation in `every`, of each session: a power of two, or 0 for none.
 * A session that is in use notices within `every` operations of before.
 * Errors: FASTER_E_CONFIG. */
int faster_kv_sample(struct faster_kv *kv, uint32_t every);

#endif
