/* SPDX-License-Identifier: MIT */
/*
 * faulty.h: a device that does wrong on purpose
 *
 * Level 1.  Includes: base.
 *
 * Purpose
 *   What the log promises when a device fails can only be tested with a device that
 *   fails when told: at the nth request, in the told way, and the same way again when
 *   the test is run again.
 *
 * Model
 *   The faulty device stands before another one.  Every request is counted and shown to
 *   the rules; one that no rule fires for is forwarded as it is.  For the others an op
 *   is made, which is carried out in the way its fault says and completed by us:
 *
 *       started ----> behind ----> judged ----> completed (once, twice, altered)
 *          |                          +-------> foreign or late, completed by others
 *          +--------> held, never, or not carried out at all
 *
 *   Chance is a hash of the seed, the rule, the kind and the request's number within
 *   its kind, so that threads change nothing about it.  No clock is asked: what is held
 *   is let go by a call, or by later requests.
 *
 * Invariants
 *   I1  A request that no rule fired for is completed as the device behind does.
 *   I2  Each op is in one place: started, held, never, foreign, late.
 *   I3  After close nothing is in any place but late.
 *   I4  Of the rules, the first that fires decides; all that match have counted.
 *
 * Ordering   One lock.
 * Progress   Blocking: the lock.  INLINE, TEAR and STALE wait in the submission for the
 *            device behind.
 * Threads    any; one of its own if a rule is FOREIGN, started by open, joined by close
 * Errors     -ENOMEM refuses a request that an op could not be made for; what FAIL,
 *            CODE and REFUSE are told.
 * Limits     The device behind has to keep the rules.  TWICE and LATE call `done` for a
 *            request that is over: its memory has to be there, as that of a probe's
 *            ticket or of a queue is.  A write shortened below the alignment of the
 *            device behind moves nothing.  STALE knows the last 64 writes.
 * Source     none
 * Tests      tests/device/{validate_faulty,validate_faulty_rules,torture_faulty,
 *            fault_tools}.c
 */
#ifndef FASTER_DEVICE_FAULTY_H
#define FASTER_DEVICE_FAULTY_H

#include <stdbool.h>

#include "base/condition.h"
#include "faster/device_tools.h"

/* How many injected faults are remembered. */
enum { FAULTY_EVENTS = 1024 };
/* How many writes STALE can look behind. */
enum { FAULTY_HISTORY = 64 };

struct fault_rule {
    struct faster_fault_rule is;
    uint64_t matched;
    uint64_t fired;
};

/* What the rules are asked about. */
struct fault_query {
    uint32_t kind;
    uint64_t ordinal; /* the request's number within its kind, from 1 */
    uint64_t offset;
    uint64_t length;
};

/* Whether a rule makes sense; fills in what 0 stands for.  0 or -EINVAL. */
int fault_rule_complete(struct faster_fault_rule *rule);

/* Show a request to all rules; the index of the one that fires, or `count`. */
uint32_t fault_rules_ask(struct fault_rule *rules, uint32_t count, uint64_t seed,
                         const struct fault_query *query);

/* What the last writes replaced, newest last. */
struct fault_history;

struct fault_history *fault_history_new(void);
void fault_history_free(struct fault_history *history);
/* Remember what `behind` holds where a write will go; -ENOMEM or a failed read.  Waits
 * for the device. */
int fault_history_note(struct fault_history *history,
                       const struct faster_device *behind, uint64_t offset,
                       uint64_t length);
/* Put what the last write over any part of a range replaced into what was read. */
void fault_history_restore(struct fault_history *history, uint64_t offset,
                           uint8_t *bytes, uint64_t length);

struct fault_op;

struct fault_list {
    struct fault_op *first;
    struct fault_op *last;
    uint64_t count;
};

struct faster_faulty {
    struct faster_device device;
    const struct faster_device *behind;
    uint32_t rules_count;
    uint64_t seed;
    struct fault_rule *rules;      /* what changes in them: inside the lock */
    struct fault_history *history; /* NULL without a rule for STALE */

    struct lock lock; /* guards the rest */
    struct condition changes;
    struct faster_faulty_stats stats;
    uint64_t number;     /* of the last request, over all kinds */
    uint64_t unreported; /* completed by us since the last poll or wait */
    bool finishing;      /* our thread completes a request that is on no list now */
    struct fault_list held;
    struct fault_list never;
    struct fault_list late;
    struct fault_list foreign;
    bool closing;
    bool closed;
    struct faster_fault_event events[FAULTY_EVENTS];

    /* Completes what is in `foreign`, if a rule asks for it. */
    bool has_thread;
    struct thread thread;
};

/* faulty_ops.c: start a request that a rule fired for.  Returns as a submission. */
struct fault_request {
    uint32_t kind;
    uint64_t number;
    uint64_t offset;
    uint64_t length;
    const void *from;
    void *into;
    const struct faster_completion *completion;
};

int fault_start(struct faster_faulty *faulty, const struct faster_fault_rule *rule,
                const struct fault_request *request);
/* Carry out what is held and due at this number, all of it for UINT64_MAX; how many. */
int fault_release_held(struct faster_faulty *faulty, uint64_t number);
/* Complete what was to be completed never; what was kept late. */
int fault_cancel_never(struct faster_faulty *faulty);
int fault_release_late(struct faster_faulty *faulty);
/* Forget what was kept late. */
void fault_drop_late(struct faster_faulty *faulty);
/* The thread's main function: complete what is foreign until closing. */
void fault_thread(void *context);

#endif
