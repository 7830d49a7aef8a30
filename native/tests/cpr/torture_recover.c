/* SPDX-License-Identifier: MIT */
/* The whole way: sessions that never stop, a checkpoint under them, a crash, and a
 * recovery.  Every session finds exactly its updates up to its commit point, life after
 * life on the same device. */
#include "cpr/cpr_kit.h"
#include "cpr/recovery_kit.h"

enum { SESSIONS = 3, SLOTS = 700, UPDATES_MAX = 60000, LEAD_MAX = 20000 };
enum { LIVES = 6, READ_SIZE = 256 << 10 };

/* One file of a checkpoint. */
struct file {
    uint8_t *bytes;
    uint64_t size;
    uint64_t room;
};

struct scene {
    struct vault *vault;
    struct faster_session *sessions[SESSIONS];
    uint64_t serials[SESSIONS]; /* of the last update that a session has done */
    _Atomic bool stop;
    uint32_t kind;
    uint32_t with_index;
    uint64_t start; /* the first session's update that the checkpoint begins behind */
    struct faster_checkpoint_facts facts;
    uint64_t points[SESSIONS];
    struct file index;
    struct file pages;
    struct faster_recovery *recovery;
    struct faster_recovery_config config;
    _Atomic bool linked; /* all that comes before the pages that need the index */
};

static struct kit_bytes key_of(uint32_t session, uint64_t slot) {
    return kit_key(KIT_WORD, (uint64_t)(session + 1) << 32 | slot);
}

/* Update n of a session sets slot n mod SLOTS to n.  So a session's prefix shows in
 * every one of its keys. */
static void update_on(struct scene *scene, uint32_t thread) {
    struct faster_session *session = scene->sessions[thread];
    for (uint64_t i = 0; i < UPDATES_MAX; i++) {
        uint64_t number = faster_session_serial(session) + 1;
        struct kit_bytes key = key_of(thread, number % SLOTS);
        struct kit_bytes value = kit_value(KIT_WORD, number, 8);
        if (i > SLOTS && atomic_load_explicit(&scene->stop, memory_order_acquire)) {
            return;
        }
        CHECK_INT(kit_run_write(session, FASTER_UPSERT, &key, &value), FASTER_OK);
        CHECK_U64(faster_session_serial(session), number);
        scene->serials[thread] = number;
    }
}

static void read_file(struct faster_checkpoint *checkpoint, uint32_t part,
                      struct file *file) {
    uint64_t size = 1;
    file->size = 0;
    while (size != 0) { /* ends: what is copied anew begins higher */
        if (file->room - file->size < READ_SIZE) {
            file->room = 2 * file->room + READ_SIZE;
            file->bytes = realloc(file->bytes, (size_t)file->room);
            CHECK(file->bytes != NULL, "%s", "no memory");
        }
        int result = faster_checkpoint_read(checkpoint, part, file->bytes + file->size,
                                            READ_SIZE, &size);
        if (result == FASTER_RETRY) {
            file->size = 0;
            size = 1;
            continue;
        }
        CHECK_INT(result, FASTER_OK);
        file->size += size;
    }
}

static void take_checkpoint(struct scene *scene) {
    struct faster_checkpoint_config config = {.size = sizeof config,
                                              .kind = scene->kind,
                                              .with_index = scene->with_index,
                                              .seed = CPR_KIT_SEED};
    struct faster_checkpoint *checkpoint;
    CHECK_INT(faster_checkpoint_begin(scene->vault->kv, &config, &checkpoint),
              FASTER_OK);
    if (scene->with_index != 0) {
        cpr_advance_to(checkpoint, FASTER_PHASE_INDEX_COPY);
        read_file(checkpoint, FASTER_PART_INDEX, &scene->index);
    }
    cpr_advance_to(checkpoint, FASTER_PHASE_WAIT_FLUSH);
    if (scene->kind == FASTER_SNAPSHOT) {
        read_file(checkpoint, FASTER_PART_PAGES, &scene->pages);
    }
    cpr_advance_to(checkpoint, FASTER_PHASE_PERSIST);
    scene->facts = cpr_facts(checkpoint);
    for (uint32_t i = 0; i < SESSIONS; i++) {
        scene->points[i] = cpr_point(checkpoint, i + 1);
    }
    faster_checkpoint_end(checkpoint);
}

/* Thread 0 takes the checkpoint, the others are sessions. */
static void play(void *context, uint32_t thread) {
    struct scene *scene = context;
    if (thread != 0) {
        update_on(scene, thread - 1);
        return;
    }
    while (faster_session_serial(scene->sessions[0]) < scene->start) {
        thread_yield(); /* ends: the session makes at least so many updates */
    }
    take_checkpoint(scene);
    atomic_store_explicit(&scene->stop, true, memory_order_release);
}

/* Pages that need no link come while the index is restored. */
static void give_piece(struct scene *scene, uint64_t address, const uint8_t *bytes,
                       uint64_t size) {
    uint64_t start = scene->config.index_bits != 0 ? scene->config.index_start : 0;
    uint64_t early = start > address ? start - address : 0;
    early = early < size ? early : size;
    CHECK_INT(faster_recovery_pages(scene->recovery, address, bytes, early), FASTER_OK);
    while (early < size &&
           !atomic_load_explicit(&scene->linked, memory_order_acquire)) {
        thread_yield(); /* ends: the other thread waits for nothing */
    }
    CHECK_INT(faster_recovery_pages(scene->recovery, address + early, bytes + early,
                                    size - early),
              FASTER_OK);
}

static void give_pages(struct scene *scene) {
    uint64_t at = 0;
    for (uint64_t number = 0; scene->kind == FASTER_SNAPSHOT; number++) {
        struct faster_block block;
        struct pages_opening opening;
        CHECK_INT(faster_block_next(scene->pages.bytes + at, scene->pages.size - at,
                                    CPR_KIT_SEED, FASTER_PART_PAGES, number, &block),
                  FASTER_OK);
        if (block.last != 0) {
            break;
        }
        const uint8_t *payload = scene->pages.bytes + at + block.payload;
        memcpy(&opening, payload, sizeof opening);
        give_piece(scene, opening.address, payload + sizeof opening, opening.length);
        at += block.whole;
    }
}

/* The generations of the next life: it owns what is behind log_until. */
static void next_life(struct vault *vault, uint64_t log_until) {
    uint64_t number = vault->generations[vault->lives - 1].number + 1;
    while (vault->lives > 0 &&
           vault->generations[vault->lives - 1].first >= log_until) {
        vault->lives--;
    }
    CHECK(vault->lives < VAULT_LIVES, "%" PRIu64, vault->lives);
    vault->generations[vault->lives++] = (struct faster_generation){log_until, number};
}

static struct faster_recovery_config config_of(const struct scene *scene) {
    const struct faster_checkpoint_facts *facts = &scene->facts;
    return (struct faster_recovery_config){
        .size = sizeof(struct faster_recovery_config),
        .version = facts->version,
        .begin = facts->begin,
        .index_start = facts->index_start,
        .index_bits = facts->index_bits,
        .table_bits = facts->table_bits,
        .fuzzy_start = facts->fuzzy_start,
        .log_until = facts->log_until,
        .final = facts->final,
        .seed_index = CPR_KIT_SEED,
    };
}

static void restore(void *context, uint32_t thread) {
    struct scene *scene = context;
    const struct faster_recovery_config *config = &scene->config;
    uint64_t from = config->index_bits != 0 ? config->index_start : config->begin;
    if (thread != 0) {
        give_pages(scene);
        return;
    }
    if (config->index_bits != 0) {
        CHECK_INT(faster_recovery_index(scene->recovery, scene->index.bytes,
                                        scene->index.size),
                  FASTER_OK);
    }
    if (from < config->log_until) {
        CHECK_INT(faster_recovery_log(scene->recovery, from, config->log_until),
                  FASTER_OK);
    }
    atomic_store_explicit(&scene->linked, true, memory_order_release);
}

static void recover(struct scene *scene, struct faster_skip *skips,
                    uint64_t *skip_count) {
    struct vault *vault = scene->vault;
    struct faster_generation before[VAULT_LIVES];
    struct faster_recovery_config config = config_of(scene);
    memcpy(before, vault->generations, sizeof before);
    config.generations = before;
    config.generation_count = vault->lives;
    config.skips = skips;
    config.skip_count = *skip_count;
    next_life(vault, config.log_until);
    CHECK_INT(vault_open(vault, config.log_until), FASTER_OK);
    CHECK_INT(faster_recovery_begin(vault->kv, &config, &scene->recovery), FASTER_OK);
    scene->config = config;
    atomic_store_explicit(&scene->linked, false, memory_order_release);
    harness_threads(2, restore, scene);
    CHECK_INT(faster_recovery_finish(scene->recovery), FASTER_OK);
    faster_recovery_free(scene->recovery);
    CHECK_INT(index_audit(&vault->kv->index), 0);
    if (config.fuzzy_start < config.final) {
        skips[(*skip_count)++] = (struct faster_skip){config.fuzzy_start, config.final,
                                                      config.version + 1, 0};
    }
}

/* I1, I2 of the durability contract: all up to the commit point, nothing behind it. */
static void check_prefixes(struct scene *scene) {
    for (uint32_t i = 0; i < SESSIONS; i++) {
        uint64_t point = scene->points[i];
        CHECK_U64(faster_session_serial(scene->sessions[i]), point);
        for (uint64_t slot = 0; slot < SLOTS; slot++) {
            uint64_t back = (point - slot) % SLOTS;
            bool there = point >= slot && point - back > 0;
            struct kit_bytes key = key_of(i, slot);
            struct kit_bytes value =
                kit_value(KIT_WORD, point >= slot ? point - back : 0, 8);
            kit_disk_expect(scene->sessions[i], &key, there ? &value : NULL);
        }
    }
}

static void open_sessions(struct scene *scene) {
    for (uint32_t i = 0; i < SESSIONS; i++) {
        CHECK_INT(faster_session_resume(scene->vault->kv, i + 1, scene->points[i],
                                        &scene->sessions[i]),
                  FASTER_OK);
    }
}

/* What is in memory is gone; the device has what it was given, also since. */
static void crash(struct scene *scene) {
    for (uint32_t i = 0; i < SESSIONS; i++) {
        CHECK(scene->points[i] <= scene->serials[i], "session %" PRIu32, i);
        faster_session_free(scene->sessions[i]);
    }
    vault_end(scene->vault);
}

static void live_and_crash(uint64_t seed) {
    static const uint32_t kinds[] = {FASTER_SNAPSHOT, FASTER_FOLD_OVER};
    struct rng rng = rng_stream(seed);
    struct faster_skip skips[LIVES + 1];
    uint64_t skip_count = 0;
    struct scene *scene = calloc(1, sizeof *scene);
    CHECK(scene != NULL, "%s", "no memory");
    scene->vault = vault_new(KIT_WORD);
    scene->vault->options.memory_size = 256 << 10;
    CHECK_INT(vault_open(scene->vault, 0), FASTER_OK);
    open_sessions(scene);
    for (int life = 0; life < LIVES; life++) {
        scene->kind = kinds[rng_below(&rng, 2)];
        scene->with_index = (uint32_t)rng_below(&rng, 2);
        scene->start =
            faster_session_serial(scene->sessions[0]) + rng_below(&rng, LEAD_MAX);
        atomic_store_explicit(&scene->stop, false, memory_order_release);
        harness_threads(SESSIONS + 1, play, scene);
        crash(scene);
        recover(scene, skips, &skip_count);
        open_sessions(scene);
        check_prefixes(scene);
    }
    crash(scene);
    free(scene->index.bytes);
    free(scene->pages.bytes);
    vault_free(scene->vault);
    free(scene);
}

static void c9_each_life_goes_on_from_a_prefix(void) {
    for (uint64_t i = 0; i < harness_count(6); i++) {
        live_and_crash(i);
    }
}

HARNESS_MAIN(TEST(c9_each_life_goes_on_from_a_prefix))
