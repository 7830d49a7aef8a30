/* SPDX-License-Identifier: MIT */
/* faulty.c: see faulty.h */
#include "device/faulty.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "device/device.h"
#include "faster/status.h"

/* --- every request ---------------------------------------------------------------- */

/* Count a request of a kind; its number within it.  Inside the lock. */
static uint64_t count_kind(struct faster_faulty_stats *stats, uint32_t kind) {
    switch (kind) {
    case FASTER_KIND_READ:
        return ++stats->reads;
    case FASTER_KIND_WRITE:
        return ++stats->writes;
    case FASTER_KIND_SYNC:
        return ++stats->syncs;
    default:
        return ++stats->truncates;
    }
}

/* Inside the lock. */
static void log_fault(struct faster_faulty *faulty, uint32_t rule,
                      const struct fault_request *request) {
    uint64_t index = faulty->stats.injected++ % FAULTY_EVENTS;
    faulty->events[index] = (struct faster_fault_event){
        .number = request->number,
        .offset = request->offset,
        .length = request->length,
        .rule = rule,
        .fault = faulty->rules[rule].is.fault,
        .kind = request->kind,
    };
}

/* Number a request and ask the rules; the one that fires, or NULL. */
static const struct faster_fault_rule *choose(struct faster_faulty *faulty,
                                              struct fault_request *request) {
    struct fault_query query = {
        .kind = request->kind,
        .offset = request->offset,
        .length = request->length,
    };
    lock_enter(&faulty->lock);
    request->number = ++faulty->number;
    query.ordinal = count_kind(&faulty->stats, request->kind);
    uint32_t rule =
        fault_rules_ask(faulty->rules, faulty->rules_count, faulty->seed, &query);
    if (rule < faulty->rules_count) {
        log_fault(faulty, rule, request);
    }
    lock_leave(&faulty->lock);
    return rule < faulty->rules_count ? &faulty->rules[rule].is : NULL;
}

/* What the request's predecessors were waiting for has happened. */
static int leave(struct faster_faulty *faulty, uint64_t number, int result) {
    (void)fault_release_held(faulty, number);
    return result;
}

/* --- the table -------------------------------------------------------------------- */

static int faulty_read(void *context, uint64_t offset, void *buffer, uint64_t length,
                       const struct faster_completion *completion) {
    struct faster_faulty *faulty = context;
    const struct faster_device *behind = faulty->behind;
    struct fault_request request = {
        .kind = FASTER_KIND_READ,
        .offset = offset,
        .length = length,
        .into = buffer,
        .completion = completion,
    };
    const struct faster_fault_rule *rule = choose(faulty, &request);
    int result = rule != NULL ? fault_start(faulty, rule, &request)
                              : behind->read(behind->context, offset, buffer, length,
                                             completion);
    return leave(faulty, request.number, result);
}

static int faulty_write(void *context, uint64_t offset, const void *buffer,
                        uint64_t length, const struct faster_completion *completion) {
    struct faster_faulty *faulty = context;
    const struct faster_device *behind = faulty->behind;
    struct fault_request request = {
        .kind = FASTER_KIND_WRITE,
        .offset = offset,
        .length = length,
        .from = buffer,
        .completion = completion,
    };
    int result = 0;
    if (faulty->history != NULL) {
        result = fault_history_note(faulty->history, behind, offset, length);
        if (result != 0) {
            return result;
        }
    }
    const struct faster_fault_rule *rule = choose(faulty, &request);
    result = rule != NULL
                 ? fault_start(faulty, rule, &request)
                 : behind->write(behind->context, offset, buffer, length, completion);
    return leave(faulty, request.number, result);
}

static int faulty_sync(void *context, const struct faster_completion *completion) {
    struct faster_faulty *faulty = context;
    const struct faster_device *behind = faulty->behind;
    struct fault_request request = {
        .kind = FASTER_KIND_SYNC,
        .completion = completion,
    };
    const struct faster_fault_rule *rule = choose(faulty, &request);
    int result = rule != NULL ? fault_start(faulty, rule, &request)
                              : behind->sync(behind->context, completion);
    return leave(faulty, request.number, result);
}

static int faulty_truncate_before(void *context, uint64_t offset) {
    struct faster_faulty *faulty = context;
    const struct faster_device *behind = faulty->behind;
    struct fault_request request = {.kind = FASTER_KIND_TRUNCATE, .offset = offset};
    const struct faster_fault_rule *rule = choose(faulty, &request);
    int result = 0;
    if (rule == NULL || rule->fault == FASTER_FAULT_CODE) {
        result = behind->truncate_before(behind->context, offset);
    }
    if (rule != NULL && rule->fault != FASTER_FAULT_DROP) {
        result = (int)rule->argument;
    }
    return leave(faulty, request.number, result);
}

/* Inside the lock. */
static int take_unreported(struct faster_faulty *faulty) {
    uint64_t count = faulty->unreported;
    faulty->unreported = 0;
    return count < INT_MAX / 2 ? (int)count : INT_MAX / 2;
}

static int faulty_poll(void *context) {
    struct faster_faulty *faulty = context;
    int behind = faulty->behind->poll(faulty->behind->context);
    lock_enter(&faulty->lock);
    int ours = take_unreported(faulty);
    lock_leave(&faulty->lock);
    return behind < 0 ? behind : behind + ours;
}

/* Whether we owe completions that the device behind knows nothing of.  Inside. */
static bool owes(const struct faster_faulty *faulty) {
    return faulty->held.first != NULL || faulty->never.first != NULL ||
           faulty->foreign.first != NULL || faulty->late.first != NULL ||
           faulty->finishing;
}

/* V11.  In pieces, for a completion may come from behind or from us, and nobody tells
 * the one who waits at the other. */
static int faulty_wait(void *context, uint32_t timeout_ms) {
    enum { PIECE_MS = 10 };
    struct faster_faulty *faulty = context;
    uint64_t deadline = clock_ms() + timeout_ms;
    for (;;) {
        int count = faulty_poll(faulty);
        uint64_t now = clock_ms();
        if (count != 0 || now >= deadline) {
            return count;
        }
        uint64_t left = deadline - now < PIECE_MS ? deadline - now : PIECE_MS;
        count = faulty->behind->wait(faulty->behind->context, (uint32_t)left);
        if (count != 0) {
            return count;
        }
        lock_enter(&faulty->lock);
        bool more = owes(faulty) && faulty->unreported == 0;
        if (more && clock_ms() < now + left) { /* nothing is in flight behind */
            (void)condition_wait_until(&faulty->changes, &faulty->lock, now + left);
        }
        count = take_unreported(faulty);
        lock_leave(&faulty->lock);
        if (count != 0 || (!more && clock_ms() < now + left)) {
            return count; /* nothing is in flight at all */
        }
    }
}

/* Let the thread complete what it has, and end. */
static void end_thread(struct faster_faulty *faulty) {
    lock_enter(&faulty->lock);
    faulty->closed = true;
    condition_wake(&faulty->changes);
    lock_leave(&faulty->lock);
    if (faulty->has_thread) {
        thread_join(&faulty->thread);
    }
}

static int faulty_close(void *context) {
    struct faster_faulty *faulty = context;
    lock_enter(&faulty->lock);
    bool was = faulty->closing;
    faulty->closing = true;
    lock_leave(&faulty->lock);
    if (was) {
        return FASTER_E_CLOSED;
    }
    (void)fault_release_held(faulty, UINT64_MAX);
    (void)fault_cancel_never(faulty);
    int result = faulty->behind->close(faulty->behind->context); /* V9: all completed */
    end_thread(faulty);
    return result;
}

/* --- opening and looking ---------------------------------------------------------- */

static void fill_table(struct faster_faulty *faulty,
                       const struct faster_faulty_config *config) {
    const struct faster_device *behind = faulty->behind;
    faulty->device = (struct faster_device){
        .abi = FASTER_DEVICE_ABI,
        .size = sizeof faulty->device,
        .context = faulty,
        .capabilities = (behind->capabilities | config->capabilities_set) &
                        ~config->capabilities_clear,
        .sector_size =
            config->sector_size != 0 ? config->sector_size : behind->sector_size,
        .alignment = config->alignment != 0 ? config->alignment : behind->alignment,
        .capacity = behind->capacity,
        .max_io = config->max_io != 0 ? config->max_io : behind->max_io,
        .atomic_unit = behind->atomic_unit,
        .read = faulty_read,
        .write = faulty_write,
        .sync = faulty_sync,
        .truncate_before = faulty_truncate_before,
        .poll = faulty_poll,
        .wait = faulty_wait,
        .close = faulty_close,
    };
}

static bool has_rule(const struct faster_faulty *faulty, uint32_t fault) {
    for (uint32_t i = 0; i < faulty->rules_count; i++) {
        if (faulty->rules[i].is.fault == fault) {
            return true;
        }
    }
    return false;
}

static int copy_rules(struct faster_faulty *faulty,
                      const struct faster_faulty_config *config) {
    faulty->rules = calloc((size_t)config->rules_count + 1, sizeof *faulty->rules);
    if (faulty->rules == NULL) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < config->rules_count; i++) {
        faulty->rules[i].is = config->rules[i];
        int status = fault_rule_complete(&faulty->rules[i].is);
        if (status != 0) {
            return status;
        }
    }
    faulty->rules_count = config->rules_count;
    if (has_rule(faulty, FASTER_FAULT_STALE)) {
        faulty->history = fault_history_new();
        return faulty->history != NULL ? 0 : -ENOMEM;
    }
    return 0;
}

/* The parts that can fail after the memory; undone in reverse. */
static int start(struct faster_faulty *faulty) {
    int status = lock_init(&faulty->lock);
    if (status != 0) {
        return status;
    }
    status = condition_init(&faulty->changes);
    if (status != 0) {
        goto no_condition;
    }
    if (has_rule(faulty, FASTER_FAULT_FOREIGN)) {
        status = thread_start(&faulty->thread, fault_thread, faulty);
        if (status != 0) {
            goto no_thread;
        }
        faulty->has_thread = true;
    }
    return 0;
no_thread:
    condition_destroy(&faulty->changes);
no_condition:
    lock_destroy(&faulty->lock);
    return status;
}

static void free_parts(struct faster_faulty *faulty) {
    fault_history_free(faulty->history);
    free(faulty->rules);
    free(faulty);
}

int faster_faulty_open(const struct faster_faulty_config *config,
                       const struct faster_device *inner,
                       struct faster_faulty **faulty) {
    if (config->size != sizeof *config) {
        return FASTER_E_ABI;
    }
    int status = device_validate(inner);
    if (status != 0) {
        return status;
    }
    struct faster_faulty *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return -ENOMEM;
    }
    made->behind = inner;
    made->seed = config->seed;
    fill_table(made, config);
    status = copy_rules(made, config);
    status = status != 0 ? status : start(made);
    if (status != 0) {
        free_parts(made);
        return status;
    }
    *faulty = made;
    return 0;
}

struct faster_device *faster_faulty_device(struct faster_faulty *faulty) {
    return &faulty->device;
}

int faster_faulty_release(struct faster_faulty *faulty) {
    lock_enter(&faulty->lock);
    bool closed = faulty->closed;
    lock_leave(&faulty->lock);
    return closed ? fault_release_late(faulty) : fault_release_held(faulty, UINT64_MAX);
}

void faster_faulty_stats(struct faster_faulty *faulty,
                         struct faster_faulty_stats *stats) {
    lock_enter(&faulty->lock);
    *stats = faulty->stats;
    stats->waiting = faulty->held.count + faulty->never.count;
    lock_leave(&faulty->lock);
}

uint64_t faster_faulty_fired(struct faster_faulty *faulty, uint32_t rule) {
    lock_enter(&faulty->lock);
    uint64_t fired = rule < faulty->rules_count ? faulty->rules[rule].fired : 0;
    lock_leave(&faulty->lock);
    return fired;
}

int faster_faulty_event(struct faster_faulty *faulty, uint64_t index,
                        struct faster_fault_event *event) {
    int status = FASTER_NOT_FOUND;
    lock_enter(&faulty->lock);
    uint64_t injected = faulty->stats.injected;
    if (index < injected && injected - index <= FAULTY_EVENTS) {
        *event = faulty->events[index % FAULTY_EVENTS];
        status = FASTER_OK;
    }
    lock_leave(&faulty->lock);
    return status;
}

void faster_faulty_free(struct faster_faulty *faulty) {
    lock_enter(&faulty->lock);
    bool closed = faulty->closed;
    lock_leave(&faulty->lock);
    if (!closed) {
        return;
    }
    fault_drop_late(faulty);
    condition_destroy(&faulty->changes);
    lock_destroy(&faulty->lock);
    free_parts(faulty);
}
