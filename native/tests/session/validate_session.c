/* SPDX-License-Identifier: MIT */
/* session.h: serials, who gets in, and what a closed session leaves behind. */
#include "session/session.h"

#include <string.h>

#include "base/thread.h"
#include "faster/api.h"
#include "harness.h"
#include "store/store.h"

static struct faster_kv *kv;

static void begin_with(uint32_t layout, uint32_t type, uint32_t sessions) {
    bool fixed = layout == FASTER_FIXED;
    struct faster_kv_config config = {.size = sizeof config,
                                      .layout = layout,
                                      .hash = FASTER_HASH_XXH3,
                                      .value_type = type,
                                      .key_size = fixed ? 8 : 0,
                                      .value_size = fixed ? 8 : 0,
                                      .page_size = 4096,
                                      .memory = 1 << 20,
                                      .sessions_max = sessions};
    CHECK_INT(faster_kv_open(&config, &kv), FASTER_OK);
}

static void begin(void) { begin_with(FASTER_FIXED, FASTER_TYPE_U64, 8); }

static void end(void) {
    CHECK_INT(faster_kv_close(kv, 60000), FASTER_OK);
    faster_kv_free(kv);
}

static struct faster_session *session_new(void) {
    struct faster_session *session = NULL;
    CHECK_INT(faster_session_open(kv, &session), FASTER_OK);
    return session;
}

static uint64_t slot_word(struct faster_session *session) {
    return atomic_load_explicit(&session->slot->word, memory_order_seq_cst);
}

static void set_slot_word(struct faster_session *session, uint64_t word) {
    atomic_store_explicit(&session->slot->word, word, memory_order_seq_cst);
}

static int upsert(struct faster_session *session, uint64_t key, uint64_t value) {
    return faster_upsert(session, &key, 8, &value, 8);
}

/* The same beside a growing index, which may ask for another try. */
static int upsert_in_the_end(struct faster_session *session, uint64_t key,
                             uint64_t value) {
    int result = upsert(session, key, value);
    while (result == FASTER_RETRY) { /* ends: the worker splits a chunk in one go */
        faster_session_wait(session);
        result = upsert(session, key, value);
    }
    return result;
}

static int insert(struct faster_session *session, uint64_t key, uint64_t value) {
    return faster_insert(session, &key, 8, &value, 8);
}

static int delete_key(struct faster_session *session, uint64_t key) {
    return faster_delete(session, &key, 8);
}

static int read_key(struct faster_session *session, uint64_t key, uint64_t *value) {
    uint64_t size = 0;
    return faster_read(session, &key, 8, value, 8, &size);
}

static int add(struct faster_session *session, uint64_t key, uint64_t value) {
    struct faster_merge merge = {.kind = FASTER_MERGE_ADD};
    return faster_rmw(session, &merge, &key, 8, &value, 8, NULL, 0, NULL);
}

static int compare(struct faster_session *session, uint64_t key, uint64_t expected,
                   uint64_t value) {
    return faster_compare_and_set(session, &key, 8, &expected, 8, &value, 8);
}

/* The call's result, and by how much it moved the serial. */
#define CHECK_SERIAL(session, call, result, step)                                      \
    do {                                                                               \
        uint64_t before_ = faster_session_serial(session);                             \
        CHECK_INT(call, result);                                                       \
        CHECK_U64(faster_session_serial(session), before_ + (step));                   \
    } while (0)

static void i2_each_update_takes_one_serial_even_if_nothing_changed(void) {
    begin();
    struct faster_session *s = session_new();
    CHECK_U64(faster_session_serial(s), 0);
    CHECK_SERIAL(s, upsert(s, 1, 10), FASTER_OK, 1);
    CHECK_SERIAL(s, upsert(s, 1, 11), FASTER_OK, 1);
    CHECK_SERIAL(s, insert(s, 2, 20), FASTER_OK, 1);
    CHECK_SERIAL(s, insert(s, 2, 21), FASTER_EXISTS, 1);
    CHECK_SERIAL(s, add(s, 1, 5), FASTER_OK, 1);
    CHECK_SERIAL(s, add(s, 3, 5), FASTER_OK, 1);
    CHECK_SERIAL(s, compare(s, 1, 16, 17), FASTER_OK, 1);
    CHECK_SERIAL(s, compare(s, 1, 16, 18), FASTER_MISMATCH, 1);
    CHECK_SERIAL(s, compare(s, 9, 16, 18), FASTER_NOT_FOUND, 1);
    CHECK_SERIAL(s, delete_key(s, 1), FASTER_OK, 1);
    CHECK_SERIAL(s, delete_key(s, 1), FASTER_NOT_FOUND, 1);
    CHECK_SERIAL(s, delete_key(s, 9), FASTER_NOT_FOUND, 1);
    CHECK_U64(faster_session_serial(s), 12);
    faster_session_free(s);
    end();
}

static void i2_reads_take_no_serial(void) {
    begin();
    struct faster_session *s = session_new();
    struct faster_view view;
    uint64_t key = 1;
    uint64_t value = 0;
    CHECK_INT(upsert(s, 1, 10), FASTER_OK);
    CHECK_SERIAL(s, read_key(s, 1, &value), FASTER_OK, 0);
    CHECK_SERIAL(s, read_key(s, 2, &value), FASTER_NOT_FOUND, 0);
    CHECK_SERIAL(s, faster_view_open(s, &key, 8, &view), FASTER_MUTABLE, 0);
    CHECK_U64(value, 10);
    faster_session_free(s);
    end();
}

static void i2_what_failed_takes_no_serial(void) {
    begin();
    struct faster_session *s = session_new();
    struct faster_merge wrong = {.kind = FASTER_MERGE_APPEND};
    struct faster_merge more = {.kind = FASTER_MERGE_ADD};
    uint64_t key = 1;
    uint64_t value = UINT64_MAX;
    uint64_t size = 0;
    CHECK_INT(upsert(s, 1, 10), FASTER_OK);
    CHECK_SERIAL(s, faster_upsert(s, &key, 7, &value, 8), FASTER_E_KEY_SIZE, 0);
    CHECK_SERIAL(s, faster_upsert(s, &key, 8, &value, 7), FASTER_E_VALUE_SIZE, 0);
    CHECK_SERIAL(s, faster_delete(s, &key, 9), FASTER_E_KEY_SIZE, 0);
    CHECK_SERIAL(s, faster_rmw(s, &wrong, &key, 8, &value, 8, NULL, 0, NULL),
                 FASTER_E_MERGE, 0);
    CHECK_SERIAL(s, add(s, 1, UINT64_MAX), FASTER_E_OVERFLOW, 0);
    CHECK_SERIAL(s, faster_rmw(s, &more, &key, 8, &key, 8, &value, 4, &size),
                 FASTER_SHORT, 0);
    CHECK_SERIAL(s, read_key(s, 1, &value), FASTER_OK, 0);
    CHECK_U64(value, 10);
    faster_session_free(s);
    end();
}

/* Put keys until the store is full.  Gives how many it took. */
static uint64_t fill(struct faster_session *session) {
    for (uint64_t done = 0;; done++) { /* ends with the budget */
        int result = upsert_in_the_end(session, done, done);
        if (result != FASTER_OK) {
            CHECK_INT(result, FASTER_E_FULL);
            while (atomic_load_explicit(&kv->index.growing, memory_order_acquire)) {
                thread_yield(); /* ends: the worker walks on; that gives memory back */
            }
            result = upsert_in_the_end(session, done, done);
        }
        if (result != FASTER_OK) {
            CHECK_INT(result, FASTER_E_FULL);
            return done;
        }
    }
}

static void i2_a_full_store_takes_no_serial(void) {
    begin();
    struct faster_session *s = session_new();
    uint64_t done = fill(s);
    CHECK_U64(faster_session_serial(s), done);
    CHECK_SERIAL(s, upsert_in_the_end(s, done, 1), FASTER_E_FULL, 0);
    CHECK_SERIAL(s, upsert_in_the_end(s, 0, 1), FASTER_OK, 1); /* in place */
    faster_session_free(s);
    end();
}

static void i2_a_batch_takes_one_serial_for_each_item(void) {
    enum { COUNT = 300 };
    static uint64_t keys[COUNT];
    begin();
    struct faster_session *s = session_new();
    struct faster_items items = {(const uint8_t *)keys, NULL, 8, 8};
    struct faster_results none = {NULL, 0, NULL, NULL};
    struct faster_merge merge = {.kind = FASTER_MERGE_MAX};
    uint64_t done = 0;
    for (uint64_t i = 0; i < COUNT; i++) {
        keys[i] = i;
    }
    CHECK_SERIAL(s, faster_upsert_many(s, &items, &items, COUNT, &done), FASTER_OK,
                 COUNT);
    done = 0;
    CHECK_SERIAL(s, faster_rmw_many(s, &merge, &items, &items, COUNT, &none, &done),
                 FASTER_OK, COUNT);
    done = COUNT / 2; /* those that are left */
    CHECK_SERIAL(s, faster_delete_many(s, &items, COUNT, NULL, &done), FASTER_OK,
                 COUNT - COUNT / 2);
    faster_session_free(s);
    end();
}

/* Every call that enters. */
static void check_refused(struct faster_session *s, int refusal) {
    uint64_t key = 1;
    uint64_t value = 0;
    uint64_t done = 0;
    struct faster_items items = {(const uint8_t *)&key, NULL, 8, 8};
    struct faster_results results = {(uint8_t *)&value, 8, NULL, NULL};
    struct faster_merge merge = {.kind = FASTER_MERGE_ADD};
    struct faster_view view;
    CHECK_SERIAL(s, read_key(s, 1, &value), refusal, 0);
    CHECK_SERIAL(s, upsert(s, 1, 2), refusal, 0);
    CHECK_SERIAL(s, insert(s, 3, 2), refusal, 0);
    CHECK_SERIAL(s, add(s, 1, 2), refusal, 0);
    CHECK_SERIAL(s, compare(s, 1, 1, 2), refusal, 0);
    CHECK_SERIAL(s, delete_key(s, 1), refusal, 0);
    CHECK_SERIAL(s, faster_view_open(s, &key, 8, &view), refusal, 0);
    if (refusal == FASTER_RETRY) {
        return; /* those below wait until the helper has left */
    }
    CHECK_SERIAL(s, faster_read_many(s, &items, 1, &results, &done), refusal, 0);
    CHECK_SERIAL(s, faster_upsert_many(s, &items, &items, 1, &done), refusal, 0);
    CHECK_SERIAL(s, faster_rmw_many(s, &merge, &items, &items, 1, &results, &done),
                 refusal, 0);
    CHECK_SERIAL(s, faster_delete_many(s, &items, 1, NULL, &done), refusal, 0);
    CHECK_U64(done, 0);
}

static void e2_another_thread_inside_makes_the_session_busy(void) {
    begin();
    struct faster_session *s = session_new();
    struct faster_session *other = session_new();
    uint64_t value = 0;
    CHECK_INT(upsert(s, 1, 10), FASTER_OK);
    CHECK_INT(epoch_enter(&kv->epoch, s->slot), FASTER_OK); /* as a second thread */
    uint64_t inside = slot_word(s);
    check_refused(s, FASTER_E_BUSY);
    CHECK_INT(faster_session_close(s), FASTER_E_BUSY);
    CHECK_U64(slot_word(s), inside);
    CHECK_INT(read_key(other, 1, &value), FASTER_OK);
    CHECK_U64(value, 10); /* nothing was changed, nobody else was held up */
    epoch_leave(&kv->epoch, s->slot);
    CHECK_INT(upsert(s, 1, 11), FASTER_OK);
    faster_session_free(s);
    faster_session_free(other);
    end();
}

static void e2_a_helper_inside_asks_for_another_try(void) {
    begin();
    struct faster_session *s = session_new();
    uint64_t value = 0;
    CHECK_INT(upsert(s, 1, 10), FASTER_OK);
    set_slot_word(s, EPOCH_HELPER | 1);
    check_refused(s, FASTER_RETRY);
    faster_session_wait(s);
    set_slot_word(s, 0);
    CHECK_INT(read_key(s, 1, &value), FASTER_OK);
    CHECK_U64(value, 10);
    faster_session_free(s);
    end();
}

static void i3_a_closed_session_lets_nobody_in(void) {
    begin();
    struct faster_session *s = session_new();
    CHECK_INT(upsert(s, 1, 10), FASTER_OK);
    CHECK_INT(faster_session_close(s), FASTER_OK);
    check_refused(s, FASTER_E_CLOSED);
    CHECK_INT(faster_session_close(s), FASTER_OK);
    CHECK_U64(faster_session_serial(s), 1);
    CHECK_U64(slot_word(s), 0);
    faster_session_free(s);
    end();
}

/* The slot of a closed session belongs to the next one.  Calls on the closed one must
 * not find that one's owner inside, nor get in its way. */
static void m3_a_closed_session_leaves_its_successor_alone(void) {
    begin();
    struct faster_session *closed = session_new();
    CHECK_INT(upsert(closed, 1, 10), FASTER_OK);
    CHECK_INT(faster_session_close(closed), FASTER_OK);
    struct faster_session *s = session_new();
    CHECK(s->slot == closed->slot, "the slot was not used again");
    CHECK_INT(epoch_enter(&kv->epoch, s->slot), FASTER_OK);
    uint64_t inside = slot_word(s);
    check_refused(closed, FASTER_E_CLOSED); /* and not FASTER_E_BUSY */
    CHECK_INT(faster_session_close(closed), FASTER_OK);
    CHECK_U64(slot_word(s), inside);
    epoch_leave(&kv->epoch, s->slot);
    faster_session_free(closed);
    CHECK_INT(upsert(s, 1, 11), FASTER_OK);
    faster_session_free(s);
    end();
}

static void i3_a_closed_store_lets_nobody_in(void) {
    begin();
    struct faster_session *s = session_new();
    struct faster_session *late = NULL;
    CHECK_INT(upsert(s, 1, 10), FASTER_OK);
    CHECK_INT(epoch_enter(&kv->epoch, s->slot), FASTER_OK); /* a call in flight */
    CHECK_INT(faster_kv_close(kv, 0), FASTER_E_TIMEOUT);
    CHECK_INT(faster_session_open(kv, &late), FASTER_E_CLOSED);
    epoch_leave(&kv->epoch, s->slot);
    check_refused(s, FASTER_E_CLOSED);
    CHECK_INT(faster_kv_close(kv, 60000), FASTER_OK);
    check_refused(s, FASTER_E_CLOSED);
    CHECK_INT(faster_session_close(s), FASTER_OK);
    faster_session_free(s);
    end();
}

/* Trap X20: two sessions of one thread shared what belongs to each. */
static void x20_two_sessions_of_one_thread_are_apart(void) {
    begin();
    struct faster_session *a = session_new();
    struct faster_session *b = session_new();
    CHECK(a->slot != b->slot, "one slot for two");
    CHECK_INT(session_enter(a), FASTER_OK);
    CHECK_INT(upsert(b, 1, 10), FASTER_OK); /* while the other is inside */
    session_leave(a);
    CHECK_INT(upsert(a, 2, 20), FASTER_OK);
    CHECK_INT(upsert(a, 2, 21), FASTER_OK);
    CHECK_U64(faster_session_serial(a), 2);
    CHECK_U64(faster_session_serial(b), 1);
    faster_session_free(a);
    CHECK_INT(upsert(b, 2, 22), FASTER_OK);
    CHECK_U64(faster_session_serial(b), 2);
    faster_session_free(b);
    end();
}

static void slots_of_closed_sessions_are_used_again(void) {
    begin_with(FASTER_FIXED, FASTER_TYPE_U64, 2);
    struct faster_session *kept = session_new();
    for (uint64_t i = 0; i < 1000; i++) {
        struct faster_session *s = session_new();
        CHECK(s->slot != kept->slot, "the slot of an open session");
        CHECK_U64(faster_session_serial(s), 0);
        CHECK_INT(upsert(s, i % 10, i), FASTER_OK);
        faster_session_free(s);
    }
    faster_session_free(kept);
    end();
}

/* P6: as many as the store was opened for, and its own slots are not among them. */
static void p6_too_many_sessions_are_refused(void) {
    enum { MOST = 5 };
    struct faster_session *open[MOST];
    struct faster_session *refused = NULL;
    begin_with(FASTER_FIXED, FASTER_TYPE_U64, MOST);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < MOST; i++) {
            open[i] = session_new();
        }
        CHECK_INT(faster_session_open(kv, &refused), FASTER_E_SESSIONS);
        CHECK(refused == NULL, "written without success");
        CHECK_INT(upsert_in_the_end(open[MOST - 1], 1, 10), FASTER_OK);
        if (round == 0) { /* the worker finds a slot although no session does */
            CHECK_INT(faster_kv_grow_index(kv), FASTER_OK);
        }
        faster_session_free(open[0]);
        open[0] = session_new(); /* one has gone, one may come */
        CHECK_INT(faster_session_open(kv, &refused), FASTER_E_SESSIONS);
        for (int i = 0; i < MOST; i++) {
            faster_session_free(open[i]);
        }
    }
    end();
}

static void m1_the_state_is_that_of_the_entry_or_the_refresh(void) {
    begin();
    struct faster_session *s = session_new();
    CHECK_INT(upsert(s, 1, 10), FASTER_OK);
    CHECK_INT(session_enter(s), FASTER_OK);
    CHECK_U64(s->begin, ADDRESS_FIRST);
    CHECK_U64(s->mutable_from, ADDRESS_FIRST);
    CHECK_U64(s->version, 1);
    uint64_t read_only = hlog_shift_read_only(&kv->log);
    (void)atomic_fetch_add_explicit(&kv->state, 1, memory_order_seq_cst);
    CHECK_U64(s->mutable_from, ADDRESS_FIRST); /* as of the entry */
    CHECK_U64(s->version, 1);
    session_refresh(s);
    CHECK_U64(s->mutable_from, read_only);
    CHECK_U64(s->version, 2);
    session_leave(s);
    (void)atomic_fetch_add_explicit(&kv->state, 1, memory_order_seq_cst);
    CHECK_INT(session_enter(s), FASTER_OK);
    CHECK_U64(s->version, 3);
    session_leave(s);
    faster_session_free(s);
    end();
}

static void an_attempt_that_needs_scratch_gets_it(void) {
    begin();
    struct faster_session *s = session_new();
    CHECK_INT(session_enter(s), FASTER_OK);
    for (uint64_t size = 1; size <= 1 << 16; size *= 16) {
        s->scratch_need = size;
        CHECK_INT(session_again(s), FASTER_OK);
        CHECK(s->scratch_size >= size, "%" PRIu64 " of %" PRIu64, s->scratch_size,
              size);
        memset(s->scratch, 0xa5, (size_t)size);
    }
    uint64_t size = s->scratch_size;
    CHECK_INT(session_again(s), FASTER_OK); /* has enough */
    CHECK_U64(s->scratch_size, size);
    session_leave(s);
    faster_session_free(s);
    end();
}

/* Waiting is done outside, so two confused threads may do it on one session. */
static void wait_often(void *context, uint32_t thread) {
    (void)thread;
    for (int i = 0; i < 100; i++) {
        faster_session_wait(context);
    }
}

static void i1_waiting_touches_nothing_that_is_not_shared(void) {
    begin();
    struct faster_session *s = session_new();
    harness_threads(2, wait_often, s);
    CHECK_U64(atomic_load_explicit(&s->waits, memory_order_relaxed), 200);
    faster_session_free(s);
    end();
}

/* Two threads on one session: each call is either refused or done, and counted. */
struct rivals {
    struct faster_session *session;
    uint64_t done[2];
};

static void update_in_rivalry(void *context, uint32_t thread) {
    struct rivals *rivals = context;
    uint64_t rounds = harness_count(20000);
    for (uint64_t i = 0; i < rounds; i++) {
        int result = upsert(rivals->session, thread, i);
        CHECK(result == FASTER_OK || result == FASTER_E_BUSY, "%d", result);
        rivals->done[thread] += result == FASTER_OK;
    }
}

static void e2_rivals_are_refused_or_counted(void) {
    begin();
    struct rivals rivals = {.session = session_new()};
    harness_threads(2, update_in_rivalry, &rivals);
    CHECK_U64(faster_session_serial(rivals.session), rivals.done[0] + rivals.done[1]);
    faster_session_free(rivals.session);
    end();
}

HARNESS_MAIN(TEST(i2_each_update_takes_one_serial_even_if_nothing_changed),
             TEST(i2_reads_take_no_serial), TEST(i2_what_failed_takes_no_serial),
             TEST(i2_a_full_store_takes_no_serial),
             TEST(i2_a_batch_takes_one_serial_for_each_item),
             TEST(e2_another_thread_inside_makes_the_session_busy),
             TEST(e2_a_helper_inside_asks_for_another_try),
             TEST(i3_a_closed_session_lets_nobody_in),
             TEST(m3_a_closed_session_leaves_its_successor_alone),
             TEST(i3_a_closed_store_lets_nobody_in),
             TEST(x20_two_sessions_of_one_thread_are_apart),
             TEST(slots_of_closed_sessions_are_used_again),
             TEST(p6_too_many_sessions_are_refused),
             TEST(m1_the_state_is_that_of_the_entry_or_the_refresh),
             TEST(an_attempt_that_needs_scratch_gets_it),
             TEST(i1_waiting_touches_nothing_that_is_not_shared),
             TEST(e2_rivals_are_refused_or_counted))
