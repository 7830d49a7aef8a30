/* SPDX-License-Identifier: MIT */
/* validate_scan.c: the live records, once each, while others change them */
#include <errno.h>

#include "store/kit.h"

enum { KEYS = 1500, VERSIONS = 12, ROWS_MAX = 64, ROOM = 64 << 10 };

/* What one key went through since the scan began. */
struct story {
    bool live;          /* now */
    bool live_at_begin; /* and never absent since */
    bool stays;
    uint32_t versions;
    uint64_t seeds[VERSIONS]; /* values it had */
    uint64_t sizes[VERSIONS];
    uint32_t given;
};

struct scene {
    enum kit_kind kind;
    struct faster_kv *kv;
    struct faster_session *session; /* scans */
    struct faster_session *other;   /* changes */
    struct rng rng;
    struct story stories[KEYS];
    uint64_t next_seed;
    bool at_rest; /* no key changes any more: only its last value will do */
};

/* Room for one call's rows. */
struct rows {
    uint8_t keys[ROOM];
    uint8_t values[ROOM];
    uint64_t key_offsets[ROWS_MAX + 1];
    uint64_t value_offsets[ROWS_MAX + 1];
};

static struct scene scene;
static struct rows rows;

static void scene_open(enum kit_kind kind, const struct faster_kv_config *config) {
    memset(&scene, 0, sizeof scene);
    scene.kind = kind;
    scene.kv = kit_open_config(config);
    scene.session = kit_session(scene.kv);
    scene.other = kit_session(scene.kv);
    scene.rng = rng_stream((uint64_t)kind);
    scene.next_seed = 1;
}

static void scene_close(void) {
    CHECK_INT(index_audit(&scene.kv->index), 0);
    faster_session_free(scene.other);
    kit_close(scene.kv, scene.session);
}

static void put(uint64_t number) {
    struct story *story = &scene.stories[number];
    struct kit_bytes key = kit_key(scene.kind, number);
    uint64_t seed = scene.next_seed++;
    uint64_t size = rng_below(&scene.rng, 200);
    struct kit_bytes value = kit_value(scene.kind, seed, size);
    CHECK_INT(kit_upsert(scene.other, &key, &value), FASTER_OK);
    story->live = true;
    CHECK(story->versions < VERSIONS, "key %" PRIu64, number);
    story->seeds[story->versions] = seed;
    story->sizes[story->versions++] = size;
}

static void drop(uint64_t number) {
    struct story *story = &scene.stories[number];
    struct kit_bytes key = kit_key(scene.kind, number);
    CHECK_INT(kit_delete(scene.other, &key),
              story->live ? FASTER_OK : FASTER_NOT_FOUND);
    story->live = false;
    story->stays = false;
}

/* Some keys come, some change, some go. */
static void change(uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        uint64_t number = rng_below(&scene.rng, KEYS);
        if (scene.stories[number].versions == VERSIONS) {
            continue;
        }
        if (rng_below(&scene.rng, 3) == 0) {
            drop(number);
        } else {
            put(number);
        }
    }
}

/* From here on the stories count. */
static void begin_stories(void) {
    for (uint64_t i = 0; i < KEYS; i++) {
        struct story *story = &scene.stories[i];
        story->live_at_begin = story->live;
        story->stays = story->live;
        if (story->live) {
            story->seeds[0] = story->seeds[story->versions - 1];
            story->sizes[0] = story->sizes[story->versions - 1];
        }
        story->versions = story->live;
        story->given = 0;
    }
}

static uint64_t number_of(const uint8_t *key, uint64_t size) {
    uint64_t number = 0;
    if (scene.kind != KIT_TEXT) {
        memcpy(&number, key, 8);
        return number;
    }
    for (uint64_t i = 1; i < size && key[i] >= '0' && key[i] <= '9'; i++) {
        number = number * 10 + (uint64_t)(key[i] - '0');
    }
    return number;
}

static void check_row(uint64_t row, bool with_values) {
    bool text = scene.kind == KIT_TEXT;
    uint64_t width = scene.kv->layout.value_size;
    const uint8_t *key = rows.keys + (text ? rows.key_offsets[row] : row * 8);
    uint64_t key_size = text ? rows.key_offsets[row + 1] - rows.key_offsets[row] : 8;
    uint64_t number = number_of(key, key_size);
    CHECK(number < KEYS, "key %" PRIu64, number);
    struct kit_bytes whole = kit_key(scene.kind, number);
    CHECK(whole.size == key_size && memcmp(whole.data, key, (size_t)key_size) == 0,
          "key %" PRIu64 " is not whole", number);
    struct story *story = &scene.stories[number];
    story->given++;
    CHECK(story->given == 1, "key %" PRIu64 " is given twice", number);
    CHECK(story->versions > 0, "key %" PRIu64 " was never live", number);
    bool known = !with_values;
    uint32_t first = scene.at_rest ? story->versions - 1 : 0;
    for (uint32_t i = first; i < story->versions && !known; i++) {
        struct kit_bytes value =
            kit_value(scene.kind, story->seeds[i], story->sizes[i]);
        const uint8_t *given =
            rows.values + (text ? rows.value_offsets[row] : row * width);
        uint64_t size =
            text ? rows.value_offsets[row + 1] - rows.value_offsets[row] : width;
        known = size == value.size && memcmp(given, value.data, (size_t)size) == 0;
    }
    CHECK(known, "key %" PRIu64 " never had this value", number);
}

/* One call; its rows are checked.  Gives the status. */
static int next_rows(struct faster_cursor *cursor, uint64_t count, uint64_t room,
                     bool with_values, uint64_t *found) {
    bool text = scene.kind == KIT_TEXT;
    uint64_t need_key = 0;
    uint64_t need_value = 0;
    struct faster_results keys = {rows.keys, room, text ? rows.key_offsets : NULL,
                                  NULL};
    struct faster_results values = {rows.values, room, text ? rows.value_offsets : NULL,
                                    NULL};
    rows.key_offsets[0] = 0;
    rows.value_offsets[0] = 0;
    int result =
        faster_scan_next(scene.session, cursor, &keys, with_values ? &values : NULL,
                         count, found, &need_key, &need_value);
    for (uint64_t row = 0; row < *found; row++) {
        check_row(row, with_values);
    }
    if (result == FASTER_SHORT) {
        CHECK_U64(*found, 0);
        CHECK(need_key > room || need_value > room, "%" PRIu64 " and %" PRIu64,
              need_key, need_value);
    }
    return result;
}

static void check_end(void) {
    for (uint64_t i = 0; i < KEYS; i++) {
        struct story *story = &scene.stories[i];
        CHECK(!story->stays || story->given == 1, "key %" PRIu64 " is missing", i);
    }
}

/* A whole scan with `changes` changes after each call, in calls of every size. */
static void scan(uint64_t changes, bool with_values) {
    struct faster_cursor cursor = {.position = 0};
    uint64_t found = 1;
    bool over = false;
    begin_stories();
    while (!over) { /* ends: the scan's end is fixed by its first call */
        uint64_t count = 1 + rng_below(&scene.rng, ROWS_MAX);
        uint64_t room = scene.kind == KIT_TEXT && rng_below(&scene.rng, 2) == 0
                            ? rng_below(&scene.rng, 900)
                            : ROOM;
        int result = next_rows(&cursor, count, room, with_values, &found);
        CHECK(result == FASTER_OK || (result == FASTER_SHORT && room < 300),
              "%d with %" PRIu64 " bytes", result, room);
        over = result == FASTER_OK && found == 0;
        CHECK(found <= count, "%" PRIu64, found);
        change(changes);
        if (rng_below(&scene.rng, 8) == 0) {
            kit_settle(scene.kv);
        }
    }
    check_end();
    CHECK_INT(next_rows(&cursor, 1, ROOM, with_values, &found), FASTER_OK);
    CHECK_U64(found, 0); /* the end stays the end */
}

static void run_kind(enum kit_kind kind, uint64_t page_size) {
    struct faster_kv_config config = kit_config(kind);
    config.page_size = page_size;
    scene_open(kind, &config);
    scan(0, true); /* of nothing */
    for (int round = 0; round < 6; round++) {
        begin_stories();
        change(KEYS);
        scan(0, round % 2 == 0); /* a store at rest: exactly what is in it */
        for (uint64_t i = 0; i < KEYS; i++) {
            CHECK(scene.stories[i].given == scene.stories[i].live, "key %" PRIu64, i);
        }
        scan(40, round % 2 == 0);
    }
    scene_close();
}

static void words_are_given_once(void) { run_kind(KIT_WORD, KIT_PAGE); }
static void wide_values_are_given_once(void) { run_kind(KIT_WIDE, 4096); }
static void texts_are_given_once(void) { run_kind(KIT_TEXT, KIT_PAGE); }

/* Page ends of every kind: 4 KiB pages and records of every size leave gaps of every
 * size, also smaller than a header. */
static void texts_over_many_page_ends(void) { run_kind(KIT_TEXT, 4096); }

/* A key that is moved to the log's end before the scan gets to it is still given, where
 * its record was when the scan began, with the value it has now. */
static void a_moved_key_is_neither_missed_nor_given_twice(void) {
    struct faster_kv_config config = kit_config(KIT_WORD);
    struct faster_cursor cursor = {.position = 0};
    uint64_t found;
    scene_open(KIT_WORD, &config);
    for (uint64_t i = 0; i < KEYS; i++) {
        put(i);
    }
    begin_stories();
    CHECK_INT(next_rows(&cursor, 1, ROOM, true, &found), FASTER_OK);
    for (int again = 0; again < 3; again++) {
        kit_settle(scene.kv); /* the next change of each key moves it */
        for (uint64_t i = 0; i < KEYS; i++) {
            put(i);
        }
    }
    scene.at_rest = true;
    do {
        CHECK_INT(next_rows(&cursor, ROWS_MAX, ROOM, true, &found), FASTER_OK);
    } while (found != 0);
    check_end();
    scene_close();
}

/* An invalid record is not given and hides nothing. */
static void r5_invalid_records_are_passed_over(void) {
    struct faster_kv_config config = kit_config(KIT_WORD);
    struct faster_cursor cursor = {.position = 0};
    uint64_t found;
    uint64_t given = 0;
    scene_open(KIT_WORD, &config);
    for (uint64_t i = 0; i < 100; i++) {
        struct record *record;
        uint64_t address;
        uint64_t key = i / 2 * 3; /* some are in the store, some are not */
        put(i);
        CHECK_INT(session_enter(scene.other), FASTER_OK);
        CHECK_INT(hlog_reserve(&scene.kv->log, 32, &address), FASTER_OK);
        record = hlog_record(&scene.kv->log, address);
        memcpy((uint8_t *)record + RECORD_FIXED_HEADER, &key, 8);
        record_finish(record, info_make(0, 1, 0));
        record_invalidate(record);
        session_leave(scene.other);
    }
    begin_stories();
    do {
        CHECK_INT(next_rows(&cursor, 7, ROOM, true, &found), FASTER_OK);
        given += found;
    } while (found != 0);
    CHECK_U64(given, 100);
    scene_close();
}

/* SHORT tells the room for key and value at once, gives nothing, and is not given with
 * rows; with exactly that room the scan goes on. */
static void short_tells_what_the_next_record_needs(void) {
    struct faster_kv_config config = kit_config(KIT_TEXT);
    static const uint64_t rooms[][2] = {
        {0, 0}, {29, 170}, {30, 169}, {0, 170}, {30, 0}};
    uint64_t found;
    uint64_t need[2];
    scene_open(KIT_TEXT, &config);
    struct kit_bytes value = kit_value(KIT_TEXT, 1, 170);
    uint8_t key[30] = "key of thirty bytes";
    CHECK_INT(faster_upsert(scene.other, "a", 1, "b", 1), FASTER_OK);
    CHECK_INT(faster_upsert(scene.other, key, 30, value.data, value.size), FASTER_OK);
    for (size_t i = 0; i < sizeof rooms / sizeof rooms[0]; i++) {
        struct faster_cursor cursor = {.position = 0};
        struct faster_results keys = {rows.keys, 1, rows.key_offsets, NULL};
        struct faster_results values = {rows.values, 1, rows.value_offsets, NULL};
        CHECK_INT(faster_scan_next(scene.session, &cursor, &keys, &values, 9, &found,
                                   &need[0], &need[1]),
                  FASTER_OK);
        CHECK_U64(found, 1); /* the second did not fit: it comes next */
        keys.capacity = rooms[i][0];
        values.capacity = rooms[i][1];
        CHECK_INT(faster_scan_next(scene.session, &cursor, &keys, &values, 9, &found,
                                   &need[0], &need[1]),
                  FASTER_SHORT);
        CHECK_U64(found, 0);
        CHECK_U64(need[0], 30);
        CHECK_U64(need[1], 170);
        keys.capacity = need[0];
        values.capacity = need[1];
        CHECK_INT(faster_scan_next(scene.session, &cursor, &keys, &values, 9, &found,
                                   &need[0], &need[1]),
                  FASTER_OK);
        CHECK_U64(found, 1);
        CHECK(memcmp(rows.values, value.data, 170) == 0, "another value");
        CHECK_INT(faster_scan_next(scene.session, &cursor, &keys, &values, 9, &found,
                                   &need[0], &need[1]),
                  FASTER_OK);
        CHECK_U64(found, 0);
    }
    scene_close();
}

/* A record that has been reserved and not yet written when a scan begins. */
static void scan_or_write(void *context, uint32_t thread) {
    uint64_t *address = context;
    struct faster_cursor cursor = {.position = 0};
    uint64_t found = 0;
    uint64_t given = 0;
    if (thread == 0) {
        do {
            CHECK_INT(next_rows(&cursor, ROWS_MAX, ROOM, true, &found), FASTER_OK);
            given += found;
        } while (found != 0);
        CHECK_U64(given, 20);
        return;
    }
    uint64_t epoch =
        atomic_load_explicit(&scene.kv->epoch.current, memory_order_seq_cst);
    for (int i = 0; i < 1000 || epoch == *(address + 1); i++) {
        /* ends: the scan bumps.  It has all the time to go wrong before we write. */
        epoch = atomic_load_explicit(&scene.kv->epoch.current, memory_order_seq_cst);
        thread_yield();
    }
    record_finish(hlog_record(&scene.kv->log, *address), info_make(0, 1, INFO_INVALID));
    session_leave(scene.other);
}

/* hlog.h I2: a scan waits for who has reserved room below its end, so that a header
 * that is still zero does not hide the records behind it. */
static void i2_a_scan_waits_for_records_being_written(void) {
    struct faster_kv_config config = kit_config(KIT_WORD);
    uint64_t address[2];
    scene_open(KIT_WORD, &config);
    struct faster_session *third = kit_session(scene.kv);
    for (uint64_t i = 0; i < 10; i++) {
        put(i);
    }
    CHECK_INT(session_enter(third), FASTER_OK);
    CHECK_INT(hlog_reserve(&scene.kv->log, 32, &address[0]), FASTER_OK);
    for (uint64_t i = 10; i < 20; i++) {
        put(i);
    }
    begin_stories();
    address[1] = atomic_load_explicit(&scene.kv->epoch.current, memory_order_seq_cst);
    struct faster_session *changes = scene.other;
    scene.other = third;
    harness_threads(2, scan_or_write, address);
    check_end();
    faster_session_free(changes);
    scene_close();
}

/* In a fixed layout rows that the buffers cannot hold are refused before anything. */
static void limits_rows_without_room_are_refused(void) {
    struct faster_kv_config config = kit_config(KIT_WIDE);
    struct faster_cursor cursor = {.position = 0};
    struct faster_results keys = {rows.keys, 79, NULL, NULL};
    struct faster_results values = {rows.values, 1000, NULL, NULL};
    uint64_t found;
    uint64_t need[2];
    scene_open(KIT_WIDE, &config);
    put(1);
    CHECK_INT(faster_scan_next(scene.session, &cursor, &keys, &values, 10, &found,
                               &need[0], &need[1]),
              -EINVAL);
    keys.capacity = 80;
    values.capacity = 999;
    CHECK_INT(faster_scan_next(scene.session, &cursor, &keys, &values, 10, &found,
                               &need[0], &need[1]),
              -EINVAL);
    CHECK_U64(cursor.position, 0);
    values.capacity = 1000;
    CHECK_INT(faster_scan_next(scene.session, &cursor, &keys, &values, 10, &found,
                               &need[0], &need[1]),
              FASTER_OK);
    CHECK_U64(found, 1);
    scene_close();
}

HARNESS_MAIN(TEST(words_are_given_once), TEST(wide_values_are_given_once),
             TEST(texts_are_given_once), TEST(texts_over_many_page_ends),
             TEST(a_moved_key_is_neither_missed_nor_given_twice),
             TEST(r5_invalid_records_are_passed_over),
             TEST(short_tells_what_the_next_record_needs),
             TEST(i2_a_scan_waits_for_records_being_written),
             TEST(limits_rows_without_room_are_refused))
