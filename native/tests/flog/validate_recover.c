/* SPDX-License-Identifier: MIT */
/*
 * validate_recover.c: recovery finds the last commit, cuts what nobody was told of, and
 * refuses when something is missing that somebody was told of
 */
#include "flog/kit.h"

/* From every slot on, as long as it is: the last commit is found, and its entries are
 * counted. */
static void finds_the_last_commit(void) {
    struct kit *kit = kit_open();
    struct rng rng = rng_stream(1);
    uint64_t untils[41] = {FASTER_FLOG_FIRST};
    uint64_t counts[41] = {0};
    for (uint64_t i = 1; i <= 40; i++) {
        kit_fill(kit, &rng, 1 + rng_below(&rng, 10), 900);
        untils[i] = kit_commit(kit).until;
        counts[i] = kit->count;
    }
    kit_stop(kit);
    for (uint64_t i = 0; i <= 40; i++) {
        struct faster_flog_found found;
        struct faster_flog_damage damage;
        kit->slot_until = untils[i];
        kit->number = i;
        CHECK_INT(kit_find(kit, &found, &damage), FASTER_OK);
        CHECK_U64(found.until, untils[40]);
        CHECK_U64(found.number, 40);
        CHECK_U64(found.entries, counts[40] - counts[i]);
        CHECK_U64(found.cut_entries, 0);
        CHECK_U64(found.begin, i < 40 ? FASTER_FLOG_FIRST : 0);
        CHECK(i == 40 ? found.record == 0
                      : found.record >= untils[39] && found.record < untils[40],
              "%" PRIu64, found.record);
    }
    kit_free(kit);
}

static void finds_cookie_and_attachment(void) {
    struct kit *kit = kit_open();
    struct faster_flog_commit commit;
    struct faster_flog_found found;
    struct faster_flog_damage damage;
    struct faster_flog_recovery *recovery = NULL;
    (void)kit_append(kit, 0, 10);
    CHECK_INT(faster_flog_attach(kit->log, "first", 5), FASTER_OK);
    CHECK_INT(faster_flog_commit_strong(kit->log, "one", 3, KIT_WAIT_MS, &commit),
              FASTER_OK);
    CHECK_INT(faster_flog_attach(kit->log, "second", 6), FASTER_OK);
    CHECK_INT(faster_flog_commit_strong(kit->log, "two!", 4, KIT_WAIT_MS, &commit),
              FASTER_OK);
    CHECK_INT(faster_flog_begin_at(kit->log, kit->entries[0].end), FASTER_OK);
    CHECK_INT(faster_flog_commit_strong(kit->log, "three", 5, KIT_WAIT_MS, &commit),
              FASTER_OK);
    kit_stop(kit);
    kit->number = 0;
    struct faster_flog_recovery_config config = kit_recovery_config(kit);
    CHECK_INT(faster_flog_recover(&config, &recovery, &damage), FASTER_OK);
    faster_flog_recovery_found(recovery, &found);
    CHECK_U64(found.number, 3);
    CHECK_U64(found.cookie_size, 5);
    CHECK_U64(found.attachment_size, 6);
    CHECK_U64(found.begin, kit->entries[0].end);
    CHECK(memcmp(faster_flog_recovery_cookie(recovery), "three", 5) == 0, "%s", "");
    CHECK(memcmp(faster_flog_recovery_attachment(recovery), "second", 6) == 0, "%s",
          "");
    faster_flog_recovery_free(recovery);
    kit_free(kit);
}

/* A device on which nothing was ever written, and one whose log has no commit. */
static void finds_nothing(void) {
    struct kit *kit = kit_new();
    struct faster_flog_found found;
    struct faster_flog_damage damage;
    CHECK_INT(kit_find(kit, &found, &damage), FASTER_OK);
    CHECK_U64(found.until, FASTER_FLOG_FIRST);
    CHECK_U64(found.number, 0);
    CHECK_U64(found.record, 0);
    CHECK_U64(found.entries + found.cut_entries, 0);
    kit_start(kit);
    struct rng rng = rng_stream(2);
    kit_fill(kit, &rng, 500, 300); /* much of it is written, nothing committed */
    kit_stop(kit);
    kit->number = 0;
    CHECK_INT(kit_find(kit, &found, &damage), FASTER_OK);
    CHECK_U64(found.until, FASTER_FLOG_FIRST);
    CHECK_U64(found.record, 0);
    CHECK_U64(found.entries, 0);
    CHECK(found.cut_entries > 0 && found.cut_entries < 500, "%" PRIu64,
          found.cut_entries);
    CHECK_U64(found.cut_until, kit->entries[found.cut_entries - 1].end);
    kit_free(kit);
}

/* --- damage ----------------------------------------------------------------------- */

enum { COMMITS = 8, EACH = 5 };

struct fixture {
    struct kit *kit;
    uint64_t untils[COMMITS + 1];
    uint8_t *image;
    uint64_t size;
};

static struct fixture fixture_new(uint64_t size_max) {
    struct fixture f = {.kit = kit_open()};
    struct rng rng = rng_stream(3);
    f.untils[0] = FASTER_FLOG_FIRST;
    for (uint64_t i = 1; i <= COMMITS; i++) {
        kit_fill(f.kit, &rng, EACH, size_max);
        f.untils[i] = kit_commit(f.kit).until;
    }
    kit_stop(f.kit);
    f.kit->number = 0;
    f.size = f.untils[COMMITS];
    f.image = malloc(f.size);
    CHECK(f.image != NULL, "%s", "no memory");
    kit_peek(f.kit, 0, f.image, f.size);
    return f;
}

static void fixture_free(struct fixture *f) {
    free(f->image);
    kit_free(f->kit);
}

/* Recovery of bytes that differ in [at, at + size): below what the last record calls
 * durable they are refused, unless nothing depends on them; above, the last commit may
 * go, and nothing else. */
static int judge(struct fixture *f, uint64_t at, uint64_t size,
                 struct faster_flog_found *found, struct faster_flog_damage *damage) {
    int result = kit_find(f->kit, found, damage);
    if (result == FASTER_OK) {
        bool last = found->number == COMMITS;
        CHECK(last ? found->until > f->kit->entries[f->kit->count - 1].end &&
                         kit_round(found->until, KIT_SECTOR) == f->untils[COMMITS]
                   : found->until == f->untils[COMMITS - 1],
              "%" PRIu64 " with damage at %" PRIu64, found->until, at);
        CHECK(last || at >= f->untils[COMMITS - 1],
              "cut at %" PRIu64 " with damage at %" PRIu64 ", in what was durable",
              found->until, at);
        CHECK_U64(found->number, last ? COMMITS : COMMITS - 1);
        CHECK_U64(found->entries, (last ? COMMITS : COMMITS - 1) * (uint64_t)EACH);
    } else {
        CHECK_INT(result, FASTER_E_CORRUPT);
        CHECK(at < f->untils[COMMITS - 1],
              "refused with damage at %" PRIu64 ", which nobody was told of", at);
        CHECK(damage->address < at + size && damage->address >= FASTER_FLOG_FIRST,
              "damage at %" PRIu64 ", found at %" PRIu64, at, damage->address);
        CHECK(damage->what != FASTER_FLOG_WHOLE, "%" PRIu32, damage->what);
    }
    return result;
}

static uint64_t first_of_last(const struct fixture *f) {
    return f->kit->entries[(COMMITS - 1) * EACH].address;
}

/* F35: each byte, with one bit another.  In entries it is always noticed. */
static void f35_every_byte(void) {
    struct fixture f = fixture_new(100);
    struct rng rng = rng_stream(4);
    struct faster_flog_found found;
    struct faster_flog_damage damage;
    for (uint64_t at = FASTER_FLOG_FIRST; at < f.size; at++) {
        kit_flip(f.kit, at, (uint8_t)(1u << rng_below(&rng, 8)));
        (void)judge(&f, at, 1, &found, &damage);
        kit_poke(f.kit, at, f.image + at, 1);
    }
    for (uint64_t i = 0; i < f.kit->count; i++) {
        const struct kit_entry *entry = &f.kit->entries[i];
        for (uint64_t byte = 0; byte < FASTER_FLOG_HEADER + entry->size; byte++) {
            kit_flip(f.kit, entry->address + byte, (uint8_t)(1u << rng_below(&rng, 8)));
            int result = judge(&f, entry->address + byte, 1, &found, &damage);
            if (entry->address >= first_of_last(&f)) {
                CHECK_U64(found.until, f.untils[COMMITS - 1]);
                CHECK_U64(found.cut_entries, i - (COMMITS - 1) * EACH);
                CHECK_U64(found.damage.address, entry->address);
            } else {
                CHECK_INT(result, FASTER_E_CORRUPT);
                CHECK_U64(damage.address, entry->address);
            }
            kit_poke(f.kit, entry->address + byte, f.image + entry->address + byte, 1);
        }
    }
    fixture_free(&f);
}

/* Whether a part of an entry lies in [at, at + size). */
static bool touches(const struct fixture *f, uint64_t at, uint64_t size) {
    for (uint64_t i = 0; i < f->kit->count; i++) {
        const struct kit_entry *entry = &f->kit->entries[i];
        if (entry->address < at + size &&
            entry->address + FASTER_FLOG_HEADER + entry->size > at) {
            return true;
        }
    }
    return false;
}

/* F23, F38: each sector, and each run of them, as zeros and as noise. */
static void f38_every_sector(void) {
    struct fixture f = fixture_new(700);
    struct rng rng = rng_stream(5);
    struct faster_flog_found found;
    struct faster_flog_damage damage;
    static uint8_t bytes[8 * KIT_SECTOR];
    for (uint64_t noise = 0; noise < 2; noise++) {
        for (uint64_t at = 0; at < f.size; at += KIT_SECTOR) {
            for (uint64_t size = KIT_SECTOR; size <= sizeof bytes; size *= 2) {
                bool proof = at >= f.untils[COMMITS - 1] ||
                             at + size <= f.kit->entries[f.kit->count - 1].end;
                if (at + size > f.size || !proof) {
                    break; /* the last record is what proves that it was durable */
                }
                memset(bytes, 0, sizeof bytes);
                if (noise != 0) {
                    rng_fill(&rng, bytes, size);
                }
                kit_poke(f.kit, at, bytes, size);
                uint64_t first = at == 0 ? FASTER_FLOG_FIRST : at;
                int result = judge(&f, first, size, &found, &damage);
                CHECK(result == FASTER_E_CORRUPT || at >= f.untils[COMMITS - 1] ||
                          !touches(&f, at, size),
                      "not noticed at %" PRIu64, at);
                kit_poke(f.kit, at, f.image + at, size);
            }
        }
    }
    fixture_free(&f);
}

/* The device ends at each sector: what was durable is missing, unless only the last
 * commit is. */
static void f25_every_end(void) {
    struct fixture f = fixture_new(700);
    for (uint64_t end = 0; end <= f.size; end += KIT_SECTOR) {
        struct kit *cut = kit_new();
        struct faster_flog_found found;
        struct faster_flog_damage damage;
        if (end != 0) {
            kit_poke(cut, 0, f.image, end);
        }
        CHECK_INT(kit_find(cut, &found, &damage), FASTER_OK);
        uint64_t whole = 0;
        while (whole < COMMITS && f.untils[whole + 1] <= end) {
            whole++;
        }
        CHECK_U64(found.until, f.untils[whole]);
        CHECK_U64(found.number, whole);
        kit_free(cut);
    }
    fixture_free(&f);
}

/* With several commits in flight the records that are whole behind damage may not have
 * been told of it either: the last one's `durable` decides. */
static void durable_decides_not_a_later_record(void) {
    static const struct faster_fault_rule hold = {
        .kinds = FASTER_KIND_SYNC, .fault = FASTER_FAULT_HOLD, .times = 1};
    struct kit *kit = kit_new();
    struct faster_flog_commit commit;
    struct faster_flog_found found;
    struct faster_flog_damage damage;
    kit->commits_in_flight = 3;
    kit->rules = &hold;
    kit->rules_count = 1;
    kit_start(kit);
    (void)kit_append(kit, 0, 100);
    int first = faster_flog_commit(kit->log, 0, 20, &commit);
    CHECK_INT(first, FASTER_E_TIMEOUT);
    (void)kit_append(kit, 1, 1000);
    (void)faster_flog_commit(kit->log, 0, 20, &commit);
    (void)kit_append(kit, 2, 1000);
    (void)faster_flog_commit(kit->log, 0, 20, &commit);
    /* No sync has ended: whatever was written is durable for nobody. */
    CHECK_U64(kit_committed(kit).until, FASTER_FLOG_FIRST);
    static uint8_t image[2 * KIT_PAGE];
    kit_peek(kit, 0, image, sizeof image);
    for (uint64_t at = FASTER_FLOG_FIRST; at < 2 * KIT_SECTOR; at += 8) {
        struct kit *crashed = kit_new();
        kit_poke(crashed, 0, image, sizeof image);
        kit_flip(crashed, at, 0x55);
        CHECK_INT(kit_find(crashed, &found, &damage), FASTER_OK);
        kit_free(crashed);
    }
    kit_lift(kit);
    (void)kit_commit(kit);
    kit_holds(kit, 0, 3);
    kit_free(kit);
}

/* --- lives ------------------------------------------------------------------------ */

/* A log that crashes again and again: each life goes on behind the last commit of the
 * one before, over whatever that one left, and a scan sees the same all the time. */
static void f39_life_after_life(void) {
    struct kit *kit = kit_open();
    struct rng rng = rng_stream(6);
    for (uint64_t life = 0; life < 40; life++) {
        for (uint64_t i = rng_below(&rng, 4); i > 0; i--) {
            kit_fill(kit, &rng, rng_below(&rng, 12), 600);
            (void)kit_commit(kit);
        }
        uint64_t kept = kit->count;
        uint64_t until = kit_committed(kit).until;
        if (life % 3 != 0) {
            kit_fill(kit, &rng, rng_below(&rng, 60), 600); /* some of it is written */
        }
        struct faster_flog_found found = kit_crash(kit);
        CHECK_U64(found.until, until);
        kit->count = kept;
        kit_holds(kit, 0, kept);
    }
    kit_free(kit);
}

/* Entries of an earlier life that lie exactly where the next ones would, whole and with
 * a commit record behind them, do not come back. */
static void leave_a_stale_tail(uint64_t generations) {
    struct kit *kit = kit_open();
    for (uint64_t i = 0; i < 40; i++) {
        (void)kit_append(kit, i, 480 - FASTER_FLOG_HEADER);
        if (i == 9 || i == 39) {
            (void)kit_commit(kit);
        }
    }
    uint64_t cut = kit->entries[9].end;
    struct faster_flog_scan *scan = kit_scan(kit, kit->entries[10].address, 0);
    faster_flog_scan_free(scan);
    kit_stop(kit);
    kit->number = 1;
    kit_next_life(kit, kit_round(cut, KIT_SECTOR), 1);
    kit->lives[1].generation = 1 + generations;
    kit_start(kit);
    kit->count = 10;
    struct faster_flog_found found = kit_crash(kit); /* nothing was appended */
    CHECK_U64(found.entries + found.cut_entries, 0);
    CHECK_U64(found.record, 0);
    kit_holds(kit, 0, 10);
    (void)kit_append(kit, 10, 480 - FASTER_FLOG_HEADER);
    (void)kit_commit(kit);
    found = kit_crash(kit);
    CHECK_U64(found.entries, 1);
    CHECK_U64(found.cut_entries, 0);
    kit_holds(kit, 0, 11);
    kit_free(kit);
}

static void f39_a_stale_tail_does_not_come_back(void) { leave_a_stale_tail(1); }

/* F91: also when the generation's bits in an entry are the same again. */
static void f91_a_tail_of_long_ago_does_not_come_back(void) {
    leave_a_stale_tail(1 << 16);
    leave_a_stale_tail((uint64_t)1 << 32);
}

/* T24: a log that begins inside a page, and whose slot lies inside one. */
static void t24_begins_inside_a_page(void) {
    struct kit *kit = kit_open();
    struct rng rng = rng_stream(7);
    for (uint64_t turn = 0; turn < 20; turn++) {
        kit_fill(kit, &rng, 10, 300);
        struct faster_flog_commit commit = kit_commit(kit);
        uint64_t first = kit->count - rng_below(&rng, 10);
        uint64_t begin =
            first == kit->count ? commit.until : kit->entries[first].address;
        CHECK_INT(faster_flog_begin_at(kit->log, begin), FASTER_OK);
        CHECK_INT(faster_flog_free_space(kit->log), FASTER_OK);
        kit->begin = begin;
        kit->slot_until = commit.until;
        kit->number = commit.number;
        uint64_t more = rng_below(&rng, 10);
        kit_fill(kit, &rng, more, 300);
        (void)kit_commit(kit);
        struct faster_flog_found found = kit_crash(kit);
        CHECK_U64(found.entries, more);
        kit_holds(kit, first, kit->count);
    }
    kit_free(kit);
}

/* --- followers -------------------------------------------------------------------- */

/* Beside its writer a reader sees commits when it follows, and none before. */
static void followers_see_commits(void) {
    struct kit *kit = kit_open();
    struct rng rng = rng_stream(8);
    struct kit *reader = kit_new();
    struct faster_flog_commit commit;
    struct faster_device shelf = reader->shelf;
    reader->shelf = kit->shelf;
    reader->read_only = true;
    kit_start(reader);
    uint64_t last = FASTER_FLOG_FIRST;
    for (uint64_t turn = 0; turn < 30; turn++) {
        CHECK_INT(faster_flog_follow(reader->log, &commit), FASTER_NOT_FOUND);
        kit_fill(kit, &rng, 1 + rng_below(&rng, 40), 300);
        if (turn % 5 == 0) {
            CHECK_INT(faster_flog_follow(reader->log, &commit), FASTER_NOT_FOUND);
        }
        struct faster_flog_commit made = kit_commit(kit);
        CHECK_U64(kit_committed(reader).until, last);
        last = made.until;
        CHECK_INT(faster_flog_follow(reader->log, &commit), FASTER_OK);
        CHECK_U64(commit.until, made.until);
        CHECK_U64(commit.number, made.number);
        while (reader->count < kit->count) {
            kit_remember(reader, kit->entries[reader->count]);
        }
        kit_holds(reader, 0, reader->count);
    }
    kit_free(kit);
    CHECK_INT(faster_flog_close(reader->log, KIT_WAIT_MS), FASTER_OK);
    faster_flog_free(reader->log);
    reader->log = NULL;
    kit_free_devices(reader);
    reader->shelf = shelf;
    kit_free(reader);
}

HARNESS_MAIN(TEST(finds_the_last_commit), TEST(finds_cookie_and_attachment),
             TEST(finds_nothing), TEST(f35_every_byte), TEST(f38_every_sector),
             TEST(f25_every_end), TEST(durable_decides_not_a_later_record),
             TEST(f39_life_after_life), TEST(f39_a_stale_tail_does_not_come_back),
             TEST(f91_a_tail_of_long_ago_does_not_come_back),
             TEST(t24_begins_inside_a_page), TEST(followers_see_commits))
