/* SPDX-License-Identifier: MIT */
/* module.c: see module.h */
#include <errno.h>
#include <stdlib.h>

#include "faulty_os.h"
#include "file_device.h"
#include "module.h"

static void tell(struct file_facts *facts, const struct segments_problem *problem) {
    *facts = (struct file_facts){
        .problem = problem->kind,
        .base = problem->base,
        .found = problem->found,
        .expected = problem->expected,
    };
}

int file_open(const struct file_settings *settings, const void *faults, void **device,
              struct file_facts *facts) {
    const struct segments_settings wanted = {
        .path = settings->path,
        .store_id = settings->store_id,
        .generation = settings->generation,
        .segment_size = settings->segment_size,
        .direct = settings->direct,
        .fresh = settings->fresh != 0,
        .preallocate = settings->preallocate != 0,
        .read_only = settings->read_only != 0,
    };
    const struct faulty_os *faulty = faults;
    struct segments_problem problem = {0};
    tell(facts, &problem);
    struct faster_device *table = calloc(1, sizeof *table);
    if (table == NULL) {
        return -ENOMEM;
    }
    int status =
        file_device_open(&wanted, settings->threads,
                         faulty != NULL ? &faulty->os : os_system(), table, &problem);
    tell(facts, &problem);
    if (status != 0) {
        free(table);
        return status;
    }
    facts->sector_size = table->sector_size;
    facts->alignment = table->alignment;
    facts->direct = file_device_is_direct(table) ? 1 : 0;
    *device = table;
    return 0;
}

int file_close(void *device) {
    struct faster_device *table = device;
    return table->close(table->context);
}

void file_free(void *device) { free(device); }

void *file_faults_new(void) {
    struct faulty_os *faulty = malloc(sizeof *faulty);
    if (faulty != NULL && faulty_os_init(faulty, os_system()) != 0) {
        free(faulty);
        return NULL;
    }
    return faulty;
}

int file_faults_add(void *faults, uint32_t call, uint64_t first, uint64_t count,
                    int64_t result) {
    const struct faulty_rule rule = {
        .call = call, .first = first, .count = count, .result = result};
    return faulty_os_add(faults, &rule);
}

uint64_t file_faults_calls(const void *faults, uint32_t call) {
    return faulty_os_calls(faults, call);
}

int file_faults_await(void *faults, uint32_t parked, uint32_t timeout_ms) {
    return faulty_os_await(faults, parked, timeout_ms) ? 1 : 0;
}

void file_faults_release(void *faults) { faulty_os_release(faults); }

void file_faults_free(void *faults) {
    faulty_os_destroy(faults);
    free(faults);
}
