/* SPDX-License-Identifier: MIT */
/*
 * cpr_kit.h: taking checkpoints of the stores of disk_kit.h
 */
#ifndef TESTS_CPR_CPR_KIT_H
#define TESTS_CPR_CPR_KIT_H

#include "cpr/checkpoint.h"
#include "store/disk_kit.h"

enum { CPR_KIT_SEED = 99, CPR_KIT_SOON_MS = 1 };

static inline struct faster_checkpoint *cpr_begin(struct faster_kv *kv, uint32_t kind) {
    struct faster_checkpoint_config config = {
        .size = sizeof config, .kind = kind, .seed = CPR_KIT_SEED};
    struct faster_checkpoint *checkpoint = NULL;
    CHECK_INT(faster_checkpoint_begin(kv, &config, &checkpoint), FASTER_OK);
    return checkpoint;
}

static inline uint32_t cpr_phase(struct faster_checkpoint *checkpoint) {
    struct faster_checkpoint_facts facts = {.size = sizeof facts};
    faster_checkpoint_facts_of(checkpoint, &facts);
    return facts.phase;
}

static inline struct faster_checkpoint_facts
cpr_facts(struct faster_checkpoint *checkpoint) {
    struct faster_checkpoint_facts facts = {.size = sizeof facts};
    faster_checkpoint_facts_of(checkpoint, &facts);
    return facts;
}

/* Advance to a phase, which must be reached. */
static inline void cpr_advance_to(struct faster_checkpoint *checkpoint,
                                  uint32_t phase) {
    while (cpr_phase(checkpoint) != phase) {
        CHECK_INT(faster_checkpoint_advance(checkpoint, KIT_DISK_WAIT_MS), FASTER_OK);
    }
}

/* Go on with a step that timed out. */
static inline void cpr_go_on(struct faster_checkpoint *checkpoint) {
    CHECK_INT(faster_checkpoint_advance(checkpoint, KIT_DISK_WAIT_MS), FASTER_OK);
}

/* Read a stream to its end and forget it. */
static inline void cpr_read_away(struct faster_checkpoint *checkpoint, uint32_t part) {
    static _Thread_local uint64_t buffer[(1 << 20) / 8];
    uint64_t size = 1;
    while (size != 0) {
        int result =
            faster_checkpoint_read(checkpoint, part, buffer, sizeof buffer, &size);
        if (result == FASTER_RETRY) {
            size = 1;
            continue;
        }
        CHECK_INT(result, FASTER_OK);
    }
}

/* A session with an id. */
static inline struct faster_session *cpr_session(struct faster_kv *kv, uint64_t id) {
    struct faster_session *session;
    CHECK_INT(faster_session_resume(kv, id, 0, &session), FASTER_OK);
    return session;
}

/* The commit point of a session, which must have one. */
static inline uint64_t cpr_point(struct faster_checkpoint *checkpoint, uint64_t id) {
    struct faster_point points[64];
    uint64_t count = 0;
    CHECK_INT(faster_checkpoint_points(checkpoint, points, 64, &count), FASTER_OK);
    for (uint64_t i = 0; i < count; i++) {
        if (points[i].id == id) {
            return points[i].serial;
        }
    }
    CHECK(false, "session %" PRIu64 " has no commit point", id);
    return 0;
}

/* A whole fold-over, which is not published anywhere. */
static inline void cpr_fold_over(struct faster_kv *kv) {
    struct faster_checkpoint *checkpoint = cpr_begin(kv, FASTER_FOLD_OVER);
    cpr_advance_to(checkpoint, FASTER_PHASE_PERSIST);
    faster_checkpoint_end(checkpoint);
}

#endif
