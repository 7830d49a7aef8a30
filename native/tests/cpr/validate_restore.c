/* SPDX-License-Identifier: MIT */
/* cpr/recovery.h: the log's end from a file, and the index from its copy */
#include "cpr/recovery_kit.h"
#include "cpr/stream.h"
#include "record/checksum.h"

enum { KEYS = 1500, PUTS = 6000, PIECE_MAX = 9000, RUN = 100 };

#define SEED UINT64_C(0x1234567890abcdef)

/* --- the log's end ---------------------------------------------------------------- */

/* Fillers of pages that were copied from memory have no checksum. */
static void forget_fillers(const struct record_layout *layout, uint8_t *image,
                           uint64_t final) {
    uint64_t address = ADDRESS_FIRST;
    while (address < final) { /* ends: extents are positive */
        struct record *record = (struct record *)(void *)(image + address);
        uint64_t info = record_info(record);
        if ((info & INFO_FILLER) == 0) {
            address += record_extent(layout, record);
            continue;
        }
        record->checksum = info_prev(info) >= FILLER_SUMMED ? 0 : record->checksum;
        address += info_prev(info);
    }
}

/* The log up to `final`, as a snapshot would have it. */
static uint8_t *take_image(struct vault *vault, const struct record_layout *layout,
                           uint64_t final) {
    uint8_t *image = malloc((size_t) final);
    CHECK(image != NULL, "%s", "no memory");
    vault_peek(vault, 0, image, final);
    forget_fillers(layout, image, final);
    return image;
}

static int push(struct faster_recovery *recovery, struct rng *rng, const uint8_t *image,
                uint64_t from, uint64_t final) {
    int result = FASTER_OK;
    while (from < final && result == FASTER_OK) {
        uint64_t size = 1 + rng_below(rng, PIECE_MAX);
        size = size < final - from ? size : final - from;
        result = faster_recovery_pages(recovery, from, image + from, size);
        from += size;
    }
    return result;
}

static struct faster_recovery_config facts_config(struct vault_facts *facts,
                                                  uint64_t log_until) {
    struct faster_recovery_config config = vault_config(facts);
    config.log_until = log_until;
    return config;
}

/* As vault_start, with the device trusted up to log_until only. */
static struct faster_recovery *start_at(struct vault *vault, struct vault_facts *facts,
                                        uint64_t log_until) {
    struct faster_recovery_config config = facts_config(facts, log_until);
    struct faster_recovery *recovery = NULL;
    vault_next_life(vault, facts->final, KIT_DISK_PAGE);
    CHECK_INT(vault_open(vault, log_until), FASTER_OK);
    CHECK_INT(faster_recovery_begin(vault->kv, &config, &recovery), FASTER_OK);
    return recovery;
}

static int restore_pages(struct vault *vault, struct vault_facts *facts,
                         uint64_t log_until, struct rng *rng, const uint8_t *image) {
    struct faster_recovery *recovery = start_at(vault, facts, log_until);
    uint64_t begin = facts->begin < log_until ? facts->begin : log_until;
    int result = faster_recovery_log(recovery, begin, log_until);
    if (result == FASTER_OK) {
        result = push(recovery, rng, image, log_until, facts->final);
    }
    if (result == FASTER_OK) {
        result = faster_recovery_finish(recovery);
    }
    faster_recovery_free(recovery);
    if (result == FASTER_OK) {
        vault->session = kit_session(vault->kv);
    }
    return result;
}

/* C6: wherever the device's part ends, also inside a record, the rest is put behind it;
 * it is written again as it was, so that the log alone serves the next time. */
static void pages_go_on_where_the_log_ends(enum kit_kind kind) {
    struct rng rng = rng_stream((uint64_t)kind);
    struct vault *vault = vault_new(kind);
    vault_begin(vault);
    vault_fill(vault, &rng, KEYS, PUTS);
    struct vault_facts facts = vault_facts(vault);
    uint8_t *image = take_image(vault, &vault->kv->layout, facts.final);
    vault_end(vault);
    for (uint64_t part = 0; part <= 16; part++) {
        uint64_t log_until = facts.final * part / 16 & ~(uint64_t)511;
        uint64_t size = facts.final - log_until;
        uint8_t *noise = malloc((size_t)size + 1);
        CHECK(noise != NULL, "%s", "no memory");
        rng_fill(&rng, noise, (size_t)size);
        if (size != 0) {
            vault_poke(vault, log_until, noise, size);
        }
        free(noise);
        CHECK_INT(restore_pages(vault, &facts, log_until, &rng, image), FASTER_OK);
        CHECK_INT(index_audit(&vault->kv->index), 0);
        vault_check(vault, KEYS);
        (void)vault_flush(vault);
        vault_end(vault);
        vault_recover(vault, &facts);
        vault_check(vault, KEYS);
        vault_end(vault);
    }
    free(image);
    vault_free(vault);
}

static void c6_pages_behind_a_word_log(void) {
    pages_go_on_where_the_log_ends(KIT_WORD);
}
static void c6_pages_behind_a_wide_log(void) {
    pages_go_on_where_the_log_ends(KIT_WIDE);
}
static void c6_pages_behind_a_text_log(void) {
    pages_go_on_where_the_log_ends(KIT_TEXT);
}

/* Nothing is cut off the log before it is on the device. */
static void begin_is_not_behind_the_device(void) {
    struct vault *vault = vault_new(KIT_WORD);
    struct vault_facts facts = {.version = 1, .begin = 1032, .final = 4096};
    struct faster_recovery_config config = facts_config(&facts, 1024);
    struct faster_recovery *recovery;
    CHECK_INT(vault_open(vault, 1024), FASTER_OK);
    CHECK_INT(faster_recovery_begin(vault->kv, &config, &recovery), -EINVAL);
    config.begin = 1024;
    CHECK_INT(faster_recovery_begin(vault->kv, &config, &recovery), FASTER_OK);
    faster_recovery_free(recovery);
    vault_end(vault);
    vault_free(vault);
}

/* C9: what is written again belongs to the new life: pages are verified by the old
 * one's generations, and only the new ones verify what the log then holds. */
static void c9_pages_go_to_a_new_generation(void) {
    struct rng rng = rng_stream(23);
    struct vault *vault = vault_new(KIT_WIDE);
    const struct faster_generation old = {0, 1};
    vault_begin(vault);
    vault_fill(vault, &rng, KEYS, PUTS);
    struct vault_facts facts = vault_facts(vault);
    uint8_t *image = take_image(vault, &vault->kv->layout, facts.final);
    uint8_t *log = malloc((size_t)facts.final);
    CHECK(log != NULL, "%s", "no memory");
    vault_peek(vault, 0, log, facts.final);
    vault_end(vault);
    for (uint64_t part = 0; part < 8; part++) {
        uint64_t log_until = facts.final * part / 8 & ~(uint64_t)511;
        struct vault_facts taken = facts;
        struct faster_recovery_config config;
        struct faster_recovery *recovery;
        vault_poke(vault, 0, log, facts.final);
        taken.generations = &old;
        taken.generation_count = 1;
        config = facts_config(&taken, log_until);
        vault->lives = log_until != 0 ? 2 : 1;
        vault->generations[0] = old;
        vault->generations[vault->lives - 1] =
            (struct faster_generation){log_until, 77};
        CHECK_INT(vault_open(vault, log_until), FASTER_OK);
        CHECK_INT(faster_recovery_begin(vault->kv, &config, &recovery), FASTER_OK);
        if (log_until != 0) {
            CHECK_INT(faster_recovery_log(recovery, facts.begin, log_until), FASTER_OK);
        }
        CHECK_INT(push(recovery, &rng, image, log_until, facts.final), FASTER_OK);
        CHECK_INT(faster_recovery_finish(recovery), FASTER_OK);
        faster_recovery_free(recovery);
        vault->session = kit_session(vault->kv);
        vault_check(vault, KEYS);
        (void)vault_flush(vault);
        vault_end(vault);
        vault_recover(vault, &facts);
        vault_check(vault, KEYS);
        vault_end(vault);
        vault->lives = 1;
        vault->generations[0] = old;
        CHECK_INT(vault_try(vault, &facts, NULL), FASTER_E_CORRUPT);
        vault_end(vault);
    }
    free(log);
    free(image);
    vault_free(vault);
}

/* The store goes on behind restored pages. */
static void restored_stores_go_on(void) {
    struct rng rng = rng_stream(20);
    struct vault *vault = vault_new(KIT_TEXT);
    vault_begin(vault);
    for (int life = 0; life < 3; life++) {
        vault_fill(vault, &rng, KEYS, PUTS);
        struct vault_facts facts = vault_facts(vault);
        uint8_t *image = take_image(vault, &vault->kv->layout, facts.final);
        vault_end(vault);
        CHECK_INT(
            restore_pages(vault, &facts, facts.final / 2 & ~(uint64_t)511, &rng, image),
            FASTER_OK);
        vault_check(vault, KEYS);
        free(image);
    }
    vault_end(vault);
    vault_free(vault);
}

/* A byte of the pages that is another: told, or of no meaning; and nothing of the page
 * reaches the device. */
static void damaged_pages_are_found(void) {
    enum { SMALL = 50 };
    struct rng rng = rng_stream(21);
    struct vault *vault = vault_new(KIT_TEXT);
    vault_begin(vault);
    vault_fill(vault, &rng, SMALL, 2 * SMALL);
    struct vault_facts facts = vault_facts(vault);
    uint8_t *image = take_image(vault, &vault->kv->layout, facts.final);
    vault_end(vault);
    uint64_t found = 0;
    for (uint64_t place = ADDRESS_FIRST; place < facts.final; place++) {
        uint8_t change = (uint8_t)(1u << rng_below(&rng, 8));
        image[place] ^= change;
        int result = restore_pages(vault, &facts, 512, &rng, image);
        if (result == FASTER_OK) {
            vault_check(vault, SMALL);
        } else {
            CHECK_INT(result, FASTER_E_CORRUPT);
            found++;
        }
        vault_end(vault);
        image[place] ^= change;
    }
    CHECK(found > facts.final / 2, "%" PRIu64 " of %" PRIu64, found, facts.final);
    free(image);
    vault_free(vault);
}

/* The address of the n-th record of an image, from 0. */
static uint64_t nth_record(const struct record_layout *layout, uint8_t *image,
                           uint64_t n) {
    uint64_t address = ADDRESS_FIRST;
    for (;;) { /* ends: the image has more records */
        struct record *record = (struct record *)(void *)(image + address);
        uint64_t info = record_info(record);
        bool filler = (info & INFO_FILLER) != 0;
        if (!filler && n-- == 0) {
            return address;
        }
        address += filler ? info_prev(info) : record_extent(layout, record);
    }
}

static void sum_record(const struct record_layout *layout, uint8_t *image,
                       uint64_t address) {
    struct record *record = (struct record *)(void *)(image + address);
    record->checksum = record_checksum(record, record_extent(layout, record), address,
                                       record_seed(KIT_DISK_ID, 1));
}

/* F86: memory is followed without checksums, so a record of it whose checksum is right
 * must not lead into the middle of another. */
static void f86_pages_lead_to_records_only(void) {
    struct rng rng = rng_stream(24);
    struct vault *vault = vault_new(KIT_WIDE);
    vault_begin(vault);
    vault_fill(vault, &rng, 50, 100);
    struct record_layout layout = vault->kv->layout;
    struct vault_facts facts = vault_facts(vault);
    uint8_t *image = take_image(vault, &layout, facts.final);
    vault_end(vault);
    uint64_t first = nth_record(&layout, image, 3);
    uint64_t address = nth_record(&layout, image, 20);
    struct record *record = (struct record *)(void *)(image + address);
    const uint64_t places[] = {first + 8, first + 16, first + 64, first + 1, 8, first};
    for (int i = 0; i < 6; i++) {
        record_set_info(record, info_make(places[i], 1, 0));
        sum_record(&layout, image, address);
        CHECK_INT(restore_pages(vault, &facts, 0, &rng, image),
                  i < 5 ? FASTER_E_CORRUPT : FASTER_OK);
        vault_end(vault);
    }
    free(image);
    vault_free(vault);
}

/* F86: what is below begin is no more, also where its page is in memory: a record that
 * leads there leads nowhere. */
static void f86_nothing_below_begin_is_found(void) {
    enum { OLDER = 20, TABLE_BITS = 10 };
    static uint64_t page[KIT_DISK_PAGE / 8];
    struct vault *vault = vault_new(KIT_WORD);
    uint8_t *bytes = (uint8_t *)page;
    vault_begin(vault);
    uint64_t twin = kit_collision(vault->kv, KIT_WORD, 0, OLDER + 1, TABLE_BITS);
    struct kit_bytes key = kit_key(KIT_WORD, twin);
    struct kit_bytes value = kit_value(KIT_WORD, 5, 8);
    for (uint64_t number = 1; number <= OLDER; number++) {
        vault_put(vault, number, number);
    }
    CHECK_INT(kit_upsert(vault->session, &key, &value), FASTER_OK);
    struct record_layout layout = vault->kv->layout;
    struct vault_facts facts = vault_facts(vault);
    vault_end(vault);
    vault_peek(vault, 0, bytes, facts.final);
    facts.begin = nth_record(&layout, bytes, OLDER);
    struct record *record = (struct record *)(void *)(bytes + facts.begin);
    record_set_info(record, info_make(facts.begin - 64, 1, 0));
    sum_record(&layout, bytes, facts.begin);
    vault_poke(vault, 0, bytes, facts.final);
    vault_recover(vault, &facts);
    CHECK(index_current(&vault->kv->index)->bits <= TABLE_BITS, "no chain of two");
    kit_disk_expect(vault->session, &key, &value);
    vault_expect(vault, 0, 0);
    vault_end(vault);
    vault_free(vault);
}

/* R5: an invalid record lost its place to another before anybody saw it: that one, of
 * which it knows nothing, is the newest; on the device and in pages. */
static void r5_invalid_records_are_passed_over(void) {
    struct rng rng = rng_stream(25);
    struct vault *vault = vault_new(KIT_WORD);
    vault_begin(vault);
    for (uint64_t seed = 11; seed <= 33; seed += 11) {
        vault_put(vault, 1, seed);
        (void)vault_flush(vault); /* so that the next is appended */
    }
    struct record_layout layout = vault->kv->layout;
    struct vault_facts facts = vault_facts(vault);
    uint8_t *image = take_image(vault, &layout, facts.final);
    vault_end(vault);
    uint64_t oldest = nth_record(&layout, image, 0);
    uint64_t newest = nth_record(&layout, image, 2);
    struct record *record = (struct record *)(void *)(image + newest);
    record_set_info(record, info_make(oldest, 1, INFO_INVALID));
    sum_record(&layout, image, newest);
    CHECK_INT(restore_pages(vault, &facts, 0, &rng, image), FASTER_OK);
    vault_expect(vault, 1, 22);
    (void)vault_flush(vault);
    vault_end(vault);
    vault_recover(vault, &facts);
    vault_expect(vault, 1, 22);
    vault_end(vault);
    free(image);
    vault_free(vault);
}

/* C9: of pages, too, what is of the next version is left behind. */
static void c9_the_next_version_of_pages_is_left(void) {
    struct rng rng = rng_stream(22);
    struct vault *vault = vault_new(KIT_WIDE);
    static uint64_t old[KEYS];
    vault_begin(vault);
    vault_fill(vault, &rng, KEYS, PUTS);
    uint64_t fuzzy_start = vault_flush(vault);
    memcpy(old, vault->values, sizeof old);
    vault_raise_version(vault);
    vault_fill(vault, &rng, KEYS, 500);
    struct vault_facts facts = vault_facts(vault);
    uint8_t *image = take_image(vault, &vault->kv->layout, facts.final);
    vault_end(vault);
    facts.version = 1;
    facts.fuzzy_start = fuzzy_start;
    for (int part = 0; part < 3; part++) {
        uint64_t cut = facts.final - (facts.final - fuzzy_start) / 2;
        uint64_t log_until[] = {facts.final / 2, fuzzy_start, cut};
        CHECK_INT(
            restore_pages(vault, &facts, log_until[part] & ~(uint64_t)511, &rng, image),
            FASTER_OK);
        memcpy(vault->values, old, sizeof old);
        vault_check(vault, KEYS);
        vault_end(vault);
    }
    free(image);
    vault_free(vault);
}

/* --- the index -------------------------------------------------------------------- */

/* A stream in memory, and what was put into the block that is being made. */
struct copy {
    struct stream stream;
    uint8_t *bytes;
    uint64_t size;
    uint64_t room;
    uint64_t start; /* of the block being made */
    uint64_t payload;
};

static void copy_room(struct copy *copy, uint64_t more) {
    if (copy->size + more > copy->room) {
        copy->room = 2 * (copy->size + more);
        copy->bytes = realloc(copy->bytes, (size_t)copy->room);
        CHECK(copy->bytes != NULL, "%s", "no memory");
    }
}

static void copy_put(struct copy *copy, const void *bytes, uint64_t size) {
    copy_room(copy, BLOCK_HEADER + size);
    memcpy(copy->bytes + copy->size + BLOCK_HEADER + copy->payload, bytes,
           (size_t)size);
    copy->payload += size;
    copy_room(copy, BLOCK_HEADER + copy->payload + 64);
}

static void copy_frame(struct copy *copy) {
    copy->start = copy->size;
    copy->size += stream_frame(&copy->stream, copy->bytes + copy->size, copy->payload);
    copy->payload = 0;
}

static void copy_end(struct copy *copy) {
    uint64_t size = 0;
    copy_room(copy, 64);
    CHECK_INT(stream_end(&copy->stream, copy->bytes + copy->size, 64, &size),
              FASTER_OK);
    copy->size += size;
}

static void copy_begin(struct copy *copy, uint64_t start, uint64_t bits) {
    struct index_opening opening = {start, bits, (uint64_t)1 << bits};
    memset(copy, 0, sizeof *copy);
    stream_begin(&copy->stream, FASTER_PART_INDEX, SEED);
    copy_put(copy, &opening, sizeof opening);
    copy_frame(copy);
}

static void copy_run(struct copy *copy, uint32_t type, uint32_t count, uint64_t first) {
    struct index_run run = {type, count, first};
    copy_put(copy, &run, sizeof run);
}

static void copy_main(struct copy *copy, struct index_table *table) {
    for (uint64_t first = 0; first <= table->mask; first += RUN) {
        uint64_t left = table->mask + 1 - first;
        uint64_t count = left < RUN ? left : RUN;
        copy_run(copy, INDEX_RUN_MAIN, (uint32_t)count, first);
        for (uint64_t i = 0; i < count; i++) {
            uint64_t words[BUCKET_ENTRIES + 1] = {0};
            for (uint32_t j = 0; j < BUCKET_ENTRIES; j++) {
                words[j] = bucket_entry(&table->buckets[first + i], j);
            }
            copy_put(copy, words, sizeof words);
        }
        copy_frame(copy);
    }
}

static void copy_overflow(struct copy *copy, struct index_table *table) {
    for (uint64_t number = 0; number <= table->mask; number++) {
        uint64_t next = bucket_overflow(&table->buckets[number]);
        while (next != 0) { /* ends with the chain */
            struct index_bucket *bucket = overflow_bucket(&table->pool, next);
            for (uint32_t j = 0; j < BUCKET_ENTRIES; j++) {
                uint64_t pair[2] = {number, bucket_entry(bucket, j)};
                if (pair[1] != 0) {
                    copy_run(copy, INDEX_RUN_OVERFLOW, 1, 0);
                    copy_put(copy, pair, sizeof pair);
                    copy_frame(copy);
                }
            }
            next = bucket_overflow(bucket);
        }
    }
}

/* The index of a store that nobody uses at the moment. */
static void copy_index(struct copy *copy, struct vault *vault,
                       struct vault_facts *facts) {
    struct index_table *table = index_current(&vault->kv->index);
    CHECK(table_next(table) == NULL, "%s", "the index grows");
    facts->index_start = hlog_tail(&vault->kv->log);
    facts->index_bits = table->bits;
    facts->seed_index = SEED;
    copy_begin(copy, facts->index_start, table->bits);
    copy_main(copy, table);
    copy_overflow(copy, table);
    copy_end(copy);
}

/* Hand the stream in, a few blocks at a time. */
static int give_index(struct faster_recovery *recovery, const struct copy *copy,
                      struct rng *rng) {
    uint64_t from = 0;
    uint64_t number = 0;
    int result = FASTER_OK;
    while (from < copy->size && result == FASTER_OK) {
        uint64_t until = from;
        uint64_t count = 1 + rng_below(rng, 5);
        for (uint64_t i = 0; i < count && until < copy->size; i++) {
            struct faster_block block;
            CHECK_INT(faster_block_next(copy->bytes + until, copy->size - until, SEED,
                                        FASTER_PART_INDEX, number++, &block),
                      FASTER_OK);
            until += block.whole;
        }
        result = faster_recovery_index(recovery, copy->bytes + from, until - from);
        from = until;
    }
    return result;
}

static void restore_index(struct vault *vault, struct vault_facts *facts,
                          const struct copy *copy, struct rng *rng) {
    struct faster_recovery *recovery = vault_start(vault, facts);
    CHECK_INT(faster_recovery_log(recovery, facts->begin, facts->final), -EINVAL);
    CHECK_INT(give_index(recovery, copy, rng), FASTER_OK);
    CHECK_INT(faster_recovery_log(recovery, facts->index_start, facts->final),
              FASTER_OK);
    CHECK_INT(faster_recovery_finish(recovery), FASTER_OK);
    faster_recovery_free(recovery);
    vault->session = kit_session(vault->kv);
}

/* Entries come from the copy, later records from the log; also into a table that is
 * larger than the one that was copied. */
static void the_index_comes_back(void) {
    for (uint32_t more = 0; more < 3; more++) {
        struct rng rng = rng_stream(30 + more);
        struct vault *vault = vault_new(KIT_WORD);
        struct vault_facts copied = {0};
        struct copy copy;
        vault->options.memory_size = 1 << 20;
        vault_begin(vault);
        vault_fill(vault, &rng, KEYS, PUTS);
        (void)vault_flush(vault);
        copy_index(&copy, vault, &copied);
        vault_fill(vault, &rng, KEYS, PUTS / 10);
        struct vault_facts facts = vault_facts(vault);
        facts.index_start = copied.index_start;
        facts.index_bits = copied.index_bits;
        facts.seed_index = copied.seed_index;
        facts.table_bits = copied.index_bits + more;
        vault_end(vault);
        restore_index(vault, &facts, &copy, &rng);
        CHECK_U64(index_current(&vault->kv->index)->bits, facts.table_bits);
        CHECK_INT(index_audit(&vault->kv->index), 0);
        vault_check(vault, KEYS);
        vault_fill(vault, &rng, KEYS, PUTS);
        vault_check(vault, KEYS);
        vault_end(vault);
        free(copy.bytes);
        vault_free(vault);
    }
}

/* A small store with a copy of its index, to be damaged. */
static struct vault *small_with_index(struct vault_facts *facts, struct copy *copy) {
    struct rng rng = rng_stream(40);
    struct vault *vault = vault_new(KIT_WORD);
    struct vault_facts copied = {0};
    vault_begin(vault);
    vault_fill(vault, &rng, 60, 100);
    (void)vault_flush(vault);
    copy_index(copy, vault, &copied);
    *facts = vault_facts(vault);
    facts->index_start = copied.index_start;
    facts->index_bits = copied.index_bits;
    facts->seed_index = SEED;
    vault_end(vault);
    return vault;
}

/* A byte of the stream that is another is found before the block is used. */
static void damaged_blocks_are_found(void) {
    struct rng rng = rng_stream(41);
    struct vault_facts facts;
    struct copy copy;
    struct vault *vault = small_with_index(&facts, &copy);
    struct faster_recovery *recovery = vault_start(vault, &facts);
    for (uint64_t place = 0; place < BLOCK_HEADER + sizeof(struct index_opening);
         place++) {
        struct faster_damage damage;
        uint8_t change = (uint8_t)(1u << rng_below(&rng, 8));
        copy.bytes[place] ^= change;
        CHECK_INT(faster_recovery_index(recovery, copy.bytes, copy.size),
                  FASTER_E_CORRUPT);
        CHECK_INT(faster_recovery_damage(recovery, &damage), FASTER_OK);
        CHECK_INT(damage.what, FASTER_DAMAGE_BLOCK);
        CHECK_U64(damage.address, 0);
        copy.bytes[place] ^= change;
    }
    for (uint64_t size = 1; size < BLOCK_HEADER + sizeof(struct index_opening);
         size++) {
        CHECK_INT(faster_recovery_index(recovery, copy.bytes, size), FASTER_E_CORRUPT);
    }
    uint64_t first = BLOCK_HEADER + sizeof(struct index_opening);
    CHECK_INT(faster_recovery_index(recovery, copy.bytes, first), FASTER_OK);
    CHECK_INT(faster_recovery_index(recovery, copy.bytes, first), FASTER_E_CORRUPT);
    CHECK_INT(faster_recovery_finish(recovery), -EINVAL);
    faster_recovery_free(recovery);
    vault_end(vault);
    free(copy.bytes);
    vault_free(vault);
}

/* What a stream whose checksums are right may hold, and must not. */
static void senseless_streams_are_refused(void) {
    struct vault_facts facts;
    struct copy good;
    struct vault *vault = small_with_index(&facts, &good);
    uint64_t tag = (uint64_t)5 << ENTRY_TAG_SHIFT;
    const uint64_t words[] = {
        tag | 64 | ENTRY_TENTATIVE,
        tag | 64 | ENTRY_FROZEN,
        tag | facts.final,
        tag | 8,
        tag | 65,
        tag | ADDRESS_CACHE | 64,
        64,
        tag,
    };
    enum { WORDS = sizeof words / sizeof words[0] };
    uint64_t lives = vault->lives;
    for (int i = 0; i < WORDS + 7; i++) {
        struct copy bad;
        struct faster_damage damage;
        uint64_t bucket[BUCKET_ENTRIES + 1] = {0};
        uint64_t pair[2] = {0, i < WORDS ? words[i] : 0};
        uint32_t buckets = (uint32_t)1 << facts.index_bits;
        bool entries = i <= WORDS;
        copy_begin(&bad, facts.index_start + (i == WORDS + 1 ? 8 : 0),
                   facts.index_bits);
        if (i <= WORDS) {
            bucket[1] = i < WORDS ? words[i] : tag | 64;
            bucket[6] = i < WORDS ? 0 : tag | 128; /* a tag twice */
            copy_run(&bad, INDEX_RUN_MAIN, 1, 0);
            copy_put(&bad, bucket, sizeof bucket);
        } else if (i == WORDS + 2) {
            copy_run(&bad, INDEX_RUN_MAIN, 1, 1); /* not the next bucket */
            copy_put(&bad, bucket, sizeof bucket);
        } else if (i == WORDS + 3) {
            copy_run(&bad, 3, 1, 0);
            copy_put(&bad, bucket, sizeof bucket);
        } else if (i == WORDS + 4) {
            copy_run(&bad, INDEX_RUN_MAIN, buckets, 0); /* more than there is */
        } else if (i == WORDS + 5) {
            copy_run(&bad, INDEX_RUN_OVERFLOW, 1, 0); /* too early */
            copy_put(&bad, pair, sizeof pair);
        } else {
            copy_put(&bad, bucket, 8); /* less than a run's head */
        }
        copy_frame(&bad);
        copy_end(&bad);
        vault->lives = lives;
        struct faster_recovery *recovery = vault_start(vault, &facts);
        CHECK(faster_recovery_index(recovery, bad.bytes, bad.size) == FASTER_E_CORRUPT,
              "stream %d", i);
        CHECK_INT(faster_recovery_damage(recovery, &damage), FASTER_OK);
        CHECK_INT(damage.what, entries ? FASTER_DAMAGE_ENTRY : FASTER_DAMAGE_BLOCK);
        faster_recovery_free(recovery);
        vault_end(vault);
        free(bad.bytes);
    }
    free(good.bytes);
    vault_free(vault);
}

/* Pairs behind the main buckets: bounds, and twice the same tag. */
static void senseless_pairs_are_refused(void) {
    struct vault_facts facts;
    struct copy good;
    struct vault *vault = small_with_index(&facts, &good);
    struct vault_facts none = facts;
    uint64_t tag = (uint64_t)5 << ENTRY_TAG_SHIFT;
    uint64_t buckets = (uint64_t)1 << facts.index_bits;
    const uint64_t pairs[][2] = {{buckets, tag | 64},
                                 {UINT64_MAX, tag | 64},
                                 {1, 0},
                                 {1, tag | facts.final},
                                 {1, tag | 64}};
    for (int i = 0; i < 5; i++) {
        struct copy copy;
        copy_begin(&copy, facts.index_start, facts.index_bits);
        for (uint64_t number = 0; number < buckets; number++) {
            uint64_t bucket[BUCKET_ENTRIES + 1] = {0};
            bucket[0] = number == 1 ? tag | 128 : 0;
            copy_run(&copy, INDEX_RUN_MAIN, 1, number);
            copy_put(&copy, bucket, sizeof bucket);
        }
        copy_run(&copy, INDEX_RUN_OVERFLOW, 1, 0);
        copy_put(&copy, pairs[i], sizeof pairs[i]);
        copy_frame(&copy);
        copy_end(&copy);
        struct faster_recovery *recovery = vault_start(vault, &none);
        int result = faster_recovery_index(recovery, copy.bytes, copy.size);
        CHECK(result == (i < 4 ? FASTER_E_CORRUPT : FASTER_OK), "pair %d: %d", i,
              result);
        CHECK_INT(index_audit(&vault->kv->index), 0);
        faster_recovery_free(recovery);
        vault_end(vault);
        free(copy.bytes);
    }
    free(good.bytes);
    vault_free(vault);
}

/* F86: an entry of the copy leads to a record, or out of memory. */
static void f86_entries_lead_to_records_only(void) {
    struct vault_facts facts;
    struct copy good;
    struct vault *vault = small_with_index(&facts, &good);
    uint64_t tag = (uint64_t)5 << ENTRY_TAG_SHIFT;
    for (uint64_t address = 64; address < 64 + 64; address += 8) {
        struct copy copy;
        uint64_t bucket[BUCKET_ENTRIES + 1] = {0};
        uint64_t buckets = (uint64_t)1 << facts.index_bits;
        copy_begin(&copy, facts.index_start, facts.index_bits);
        for (uint64_t number = 0; number < buckets; number++) {
            bucket[3] = number == 7 ? tag | address : 0;
            copy_run(&copy, INDEX_RUN_MAIN, 1, number);
            copy_put(&copy, bucket, sizeof bucket);
        }
        copy_frame(&copy);
        copy_end(&copy);
        struct faster_recovery *recovery = vault_start(vault, &facts);
        CHECK(facts.final < KIT_DISK_PAGE, "%" PRIu64, facts.final);
        CHECK_INT(faster_recovery_index(recovery, copy.bytes, copy.size), FASTER_OK);
        CHECK_INT(faster_recovery_log(recovery, facts.index_start, facts.final),
                  FASTER_OK);
        CHECK(faster_recovery_finish(recovery) ==
                  (address % 32 == 0 ? FASTER_OK : FASTER_E_CORRUPT),
              "%" PRIu64, address);
        faster_recovery_free(recovery);
        vault_end(vault);
        free(copy.bytes);
    }
    free(good.bytes);
    vault_free(vault);
}

HARNESS_MAIN(TEST(c6_pages_behind_a_word_log), TEST(c6_pages_behind_a_wide_log),
             TEST(c6_pages_behind_a_text_log), TEST(c9_pages_go_to_a_new_generation),
             TEST(restored_stores_go_on), TEST(damaged_pages_are_found),
             TEST(c9_the_next_version_of_pages_is_left), TEST(the_index_comes_back),
             TEST(damaged_blocks_are_found), TEST(senseless_streams_are_refused),
             TEST(senseless_pairs_are_refused), TEST(f86_pages_lead_to_records_only),
             TEST(r5_invalid_records_are_passed_over),
             TEST(f86_entries_lead_to_records_only),
             TEST(begin_is_not_behind_the_device),
             TEST(f86_nothing_below_begin_is_found))
