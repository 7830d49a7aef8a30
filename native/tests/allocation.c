/* SPDX-License-Identifier: MIT */
#include "allocation.h"

#include <stdatomic.h>
#include <stddef.h>

/* How many succeed before one fails; NEVER when none is to fail, or has failed. */
#define NEVER INT64_MAX
static _Atomic int64_t left = NEVER;

/* The linker's names for the functions that stand in and those they stand for. */
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);

static bool fails(void) {
    /* relaxed: a count of its own; which thread's allocation fails is not promised */
    return atomic_fetch_sub_explicit(&left, 1, memory_order_relaxed) == 0;
}

void *__wrap_malloc(size_t size) { return fails() ? NULL : __real_malloc(size); }

void *__wrap_calloc(size_t count, size_t size) {
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size) {
    return fails() ? NULL : __real_realloc(memory, size);
}

void allocation_fail_at(uint64_t n) {
    /* relaxed: see fails */
    atomic_store_explicit(&left, (int64_t)n, memory_order_relaxed);
}

bool allocation_failed(void) {
    /* relaxed: see fails */
    return atomic_exchange_explicit(&left, NEVER, memory_order_relaxed) < 0;
}
