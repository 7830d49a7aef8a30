/* SPDX-License-Identifier: MIT */
/*
 * figures.h: what is counted and told of a log's pages and its device
 *
 * Level 3.  Includes: base, events, hlog.
 *
 * Purpose
 *   Whoever runs a store wants to know how its device does.  Counting that, and telling
 *   a listener, is no part of moving pages, so it stands here, and what moves them has
 *   a line for each thing that happens.
 *
 * Model
 *   Counters since the log was opened, a histogram of what succeeded, and the events of
 *   events.h that say the same one by one.  A device that is full for now (-EAGAIN) has
 *   neither failed nor been tried again.
 *
 * Invariants
 *   I1  Counters never go back, but for `flying`.
 * Ordering   Relaxed throughout: figures, guarding nothing.
 * Progress   wait-free where fetch-and-add is
 * Threads    any
 * Errors     none
 * Limits     none
 * Source     none
 * Tests      tests/log/validate_figures.c
 */
#ifndef FASTER_LOG_FIGURES_H
#define FASTER_LOG_FIGURES_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/histogram.h"
#include "events/events.h"
#include "log/hlog.h"

struct log_figures {
    _Atomic uint64_t writes; /* that succeeded */
    _Atomic uint64_t syncs;  /* likewise */
    _Atomic uint64_t retries;
    _Atomic uint64_t errors;
    _Atomic uint64_t flying; /* writes in flight */
    struct histogram write_times;
    struct histogram sync_times;
};

/* What is noted of a request while it is made, at first zero; times by clock_ns. */
struct figures_request {
    uint64_t begun_ns;   /* the first attempt */
    uint64_t started_ns; /* the last one */
    uint64_t ended_ns;   /* stored by its completion */
    uint32_t attempts;
    int32_t failed; /* what the last one that did not succeed came to, or FASTER_OK */
};

void figures_init(struct log_figures *figures);

/* How many writes are in flight now. */
void figures_set_flying(struct log_figures *figures, uint64_t flying);

/* An attempt is made, or has failed, or is made again after that. */
void figures_start(struct figures_request *request);
void figures_fail(struct log_figures *figures, struct figures_request *request,
                  int status);
void figures_retry(struct log_figures *figures);

/* A write of these bytes, or a sync, has succeeded. */
void figures_wrote(struct log_figures *figures, struct events *events,
                   const struct figures_request *write, uint64_t from, uint64_t until);
void figures_synced(struct log_figures *figures, const struct figures_request *sync);

/* What failed is not tried again. */
void figures_gave_up(struct events *events, enum faster_event_io io, int status,
                     uint64_t from, uint64_t until);

/* Pages have left memory; the tail is in a new page; writing goes on. */
void figures_evicted(struct events *events, uint64_t from, uint64_t until);
void figures_turned(struct events *events, uint64_t page, uint64_t address);
void figures_resumed(struct events *events);

#endif
