/* SPDX-License-Identifier: MIT */
/*
 * recovery_kit.h: stores that live more than once
 *
 * The bytes of the log stay in a memory device while stores come and go; each life has
 * a faulty device of its own before it.  What a checkpoint would say of a store is
 * taken by hand: everything is flushed, and the tail is where it ends.
 */
#ifndef TESTS_CPR_RECOVERY_KIT_H
#define TESTS_CPR_RECOVERY_KIT_H

#include "cpr/recovery.h"
#include "log/disk.h"
#include "store/disk_kit.h"

enum { VAULT_LIVES = 8, VAULT_KEYS_MAX = 20000, VAULT_SKIPS = 4, VAULT_STEP = 500 };

/* What a manifest would hold. */
struct vault_facts {
    uint32_t version;
    uint64_t begin;
    uint64_t fuzzy_start; /* 0: as final */
    uint64_t log_until;   /* 0: as final */
    uint64_t final;
    uint64_t table_bits;
    uint64_t index_start;
    uint64_t index_bits;
    uint64_t seed_index;
    struct faster_skip skips[VAULT_SKIPS];
    uint64_t skip_count;
    const struct faster_generation *generations; /* of the pages; NULL: the store's */
    uint64_t generation_count;
};

struct vault {
    enum kit_kind kind;
    struct kit_disk_options options;
    uint64_t expected_keys;
    struct faster_device *memory;
    struct faster_device shelf; /* the same, but that closing it keeps the bytes */
    struct faster_faulty *faulty;
    struct faster_kv *kv;
    struct faster_session *session;
    struct faster_generation generations[VAULT_LIVES];
    uint64_t lives;
    uint64_t values[VAULT_KEYS_MAX]; /* the seed of each key's value, 0: absent */
};

static inline int vault_keep(void *context) {
    (void)context;
    return 0;
}

static inline struct vault *vault_new(enum kit_kind kind) {
    struct vault *vault = calloc(1, sizeof *vault);
    CHECK(vault != NULL, "%s", "no memory");
    vault->kind = kind;
    vault->lives = 1;
    vault->generations[0] = (struct faster_generation){0, 1};
    CHECK_INT(faster_device_memory(1 << 20, 0, &vault->memory), FASTER_OK);
    vault->shelf = *vault->memory;
    vault->shelf.close = vault_keep;
    return vault;
}

static inline void vault_free(struct vault *vault) {
    CHECK_INT(device_close(vault->memory), 0);
    faster_device_free(vault->memory);
    free(vault);
}

/* Open a store on what the device holds; log_until 0: a new one. */
static inline int vault_open(struct vault *vault, uint64_t log_until) {
    struct kit_disk_options *options = &vault->options;
    struct faster_kv_config config = kit_disk_config(vault->kind, options);
    struct faster_faulty_config faulty = {.size = sizeof faulty,
                                          .rules = options->rules,
                                          .rules_count = options->rules_count,
                                          .seed = harness_seed(),
                                          .max_io = options->max_io,
                                          .alignment = options->alignment};
    CHECK_INT(faster_faulty_open(&faulty, &vault->shelf, &vault->faulty), FASTER_OK);
    config.device = faster_faulty_device(vault->faulty);
    config.expected_keys = vault->expected_keys;
    config.generations = vault->generations;
    config.generation_count = vault->lives;
    config.log_until = log_until;
    config.log_start = log_until & ~(config.page_size - 1);
    return faster_kv_open(&config, &vault->kv);
}

static inline void vault_begin(struct vault *vault) {
    CHECK_INT(vault_open(vault, 0), FASTER_OK);
    vault->session = kit_session(vault->kv);
}

static inline void vault_end(struct vault *vault) {
    if (vault->session != NULL) {
        kit_close(vault->kv, vault->session);
    } else {
        CHECK_INT(faster_kv_close(vault->kv, KIT_DISK_WAIT_MS), FASTER_OK);
        CHECK_U64(budget_used(&vault->kv->budget) - hlog_bytes(&vault->kv->log), 0);
        faster_kv_free(vault->kv);
    }
    faster_faulty_free(vault->faulty);
    vault->session = NULL;
    vault->kv = NULL;
}

static inline void vault_put(struct vault *vault, uint64_t number, uint64_t seed) {
    struct kit_bytes key = kit_key(vault->kind, number);
    struct kit_bytes value = kit_value(vault->kind, seed, seed % 90);
    uint32_t kind = seed != 0 ? FASTER_UPSERT : FASTER_DISCARD;
    int result = kit_run_write(vault->session, kind, &key, seed != 0 ? &value : NULL);
    CHECK(result == FASTER_OK || (seed == 0 && result == FASTER_NOT_FOUND), "%d",
          result);
    vault->values[number] = seed;
}

static inline void vault_expect(struct vault *vault, uint64_t number, uint64_t seed) {
    struct kit_bytes key = kit_key(vault->kind, number);
    struct kit_bytes value = kit_value(vault->kind, seed, seed % 90);
    kit_disk_expect(vault->session, &key, seed != 0 ? &value : NULL);
}

/* Every key has the value that was put last. */
static inline void vault_check(struct vault *vault, uint64_t keys) {
    for (uint64_t number = 0; number < keys; number++) {
        vault_expect(vault, number, vault->values[number]);
    }
}

/* Everything is on the device; where that ends. */
static inline uint64_t vault_flush(struct vault *vault) {
    CHECK_INT(faster_kv_flush(vault->kv, KIT_DISK_WAIT_MS), FASTER_OK);
    return hlog_tail(&vault->kv->log);
}

/* Put values; some keys are removed.  What was put is made read-only now and then, so
 * that chains have many records. */
static inline void vault_fill(struct vault *vault, struct rng *rng, uint64_t keys,
                              uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        uint64_t seed = rng_below(rng, 10) == 0 ? 0 : 1 + rng_below(rng, 1 << 20);
        vault_put(vault, rng_below(rng, keys), seed);
        if (i % VAULT_STEP == VAULT_STEP - 1) {
            (void)vault_flush(vault);
        }
    }
}

static inline struct vault_facts vault_facts(struct vault *vault) {
    uint64_t state = atomic_load_explicit(&vault->kv->state, memory_order_seq_cst);
    return (struct vault_facts){
        .version = state_version(state),
        .begin = hlog_begin(&vault->kv->log),
        .final = vault_flush(vault),
        .table_bits = index_current(&vault->kv->index)->bits,
    };
}

/* The next version, as a checkpoint would leave it. */
static inline void vault_raise_version(struct vault *vault) {
    (void)atomic_fetch_add_explicit(&vault->kv->state, 1, memory_order_seq_cst);
}

static inline struct faster_recovery_config
vault_config(const struct vault_facts *facts) {
    return (struct faster_recovery_config){
        .size = sizeof(struct faster_recovery_config),
        .version = facts->version,
        .begin = facts->begin,
        .index_start = facts->index_start,
        .index_bits = facts->index_bits,
        .table_bits = facts->table_bits,
        .fuzzy_start = facts->fuzzy_start != 0 ? facts->fuzzy_start : facts->final,
        .log_until = facts->log_until != 0 ? facts->log_until : facts->final,
        .final = facts->final,
        .seed_index = facts->seed_index,
        .skips = facts->skips,
        .skip_count = facts->skip_count,
        .generations = facts->generations,
        .generation_count = facts->generation_count,
    };
}

/* A life more: what is appended from now on is told from what an earlier life left. */
static inline void vault_next_life(struct vault *vault, uint64_t final,
                                   uint64_t page_size) {
    uint64_t first = (final + page_size - 1) & ~(page_size - 1);
    uint64_t last = vault->generations[vault->lives - 1].first;
    if (first == last) { /* the life before has written nothing that counts */
        vault->lives--;
    }
    CHECK(vault->lives < VAULT_LIVES, "%" PRIu64, vault->lives);
    uint64_t number = ((vault->lives + 1) << 32) | (harness_seed() & 0xffff);
    vault->generations[vault->lives++] = (struct faster_generation){first, number};
}

/* Open, and begin the recovery. */
static inline struct faster_recovery *vault_start(struct vault *vault,
                                                  const struct vault_facts *facts) {
    struct faster_recovery_config config = vault_config(facts);
    struct faster_recovery *recovery = NULL;
    uint64_t page_size =
        vault->options.page_size != 0 ? vault->options.page_size : KIT_DISK_PAGE;
    vault_next_life(vault, facts->final, page_size);
    CHECK_INT(vault_open(vault, config.log_until), FASTER_OK);
    CHECK_INT(faster_recovery_begin(vault->kv, &config, &recovery), FASTER_OK);
    return recovery;
}

/* The whole of a recovery from the log alone. */
static inline int vault_try(struct vault *vault, const struct vault_facts *facts,
                            struct faster_damage *damage) {
    struct faster_recovery *recovery = vault_start(vault, facts);
    struct faster_recovery_config config = vault_config(facts);
    int result = faster_recovery_log(recovery, config.begin, config.log_until);
    if (result == FASTER_OK) {
        result = faster_recovery_finish(recovery);
    }
    if (damage != NULL && result == FASTER_E_CORRUPT) {
        CHECK_INT(faster_recovery_damage(recovery, damage), FASTER_OK);
    }
    faster_recovery_free(recovery);
    if (result == FASTER_OK) {
        vault->session = kit_session(vault->kv);
    }
    return result;
}

static inline void vault_recover(struct vault *vault, const struct vault_facts *facts) {
    CHECK_INT(vault_try(vault, facts, NULL), FASTER_OK);
}

/* The device's bytes, as they are. */
static inline void vault_peek(struct vault *vault, uint64_t offset, void *bytes,
                              uint64_t size) {
    uint64_t moved = 0;
    CHECK_INT(device_read_wait(vault->memory, offset, bytes, size, &moved), FASTER_OK);
    CHECK_U64(moved, size);
}

static inline void vault_poke(struct vault *vault, uint64_t offset, const void *bytes,
                              uint64_t size) {
    CHECK_INT(device_write_wait(vault->memory, offset, bytes, size), FASTER_OK);
}

#endif
