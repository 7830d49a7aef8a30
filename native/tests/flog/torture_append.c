/* SPDX-License-Identifier: MIT */
/*
 * torture_append.c: many threads append and commit at once, in a ring of few pages,
 * while others read
 *
 * Each entry has its thread and its number within it.  Whoever reads sees each
 * thread's entries in order, none twice and none missing; what a commit has said is
 * durable can be read from then on.
 */
#include "flog/record_kit.h"

enum { WRITERS = 6, READERS = 2, LARGEST = 3900, GROUP = 8 };

static struct kit *kit;
static uint64_t each;
static uint64_t page;
static uint64_t largest;
static uint64_t seldom; /* one in so many turns commits */
static _Atomic uint32_t writing;

static uint64_t name_of(uint32_t thread, uint64_t sequence) {
    return (uint64_t)thread << 32 | sequence;
}

/* Sizes follow from the name, so that a reader knows them. */
static uint64_t size_of(uint64_t name) {
    struct rng rng = rng_seeded(name);
    return 8 + (rng_below(&rng, largest) >> rng_below(&rng, 6));
}

static void verify(uint64_t *next, const void *data, uint64_t size) {
    uint64_t name;
    CHECK(size >= 8, "%" PRIu64, size);
    memcpy(&name, data, 8);
    uint64_t thread = name >> 32;
    CHECK(thread < WRITERS, "%" PRIu64, thread);
    CHECK_U64(name & UINT32_MAX, next[thread]);
    next[thread]++;
    struct kit_entry wanted = {.number = name, .size = size_of(name)};
    kit_same(&wanted, data, size);
}

/* --- writers ---------------------------------------------------------------------- */

struct writer {
    struct rng rng;
    uint32_t thread;
    uint64_t sequence;
    uint64_t addresses[GROUP];
    uint64_t end;
};

static void append_one(struct writer *writer) {
    uint8_t data[LARGEST + 8];
    uint64_t name = name_of(writer->thread, writer->sequence);
    uint64_t size = size_of(name);
    int result;
    kit_payload(name, data, size);
    do { /* ends: pages that are full are written */
        result = faster_flog_append(kit->log, data, size, &writer->addresses[0],
                                    &writer->end);
        if (result == FASTER_RETRY) {
            CHECK_INT(faster_flog_wait(kit->log, KIT_WAIT_MS), FASTER_OK);
        }
    } while (result == FASTER_RETRY);
    CHECK_INT(result, FASTER_OK);
    writer->sequence++;
}

static void append_group(struct writer *writer, bool atomic) {
    static _Thread_local uint8_t data[GROUP * (LARGEST + 8)];
    uint64_t offsets[GROUP + 1] = {0};
    uint64_t count = 0;
    uint64_t taken = 0;
    for (; count < GROUP && writer->sequence + count < each; count++) {
        uint64_t name = name_of(writer->thread, writer->sequence + count);
        uint64_t size = size_of(name);
        if (atomic && offsets[count] + size + (count + 1) * 24 + 64 > page) {
            break;
        }
        kit_payload(name, data + offsets[count], size);
        offsets[count + 1] = offsets[count] + size;
    }
    while (taken < count) { /* ends: as above */
        struct faster_flog_batch batch = {
            data, offsets + taken, count - taken, writer->addresses + taken, atomic, 0};
        uint64_t done = 0;
        int result = faster_flog_append_many(kit->log, &batch, 1, &done, &writer->end);
        CHECK(result == FASTER_OK || result == FASTER_E_TIMEOUT, "%d", result);
        CHECK(!atomic || done == 0 || done == count, "%" PRIu64, done);
        taken += done;
    }
    for (uint64_t i = 1; atomic && i < count; i++) {
        uint64_t size = offsets[i] - offsets[i - 1];
        uint64_t extent = (FASTER_FLOG_HEADER + size + 7) & ~(uint64_t)7;
        CHECK_U64(writer->addresses[i], writer->addresses[i - 1] + extent);
    }
    writer->sequence += count;
}

/* What was just committed is durable, and can be read. */
static void read_back(struct writer *writer, uint64_t sequence) {
    uint8_t data[LARGEST + 8];
    struct faster_flog_damage damage;
    uint64_t size = 0;
    uint64_t name = name_of(writer->thread, sequence);
    CHECK_INT(faster_flog_read(kit->log, writer->addresses[0], data, sizeof data, &size,
                               &damage),
              FASTER_OK);
    struct kit_entry wanted = {.number = name, .size = size_of(name)};
    kit_same(&wanted, data, size);
}

static void commit_somehow(struct writer *writer, uint64_t first) {
    struct faster_flog_commit commit = {0, 0};
    uint64_t way = rng_below(&writer->rng, 10);
    if (way < 5) {
        CHECK_INT(faster_flog_commit(kit->log, writer->end, KIT_WAIT_MS, &commit),
                  FASTER_OK);
    } else if (way < 7) {
        CHECK_INT(faster_flog_commit(kit->log, 0, KIT_WAIT_MS, &commit), FASTER_OK);
    } else if (way < 8) {
        CHECK_INT(
            faster_flog_commit_strong(kit->log, "cookie", 6, KIT_WAIT_MS, &commit),
            FASTER_OK);
    } else {
        CHECK_INT(faster_flog_request(kit->log, 0), FASTER_OK);
        struct faster_flog_commit seen;
        faster_flog_committed(kit->log, &seen);
        while (seen.until < writer->end) { /* ends: it was asked for */
            CHECK_INT(faster_flog_wait_committed(kit->log, seen.until, KIT_WAIT_MS),
                      FASTER_OK);
            faster_flog_committed(kit->log, &seen);
        }
        commit = seen;
    }
    CHECK(commit.until >= writer->end && commit.number > 0, "%" PRIu64, commit.until);
    read_back(writer, first);
}

static void write_all(uint32_t thread) {
    struct writer writer = {.rng = rng_stream(thread), .thread = thread};
    while (writer.sequence < each) { /* ends: each turn appends */
        uint64_t first = writer.sequence;
        uint64_t way = rng_below(&writer.rng, 4);
        if (way < 2) {
            append_one(&writer);
        } else {
            append_group(&writer, way == 2);
        }
        if (rng_below(&writer.rng, seldom) == 0) {
            commit_somehow(&writer, first);
        }
    }
    struct faster_flog_commit commit;
    CHECK_INT(faster_flog_commit(kit->log, 0, KIT_WAIT_MS, &commit), FASTER_OK);
    (void)atomic_fetch_sub_explicit(&writing, 1, memory_order_acq_rel);
}

/* --- readers ---------------------------------------------------------------------- */

static int read_entries(struct faster_flog_scan *scan, uint64_t *next, bool pieces) {
    if (!pieces) {
        struct faster_flog_entry entry;
        int result = kit_next(scan, &entry);
        if (result == FASTER_OK) {
            verify(next, entry.data, entry.size);
        }
        return result;
    }
    struct faster_flog_piece piece;
    int result = kit_piece(scan, &piece);
    if (result == FASTER_OK) {
        for (uint64_t i = 0; i < piece.count; i++) {
            verify(next, (const uint8_t *)piece.data + piece.starts[i], piece.sizes[i]);
        }
        faster_flog_piece_free(piece.chunk);
    }
    return result;
}

/* Read to the end, which is there when no writer is left. */
static void read_all(bool pieces) {
    uint64_t next[WRITERS] = {0};
    struct faster_flog_scan *scan = kit_scan(kit, 0, 0);
    for (;;) { /* ends: writers do */
        uint32_t left = atomic_load_explicit(&writing, memory_order_acquire);
        int result = read_entries(scan, next, pieces);
        if (result == FASTER_OK) {
            continue;
        }
        CHECK_INT(result, FASTER_NOT_FOUND);
        if (left == 0) {
            break;
        }
        (void)faster_flog_wait_committed(kit->log, faster_flog_scan_position(scan), 10);
    }
    for (uint64_t i = 0; i < WRITERS; i++) {
        CHECK_U64(next[i], each);
    }
    faster_flog_scan_free(scan);
}

static void work(void *context, uint32_t thread) {
    (void)context;
    if (thread < WRITERS) {
        write_all(thread);
    } else {
        read_all(thread % 2 != 0);
    }
}

/* What is different from run to run. */
struct shape {
    uint64_t page_size;
    uint64_t pages;
    uint32_t in_flight;
    uint64_t commit_bytes;
    uint64_t largest;
    uint64_t seldom;
    uint64_t each;
    bool foreign;
};

static void judge(void) {
    struct faster_flog_found found;
    struct faster_flog_damage damage;
    CHECK_U64(kit_stats(kit).entries, WRITERS * each);
    record_durable(kit, 0, kit_committed(kit).until);
    record_once(kit);
    read_all(true);
    kit_stop(kit);
    kit->number = 0;
    CHECK_INT(kit_find(kit, &found, &damage), FASTER_OK);
    CHECK_U64(found.entries, WRITERS * each);
    /* A commit of the log's own that the close overtook is written, not published. */
    CHECK(found.until >= kit->committed, "%" PRIu64, found.until);
}

static void run(const struct shape *shape) {
    kit = kit_new();
    kit->rules = &record_foreign;
    kit->rules_count = shape->foreign;
    kit->page_size = shape->page_size;
    kit->memory = shape->pages * shape->page_size;
    kit->commits_in_flight = shape->in_flight;
    kit->commit_bytes = shape->commit_bytes;
    kit->recorded = true;
    page = shape->page_size;
    largest = shape->largest;
    seldom = shape->seldom;
    each = harness_count(shape->each);
    atomic_store_explicit(&writing, WRITERS, memory_order_relaxed);
    kit_start(kit);
    harness_threads(WRITERS + READERS, work, NULL);
    judge();
    kit_free(kit);
}

static void d1_d2_one_commit_at_a_time(void) {
    run(&(struct shape){4096, 4, 1, 0, 700, 6, 1500, false});
}

static void d1_d2_several_commits_in_flight(void) {
    run(&(struct shape){4096, 8, 4, 0, 700, 6, 1500, false});
}

static void d1_d2_commits_by_bytes(void) {
    run(&(struct shape){16384, 4, 2, 5000, 700, 6, 1500, false});
}

static void d1_d2_completions_by_another_thread(void) {
    run(&(struct shape){8192, 4, 3, 10000, 700, 6, 1500, true});
}

/* Every second entry or record has to go to the next page. */
static void l1_commits_that_turn_pages(void) {
    run(&(struct shape){4096, 64, 4, 0, 3000, 4, 1000, false});
}

HARNESS_MAIN(TEST(d1_d2_one_commit_at_a_time), TEST(d1_d2_several_commits_in_flight),
             TEST(d1_d2_commits_by_bytes), TEST(d1_d2_completions_by_another_thread),
             TEST(l1_commits_that_turn_pages))
