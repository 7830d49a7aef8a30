/* SPDX-License-Identifier: MIT */
/* worker.h: no post is lost, one thread works, and stop ends it for good. */
#include "worker/worker.h"

#include <errno.h>
#include <pthread.h>

#include "harness.h"

enum { POSTERS = 4, STARTERS = 8 };

/* What the work does and has seen; words posted are atomic, the rest is the work's. */
struct job {
    struct worker worker;
    _Atomic uint64_t asked;
    _Atomic uint64_t answered;
    _Atomic uint64_t calls;
    _Atomic uint64_t threads; /* on which the work has run */
    _Atomic int more;         /* times the work will say that there is more */
    _Atomic bool held;        /* the work waits while this is set */
    _Atomic bool inside;
    pthread_t last;
};

static uint64_t load(_Atomic uint64_t *word) {
    return atomic_load_explicit(word, memory_order_seq_cst);
}

static bool is_set(_Atomic bool *flag) {
    return atomic_load_explicit(flag, memory_order_seq_cst);
}

static void set(_Atomic bool *flag, bool value) {
    atomic_store_explicit(flag, value, memory_order_seq_cst);
}

/* I2: plain accesses to `last`, so that a second thread would be a race, too. */
static void note_thread(struct job *job) {
    pthread_t self = pthread_self();
    if (load(&job->threads) == 0 || !pthread_equal(job->last, self)) {
        job->last = self;
        atomic_fetch_add_explicit(&job->threads, 1, memory_order_seq_cst);
    }
}

static bool work(void *context) {
    struct job *job = context;
    note_thread(job);
    set(&job->inside, true);
    atomic_fetch_add_explicit(&job->calls, 1, memory_order_seq_cst);
    while (is_set(&job->held)) { /* ended by the test */
        thread_yield();
    }
    /* relaxed: the post must have made it visible (M1) */
    uint64_t asked = atomic_load_explicit(&job->asked, memory_order_relaxed);
    atomic_store_explicit(&job->answered, asked, memory_order_seq_cst);
    set(&job->inside, false);
    return atomic_fetch_sub_explicit(&job->more, 1, memory_order_seq_cst) > 0;
}

static void begin(struct job *job) {
    *job = (struct job){.more = 0};
    CHECK_INT(worker_init(&job->worker, work, job), 0);
}

static void end(struct job *job) {
    worker_stop(&job->worker);
    worker_destroy(&job->worker);
}

static void ask(struct job *job, uint64_t value) {
    atomic_store_explicit(&job->asked, value, memory_order_relaxed);
    worker_post(&job->worker);
}

static void wait_for_answer(struct job *job, uint64_t value) {
    while (load(&job->answered) < value) { /* ends, or the test's time does */
        thread_yield();
    }
}

static void i1_every_post_is_answered(void) {
    static struct job job;
    begin(&job);
    CHECK_INT(worker_start(&job.worker), 0);
    uint64_t rounds = harness_count(5000);
    for (uint64_t i = 1; i <= rounds; i++) {
        ask(&job, i);
        wait_for_answer(&job, i);
    }
    end(&job);
    CHECK_U64(load(&job.threads), 1);
}

static void i1_posts_before_the_start_are_answered(void) {
    static struct job job;
    begin(&job);
    for (uint64_t i = 1; i <= 10; i++) {
        ask(&job, i);
    }
    CHECK_U64(load(&job.calls), 0);
    CHECK_INT(worker_start(&job.worker), 0);
    wait_for_answer(&job, 10);
    end(&job);
}

/* A post that comes while the work runs is not satisfied by that call. */
static void i1_a_post_during_the_work_makes_it_run_again(void) {
    static struct job job;
    begin(&job);
    set(&job.held, true);
    CHECK_INT(worker_start(&job.worker), 0);
    while (!is_set(&job.inside)) { /* ends: a started thread works once unasked */
        thread_yield();
    }
    uint64_t before = load(&job.calls);
    worker_post(&job.worker);
    set(&job.held, false);
    while (load(&job.calls) <= before) { /* ends, or the test's time does */
        thread_yield();
    }
    end(&job);
}

static void i1_the_work_is_called_until_nothing_is_left(void) {
    static struct job job;
    begin(&job);
    atomic_store_explicit(&job.more, 20, memory_order_seq_cst);
    worker_post(&job.worker);
    CHECK_INT(worker_start(&job.worker), 0);
    while (load(&job.calls) < 21) { /* ends, or the test's time does */
        thread_yield();
    }
    end(&job);
}

/* Stopping while a post waits: the work must see what was posted before it ends. */
struct stopping {
    struct job job;
    _Atomic bool stopped;
};

static void stop_or_release(void *context, uint32_t thread) {
    struct stopping *stopping = context;
    struct job *job = &stopping->job;
    if (thread == 0) {
        worker_stop(&job->worker);
        CHECK(!is_set(&job->inside), "stopped in the middle of the work");
        set(&stopping->stopped, true);
        return;
    }
    while (!atomic_load_explicit(&job->worker.stop, memory_order_seq_cst)) {
        thread_yield(); /* ended by the other thread */
    }
    CHECK(!is_set(&stopping->stopped), "stop did not wait for the running work");
    set(&job->held, false);
}

static void i1_what_was_posted_before_stop_is_answered(void) {
    for (uint64_t round = 1; round <= 50; round++) {
        static struct stopping stopping;
        struct job *job = &stopping.job;
        set(&stopping.stopped, false);
        begin(job);
        set(&job->held, true);
        CHECK_INT(worker_start(&job->worker), 0);
        while (!is_set(&job->inside)) { /* ends: as above */
            thread_yield();
        }
        uint64_t calls = load(&job->calls);
        ask(job, round);
        harness_threads(2, stop_or_release, &stopping);
        CHECK(load(&job->calls) > calls, "the work was not called after the post");
        CHECK_U64(load(&job->answered), round);
        worker_destroy(&job->worker);
    }
}

static void stop_joins_and_nothing_runs_afterwards(void) {
    static struct job job;
    for (uint64_t round = 1; round <= 100; round++) {
        begin(&job);
        CHECK_INT(worker_start(&job.worker), 0);
        ask(&job, round);
        worker_stop(&job.worker);
        CHECK(!is_set(&job.inside), "still working");
        uint64_t calls = load(&job.calls);
        worker_post(&job.worker);
        worker_stop(&job.worker); /* a second one does nothing */
        CHECK_U64(load(&job.calls), calls);
        worker_destroy(&job.worker);
    }
}

static void start_after_stop_is_refused(void) {
    static struct job job;
    begin(&job);
    worker_stop(&job.worker); /* one that never ran */
    CHECK_INT(worker_start(&job.worker), -ECANCELED);
    CHECK_U64(load(&job.calls), 0);
    worker_destroy(&job.worker);
    begin(&job);
    CHECK_INT(worker_start(&job.worker), 0);
    worker_stop(&job.worker);
    uint64_t calls = load(&job.calls);
    CHECK_INT(worker_start(&job.worker), -ECANCELED);
    CHECK_U64(load(&job.calls), calls);
    worker_destroy(&job.worker);
}

static void start_again(void *context, uint32_t thread) {
    struct job *job = context;
    (void)thread;
    for (int i = 0; i < 10; i++) {
        CHECK_INT(worker_start(&job->worker), 0);
        worker_post(&job->worker);
    }
}

static void i2_starting_many_times_makes_one_thread(void) {
    static struct job job;
    for (uint64_t round = 1; round <= 20; round++) {
        begin(&job);
        harness_threads(STARTERS, start_again, &job);
        ask(&job, round);
        wait_for_answer(&job, round);
        end(&job);
        CHECK_U64(load(&job.threads), 1);
    }
}

static void post_often(void *context, uint32_t thread) {
    struct job *job = context;
    uint64_t posts = harness_count(2000);
    (void)thread;
    for (uint64_t i = 0; i < posts; i++) {
        atomic_fetch_add_explicit(&job->asked, 1, memory_order_relaxed);
        worker_post(&job->worker);
    }
}

static void i1_posts_of_many_threads_are_answered(void) {
    static struct job job;
    begin(&job);
    CHECK_INT(worker_start(&job.worker), 0);
    harness_threads(POSTERS, post_often, &job);
    wait_for_answer(&job, POSTERS * harness_count(2000));
    end(&job);
    CHECK_U64(load(&job.threads), 1);
}

HARNESS_MAIN(TEST(i1_every_post_is_answered),
             TEST(i1_posts_before_the_start_are_answered),
             TEST(i1_a_post_during_the_work_makes_it_run_again),
             TEST(i1_the_work_is_called_until_nothing_is_left),
             TEST(i1_what_was_posted_before_stop_is_answered),
             TEST(stop_joins_and_nothing_runs_afterwards),
             TEST(start_after_stop_is_refused),
             TEST(i2_starting_many_times_makes_one_thread),
             TEST(i1_posts_of_many_threads_are_answered))
