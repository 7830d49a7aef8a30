/* SPDX-License-Identifier: MIT */
/*
 * Readers beside writers: values are whole, in order, and of keys that are there.
 *
 * A value begins with its stamp, writer and number, and all its other bytes and (where
 * sizes vary) its size follow from the stamp.  Whoever reads a value recomputes it.  A
 * reader that has seen a writer's n-th value of a key never sees an earlier one of it
 * again, for a key has one newest record and changes in one order.
 */
#include "base/thread.h"
#include "store/torture.h"

enum { WRITERS = 3, READERS = 2, KEYS = 6, STAMP = 8, TEXT_SIZE_MAX = 160 };

struct shared {
    struct faster_kv *kv;
    enum kit_kind kind;
    uint64_t steps;
    _Atomic uint32_t writers_left;
};

/* The numbers of each writer's values that one thread has seen last. */
struct seen {
    uint64_t number[KEYS][WRITERS];
};

static struct kit_bytes stamped(enum kit_kind kind, uint64_t writer, uint64_t number) {
    uint64_t stamp = writer << 56 | number;
    uint64_t mixed = stamp * UINT64_C(0x9e3779b97f4a7c15);
    struct kit_bytes value = {.size = KIT_WIDE_SIZE};
    if (kind == KIT_TEXT) {
        value.size = STAMP + (mixed >> 32) % (TEXT_SIZE_MAX - STAMP);
    }
    memcpy(value.data, &stamp, STAMP);
    for (uint64_t i = STAMP; i < value.size; i++) {
        value.data[i] = (uint8_t)((mixed >> 40) + i * 3);
    }
    return value;
}

static void check_stamped(enum kit_kind kind, uint64_t key,
                          const struct kit_bytes *value, struct seen *seen) {
    uint64_t stamp;
    memcpy(&stamp, value->data, STAMP);
    uint64_t writer = stamp >> 56;
    uint64_t number = stamp & (((uint64_t)1 << 56) - 1);
    CHECK(value->size >= STAMP && writer < WRITERS,
          "%" PRIu64 " bytes of writer %" PRIu64, value->size, writer);
    struct kit_bytes whole = stamped(kind, writer, number);
    CHECK(kit_same(value, &whole),
          "a value that nobody wrote: stamp 0x%" PRIx64 ", %" PRIu64 " bytes, not "
          "%" PRIu64,
          stamp, value->size, whole.size);
    CHECK(number >= seen->number[key][writer],
          "key %" PRIu64 " back at %" PRIu64 " of writer %" PRIu64 " after %" PRIu64,
          key, number, writer, seen->number[key][writer]);
    seen->number[key][writer] = number;
}

static int read_checked(struct shared *shared, struct faster_session *session,
                        uint64_t k, struct seen *seen) {
    struct kit_bytes key = kit_key(shared->kind, k);
    struct kit_bytes value;
    int result = kit_read(session, &key, &value);
    CHECK(result == FASTER_OK || result == FASTER_NOT_FOUND, "%d", result);
    if (result == FASTER_OK) {
        check_stamped(shared->kind, k, &value, seen);
    }
    return result;
}

/* Replace what is there by comparing: also a value that was compared must be whole. */
static void compare_once(struct shared *shared, struct faster_session *session,
                         uint64_t k, const struct kit_bytes *value, struct seen *seen) {
    struct kit_bytes key = kit_key(shared->kind, k);
    struct kit_bytes before;
    int result = kit_read(session, &key, &before);
    if (result == FASTER_OK) {
        check_stamped(shared->kind, k, &before, seen);
        result = kit_compare(session, &key, &before, value);
        CHECK(result == FASTER_OK || result == FASTER_MISMATCH ||
                  result == FASTER_NOT_FOUND,
              "%d", result);
    }
}

static void write_values(struct shared *shared, uint32_t writer) {
    struct faster_session *session = kit_session(shared->kv);
    struct rng rng = rng_stream(writer);
    struct seen seen = {{{0}}};
    for (uint64_t i = 1; i <= shared->steps; i++) {
        uint64_t k = rng_below(&rng, KEYS);
        struct kit_bytes key = kit_key(shared->kind, k);
        struct kit_bytes value = stamped(shared->kind, writer, i);
        uint64_t dice = rng_below(&rng, 100);
        int result = FASTER_OK;
        if (dice < 50) {
            result = kit_upsert(session, &key, &value);
        } else if (dice < 65) {
            result = kit_insert(session, &key, &value);
        } else if (dice < 80) {
            compare_once(shared, session, k, &value, &seen);
        } else if (dice < 98) {
            result = kit_delete(session, &key);
        } else {
            (void)hlog_shift_read_only(&shared->kv->log);
        }
        CHECK(result == FASTER_OK ||
                  (dice >= 50 && dice < 65 && result == FASTER_EXISTS) ||
                  (dice >= 80 && result == FASTER_NOT_FOUND),
              "%d", result);
    }
    faster_session_free(session);
    atomic_fetch_sub_explicit(&shared->writers_left, 1, memory_order_release);
}

/* Views, too, hold whole values, also after others were written. */
static void view_checked(struct shared *shared, struct faster_session *session,
                         uint64_t k, struct seen *seen) {
    struct kit_bytes key = kit_key(shared->kind, k);
    struct faster_view view;
    int result;
    KIT_RETRY(session, result, faster_view_open(session, key.data, key.size, &view));
    if (result != FASTER_OK) {
        CHECK(result == FASTER_MUTABLE || result == FASTER_NOT_FOUND, "%d", result);
        return;
    }
    CHECK(view.size <= TEXT_SIZE_MAX, "%" PRIu64, view.size);
    struct kit_bytes value = {.size = view.size};
    thread_yield();
    memcpy(value.data, view.data, (size_t)view.size);
    check_stamped(shared->kind, k, &value, seen);
    faster_view_close(shared->kv, &view);
}

static void read_values(struct shared *shared, uint32_t thread) {
    struct faster_session *session = kit_session(shared->kv);
    struct rng rng = rng_stream(thread);
    struct seen seen = {{{0}}};
    uint64_t there = 0;
    uint64_t absent = 0;
    while (atomic_load_explicit(&shared->writers_left, memory_order_acquire) != 0) {
        uint64_t k = rng_below(&rng, KEYS);
        int result = read_checked(shared, session, k, &seen);
        there += result == FASTER_OK;
        absent += result == FASTER_NOT_FOUND;
        if (rng_below(&rng, 8) == 0) {
            view_checked(shared, session, k, &seen);
        }
    }
    /* Nobody changes anything any more: two looks agree. */
    for (uint64_t k = 0; k < KEYS; k++) {
        int first = read_checked(shared, session, k, &seen);
        CHECK_INT(read_checked(shared, session, k, &seen), first);
    }
    printf("  %" PRIu64 " values, %" PRIu64 " absent\n", there, absent);
    faster_session_free(session);
}

static void values_thread(void *context, uint32_t thread) {
    struct shared *shared = context;
    if (thread < WRITERS) {
        write_values(shared, thread);
    } else {
        read_values(shared, thread);
    }
}

static void run_values(enum kit_kind kind) {
    struct shared shared = {
        .kv = kit_open(kind), .kind = kind, .steps = harness_count(60000)};
    atomic_init(&shared.writers_left, WRITERS);
    harness_threads(WRITERS + READERS, values_thread, &shared);
    torture_close(shared.kv, kit_session(shared.kv));
}

/* record.h M2: fixed values of many words. */
static void m2_wide_values_are_never_torn(void) { run_values(KIT_WIDE); }

/* The same where values grow and shrink, in place and out of it. */
static void m2_texts_are_never_torn(void) { run_values(KIT_TEXT); }

/*
 * Lives.  One thread owns a key: life n is an upsert of n, and ends by a delete.  What
 * it is about to do it says in `begun` and `ending`, what it has done in `alive` and
 * `ended`, each holding the life's number.
 */
enum { LIFE_KEYS = 2, LIFE_READERS = 2 };

struct life {
    _Alignas(CACHE_LINE) _Atomic uint64_t begun;
    _Atomic uint64_t alive;
    _Atomic uint64_t ending;
    _Atomic uint64_t ended;
};

struct lives {
    struct faster_kv *kv;
    bool texts; /* keys so long that flags and value are in different cache lines */
    uint64_t count;
    _Atomic uint32_t owners_left;
    struct life life[LIFE_KEYS];
};

static struct kit_bytes life_key(const struct lives *lives, uint64_t k) {
    struct kit_bytes key = kit_key(KIT_WORD, k);
    if (lives->texts) {
        key.size = KIT_KEY_MAX;
        memset(key.data + 8, 'x', KIT_KEY_MAX - 8);
    }
    return key;
}

static void say(_Atomic uint64_t *word, uint64_t number) {
    atomic_store_explicit(word, number, memory_order_seq_cst);
}

static uint64_t hear(_Atomic uint64_t *word) {
    return atomic_load_explicit(word, memory_order_seq_cst);
}

static void live(struct lives *lives, uint32_t k) {
    struct faster_session *session = kit_session(lives->kv);
    struct rng rng = rng_stream(200 + k);
    struct life *life = &lives->life[k];
    struct kit_bytes key = life_key(lives, k);
    for (uint64_t n = 1; n <= lives->count; n++) {
        struct kit_bytes value = kit_value(KIT_WORD, n, 8);
        say(&life->begun, n);
        int result = n % 2 == 0 ? kit_upsert(session, &key, &value)
                                : kit_insert(session, &key, &value);
        CHECK_INT(result, FASTER_OK);
        say(&life->alive, n);
        kit_expect(session, &key, &value);
        say(&life->ending, n);
        CHECK_INT(kit_delete(session, &key), FASTER_OK);
        say(&life->ended, n);
        kit_expect(session, &key, NULL);
        if (rng_below(&rng, 512) == 0) {
            (void)hlog_shift_read_only(&lives->kv->log);
        }
    }
    faster_session_free(session);
    atomic_fetch_sub_explicit(&lives->owners_left, 1, memory_order_release);
}

/* One look at a key: its life, or 0. */
static uint64_t look(struct lives *lives, struct faster_session *session, uint32_t k) {
    struct life *life = &lives->life[k];
    struct kit_bytes key = life_key(lives, k);
    struct kit_bytes value;
    uint64_t ended = hear(&life->ended);
    uint64_t alive = hear(&life->alive);
    int result = kit_read(session, &key, &value);
    uint64_t ending = hear(&life->ending);
    uint64_t begun = hear(&life->begun);
    if (result == FASTER_NOT_FOUND) {
        CHECK(ending >= alive, "absent in life %" PRIu64, alive);
        return 0;
    }
    CHECK_INT(result, FASTER_OK);
    uint64_t n;
    memcpy(&n, value.data, 8);
    CHECK(n > ended && n <= begun,
          "life %" PRIu64 " when %" PRIu64 " had ended and %" PRIu64 " begun", n, ended,
          begun);
    return n;
}

static void watch(struct lives *lives, uint32_t thread) {
    struct faster_session *session = kit_session(lives->kv);
    struct rng rng = rng_stream(300 + thread);
    while (atomic_load_explicit(&lives->owners_left, memory_order_acquire) != 0) {
        uint32_t k = (uint32_t)rng_below(&rng, LIFE_KEYS);
        uint64_t first = look(lives, session, k);
        uint64_t second = look(lives, session, k);
        CHECK(second == 0 || second >= first, "life %" PRIu64 " after %" PRIu64, second,
              first);
        /* Who was seen alive and is not has begun to end. */
        uint64_t ending = hear(&lives->life[k].ending);
        CHECK(second != 0 || ending >= first,
              "life %" PRIu64 " was seen before it began, %" PRIu64 " is the last that "
              "ended",
              first, ending);
    }
    faster_session_free(session);
}

static void lives_thread(void *context, uint32_t thread) {
    struct lives *lives = context;
    if (thread < LIFE_KEYS) {
        live(lives, thread);
    } else {
        watch(lives, thread);
    }
}

static void run_lives(bool texts) {
    struct faster_kv_config config = kit_config(texts ? KIT_TEXT : KIT_WORD);
    config.value_type = FASTER_TYPE_I64;
    struct lives *lives = aligned_alloc(CACHE_LINE, sizeof *lives);
    CHECK(lives != NULL, "no memory");
    memset((void *)lives, 0, sizeof *lives);
    lives->kv = kit_open_config(&config);
    lives->texts = texts;
    lives->count = harness_count(60000);
    atomic_init(&lives->owners_left, LIFE_KEYS);
    harness_threads(LIFE_KEYS + LIFE_READERS, lives_thread, lives);
    torture_close(lives->kv, kit_session(lives->kv));
    free(lives);
}

/* record.h M3: a key is seen with a value from its upsert to its delete, never before
 * and never after, and is absent in no moment between. */
static void m3_an_absent_key_has_no_value(void) {
    run_lives(false);
    run_lives(true);
}

HARNESS_MAIN(TEST(m2_wide_values_are_never_torn), TEST(m2_texts_are_never_torn),
             TEST(m3_an_absent_key_has_no_value))
