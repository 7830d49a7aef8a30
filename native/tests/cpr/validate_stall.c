/* SPDX-License-Identifier: MIT */
/* F58: a thread stops while it holds a record.  Others go on with other keys, and come
 * again for this one; a checkpoint names its session and waits; nothing is lost. */
#include "cpr/cpr_kit.h"

enum { ID = 7, OTHER = 8, ATTEMPTS = 3 };
enum { RUNNING, STOPPED, RELEASED };

struct scene {
    struct kit_disk disk;
    struct faster_session *session; /* whose thread stops */
    _Atomic uint32_t stage;
};

static struct scene scene;

static int64_t bump(uint8_t *value, int64_t value_size, int64_t capacity,
                    const uint8_t *input, int64_t input_size) {
    (void)capacity, (void)input, (void)input_size;
    value[0]++;
    return value_size;
}

/* Stops the first time that it runs, inside the record's lock. */
static int64_t stop_and_bump(uint8_t *value, int64_t value_size, int64_t capacity,
                             const uint8_t *input, int64_t input_size) {
    uint32_t running = RUNNING;
    (void)atomic_compare_exchange_strong_explicit(
        &scene.stage, &running, STOPPED, memory_order_acq_rel, memory_order_acquire);
    while (atomic_load_explicit(&scene.stage, memory_order_acquire) != RELEASED) {
        thread_yield(); /* ends: the other thread releases it, or the test fails */
    }
    return bump(value, value_size, capacity, input, input_size);
}

static int merge_once(struct faster_session *session, faster_merge_fn native) {
    struct faster_merge merge = {.kind = FASTER_MERGE_NATIVE, .native = native};
    struct kit_bytes key = kit_key(KIT_WIDE, 1);
    struct kit_bytes input = kit_value(KIT_WIDE, 1, 40);
    uint8_t out[256];
    uint64_t size;
    return faster_rmw(session, &merge, key.data, key.size, input.data, input.size, out,
                      sizeof out, &size);
}

static int merge(struct faster_session *session, faster_merge_fn native) {
    int result;
    KIT_RETRY(session, result, merge_once(session, native));
    return result;
}

static void go_on_beside(void) {
    struct faster_session *other = cpr_session(scene.disk.kv, OTHER);
    struct kit_bytes key = kit_key(KIT_WIDE, 2);
    struct kit_bytes value = kit_value(KIT_WIDE, 2, 40);
    while (atomic_load_explicit(&scene.stage, memory_order_acquire) != STOPPED) {
        thread_yield(); /* ends: the merge stops */
    }
    for (int i = 0; i < ATTEMPTS; i++) {
        CHECK_INT(merge_once(other, bump), FASTER_RETRY);
        CHECK_INT(kit_upsert(other, &key, &value), FASTER_OK);
    }
    struct faster_checkpoint *checkpoint = cpr_begin(scene.disk.kv, FASTER_SNAPSHOT);
    int result = FASTER_OK;
    while (result == FASTER_OK) { /* ends where the stopped session is waited for */
        result = faster_checkpoint_advance(checkpoint, CPR_KIT_SOON_MS);
    }
    CHECK_INT(result, FASTER_E_TIMEOUT);
    CHECK_U64(cpr_facts(checkpoint).slow_session, ID);
    CHECK_INT(faster_checkpoint_advance(checkpoint, CPR_KIT_SOON_MS), FASTER_E_TIMEOUT);
    atomic_store_explicit(&scene.stage, RELEASED, memory_order_release);
    CHECK_INT(merge(other, bump), FASTER_OK);
    cpr_advance_to(checkpoint, FASTER_PHASE_WAIT_FLUSH);
    cpr_read_away(checkpoint, FASTER_PART_PAGES);
    cpr_advance_to(checkpoint, FASTER_PHASE_PERSIST);
    CHECK_U64(cpr_point(checkpoint, ID), 1);
    faster_checkpoint_end(checkpoint);
    faster_session_free(other);
}

static void act(void *context, uint32_t thread) {
    (void)context;
    if (thread == 0) {
        CHECK_INT(merge(scene.session, stop_and_bump), FASTER_OK);
    } else {
        go_on_beside();
    }
}

static void f58_a_thread_stops_inside_a_record(void) {
    static const struct kit_disk_options plain = {0};
    struct kit_bytes key = kit_key(KIT_WIDE, 1);
    struct kit_bytes value = kit_value(KIT_WIDE, 1, 40);
    scene.disk = kit_disk_open(KIT_WIDE, &plain);
    scene.session = cpr_session(scene.disk.kv, ID);
    atomic_store_explicit(&scene.stage, RUNNING, memory_order_release);
    CHECK_INT(kit_upsert(scene.disk.session, &key, &value), FASTER_OK);
    harness_threads(2, act, NULL);
    struct kit_bytes found;
    CHECK_INT(kit_read(scene.disk.session, &key, &found), FASTER_OK);
    CHECK_INT(found.data[0], (uint8_t)(value.data[0] + 2));
    faster_session_free(scene.session);
    kit_disk_close(&scene.disk);
}

HARNESS_MAIN(TEST(f58_a_thread_stops_inside_a_record))
