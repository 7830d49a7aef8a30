/* SPDX-License-Identifier: MIT */
/*
 * validate_update.c: every operation on every kind of key in every region
 *
 * One oracle says what each operation returns and leaves, and R2 - R4 say whether the
 * log may grow and what happens to the record that was there.
 */
#include "store/kit.h"

enum region { MUTABLE, FUZZY, IMMUTABLE, REGIONS };
enum state { ABSENT, LIVE, DEAD, STATES };
enum op { READ, UPSERT, INSERT, DELETE, ADD, SET, CAS_HIT, CAS_MISS, OPS };

enum { OLD_SIZE = 20 };

/* Sizes of new values around OLD_SIZE, whose room is 24. */
static const uint64_t sizes[] = {0, 1, 13, 20, 21, 24, 25, 57, 200};

struct scene {
    enum kit_kind kind;
    struct faster_kv *kv;
    struct faster_session *session;
    struct faster_session *other;
    uint64_t next_key;
    struct faster_kv_stats expected; /* counts */
};

struct one {
    enum region region;
    enum state state;
    enum op op;
    struct kit_bytes key;
    struct kit_bytes old;   /* the value before, if live */
    struct kit_bytes input; /* the operation's argument */
    struct record *record;  /* the key's record before, NULL when absent */
    uint64_t address;

    /* what the oracle says */
    int result;
    bool changes;
    bool live;
    struct kit_bytes after;
};

/* The merge that depends on old and input in each kind of store. */
static struct faster_merge merge_of(enum kit_kind kind) {
    static const uint32_t kinds[] = {FASTER_MERGE_ADD, FASTER_MERGE_PUT_NEWEST,
                                     FASTER_MERGE_APPEND};
    struct faster_merge merge = {.kind = kinds[kind]};
    return merge;
}

static struct kit_bytes merged(enum kit_kind kind, const struct kit_bytes *old,
                               const struct kit_bytes *input) {
    struct kit_bytes result = *old;
    if (kind == KIT_WORD) {
        uint64_t a;
        uint64_t b;
        memcpy(&a, old->data, 8);
        memcpy(&b, input->data, 8);
        a += b;
        memcpy(result.data, &a, 8);
    } else if (kind == KIT_WIDE) {
        uint64_t a;
        uint64_t b;
        memcpy(&a, old->data, 8);
        memcpy(&b, input->data, 8);
        return a >= b ? *old : *input;
    } else {
        memcpy(result.data + result.size, input->data, (size_t)input->size);
        result.size += input->size;
    }
    return result;
}

static void decide_live(struct scene *scene, struct one *one) {
    one->live = true;
    one->after = one->old;
    one->result = FASTER_OK;
    switch (one->op) {
    case READ:
    case SET: /* set if absent: the old value stays */
        break;
    case INSERT:
        one->result = FASTER_EXISTS;
        break;
    case CAS_MISS:
        one->result = FASTER_MISMATCH;
        break;
    case DELETE:
        one->live = false;
        one->changes = true;
        break;
    case ADD:
        one->after = merged(scene->kind, &one->old, &one->input);
        one->changes = scene->kind != KIT_WIDE || !kit_same(&one->after, &one->old);
        break;
    default:
        one->after = one->input;
        one->changes = true;
    }
}

static void decide(struct scene *scene, struct one *one) {
    one->changes = false;
    if (one->state == LIVE) {
        decide_live(scene, one);
        return;
    }
    bool makes =
        one->op == UPSERT || one->op == INSERT || one->op == ADD || one->op == SET;
    one->result = makes ? FASTER_OK : FASTER_NOT_FOUND;
    one->changes = makes;
    one->live = makes;
    one->after = one->input;
}

static void count(struct scene *scene, const struct one *one) {
    struct faster_kv_stats *stats = &scene->expected;
    bool ok = one->result == FASTER_OK;
    switch (one->op) {
    case READ:
        stats->reads_hit += ok;
        stats->reads_missed += !ok;
        return;
    case UPSERT:
        stats->upserts += ok;
        return;
    case INSERT:
        stats->inserts += ok;
        return;
    case DELETE:
        stats->deletes += ok;
        return;
    case ADD:
    case SET:
        stats->rmws += ok;
        return;
    default:
        stats->compares += ok;
    }
}

/* A key in the state and region wanted.  Everything before is made immutable first, so
 * that the record is the only one that is not. */
static void prepare(struct scene *scene, struct one *one) {
    kit_settle(scene->kv);
    one->key = kit_key(scene->kind, scene->next_key);
    one->old = kit_value(scene->kind, scene->next_key, OLD_SIZE);
    scene->next_key++;
    if (one->state != ABSENT) {
        CHECK_INT(kit_upsert(scene->session, &one->key, &one->old), FASTER_OK);
        scene->expected.upserts++;
    }
    if (one->state == DEAD) {
        CHECK_INT(kit_delete(scene->session, &one->key), FASTER_OK);
        scene->expected.deletes++;
    }
    if (one->region == FUZZY) {
        kit_hold(scene->kv, scene->other);
    } else if (one->region == IMMUTABLE) {
        kit_settle(scene->kv);
    }
    one->record = kit_record(scene->session, &one->key, &one->address);
    CHECK((one->record != NULL) == (one->state != ABSENT), "state %d", one->state);
}

static int perform(struct scene *scene, struct one *one) {
    static const struct faster_merge set = {.kind = FASTER_MERGE_SET_IF_ABSENT};
    struct faster_merge merge = merge_of(scene->kind);
    struct kit_bytes out = {.size = 77};
    struct kit_bytes wrong = one->old;
    int result;
    switch (one->op) {
    case READ:
        result = kit_read(scene->session, &one->key, &out);
        CHECK(result != FASTER_OK || kit_same(&out, &one->old), "read another value");
        return result;
    case UPSERT:
        return kit_upsert(scene->session, &one->key, &one->input);
    case INSERT:
        return kit_insert(scene->session, &one->key, &one->input);
    case DELETE:
        return kit_delete(scene->session, &one->key);
    case ADD:
    case SET:
        result = kit_rmw(scene->session, one->op == ADD ? &merge : &set, &one->key,
                         &one->input, &out);
        CHECK(kit_same(&out, &one->after), "rmw gave another value than it left");
        return result;
    case CAS_HIT:
        return kit_compare(scene->session, &one->key, &one->old, &one->input);
    default:
        wrong.data[wrong.size - 1] ^= 1;
        return kit_compare(scene->session, &one->key, &wrong, &one->input);
    }
}

/* Whether R2 allows, and the record has room for, a change in place. */
static bool goes_in_place(const struct scene *scene, const struct one *one) {
    if (one->region != MUTABLE || one->record == NULL) {
        return false;
    }
    return scene->kind != KIT_TEXT || !one->live ||
           align_up(one->after.size, 8) <= align_up(OLD_SIZE, 8);
}

/* R2 - R4: where the change was made, and what became of the record before it. */
static void check_place(struct scene *scene, struct one *one, uint64_t tail) {
    bool in_place = goes_in_place(scene, one);
    uint64_t address;
    struct record *record = kit_record(scene->session, &one->key, &address);
    bool appended = hlog_tail(&scene->kv->log) != tail;
    CHECK(appended == (one->changes && !in_place), "appended: %d", appended);
    if (one->changes && !in_place) {
        CHECK(address >= tail, "the newest record is not the one appended");
        CHECK_U64(info_prev(record_info(record)), one->address);
    } else if (one->record != NULL) {
        CHECK_U64(address, one->address);
    }
    if (one->record != NULL) {
        uint64_t info = record_info(one->record);
        bool seals = one->changes && !in_place && one->region != IMMUTABLE;
        CHECK(((info & INFO_SEALED) != 0) == seals, "sealed: %d", !seals);
        CHECK((info & INFO_INVALID) == 0, "a published record is invalid");
        /* relaxed: nobody else is there */
        CHECK_U64(atomic_load_explicit(&one->record->seq, memory_order_relaxed) % 2, 0);
    }
}

static void run_one(struct scene *scene, struct one *one) {
    prepare(scene, one);
    decide(scene, one);
    uint8_t before[256];
    uint64_t extent = 0;
    if (one->record != NULL && one->region != MUTABLE) {
        /* The whole record behind its prefix: key, lengths, value. */
        extent = RECORD_VARLEN_HEADER + align_up(one->key.size, 8) +
                 align_up(one->old.size, 8) - RECORD_FIXED_HEADER;
        extent -= scene->kind != KIT_TEXT ? 8 : 0;
        memcpy(before, (uint8_t *)one->record + RECORD_FIXED_HEADER, (size_t)extent);
    }
    uint64_t serial = faster_session_serial(scene->session);
    uint64_t tail = hlog_tail(&scene->kv->log);
    CHECK_INT(perform(scene, one), one->result);
    count(scene, one);
    CHECK_U64(faster_session_serial(scene->session), serial + (one->op != READ));
    check_place(scene, one, tail);
    if (extent != 0) { /* R2: what is read-only has not changed */
        CHECK(memcmp(before, (uint8_t *)one->record + RECORD_FIXED_HEADER,
                     (size_t)extent) == 0,
              "a read-only record has changed");
        CHECK(((record_info(one->record) & INFO_TOMBSTONE) != 0) ==
                  (one->state == DEAD),
              "a read-only record has changed");
    }
    if (one->region == FUZZY) {
        kit_unhold(scene->kv, scene->other);
    }
    kit_expect(scene->session, &one->key, one->live ? &one->after : NULL);
    scene->expected.reads_hit += one->live;
    scene->expected.reads_missed += !one->live;
}

static void check_counts(struct scene *scene) {
    struct faster_kv_stats stats = kit_stats(scene->kv);
    const struct faster_kv_stats *expected = &scene->expected;
    CHECK_U64(stats.reads_hit, expected->reads_hit);
    CHECK_U64(stats.reads_missed, expected->reads_missed);
    CHECK_U64(stats.upserts, expected->upserts);
    CHECK_U64(stats.inserts, expected->inserts);
    CHECK_U64(stats.deletes, expected->deletes);
    CHECK_U64(stats.rmws, expected->rmws);
    CHECK_U64(stats.compares, expected->compares);
    CHECK(stats.retries <= 3, "%" PRIu64,
          stats.retries); /* each for a larger scratch */
}

/* Every operation in every region on every kind of key, with values of every size. */
static void run_kind(enum kit_kind kind, const struct faster_kv_config *config) {
    struct scene scene = {.kind = kind, .next_key = 1};
    scene.kv = kit_open_config(config);
    scene.session = kit_session(scene.kv);
    scene.other = kit_session(scene.kv);
    uint64_t sizes_used = kind == KIT_TEXT ? sizeof sizes / sizeof sizes[0] : 2;
    for (int i = 0; i < REGIONS * STATES * OPS * (int)sizes_used; i++) {
        struct one one = {.region = (enum region)(i % REGIONS),
                          .state = (enum state)(i / REGIONS % STATES),
                          .op = (enum op)(i / REGIONS / STATES % OPS)};
        uint64_t size = sizes[i / REGIONS / STATES / OPS];
        /* For the two fixed kinds: a smaller and a larger leading word. */
        one.input = kit_value(kind, scene.next_key + (size == 0 ? 1 : 131), size);
        run_one(&scene, &one);
    }
    check_counts(&scene);
    CHECK_INT(index_audit(&scene.kv->index), 0);
    faster_session_free(scene.other);
    kit_close(scene.kv, scene.session);
}

static void r2_r4_words(void) {
    struct faster_kv_config config = kit_config(KIT_WORD);
    run_kind(KIT_WORD, &config);
}

static void r2_r4_wide_values(void) {
    struct faster_kv_config config = kit_config(KIT_WIDE);
    run_kind(KIT_WIDE, &config);
}

static void r2_r4_texts(void) {
    struct faster_kv_config config = kit_config(KIT_TEXT);
    run_kind(KIT_TEXT, &config);
}

/* The other hash leads to the same results. */
static void r2_r4_words_by_xxh64(void) {
    struct faster_kv_config config = kit_config(KIT_WORD);
    config.hash = FASTER_HASH_XXH64;
    run_kind(KIT_WORD, &config);
}

/* Numbers in a varlen layout: keys vary, values are words that change in place. */
static void r2_words_behind_keys_of_any_size(void) {
    struct faster_kv_config config = kit_config(KIT_TEXT);
    config.value_type = FASTER_TYPE_I64;
    struct faster_kv *kv = kit_open_config(&config);
    struct faster_session *session = kit_session(kv);
    static const struct faster_merge add = {.kind = FASTER_MERGE_ADD};
    struct kit_bytes word = kit_value(KIT_WORD, 5, 8);
    struct kit_bytes out;
    for (uint64_t i = 0; i < 50; i++) {
        struct kit_bytes key = kit_key(KIT_TEXT, i);
        struct kit_bytes ten = kit_value(KIT_WORD, 10, 8);
        CHECK_INT(kit_rmw(session, &add, &key, &word, &out), FASTER_OK);
        uint64_t tail = hlog_tail(&kv->log);
        CHECK_INT(kit_rmw(session, &add, &key, &word, &out), FASTER_OK);
        CHECK(kit_same(&out, &ten), "5 + 5");
        CHECK_INT(kit_delete(session, &key), FASTER_OK);
        kit_expect(session, &key, NULL);
        CHECK_INT(kit_rmw(session, &add, &key, &ten, &out), FASTER_OK);
        CHECK_U64(hlog_tail(&kv->log), tail);
        kit_settle(kv);
        CHECK_INT(kit_delete(session, &key), FASTER_OK);
        kit_expect(session, &key, NULL);
        CHECK_INT(kit_upsert(session, &key, &word), FASTER_OK);
        kit_expect(session, &key, &word);
        struct kit_bytes wide = kit_value(KIT_TEXT, 1, 9);
        CHECK_INT(kit_upsert(session, &key, &wide), FASTER_E_VALUE_SIZE);
        CHECK_INT(kit_rmw(session, &add, &key, &wide, &out), FASTER_E_VALUE_SIZE);
    }
    kit_close(kv, session);
}

/* record_format.h: a value shrinks in place as far as the record can say how much room
 * it keeps; further down it is appended, and a scan still finds its way. */
static void limits_a_shrink_beyond_what_slack_can_say(void) {
    enum { LARGE = 600000, LEAST = LARGE - RECORD_SLACK_MAX * 8 };
    static uint8_t data[LARGE];
    static const uint64_t steps[] = {LARGE, LEAST,     LARGE, LEAST - 1,
                                     LARGE, LEAST - 8, 0};
    struct faster_kv_config config = kit_config(KIT_TEXT);
    config.page_size = 1 << 20;
    struct faster_kv *kv = kit_open_config(&config);
    struct faster_session *session = kit_session(kv);
    uint64_t room = 0;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        uint64_t tail = hlog_tail(&kv->log);
        uint64_t taken = align_up(steps[i], 8);
        bool fits = taken <= room && (room - taken) / 8 <= RECORD_SLACK_MAX;
        uint64_t size = 0;
        CHECK_INT(faster_upsert(session, "k", 1, data, steps[i]), FASTER_OK);
        CHECK((hlog_tail(&kv->log) == tail) == fits, "%" PRIu64 " bytes", steps[i]);
        room = fits ? room : taken;
        CHECK_INT(faster_read(session, "k", 1, data, LARGE, &size), FASTER_OK);
        CHECK_U64(size, steps[i]);
    }
    struct faster_cursor cursor = {.position = 0};
    uint64_t offsets[4] = {0};
    uint8_t key[4];
    uint64_t found;
    uint64_t need[2];
    struct faster_results keys = {key, sizeof key, offsets, NULL};
    CHECK_INT(
        faster_scan_next(session, &cursor, &keys, NULL, 3, &found, &need[0], &need[1]),
        FASTER_OK);
    CHECK_U64(found, 1);
    kit_close(kv, session);
}

/* Empty keys and values, given as NULL, are keys and values like others. */
static void limits_nothing_is_a_key_and_a_value(void) {
    struct faster_kv *kv = kit_open(KIT_TEXT);
    struct faster_session *session = kit_session(kv);
    static const struct faster_merge append = {.kind = FASTER_MERGE_APPEND};
    struct faster_cursor cursor = {.position = 0};
    uint64_t offsets[2][3] = {{0}, {0}};
    uint8_t data[2][64];
    struct faster_results keys = {data[0], sizeof data[0], offsets[0], NULL};
    struct faster_results values = {data[1], sizeof data[1], offsets[1], NULL};
    uint64_t size = 9;
    uint64_t found;
    uint64_t need[2];
    uint8_t byte;
    CHECK_INT(faster_read(session, NULL, 0, &byte, 1, &size), FASTER_NOT_FOUND);
    CHECK_INT(faster_insert(session, NULL, 0, NULL, 0), FASTER_OK);
    CHECK_INT(faster_insert(session, "", 0, NULL, 0), FASTER_EXISTS);
    CHECK_INT(faster_read(session, NULL, 0, NULL, 0, &size), FASTER_OK);
    CHECK_U64(size, 0);
    CHECK_INT(faster_rmw(session, &append, NULL, 0, NULL, 0, NULL, 0, &size),
              FASTER_OK);
    CHECK_U64(size, 0);
    CHECK_INT(faster_rmw(session, &append, NULL, 0, "x", 1, &byte, 1, &size),
              FASTER_OK);
    CHECK_INT(byte, 'x');
    CHECK_INT(faster_compare_and_set(session, NULL, 0, "x", 1, NULL, 0), FASTER_OK);
    CHECK_INT(faster_compare_and_set(session, NULL, 0, NULL, 0, NULL, 0), FASTER_OK);
    CHECK_INT(faster_scan_next(session, &cursor, &keys, &values, 2, &found, &need[0],
                               &need[1]),
              FASTER_OK);
    CHECK_U64(found, 1);
    CHECK_U64(offsets[0][1] + offsets[1][1], 0);
    CHECK_INT(faster_delete(session, NULL, 0), FASTER_OK);
    CHECK_INT(faster_read(session, NULL, 0, NULL, 0, &size), FASTER_NOT_FOUND);
    kit_close(kv, session);
}

/* SHORT says the room needed, changes nothing and takes no serial; it is no miss. */
static void short_changes_nothing(void) {
    for (int kind = 0; kind < KIT_KINDS; kind++) {
        struct faster_kv *kv = kit_open((enum kit_kind)kind);
        struct faster_session *session = kit_session(kv);
        struct faster_merge merge = merge_of((enum kit_kind)kind);
        struct kit_bytes key = kit_key((enum kit_kind)kind, 1);
        struct kit_bytes value = kit_value((enum kit_kind)kind, 1000, 30);
        struct kit_bytes more = kit_value((enum kit_kind)kind, 1001, 30);
        struct kit_bytes after = merged((enum kit_kind)kind, &value, &more);
        uint8_t out[512];
        uint64_t size = 0;
        CHECK_INT(kit_upsert(session, &key, &value), FASTER_OK);
        CHECK_INT(faster_read(session, key.data, key.size, out, value.size - 1, &size),
                  FASTER_SHORT);
        CHECK_U64(size, value.size);
        uint64_t serial = faster_session_serial(session);
        for (uint64_t room = 0; room < after.size; room += 7) {
            size = 0;
            int result = faster_rmw(session, &merge, key.data, key.size, more.data,
                                    more.size, out, room, &size);
            CHECK_INT(result, FASTER_SHORT);
            CHECK_U64(size, after.size);
        }
        CHECK_U64(faster_session_serial(session), serial);
        CHECK_U64(kit_stats(kv).reads_missed, 0);
        CHECK_U64(kit_stats(kv).rmws, 0);
        kit_expect(session, &key, &value);
        CHECK_INT(faster_rmw(session, &merge, key.data, key.size, more.data, more.size,
                             out, size, &size),
                  FASTER_OK);
        CHECK(size == after.size && memcmp(out, after.data, (size_t)size) == 0, "%d",
              kind);
        kit_expect(session, &key, &after);
        kit_close(kv, session);
    }
}

HARNESS_MAIN(TEST(r2_r4_words), TEST(r2_r4_wide_values), TEST(r2_r4_texts),
             TEST(r2_r4_words_by_xxh64), TEST(r2_words_behind_keys_of_any_size),
             TEST(limits_a_shrink_beyond_what_slack_can_say),
             TEST(limits_nothing_is_a_key_and_a_value), TEST(short_changes_nothing))
