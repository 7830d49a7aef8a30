/* SPDX-License-Identifier: MIT */
/* faster/device.h V9: close is the last call that a device gets, also when sessions
 * wait for it, and whoever waited learns that the store is closed */
#include "base/thread.h"
#include "store/disk_kit.h"

enum { KEYS = 100, READS_MAX = 64, CHANCES = 3000 };

/* A device that completes no read before it is closed, and that has a caller inside its
 * wait for as long as the test wants. */
struct gate {
    struct faster_device device;
    struct faster_device *behind;
    _Atomic int inside;
    _Atomic int waiting;  /* inside the wait */
    _Atomic bool holding; /* reads are not completed any more */
    _Atomic bool closing; /* somebody is about to close */
    _Atomic bool closed;
    struct lock lock;
    const struct faster_completion *reads[READS_MAX];
    int count;
};

static void enter(struct gate *gate) {
    (void)atomic_fetch_add_explicit(&gate->inside, 1, memory_order_seq_cst);
    CHECK(!atomic_load_explicit(&gate->closed, memory_order_seq_cst), "%s",
          "a call after close");
}

static void leave(struct gate *gate) {
    CHECK(!atomic_load_explicit(&gate->closed, memory_order_seq_cst), "%s",
          "closed while somebody is inside");
    (void)atomic_fetch_sub_explicit(&gate->inside, 1, memory_order_seq_cst);
}

static int gate_read(void *context, uint64_t offset, void *buffer, uint64_t length,
                     const struct faster_completion *completion) {
    struct gate *gate = context;
    const struct faster_device *behind = gate->behind;
    int result = 0;
    enter(gate);
    if (atomic_load_explicit(&gate->holding, memory_order_seq_cst)) {
        lock_enter(&gate->lock);
        CHECK(gate->count < READS_MAX, "%d", gate->count);
        gate->reads[gate->count++] = completion;
        lock_leave(&gate->lock);
    } else {
        result = behind->read(behind->context, offset, buffer, length, completion);
    }
    leave(gate);
    return result;
}

static int gate_write(void *context, uint64_t offset, const void *buffer,
                      uint64_t length, const struct faster_completion *completion) {
    struct gate *gate = context;
    const struct faster_device *behind = gate->behind;
    enter(gate);
    int result = behind->write(behind->context, offset, buffer, length, completion);
    leave(gate);
    return result;
}

static int gate_sync(void *context, const struct faster_completion *completion) {
    struct gate *gate = context;
    return gate->behind->sync(gate->behind->context, completion);
}

static int gate_truncate(void *context, uint64_t offset) {
    struct gate *gate = context;
    return gate->behind->truncate_before(gate->behind->context, offset);
}

static int gate_poll(void *context) {
    enter(context);
    leave(context);
    return 0;
}

/* Long enough inside for a close that does not wait to be noticed. */
static int gate_wait(void *context, uint32_t timeout_ms) {
    struct gate *gate = context;
    (void)timeout_ms;
    enter(gate);
    (void)atomic_fetch_add_explicit(&gate->waiting, 1, memory_order_seq_cst);
    for (int i = 0; i < CHANCES; i++) {
        while (atomic_load_explicit(&gate->holding, memory_order_seq_cst) &&
               !atomic_load_explicit(&gate->closing, memory_order_seq_cst)) {
            thread_yield(); /* ends: the other thread is about to close */
        }
        thread_yield();
    }
    (void)atomic_fetch_sub_explicit(&gate->waiting, 1, memory_order_seq_cst);
    leave(gate);
    return 0;
}

static int gate_close(void *context) {
    struct gate *gate = context;
    CHECK_INT(atomic_load_explicit(&gate->inside, memory_order_seq_cst), 0);
    atomic_store_explicit(&gate->closed, true, memory_order_seq_cst);
    for (int i = 0; i < gate->count; i++) {
        gate->reads[i]->done(gate->reads[i]->context, -ECANCELED, 0);
    }
    return gate->behind->close(gate->behind->context);
}

static void gate_open(struct gate *gate) {
    memset((void *)gate, 0, sizeof *gate);
    CHECK_INT(lock_init(&gate->lock), 0);
    CHECK_INT(faster_device_memory(1 << 20, 0, &gate->behind), FASTER_OK);
    gate->device = *gate->behind;
    gate->device.context = gate;
    gate->device.capabilities |= FASTER_DEVICE_DRIVEN;
    gate->device.read = gate_read;
    gate->device.write = gate_write;
    gate->device.sync = gate_sync;
    gate->device.truncate_before = gate_truncate;
    gate->device.poll = gate_poll;
    gate->device.wait = gate_wait;
    gate->device.close = gate_close;
}

enum who { WAITS, SCANS, BATCHES, WHO };

struct closing {
    struct gate gate;
    struct faster_kv *kv;
    struct faster_session *session;
    enum who who;
};

static void scan(struct faster_session *session) {
    uint64_t keys[KEYS];
    uint64_t found;
    uint64_t need[2];
    struct faster_results rows = {(uint8_t *)keys, sizeof keys, NULL, NULL};
    struct faster_cursor cursor = {.position = 0};
    int result = faster_scan_next(session, &cursor, &rows, NULL, KEYS, &found, &need[0],
                                  &need[1]);
    CHECK(result == -ECANCELED || result == FASTER_E_CLOSED, "%d", result);
    faster_cursor_close(&cursor);
}

static void wait_one(struct faster_session *session) {
    struct kit_bytes key = kit_key(KIT_WORD, 1);
    struct faster_operation operation = kit_operation(FASTER_READ, &key, NULL);
    struct faster_pending *pending = kit_start_pending(session, &operation);
    CHECK_INT(faster_wait(session, pending, KIT_DISK_WAIT_MS), FASTER_E_CLOSED);
}

static void merge_many(struct faster_session *session) {
    struct faster_merge add = {.kind = FASTER_MERGE_ADD};
    uint64_t keys[KEYS / 2];
    uint64_t done = 0;
    for (uint64_t i = 0; i < KEYS / 2; i++) {
        keys[i] = i;
    }
    struct faster_items items = {(const uint8_t *)keys, NULL, 8, 8};
    int result = faster_rmw_many(session, &add, &items, &items, KEYS / 2, NULL, &done);
    CHECK_INT(result, FASTER_E_CLOSED);
    CHECK_U64(done, 0);
}

static void act(void *context, uint32_t thread) {
    struct closing *closing = context;
    struct gate *gate = &closing->gate;
    if (thread == 1) {
        while (atomic_load_explicit(&gate->waiting, memory_order_seq_cst) == 0) {
            thread_yield(); /* ends: the other thread does, and the worker only polls */
        }
        atomic_store_explicit(&gate->closing, true, memory_order_seq_cst);
        CHECK_INT(faster_kv_close(closing->kv, 60000), FASTER_OK);
    } else if (closing->who == WAITS) {
        wait_one(closing->session);
    } else if (closing->who == SCANS) {
        scan(closing->session);
    } else {
        merge_many(closing->session);
    }
}

static void v9_nobody_calls_a_closed_device(void) {
    static struct closing closing;
    for (int who = 0; who < WHO; who++) {
        struct kit_disk_options options = {.rules = NULL};
        struct faster_kv_config config = kit_disk_config(KIT_WORD, &options);
        gate_open(&closing.gate);
        config.device = &closing.gate.device;
        closing.kv = kit_open_config(&config);
        closing.session = kit_session(closing.kv);
        closing.who = (enum who)who;
        for (uint64_t i = 0; i < KEYS; i++) {
            CHECK_INT(kit_put_word(closing.session, i, i), FASTER_OK);
        }
        CHECK_INT(faster_kv_evict(closing.kv, KIT_DISK_WAIT_MS), FASTER_OK);
        atomic_store_explicit(&closing.gate.holding, true, memory_order_seq_cst);
        harness_threads(2, act, &closing);
        kit_close(closing.kv, closing.session);
        faster_device_free(closing.gate.behind);
        lock_destroy(&closing.gate.lock);
    }
}

static void flush_or_close(void *context, uint32_t thread) {
    struct kit_disk *disk = context;
    struct faster_faulty_stats stats = {.waiting = 0};
    if (thread == 0) {
        CHECK_INT(faster_kv_flush(disk->kv, KIT_DISK_WAIT_MS), FASTER_E_CLOSED);
        return;
    }
    while (stats.waiting == 0) { /* ends: the other thread has it written */
        thread_yield();
        faster_faulty_stats(disk->faulty, &stats);
    }
    CHECK_INT(faster_kv_close(disk->kv, 60000), FASTER_OK);
}

/* A flush that the device does not answer ends when the store is closed. */
static void f76_a_flush_ends_with_the_store(void) {
    static const struct faster_fault_rule rule = {.kinds = FASTER_KIND_WRITE,
                                                  .fault = FASTER_FAULT_NEVER};
    struct kit_disk_options options = {.rules = &rule, .rules_count = 1};
    struct kit_disk disk = kit_disk_open(KIT_WORD, &options);
    CHECK_INT(kit_put_word(disk.session, 1, 1), FASTER_OK);
    harness_threads(2, flush_or_close, &disk);
    kit_disk_close(&disk);
}

HARNESS_MAIN(TEST(v9_nobody_calls_a_closed_device),
             TEST(f76_a_flush_ends_with_the_store))
