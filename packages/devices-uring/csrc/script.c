/* SPDX-License-Identifier: MIT */
#include "script.h"

#include <errno.h>
#include <stdlib.h>

struct script *script_new(void) {
    struct script *script = calloc(1, sizeof *script);
    if (script != NULL && os_lock_init(&script->lock) != 0) {
        free(script);
        return NULL;
    }
    return script;
}

void script_free(struct script *script) {
    if (script != NULL) {
        os_lock_destroy(&script->lock);
        free(script);
    }
}

int script_answer(struct script *script, uint32_t call, int32_t answer) {
    if (call >= SCRIPT_CALLS) {
        return -EINVAL;
    }
    int status = -ENOSPC;
    os_lock_enter(&script->lock);
    if (script->answers_count[call] < SCRIPT_ANSWERS) {
        script->answers[call][script->answers_count[call]++] = answer;
        status = 0;
    }
    os_lock_leave(&script->lock);
    return status;
}

int script_rule(struct script *script, const struct script_rule *rule) {
    int status = -ENOSPC;
    os_lock_enter(&script->lock);
    if (script->rules_count < SCRIPT_RULES) {
        script->rules[script->rules_count++] = *rule;
        status = 0;
    }
    os_lock_leave(&script->lock);
    return status;
}

void script_results(struct script *script, uint32_t count) {
    os_lock_enter(&script->lock);
    script->results_true = count;
    os_lock_leave(&script->lock);
}

void script_hide(struct script *script, uint32_t features) {
    os_lock_enter(&script->lock);
    script->features_hidden = features;
    os_lock_leave(&script->lock);
}

void script_performs(struct script *script) { script->performs = true; }

void script_counts(struct script *script, struct script_counts *counts) {
    os_lock_enter(&script->lock);
    *counts = script->counts;
    os_lock_leave(&script->lock);
}

/* Inside the lock. */
static int32_t next_answer(struct script *script, uint32_t call) {
    script->counts.calls[call]++;
    uint32_t used = script->answers_used[call];
    if (used < script->answers_count[call]) {
        script->answers_used[call]++;
        int32_t answer = script->answers[call][used];
        if (answer != SCRIPT_ASK) {
            return answer;
        }
    }
    script->counts.asked[call]++;
    return SCRIPT_ASK;
}

static int32_t answer_of(struct script *script, uint32_t call) {
    os_lock_enter(&script->lock);
    int32_t answer = next_answer(script, call);
    os_lock_leave(&script->lock);
    return answer;
}

static int scripted_setup(void *context, uint32_t entries,
                          struct io_uring_params *params) {
    struct script *script = context;
    int32_t answer = answer_of(script, SCRIPT_SETUP);
    if (answer != SCRIPT_ASK) {
        return answer;
    }
    uint32_t wanted = params->cq_entries;
    if (script->results_true != 0) {
        params->cq_entries = script->results_true;
    }
    int fd = ring_system.setup(NULL, entries, params);
    params->features &= ~script->features_hidden;
    if (script->results_true != 0 && fd >= 0) {
        /* The ring's own mask stays true, so that the device reads the right places;
         * the mapping has room, for it is rounded up to pages. */
        params->cq_entries = wanted;
    }
    return fd;
}

static int scripted_configure(void *context, int fd, uint32_t what, void *argument,
                              uint32_t count) {
    int32_t answer = answer_of(context, SCRIPT_CONFIGURE);
    if (answer != SCRIPT_ASK) {
        return answer;
    }
    return ring_system.configure(NULL, fd, what, argument, count);
}

static void make_empty(struct io_uring_sqe *entry, int32_t result) {
    if (result != SCRIPT_LOSE) { /* I1 */
        entry->opcode = IORING_OP_NOP;
        entry->fd = -1;
        entry->len = 0;
        entry->addr = 0;
        entry->off = 0;
        entry->rw_flags = 0;
    }
}

/* Apply the first rule that meets a request.  Inside the lock. */
static void bend(struct script *script, struct io_uring_sqe *entry) {
    for (uint32_t i = 0; i < script->rules_count; i++) {
        struct script_rule *rule = &script->rules[i];
        if (rule->opcode != entry->opcode) {
            continue;
        }
        if (rule->skip > 0) {
            rule->skip--;
            continue;
        }
        if (rule->count == 0) {
            continue;
        }
        rule->count--;
        if (rule->length != 0 && rule->length < entry->len) {
            entry->len = rule->length;
        }
        if (rule->result != SCRIPT_ASK && script->pending_count < SCRIPT_PENDING) {
            script->pending[script->pending_count].user_data = entry->user_data;
            script->pending[script->pending_count++].result = rule->result;
            make_empty(entry, rule->result);
        }
        return;
    }
}

/* Look at what was published since the last time (I2).  Inside the lock. */
static void look(struct script *script, struct ring *ring) {
    uint32_t tail = atomic_load_explicit(ring->submit_tail,
                                         memory_order_acquire); /* M1, as the kernel */
    while (script->looked != tail) {
        struct io_uring_sqe *entry =
            &ring->entries[script->looked & (ring->entries_count - 1)];
        script->counts.seen[entry->opcode & 63u]++;
        if ((entry->flags & IOSQE_IO_DRAIN) != 0) {
            script->counts.drained++;
        }
        bend(script, entry);
        script->looked++;
    }
    /* Nothing is added: the kernel will say that it has read the entries, and tools
     * that watch threads do not see the kernel. */
    (void)atomic_fetch_add_explicit(ring->submit_head, 0,
                                    memory_order_release); /* M1, with ring_take */
}

static int scripted_enter(void *context, struct ring *ring, uint32_t submit,
                          uint32_t wait_for, uint32_t flags,
                          const struct io_uring_getevents_arg *argument) {
    struct script *script = context;
    os_lock_enter(&script->lock);
    look(script, ring);
    int32_t answer = next_answer(script, submit > 0 ? SCRIPT_ENTER : SCRIPT_WAIT);
    os_lock_leave(&script->lock);
    if (answer != SCRIPT_ASK) {
        return answer;
    }
    return ring_system.enter(NULL, ring, submit, wait_for, flags, argument);
}

static bool scripted_result(void *context, struct ring_result *result) {
    struct script *script = context;
    bool kept = true;
    os_lock_enter(&script->lock);
    for (uint32_t i = 0; i < script->pending_count; i++) {
        if (script->pending[i].user_data == result->user_data) {
            result->result = script->pending[i].result;
            kept = result->result != SCRIPT_LOSE;
            script->pending[i] = script->pending[--script->pending_count];
            break;
        }
    }
    os_lock_leave(&script->lock);
    return kept;
}

static int32_t scripted_perform(void *context, const struct io_uring_sqe *entry) {
    struct script *script = context;
    struct io_uring_sqe bent = *entry;
    os_lock_enter(&script->lock);
    script->counts.seen[entry->opcode & 63u]++;
    bend(script, &bent);
    os_lock_leave(&script->lock);
    bool empty = bent.opcode == IORING_OP_NOP;
    int32_t moved = empty ? 0 : ring_system.perform(NULL, &bent);
    struct ring_result result = {.user_data = entry->user_data, .result = moved};
    return scripted_result(script, &result) ? result.result : moved;
}

struct ring_calls script_calls(struct script *script) {
    return (struct ring_calls){
        .setup = scripted_setup,
        .enter = scripted_enter,
        .configure = scripted_configure,
        .perform = script->performs ? scripted_perform : NULL,
        .result = scripted_result,
        .context = script,
    };
}
