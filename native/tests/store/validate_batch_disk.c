/* SPDX-License-Identifier: MIT */
/* batch_window.c: batches whose items are on the device give what single operations
 * would, in item order, and stand where the first of them failed */
#include "store/disk_kit.h"

enum { KEYS = 6000, ITEMS = 1200, DATA_MAX = 512 << 10, ROUNDS = 60, VALUE_MAX = 400 };

/* Larger than what a window of reads in flight takes. */
static const struct kit_disk_options plain = {.memory_size = 1 << 20};

/* Some reads end on another thread, later than those behind them. */
static const struct faster_fault_rule shuffle = {
    .kinds = FASTER_KIND_READ, .fault = FASTER_FAULT_FOREIGN, .every = 4, .nth = 2};

struct model {
    struct kit_bytes value[KEYS];
    bool there[KEYS];
};

struct column {
    uint8_t data[DATA_MAX];
    uint64_t offsets[ITEMS + 1];
};

static struct model model;
static uint64_t numbers[ITEMS];
static struct column keys;
static struct column inputs;
static struct column out;
static uint8_t flags[ITEMS];

static void add_item(struct column *column, uint64_t i, const struct kit_bytes *bytes) {
    uint64_t at = i == 0 ? 0 : column->offsets[i];
    column->offsets[0] = 0;
    CHECK(at + bytes->size <= DATA_MAX, "%" PRIu64, at);
    memcpy(column->data + at, bytes->data, (size_t)bytes->size);
    column->offsets[i + 1] = at + bytes->size;
}

static struct faster_items items_of(const struct column *column) {
    return (struct faster_items){column->data, column->offsets, 0, 0};
}

static void choose_keys(enum kit_kind kind, struct rng *rng, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        numbers[i] = rng_below(rng, KEYS);
        struct kit_bytes key = kit_key(kind, numbers[i]);
        add_item(&keys, i, &key);
    }
}

static void choose_values(enum kit_kind kind, struct rng *rng, uint64_t count,
                          uint64_t size_max) {
    for (uint64_t i = 0; i < count; i++) {
        struct kit_bytes value =
            kit_value(kind, 1 + rng_below(rng, 1000), rng_below(rng, size_max));
        add_item(&inputs, i, &value);
    }
}

/* What an item's merge makes of the model. */
static void merge_model(enum kit_kind kind, uint64_t i) {
    struct kit_bytes *value = &model.value[numbers[i]];
    const uint8_t *input = inputs.data + inputs.offsets[i];
    uint64_t size = inputs.offsets[i + 1] - inputs.offsets[i];
    if (!model.there[numbers[i]]) {
        value->size = 0;
    }
    if (kind == KIT_WORD && value->size == 8) {
        uint64_t sum;
        uint64_t more;
        memcpy(&sum, value->data, 8);
        memcpy(&more, input, 8);
        sum += more;
        memcpy(value->data, &sum, 8);
    } else {
        CHECK(value->size + size <= sizeof value->data, "%" PRIu64, value->size);
        memcpy(value->data + value->size, input, (size_t)size);
        value->size += size;
    }
    model.there[numbers[i]] = true;
}

static void put_model(uint64_t i) {
    struct kit_bytes *value = &model.value[numbers[i]];
    value->size = inputs.offsets[i + 1] - inputs.offsets[i];
    memcpy(value->data, inputs.data + inputs.offsets[i], (size_t)value->size);
    model.there[numbers[i]] = true;
}

static void upsert_batch(struct kit_disk *disk, struct rng *rng, uint64_t count) {
    struct faster_items key_items = items_of(&keys);
    struct faster_items value_items = items_of(&inputs);
    uint64_t done = 0;
    choose_values(disk->kind, rng, count, 100);
    value_items = items_of(&inputs);
    CHECK_INT(faster_upsert_many(disk->session, &key_items, &value_items, count, &done),
              FASTER_OK);
    CHECK_U64(done, count);
    for (uint64_t i = 0; i < count; i++) {
        put_model(i);
    }
}

static void delete_batch(struct kit_disk *disk, uint64_t count) {
    struct faster_items key_items = items_of(&keys);
    uint64_t done = 0;
    CHECK_INT(faster_delete_many(disk->session, &key_items, count, flags, &done),
              FASTER_OK);
    for (uint64_t i = 0; i < count; i++) {
        CHECK_U64(flags[i], model.there[numbers[i]]);
        model.there[numbers[i]] = false;
    }
}

/* Row i of the results. */
static void check_row(enum kit_kind kind, uint64_t i) {
    const struct kit_bytes *value = &model.value[numbers[i]];
    uint64_t from = kind == KIT_TEXT ? out.offsets[i] : i * 8;
    uint64_t size = kind == KIT_TEXT ? out.offsets[i + 1] - from : 8;
    CHECK(flags[i] == model.there[numbers[i]], "item %" PRIu64, i);
    if (flags[i]) {
        CHECK_U64(size, value->size);
        CHECK(memcmp(out.data + from, value->data, (size_t)size) == 0, "item %" PRIu64,
              i);
    }
}

static struct faster_results results_of(enum kit_kind kind, uint64_t capacity) {
    uint64_t *offsets = kind == KIT_TEXT ? out.offsets : NULL;
    out.offsets[0] = 0;
    return (struct faster_results){out.data, capacity, offsets, flags};
}

/* Varlen results that do not fit end a call with FASTER_SHORT at the right item; more
 * room, and it goes on there. */
static uint64_t first_capacity(enum kit_kind kind, struct rng *rng) {
    return kind == KIT_TEXT ? rng_below(rng, 8192) : DATA_MAX;
}

static void read_batch(struct kit_disk *disk, struct rng *rng, uint64_t count) {
    struct faster_results results =
        results_of(disk->kind, first_capacity(disk->kind, rng));
    struct faster_items key_items = items_of(&keys);
    uint64_t done = 0;
    int result = FASTER_SHORT;
    while (result == FASTER_SHORT) { /* ends: there is ever more room */
        uint64_t before = done;
        result = faster_read_many(disk->session, &key_items, count, &results, &done);
        CHECK(done >= before, "%" PRIu64, done);
        CHECK(
            result != FASTER_SHORT || results.capacity - out.offsets[done] < VALUE_MAX,
            "short with %" PRIu64 " bytes left", results.capacity - out.offsets[done]);
        results.capacity += VALUE_MAX + results.capacity / 2;
    }
    CHECK_INT(result, FASTER_OK);
    CHECK_U64(done, count);
    for (uint64_t i = 0; i < count; i++) {
        check_row(disk->kind, i);
    }
}

static void merge_batch(struct kit_disk *disk, struct rng *rng, uint64_t count) {
    struct faster_merge merge = {.kind = disk->kind == KIT_WORD ? FASTER_MERGE_ADD
                                                                : FASTER_MERGE_APPEND};
    struct faster_results results =
        results_of(disk->kind, first_capacity(disk->kind, rng));
    bool wanted = rng_below(rng, 3) != 0;
    uint64_t serial = faster_session_serial(disk->session);
    choose_values(disk->kind, rng, count, 12);
    struct faster_items key_items = items_of(&keys);
    struct faster_items input_items = items_of(&inputs);
    uint64_t done = 0;
    int result = FASTER_SHORT;
    while (result == FASTER_SHORT) { /* ends: there is ever more room */
        uint64_t before = done;
        result = faster_rmw_many(disk->session, &merge, &key_items, &input_items, count,
                                 wanted ? &results : NULL, &done);
        for (uint64_t i = before; i < done; i++) {
            merge_model(disk->kind, i);
            if (wanted) {
                check_row(disk->kind, i);
            }
        }
        results.capacity += VALUE_MAX + results.capacity / 2;
    }
    CHECK_INT(result, FASTER_OK);
    CHECK_U64(done, count);
    CHECK_U64(faster_session_serial(disk->session), serial + count); /* C1 */
}

/* Values that merges have made long begin anew. */
static void shorten(struct kit_disk *disk) {
    for (uint64_t n = 0; n < KEYS; n++) {
        if (model.there[n] && model.value[n].size > VALUE_MAX / 2) {
            struct kit_bytes key = kit_key(disk->kind, n);
            model.value[n] = kit_value(disk->kind, n, 5);
            CHECK_INT(kit_upsert(disk->session, &key, &model.value[n]), FASTER_OK);
        }
    }
}

static void check_model(enum kit_kind kind, const struct kit_disk_options *options,
                        uint64_t stream) {
    struct kit_disk disk = kit_disk_open(kind, options);
    struct rng rng = rng_stream(stream);
    memset(&model, 0, sizeof model);
    for (uint64_t round = 0; round < harness_count(ROUNDS); round++) {
        uint64_t count = 1 + rng_below(&rng, ITEMS);
        choose_keys(kind, &rng, count);
        switch (round < 6 ? 0 : rng_below(&rng, 5)) {
        case 0:
            upsert_batch(&disk, &rng, count);
            break;
        case 1:
            delete_batch(&disk, count);
            break;
        case 2:
            merge_batch(&disk, &rng, count);
            break;
        default:
            read_batch(&disk, &rng, count);
            break;
        }
        shorten(&disk);
        if (rng_below(&rng, 8) == 0) {
            kit_disk_evict(&disk);
        }
    }
    CHECK(kit_stats(disk.kv).device_reads > 1000, "%" PRIu64,
          kit_stats(disk.kv).device_reads);
    kit_disk_close(&disk);
}

static void batches_follow_the_model(void) {
    check_model(KIT_WORD, &plain, 1);
    check_model(KIT_TEXT, &plain, 2);
}

/* Completions out of order, and from another thread: results stay in item order. */
static void results_are_in_item_order(void) {
    struct kit_disk_options options = plain;
    options.rules = &shuffle;
    options.rules_count = 1;
    check_model(KIT_WORD, &options, 3);
    check_model(KIT_TEXT, &options, 4);
}

static struct faster_items word_items(const uint64_t *words) {
    return (struct faster_items){(const uint8_t *)words, NULL, 8, 8};
}

enum { FEW = 700, BAD_FROM = 2 * KIT_DISK_PAGE, BAD_UNTIL = 3 * KIT_DISK_PAGE };

static bool is_bad(uint64_t number) {
    uint64_t address = ADDRESS_FIRST + number * 32;
    return address >= BAD_FROM && address < BAD_UNTIL;
}

/* Keys 0 ... FEW - 1 on the device, in their order; those of page 2 cannot be read. */
static struct kit_disk begin_bad(struct faster_fault_rule rule, uint64_t *words) {
    rule.kinds = FASTER_KIND_READ;
    rule.begin = BAD_FROM;
    rule.end = BAD_UNTIL;
    rule.nth = UINT64_MAX;
    struct kit_disk_options options = {.rules = &rule, .rules_count = 1};
    struct kit_disk disk = kit_disk_open(KIT_WORD, &options);
    for (uint64_t i = 0; i < FEW; i++) {
        words[i] = i;
        CHECK_INT(kit_put_word(disk.session, i, 1000 + i), FASTER_OK);
    }
    kit_disk_evict(&disk);
    kit_disk_arm(&disk, 0, 0);
    return disk;
}

static const struct faster_fault_rule bad_reads[] = {
    {.fault = FASTER_FAULT_FAIL, .argument = -EIO},
    {.fault = FASTER_FAULT_FLIP, .argument = 8 * 24},
};

/* F08: in a batch of merges the first item that fails is where it stands: all before it
 * are made, none behind it, though their records had come; then it goes on. */
static void f08_items_behind_a_failure_are_undone(void) {
    static uint64_t words[FEW];
    static uint64_t ones[FEW];
    static uint64_t values[FEW];
    for (int r = 0; r < 2; r++) {
        struct kit_disk disk = begin_bad(bad_reads[r], words);
        struct faster_merge add = {.kind = FASTER_MERGE_ADD};
        struct faster_items key_items = word_items(words);
        struct faster_items input_items = word_items(ones);
        uint64_t before = faster_session_serial(disk.session);
        uint64_t first = 0;
        uint64_t done = 0;
        for (uint64_t i = 0; i < FEW; i++) {
            ones[i] = 1;
            first += first == i && !is_bad(i);
        }
        int result = faster_rmw_many(disk.session, &add, &key_items, &input_items, FEW,
                                     NULL, &done);
        CHECK_INT(result, r == 0 ? -EIO : FASTER_E_CORRUPT);
        CHECK_U64(done, first);
        CHECK_U64(faster_session_serial(disk.session), before + first);
        CHECK_U64(faster_pending_count(disk.session), 0);
        kit_disk_lift(&disk);
        uint64_t all = 0;
        struct faster_results results = {(uint8_t *)values, sizeof values, NULL, NULL};
        CHECK_INT(faster_read_many(disk.session, &key_items, FEW, &results, &all),
                  FASTER_OK);
        for (uint64_t i = 0; i < FEW; i++) {
            CHECK_U64(values[i], 1000 + i + (i < first));
        }
        CHECK_INT(faster_rmw_many(disk.session, &add, &key_items, &input_items, FEW,
                                  NULL, &done),
                  FASTER_OK);
        all = 0;
        CHECK_INT(faster_read_many(disk.session, &key_items, FEW, &results, &all),
                  FASTER_OK);
        for (uint64_t i = 0; i < FEW; i++) {
            CHECK_U64(values[i], 1000 + i + 1);
        }
        kit_disk_close(&disk);
    }
}

/* The same for reads and deletes: *done says how far results count. */
static void f08_reads_and_deletes_stand_at_the_failure(void) {
    static uint64_t words[FEW];
    static uint64_t values[FEW];
    for (int r = 0; r < 2; r++) {
        struct kit_disk disk = begin_bad(bad_reads[r], words);
        struct faster_items key_items = word_items(words);
        struct faster_results results = {(uint8_t *)values, sizeof values, NULL, NULL};
        uint64_t done = 0;
        int failure = r == 0 ? -EIO : FASTER_E_CORRUPT;
        CHECK_INT(faster_read_many(disk.session, &key_items, FEW, &results, &done),
                  failure);
        CHECK(done > 0 && is_bad(done) && !is_bad(done - 1), "%" PRIu64, done);
        for (uint64_t i = 0; i < done; i++) {
            CHECK_U64(values[i], 1000 + i);
        }
        uint64_t deleted = 0;
        CHECK_INT(faster_delete_many(disk.session, &key_items, FEW, NULL, &deleted),
                  failure);
        CHECK_U64(deleted, done);
        kit_disk_lift(&disk);
        for (uint64_t i = 0; i < FEW; i++) {
            struct kit_bytes key = kit_key(KIT_WORD, i);
            struct kit_bytes value = kit_value(KIT_WORD, 1000 + i, 8);
            kit_disk_expect(disk.session, &key, i < deleted ? NULL : &value);
        }
        kit_disk_close(&disk);
    }
}

HARNESS_MAIN(TEST(batches_follow_the_model), TEST(results_are_in_item_order),
             TEST(f08_items_behind_a_failure_are_undone),
             TEST(f08_reads_and_deletes_stand_at_the_failure))
