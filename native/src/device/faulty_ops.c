/* SPDX-License-Identifier: MIT */
/* How a fault is injected into a request: see faulty.h */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "device/device.h"
#include "device/faulty.h"
#include "device/queue.h"

struct fault_op {
    struct faster_faulty *owner;
    struct faster_completion outer; /* the log's */
    struct faster_completion inner; /* the one the device behind gets */
    struct fault_request request;
    struct faster_fault_rule rule;
    struct bounce *copy; /* what is written instead, or NULL */
    uint64_t due;        /* held until the request of this number */
    struct fault_op *next;

    /* What the device behind said, for those completed later. */
    int32_t code;
    uint64_t bytes;
    bool ended; /* inside the lock */
};

/* --- lists; inside the lock ------------------------------------------------------- */

static void append(struct fault_list *list, struct fault_op *op) {
    op->next = NULL;
    if (list->first == NULL) {
        list->first = op;
    } else {
        list->last->next = op;
    }
    list->last = op;
    list->count++;
}

static struct fault_op *take_first(struct fault_list *list) {
    struct fault_op *op = list->first;
    if (op != NULL) {
        list->first = op->next;
        list->count--;
    }
    return op;
}

/* The first that is due at this number. */
static struct fault_op *take_due(struct fault_list *list, uint64_t number) {
    struct fault_op *before = NULL;
    for (struct fault_op *op = list->first; op != NULL; before = op, op = op->next) {
        if (op->due > number) {
            continue;
        }
        if (before == NULL) {
            list->first = op->next;
        } else {
            before->next = op->next;
        }
        if (list->last == op) {
            list->last = before;
        }
        list->count--;
        return op;
    }
    return NULL;
}

static void park(struct fault_op *op, struct fault_list *list) {
    struct faster_faulty *faulty = op->owner;
    lock_enter(&faulty->lock);
    append(list, op);
    condition_wake(&faulty->changes);
    lock_leave(&faulty->lock);
}

/* --- completing ------------------------------------------------------------------- */

static void op_free(struct fault_op *op) {
    if (op->copy != NULL) {
        bounce_drop(op->copy);
    }
    free(op);
}

/* Complete for the log, and note that we did. */
static void finish(struct fault_op *op, int32_t code, uint64_t bytes) {
    struct faster_faulty *faulty = op->owner;
    struct faster_completion outer = op->outer;
    bool twice = op->rule.fault == FASTER_FAULT_TWICE;
    op_free(op);
    outer.done(outer.context, code, bytes);
    if (twice) {
        outer.done(outer.context, code, bytes);
    }
    lock_enter(&faulty->lock);
    faulty->unreported++;
    condition_wake(&faulty->changes);
    lock_leave(&faulty->lock);
}

static void flip(uint8_t *bytes, uint64_t length, uint64_t bit) {
    if (length > 0) {
        bytes[bit / 8 % length] ^= (uint8_t)(1u << bit % 8);
    }
}

/* Change what was read and what is said about it. */
static void alter(struct fault_op *op) {
    const struct fault_request *request = &op->request;
    bool read = request->kind == FASTER_KIND_READ && op->code == FASTER_DEVICE_DONE &&
                op->bytes <= request->length;
    switch (op->rule.fault) {
    case FASTER_FAULT_CODE:
        op->code = (int32_t)op->rule.argument;
        break;
    case FASTER_FAULT_BYTES:
        op->bytes = (uint64_t)op->rule.argument;
        break;
    case FASTER_FAULT_FLIP:
        if (read) {
            flip(request->into, op->bytes, (uint64_t)op->rule.argument);
        }
        break;
    case FASTER_FAULT_STALE:
        if (read) {
            fault_history_restore(op->owner->history, request->offset, request->into,
                                  op->bytes);
        }
        break;
    default:
        break;
    }
}

/* The device behind is done; who tells the log depends on the fault. */
static void done(void *context, int32_t code, uint64_t bytes) {
    struct fault_op *op = context;
    struct faster_faulty *faulty = op->owner;
    op->code = code;
    op->bytes = bytes;
    alter(op);
    switch (op->rule.fault) {
    case FASTER_FAULT_LATE:
        park(op, &faulty->late);
        break;
    case FASTER_FAULT_FOREIGN:
        park(op, &faulty->foreign);
        break;
    case FASTER_FAULT_INLINE:
        lock_enter(&faulty->lock);
        op->ended = true; /* its submitter waits for this, and completes it */
        condition_wake(&faulty->changes);
        lock_leave(&faulty->lock);
        break;
    default:
        finish(op, op->code, op->bytes);
        break;
    }
}

/* --- carrying out ----------------------------------------------------------------- */

static int forward(const struct fault_op *op) {
    const struct faster_device *behind = op->owner->behind;
    const struct fault_request *request = &op->request;
    const void *from = op->copy != NULL ? bounce_data(op->copy) : request->from;
    switch (request->kind) {
    case FASTER_KIND_READ:
        return behind->read(behind->context, request->offset, request->into,
                            request->length, &op->inner);
    case FASTER_KIND_WRITE:
        return behind->write(behind->context, request->offset, from, request->length,
                             &op->inner);
    default:
        return behind->sync(behind->context, &op->inner);
    }
}

/* Forward in a submission: a refusal is the submission's. */
static int submit(struct fault_op *op) {
    int result = forward(op);
    if (result != 0) {
        op_free(op);
    }
    return result;
}

/* Forward what was accepted long ago: a refusal has to be a completion. */
static void resume(struct fault_op *op) {
    op->rule.fault = FASTER_FAULT_HOLD;
    int result = forward(op);
    if (result != 0) {
        finish(op, result < 0 ? result : -EIO, 0);
    }
}

/* Ended by the device behind, which completes what it accepted. */
static int submit_inline(struct fault_op *op) {
    enum { PIECE_MS = 10 };
    struct faster_faulty *faulty = op->owner;
    int result = submit(op);
    if (result != 0) {
        return result;
    }
    lock_enter(&faulty->lock);
    while (!op->ended) {
        lock_leave(&faulty->lock);
        (void)faulty->behind->wait(faulty->behind->context, PIECE_MS);
        lock_enter(&faulty->lock);
    }
    lock_leave(&faulty->lock);
    finish(op, op->code, op->bytes);
    return 0;
}

static int submit_short(struct fault_op *op) {
    struct fault_request *request = &op->request;
    uint64_t wanted = (uint64_t)op->rule.argument;
    if (op->rule.argument < 0) {
        uint64_t less = 0 - wanted;
        wanted = less < request->length ? request->length - less : 0;
    }
    wanted = wanted < request->length ? wanted : request->length;
    request->length = wanted & ~((uint64_t)op->owner->behind->alignment - 1);
    if (request->length == 0) {
        finish(op, FASTER_DEVICE_DONE, 0);
        return 0;
    }
    return submit(op);
}

static int submit_flipped(struct fault_op *op) {
    const struct fault_request *request = &op->request;
    if (request->kind == FASTER_KIND_WRITE) {
        op->copy = bounce_new(request->length, op->owner->behind->alignment);
        if (op->copy == NULL) {
            op_free(op);
            return -ENOMEM;
        }
        memcpy(bounce_data(op->copy), request->from, (size_t)request->length);
        flip(bounce_data(op->copy), request->length, (uint64_t)op->rule.argument);
    }
    return submit(op);
}

/* Whether a torn write reaches its index-th sector of `count`. */
static bool is_written(const struct faster_fault_rule *rule, uint64_t index,
                       uint64_t count) {
    uint64_t bit = rule->argument == 0 ? index : count - 1 - index;
    return (rule->mask >> bit % 64 & 1) != 0;
}

static int submit_torn(struct fault_op *op) {
    const struct fault_request *request = &op->request;
    const struct faster_device *behind = op->owner->behind;
    uint64_t unit = behind->sector_size;
    uint64_t count = (request->length + unit - 1) / unit;
    int status = 0;
    for (uint64_t i = 0; i < count && status == 0; i++) {
        uint64_t at = i * unit;
        uint64_t size = request->length - at < unit ? request->length - at : unit;
        if (is_written(&op->rule, i, count)) {
            status = device_write_wait(behind, request->offset + at,
                                       (const uint8_t *)request->from + at, size);
        }
    }
    if (status != 0) {
        op_free(op);
        return status;
    }
    finish(op, FASTER_DEVICE_DONE, request->length);
    return 0;
}

static int hold(struct fault_op *op) {
    uint64_t later = (uint64_t)op->rule.argument;
    op->due = later != 0 ? op->request.number + later : UINT64_MAX;
    park(op, &op->owner->held);
    return 0;
}

static int end_at_once(struct fault_op *op, int32_t code, uint64_t bytes) {
    finish(op, code, bytes);
    return 0;
}

static int start(struct fault_op *op) {
    switch (op->rule.fault) {
    case FASTER_FAULT_FAIL:
        return end_at_once(op, (int32_t)op->rule.argument, 0);
    case FASTER_FAULT_DROP:
        return end_at_once(op, FASTER_DEVICE_DONE, op->request.length);
    case FASTER_FAULT_NEVER:
        park(op, &op->owner->never);
        return 0;
    case FASTER_FAULT_HOLD:
        return hold(op);
    case FASTER_FAULT_SHORT:
        return submit_short(op);
    case FASTER_FAULT_FLIP:
        return submit_flipped(op);
    case FASTER_FAULT_TEAR:
        return submit_torn(op);
    case FASTER_FAULT_INLINE:
        return submit_inline(op);
    case FASTER_FAULT_MISDIRECT:
        op->request.offset += (uint64_t)op->rule.argument;
        return submit(op);
    default:
        return submit(op);
    }
}

int fault_start(struct faster_faulty *faulty, const struct faster_fault_rule *rule,
                const struct fault_request *request) {
    if (rule->fault == FASTER_FAULT_REFUSE) {
        return (int)rule->argument;
    }
    struct fault_op *op = calloc(1, sizeof *op);
    if (op == NULL) {
        return -ENOMEM;
    }
    op->owner = faulty;
    op->outer = *request->completion;
    op->inner = (struct faster_completion){done, op};
    op->request = *request;
    op->rule = *rule;
    return start(op);
}

/* --- what waits ------------------------------------------------------------------- */

int fault_release_held(struct faster_faulty *faulty, uint64_t number) {
    for (int count = 0;; count++) {
        lock_enter(&faulty->lock);
        struct fault_op *op = take_due(&faulty->held, number);
        lock_leave(&faulty->lock);
        if (op == NULL) {
            return count;
        }
        resume(op);
    }
}

static int finish_all(struct faster_faulty *faulty, struct fault_list *list,
                      int32_t code) {
    for (int count = 0;; count++) {
        lock_enter(&faulty->lock);
        struct fault_op *op = take_first(list);
        lock_leave(&faulty->lock);
        if (op == NULL) {
            return count;
        }
        finish(op, code != 0 ? code : op->code, code != 0 ? 0 : op->bytes);
    }
}

int fault_cancel_never(struct faster_faulty *faulty) {
    return finish_all(faulty, &faulty->never, -ECANCELED);
}

int fault_release_late(struct faster_faulty *faulty) {
    return finish_all(faulty, &faulty->late, 0);
}

void fault_drop_late(struct faster_faulty *faulty) {
    struct fault_op *op;
    while ((op = take_first(&faulty->late)) != NULL) {
        op_free(op);
    }
}

void fault_thread(void *context) {
    enum { PIECE_MS = 60000 }; /* only wake-ups count */
    struct faster_faulty *faulty = context;
    lock_enter(&faulty->lock);
    /* Ends by close, which asks for it when nothing can become foreign any more. */
    while (faulty->foreign.first != NULL || !faulty->closed) {
        struct fault_op *op = take_first(&faulty->foreign);
        if (op == NULL) {
            condition_wait(&faulty->changes, &faulty->lock, PIECE_MS);
            continue;
        }
        faulty->finishing = true;
        lock_leave(&faulty->lock);
        finish(op, op->code, op->bytes);
        lock_enter(&faulty->lock);
        faulty->finishing = false;
    }
    lock_leave(&faulty->lock);
}
