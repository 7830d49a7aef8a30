/* SPDX-License-Identifier: MIT */
/* cpr/recovery.h, replay.h: what is recovered from the log is what was written, all of
 * it and nothing else */
#include "cpr/recovery_kit.h"

enum { KEYS = 1000, PUTS = 4000, THREADS = 4 };

/* After a recovery without an index every key has its last value, in every layout, and
 * the store goes on: also when it is recovered a second and a third time. */
static void lives_follow_each_other(enum kit_kind kind,
                                    struct kit_disk_options wanted) {
    struct rng rng = rng_stream((uint64_t)kind);
    struct vault *vault = vault_new(kind);
    vault->options = wanted;
    vault_begin(vault);
    for (int life = 0; life < 3; life++) {
        vault_fill(vault, &rng, KEYS, PUTS);
        struct vault_facts facts = vault_facts(vault);
        vault_end(vault);
        vault_recover(vault, &facts);
        CHECK_INT(index_audit(&vault->kv->index), 0);
        vault_check(vault, KEYS);
    }
    vault_end(vault);
    vault_free(vault);
}

static void i1_stores_of_every_layout_live_again(void) {
    for (int kind = 0; kind < KIT_KINDS; kind++) {
        lives_follow_each_other((enum kit_kind)kind, (struct kit_disk_options){0});
    }
}

/* Pieces that cut records, requests that are cut by the device, and large pages. */
static void i1_sizes_of_pieces_do_not_matter(void) {
    static const struct kit_disk_options sizes[] = {
        {.alignment = 4096},
        {.max_io = 512, .page_size = 8192, .memory_size = 256 << 10},
        {.max_io = 1536, .page_size = 64 << 10, .memory_size = 2 << 20},
        {.page_size = 64 << 10, .memory_size = 16 << 20},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        lives_follow_each_other(KIT_TEXT, sizes[i]);
    }
}

/* Records of nearly a page each: every one is cut by several pieces. */
static void i1_large_records_live_again(void) {
    enum { LARGE = 3900, COUNT = 60 };
    static uint8_t value[LARGE];
    static uint8_t found[LARGE];
    struct vault *vault = vault_new(KIT_TEXT);
    vault_begin(vault);
    for (uint64_t number = 0; number < COUNT; number++) {
        struct kit_bytes key = kit_key(KIT_TEXT, number);
        int result;
        memset(value, (int)number + 1, sizeof value);
        KIT_RETRY(
            vault->session, result,
            faster_upsert(vault->session, key.data, key.size, value, LARGE - number));
        CHECK_INT(result, FASTER_OK);
    }
    struct vault_facts facts = vault_facts(vault);
    vault_end(vault);
    vault_recover(vault, &facts);
    for (uint64_t number = 0; number < COUNT; number++) {
        struct kit_bytes key = kit_key(KIT_TEXT, number);
        struct faster_operation read = kit_operation(FASTER_READ, &key, NULL);
        struct faster_pending *pending = NULL;
        struct faster_result result = {.value = found};
        int status;
        KIT_RETRY(vault->session, status,
                  faster_start(vault->session, &read, found, sizeof found,
                               &result.value_size, &pending));
        if (status == FASTER_PENDING) {
            CHECK_INT(faster_wait(vault->session, pending, KIT_DISK_WAIT_MS),
                      FASTER_OK);
            faster_result_of(pending, &result);
            status = result.status;
        }
        CHECK_INT(status, FASTER_OK);
        memset(value, (int)number + 1, sizeof value);
        CHECK_U64(result.value_size, LARGE - number);
        CHECK(memcmp(result.value, value, (size_t)result.value_size) == 0,
              "another value of %" PRIu64, number);
        if (pending != NULL) {
            CHECK_INT(faster_forget(vault->session, pending), FASTER_OK);
        }
    }
    vault_end(vault);
    vault_free(vault);
}

struct parts {
    struct faster_recovery *recovery;
    uint64_t until;
    uint64_t page;
};

/* Thread t does pages t, t + THREADS, ... from the last one down. */
static void read_parts(void *context, uint32_t thread) {
    struct parts *parts = context;
    uint64_t pages = (parts->until + parts->page - 1) / parts->page;
    for (uint64_t i = pages; i-- > 0;) {
        if (i % THREADS == thread) {
            uint64_t from = i * parts->page;
            uint64_t until = from + parts->page;
            until = until < parts->until ? until : parts->until;
            from = from > ADDRESS_FIRST ? from : ADDRESS_FIRST;
            CHECK_INT(faster_recovery_log(parts->recovery, from, until), FASTER_OK);
        }
    }
}

/* Several threads, each with parts in another order: the newest record wins. */
static void i1_parts_come_in_any_order(void) {
    struct rng rng = rng_stream(7);
    struct vault *vault = vault_new(KIT_WORD);
    vault_begin(vault);
    vault_fill(vault, &rng, KEYS, 4 * PUTS);
    struct vault_facts facts = vault_facts(vault);
    vault_end(vault);
    struct parts parts = {vault_start(vault, &facts), facts.final, KIT_DISK_PAGE};
    harness_threads(THREADS, read_parts, &parts);
    CHECK_INT(faster_recovery_finish(parts.recovery), FASTER_OK);
    faster_recovery_free(parts.recovery);
    vault->session = kit_session(vault->kv);
    CHECK_INT(index_audit(&vault->kv->index), 0);
    vault_check(vault, KEYS);
    vault_end(vault);
    vault_free(vault);
}

/* C9, C12: records of the next version are left behind, in this life and, by the list
 * of ranges, in those that follow; a recovery to the next version takes them. */
static void c9_the_next_version_is_left_behind(void) {
    struct rng rng = rng_stream(9);
    struct vault *vault = vault_new(KIT_WIDE);
    static uint64_t old[KEYS];
    vault_begin(vault);
    vault_fill(vault, &rng, KEYS, PUTS);
    struct vault_facts facts = {.fuzzy_start = vault_flush(vault)};
    memcpy(old, vault->values, sizeof old);
    vault_raise_version(vault);
    vault_fill(vault, &rng, KEYS, 500);
    uint64_t fuzzy_start = facts.fuzzy_start;
    facts = vault_facts(vault);
    CHECK_INT(facts.version, 2);
    vault_end(vault);
    vault_recover(vault, &facts);
    vault_check(vault, KEYS);
    vault_end(vault);
    facts.version = 1;
    facts.fuzzy_start = fuzzy_start;
    vault_recover(vault, &facts);
    memcpy(vault->values, old, sizeof old);
    vault_check(vault, KEYS);
    uint64_t state = atomic_load_explicit(&vault->kv->state, memory_order_seq_cst);
    CHECK_U64(state_version(state), 2);
    vault_fill(vault, &rng, KEYS, 500);
    struct faster_skip skip = {fuzzy_start, facts.final, 2, 0};
    facts = vault_facts(vault);
    facts.skips[0] = skip;
    facts.skip_count = 1;
    vault_end(vault);
    vault_recover(vault, &facts);
    vault_check(vault, KEYS);
    vault_end(vault);
    vault_free(vault);
}

/* What an earlier life left behind the end of the one that is recovered verifies in
 * that life only. */
static void generations_tell_lives_apart(void) {
    struct rng rng = rng_stream(10);
    struct vault *vault = vault_new(KIT_WORD);
    vault_begin(vault);
    vault_fill(vault, &rng, KEYS, PUTS);
    struct vault_facts facts = vault_facts(vault);
    vault_fill(vault, &rng, KEYS, PUTS); /* after the checkpoint, and lost */
    struct vault_facts later = vault_facts(vault);
    vault_end(vault);
    vault_recover(vault, &facts);
    vault_end(vault);
    struct faster_damage damage;
    CHECK_INT(vault_try(vault, &later, &damage), FASTER_E_CORRUPT);
    uint64_t page = KIT_DISK_PAGE;
    CHECK_U64(damage.address, (facts.final + page - 1) & ~(page - 1));
    CHECK_INT(damage.what, FASTER_DAMAGE_CHECKSUM);
    vault_end(vault);
    vault_free(vault);
}

/* Two keys whose chains were apart in a large table have one entry in a small one: the
 * table is never smaller than it was (I3). */
static void i3_chains_stay_apart(void) {
    struct vault *vault = vault_new(KIT_WORD);
    vault->options.memory_size = 1 << 20;
    vault->expected_keys = 4 << 11;
    vault_begin(vault);
    uint64_t other = kit_collision(vault->kv, KIT_WORD, 1, 100, INDEX_BITS_MIN);
    struct kit_bytes keys[2] = {kit_key(KIT_WORD, 1), kit_key(KIT_WORD, other)};
    for (int i = 0; i < 2; i++) {
        CHECK_INT(kit_upsert(vault->session, &keys[i], &keys[i]), FASTER_OK);
    }
    struct vault_facts facts = vault_facts(vault);
    CHECK_U64(facts.table_bits, 12);
    vault_end(vault);
    vault->expected_keys = 0;
    vault_recover(vault, &facts);
    CHECK_U64(index_current(&vault->kv->index)->bits, 12);
    for (int i = 0; i < 2; i++) {
        kit_disk_expect(vault->session, &keys[i], &keys[i]);
    }
    vault_end(vault);
    vault_free(vault);
}

/* Records below begin are no more, also where begin is inside the tail's page. */
static void begin_hides_what_is_below(void) {
    for (uint64_t more = 5; more <= PUTS; more *= 35) {
        struct rng rng = rng_stream(11);
        struct vault *vault = vault_new(KIT_WORD);
        vault_begin(vault);
        vault_fill(vault, &rng, KEYS, PUTS);
        uint64_t begin = vault_flush(vault);
        memset(vault->values, 0, sizeof vault->values);
        vault_fill(vault, &rng, KEYS, more);
        struct vault_facts facts = vault_facts(vault);
        facts.begin = begin;
        vault_end(vault);
        uint8_t garbage[64];
        memset(garbage, 0xa5, sizeof garbage);
        vault_poke(vault, (begin & ~(uint64_t)511) - 512, garbage, sizeof garbage);
        vault_recover(vault, &facts);
        vault_check(vault, KEYS);
        vault_fill(vault, &rng, KEYS, PUTS);
        vault_check(vault, KEYS);
        vault_end(vault);
        vault_free(vault);
    }
}

/* A store without a byte in it. */
static void empty_stores_live_again(void) {
    struct vault *vault = vault_new(KIT_TEXT);
    struct rng rng = rng_stream(12);
    vault_begin(vault);
    struct vault_facts facts = vault_facts(vault);
    vault_end(vault);
    vault_recover(vault, &facts);
    vault_check(vault, KEYS);
    vault_fill(vault, &rng, KEYS, PUTS);
    facts = vault_facts(vault);
    vault_end(vault);
    vault_recover(vault, &facts);
    vault_check(vault, KEYS);
    vault_end(vault);
    vault_free(vault);
}

/* Numbers that contradict each other or the store are refused before anything is
 * done. */
static void numbers_that_contradict_are_refused(void) {
    struct vault *vault = vault_new(KIT_WORD);
    struct rng rng = rng_stream(13);
    struct faster_recovery *recovery;
    vault_begin(vault);
    vault_fill(vault, &rng, KEYS, PUTS);
    struct vault_facts facts = vault_facts(vault);
    struct faster_recovery_config right = vault_config(&facts);
    CHECK_INT(faster_recovery_begin(vault->kv, &right, &recovery), -EINVAL);
    vault_end(vault);
    CHECK_INT(vault_open(vault, facts.final), FASTER_OK);
    struct faster_skip crossed[2] = {{512, 1024, 2, 0}, {640, 2048, 2, 0}};
    struct faster_recovery_config wrong[9];
    for (int i = 0; i < 9; i++) {
        wrong[i] = right;
    }
    wrong[0].size = 8;
    wrong[1].version = 0;
    wrong[2].begin = right.final + 512;
    wrong[3].fuzzy_start = right.final + 512;
    wrong[4].log_until = right.final - 512;
    wrong[5].index_bits = 3;
    wrong[6].begin = 65;
    wrong[7].skips = crossed;
    wrong[7].skip_count = 2;
    wrong[8].final = right.final + 8;
    for (int i = 0; i < 9; i++) {
        CHECK(faster_recovery_begin(vault->kv, &wrong[i], &recovery) == -EINVAL, "%d",
              i);
    }
    CHECK_INT(faster_recovery_begin(vault->kv, &right, &recovery), FASTER_OK);
    CHECK_INT(faster_recovery_finish(recovery), -EINVAL); /* nothing was read */
    CHECK_INT(faster_recovery_log(recovery, 72, 4096), -EINVAL);
    CHECK_INT(faster_recovery_log(recovery, 64, 4000), -EINVAL);
    CHECK_INT(faster_recovery_log(recovery, 64, right.final + 4096), -EINVAL);
    CHECK_INT(faster_recovery_index(recovery, &right, 64), -EINVAL);
    CHECK_INT(faster_recovery_pages(recovery, right.final, &right, 8), -EINVAL);
    CHECK_INT(faster_recovery_log(recovery, 64, right.final), FASTER_OK);
    CHECK_INT(faster_recovery_finish(recovery), FASTER_OK);
    CHECK_INT(faster_recovery_finish(recovery), -EINVAL);
    faster_recovery_free(recovery);
    vault->session = kit_session(vault->kv);
    vault_check(vault, KEYS);
    vault_end(vault);
    vault_free(vault);
}

HARNESS_MAIN(TEST(i1_stores_of_every_layout_live_again),
             TEST(i1_sizes_of_pieces_do_not_matter), TEST(i1_large_records_live_again),
             TEST(i1_parts_come_in_any_order), TEST(c9_the_next_version_is_left_behind),
             TEST(generations_tell_lives_apart), TEST(i3_chains_stay_apart),
             TEST(begin_hides_what_is_below), TEST(empty_stores_live_again),
             TEST(numbers_that_contradict_are_refused))
