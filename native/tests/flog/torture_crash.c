/* SPDX-License-Identifier: MIT */
/*
 * torture_crash.c: the power fails at every moment of a run of many threads (F18 - F24)
 *
 * A run is recorded with its bytes and with what it acknowledged when.  Then, for many
 * moments, a device is made as a power cut could have left it: what a sync covered is
 * there; of what was submitted besides, sectors are there, or not, or noise.  Recovery
 * finds all that was acknowledged before that moment and nothing that was not appended,
 * each thread's entries in order, without a hole; and so does a second one.  The next
 * run goes on where one of these cuts was, over whatever it left (F29, F30, F39).
 */
#include "flog/record_kit.h"

enum { THREADS = 4, CUTS = 60, RUNS = 4, ACKS_MAX = 4096, SIZE_LARGEST = 500 };

/* When so many events had been submitted, `count` entries of a thread were durable. */
struct ack {
    uint64_t events;
    uint64_t until;
    uint32_t thread;
    uint32_t count;
};

static struct kit *kit;
static uint64_t each;
static struct lock acks_lock;
static struct ack acks[ACKS_MAX];
static uint64_t acks_count;
static uint64_t firsts[THREADS]; /* entries that earlier lives have */
static uint8_t *base;            /* what the device held before the run */
static uint64_t base_size;

static void acknowledge(uint32_t thread, uint64_t until, uint64_t count) {
    uint64_t events = faster_recording_count(kit->recording);
    lock_enter(&acks_lock);
    CHECK(acks_count < ACKS_MAX, "%" PRIu64, acks_count);
    acks[acks_count++] = (struct ack){events, until, thread, (uint32_t)count};
    lock_leave(&acks_lock);
}

static uint64_t name_of(uint32_t thread, uint64_t sequence) {
    return (uint64_t)thread << 32 | sequence;
}

static uint64_t size_of(uint64_t name) {
    struct rng rng = rng_seeded(name);
    return 8 + (rng_below(&rng, SIZE_LARGEST) >> rng_below(&rng, 5));
}

static void work(void *context, uint32_t thread) {
    struct rng rng = rng_stream(thread);
    uint8_t data[SIZE_LARGEST + 8];
    uint64_t address;
    uint64_t end;
    struct faster_flog_commit commit;
    (void)context;
    for (uint64_t i = firsts[thread]; i < firsts[thread] + each; i++) {
        uint64_t name = name_of(thread, i);
        uint64_t size = size_of(name);
        kit_payload(name, data, size);
        int result;
        do { /* ends: pages that are full are written */
            result = faster_flog_append(kit->log, data, size, &address, &end);
            if (result == FASTER_RETRY) {
                CHECK_INT(faster_flog_wait(kit->log, KIT_WAIT_MS), FASTER_OK);
            }
        } while (result == FASTER_RETRY);
        CHECK_INT(result, FASTER_OK);
        if (rng_below(&rng, 5) == 0) {
            CHECK_INT(faster_flog_commit(kit->log, end, KIT_WAIT_MS, &commit),
                      FASTER_OK);
            acknowledge(thread, commit.until, i + 1);
        }
    }
}

/* --- the power cut ---------------------------------------------------------------- */

/* Sectors of a write that nothing made durable: each there, absent or noise; or all of
 * the write there, or a part from either end. */
static void tear(struct rng *rng, struct faster_device *device,
                 const struct faster_recording_event *event) {
    uint64_t sectors = event->length / KIT_SECTOR;
    uint64_t shape = rng_below(rng, 5);
    uint64_t point = rng_below(rng, sectors + 1);
    uint8_t noise[KIT_SECTOR];
    for (uint64_t i = 0; i < sectors; i++) {
        const uint8_t *bytes = (const uint8_t *)event->bytes + i * KIT_SECTOR;
        uint64_t offset = event->offset + i * KIT_SECTOR;
        bool there = shape == 0 ||
                     (shape == 1 ? i < point
                                 : (shape == 2 ? i >= point : rng_below(rng, 2) != 0));
        if (there && shape == 4 && rng_below(rng, 8) == 0) {
            rng_fill(rng, noise, sizeof noise);
            bytes = noise;
        }
        if (there) {
            CHECK_INT(device_write_wait(device, offset, bytes, KIT_SECTOR), FASTER_OK);
        }
    }
}

/* What there is at the moment when event `cut` would be submitted. */
static void leave(struct rng *rng, struct faster_device *device, uint64_t cut) {
    uint64_t now = cut < faster_recording_count(kit->recording)
                       ? record_event(kit, cut).submitted
                       : UINT64_MAX;
    uint64_t covered = 0;
    if (base_size != 0) {
        CHECK_INT(device_write_wait(device, 0, base, base_size), FASTER_OK);
    }
    for (uint64_t i = 0; i < cut; i++) {
        struct faster_recording_event event = record_event(kit, i);
        if (event.kind == FASTER_KIND_SYNC && record_done(&event) &&
            event.completed < now) {
            covered = event.submitted;
        }
    }
    for (uint64_t i = 0; i < cut; i++) {
        struct faster_recording_event event = record_event(kit, i);
        if (event.kind != FASTER_KIND_WRITE) {
            continue;
        }
        CHECK(event.bytes != NULL, "%s", "the bytes are not there");
        if (record_done(&event) && event.completed < covered) {
            CHECK_INT(
                device_write_wait(device, event.offset, event.bytes, event.length),
                FASTER_OK);
        } else {
            tear(rng, device, &event);
        }
    }
}

/* What was recovered holds each thread's entries from the first on; how many. */
static void count_entries(struct kit *after, uint64_t *next) {
    struct faster_flog_scan *scan = kit_scan(after, 0, 0);
    struct faster_flog_entry entry;
    int result;
    while ((result = kit_next(scan, &entry)) == FASTER_OK) {
        uint64_t name;
        CHECK(entry.size >= 8, "%" PRIu64, entry.size);
        memcpy(&name, entry.data, 8);
        uint64_t thread = name >> 32;
        CHECK(thread < THREADS, "%" PRIu64, thread);
        CHECK_U64(name & UINT32_MAX, next[thread]);
        struct kit_entry wanted = {.number = name, .size = size_of(name)};
        kit_same(&wanted, entry.data, entry.size);
        next[thread]++;
    }
    CHECK_INT(result, FASTER_NOT_FOUND);
    faster_flog_scan_free(scan);
}

static void judge(struct kit *after, uint64_t cut) {
    uint64_t next[THREADS] = {0};
    count_entries(after, next);
    for (uint64_t i = 0; i < THREADS; i++) {
        CHECK(next[i] >= firsts[i], "%" PRIu64, next[i]);
    }
    for (uint64_t i = 0; i < acks_count; i++) {
        if (acks[i].events <= cut) {
            CHECK(next[acks[i].thread] >= acks[i].count,
                  "%" PRIu64 " of thread %" PRIu32 " recovered, %" PRIu32
                  " acknowledged, the power failed before event %" PRIu64,
                  next[acks[i].thread], acks[i].thread, acks[i].count, cut);
            CHECK(after->committed >= acks[i].until, "%" PRIu64, after->committed);
        }
    }
}

/* A log that was opened after a power cut. */
static struct kit *cut_power(struct rng *rng, uint64_t cut) {
    struct kit *after = kit_new();
    struct faster_flog_found found;
    struct faster_flog_found again;
    struct faster_flog_damage damage;
    leave(rng, after->contents, cut);
    memcpy(after->lives, kit->lives, sizeof kit->lives);
    after->life_count = kit->life_count;
    after->slot_until = kit->slot_until;
    CHECK(kit_find(after, &found, &damage) == FASTER_OK,
          "refused at event %" PRIu64 ": damage %" PRIu32 " at %" PRIu64, cut,
          damage.what, damage.address);
    CHECK_INT(kit_find(after, &again, &damage), FASTER_OK);
    CHECK(memcmp(&found, &again, sizeof found) == 0, "%s", "another one");
    kit_next_life(after, found.until, found.number);
    return after;
}

static void try_cut(struct rng *rng, uint64_t cut) {
    struct kit *after = cut_power(rng, cut);
    kit_start(after);
    judge(after, cut);
    (void)kit_append(after, UINT64_MAX, 8);
    (void)kit_commit(after);
    kit_free(after);
}

/* Go on where the power was cut: what the device holds then is the next run's base. */
static void go_on(struct rng *rng, uint64_t cut) {
    struct kit *after = cut_power(rng, cut);
    after->recorded = true;
    after->rules = kit->rules;
    after->rules_count = kit->rules_count;
    after->commits_in_flight = kit->commits_in_flight;
    after->memory = kit->memory;
    base_size = kit_round(kit_committed(kit).until, KIT_PAGE) + 4 * KIT_PAGE;
    base = realloc(base, base_size);
    CHECK(base != NULL, "%s", "no memory");
    kit_peek(after, 0, base, base_size);
    kit_free(kit);
    kit = after;
    kit_start(kit);
    memset(firsts, 0, sizeof firsts);
    count_entries(kit, firsts);
}

static void run(uint32_t in_flight, uint64_t memory, bool foreign) {
    kit = kit_new();
    kit->rules = &record_foreign;
    kit->rules_count = foreign;
    struct rng rng = rng_stream(99 + in_flight);
    kit->recorded = true;
    kit->commits_in_flight = in_flight;
    kit->memory = memory;
    each = 60;
    base_size = 0;
    memset(firsts, 0, sizeof firsts);
    CHECK_INT(lock_init(&acks_lock), 0);
    kit_start(kit);
    for (uint64_t i = 0; i < RUNS; i++) {
        acks_count = 0;
        harness_threads(THREADS, work, NULL);
        CHECK(acks_count > 10, "%" PRIu64, acks_count);
        uint64_t events = faster_recording_count(kit->recording);
        for (uint64_t j = 0; j < harness_count(CUTS); j++) {
            try_cut(&rng, rng_below(&rng, events + 1));
        }
        go_on(&rng, rng_below(&rng, events + 1));
    }
    free(base);
    base = NULL;
    lock_destroy(&acks_lock);
    kit_free(kit);
}

static void f18_one_commit_at_a_time(void) { run(1, 4 * KIT_PAGE, false); }

static void f18_several_commits_in_flight(void) { run(4, 8 * KIT_PAGE, false); }

static void f18_completions_by_another_thread(void) { run(3, 8 * KIT_PAGE, true); }

HARNESS_MAIN(TEST(f18_one_commit_at_a_time), TEST(f18_several_commits_in_flight),
             TEST(f18_completions_by_another_thread))
