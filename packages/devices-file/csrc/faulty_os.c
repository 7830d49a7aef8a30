/* SPDX-License-Identifier: MIT */
/* faulty_os.c: see faulty_os.h */
#include <errno.h>
#include <string.h>

#include "faulty_os.h"

static struct faulty_os *faulty_of(const struct os *os) {
    return (struct faulty_os *)(uintptr_t)os; /* I2 */
}

/* Count a call, and find what it is to give; NULL: what the system gives. */
static const struct faulty_rule *judge(const struct os *os, uint32_t call) {
    struct faulty_os *faulty = faulty_of(os);
    /* relaxed: see Ordering */
    uint64_t number =
        atomic_fetch_add_explicit(&faulty->calls[call], 1, memory_order_relaxed) + 1;
    for (uint32_t i = 0; i < faulty->rules_used; i++) {
        const struct faulty_rule *rule = &faulty->rules[i];
        if (rule->call == call && number >= rule->first &&
            number - rule->first < rule->count) {
            return rule;
        }
    }
    return NULL;
}

static int faulty_make_directory(const struct os *os, os_file parent,
                                 const char *name) {
    const struct faulty_rule *rule = judge(os, FAULTY_MAKE_DIRECTORY);
    const struct os *system = faulty_of(os)->system;
    return rule != NULL ? (int)rule->result
                        : system->make_directory(system, parent, name);
}

static int faulty_open_directory(const struct os *os, os_file parent, const char *name,
                                 os_file *directory) {
    const struct faulty_rule *rule = judge(os, FAULTY_OPEN_DIRECTORY);
    const struct os *system = faulty_of(os)->system;
    return rule != NULL ? (int)rule->result
                        : system->open_directory(system, parent, name, directory);
}

static int faulty_sync_directory(const struct os *os, os_file directory) {
    const struct faulty_rule *rule = judge(os, FAULTY_SYNC_DIRECTORY);
    const struct os *system = faulty_of(os)->system;
    return rule != NULL ? (int)rule->result : system->sync_directory(system, directory);
}

static int faulty_list_directory(const struct os *os, os_file directory,
                                 void (*each)(void *context, const char *name),
                                 void *context) {
    const struct faulty_rule *rule = judge(os, FAULTY_LIST_DIRECTORY);
    const struct os *system = faulty_of(os)->system;
    return rule != NULL ? (int)rule->result
                        : system->list_directory(system, directory, each, context);
}

static int faulty_open_file(const struct os *os, os_file directory, const char *name,
                            uint32_t flags, os_file *file) {
    const struct faulty_rule *rule = judge(os, FAULTY_OPEN_FILE);
    const struct os *system = faulty_of(os)->system;
    return rule != NULL ? (int)rule->result
                        : system->open_file(system, directory, name, flags, file);
}

static int faulty_rename_file(const struct os *os, os_file directory, const char *from,
                              const char *to) {
    const struct faulty_rule *rule = judge(os, FAULTY_RENAME_FILE);
    const struct os *system = faulty_of(os)->system;
    return rule != NULL ? (int)rule->result
                        : system->rename_file(system, directory, from, to);
}

static int faulty_remove_file(const struct os *os, os_file directory,
                              const char *name) {
    const struct faulty_rule *rule = judge(os, FAULTY_REMOVE_FILE);
    const struct os *system = faulty_of(os)->system;
    return rule != NULL ? (int)rule->result
                        : system->remove_file(system, directory, name);
}

/* A close that fails has closed nevertheless, as the system's has. */
static int faulty_close_file(const struct os *os, os_file file) {
    const struct faulty_rule *rule = judge(os, FAULTY_CLOSE_FILE);
    const struct os *system = faulty_of(os)->system;
    int status = system->close_file(system, file);
    return rule != NULL ? (int)rule->result : status;
}

static int faulty_measure_file(const struct os *os, os_file file,
                               struct os_measure *measure) {
    const struct faulty_rule *rule = judge(os, FAULTY_MEASURE_FILE);
    const struct os *system = faulty_of(os)->system;
    if (rule != NULL && rule->result < 0) {
        return (int)rule->result;
    }
    int status = system->measure_file(system, file, measure);
    if (rule != NULL) {
        measure->plain = false;
        measure->gone = true;
    }
    return status;
}

static int faulty_align_file(const struct os *os, os_file file,
                             struct os_alignment *alignment) {
    const struct faulty_rule *rule = judge(os, FAULTY_ALIGN_FILE);
    const struct os *system = faulty_of(os)->system;
    if (rule != NULL && rule->result < 0) {
        return (int)rule->result;
    }
    int status = system->align_file(system, file, alignment);
    if (rule != NULL) {
        alignment->transfer = (uint32_t)rule->result;
    }
    return status;
}

static int faulty_allocate_file(const struct os *os, os_file file, uint64_t size) {
    const struct faulty_rule *rule = judge(os, FAULTY_ALLOCATE_FILE);
    const struct os *system = faulty_of(os)->system;
    return rule != NULL ? (int)rule->result : system->allocate_file(system, file, size);
}

static int faulty_resize_file(const struct os *os, os_file file, uint64_t size) {
    const struct faulty_rule *rule = judge(os, FAULTY_RESIZE_FILE);
    const struct os *system = faulty_of(os)->system;
    return rule != NULL ? (int)rule->result : system->resize_file(system, file, size);
}

/* ---- parking -----------------------------------------------------------------------
 */

/* Stay until all that are parked are let go; ended by faulty_os_release. */
static void park(const struct os *os) {
    struct faulty_os *faulty = faulty_of(os);
    os_lock_enter(&faulty->lock);
    uint64_t round = faulty->rounds;
    faulty->parked++;
    os_condition_wake_all(&faulty->changed);
    while (faulty->rounds == round) {
        os_condition_wait(&faulty->changed, &faulty->lock, OS_FOREVER);
    }
    faulty->parked--;
    os_lock_leave(&faulty->lock);
}

bool faulty_os_await(struct faulty_os *faulty, uint32_t parked, uint32_t timeout_ms) {
    uint64_t begin = os_clock_ms(), past = 0;
    os_lock_enter(&faulty->lock);
    while (faulty->parked < parked && past < timeout_ms) {
        os_condition_wait(&faulty->changed, &faulty->lock,
                          (uint32_t)(timeout_ms - past));
        past = os_clock_ms() - begin;
    }
    bool there = faulty->parked >= parked;
    os_lock_leave(&faulty->lock);
    return there;
}

void faulty_os_release(struct faulty_os *faulty) {
    os_lock_enter(&faulty->lock);
    faulty->rounds++;
    os_condition_wake_all(&faulty->changed);
    os_lock_leave(&faulty->lock);
}

/* As judge; a call that is parked is passed on afterwards. */
static const struct faulty_rule *judge_parking(const struct os *os, uint32_t call) {
    const struct faulty_rule *rule = judge(os, call);
    if (rule != NULL && rule->result == FAULTY_PARK) {
        park(os);
        return NULL;
    }
    return rule;
}

/* ---- moving bytes ------------------------------------------------------------------
 */

/* How many bytes a call may move; 0 and less: do not ask the system at all. */
static int64_t allowed(const struct faulty_rule *rule, uint64_t length) {
    if (rule != NULL && rule->result < (int64_t)length) {
        return rule->result;
    }
    return (int64_t)length;
}

static int64_t faulty_read_file(const struct os *os, os_file file, void *buffer,
                                uint64_t length, uint64_t position) {
    int64_t most = allowed(judge_parking(os, FAULTY_READ_FILE), length);
    const struct os *system = faulty_of(os)->system;
    return most <= 0
               ? most
               : system->read_file(system, file, buffer, (uint64_t)most, position);
}

static int64_t faulty_write_file(const struct os *os, os_file file, const void *buffer,
                                 uint64_t length, uint64_t position) {
    int64_t most = allowed(judge_parking(os, FAULTY_WRITE_FILE), length);
    const struct os *system = faulty_of(os)->system;
    return most <= 0
               ? most
               : system->write_file(system, file, buffer, (uint64_t)most, position);
}

static int faulty_sync_file(const struct os *os, os_file file) {
    const struct faulty_rule *rule = judge_parking(os, FAULTY_SYNC_FILE);
    const struct os *system = faulty_of(os)->system;
    return rule != NULL ? (int)rule->result : system->sync_file(system, file);
}

static const struct os FAULTY = {
    .make_directory = faulty_make_directory,
    .open_directory = faulty_open_directory,
    .sync_directory = faulty_sync_directory,
    .list_directory = faulty_list_directory,
    .open_file = faulty_open_file,
    .rename_file = faulty_rename_file,
    .remove_file = faulty_remove_file,
    .close_file = faulty_close_file,
    .measure_file = faulty_measure_file,
    .align_file = faulty_align_file,
    .allocate_file = faulty_allocate_file,
    .resize_file = faulty_resize_file,
    .read_file = faulty_read_file,
    .write_file = faulty_write_file,
    .sync_file = faulty_sync_file,
};

int faulty_os_init(struct faulty_os *faulty, const struct os *system) {
    int status = os_lock_init(&faulty->lock);
    if (status != 0) {
        return status;
    }
    status = os_condition_init(&faulty->changed);
    if (status != 0) {
        os_lock_destroy(&faulty->lock);
        return status;
    }
    faulty->os = FAULTY;
    faulty->system = system;
    faulty->rules_used = 0;
    faulty->parked = 0;
    faulty->rounds = 0;
    for (uint32_t i = 0; i < FAULTY_CALLS; i++) {
        /* relaxed: nobody else knows the struct yet */
        atomic_store_explicit(&faulty->calls[i], 0, memory_order_relaxed);
    }
    return 0;
}

void faulty_os_destroy(struct faulty_os *faulty) {
    os_condition_destroy(&faulty->changed);
    os_lock_destroy(&faulty->lock);
}

int faulty_os_add(struct faulty_os *faulty, const struct faulty_rule *rule) {
    if (rule->call >= FAULTY_CALLS) {
        return -EINVAL;
    }
    if (faulty->rules_used == FAULTY_RULES) {
        return -ENOSPC;
    }
    faulty->rules[faulty->rules_used++] = *rule;
    return 0;
}

uint64_t faulty_os_calls(const struct faulty_os *faulty, uint32_t call) {
    if (call >= FAULTY_CALLS) {
        return 0;
    }
    /* relaxed: see Ordering */
    return atomic_load_explicit(&faulty->calls[call], memory_order_relaxed);
}
