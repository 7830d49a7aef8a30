/* SPDX-License-Identifier: MIT */
/* fork.c: see fork.h */
#include "base/fork.h"

#ifndef _WIN32
#include <pthread.h>
#endif

_Atomic uint32_t fork_generation_word;

#ifndef _WIN32
static pthread_once_t watched = PTHREAD_ONCE_INIT;
static _Atomic int watch_error;

static void count_child(void) {
    /* relaxed: I1, the child has one thread here */
    (void)atomic_fetch_add_explicit(&fork_generation_word, 1, memory_order_relaxed);
}

static void install(void) {
    int error = pthread_atfork(NULL, NULL, count_child);
    /* relaxed: read after pthread_once, which orders it */
    atomic_store_explicit(&watch_error, -error, memory_order_relaxed);
}
#endif

int fork_watch(void) {
#ifndef _WIN32
    (void)pthread_once(&watched, install);
    /* relaxed: pthread_once orders it */
    return atomic_load_explicit(&watch_error, memory_order_relaxed);
#else
    return 0;
#endif
}
