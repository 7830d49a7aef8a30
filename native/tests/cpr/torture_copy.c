/* SPDX-License-Identifier: MIT */
/* copy_pages.h, copy_index.h while sessions of the next version write: what was copied
 * recovers to what the version ended with, key by key. */
#include "base/thread.h"
#include "cpr/copy_kit.h"

enum { WRITERS = 2, THREADS = WRITERS + 1, KEYS = 1500, OPS = 12000, COPIES = 6 };

struct torture {
    struct copy_kit kit;
    uint64_t fuzzy_start;
    uint64_t start; /* of the index's copy */
    uint64_t ops;
    bool pages_leave;
    _Atomic uint64_t written; /* operations of the next version */
    _Atomic bool over;        /* the copier has what it wants */
    struct kit_bytes model[KEYS];
    bool is_there[KEYS];
};

static struct torture torture;

static void put_or_delete(struct faster_session *session, struct rng *rng,
                          uint64_t number) {
    enum kit_kind kind = torture.kit.disk.kind;
    struct kit_bytes key = kit_key(kind, number);
    struct kit_bytes value = kit_value(kind, rng_next(rng), rng_below(rng, 120));
    uint32_t verb = rng_below(rng, 6) == 0 ? FASTER_DISCARD : FASTER_UPSERT;
    int status = kit_run_write(session, verb, &key, &value);
    CHECK(status == FASTER_OK || status == FASTER_NOT_FOUND, "%d", status);
}

/* What the version ends with. */
static void learn_model(void) {
    enum kit_kind kind = torture.kit.disk.kind;
    for (uint64_t number = 0; number < KEYS; number++) {
        struct kit_bytes key = kit_key(kind, number);
        int result = kit_run_read(torture.kit.session, &key, &torture.model[number]);
        CHECK(result == FASTER_OK || result == FASTER_NOT_FOUND, "%d", result);
        torture.is_there[number] = result == FASTER_OK;
    }
}

static uint64_t load(_Atomic uint64_t *word) {
    return atomic_load_explicit(word, memory_order_acquire);
}

/* Have pages written up to the middle of one, or out of memory. */
static void push_out(struct rng *rng) {
    uint64_t chance = rng_below(rng, 3000);
    if (chance < 10) {
        CHECK_INT(faster_kv_flush(torture.kit.kv, KIT_DISK_WAIT_MS), FASTER_OK);
    } else if (chance == 10) {
        CHECK_INT(faster_kv_evict(torture.kit.kv, KIT_DISK_WAIT_MS), FASTER_OK);
    }
}

/* Write until the copier is done, at most `ops` times. */
static void write_on(uint32_t thread) {
    struct faster_session *session = kit_session(torture.kit.kv);
    struct rng rng = rng_stream(10 + thread);
    for (uint64_t i = 0; i < torture.ops; i++) {
        if (atomic_load_explicit(&torture.over, memory_order_acquire)) {
            break;
        }
        put_or_delete(session, &rng, rng_below(&rng, KEYS));
        if (torture.pages_leave) {
            push_out(&rng);
        }
        (void)atomic_fetch_add_explicit(&torture.written, 1, memory_order_release);
    }
    faster_session_free(session);
}

static void wait_written(uint64_t count) {
    while (load(&torture.written) < count) {
        thread_yield(); /* ends: the writers write more than that */
    }
}

/* --- pages ------------------------------------------------------------------------ */

/* Every piece verifies, wherever it is from; returns its extent. */
static uint64_t verify_piece(const struct copy_image *image, uint64_t address) {
    struct copy_kit *kit = &torture.kit;
    struct record *record = (struct record *)(void *)(image->bytes + address);
    uint64_t info = record_info(record);
    uint64_t extent = copy_kit_extent(kit, address, record, info);
    uint64_t seed = disk_seed_at(&kit->kv->log, address);
    CHECK(extent != 0 && extent <= image->until - address, "%" PRIu64, extent);
    if (copy_kit_is_record(info)) {
        CHECK_U64(record->checksum, record_checksum(record, extent, address, seed));
        CHECK(info_prev(info) < address, "%" PRIu64, info_prev(info));
    } else if (info != 0) {
        CHECK(filler_is_whole(record, address, extent, seed), "filler at %" PRIu64,
              address);
    }
    return extent;
}

static uint64_t number_of(struct record *record) {
    const struct record_layout *layout = &torture.kit.kv->layout;
    const uint8_t *key = record_key(layout, record);
    uint64_t number = 0;
    if (layout->fixed) {
        memcpy(&number, key, 8);
        return number;
    }
    for (uint64_t i = 1; i < record_key_size(layout, record) && key[i] != '.'; i++) {
        number = number * 10 + (uint64_t)(key[i] - '0');
    }
    return number;
}

/* The newest record of each key that the image has: what a recovery would link. */
static void check_image(const struct copy_image *image) {
    static uint64_t newest[KEYS];
    const struct record_layout *layout = &torture.kit.kv->layout;
    memset(newest, 0, sizeof newest);
    for (uint64_t address = ADDRESS_FIRST; address < image->until;) {
        struct record *record = (struct record *)(void *)(image->bytes + address);
        uint64_t info = record_info(record);
        bool is_next = address >= torture.fuzzy_start && info_version(info) == 2;
        uint64_t extent = verify_piece(image, address);
        if (copy_kit_is_record(info) && (info & INFO_INVALID) == 0 && !is_next) {
            uint64_t number = number_of(record);
            CHECK(number < KEYS, "%" PRIu64, number);
            newest[number] = address;
        }
        address += extent;
    }
    for (uint64_t number = 0; number < KEYS; number++) {
        struct record *record =
            (struct record *)(void *)(image->bytes + newest[number]);
        const struct kit_bytes *expected = &torture.model[number];
        bool is_there =
            newest[number] != 0 && (record_info(record) & INFO_TOMBSTONE) == 0;
        CHECK(is_there == torture.is_there[number], "key %" PRIu64, number);
        if (is_there) {
            uint64_t size = 0;
            struct kit_bytes value;
            CHECK_INT(
                record_read_value(layout, record, value.data, sizeof value.data, &size),
                FASTER_OK);
            value.size = size;
            CHECK(kit_same(&value, expected), "key %" PRIu64, number);
        }
    }
}

/* Copy [flushed_until, final) until that succeeds, and have the rest from the device:
 * what left memory meanwhile is there. */
static void copy_once(uint64_t final, uint64_t *voided) {
    struct copy_kit *kit = &torture.kit;
    struct copy_image image;
    uint64_t from;
    int result;
    do { /* ends: each time less is left */
        uint64_t flushed = disk_flushed_until(&kit->kv->log);
        from = flushed < final ? flushed : final;
        result = copy_kit_try_image(kit, from, final, torture.fuzzy_start, 1,
                                    copy_kit_capacity(kit), &image);
        *voided += result == FASTER_RETRY;
    } while (result == FASTER_RETRY);
    CHECK_INT(result, FASTER_OK);
    struct copy_image whole = copy_image_new(kit, 0, final);
    uint64_t moved = 0;
    if (from != 0) {
        CHECK_INT(device_read_wait(kit->disk.memory, 0, whole.bytes, from, &moved),
                  FASTER_OK);
    }
    CHECK_U64(moved, from);
    memcpy(whole.bytes + from, image.bytes, (size_t)(final - from));
    whole.until = final;
    check_image(&whole);
    free(whole.bytes);
    free(image.bytes);
}

static void copy_pages_beside(void *context, uint32_t thread) {
    uint64_t *voided = context;
    if (thread < WRITERS) {
        write_on(thread);
        return;
    }
    wait_written(torture.ops / 8);
    uint64_t final = copy_kit_final(&torture.kit);
    for (uint64_t i = 0; i < COPIES; i++) {
        copy_once(final, voided);
    }
    atomic_store_explicit(&torture.over, true, memory_order_release);
}

static void begin(enum kit_kind kind, const struct kit_disk_options *options) {
    struct rng rng = rng_stream(kind);
    torture.kit = copy_kit_open_with(kind, options);
    torture.ops = harness_count(OPS);
    atomic_store_explicit(&torture.written, 0, memory_order_release);
    atomic_store_explicit(&torture.over, false, memory_order_release);
    for (uint64_t i = 0; i < 2 * KEYS; i++) {
        put_or_delete(torture.kit.session, &rng, rng_below(&rng, KEYS));
    }
    learn_model();
}

static void copy_with(enum kit_kind kind, bool pages_leave) {
    /* Small writes end in the middle of records. */
    struct kit_disk_options options = {.memory_size =
                                           pages_leave ? 128 << 10 : 16 << 20,
                                       .max_io = pages_leave ? 512 : 0};
    uint64_t voided = 0;
    torture.pages_leave = pages_leave;
    begin(kind, &options);
    torture.fuzzy_start = copy_kit_shift(&torture.kit, 1);
    harness_threads(THREADS, copy_pages_beside, &voided);
    copy_kit_close(&torture.kit);
}

static void pages_that_stay_are_of_one_version(void) {
    for (uint32_t kind = 0; kind < KIT_KINDS; kind++) {
        copy_with((enum kit_kind)kind, false);
    }
}

/* A budget that the log outgrows: pages are flushed and evicted under the copier. */
static void pages_that_leave_are_of_one_version(void) {
    for (uint32_t kind = 0; kind < KIT_KINDS; kind++) {
        copy_with((enum kit_kind)kind, true);
    }
}

/* --- the index -------------------------------------------------------------------- */

struct entries {
    uint64_t payloads;
    uint64_t *words; /* 8 of each bucket */
    uint64_t mask;
    uint64_t *pairs;
    uint64_t count;
};

enum { PAIRS_MAX = 1 << 15 };

static void take_entries(void *context, const uint8_t *payload, uint64_t bytes) {
    struct entries *entries = context;
    if (entries->payloads++ == 0) {
        entries->mask = word_load64(payload + 16) - 1;
        entries->words = calloc(entries->mask + 1, 64);
        CHECK(entries->words != NULL, "no memory");
        return;
    }
    if (word_load32(payload) == INDEX_RUN_MAIN) {
        uint64_t first = word_load64(payload + 8);
        memcpy(entries->words + first * 8, payload + 16, (size_t)(bytes - 16));
        return;
    }
    uint64_t count = word_load32(payload + 4);
    CHECK(entries->count + count <= PAIRS_MAX, "too many pairs");
    memcpy(entries->pairs + entries->count * 2, payload + 16, (size_t)count * 16);
    entries->count += count;
}

/* The address that the copy has for a hash; at most one (index.h I1). */
static uint64_t address_of(const struct entries *entries, uint64_t hash) {
    uint64_t tag = entry_tag_of_hash(hash);
    uint64_t bucket = hash & entries->mask;
    uint64_t address = 0;
    for (uint64_t i = 0; i < BUCKET_ENTRIES; i++) {
        uint64_t word = entries->words[bucket * 8 + i];
        CHECK(word == 0 || !entry_is(word, tag) || address == 0, "twice");
        address = entry_is(word, tag) ? entry_address(word) : address;
    }
    for (uint64_t i = 0; i < entries->count; i++) {
        uint64_t word = entries->pairs[i * 2 + 1];
        if (entries->pairs[i * 2] == bucket && entry_is(word, tag)) {
            CHECK_U64(address, 0);
            address = entry_address(word);
        }
    }
    return address;
}

/* The chain from the copy's entry leads to the record that the key had at the start, if
 * that is still in memory, or below memory at least as near. */
static void check_entry(const struct entries *entries, uint64_t number) {
    struct faster_kv *kv = torture.kit.kv;
    struct kit_bytes key = kit_key(torture.kit.disk.kind, number);
    uint64_t address = address_of(entries, kv_hash(kv, key.data, key.size));
    CHECK(address != 0 || !torture.is_there[number], "key %" PRIu64, number);
    CHECK(!address_is_cached(address), "a copy");
    while (address >= hlog_head(&kv->log)) { /* ends: prev is below */
        struct record *record = hlog_record(&kv->log, address);
        bool same = record_has_key(&kv->layout, record, key.data, key.size);
        if (same && address < torture.start) {
            break;
        }
        address = info_prev(record_info(record));
    }
    CHECK(address != 0 || !torture.is_there[number], "key %" PRIu64, number);
    CHECK(address < torture.start, "key %" PRIu64 " at %" PRIu64, number, address);
}

static void copy_index_once(struct entries *entries) {
    struct copy_index copier;
    CHECK_INT(copy_index_begin(&copier, torture.kit.kv, torture.start, COPY_KIT_SEED),
              FASTER_OK);
    CHECK_INT(copy_kit_read(&torture.kit, FASTER_PART_INDEX, &copier,
                            copy_kit_index_next, 8192, take_entries, entries),
              FASTER_OK);
}

/* New keys beside the old ones, so that entries come while the copy is made; reads of
 * old ones, so that copies of the cache come and go. */
static void grow_on(uint32_t thread) {
    struct faster_session *session = kit_session(torture.kit.kv);
    struct rng rng = rng_stream(20 + thread);
    struct kit_bytes out;
    for (uint64_t i = 0; i < torture.ops; i++) {
        if (atomic_load_explicit(&torture.over, memory_order_acquire)) {
            break;
        }
        put_or_delete(session, &rng, KEYS + rng_below(&rng, 4 * KEYS));
        put_or_delete(session, &rng, rng_below(&rng, KEYS));
        struct kit_bytes key = kit_key(torture.kit.disk.kind, rng_below(&rng, KEYS));
        int status = kit_run_read(session, &key, &out);
        CHECK(status == FASTER_OK || status == FASTER_NOT_FOUND, "%d", status);
        (void)atomic_fetch_add_explicit(&torture.written, 1, memory_order_release);
    }
    faster_session_free(session);
}

static void copy_index_beside(void *context, uint32_t thread) {
    struct entries *entries = context;
    if (thread < WRITERS) {
        grow_on(thread);
        return;
    }
    wait_written(torture.ops / 8);
    for (uint64_t i = 0; i < COPIES; i++) {
        free(entries[i].words);
        copy_index_once(&entries[i]);
    }
    atomic_store_explicit(&torture.over, true, memory_order_release);
}

static void copy_index_with(enum kit_kind kind, uint64_t memory_size,
                            uint64_t read_cache) {
    struct kit_disk_options options = {.memory_size = memory_size,
                                       .read_cache = read_cache};
    struct entries entries[COPIES] = {{.words = NULL}};
    begin(kind, &options);
    while (index_hold_growth(&torture.kit.kv->index) != FASTER_OK) {
        thread_yield(); /* ends: the worker ends the growth */
    }
    torture.start = hlog_tail(&torture.kit.kv->log);
    epoch_wait(&torture.kit.kv->epoch, epoch_bump(&torture.kit.kv->epoch));
    for (uint64_t i = 0; i < COPIES; i++) {
        entries[i].pairs = calloc(PAIRS_MAX, 16);
        CHECK(entries[i].pairs != NULL, "no memory");
    }
    harness_threads(THREADS, copy_index_beside, entries);
    for (uint64_t i = 0; i < COPIES; i++) {
        for (uint64_t number = 0; number < KEYS; number++) {
            check_entry(&entries[i], number);
        }
        free(entries[i].words);
        free(entries[i].pairs);
    }
    index_release_growth(&torture.kit.kv->index);
    copy_kit_close(&torture.kit);
}

static void i1_entries_of_the_start_are_in_every_copy(void) {
    copy_index_with(KIT_WORD, 16 << 20, 0);
    copy_index_with(KIT_TEXT, 16 << 20, 0);
}

static void i1_so_they_are_while_pages_and_copies_go(void) {
    copy_index_with(KIT_WORD, 1 << 20, 128 << 10);
    copy_index_with(KIT_TEXT, 1 << 20, 128 << 10);
}

HARNESS_MAIN(TEST(pages_that_stay_are_of_one_version),
             TEST(pages_that_leave_are_of_one_version),
             TEST(i1_entries_of_the_start_are_in_every_copy),
             TEST(i1_so_they_are_while_pages_and_copies_go))
