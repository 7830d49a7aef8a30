/* SPDX-License-Identifier: MIT */
/* validate_misuse.c: busy, closed, forked, too many, too large */
#include <sys/wait.h>
#include <unistd.h>

#include "store/kit.h"

/* Every operation through a session, each of which must give `wanted`. */
static void expect_all(struct faster_session *session, int wanted) {
    static const struct faster_merge add = {.kind = FASTER_MERGE_ADD};
    uint64_t words[4] = {1, 2, 3, 4};
    uint64_t out[4];
    uint64_t size;
    uint64_t done = 0;
    uint64_t found;
    uint64_t need[2];
    struct faster_view view;
    struct faster_cursor cursor = {.position = 0};
    struct faster_items items = {(uint8_t *)words, NULL, 8, 8};
    struct faster_results results = {(uint8_t *)out, sizeof out, NULL, NULL};
    CHECK_INT(faster_read(session, words, 8, out, 8, &size), wanted);
    CHECK_INT(faster_upsert(session, words, 8, words, 8), wanted);
    CHECK_INT(faster_insert(session, words, 8, words, 8), wanted);
    CHECK_INT(faster_delete(session, words, 8), wanted);
    CHECK_INT(faster_rmw(session, &add, words, 8, words, 8, out, 8, &size), wanted);
    CHECK_INT(faster_compare_and_set(session, words, 8, words, 8, words, 8), wanted);
    CHECK_INT(faster_view_open(session, words, 8, &view), wanted);
    CHECK_INT(faster_read_many(session, &items, 4, &results, &done), wanted);
    CHECK_INT(faster_upsert_many(session, &items, &items, 4, &done), wanted);
    CHECK_INT(faster_rmw_many(session, &add, &items, &items, 4, &results, &done),
              wanted);
    CHECK_INT(faster_delete_many(session, &items, 4, NULL, &done), wanted);
    CHECK_U64(done, 0);
    CHECK_INT(faster_scan_next(session, &cursor, &results, &results, 4, &found,
                               &need[0], &need[1]),
              wanted);
    CHECK_U64(found, 0);
}

/* E2: a session that somebody is inside of refuses everyone else, and only those. */
static void e2_a_busy_session_refuses(void) {
    struct faster_kv *kv = kit_open(KIT_WORD);
    struct faster_session *session = kit_session(kv);
    struct faster_session *other = kit_session(kv);
    CHECK_INT(kit_put_word(session, 1, 10), FASTER_OK);
    CHECK_INT(epoch_enter(&kv->epoch, session->slot), FASTER_OK);
    expect_all(session, FASTER_E_BUSY);
    CHECK_INT(faster_session_close(session), FASTER_E_BUSY);
    CHECK_U64(faster_session_serial(session), 1);
    CHECK_INT(kit_put_word(other, 2, 20), FASTER_OK);
    epoch_leave(&kv->epoch, session->slot);
    uint64_t value = 0;
    CHECK_INT(kit_get_word(session, 1, &value), FASTER_OK);
    CHECK_U64(value, 10);
    /* A helper's visit is no misuse: the owner tries again. */
    atomic_store_explicit(&session->slot->word, EPOCH_HELPER | 1, memory_order_seq_cst);
    CHECK_INT(faster_upsert(session, &value, 8, &value, 8), FASTER_RETRY);
    epoch_leave(&kv->epoch, session->slot);
    faster_session_free(other);
    kit_close(kv, session);
}

/* session.h I3: nobody gets into a closed session, also when its slot is another's now,
 * and the other does not notice. */
static void i3_a_closed_session_stays_closed(void) {
    struct faster_kv *kv = kit_open(KIT_WORD);
    struct faster_session *session = kit_session(kv);
    struct epoch_slot *slot = session->slot;
    CHECK_INT(kit_put_word(session, 1, 10), FASTER_OK);
    CHECK_INT(faster_session_close(session), FASTER_OK);
    CHECK_INT(faster_session_close(session), FASTER_OK);
    expect_all(session, FASTER_E_CLOSED);
    CHECK_U64(faster_session_serial(session), 1);
    struct faster_session *next = kit_session(kv);
    CHECK(next->slot == slot, "the slot was not given back");
    CHECK_INT(epoch_enter(&kv->epoch, next->slot), FASTER_OK);
    expect_all(session, FASTER_E_CLOSED);
    CHECK_INT(faster_session_close(session), FASTER_OK);
    faster_session_free(session);
    epoch_leave(&kv->epoch, next->slot);
    CHECK_U64(faster_session_serial(next), 0);
    CHECK_INT(kit_put_word(next, 1, 11), FASTER_OK);
    struct faster_kv_stats stats = kit_stats(kv);
    CHECK_U64(stats.sessions, 1);
    CHECK_U64(stats.upserts, 2); /* what a closed session did still counts */
    kit_close(kv, next);
}

/* X20: two sessions of one thread are two sessions: serials, counts and ends of their
 * own. */
static void x20_two_sessions_of_one_thread(void) {
    struct faster_kv *kv = kit_open(KIT_WORD);
    struct faster_session *one = kit_session(kv);
    struct faster_session *two = kit_session(kv);
    CHECK(one->slot != two->slot, "one slot for both");
    for (uint64_t i = 0; i < 100; i++) {
        uint64_t value = 0;
        CHECK_INT(kit_put_word(i % 3 == 0 ? one : two, i, i), FASTER_OK);
        CHECK_INT(kit_get_word(i % 3 == 0 ? two : one, i, &value), FASTER_OK);
        CHECK_U64(value, i);
    }
    CHECK_U64(faster_session_serial(one), 34);
    CHECK_U64(faster_session_serial(two), 66);
    /* One inside the other's operation: both hold their own epoch. */
    CHECK_INT(session_enter(one), FASTER_OK);
    CHECK_INT(kit_put_word(two, 100, 100), FASTER_OK);
    CHECK_INT(faster_session_close(two), FASTER_OK);
    faster_session_free(two);
    uint64_t bumped_from = epoch_bump(&kv->epoch);
    CHECK(!epoch_is_safe(&kv->epoch, bumped_from), "the other's end let us out");
    session_leave(one);
    CHECK(epoch_is_safe(&kv->epoch, bumped_from),
          "left, but still protected"); /* X19 */
    CHECK_INT(kit_put_word(one, 101, 101), FASTER_OK);
    kit_close(kv, one);
}

/* Closing waits for who is inside, gives up at its deadline, and can be
 * called again. */
static void p5_close_waits_and_can_be_repeated(void) {
    struct faster_kv *kv = kit_open(KIT_WORD);
    struct faster_session *session = kit_session(kv);
    struct faster_session *inside = kit_session(kv);
    struct faster_session *late;
    struct faster_kv_stats stats = {.size = sizeof stats};
    CHECK_INT(kit_put_word(session, 1, 10), FASTER_OK);
    CHECK_INT(session_enter(inside), FASTER_OK);
    CHECK_INT(faster_kv_close(kv, 5), FASTER_E_TIMEOUT);
    CHECK_INT(faster_kv_close(kv, 0), FASTER_E_TIMEOUT);
    CHECK(!kv->released, "memory was pulled away under an operation");
    /* Who is inside finds all that was there. */
    struct kit_bytes key = kit_key(KIT_WORD, 1);
    struct found found;
    CHECK_INT(find_record(inside, kv_hash(kv, key.data, 8), key.data, 8, &found),
              FASTER_OK);
    expect_all(session, FASTER_E_CLOSED);
    CHECK_INT(faster_session_open(kv, &late), FASTER_E_CLOSED);
    CHECK_INT(faster_kv_stats(kv, &stats), FASTER_E_CLOSED);
    CHECK_INT(faster_kv_grow_index(kv), FASTER_E_CLOSED);
    session_leave(inside);
    CHECK_INT(faster_kv_close(kv, 5), FASTER_OK);
    CHECK(kv->released, "memory is kept");
    CHECK_INT(faster_kv_close(kv, 5), FASTER_OK);
    expect_all(session, FASTER_E_CLOSED);
    CHECK_INT(faster_session_close(inside), FASTER_OK);
    faster_session_free(inside);
    faster_session_free(session);
    faster_kv_free(kv);
}

/* Closing in the middle of a growth joins the worker and gives all back. */
static void p5_close_in_the_middle_of_a_growth(void) {
    for (int i = 0; i < 20; i++) {
        struct faster_kv *kv = kit_open(KIT_WORD);
        struct faster_session *session = kit_session(kv);
        for (uint64_t key = 0; key < 500; key++) {
            CHECK_INT(kit_put_word(session, key, key), FASTER_OK);
        }
        for (int growth = 0; growth < i % 4; growth++) {
            CHECK_INT(faster_kv_grow_index(kv), FASTER_OK);
        }
        kit_close(kv, session);
    }
}

/* E6, P5: a view outlives its session and the store's close; it ends with the store. */
static void e6_views_outlive_the_close(void) {
    struct faster_kv *kv = kit_open(KIT_TEXT);
    struct faster_session *session = kit_session(kv);
    struct kit_bytes key = kit_key(KIT_TEXT, 1);
    struct kit_bytes value = kit_value(KIT_TEXT, 1, 300);
    struct faster_view view;
    CHECK_INT(kit_upsert(session, &key, &value), FASTER_OK);
    kit_settle(kv);
    CHECK_INT(faster_view_open(session, key.data, key.size, &view), FASTER_OK);
    faster_session_free(session);
    CHECK_INT(faster_kv_close(kv, 0), FASTER_OK);
    CHECK(view.size == value.size && memcmp(view.data, value.data, 300) == 0,
          "the view has changed");
    faster_view_close(kv, &view);
    CHECK_INT(faster_kv_close(kv, 0), FASTER_OK);
    faster_kv_free(kv);
}

/* What the child of a fork gets to see (P4). */
static int child(struct faster_kv *kv, struct faster_session *session,
                 const struct faster_view *view) {
    struct faster_session *fresh;
    struct faster_kv_stats stats = {.size = sizeof stats};
    expect_all(session, FASTER_E_FORKED);
    CHECK_INT(faster_session_open(kv, &fresh), FASTER_E_FORKED);
    CHECK_INT(faster_session_close(session), FASTER_E_FORKED);
    CHECK_INT(faster_kv_stats(kv, &stats), FASTER_E_FORKED);
    CHECK_INT(faster_kv_grow_index(kv), FASTER_E_FORKED);
    CHECK_INT(faster_kv_close(kv, 10), FASTER_E_FORKED);
    faster_session_wait(session);
    uint32_t pins = (uint32_t)hlog_pinned(&kv->log);
    faster_view_close(kv, view);
    CHECK_U64(hlog_pinned(&kv->log), pins);
    faster_session_free(session);
    faster_kv_free(kv);
    /* Nothing was freed or given back: the sanitizers would see these reads. */
    CHECK_U64(faster_session_serial(session), 3);
    CHECK(!kv->released && kv->sessions == session, "the child has freed something");
    CHECK(memcmp(view->data, "\x0a", 1) == 0, "the view is gone");
    return 0;
}

/* P4: a child of fork() is refused everything and frees nothing, also while a session
 * of the parent is inside and its worker runs; the parent goes on. */
static void p4_a_forked_child_is_refused(void) {
    struct faster_kv *kv = kit_open(KIT_WORD);
    struct faster_session *session = kit_session(kv);
    struct faster_view view;
    uint64_t key = 1;
    CHECK_INT(kit_put_word(session, key, 10), FASTER_OK);
    kit_settle(kv);
    CHECK_INT(faster_view_open(session, &key, 8, &view), FASTER_OK);
    CHECK_INT(kit_put_word(session, 2, 20), FASTER_OK);
    CHECK_INT(kit_put_word(session, 3, 30), FASTER_OK);
    CHECK_INT(faster_kv_grow_index(kv), FASTER_OK); /* starts the worker */
    for (int inside = 0; inside < 2; inside++) {
        int status = -1;
        if (inside != 0) {
            CHECK_INT(session_enter(session), FASTER_OK);
        }
        fflush(stdout);
        pid_t pid = fork();
        CHECK(pid >= 0, "fork failed");
        if (pid == 0) {
            _exit(child(kv, session, &view));
        }
        CHECK(waitpid(pid, &status, 0) == pid && status == 0, "child: %d", status);
        if (inside != 0) {
            session_leave(session);
        }
    }
    CHECK_INT(kit_put_word(session, 4, 40), FASTER_OK);
    faster_view_close(kv, &view);
    kit_close(kv, session);
}

/* As many sessions as configured and not one more, also while the index grows, which
 * needs a slot of its own. */
static void p6_sessions_are_counted(void) {
    for (uint32_t most = 1; most < 200; most += 66) {
        struct faster_kv_config config = kit_config(KIT_WORD);
        struct faster_session *sessions[200];
        struct faster_session *more;
        config.sessions_max = most;
        struct faster_kv *kv = kit_open_config(&config);
        for (uint32_t i = 0; i < most; i++) {
            sessions[i] = kit_session(kv);
        }
        CHECK_INT(faster_session_open(kv, &more), FASTER_E_SESSIONS);
        CHECK_INT(faster_kv_grow_index(kv), FASTER_OK);
        while (kit_stats(kv).index_growths == 0) { /* ends: the worker walks on */
            thread_yield();
        }
        CHECK_INT(faster_session_open(kv, &more), FASTER_E_SESSIONS);
        CHECK_INT(faster_session_close(sessions[most / 2]), FASTER_OK);
        CHECK_INT(faster_session_open(kv, &more), FASTER_OK);
        for (uint32_t i = 0; i < most; i++) {
            CHECK_INT(kit_put_word(i == most / 2 ? more : sessions[i], i, i),
                      FASTER_OK);
            faster_session_free(sessions[i]);
        }
        kit_close(kv, more);
    }
}

/* Every session the interface promises can be opened. */
static void p6_the_most_sessions(void) {
    struct faster_kv *kv = kit_open(KIT_WORD);
    static struct faster_session *sessions[4096];
    struct faster_session *more;
    for (int i = 0; i < 4096; i++) {
        CHECK_INT(faster_session_open(kv, &sessions[i]), FASTER_OK);
    }
    CHECK_INT(faster_session_open(kv, &more), FASTER_E_SESSIONS);
    CHECK_INT(kit_put_word(sessions[4095], 1, 2), FASTER_OK);
    for (int i = 0; i < 4095; i++) {
        faster_session_free(sessions[i]);
    }
    kit_close(kv, sessions[4095]);
}

/* Sizes at and beyond their limits; what is refused takes no serial. */
static void limits_of_keys_and_values(void) {
    struct faster_kv_config config = kit_config(KIT_TEXT);
    config.page_size = 256 << 10;
    struct faster_kv *kv = kit_open_config(&config);
    struct faster_session *session = kit_session(kv);
    static uint8_t data[256 << 10];
    uint64_t most = hlog_record_max(&kv->log) - RECORD_VARLEN_HEADER;
    uint64_t size = 0;
    CHECK_INT(faster_upsert(session, data, 65536, "", 0), FASTER_E_KEY_SIZE);
    CHECK_INT(faster_read(session, data, UINT64_MAX, data, 0, &size),
              FASTER_E_KEY_SIZE);
    CHECK_INT(faster_upsert(session, "k", 1, data, most - 7), FASTER_E_VALUE_SIZE);
    CHECK_INT(faster_upsert(session, "k", 1, data, UINT64_MAX), FASTER_E_VALUE_SIZE);
    CHECK_INT(faster_upsert(session, "k", 1, data, UINT64_MAX - 7),
              FASTER_E_VALUE_SIZE);
    CHECK_INT(faster_upsert(session, "k", 1, data, (uint64_t)1 << 32),
              FASTER_E_VALUE_SIZE);
    CHECK_U64(faster_session_serial(session), 0);
    CHECK_INT(faster_upsert(session, "k", 1, data, most - 8), FASTER_OK);
    CHECK_INT(faster_read(session, "k", 1, data, sizeof data, &size), FASTER_OK);
    CHECK_U64(size, most - 8);
    CHECK_INT(faster_upsert(session, data, 65535, data, most - 65536), FASTER_OK);
    CHECK_INT(faster_read(session, data, 65535, data, sizeof data, &size), FASTER_OK);
    CHECK_U64(size, most - 65536);
    kit_close(kv, session);
    config.page_size = 4096;
    kv = kit_open_config(&config);
    session = kit_session(kv);
    most = hlog_record_max(&kv->log) - RECORD_VARLEN_HEADER;
    CHECK_INT(faster_upsert(session, data, most + 1, "", 0), FASTER_E_KEY_SIZE);
    CHECK_INT(faster_upsert(session, data, most, "", 1), FASTER_E_VALUE_SIZE);
    CHECK_INT(faster_upsert(session, data, most, "", 0), FASTER_OK);
    kit_close(kv, session);
    kv = kit_open(KIT_WIDE);
    session = kit_session(kv);
    for (uint64_t other = 0; other < 200; other++) {
        int key = other == 8 ? FASTER_OK : FASTER_E_KEY_SIZE;
        int value = other == KIT_WIDE_SIZE ? FASTER_OK : FASTER_E_VALUE_SIZE;
        CHECK_INT(faster_upsert(session, data, other, data, KIT_WIDE_SIZE), key);
        CHECK_INT(faster_upsert(session, data, 8, data, other), value);
    }
    kit_close(kv, session);
}

/* Settings out of range are refused; what a budget cannot hold is FULL at once. */
static void limits_of_settings(void) {
    struct faster_kv *kv;
    struct faster_kv_config good = kit_config(KIT_WORD);
    struct faster_kv_config bad[16];
    for (int i = 0; i < 16; i++) {
        bad[i] = good;
    }
    bad[0].size -= 1;
    bad[1].layout = 0;
    bad[2].layout = 3;
    bad[3].hash = 0;
    bad[4].hash = 3;
    bad[5].value_type = FASTER_TYPE_F64 + 1;
    bad[6].key_size = 0;
    bad[7].key_size = 65536;
    bad[8].value_size = 4; /* not an i64 */
    bad[9].page_size = 2048;
    bad[10].page_size = 65537;
    bad[11].page_size = (uint64_t)2 << 30;
    bad[12].index_permille = 1001;
    bad[13].sessions_max = 4097;
    bad[14].layout = FASTER_VARLEN; /* with sizes */
    bad[15].value_type = FASTER_TYPE_OPAQUE;
    bad[15].value_size = KIT_PAGE; /* no room for it */
    for (int i = 0; i < 16; i++) {
        CHECK(faster_kv_open(&bad[i], &kv) == FASTER_E_CONFIG, "setting %d", i);
    }
    struct faster_kv_config small = good;
    small.expected_keys = 100 << 20;
    CHECK_INT(faster_kv_open(&small, &kv), FASTER_E_FULL);
    small = good;
    small.memory = 2 * KIT_PAGE - 1;
    CHECK_INT(faster_kv_open(&small, &kv), FASTER_E_FULL);
    small.memory = 2 * KIT_PAGE + (256 << 10);
    small.sessions_max = 4096;
    kv = kit_open_config(&small);
    kit_close(kv, kit_session(kv));
}

/* expected_keys sizes the index ahead: so many keys do not make it grow. */
static void g0_expected_keys_need_no_growth(void) {
    struct faster_kv_config config = kit_config(KIT_WORD);
    config.expected_keys = 50000;
    struct faster_kv *kv = kit_open_config(&config);
    struct faster_session *session = kit_session(kv);
    uint64_t buckets = kit_stats(kv).index_buckets;
    for (uint64_t key = 0; key < 50000; key++) {
        CHECK_INT(kit_put_word(session, key, key), FASTER_OK);
    }
    struct faster_kv_stats stats = kit_stats(kv);
    CHECK_U64(stats.index_buckets, buckets);
    CHECK_U64(stats.index_growths + stats.index_growing, 0);
    kit_close(kv, session);
}

/* X11, G0: keys that come through many short sessions are counted too: the index grows
 * with them. */
static void x11_short_sessions_make_the_index_grow(void) {
    struct faster_kv *kv = kit_open(KIT_WORD);
    struct faster_session *keeper = kit_session(kv);
    uint64_t buckets = kit_stats(kv).index_buckets;
    for (uint64_t key = 0; key < buckets * INDEX_LOAD * 2; key++) {
        struct faster_session *session = kit_session(kv);
        CHECK_INT(kit_put_word(session, key, key), FASTER_OK);
        faster_session_free(session);
    }
    struct faster_kv_stats stats = kit_stats(kv);
    CHECK(stats.index_buckets > buckets, "%" PRIu64 " of %" PRIu64 " keys are counted",
          stats.index_entries, buckets * INDEX_LOAD * 2);
    kit_close(kv, keeper);
}

/* Figures are written as far as the caller's struct goes. */
static void stats_respect_the_callers_size(void) {
    struct faster_kv *kv = kit_open(KIT_WORD);
    struct faster_session *session = kit_session(kv);
    for (uint32_t size = 4; size <= sizeof(struct faster_kv_stats); size += 4) {
        uint8_t bytes[sizeof(struct faster_kv_stats)];
        memset(bytes, 0xee, sizeof bytes);
        memcpy(bytes, &size, 4);
        CHECK_INT(faster_kv_stats(kv, (struct faster_kv_stats *)(void *)bytes),
                  FASTER_OK);
        for (size_t i = size; i < sizeof bytes; i++) {
            CHECK_INT(bytes[i], 0xee);
        }
    }
    CHECK_U64(kit_stats(kv).address_begin, ADDRESS_FIRST);
    CHECK_U64(kit_stats(kv).sessions, 1);
    kit_close(kv, session);
}

HARNESS_MAIN(TEST(e2_a_busy_session_refuses), TEST(i3_a_closed_session_stays_closed),
             TEST(x20_two_sessions_of_one_thread),
             TEST(p5_close_waits_and_can_be_repeated),
             TEST(p5_close_in_the_middle_of_a_growth), TEST(e6_views_outlive_the_close),
             TEST(p4_a_forked_child_is_refused), TEST(p6_sessions_are_counted),
             TEST(p6_the_most_sessions), TEST(limits_of_keys_and_values),
             TEST(limits_of_settings), TEST(g0_expected_keys_need_no_growth),
             TEST(stats_respect_the_callers_size),
             TEST(x11_short_sessions_make_the_index_grow))
