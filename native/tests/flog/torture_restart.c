/* SPDX-License-Identifier: MIT */
/*
 * torture_restart.c: the end is cut off again and again, while others append, commit
 * and scan
 *
 * The cutter suspends the log, begins a new life somewhere below its end or goes on as
 * it was, and counts an era.  A writer knows of each entry between which eras it was
 * appended: an entry that was appended within one has survived if and only if no later
 * cut was at or below it.
 */
#include "flog/record_kit.h"

enum { WRITERS = 3, SCANNERS = 1, ROUNDS = 40, ENTRIES_MAX = 1 << 16 };

struct written {
    uint64_t address;
    uint64_t sequence;
    uint32_t era;
    bool certain; /* the era was the same before and after */
};

static struct kit *kit;
static uint64_t rounds;
static uint64_t cuts[ROUNDS * 50]; /* of era i to i + 1; UINT64_MAX: none */
static struct written *written[WRITERS];
static uint64_t counts[WRITERS];
static _Atomic uint32_t era;
static _Atomic uint32_t over;
static _Atomic uint64_t known; /* an address that was appended */

static void fill(uint8_t *data, uint32_t thread, uint64_t sequence) {
    uint64_t name = (uint64_t)thread << 32 | sequence;
    for (uint64_t i = 0; i < 4; i++) {
        memcpy(data + 8 * i, &name, 8);
    }
}

static void write_some(uint32_t thread) {
    struct rng rng = rng_stream(thread);
    uint8_t data[400] = {0};
    uint64_t sequence = 0;
    while (atomic_load_explicit(&over, memory_order_acquire) == 0 &&
           sequence < ENTRIES_MAX) { /* ends: the cutter does */
        uint64_t address = 0;
        uint64_t end = 0;
        uint32_t before = atomic_load_explicit(&era, memory_order_acquire);
        fill(data, thread, sequence);
        int result = faster_flog_append(kit->log, data, 32 + rng_below(&rng, 300),
                                        &address, &end);
        uint32_t after = atomic_load_explicit(&era, memory_order_acquire);
        if (result == FASTER_RETRY) {
            result = faster_flog_wait(kit->log, 1);
            CHECK(result == FASTER_OK || result == FASTER_E_TIMEOUT, "%d", result);
            continue;
        }
        CHECK_INT(result, FASTER_OK);
        written[thread][sequence] =
            (struct written){address, sequence, before, before == after};
        counts[thread] = ++sequence;
        atomic_store_explicit(&known, address, memory_order_release);
        if (rng_below(&rng, 8) == 0) {
            struct faster_flog_commit commit;
            result = faster_flog_commit(kit->log, end, KIT_WAIT_MS, &commit);
            /* -EINVAL: it was cut off, and the log ends below it */
            CHECK(result == FASTER_OK || result == -EINVAL, "%d", result);
        }
    }
}

/* --- scanning --------------------------------------------------------------------- */

static void check_entry(const struct faster_flog_entry *entry) {
    uint64_t names[4];
    CHECK(entry->size >= sizeof names, "%" PRIu64, entry->size);
    memcpy(names, entry->data, sizeof names);
    CHECK(names[0] >> 32 < WRITERS && names[0] == names[3] && names[1] == names[2],
          "%" PRIx64, names[0]);
}

/* From the beginning or where it stands; being cut off is the only way to end badly. */
static void scan_some(void) {
    while (atomic_load_explicit(&over, memory_order_acquire) == 0) {
        struct faster_flog_scan *scan = kit_scan(kit, 0, 0);
        struct faster_flog_entry entry;
        int result;
        do { /* ends: what is committed does, or it is cut off */
            result = kit_next(scan, &entry);
            if (result == FASTER_OK) {
                check_entry(&entry);
            }
        } while (result == FASTER_OK);
        CHECK(result == FASTER_NOT_FOUND || result == -ERANGE, "%d", result);
        faster_flog_scan_free(scan);
    }
}

/* --- cutting ---------------------------------------------------------------------- */

static int suspend(void) {
    int result;
    do { /* ends: writers' commits do */
        result = faster_flog_suspend(kit->log, KIT_WAIT_MS);
    } while (result == FASTER_E_TIMEOUT);
    return result;
}

static void cut_some(void) {
    struct rng rng = rng_stream(77);
    for (uint64_t round = 0; round < rounds; round++) {
        uint64_t seen = kit_committed(kit).until;
        (void)faster_flog_wait_committed(kit->log, seen, 5);
        uint64_t at = atomic_load_explicit(&known, memory_order_acquire);
        CHECK_INT(suspend(), FASTER_OK);
        struct faster_flog_commit last = kit_committed(kit);
        CHECK_U64(kit_stats(kit).address_tail, last.until);
        bool cutting = rng_below(&rng, 3) != 0 && at < last.until && at != 0;
        cuts[round] = cutting ? at : UINT64_MAX;
        if (cutting) {
            kit_next_life(kit, at, last.number);
            CHECK_U64(cuts[round], at);
            (void)atomic_fetch_add_explicit(&era, 1, memory_order_acq_rel);
            CHECK_INT(
                faster_flog_restart(kit->log, kit->lives, kit->life_count, last.number),
                FASTER_OK);
        } else {
            (void)atomic_fetch_add_explicit(&era, 1, memory_order_acq_rel);
            faster_flog_resume(kit->log);
        }
    }
    atomic_store_explicit(&over, 1, memory_order_release);
}

static void work(void *context, uint32_t thread) {
    (void)context;
    if (thread < WRITERS) {
        write_some(thread);
    } else if (thread < WRITERS + SCANNERS) {
        scan_some();
    } else {
        cut_some();
    }
}

/* --- the judge -------------------------------------------------------------------- */

static bool survives(const struct written *entry) {
    for (uint64_t i = entry->era; i < rounds; i++) {
        if (cuts[i] <= entry->address) {
            return false;
        }
    }
    return true;
}

/* A scan that looks for what each writer says has survived, in its order. */
static void judge(void) {
    uint64_t next[WRITERS] = {0};
    struct faster_flog_scan *scan = kit_scan(kit, 0, 0);
    struct faster_flog_entry entry;
    int result;
    while ((result = kit_next(scan, &entry)) == FASTER_OK) {
        uint64_t name;
        check_entry(&entry);
        memcpy(&name, entry.data, 8);
        uint64_t thread = name >> 32;
        uint64_t sequence = name & UINT32_MAX;
        CHECK(sequence >= next[thread] && sequence < counts[thread], "%" PRIu64,
              sequence);
        for (uint64_t i = next[thread]; i < sequence; i++) {
            const struct written *passed = &written[thread][i];
            CHECK(!passed->certain || !survives(passed),
                  "entry %" PRIu64 " of writer %" PRIu64 " at %" PRIu64 " is lost", i,
                  thread, passed->address);
        }
        const struct written *found = &written[thread][sequence];
        CHECK_U64(found->address, entry.address);
        CHECK(!found->certain || survives(found),
              "entry %" PRIu64 " of writer %" PRIu64 " at %" PRIu64 " came back",
              sequence, thread, found->address);
        next[thread] = sequence + 1;
    }
    CHECK_INT(result, FASTER_NOT_FOUND);
    for (uint64_t i = 0; i < WRITERS; i++) {
        for (uint64_t j = next[i]; j < counts[i]; j++) {
            CHECK(!written[i][j].certain || !survives(&written[i][j]),
                  "the last entries of writer %" PRIu64 " are lost", i);
        }
    }
    faster_flog_scan_free(scan);
}

static void i3_lives_are_cut_among_writers(void) {
    kit = kit_new();
    kit->commits_in_flight = 3;
    kit_start(kit);
    rounds = harness_count(ROUNDS);
    rounds = rounds < ROUNDS * 50 ? rounds : ROUNDS * 50;
    atomic_store_explicit(&era, 0, memory_order_relaxed);
    atomic_store_explicit(&over, 0, memory_order_relaxed);
    atomic_store_explicit(&known, 0, memory_order_relaxed);
    for (uint64_t i = 0; i < WRITERS; i++) {
        written[i] = calloc(ENTRIES_MAX, sizeof *written[i]);
        CHECK(written[i] != NULL, "%s", "no memory");
    }
    harness_threads(WRITERS + SCANNERS + 1, work, NULL);
    (void)kit_commit(kit);
    judge();
    (void)kit_crash(kit);
    judge();
    for (uint64_t i = 0; i < WRITERS; i++) {
        free(written[i]);
    }
    kit_free(kit);
}

HARNESS_MAIN(TEST(i3_lives_are_cut_among_writers))
