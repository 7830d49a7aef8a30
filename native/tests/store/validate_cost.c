/* SPDX-License-Identifier: MIT */
/*
 * Counting and timing cost at most 3 % of a single operation in memory.
 *
 * Time would say that only on a quiet machine, so instructions are counted: the same
 * program is run once with the core as it is and once with one that neither counts nor
 * times (FASTER_NO_COUNTING), a single step at a time.
 */
#include "cost_workload.h"
#include "harness.h"

#if defined(__linux__) && (defined(__x86_64__) || defined(__aarch64__)) &&             \
    defined(COST_COUNTED) && defined(COST_UNCOUNTED)

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    COST_PERMILLE_MAX = 30,
    /* Far more than an operation takes; a loop that single steps keep from ending, as
     * they do with some processors' atomic operations, ends here. */
    STEPS_MAX = 3000 * COST_OPERATIONS,
    REFUSED = 77
};

static pid_t start(const char *program, const char *operation) {
    (void)fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) {
            _exit(REFUSED);
        }
        (void)execl(program, program, operation, (char *)NULL);
        _exit(1);
    }
    CHECK(child > 0, "errno %d", errno);
    return child;
}

/* The signal that has stopped the program. */
static int wait_stopped(pid_t child) {
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child, "errno %d", errno);
    if (WIFEXITED(status) && WEXITSTATUS(status) == REFUSED) {
        harness_skip("tracing a child is refused");
    }
    CHECK(WIFSTOPPED(status), "status %#x", (unsigned)status);
    return WSTOPSIG(status);
}

static void resume(enum __ptrace_request how, pid_t child) {
    if (ptrace(how, child, NULL, NULL) != 0) {
        (void)kill(child, SIGKILL);
        harness_skip("stepping through a child is refused");
    }
}

/* Instructions between the program's two stops. */
static uint64_t count_steps(const char *program, const char *operation) {
    pid_t child = start(program, operation);
    uint64_t steps = 0;
    int status = 0;
    CHECK_INT(wait_stopped(child), SIGTRAP); /* it has begun */
    resume(PTRACE_CONT, child);
    CHECK_INT(wait_stopped(child), SIGSTOP);
    do {
        resume(PTRACE_SINGLESTEP, child);
        steps++;
    } while (wait_stopped(child) == SIGTRAP && steps < STEPS_MAX);
    if (steps == STEPS_MAX) {
        (void)kill(child, SIGKILL);
        harness_skip("the program does not end when it is stepped through");
    }
    resume(PTRACE_CONT, child);
    CHECK(waitpid(child, &status, 0) == child, "errno %d", errno);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %#x",
          (unsigned)status);
    return steps;
}

/* Instructions of the operations alone. */
static uint64_t cost_of(const char *program, const char *operation) {
    uint64_t whole = count_steps(program, operation);
    uint64_t loop = count_steps(program, "none");
    CHECK(whole > loop, "%" PRIu64 " and %" PRIu64, whole, loop);
    return whole - loop;
}

static void check_cost(const char *operation) {
    uint64_t with = cost_of(COST_COUNTED, operation);
    uint64_t without = cost_of(COST_UNCOUNTED, operation);
    CHECK(with > without, "nothing is counted: %" PRIu64 " and %" PRIu64, with,
          without);
    uint64_t more = with - without;
    printf("%s: %.2f instructions, of them counting %.2f (%.2f %%)\n", operation,
           (double)with / COST_OPERATIONS, (double)more / COST_OPERATIONS,
           100.0 * (double)more / (double)without);
    CHECK(more * 1000 <= without * COST_PERMILLE_MAX,
          "%s: %" PRIu64 " more than %" PRIu64, operation, more, without);
}

static void counting_costs_little_of_a_read(void) { check_cost("read"); }

static void counting_costs_little_of_an_upsert(void) { check_cost("upsert"); }

static void counting_costs_little_of_a_merge(void) { check_cost("rmw"); }

#else

static void skip(void) { harness_skip("needs Linux and an optimised build"); }

static void counting_costs_little_of_a_read(void) { skip(); }

static void counting_costs_little_of_an_upsert(void) { skip(); }

static void counting_costs_little_of_a_merge(void) { skip(); }

#endif

HARNESS_MAIN(TEST(counting_costs_little_of_a_read),
             TEST(counting_costs_little_of_an_upsert),
             TEST(counting_costs_little_of_a_merge))
