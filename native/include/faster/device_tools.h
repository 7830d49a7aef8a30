/* SPDX-License-Identifier: MIT */
/*
 * device_tools.h: devices to build with and to test with
 *
 * What a device is stands in faster/device.h.  Here are those the core has itself, one
 * whose requests are served by threads that pull them (so that a device may be written
 * in any language), two that stand before another device (one does wrong on purpose,
 * one writes down what it sees), and a hand to drive any device with.
 *
 * Functions that return int give 0 or an outcome of faster/status.h, or a failure: of
 * the system as -errno, of ours as FASTER_E_*.  Each struct that is passed in begins
 * with its `size`, as the caller was built with it; FASTER_E_ABI refuses another.
 */
#ifndef FASTER_DEVICE_TOOLS_H
#define FASTER_DEVICE_TOOLS_H

#include <stdint.h>

#include "faster/device.h"

/* What a request asks for; the bits of a mask where several are meant. */
enum faster_device_kind {
    FASTER_KIND_READ = 1,
    FASTER_KIND_WRITE = 2,
    FASTER_KIND_SYNC = 4,
    FASTER_KIND_TRUNCATE = 8,
    FASTER_KIND_CLOSE = 16
};

/* --- the core's own devices ------------------------------------------------------- */

/*
 * Make a device that keeps bytes in memory, in segments allocated as they are written.
 * The table lives until faster_device_free, which follows its `close`.
 * Errors: -EINVAL unless segment_size is a power of two of 4 KiB to 1 GiB, -ENOMEM.
 */
int faster_device_memory(uint64_t segment_size, uint64_t capacity,
                         struct faster_device **device);

/* Make a device that takes every write, keeps nothing and reads as zeros. */
int faster_device_null(struct faster_device **device);

/* Free a table made by one of these two, if its `close` has been called; else leave it,
 * for somebody may still use it.  The same is meant by "free" below. */
void faster_device_free(struct faster_device *device);

/* Accept or refuse a table, as the core does before it uses one. */
int faster_device_check(const struct faster_device *device);

/* Call a table's `close`, for a device that was never handed to a store. */
int faster_device_close(const struct faster_device *device);

/* Make durable what was written to such a device.  Blocks: for the device. */
int faster_device_sync(const struct faster_device *device);

/* --- the queue: a device served by threads that pull ------------------------------ */

struct faster_queue_config {
    uint32_t size;
    uint32_t sector_size; /* as in struct faster_device, down to atomic_unit */
    uint32_t alignment;
    uint32_t atomic_unit;
    uint64_t capabilities;
    uint64_t capacity;
    uint64_t max_io;

    uint32_t requests_max; /* in flight at most; beyond it -EAGAIN refuses; 0: 4096 */
    uint32_t timeout_ms;   /* how long truncate_before and close wait; 0: 60,000 */
};

/* What a thread has pulled.  `buffer` is the queue's copy and the thread's to use until
 * it calls faster_queue_buffer_free, whatever becomes of the request. */
struct faster_queue_request {
    uint64_t id;
    uint64_t offset;
    uint64_t length;
    void *buffer;  /* write: what to write; read: zeros to fill; else NULL */
    uint32_t kind; /* enum faster_device_kind */
    uint32_t reserved;
};

struct faster_queue_stats {
    uint64_t submitted; /* accepted requests */
    uint64_t completed; /* those whose completion was called */
    uint64_t refused;   /* submissions refused because the queue was full */
    uint64_t strays;    /* completions of no request: second, late or made up */
    uint64_t timeouts;  /* requests that were given up */
};

struct faster_queue;

int faster_queue_open(const struct faster_queue_config *config,
                      struct faster_queue **queue);

/* The device's table; it lives until faster_queue_free. */
struct faster_device *faster_queue_device(struct faster_queue *queue);

/*
 * Pull the next request.
 * Returns FASTER_OK; FASTER_NOT_FOUND when the time is over; FASTER_E_CLOSED when there
 * will be nothing more, after which the thread ends.  The last request, given when the
 * device is closed and nobody works on another, is FASTER_KIND_CLOSE.
 * Blocks: up to `timeout_ms`.
 */
int faster_queue_take(struct faster_queue *queue, uint32_t timeout_ms,
                      struct faster_queue_request *request);

/*
 * Report how a pulled request ended: `status` as a completion's code
 * (FASTER_DEVICE_DONE, or a failure), and how many bytes were moved.
 * Errors: FASTER_E_CLOSED for a request that is not out: reported before, given up, or
 * never there.  It is counted, and nobody else learns of it.
 */
int faster_queue_complete(struct faster_queue *queue, uint64_t id, int32_t status,
                          uint64_t bytes);

/* Give back what `buffer` of a pulled request pointed to; NULL is allowed.  Any time,
 * once; also after the queue was freed. */
void faster_queue_buffer_free(void *buffer);

/* Accept no more; threads get what is queued, then FASTER_KIND_CLOSE, then
 * FASTER_E_CLOSED. */
void faster_queue_stop(struct faster_queue *queue);

void faster_queue_stats(struct faster_queue *queue, struct faster_queue_stats *stats);

/* Free a queue whose device was closed, once no thread pulls any more. */
void faster_queue_free(struct faster_queue *queue);

/* --- the faulty device: another device, and what shall go wrong ------------------- */

enum faster_fault {
    FASTER_FAULT_REFUSE = 1, /* the submission returns `argument`, not 0 */
    FASTER_FAULT_FAIL,       /* not carried out; completed with code `argument` */
    FASTER_FAULT_CODE,       /* carried out; completed with code `argument` */
    FASTER_FAULT_BYTES,      /* carried out; said to have moved `argument` bytes */
    FASTER_FAULT_SHORT,      /* only `argument` bytes; below 0: so many fewer */
    FASTER_FAULT_HOLD,       /* carried out after `argument` more; 0: by release */
    FASTER_FAULT_NEVER,      /* not carried out; -ECANCELED when closed */
    FASTER_FAULT_TWICE,      /* completed twice in a row */
    FASTER_FAULT_LATE,       /* carried out; completed by a release after close */
    FASTER_FAULT_INLINE,     /* completed before the submission returns */
    FASTER_FAULT_FOREIGN,    /* completed by a thread of the faulty device */
    FASTER_FAULT_FLIP,       /* bit `argument` of the data is another */
    FASTER_FAULT_DROP,       /* not carried out, and said to be done */
    FASTER_FAULT_TEAR,       /* only sectors set in `mask`; argument 1: from the end */
    FASTER_FAULT_MISDIRECT,  /* carried out `argument` bytes further on */
    FASTER_FAULT_STALE       /* a read gives what was there before the last write */
};

/*
 * A rule matches requests of its kinds that touch [begin, end), and counts them.  It
 * fires at the nth of them and every `every` after it, at most `times`, each time with
 * the probability.  Of several rules that fire the first does.
 */
struct faster_fault_rule {
    uint32_t kinds;       /* of enum faster_device_kind; 0: all that the fault knows */
    uint32_t fault;       /* enum faster_fault */
    uint64_t begin;       /* sync: not looked at; truncate: its offset */
    uint64_t end;         /* 0: no end */
    uint64_t nth;         /* from 1; 0 is 1 */
    uint64_t every;       /* 0 is 1 */
    uint64_t times;       /* 0: for ever */
    uint64_t probability; /* in 2^32; 0: always */
    int64_t argument;
    uint64_t mask; /* TEAR: sector i is written if bit i mod 64 is set */
};

struct faster_faulty_config {
    uint32_t size;
    uint32_t rules_count;
    const struct faster_fault_rule *rules; /* copied */
    uint64_t seed;                         /* of the probabilities */

    /* What the table claims instead of the truth; 0: as the device behind. */
    uint64_t capabilities_set;
    uint64_t capabilities_clear;
    uint64_t max_io;
    uint32_t sector_size;
    uint32_t alignment;
};

/* One injected fault. */
struct faster_fault_event {
    uint64_t number; /* of the request, counted from 1 over all kinds */
    uint64_t offset;
    uint64_t length;
    uint32_t rule; /* index */
    uint32_t fault;
    uint32_t kind;
    uint32_t reserved;
};

struct faster_faulty_stats {
    uint64_t reads; /* submitted, down to truncates */
    uint64_t writes;
    uint64_t syncs;
    uint64_t truncates;
    uint64_t injected;
    uint64_t waiting; /* held or never completed, at this moment */
};

struct faster_faulty;

/* Stand before a device, which the faulty one's `close` closes.  `inner` stays where it
 * is until then.  Errors: -EINVAL for a rule that makes no sense, -ENOMEM, -errno. */
int faster_faulty_open(const struct faster_faulty_config *config,
                       const struct faster_device *inner,
                       struct faster_faulty **faulty);
struct faster_device *faster_faulty_device(struct faster_faulty *faulty);

/* Let go what is held by HOLD; after close what is held by LATE.  Gives how many. */
int faster_faulty_release(struct faster_faulty *faulty);

void faster_faulty_stats(struct faster_faulty *faulty,
                         struct faster_faulty_stats *stats);
/* How often a rule has fired. */
uint64_t faster_faulty_fired(struct faster_faulty *faulty, uint32_t rule);
/* The index-th injected fault; FASTER_NOT_FOUND if it is not (or no longer) known: the
 * last 1,024 are. */
int faster_faulty_event(struct faster_faulty *faulty, uint64_t index,
                        struct faster_fault_event *event);

/* Free it once it was closed; what LATE still holds is never completed. */
void faster_faulty_free(struct faster_faulty *faulty);

/* --- the recording device: another device, and what it was asked ------------------ */

enum {
    FASTER_RECORD_BYTES = 1, /* keep what is written, not only its hash */
    FASTER_RECORD_READS = 2  /* record reads too */
};

struct faster_recording_config {
    uint32_t size;
    uint32_t flags;
    uint64_t events_max; /* 0: 1 Mi; what comes later is only counted */
    uint64_t bytes_max;  /* 0: 1 GiB; what comes later has only its hash */
};

/*
 * One request.  Each submission and each completion takes the next number of one clock
 * from 1, so that a sync covers exactly the writes whose `completed` is not 0 and below
 * the sync's `submitted` (faster/device.h V6).
 */
struct faster_recording_event {
    uint64_t submitted;
    uint64_t completed; /* 0: not yet, or refused */
    uint64_t offset;
    uint64_t length;
    uint64_t moved;
    uint64_t hash;     /* FNV-1a of what was to be written */
    const void *bytes; /* the same bytes, or NULL; live until clear or free */
    uint32_t kind;
    int32_t result; /* what the submission returned */
    int32_t code;   /* what the completion said */
    uint32_t completions;
};

struct faster_recording;

int faster_recording_open(const struct faster_recording_config *config,
                          const struct faster_device *inner,
                          struct faster_recording **recording);
struct faster_device *faster_recording_device(struct faster_recording *recording);

/* How many events are recorded, and how many came after there was room. */
uint64_t faster_recording_count(struct faster_recording *recording);
uint64_t faster_recording_lost(struct faster_recording *recording);
/* The index-th event, in the order of submission; FASTER_NOT_FOUND beyond the last. */
int faster_recording_event(struct faster_recording *recording, uint64_t index,
                           struct faster_recording_event *event);
/* Forget everything recorded; -EBUSY while a request is in flight. */
int faster_recording_clear(struct faster_recording *recording);

/* Free it once it was closed. */
void faster_recording_free(struct faster_recording *recording);

/* --- the probe: driving a device by hand ------------------------------------------ */

/* What is known of one request. */
struct faster_probe_result {
    uint64_t bytes;       /* of the first completion */
    int32_t result;       /* what the submission returned */
    int32_t code;         /* of the first completion: raw, or judged */
    uint32_t completions; /* more than one breaks V2, one of a refused request V1 */
    uint32_t inside;      /* whether it was completed inside the submission */
    uint32_t foreign;     /* whether by another thread than the submitting one */
    uint32_t overrun;     /* whether bytes around the buffer were changed */
};

struct faster_probe;

/* Drive a device; `device` stays where it is until faster_probe_free.
 * Errors: what faster_device_check says. */
int faster_probe_open(const struct faster_device *device, struct faster_probe **probe);

/*
 * Submit a request; `ticket` names it from then on, also when it was refused.
 * The buffer is the probe's: at a multiple of 4,096 plus `misalignment`, filled with
 * `data`, or with 0xEE for a read.  `judged` asks through the core's own checks
 * (faster/device.h V3, V4), so that `code` is a status; else the table is called as it
 * is and `code` is the device's word.
 * Returns what the submission returned; -ENOMEM also when there is no memory, with
 * *ticket unchanged.
 */
int faster_probe_read(struct faster_probe *probe, uint64_t offset, uint64_t length,
                      uint32_t misalignment, int judged, uint64_t *ticket);
int faster_probe_write(struct faster_probe *probe, uint64_t offset, const void *data,
                       uint64_t length, uint32_t misalignment, int judged,
                       uint64_t *ticket);
int faster_probe_sync(struct faster_probe *probe, int judged, uint64_t *ticket);

/* The table's other functions, as they answer. */
int faster_probe_truncate_before(struct faster_probe *probe, uint64_t offset);
int faster_probe_poll(struct faster_probe *probe);
int faster_probe_device_wait(struct faster_probe *probe, uint32_t timeout_ms);

/* Call the table's wait until a request is completed; FASTER_E_TIMEOUT if it is not in
 * time.  Blocks: up to `timeout_ms`, if the table's wait keeps to its time. */
int faster_probe_wait(struct faster_probe *probe, uint64_t ticket, uint32_t timeout_ms);

/* What is known of a request; FASTER_NOT_FOUND if there is none of that name. */
int faster_probe_result(struct faster_probe *probe, uint64_t ticket,
                        struct faster_probe_result *result);
/* A request's buffer, of its length; NULL if there is none.  Lives until free. */
void *faster_probe_buffer(struct faster_probe *probe, uint64_t ticket);

/* How many requests were submitted and how many completions came, in all. */
uint64_t faster_probe_submitted(struct faster_probe *probe);
uint64_t faster_probe_completed(struct faster_probe *probe);

/* Close the device, as its table answers; a second call gives FASTER_E_CLOSED. */
int faster_probe_close(struct faster_probe *probe);
/* Free the probe and all buffers once the device was closed. */
void faster_probe_free(struct faster_probe *probe);

#endif
