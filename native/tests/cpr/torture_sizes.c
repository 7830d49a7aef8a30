/* SPDX-License-Identifier: MIT */
/* As torture_prefix.c, with values of many sizes: what grows, shrinks and is deleted,
 * alone and in batches, through a read cache and while the index grows (C1 to C6, C9,
 * C11, T20). */
#include "cpr/cpr_kit.h"

enum {
    WORKERS = 3,
    STEPS = 24000,
    LISTS = 24,
    LIST_MAX = 480,
    OWN_KEYS = 1600,
    BATCH = 24,
    CHECKPOINTS = 40,
    DEPTH = 8,
    IMAGE_MAX = 8 << 20,
    BUFFER = 1 << 20,
    LIFE = 5, /* the store's generation */
    NEXT_LIFE = 6,
    RELEASE_US = 50
};

static const struct faster_fault_rule rules[] = {
    {.kinds = FASTER_KIND_READ | FASTER_KIND_WRITE,
     .fault = FASTER_FAULT_FOREIGN,
     .every = 3},
    {.kinds = FASTER_KIND_READ, .fault = FASTER_FAULT_HOLD, .every = 7, .argument = 2},
};

static const struct faster_merge append = {.kind = FASTER_MERGE_APPEND};

enum action { SET, EXTEND, ERASE, INSERT, ACTIONS };

/* What a session does with serial number i + 1; a run of one kind may be a batch. */
struct step {
    enum action action;
    uint64_t key;
    uint64_t size;
    uint64_t run; /* of steps alike from here on */
};

/* The bytes of [from, until), as a checkpoint's streams have them. */
struct image {
    uint8_t *bytes;
    uint64_t from;
    uint64_t until;
};

struct torture {
    struct kit_disk disk;
    struct step plan[WORKERS][STEPS];
    _Atomic uint32_t running;
    _Atomic bool ended;
    struct image image;
    struct faster_checkpoint_facts base; /* of the image; version 0: none */
    uint64_t buffer[BUFFER / 8];
    uint8_t index[BUFFER]; /* of the last copy of the index */
    uint64_t index_size;
    struct faster_checkpoint_facts index_facts;
};

static struct torture torture;

/* Keys below LISTS are everybody's, and are only extended, by one byte of who did. */
static void make_step(struct rng *rng, uint32_t worker, struct step *step,
                      enum action action, uint64_t *extended) {
    step->action = action;
    step->key = (worker + 1) * 10000 + rng_below(rng, OWN_KEYS);
    step->size = rng_below(rng, 200);
    if (action == EXTEND && *extended < LISTS * LIST_MAX / WORKERS &&
        rng_below(rng, 2) == 0) {
        step->key = *extended % LISTS;
        *extended += 1;
    }
    step->size = action == EXTEND ? 1 : step->size;
}

static void make_plans(void) {
    for (uint32_t worker = 0; worker < WORKERS; worker++) {
        struct rng rng = rng_stream(200 + worker);
        uint64_t extended = 0;
        uint64_t run;
        for (uint64_t i = 0; i < STEPS; i += run) {
            enum action action = (enum action)rng_below(&rng, ACTIONS);
            run = rng_below(&rng, 3) == 0 ? 1 + rng_below(&rng, BATCH) : 1;
            run = run < STEPS - i ? run : STEPS - i;
            run = action == INSERT ? 1 : run;
            for (uint64_t j = 0; j < run; j++) {
                make_step(&rng, worker, &torture.plan[worker][i + j], action,
                          &extended);
                torture.plan[worker][i + j].run = run - j;
            }
        }
    }
}

static struct kit_bytes value_of_step(uint32_t worker, uint64_t i) {
    const struct step *step = &torture.plan[worker][i];
    struct kit_bytes value = kit_value(KIT_TEXT, i + 1, step->size);
    if (step->action == EXTEND) {
        value.data[0] = (uint8_t)('a' + worker);
    }
    return value;
}

/* --- the workers ------------------------------------------------------------------ */

static void take_all(struct faster_session *session, uint64_t *in_flight) {
    struct faster_pending *pending = NULL;
    while (faster_next_finished(session, &pending) == FASTER_OK) {
        struct faster_result result;
        faster_result_of(pending, &result);
        CHECK(result.status >= FASTER_OK, "%d", result.status);
        CHECK_INT(faster_forget(session, pending), FASTER_OK);
        *in_flight -= 1;
    }
}

static void do_step(struct faster_session *session, uint32_t worker, uint64_t i,
                    uint64_t *in_flight) {
    static const uint32_t kinds[] = {FASTER_UPSERT, FASTER_RMW, FASTER_DELETE,
                                     FASTER_INSERT};
    const struct step *step = &torture.plan[worker][i];
    struct kit_bytes key = kit_key(KIT_TEXT, step->key);
    struct kit_bytes value = value_of_step(worker, i);
    struct kit_bytes out = {.size = 0};
    struct faster_pending *pending = NULL;
    struct faster_operation operation =
        kit_operation(kinds[step->action], &key, &value);
    operation.merge = step->action == EXTEND ? &append : NULL;
    int status = kit_start(session, &operation, &out, &pending);
    CHECK(status >= FASTER_OK, "%d", status);
    *in_flight += status == FASTER_PENDING;
    while (*in_flight >= DEPTH) {
        CHECK_INT(faster_wait(session, NULL, KIT_DISK_WAIT_MS), FASTER_OK);
        take_all(session, in_flight);
    }
}

struct column {
    uint8_t data[BATCH * 512];
    uint64_t offsets[BATCH + 1];
};

static void add_item(struct column *column, uint64_t i, const struct kit_bytes *bytes) {
    uint64_t at = column->offsets[i];
    memcpy(column->data + at, bytes->data, (size_t)bytes->size);
    column->offsets[i + 1] = at + bytes->size;
}

/* Merged values are wanted, and the room for them is short at first. */
static int extend_many(struct faster_session *session, const struct faster_items *keys,
                       const struct faster_items *inputs, uint64_t count,
                       uint64_t *done) {
    struct column out = {.offsets = {0}};
    struct faster_results results = {out.data, 100, out.offsets, NULL};
    int result = FASTER_SHORT;
    while (result == FASTER_SHORT) { /* ends: there is ever more room */
        result = faster_rmw_many(session, &append, keys, inputs, count, &results, done);
        results.capacity += 300;
    }
    return result;
}

static void do_batch(struct faster_session *session, uint32_t worker, uint64_t first) {
    const struct step *steps = &torture.plan[worker][first];
    struct column keys = {.offsets = {0}};
    struct column values = {.offsets = {0}};
    uint64_t done = 0;
    int result;
    for (uint64_t i = 0; i < steps->run; i++) {
        struct kit_bytes key = kit_key(KIT_TEXT, steps[i].key);
        struct kit_bytes value = value_of_step(worker, first + i);
        add_item(&keys, i, &key);
        add_item(&values, i, &value);
    }
    struct faster_items names = {keys.data, keys.offsets, 0, 0};
    struct faster_items bytes = {values.data, values.offsets, 0, 0};
    switch (steps->action) {
    case SET:
        result = faster_upsert_many(session, &names, &bytes, steps->run, &done);
        break;
    case EXTEND:
        result = extend_many(session, &names, &bytes, steps->run, &done);
        break;
    default:
        result = faster_delete_many(session, &names, steps->run, NULL, &done);
        break;
    }
    CHECK_INT(result, FASTER_OK);
    CHECK_U64(done, steps->run);
}

/* Now and then the session is closed, and comes again. */
static struct faster_session *come_again(struct faster_session *session,
                                         uint32_t worker, uint64_t *in_flight) {
    CHECK_INT(faster_session_drain(session, KIT_DISK_WAIT_MS), FASTER_OK);
    take_all(session, in_flight);
    CHECK_U64(*in_flight, 0);
    uint64_t serial = faster_session_serial(session);
    faster_session_free(session);
    session = cpr_session(torture.disk.kv, worker + 1);
    CHECK_U64(faster_session_serial(session), serial);
    return session;
}

static void work(uint32_t worker) {
    struct faster_session *session = cpr_session(torture.disk.kv, worker + 1);
    uint64_t in_flight = 0;
    uint64_t run;
    for (uint64_t i = 0; i < STEPS; i += run) {
        run = torture.plan[worker][i].run;
        if (run == 1) {
            do_step(session, worker, i, &in_flight);
        } else {
            do_batch(session, worker, i);
        }
        if (i % 101 == 100) {
            session = come_again(session, worker, &in_flight);
            CHECK_U64(faster_session_serial(session), i + run);
        }
    }
    session = come_again(session, worker, &in_flight);
    CHECK_U64(faster_session_serial(session), STEPS);
    faster_session_free(session);
    (void)atomic_fetch_sub_explicit(&torture.running, 1, memory_order_acq_rel);
}

/* --- taking checkpoints ----------------------------------------------------------- */

static void image_reset(struct image *image, uint64_t from, uint64_t until) {
    CHECK(until - from <= IMAGE_MAX, "%" PRIu64 " bytes of image", until - from);
    uint8_t *bytes = calloc(1, IMAGE_MAX);
    CHECK(bytes != NULL, "no memory");
    if (image->bytes != NULL && from < image->until && from >= image->from) {
        memcpy(bytes, image->bytes + (from - image->from),
               (size_t)(image->until - from));
    }
    free(image->bytes);
    *image = (struct image){bytes, from, until};
}

static void take_pages(const uint8_t *payload, uint64_t bytes) {
    struct image *image = &torture.image;
    uint64_t address;
    uint64_t length;
    memcpy(&address, payload, 8);
    memcpy(&length, payload + 8, 8);
    CHECK(length + 16 <= bytes, "%" PRIu64, length);
    CHECK(address >= image->from && address + length <= image->until, "outside");
    memcpy(image->bytes + (address - image->from), payload + 16, (size_t)length);
}

static void take_delta(const uint8_t *payload, uint64_t bytes) {
    struct image *image = &torture.image;
    uint64_t applied;
    CHECK_INT(faster_image_apply(image->bytes, image->from, image->until - image->from,
                                 payload, bytes, &applied),
              FASTER_OK);
}

/* Read a stream to its end; false when it has to begin anew. */
static bool read_part(struct faster_checkpoint *checkpoint, uint32_t part) {
    uint8_t *buffer = (uint8_t *)torture.buffer;
    uint64_t number = 0;
    uint64_t size = 1;
    torture.index_size = part == FASTER_PART_INDEX ? 0 : torture.index_size;
    while (size != 0) {
        int result = faster_checkpoint_read(checkpoint, part, buffer, BUFFER, &size);
        if (result == FASTER_RETRY) {
            return false;
        }
        CHECK_INT(result, FASTER_OK);
        if (part == FASTER_PART_INDEX) {
            CHECK(torture.index_size + size <= BUFFER, "a large index");
            memcpy(torture.index + torture.index_size, buffer, (size_t)size);
            torture.index_size += size;
            continue;
        }
        struct faster_block block;
        for (uint64_t at = 0; at < size; at += block.whole) {
            CHECK_INT(faster_block_next(buffer + at, size - at, CPR_KIT_SEED, part,
                                        number++, &block),
                      FASTER_OK);
            if (block.last == 0 && part == FASTER_PART_PAGES) {
                take_pages(buffer + at + block.payload, block.bytes);
            } else if (block.last == 0) {
                take_delta(buffer + at + block.payload, block.bytes);
            }
        }
    }
    return true;
}

/* The streams of WAIT_FLUSH, over the image of the base. */
static void read_image(struct faster_checkpoint *checkpoint) {
    struct faster_checkpoint_facts facts = cpr_facts(checkpoint);
    bool delta = facts.kind == FASTER_INCREMENTAL;
    if (!delta) {
        free(torture.image.bytes);
        torture.image.bytes = NULL;
    }
    if (facts.kind == FASTER_FOLD_OVER) {
        image_reset(&torture.image, facts.final, facts.final);
        return;
    }
    do {
        facts = cpr_facts(checkpoint);
        image_reset(&torture.image, facts.log_until, facts.final);
    } while ((delta && !read_part(checkpoint, FASTER_PART_DELTA)) ||
             !read_part(checkpoint, FASTER_PART_PAGES));
}

static struct faster_checkpoint *take(uint32_t kind, bool with_index) {
    struct faster_checkpoint_config config = {
        .size = sizeof config,
        .kind = kind,
        .with_index = with_index,
        .base_version = torture.base.version,
        .base_final = torture.base.final,
        .seed = CPR_KIT_SEED,
    };
    struct faster_checkpoint *checkpoint = NULL;
    CHECK_INT(faster_checkpoint_begin(torture.disk.kv, &config, &checkpoint),
              FASTER_OK);
    if (with_index) {
        cpr_advance_to(checkpoint, FASTER_PHASE_INDEX_COPY);
        CHECK(read_part(checkpoint, FASTER_PART_INDEX), "the index begins anew");
        torture.index_facts = cpr_facts(checkpoint);
    }
    cpr_advance_to(checkpoint, FASTER_PHASE_WAIT_FLUSH);
    read_image(checkpoint);
    cpr_advance_to(checkpoint, FASTER_PHASE_PERSIST);
    return checkpoint;
}

/* --- recovering them -------------------------------------------------------------- */

/* A device with the log's bytes below log_until. */
static struct faster_device *copy_device(uint64_t until) {
    struct faster_device *copy = NULL;
    CHECK_INT(faster_device_memory(1 << 20, 0, &copy), FASTER_OK);
    for (uint64_t at = 0; at < until; at += KIT_DISK_PAGE) {
        uint8_t page[KIT_DISK_PAGE];
        uint64_t size = until - at < sizeof page ? until - at : sizeof page;
        uint64_t moved = 0;
        CHECK_INT(device_read_wait(torture.disk.memory, at, page, size, &moved),
                  FASTER_OK);
        CHECK_U64(moved, size);
        CHECK_INT(device_write_wait(copy, at, page, size), FASTER_OK);
    }
    return copy;
}

static struct faster_kv *open_copy(const struct faster_checkpoint_facts *facts,
                                   struct faster_device *device) {
    static const struct faster_generation lives[] = {{0, LIFE}};
    struct faster_generation both[] = {lives[0], {0, NEXT_LIFE}};
    struct faster_kv_config config =
        kit_disk_config(KIT_TEXT, &(struct kit_disk_options){0});
    both[1].first = align_up(facts->final, KIT_DISK_PAGE);
    config.memory = 1 << 20;
    config.device = device;
    config.log_start = facts->log_until & ~(uint64_t)(KIT_DISK_PAGE - 1);
    config.log_until = facts->log_until;
    config.generations = both;
    config.generation_count = 2;
    config.version = facts->version + 1;
    return kit_open_config(&config);
}

static void recover(struct faster_kv *kv, const struct faster_checkpoint_facts *facts,
                    bool with_index) {
    struct faster_recovery *recovery = NULL;
    struct faster_recovery_config config = {
        .size = sizeof config,
        .version = facts->version,
        .begin = 0, /* the same as facts->begin, and what a manifest may say */
        .index_start = with_index ? torture.index_facts.index_start : 0,
        .index_bits = with_index ? torture.index_facts.index_bits : 0,
        .table_bits = facts->table_bits,
        .fuzzy_start = facts->fuzzy_start,
        .log_until = facts->log_until,
        .final = facts->final,
        .seed_index = CPR_KIT_SEED,
    };
    CHECK_INT(faster_recovery_begin(kv, &config, &recovery), FASTER_OK);
    if (with_index) {
        CHECK_INT(faster_recovery_index(recovery, torture.index, torture.index_size),
                  FASTER_OK);
    }
    if (config.index_start < facts->log_until) {
        CHECK_INT(faster_recovery_log(recovery, config.index_start, facts->log_until),
                  FASTER_OK);
    }
    CHECK_INT(faster_recovery_pages(recovery, facts->log_until, torture.image.bytes,
                                    facts->final - facts->log_until),
              FASTER_OK);
    CHECK_INT(faster_recovery_finish(recovery), FASTER_OK);
    faster_recovery_free(recovery);
}

/* --- judging ---------------------------------------------------------------------- */

static void expect(struct faster_session *session, uint64_t number,
                   const struct kit_bytes *value, bool there) {
    struct kit_bytes key = kit_key(KIT_TEXT, number);
    kit_disk_expect(session, &key, there ? value : NULL);
}

/* A worker's own keys are what its plan says up to its commit point. */
static void judge_own(struct faster_session *session, uint32_t worker, uint64_t point,
                      uint64_t extended[LISTS]) {
    static struct kit_bytes own[OWN_KEYS];
    static bool there[OWN_KEYS];
    memset(there, 0, sizeof there);
    for (uint64_t i = 0; i < point; i++) {
        const struct step *step = &torture.plan[worker][i];
        struct kit_bytes value = value_of_step(worker, i);
        if (step->key < LISTS) {
            extended[step->key]++;
            continue;
        }
        uint64_t at = step->key - (worker + 1) * 10000;
        if (step->action == EXTEND && there[at]) {
            own[at].data[own[at].size++] = value.data[0];
        } else if (step->action != INSERT || !there[at]) {
            own[at] = value;
            there[at] = step->action != ERASE;
        }
    }
    for (uint64_t key = 0; key < OWN_KEYS; key++) {
        expect(session, (worker + 1) * 10000 + key, &own[key], there[key]);
    }
}

/* What is there is what the plans say up to the commit points. */
static void judge(struct faster_kv *kv, const uint64_t *points) {
    uint64_t extended[WORKERS][LISTS] = {{0}};
    struct faster_session *session = kit_session(kv);
    for (uint32_t worker = 0; worker < WORKERS; worker++) {
        judge_own(session, worker, points[worker], extended[worker]);
    }
    for (uint64_t list = 0; list < LISTS; list++) {
        struct kit_bytes key = kit_key(KIT_TEXT, list);
        struct kit_bytes value = {.size = 0};
        int status = kit_run_read(session, &key, &value);
        CHECK(status == FASTER_OK || status == FASTER_NOT_FOUND, "%d", status);
        for (uint64_t i = 0; status == FASTER_OK && i < value.size; i++) {
            extended[value.data[i] - 'a'][list]--;
        }
        for (uint32_t worker = 0; worker < WORKERS; worker++) {
            CHECK_U64(extended[worker][list], 0);
        }
    }
    faster_session_free(session);
}

static void check_checkpoint(uint32_t kind, bool with_index, uint64_t *points) {
    struct faster_checkpoint *checkpoint = take(kind, with_index);
    struct faster_checkpoint_facts facts = cpr_facts(checkpoint);
    struct faster_point found[WORKERS];
    uint64_t count = 0;
    CHECK_INT(faster_checkpoint_points(checkpoint, found, WORKERS, &count), FASTER_OK);
    memset(points, 0, WORKERS * sizeof *points);
    for (uint64_t i = 0; i < count; i++) {
        points[found[i].id - 1] = found[i].serial;
    }
    faster_checkpoint_end(checkpoint);
    torture.base = facts;
    struct faster_device *device = copy_device(facts.log_until);
    struct faster_kv *kv = open_copy(&facts, device);
    recover(kv, &facts, torture.index_size != 0);
    judge(kv, points);
    CHECK_INT(faster_kv_close(kv, KIT_DISK_WAIT_MS), FASTER_OK);
    faster_kv_free(kv);
    faster_device_free(device);
}

static bool is_running(void) {
    return atomic_load_explicit(&torture.running, memory_order_acquire) != 0;
}

static void watch(void) {
    static const uint32_t kinds[] = {FASTER_SNAPSHOT, FASTER_INCREMENTAL,
                                     FASTER_INCREMENTAL, FASTER_FOLD_OVER};
    uint64_t before[WORKERS] = {0};
    uint64_t points[WORKERS];
    for (uint32_t i = 0; i < CHECKPOINTS && is_running(); i++) {
        check_checkpoint(kinds[i % 4], i % 3 == 0, points);
        for (uint32_t worker = 0; worker < WORKERS; worker++) {
            CHECK(points[worker] >= before[worker], "a commit point went back");
            before[worker] = points[worker];
        }
    }
    while (is_running()) {
        faster_session_wait(torture.disk.session);
    }
    check_checkpoint(FASTER_INCREMENTAL, false, points);
    for (uint32_t worker = 0; worker < WORKERS; worker++) {
        CHECK_U64(points[worker], STEPS);
    }
}

/* As in torture_prefix.c: a device may be late, but must not stop. */
static void release_held(void) {
    while (!atomic_load_explicit(&torture.ended, memory_order_acquire)) {
        (void)faster_faulty_release(torture.disk.faulty);
        thread_pause_us(RELEASE_US); /* ends: the watch does */
    }
}

static void run(void *context, uint32_t thread) {
    (void)context;
    if (thread < WORKERS) {
        work(thread);
    } else if (thread == WORKERS) {
        watch();
        atomic_store_explicit(&torture.ended, true, memory_order_release);
    } else {
        release_held();
    }
}

static void values_of_all_sizes_recover_to_a_prefix(void) {
    static const struct faster_generation life = {0, LIFE};
    struct kit_disk_options options = {.rules = rules,
                                       .rules_count = 2,
                                       .memory_size = 512 << 10,
                                       .read_cache = 64 << 10};
    struct faster_kv_config config = kit_disk_config(KIT_TEXT, &options);
    kit_disk_devices(&torture.disk, &options);
    config.device = faster_faulty_device(torture.disk.faulty);
    config.generations = &life;
    config.generation_count = 1;
    torture.disk.kv = kit_open_config(&config);
    torture.disk.session = kit_session(torture.disk.kv);
    make_plans();
    atomic_init(&torture.running, WORKERS);
    atomic_init(&torture.ended, false);
    harness_threads(WORKERS + 2, run, NULL);
    CHECK(kit_stats(torture.disk.kv).index_growths != 0, "%s",
          "the index is as it was");
    free(torture.image.bytes);
    kit_disk_close(&torture.disk);
}

HARNESS_MAIN(TEST(values_of_all_sizes_recover_to_a_prefix))
