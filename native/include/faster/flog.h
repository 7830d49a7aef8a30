/* SPDX-License-Identifier: MIT */
/*
 * flog.h: everything that can be asked of a durable log
 *
 * A durable log takes entries of bytes at its end, from any number of threads, and says
 * of a commit that it is durable only when it is.  It lies on one device; where it
 * begins and which lives it had is kept outside, in slots (faster_flog_slot_write),
 * which the caller writes to files of its own.
 *
 * Conventions are those of api.h.  An entry's address is its first byte's offset on the
 * device, a multiple of 8, never 0.  A log may be used by any number of threads.
 * Functions whose comment says "Blocks: yes" must not be called by a thread that others
 * may be waiting for (in Python: with the GIL held).
 *
 * Every function of an open log may also return FASTER_E_CLOSED and FASTER_E_FORKED;
 * those that write return -EROFS for a log that was opened read-only.
 * The first write or sync that fails for good is the last: whatever is to become
 * durable later gets the same status, and what was committed stays readable.
 */
#ifndef FASTER_FLOG_H
#define FASTER_FLOG_H

#include <stddef.h>
#include <stdint.h>

#include "faster/api.h"
#include "faster/figures.h"
#include "faster/status.h"

enum {
    FASTER_FLOG_FIRST = 64,            /* the first address of a new log */
    FASTER_FLOG_HEADER = 16,           /* bytes before each payload */
    FASTER_FLOG_COOKIE_MAX = 4096,     /* bytes of a commit's cookie */
    FASTER_FLOG_ATTACHMENT_MAX = 8192, /* bytes of what is attached to commits */
    FASTER_FLOG_LIVES_MAX = 16384,     /* lives that a slot remembers */
    FASTER_FLOG_SLOT_ATTACHMENT_MAX = 1 << 20, /* bytes of what is attached to a slot */
    FASTER_FLOG_SLOT_MAX = 2 << 20             /* bytes of a slot, at most */
};

/* What an entry is. */
enum faster_flog_kind {
    FASTER_FLOG_DATA = 1,
    FASTER_FLOG_COMMIT = 2,
    FASTER_FLOG_FILLER = 3
};

/* One life of a log, from an opening (or a cut of its end) to the next: it wrote the
 * addresses [first, until), and entries carry the low 16 bits of its generation. */
struct faster_flog_life {
    uint64_t generation;
    uint64_t first;
    uint64_t until; /* 0: it goes on */
};

struct faster_flog_config {
    uint32_t size; /* sizeof(struct faster_flog_config) when the caller was built */
    uint32_t read_only; /* 1: nothing is appended; another process may do so */
    const struct faster_device
        *device;     /* closed with the log, also if it does not open */
    uint64_t log_id; /* seeds the checksums of entries */
    uint64_t
        page_size;   /* power of two, 4 KiB ... 1 GiB; 0: 4 MiB; for the log's life */
    uint64_t memory; /* bytes of pages on their way to the device; 0: 8 pages */

    /* What a slot or a recovery says; a new log has one life from FASTER_FLOG_FIRST. */
    const struct faster_flog_life *lives; /* ascending; appends go to the last one */
    uint64_t life_count;
    uint64_t begin; /* of the log: the first address that is there */
    uint64_t
        committed;   /* everything below is durable; a writer: the last life's first */
    uint64_t number; /* of the last commit */

    /* Commits that are made by themselves. */
    uint64_t commit_bytes;      /* once so many bytes wait; 0: never */
    uint32_t commit_ms;         /* when entries have waited so long; 0: never */
    uint32_t commits_in_flight; /* commits begun and not durable, at most; 0: 1 */
};

struct faster_flog;

/* Open a log.  The device is closed when that fails, but for FASTER_E_ABI.  Blocks: no.
 * Errors: FASTER_E_CONFIG, FASTER_E_ABI, -ENOMEM, -EINVAL when the device's unit (the
 * larger of sector and alignment) does not divide the last life's first address, is
 * more than a quarter of a page, or more than the device takes at once. */
int faster_flog_open(const struct faster_flog_config *config, struct faster_flog **log);

/* End it: new calls get FASTER_E_CLOSED, waiting ones return with it, the device is
 * closed.  Nothing is committed.  Blocks: up to timeout_ms (FASTER_E_TIMEOUT: somebody
 * is still inside, call again).  A second call does nothing. */
int faster_flog_close(struct faster_flog *log, uint32_t timeout_ms);

/* Close and free it, once nobody uses it; every scan was freed before. */
void faster_flog_free(struct faster_flog *log);

/* --- appending -------------------------------------------------------------------- */

/*
 * Append one entry; it is durable once something commits up to `*end` or further.
 * `data` may be NULL when size is 0; it does not change meanwhile.  Allocates: no.
 * Blocks: no.
 * Outcomes: FASTER_OK; FASTER_RETRY when there is no room now: call faster_flog_wait
 * and try again.
 * Errors: FASTER_E_VALUE_SIZE above faster_flog_payload_max, why writing has stopped.
 */
int faster_flog_append(struct faster_flog *log, const void *data, uint64_t size,
                       uint64_t *address, uint64_t *end);

/* Where a batch's payloads are: payload i is data[offsets[i] .. offsets[i + 1]). */
struct faster_flog_batch {
    const void *data;
    const uint64_t *offsets; /* count + 1, ascending */
    uint64_t count;
    uint64_t *addresses; /* NULL, or room for `count` */
    uint32_t atomic;     /* 1: no commit, and no other entry, comes between them */
    uint32_t reserved;
};

/*
 * Append many entries, in order; their bytes may change meanwhile.  *done is how many
 * were appended, *end as above; call again with the rest after FASTER_E_TIMEOUT.  An
 * atomic batch is appended whole or not at all, and takes no more than a page.
 * Blocks: yes, for room, up to timeout_ms.
 * Errors: -EINVAL for offsets that descend; as faster_flog_append.
 */
int faster_flog_append_many(struct faster_flog *log,
                            const struct faster_flog_batch *batch, uint32_t timeout_ms,
                            uint64_t *done, uint64_t *end);

/* Wait until appending is worth another attempt.  FASTER_OK, FASTER_E_TIMEOUT, or why
 * writing has stopped for good.  Blocks: up to timeout_ms. */
int faster_flog_wait(struct faster_flog *log, uint32_t timeout_ms);

/* The largest payload of an entry: a page without 64 bytes, and without its header. */
uint64_t faster_flog_payload_max(const struct faster_flog *log);

/* --- committing ------------------------------------------------------------------- */

struct faster_flog_commit {
    uint64_t number; /* of the commit that covers it; ascending from 1 */
    uint64_t until;  /* everything below is durable */
};

/*
 * Make everything below `until` durable (0: all that was appended before the call; who
 * calls again because time ran out gives the address that he means).
 * Concurrent calls share a sync.  Blocks: up to timeout_ms.
 * Errors: FASTER_E_TIMEOUT (nothing is lost, call again); why writing has stopped.
 */
int faster_flog_commit(struct faster_flog *log, uint64_t until, uint32_t timeout_ms,
                       struct faster_flog_commit *commit);

/* The same for all that was appended before, with a commit record of its own that
 * carries a cookie (at most FASTER_FLOG_COOKIE_MAX bytes and an eighth of the largest
 * payload; NULL with size 0).  FASTER_E_TIMEOUT tells in *commit what was appended for
 * it, which any later commit up to there makes durable; {0, 0} when nothing was. */
int faster_flog_commit_strong(struct faster_flog *log, const void *cookie,
                              uint64_t cookie_size, uint32_t timeout_ms,
                              struct faster_flog_commit *commit);

/* Have a thread of the log's own commit up to `until` (0: all) soon.  Blocks: no.
 * Errors: -errno when that thread cannot be started. */
int faster_flog_request(struct faster_flog *log, uint64_t until);

/* Everything below is durable, and the last commit's number.  Blocks: no. */
void faster_flog_committed(struct faster_flog *log, struct faster_flog_commit *commit);

/* FASTER_OK, or why nothing becomes durable any more, and for what range. */
int faster_flog_failed(struct faster_flog *log, uint64_t *from, uint64_t *until);

/* Wait until something beyond `seen` is durable, or the log failed or was closed.
 * FASTER_OK, FASTER_E_TIMEOUT, or why it never will be.  Blocks: up to timeout_ms. */
int faster_flog_wait_committed(struct faster_flog *log, uint64_t seen,
                               uint32_t timeout_ms);

/* Write a 64-bit 1 to a descriptor (an eventfd, a socket) whenever more is durable, and
 * when the log failed or was closed.  At most 4096 descriptors: FASTER_E_FULL. */
int faster_flog_notify(struct faster_flog *log, int64_t descriptor);
/* No more, once this has returned. */
void faster_flog_notify_end(struct faster_flog *log, int64_t descriptor);

/* What every later commit record carries beside its cookie: at most
 * FASTER_FLOG_ATTACHMENT_MAX bytes and a quarter of the largest payload, copied. */
int faster_flog_attach(struct faster_flog *log, const void *data, uint64_t size);

/* --- truncating ------------------------------------------------------------------- */

/* Let the log begin at `address`: an entry's, or the end of what is committed.  Only
 * memory changes; the caller then writes a slot.  A lower one than now changes nothing.
 * Errors: -EINVAL above what is committed. */
int faster_flog_begin_at(struct faster_flog *log, uint64_t address);

/* Give the device's space below the log's beginning back, once slots say so.
 * Blocks: for the device. */
int faster_flog_free_space(struct faster_flog *log);

/* Keep everybody from appending and committing, and wait until all that was appended is
 * durable; who comes meanwhile waits.  Blocks: up to timeout_ms; after FASTER_E_TIMEOUT
 * it stays so, and the caller tries again or calls faster_flog_resume; one caller at a
 * time, until he is through.  Then he may
 * write slots, and ends this with faster_flog_restart or faster_flog_resume. */
int faster_flog_suspend(struct faster_flog *log, uint32_t timeout_ms);
void faster_flog_resume(struct faster_flog *log);

/* Cut the end off: go on with these lives, of which the last one is new, as after a
 * recovery.  Errors: -EINVAL, -ENOMEM (and the log stays suspended). */
int faster_flog_restart(struct faster_flog *log, const struct faster_flog_life *lives,
                        uint64_t life_count, uint64_t number);

/* Stop for good, as a failed write does: for a caller who could not write a slot. */
void faster_flog_poison(struct faster_flog *log, int status);

/* --- reading ---------------------------------------------------------------------- */

struct faster_flog_entry {
    uint64_t address;
    uint64_t next;    /* the address behind it: of what follows, or of a gap */
    const void *data; /* the payload: lives until the next call for this scan */
    uint64_t size;
    uint32_t kind; /* enum faster_flog_kind */
    uint32_t reserved;
};

enum faster_flog_damage_kind {
    FASTER_FLOG_WHOLE = 0,
    FASTER_FLOG_ABSENT = 1,     /* zeros: nothing was ever written there */
    FASTER_FLOG_HEADER_BAD = 2, /* a header that no entry has */
    FASTER_FLOG_BOUNDS = 3,     /* a length that does not fit where the entry is */
    FASTER_FLOG_CHECKSUM = 4,   /* bytes that are not the ones written */
    FASTER_FLOG_STALE = 5,      /* an entry of another life */
    FASTER_FLOG_SHORT = 6       /* the device ends there */
};

/* Where damage was found. */
struct faster_flog_damage {
    uint64_t address;
    uint64_t expected; /* checksum or generation, as what says */
    uint64_t found;
    uint32_t what; /* enum faster_flog_damage_kind */
    uint32_t reserved;
};

/* Read the entry at an address: its size, and its payload if `capacity` holds it.
 * Outcomes: FASTER_OK; FASTER_SHORT (*size is told).  Blocks: for the device.
 * Errors: -EINVAL outside [begin, committed) or when no data entry is meant;
 * FASTER_E_CORRUPT (*damage is written). */
int faster_flog_read(struct faster_flog *log, uint64_t address, void *data,
                     uint64_t capacity, uint64_t *size,
                     struct faster_flog_damage *damage);

struct faster_flog_scan_config {
    uint32_t size;       /* sizeof(struct faster_flog_scan_config) */
    uint32_t commits;    /* 1: give commit records, too */
    uint64_t from;       /* an entry's address; 0: where the log begins */
    uint64_t until;      /* end before the first entry at or above; 0: never */
    uint32_t read_ahead; /* pages being read beside the one looked at; 0: 1 */
    uint32_t reserved;
};

struct faster_flog_scan;

/* Begin to read what is committed, in order.  A scan is used by one thread at a time;
 * it ends before faster_flog_free.  Blocks: no. */
int faster_flog_scan_open(struct faster_flog *log,
                          const struct faster_flog_scan_config *config,
                          struct faster_flog_scan **scan);

/*
 * Give the next entry.  Blocks: no.
 * Outcomes: FASTER_OK; FASTER_PENDING: call faster_flog_scan_fill and try again;
 * FASTER_NOT_FOUND: nothing more is committed now, or `until` was reached.
 * Errors: FASTER_E_CORRUPT (faster_flog_scan_damage says more), -ERANGE when the log
 * was cut off below the scan's place, -ENOENT when it now begins above it.
 */
int faster_flog_scan_next(struct faster_flog_scan *scan,
                          struct faster_flog_entry *entry);

/* Bring what comes next into memory.  FASTER_OK, FASTER_NOT_FOUND, FASTER_E_TIMEOUT, or
 * why the device failed.  Blocks: up to timeout_ms. */
int faster_flog_scan_fill(struct faster_flog_scan *scan, uint32_t timeout_ms);

/* A piece of the log in memory and the entries that lie whole in it. */
struct faster_flog_piece {
    const void *data; /* the log's bytes from `address` on */
    uint64_t size;
    uint64_t address;
    const uint32_t *starts; /* of the payloads, counted from `data` */
    const uint32_t *sizes;  /* of the payloads */
    uint64_t count;
    void *chunk; /* keeps all of this alive until faster_flog_piece_free */
};

/* Give all data entries that are in memory now, at least one, in place of several calls
 * of faster_flog_scan_next; outcomes and errors as there.  Allocates: yes. */
int faster_flog_scan_piece(struct faster_flog_scan *scan,
                           struct faster_flog_piece *piece);
/* Give a piece back, from any thread, also after its scan and log are gone. */
void faster_flog_piece_free(void *chunk);

/* Where the scan goes on. */
uint64_t faster_flog_scan_position(const struct faster_flog_scan *scan);
void faster_flog_scan_damage(const struct faster_flog_scan *scan,
                             struct faster_flog_damage *damage);
void faster_flog_scan_free(struct faster_flog_scan *scan);

/* --- what outlives a crash -------------------------------------------------------- */

/* A commit record's payload. */
struct faster_flog_record {
    uint64_t number;
    uint64_t begin;   /* of the log, when it was written */
    uint64_t until;   /* the commit covers everything below */
    uint64_t durable; /* what was known to be durable when it was written */
    const void *cookie;
    uint64_t cookie_size;
    const void *attachment;
    uint64_t attachment_size;
};

/* Take a commit record's payload apart; pointers point into it.  FASTER_E_CORRUPT. */
int faster_flog_record_read(const void *payload, uint64_t size,
                            struct faster_flog_record *record);

struct faster_flog_slot {
    uint64_t sequence; /* the larger one is the newer slot */
    uint64_t log_id;
    uint64_t page_size;
    uint64_t begin;
    uint64_t until; /* everything below is durable; not below the last life's first */
    uint64_t number;
    uint64_t life_count;
    uint64_t attachment_size;
};

/* Put a slot into bytes.  *size is how many; FASTER_SHORT when `capacity` is less.
 * Errors: FASTER_E_CONFIG for a slot that makes no sense. */
int faster_flog_slot_write(const struct faster_flog_slot *slot,
                           const struct faster_flog_life *lives, const void *attachment,
                           void *data, uint64_t capacity, uint64_t *size);

/* Take bytes apart: `lives` has room for FASTER_FLOG_LIVES_MAX, *attachment points into
 * `data`.  Errors: FASTER_E_CORRUPT, FASTER_E_FORMAT. */
int faster_flog_slot_read(const void *data, uint64_t size,
                          struct faster_flog_slot *slot, struct faster_flog_life *lives,
                          const void **attachment);

/* What a recovery begins from: the newer slot. */
struct faster_flog_recovery_config {
    uint32_t size; /* sizeof(struct faster_flog_recovery_config) */
    uint32_t reserved;
    const struct faster_device *device; /* stays the caller's */
    uint64_t log_id;
    uint64_t page_size;
    struct faster_flog_life life; /* the slot's last */
    uint64_t from;                /* the slot's `until` */
    uint64_t number;              /* the slot's */
};

/* What it found. */
struct faster_flog_found {
    uint64_t number;      /* of the last commit that is whole, or the slot's */
    uint64_t until;       /* everything below belongs to the log; the rest is cut off */
    uint64_t entries;     /* data entries between the slot's `until` and this one's */
    uint64_t cut_entries; /* data entries beyond that were whole and not committed */
    uint64_t cut_until;   /* where these end */
    uint64_t record;      /* address of the last commit's record; 0: none since */
    uint64_t begin;       /* the record's; 0: none */
    uint64_t cookie_size;
    uint64_t attachment_size;
    struct faster_flog_damage damage; /* what ended it; FASTER_FLOG_WHOLE: a gap */
};

struct faster_flog_recovery;

/*
 * Follow the log from a slot's `until` on to its last commit.  Nothing is written.
 * Blocks: for the device.
 * Errors: FASTER_E_CORRUPT when something that had been made durable is damaged or
 * missing: *damage is written, and *recovery is not; why the device failed; -ENOMEM.
 */
int faster_flog_recover(const struct faster_flog_recovery_config *config,
                        struct faster_flog_recovery **recovery,
                        struct faster_flog_damage *damage);
void faster_flog_recovery_found(const struct faster_flog_recovery *recovery,
                                struct faster_flog_found *found);
/* The last commit record's cookie and attachment; live until free. */
const void *faster_flog_recovery_cookie(const struct faster_flog_recovery *recovery);
const void *
faster_flog_recovery_attachment(const struct faster_flog_recovery *recovery);
void faster_flog_recovery_free(struct faster_flog_recovery *recovery);

/* Of a read-only log: look whether its writer has committed more.  Blocks: for the
 * device.  FASTER_OK; FASTER_NOT_FOUND: no.  Errors: why the device failed. */
int faster_flog_follow(struct faster_flog *log, struct faster_flog_commit *commit);

/* --- figures ---------------------------------------------------------------------- */

struct faster_flog_stats {
    uint32_t size; /* sizeof(struct faster_flog_stats) when the caller was built */
    uint32_t scans;
    uint64_t address_begin;
    uint64_t address_committed;
    uint64_t address_flushed;
    uint64_t address_tail;
    uint64_t number;       /* of the last commit */
    uint64_t entries;      /* appended since the log was opened */
    uint64_t bytes;        /* of their payloads */
    uint64_t commits;      /* commit records written since */
    uint64_t commit_waits; /* calls that waited for a commit of another */
    uint64_t syncs;        /* of the device */
    uint64_t waits;        /* calls that waited for room */
    uint64_t memory_used;  /* pages held */
    uint64_t device_write_bytes;
};

int faster_flog_stats(struct faster_flog *log, struct faster_flog_stats *stats);

/* What is timed, each time that it succeeds. */
enum faster_flog_timed {
    FASTER_FLOG_TIMED_COMMIT = 1, /* from its record's turn to being durable */
    FASTER_FLOG_TIMED_DEVICE_WRITE = 2,
    FASTER_FLOG_TIMED_DEVICE_SYNC = 3
};

/* Take a histogram.  Errors: -EINVAL for what is not an enum faster_flog_timed; as
 * every call. */
int faster_flog_histogram(struct faster_flog *log, uint32_t timed,
                          struct faster_histogram *histogram);

#endif
