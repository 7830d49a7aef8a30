/* SPDX-License-Identifier: MIT */
/* scan.h over a log whose older part is on the device: each key once, wherever it is */
#include "store/disk_kit.h"

enum { KEYS = 1500, ROWS = 64, ONLY = 0 };

static const struct kit_disk_options plain = {.rules = NULL};

/* What a scan has given: per number how often, and the value's seed. */
struct seen {
    uint32_t times[2 * KEYS];
    uint64_t seeds[2 * KEYS];
    uint64_t rows;
    uint64_t failures;
    int failure; /* the last one */
};

struct rows {
    uint8_t keys[ROWS * 64];
    uint8_t values[ROWS * 512];
    uint64_t key_offsets[ROWS + 1];
    uint64_t value_offsets[ROWS + 1];
    uint64_t places[ROWS];
};

static struct rows rows;
static struct seen seen;

/* The seed a value was made from: it is in its bytes. */
static struct kit_bytes value_of(enum kit_kind kind, uint64_t number, uint64_t seed) {
    return kit_value(kind, seed, 10 + (number * 7 + seed) % 200);
}

static struct faster_results key_rows(enum kit_kind kind) {
    uint64_t *offsets = kind == KIT_TEXT ? rows.key_offsets : NULL;
    return (struct faster_results){rows.keys, sizeof rows.keys, offsets, NULL};
}

static struct faster_results value_rows(enum kit_kind kind) {
    uint64_t *offsets = kind == KIT_TEXT ? rows.value_offsets : NULL;
    return (struct faster_results){rows.values, sizeof rows.values, offsets, NULL};
}

/* One call; rows are in `rows`. */
static int step(struct kit_disk *disk, struct faster_cursor *cursor, uint64_t count,
                uint64_t *found) {
    struct faster_results keys = key_rows(disk->kind);
    struct faster_results values = value_rows(disk->kind);
    uint64_t need_key;
    uint64_t need_value;
    rows.key_offsets[0] = rows.value_offsets[0] = 0;
    return faster_scan_next(disk->session, cursor, &keys, &values, count, found,
                            &need_key, &need_value);
}

static struct kit_bytes row_of(enum kit_kind kind, uint64_t i, bool key) {
    struct kit_bytes bytes;
    uint64_t width = kind == KIT_WIDE ? KIT_WIDE_SIZE : 8;
    const uint64_t *offsets = key ? rows.key_offsets : rows.value_offsets;
    uint64_t from = kind == KIT_TEXT ? offsets[i] : i * (key ? 8 : width);
    bytes.size = kind == KIT_TEXT ? offsets[i + 1] - from : key ? 8 : width;
    CHECK(bytes.size <= sizeof bytes.data, "%" PRIu64, bytes.size);
    memcpy(bytes.data, (key ? rows.keys : rows.values) + from, (size_t)bytes.size);
    return bytes;
}

static uint64_t number_of(enum kit_kind kind, const struct kit_bytes *key) {
    uint64_t number = 0;
    if (kind == KIT_TEXT) {
        CHECK(key->data[0] == 'k', "%s", "not a key");
        for (uint64_t i = 1; i < key->size && key->data[i] != '.'; i++) {
            number = number * 10 + key->data[i] - '0';
        }
    } else {
        memcpy(&number, key->data, 8);
    }
    CHECK(number < 2 * KEYS, "%" PRIu64, number);
    return number;
}

/* Note the rows of one call; each value must be that of a seed up to `seeds`. */
static void note(enum kit_kind kind, uint64_t found, uint64_t seeds) {
    for (uint64_t i = 0; i < found; i++) {
        struct kit_bytes key = row_of(kind, i, true);
        struct kit_bytes value = row_of(kind, i, false);
        uint64_t number = number_of(kind, &key);
        struct kit_bytes whole = kit_key(kind, number);
        uint64_t seed = 0;
        struct kit_bytes expected = value_of(kind, number, seed);
        CHECK(kit_same(&key, &whole), "key %" PRIu64, number);
        while (!kit_same(&value, &expected) && seed <= seeds) {
            expected = value_of(kind, number, ++seed);
        }
        CHECK(seed <= seeds, "key %" PRIu64 " has a value it never had", number);
        seen.times[number]++;
        seen.seeds[number] = seed;
        seen.rows++;
    }
}

/* Scan to the end, with `between` after each call. */
static void scan_all(struct kit_disk *disk, uint64_t seeds,
                     void (*between)(struct kit_disk *disk)) {
    struct faster_cursor cursor = {.position = 0};
    uint64_t found = 0;
    memset(&seen, 0, sizeof seen);
    for (;;) { /* ends: the cursor moves, also over what fails */
        int result = step(disk, &cursor, ROWS, &found);
        if (result != FASTER_OK) {
            CHECK_U64(found, 0);
            CHECK(seen.failures++ < 1000, "%s", "the scan stands still");
            seen.failure = result;
            continue;
        }
        if (found == 0) {
            break;
        }
        note(disk->kind, found, seeds);
        if (between != NULL) {
            between(disk);
        }
    }
    faster_cursor_close(&cursor);
}

static void put(struct kit_disk *disk, uint64_t number, uint64_t seed) {
    struct kit_bytes key = kit_key(disk->kind, number);
    struct kit_bytes value = value_of(disk->kind, number, seed);
    CHECK_INT(kit_upsert(disk->session, &key, &value), FASTER_OK);
}

static void drop(struct kit_disk *disk, uint64_t number) {
    struct kit_bytes key = kit_key(disk->kind, number);
    CHECK_INT(kit_run_write(disk->session, FASTER_DELETE, &key, NULL), FASTER_OK);
}

/* Every number's fate: seed 0, overwritten with 1, deleted, or deleted and back. */
enum fate { KEPT, OVERWRITTEN, GONE, BACK };

static enum fate fate_of(uint64_t number) { return (enum fate)(number * 7 % 13 % 4); }

static void fill(struct kit_disk *disk) {
    for (uint64_t i = 0; i < KEYS; i++) {
        put(disk, i, 0);
    }
    for (uint64_t i = 0; i < KEYS; i++) {
        enum fate fate = fate_of(i);
        if (fate == OVERWRITTEN) {
            put(disk, i, 1);
        } else if (fate != KEPT) {
            drop(disk, i);
        }
    }
    for (uint64_t i = 0; i < KEYS; i++) {
        if (fate_of(i) == BACK) {
            put(disk, i, 2);
        }
    }
}

static void check_fates(void) {
    static const uint64_t seeds[] = {0, 1, 0, 2};
    for (uint64_t i = 0; i < KEYS; i++) {
        enum fate fate = fate_of(i);
        CHECK(seen.times[i] == (fate != GONE), "key %" PRIu64 ": %u times", i,
              seen.times[i]);
        CHECK(fate == GONE || seen.seeds[i] == seeds[fate], "key %" PRIu64, i);
    }
    CHECK_U64(seen.failures, 0);
}

static void each_key_is_given_once(void) {
    for (int kind = 0; kind < KIT_KINDS; kind++) {
        for (int evicted = 0; evicted < 2; evicted++) {
            struct kit_disk disk = kit_disk_open((enum kit_kind)kind, &plain);
            fill(&disk);
            if (evicted) {
                kit_disk_evict(&disk);
            } else {
                CHECK(hlog_head(&disk.kv->log) > ADDRESS_FIRST || kind == KIT_WORD,
                      "%s", "all is in memory");
            }
            scan_all(&disk, 2, NULL);
            check_fates();
            kit_disk_close(&disk);
        }
    }
}

/* Devices that want several requests for a page, and large pages. */
static void pages_are_read_in_pieces(void) {
    static const struct kit_disk_options devices[] = {
        {.max_io = 512},
        {.max_io = 1500},
        {.max_io = 3000, .alignment = 1024},
        {.max_io = 8192, .page_size = 32 << 10, .memory_size = 512 << 10},
        {.alignment = 4096},
        {.capabilities_set = FASTER_DEVICE_DRIVEN},
    };
    for (int i = 0; i < 6; i++) {
        struct kit_disk disk = kit_disk_open(KIT_TEXT, &devices[i]);
        fill(&disk);
        kit_disk_evict(&disk);
        scan_all(&disk, 2, NULL);
        check_fates();
        kit_disk_close(&disk);
    }
}

static uint64_t turn;

static void write_between(struct kit_disk *disk) {
    for (uint64_t i = 0; i < 20; i++) { /* keys that were given, and that will be */
        put(disk, (turn * 37 + i * 71) % KEYS, 1);
        put(disk, KEYS + (turn * 20 + i) % KEYS, 1);
    }
    turn++;
}

static void evict_between(struct kit_disk *disk) {
    write_between(disk);
    kit_disk_evict(disk);
}

/* Writers and evictions between calls: what was live from begin to end comes once, and
 * what came, changed or went at most once. */
static void changes_between_calls_are_no_second_time(void) {
    static void (*const between[])(struct kit_disk *) = {write_between, evict_between};
    for (int i = 0; i < 4; i++) {
        struct kit_disk disk = kit_disk_open(i < 2 ? KIT_WIDE : KIT_TEXT, &plain);
        turn = 0;
        for (uint64_t n = 0; n < KEYS; n++) {
            put(&disk, n, 0);
        }
        scan_all(&disk, 1, between[i % 2]);
        CHECK_U64(seen.failures, 0);
        for (uint64_t n = 0; n < 2 * KEYS; n++) {
            bool right = n < KEYS ? seen.times[n] == 1 : seen.times[n] <= 1;
            CHECK(right, "key %" PRIu64 ": %u times", n, seen.times[n]);
        }
        kit_disk_close(&disk);
    }
}

/* From any row's place on, another cursor gives the rest. */
static void a_place_is_where_to_go_on(void) {
    struct kit_disk disk = kit_disk_open(KIT_WORD, &plain);
    struct rng rng = rng_stream(3);
    uint64_t position = 0;
    uint64_t end = 0;
    uint64_t given = 0;
    fill(&disk);
    kit_disk_evict(&disk);
    for (;;) { /* ends: each call gives a row or is the last */
        struct faster_cursor cursor = {
            .position = position, .end = end, .places = rows.places};
        uint64_t found = 0;
        CHECK_INT(step(&disk, &cursor, ROWS, &found), FASTER_OK);
        faster_cursor_close(&cursor);
        if (found == 0) {
            break;
        }
        uint64_t taken = 1 + rng_below(&rng, found);
        for (uint64_t i = 0; i < taken; i++) {
            struct kit_bytes key = row_of(KIT_WORD, i, true);
            CHECK(fate_of(number_of(KIT_WORD, &key)) != GONE, "row %" PRIu64, i);
        }
        given += taken;
        position = rows.places[taken - 1];
        end = cursor.end;
    }
    uint64_t live = 0;
    for (uint64_t i = 0; i < KEYS; i++) {
        live += fate_of(i) != GONE;
    }
    CHECK_U64(given, live);
    kit_disk_close(&disk);
}

/* Begin with all keys evicted in their first records, and one rule. */
static struct kit_disk begin_faulty(struct faster_fault_rule rule) {
    rule.nth = UINT64_MAX;
    struct kit_disk_options options = {.rules = &rule, .rules_count = 1};
    struct kit_disk disk = kit_disk_open(KIT_WORD, &options);
    for (uint64_t i = 0; i < KEYS; i++) {
        put(&disk, i, 0);
    }
    kit_disk_evict(&disk);
    return disk;
}

/* F08: a page that cannot be read, or is damaged, is told once; all keys of other pages
 * come, and none twice. */
static void f08_a_bad_page_is_told_and_passed(void) {
    static const struct faster_fault_rule rules[] = {
        {.fault = FASTER_FAULT_FAIL, .argument = -EIO},
        {.fault = FASTER_FAULT_REFUSE, .argument = -EIO},
        {.fault = FASTER_FAULT_SHORT, .argument = 100}, /* F04 */
        {.fault = FASTER_FAULT_FLIP, .argument = 8 * 24},
        {.fault = FASTER_FAULT_FLIP, .argument = 5}, /* prev of the first record */
        {.fault = FASTER_FAULT_MISDIRECT, .argument = 4096},
    };
    for (int i = 0; i < 6; i++) {
        struct faster_fault_rule rule = rules[i];
        rule.kinds = FASTER_KIND_READ;
        rule.begin = 3 * KIT_DISK_PAGE;
        rule.end = 3 * KIT_DISK_PAGE + 1;
        struct kit_disk disk = begin_faulty(rule);
        kit_disk_arm(&disk, ONLY, 0);
        scan_all(&disk, 0, NULL);
        CHECK_U64(seen.failures, 1);
        CHECK_INT(seen.failure, i < 2 ? -EIO : FASTER_E_CORRUPT);
        for (uint64_t n = 0; n < KEYS; n++) {
            uint64_t address = ADDRESS_FIRST + n * 32;
            bool bad = address / KIT_DISK_PAGE == 3;
            CHECK(bad ? seen.times[n] == 0 : seen.times[n] == 1,
                  "key %" PRIu64 ": %u times", n, seen.times[n]);
        }
        kit_disk_lift(&disk);
        scan_all(&disk, 0, NULL);
        CHECK_U64(seen.rows, KEYS);
        kit_disk_close(&disk);
    }
}

/* F83: a device that is full for now costs a scan nothing but time. */
static void f83_a_full_device_is_asked_again(void) {
    struct kit_disk disk = begin_faulty((struct faster_fault_rule){
        .kinds = FASTER_KIND_READ, .fault = FASTER_FAULT_REFUSE, .argument = -EAGAIN});
    kit_disk_arm(&disk, ONLY, 20);
    scan_all(&disk, 0, NULL);
    CHECK_U64(seen.failures, 0);
    CHECK_U64(seen.rows, KEYS);
    CHECK_U64(faster_faulty_fired(disk.faulty, ONLY), 20);
    kit_disk_close(&disk);
}

/* Damage in the middle of a page: what came before it in the page is given first. */
static void f31_records_before_the_damage_are_given(void) {
    struct faster_fault_rule rule = {.kinds = FASTER_KIND_READ,
                                     .fault = FASTER_FAULT_FLIP,
                                     .argument = 8 * (32 * 50 + 20),
                                     .begin = 2 * KIT_DISK_PAGE,
                                     .end = 2 * KIT_DISK_PAGE + 1};
    struct kit_disk disk = begin_faulty(rule);
    uint64_t first = (2 * KIT_DISK_PAGE - ADDRESS_FIRST) / 32;
    kit_disk_arm(&disk, ONLY, 0);
    scan_all(&disk, 0, NULL);
    CHECK_U64(seen.failures, 1);
    CHECK_INT(seen.failure, FASTER_E_CORRUPT);
    for (uint64_t n = 0; n < KEYS; n++) {
        bool lost = n >= first + 50 && n < first + KIT_DISK_PAGE / 32;
        CHECK(seen.times[n] == !lost, "key %" PRIu64 ": %u times", n, seen.times[n]);
    }
    kit_disk_close(&disk);
}

/* F08: whether a record is its key's newest cannot be found out, because the chain runs
 * through what cannot be read: that key is told and passed, and the scan goes on. */
static void f08_a_chain_that_cannot_be_walked_is_passed(void) {
    struct faster_fault_rule rule = {.kinds = FASTER_KIND_READ,
                                     .fault = FASTER_FAULT_FAIL,
                                     .argument = -EIO,
                                     .nth = UINT64_MAX};
    struct kit_disk_options options = {.rules = &rule, .rules_count = 1};
    struct kit_disk disk = kit_disk_open(KIT_WORD, &options);
    uint32_t bits = index_current(&disk.kv->index)->bits;
    uint64_t other = kit_collision(disk.kv, KIT_WORD, 1, 2, bits);
    CHECK_INT(kit_put_word(disk.session, 1, 0), FASTER_OK);
    CHECK_INT(kit_put_word(disk.session, 2, 0), FASTER_OK);
    kit_disk_evict(&disk); /* page 0 */
    CHECK_INT(kit_put_word(disk.session, other, 0), FASTER_OK);
    kit_disk_evict(&disk); /* page 1: before key 1's in their chain */
    CHECK_INT(kit_put_word(disk.session, 3, 0), FASTER_OK);
    kit_disk_evict(&disk); /* page 2 */
    disk.faulty->rules[ONLY].is.begin = KIT_DISK_PAGE;
    disk.faulty->rules[ONLY].is.end = KIT_DISK_PAGE + 1;
    kit_disk_arm(&disk, ONLY, 0);
    struct faster_cursor cursor = {.position = 0};
    uint64_t given = 0;
    uint64_t failures = 0;
    uint64_t found = 1;
    while (found != 0 || failures != 0) { /* ends: the CHECK below */
        int result = step(&disk, &cursor, ROWS, &found);
        if (result == FASTER_OK && found == 0) {
            break;
        }
        failures += result != FASTER_OK;
        CHECK(failures < 10, "%s", "the scan stands still");
        given += found;
    }
    CHECK_U64(given, 2);    /* keys 2 and 3 */
    CHECK_U64(failures, 2); /* key 1, and page 1 */
    faster_cursor_close(&cursor);
    kit_disk_lift(&disk);
    kit_disk_close(&disk);
}

/* Records that fill a page to its last byte: nothing is behind them, and nothing is
 * lost. */
static void records_that_end_with_their_page(void) {
    struct kit_disk disk = kit_disk_open(KIT_TEXT, &plain);
    uint8_t value[KIT_DISK_PAGE] = {0};
    uint64_t keys[20];
    for (uint64_t i = 0; i < 20; i++) {
        uint64_t room = KIT_DISK_PAGE - ADDRESS_FIRST; /* the largest record */
        uint64_t size = room - RECORD_VARLEN_HEADER - 8;
        int result;
        keys[i] = i;
        KIT_RETRY(disk.session, result,
                  faster_upsert(disk.session, &keys[i], 8, value,
                                i % 3 == 1   ? 0
                                : i % 3 == 2 ? 64 - 32
                                             : size));
        CHECK_INT(result, FASTER_OK);
    }
    kit_disk_evict(&disk);
    struct faster_cursor cursor = {.position = 0};
    struct faster_results results = key_rows(KIT_TEXT);
    uint64_t times[20] = {0};
    uint64_t found = 1;
    while (found != 0) { /* ends with the scan */
        uint64_t need_key;
        uint64_t need_value;
        rows.key_offsets[0] = 0;
        CHECK_INT(faster_scan_next(disk.session, &cursor, &results, NULL, 3, &found,
                                   &need_key, &need_value),
                  FASTER_OK);
        for (uint64_t i = 0; i < found; i++) {
            struct kit_bytes key = row_of(KIT_TEXT, i, true);
            uint64_t number;
            memcpy(&number, key.data, 8);
            CHECK(number < 20 && times[number]++ == 0, "%" PRIu64, number);
        }
    }
    for (uint64_t i = 0; i < 20; i++) {
        CHECK_U64(times[i], 1);
    }
    faster_cursor_close(&cursor);
    kit_disk_close(&disk);
}

HARNESS_MAIN(TEST(each_key_is_given_once), TEST(pages_are_read_in_pieces),
             TEST(changes_between_calls_are_no_second_time),
             TEST(a_place_is_where_to_go_on), TEST(f08_a_bad_page_is_told_and_passed),
             TEST(f83_a_full_device_is_asked_again),
             TEST(f31_records_before_the_damage_are_given),
             TEST(f08_a_chain_that_cannot_be_walked_is_passed),
             TEST(records_that_end_with_their_page))
