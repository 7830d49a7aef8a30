/* SPDX-License-Identifier: MIT */
/* module.c: see module.h */
#include "module.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "script.h"
#include "uring_device.h"

struct handle {
    struct faster_device table;

    struct os_lock lock;
    bool open;
    struct uring_figures last; /* once it is closed */
};

/* The device calls this as the last that it does with its memory. */
static void note_closing(void *context, const struct uring_figures *figures) {
    struct handle *handle = context;
    os_lock_enter(&handle->lock);
    handle->open = false;
    handle->last = *figures;
    os_lock_leave(&handle->lock);
}

static struct handle *handle_new(void) {
    struct handle *handle = calloc(1, sizeof *handle);
    if (handle != NULL && os_lock_init(&handle->lock) != 0) {
        free(handle);
        return NULL;
    }
    return handle;
}

void uring_free(void *device) {
    struct handle *handle = device;
    os_lock_destroy(&handle->lock);
    free(handle);
}

int uring_open(const struct uring_options *options, void *script, void **device,
               struct uring_trouble *trouble) {
    struct handle *handle = handle_new();
    if (handle == NULL) {
        return -ENOMEM;
    }
    struct ring_calls calls = ring_system;
    if (script != NULL) {
        calls = script_calls(script);
    }
    const struct uring_settings settings = {
        .segments = {.path = options->path,
                     .store_id = options->store_id,
                     .generation = options->generation,
                     .segment_size = options->segment_size,
                     .direct = options->direct,
                     .fresh = options->fresh != 0,
                     .preallocate = options->preallocate != 0,
                     .read_only = options->read_only != 0},
        .depth = options->depth,
        .calls = &calls,
        .closing = note_closing,
        .closing_context = handle,
    };
    struct segments_problem problem;
    bool refused = false;
    int status = uring_device_open(&settings, &handle->table, &problem, &refused);
    if (status != 0) {
        *trouble = (struct uring_trouble){.ring = refused,
                                          .kind = problem.kind,
                                          .base = problem.base,
                                          .found = problem.found,
                                          .expected = problem.expected};
        uring_free(handle);
        return status;
    }
    handle->open = true;
    *device = handle;
    return 0;
}

int uring_close(void *device) {
    struct handle *handle = device;
    return handle->table.close(handle->table.context);
}

void uring_facts(void *device, struct uring_facts *facts) {
    struct handle *handle = device;
    struct uring_figures figures;
    os_lock_enter(&handle->lock);
    bool open = handle->open;
    if (open) {
        uring_device_figures(&handle->table, &figures);
    } else {
        figures = handle->last;
    }
    os_lock_leave(&handle->lock);
    *facts = (struct uring_facts){
        .open = open,
        .sector_size = figures.sector_size,
        .alignment = figures.alignment,
        .direct = figures.direct,
        .restricted = figures.restricted,
        .depth = figures.depth,
        .failed = figures.failed,
        .enters = figures.enters,
        .submitted = figures.submitted,
        .completed = figures.completed,
        .retried = figures.retried,
        .rests = figures.rests,
        .excess = figures.excess,
        .overflows = figures.overflows,
        .keeper = figures.keeper,
        .helped = figures.helped,
    };
}

void *uring_address(void *device) {
    struct handle *handle = device;
    return &handle->table;
}

int uring_probe(void *script) {
    struct ring_calls calls = ring_system;
    if (script != NULL) {
        calls = script_calls(script);
    }
    return uring_device_probe(&calls);
}

/* ---- scripts -----------------------------------------------------------------------
 */

_Static_assert(sizeof(struct uring_counts) == sizeof(struct script_counts),
               "both are the same words");

void *uring_script_new(void) { return script_new(); }

int uring_script_answer(void *script, uint32_t call, int32_t answer) {
    return script_answer(script, call, answer);
}

int uring_script_rule(void *script, const struct uring_rule *rule) {
    const struct script_rule wanted = {
        .opcode = rule->opcode,
        .skip = rule->skip,
        .count = rule->count,
        .length = rule->length,
        .result = rule->result,
    };
    return script_rule(script, &wanted);
}

void uring_script_results(void *script, uint32_t count) {
    script_results(script, count);
}

void uring_script_hide(void *script, uint32_t features) {
    script_hide(script, features);
}

void uring_script_performs(void *script) { script_performs(script); }

void uring_script_counts(void *script, struct uring_counts *counts) {
    struct script_counts found;
    script_counts(script, &found);
    memcpy(counts, &found, sizeof *counts);
}

void uring_script_free(void *script) { script_free(script); }
