/* SPDX-License-Identifier: MIT */
/*
 * step.h: doing something else in the middle of an operation
 *
 * Interleavings that matter are made, not waited for.  step_at() takes the access
 * rights of a part of memory away; the thread that touches it next stops there, runs
 * `then`, gets the rights back and goes on.  With STEP_WRITES reading passes, so that a
 * thread can be stopped between a lookup and the CAS that acts on it.  Faults are
 * synchronous: `then` may do all that a function called at that point could do.
 *
 * ThreadSanitizer makes an atomic operation inside a lock of its own, which a thread
 * that is stopped there would hold for ever; and it has nothing to see in one thread.
 * So there the first step ends the program as not applicable.
 */
#ifndef TESTS_STORE_STEP_H
#define TESTS_STORE_STEP_H

#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness.h"

#if defined(__SANITIZE_THREAD__)
#define STEP_POSSIBLE 0
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define STEP_POSSIBLE 0
#endif
#endif
#ifndef STEP_POSSIBLE
#define STEP_POSSIBLE 1
#endif

enum step_on { STEP_WRITES = PROT_READ, STEP_ANY = PROT_NONE };

struct step {
    uintptr_t start; /* 0: nothing is armed */
    uintptr_t end;
    void (*then)(void *context);
    void *context;
};

static struct step step_armed;
static int step_taken; /* steps since step_at */

static void step_fault(int number, siginfo_t *info, void *machine) {
    uintptr_t at = (uintptr_t)info->si_addr;
    struct step step = step_armed;
    (void)machine;
    if (step.start == 0 || at < step.start || at >= step.end) {
        (void)signal(number, SIG_DFL); /* a fault of the code under test: die of it */
        return;
    }
    step_armed.start = 0;
    CHECK_INT(
        mprotect((void *)step.start, step.end - step.start, PROT_READ | PROT_WRITE), 0);
    step_taken++;
    step.then(step.context);
}

/* Run `then` when `size` bytes from `part` on are next touched.  Whole pages of the
 * system are armed, so the neighbours stop a thread as well. */
static inline void step_at(const void *part, uint64_t size, enum step_on on,
                           void (*then)(void *context), void *context) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t start = (uintptr_t)part & ~(page - 1);
    uintptr_t end = ((uintptr_t)part + (size == 0 ? 1 : size) + page - 1) & ~(page - 1);
    struct sigaction action;
    if (!STEP_POSSIBLE) {
        harness_skip("no steps under ThreadSanitizer");
    }
    CHECK(step_armed.start == 0, "a step is armed already");
    memset(&action, 0, sizeof action);
    action.sa_sigaction = step_fault;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    (void)sigemptyset(&action.sa_mask);
    CHECK_INT(sigaction(SIGSEGV, &action, NULL), 0);
    CHECK_INT(sigaction(SIGBUS, &action, NULL), 0);
    step_armed = (struct step){start, end, then, context};
    step_taken = 0;
    CHECK_INT(mprotect((void *)start, end - start, (int)on), 0);
}

#endif
