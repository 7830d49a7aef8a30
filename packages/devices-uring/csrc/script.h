/* SPDX-License-Identifier: MIT */
/*
 * script.h: a kernel that answers as it is told
 *
 * Purpose
 *   What the device promises when the kernel is out of memory, moves less than it was
 *   asked for or loses a result has to be tried, and no real kernel does these things
 *   on demand.  A script stands between a ring and the kernel: it answers some calls
 *   itself, and bends some requests before the kernel sees them.
 *
 * Model
 *   Answers to setup, enter and configure are taken one after another; ASK means that
 *   the kernel is asked.  A rule meets the requests of one kind, after `skip` of them
 *   for `count` of them: it makes them shorter, so that the kernel itself does less, or
 *   it turns them into empty ones and gives them a result, or it loses their result.
 *   Plain calls in a request's place are only made when a script says so.
 *
 * Invariants
 *   I1  A request with a scripted result, but for a lost one, never reaches a file.
 *   I2  A request is looked at once, before the first call that may hand it over.
 *
 * Ordering   Inside a lock of its own; the device's order is not changed by it.
 * Progress   As the kernel.
 * Threads    any
 * Errors     as scripted
 * Limits     SCRIPT_ANSWERS answers of a kind, SCRIPT_RULES rules.
 * Source     none
 * Tests      tests/test_ring.py
 */
#ifndef PYFASTER_URING_SCRIPT_H
#define PYFASTER_URING_SCRIPT_H

#include "os.h"
#include "ring.h"

enum { SCRIPT_ANSWERS = 256, SCRIPT_RULES = 16, SCRIPT_PENDING = 256 };

/* Ask the kernel; as a result: ask it, and lose what it answers. */
enum { SCRIPT_ASK = 1 << 30, SCRIPT_LOSE = SCRIPT_ASK + 1 };

/* Which calls answers are for. */
enum {
    SCRIPT_SETUP = 0,
    SCRIPT_ENTER = 1, /* to hand over, waiting or not */
    SCRIPT_CONFIGURE = 2,
    SCRIPT_WAIT = 3, /* without handing over */
    SCRIPT_CALLS = 4
};

struct script_rule {
    uint32_t opcode;
    uint32_t skip;
    uint32_t count;
    uint32_t length; /* at most so many bytes; 0: as many as were asked for */
    int32_t result;  /* SCRIPT_ASK: the kernel's */
};

struct script_counts {
    uint64_t calls[SCRIPT_CALLS]; /* how often each was called */
    uint64_t asked[SCRIPT_CALLS]; /* how often the kernel was */
    uint64_t seen[64];            /* requests, by opcode */
    uint64_t drained;             /* requests that wait for all earlier ones */
};

struct script {
    struct os_lock lock;
    int32_t answers[SCRIPT_CALLS][SCRIPT_ANSWERS];
    uint32_t answers_count[SCRIPT_CALLS];
    uint32_t answers_used[SCRIPT_CALLS];
    struct script_rule rules[SCRIPT_RULES];
    uint32_t rules_count;
    struct {
        uint64_t user_data;
        int32_t result;
    } pending[SCRIPT_PENDING];
    uint32_t pending_count;
    uint32_t looked; /* requests below were looked at (I2) */
    uint32_t results_true;
    uint32_t features_hidden;
    bool performs; /* set before the device is opened */
    struct script_counts counts;
};

/* A script that asks the kernel for everything; NULL without memory. */
struct script *script_new(void);
void script_free(struct script *script);

/* Both return -ENOSPC when there is no more room. */
int script_answer(struct script *script, uint32_t call, int32_t answer);
int script_rule(struct script *script, const struct script_rule *rule);
/* Have setup make room for so few results, and hide that from the device. */
void script_results(struct script *script, uint32_t count);
/* Have setup deny these features. */
void script_hide(struct script *script, uint32_t features);
/* Let the device make plain calls, too, which the rules meet like requests; without
 * this all that is asked goes through the ring.  A result of theirs cannot get lost. */
void script_performs(struct script *script);
void script_counts(struct script *script, struct script_counts *counts);

/* What ring_open takes. */
struct ring_calls script_calls(struct script *script);

#endif
