/* SPDX-License-Identifier: MIT */
/* worker.c: see worker.h */
#include "worker/worker.h"

#include <errno.h>

enum { WORKER_IDLE, WORKER_STARTING, WORKER_RUNNING, WORKER_STOPPED };

int worker_init(struct worker *worker, worker_fn work, void *context) {
    worker->work = work;
    worker->context = context;
    atomic_init(&worker->state, WORKER_IDLE);
    atomic_init(&worker->stop, false);
    return wakeup_init(&worker->wakeup);
}

void worker_destroy(struct worker *worker) { wakeup_destroy(&worker->wakeup); }

static bool is_stopping(struct worker *worker) {
    return atomic_load_explicit(&worker->stop, memory_order_acquire); /* M1 */
}

static void worker_main(void *context) {
    struct worker *worker = context;
    bool stopping;
    /* Ends with the round after `stop` was seen: it sees all that was posted before. */
    do {
        stopping = is_stopping(worker);
        if (!worker->work(worker->context) && !stopping) {
            wakeup_wait(&worker->wakeup); /* M1, with worker_post */
        }
    } while (!stopping);
}

int worker_start(struct worker *worker) {
    int seen = WORKER_IDLE;
    if (!atomic_compare_exchange_strong_explicit(&worker->state, &seen, WORKER_STARTING,
                                                 memory_order_acq_rel,
                                                 memory_order_acquire)) { /* M2 */
        return seen == WORKER_STOPPED ? -ECANCELED : 0;
    }
    int error = thread_start(&worker->thread, worker_main, worker);
    atomic_store_explicit(&worker->state, error == 0 ? WORKER_RUNNING : WORKER_IDLE,
                          memory_order_release); /* M2, with worker_stop */
    return error;
}

void worker_post(struct worker *worker) { wakeup_post(&worker->wakeup); /* M1 */ }

void worker_stop(struct worker *worker) {
    int seen = WORKER_IDLE;
    /* Ends: STARTING lasts for one thread creation. */
    while (!atomic_compare_exchange_weak_explicit(&worker->state, &seen, WORKER_STOPPED,
                                                  memory_order_acq_rel,
                                                  memory_order_acquire)) { /* M2 */
        if (seen == WORKER_STOPPED) {
            return;
        }
        if (seen == WORKER_STARTING) {
            thread_yield();
            seen = WORKER_IDLE;
        }
    }
    if (seen == WORKER_RUNNING) {
        atomic_store_explicit(&worker->stop, true, memory_order_release); /* M1 */
        worker_post(worker);
        thread_join(&worker->thread);
    }
}
