/* SPDX-License-Identifier: MIT */
/* validate_scan.c: a scan gives each committed entry once, in order, from anywhere. */
#include "flog/kit.h"

/* Nothing is committed, so nothing is there; more comes, and the scan goes on. */
static void scans_follow_what_is_committed(void) {
    struct kit *kit = kit_open();
    struct rng rng = rng_stream(1);
    struct faster_flog_scan *scan = kit_scan(kit, 0, 0);
    uint64_t seen = 0;
    kit_expect(kit, scan, 0, 0);
    for (uint64_t turn = 0; turn < 60; turn++) {
        kit_fill(kit, &rng, rng_below(&rng, 30), 400);
        kit_expect(kit, scan, seen, seen);
        (void)kit_commit(kit);
        kit_expect(kit, scan, seen, kit->count);
        seen = kit->count;
        CHECK_U64(faster_flog_scan_position(scan), kit_committed(kit).until);
    }
    faster_flog_scan_free(scan);
    kit_free(kit);
}

/* From every entry on, and up to every address: those whose address lies between. */
static void scans_of_every_range(void) {
    struct kit *kit = kit_open();
    struct rng rng = rng_stream(2);
    for (uint64_t turn = 0; turn < 10; turn++) {
        kit_fill(kit, &rng, 12, 700);
        (void)kit_commit(kit);
    }
    for (uint64_t first = 0; first < kit->count; first++) {
        for (uint64_t last = first; last < kit->count; last += 1 + last % 7) {
            uint64_t from = kit->entries[first].address;
            uint64_t until = kit->entries[last].address;
            struct faster_flog_scan *scan = kit_scan(kit, from, until);
            kit_expect(kit, scan, first, last);
            faster_flog_scan_free(scan);
            scan = kit_scan(kit, from, until + 1); /* inside an entry */
            kit_expect(kit, scan, first, last + 1);
            faster_flog_scan_free(scan);
        }
    }
    kit_free(kit);
}

/* Where a scan stands is where another one can go on. */
static void scans_can_be_taken_up(void) {
    struct kit *kit = kit_open();
    struct rng rng = rng_stream(3);
    struct faster_flog_entry entry;
    kit_fill(kit, &rng, 300, 300);
    (void)kit_commit(kit);
    kit_fill(kit, &rng, 100, 300);
    (void)kit_commit(kit);
    uint64_t position = 0;
    for (uint64_t i = 0; i < kit->count; i++) {
        struct faster_flog_scan *scan = kit_scan(kit, position, 0);
        CHECK_INT(kit_next(scan, &entry), FASTER_OK);
        kit_is(&kit->entries[i], &entry);
        position = i % 2 != 0 ? faster_flog_scan_position(scan) : entry.next;
        faster_flog_scan_free(scan);
    }
    struct faster_flog_scan *scan = kit_scan(kit, position, 0);
    kit_expect(kit, scan, 0, 0);
    faster_flog_scan_free(scan);
    scan = kit_scan(kit, kit_committed(kit).until, 0);
    kit_expect(kit, scan, 0, 0);
    faster_flog_scan_free(scan);
    kit_free(kit);
}

/* However much is read ahead, and however small the device's requests must be. */
static void scans_read_ahead(void) {
    struct kit *kit = kit_new();
    struct rng rng = rng_stream(4);
    kit->page_size = 8192;
    kit->memory = 8 * 8192;
    kit_start(kit);
    kit_fill(kit, &rng, 1500, 400);
    for (uint64_t i = 0; i < 20; i++) {
        (void)kit_append(kit, kit->count, faster_flog_payload_max(kit->log) - i);
    }
    (void)kit_commit(kit);
    static const uint32_t ahead[] = {0, 1, 2, 3, 7, 64};
    for (uint64_t i = 0; i < sizeof ahead / sizeof ahead[0]; i++) {
        struct faster_flog_scan_config config = {.size = sizeof config,
                                                 .read_ahead = ahead[i]};
        struct faster_flog_scan *scan = NULL;
        CHECK_INT(faster_flog_scan_open(kit->log, &config, &scan), FASTER_OK);
        kit_expect(kit, scan, 0, kit->count);
        faster_flog_scan_free(scan);
    }
    kit_free(kit);
}

/* A scan is over with what it has in flight. */
static void scans_end_any_time(void) {
    struct kit *kit = kit_open();
    struct rng rng = rng_stream(5);
    struct faster_flog_entry entry;
    kit_fill(kit, &rng, 1000, 400);
    (void)kit_commit(kit);
    for (uint64_t i = 0; i < 40; i++) {
        struct faster_flog_scan_config config = {.size = sizeof config,
                                                 .read_ahead = (uint32_t)(i % 5)};
        struct faster_flog_scan *scan = NULL;
        CHECK_INT(faster_flog_scan_open(kit->log, &config, &scan), FASTER_OK);
        CHECK_U64(kit_stats(kit).scans, 1);
        for (uint64_t j = 0; j < i * 10; j++) {
            CHECK_INT(kit_next(scan, &entry), FASTER_OK);
            kit_is(&kit->entries[j], &entry);
        }
        faster_flog_scan_free(scan);
    }
    CHECK_U64(kit_stats(kit).scans, 0);
    kit_free(kit);
}

/* The payload lives until the next call: it is not moved by others' scans. */
static void scans_do_not_disturb_each_other(void) {
    struct kit *kit = kit_open();
    struct rng rng = rng_stream(6);
    enum { SCANS = 10 };
    struct faster_flog_scan *scans[SCANS];
    struct faster_flog_entry entries[SCANS];
    uint64_t at[SCANS] = {0};
    kit_fill(kit, &rng, 400, 500);
    (void)kit_commit(kit);
    for (uint64_t i = 0; i < SCANS; i++) {
        scans[i] = kit_scan(kit, 0, 0);
        CHECK_INT(kit_next(scans[i], &entries[i]), FASTER_OK);
    }
    for (uint64_t turn = 0; turn < 2000; turn++) {
        uint64_t i = rng_below(&rng, SCANS);
        kit_is(&kit->entries[at[i]], &entries[i]);
        if (++at[i] == kit->count) {
            faster_flog_scan_free(scans[i]);
            scans[i] = kit_scan(kit, 0, 0);
            at[i] = 0;
        }
        CHECK_INT(kit_next(scans[i], &entries[i]), FASTER_OK);
    }
    for (uint64_t i = 0; i < SCANS; i++) {
        kit_is(&kit->entries[at[i]], &entries[i]);
        faster_flog_scan_free(scans[i]);
    }
    kit_free(kit);
}

/* --- pieces ----------------------------------------------------------------------- */

/* The piece holds the entries from `first` on; how many. */
static uint64_t piece_is(struct kit *kit, const struct faster_flog_piece *piece,
                         uint64_t first) {
    const uint8_t *bytes = piece->data;
    CHECK(piece->count > 0, "%s", "an empty piece");
    CHECK(first + piece->count <= kit->count, "%" PRIu64, piece->count);
    for (uint64_t i = 0; i < piece->count; i++) {
        const struct kit_entry *wanted = &kit->entries[first + i];
        uint64_t start = piece->starts[i];
        CHECK_U64(piece->address + start, wanted->address + FASTER_FLOG_HEADER);
        CHECK(start + piece->sizes[i] <= piece->size, "%" PRIu64, start);
        kit_same(wanted, bytes + start, piece->sizes[i]);
    }
    return piece->count;
}

static void pieces_hold_every_entry_once(void) {
    struct kit *kit = kit_open();
    struct rng rng = rng_stream(7);
    struct faster_flog_piece piece;
    struct faster_flog_scan *scan = kit_scan(kit, 0, 0);
    uint64_t seen = 0;
    for (uint64_t turn = 0; turn < 20; turn++) {
        kit_fill(kit, &rng, rng_below(&rng, 150), 300);
        CHECK_INT(kit_piece(scan, &piece), FASTER_NOT_FOUND);
        (void)kit_commit(kit);
        while (seen < kit->count) { /* ends: a piece has one entry at least */
            CHECK_INT(kit_piece(scan, &piece), FASTER_OK);
            seen += piece_is(kit, &piece, seen);
            faster_flog_piece_free(piece.chunk);
        }
        CHECK_INT(kit_piece(scan, &piece), FASTER_NOT_FOUND);
    }
    faster_flog_scan_free(scan);
    kit_free(kit);
}

/* Single entries and pieces in turn, from the middle and up to the middle. */
static void pieces_and_entries_in_turn(void) {
    struct kit *kit = kit_open();
    struct rng rng = rng_stream(8);
    struct faster_flog_piece piece;
    struct faster_flog_entry entry;
    kit_fill(kit, &rng, 600, 200);
    (void)kit_commit(kit);
    for (uint64_t first = 0; first < 100; first += 9) {
        uint64_t last = kit->count - first;
        struct faster_flog_scan *scan = kit_scan(kit, kit->entries[first].address,
                                                 kit->entries[last - 1].address + 1);
        uint64_t seen = first;
        while (seen < last) { /* ends: each turn gives one entry at least */
            if (rng_below(&rng, 2) != 0) {
                CHECK_INT(kit_next(scan, &entry), FASTER_OK);
                kit_is(&kit->entries[seen++], &entry);
            } else {
                CHECK_INT(kit_piece(scan, &piece), FASTER_OK);
                seen += piece_is(kit, &piece, seen);
                faster_flog_piece_free(piece.chunk);
            }
        }
        CHECK_U64(seen, last);
        CHECK_INT(kit_next(scan, &entry), FASTER_NOT_FOUND);
        CHECK_INT(kit_piece(scan, &piece), FASTER_NOT_FOUND);
        faster_flog_scan_free(scan);
    }
    kit_free(kit);
}

/* A piece lives until it is given back, also after its scan and its log. */
static void pieces_outlive_their_log(void) {
    struct kit *kit = kit_open();
    struct rng rng = rng_stream(9);
    enum { PIECES = 200 };
    struct faster_flog_piece pieces[PIECES];
    uint64_t firsts[PIECES];
    uint64_t count = 0;
    uint64_t seen = 0;
    kit_fill(kit, &rng, 800, 300);
    (void)kit_commit(kit);
    struct faster_flog_scan *scan = kit_scan(kit, 0, 0);
    while (seen < kit->count) {
        CHECK(count < PIECES, "%" PRIu64, count);
        firsts[count] = seen;
        CHECK_INT(kit_piece(scan, &pieces[count]), FASTER_OK);
        seen += piece_is(kit, &pieces[count], seen);
        count++;
    }
    faster_flog_scan_free(scan);
    kit_stop(kit);
    for (uint64_t i = 0; i < count; i++) {
        (void)piece_is(kit, &pieces[i], firsts[i]);
        faster_flog_piece_free(pieces[i].chunk);
    }
    kit_free(kit);
}

/* --- single entries --------------------------------------------------------------- */

static void reading_one_entry(void) {
    struct kit *kit = kit_open();
    struct rng rng = rng_stream(10);
    struct faster_flog_damage damage;
    static uint8_t data[KIT_PAGE];
    uint64_t size = 0;
    kit_fill(kit, &rng, 200, 1000);
    (void)kit_append(kit, kit->count, faster_flog_payload_max(kit->log));
    CHECK_INT(faster_flog_read(kit->log, kit->entries[0].address, data, sizeof data,
                               &size, &damage),
              -EINVAL); /* it is not committed */
    (void)kit_commit(kit);
    for (uint64_t turn = 0; turn < 500; turn++) {
        const struct kit_entry *wanted = &kit->entries[rng_below(&rng, kit->count)];
        size = 0;
        CHECK_INT(faster_flog_read(kit->log, wanted->address, data, wanted->size, &size,
                                   &damage),
                  FASTER_OK);
        kit_same(wanted, data, size);
        if (wanted->size != 0) {
            CHECK_INT(
                faster_flog_read(kit->log, wanted->address, NULL, 0, &size, &damage),
                FASTER_SHORT);
            CHECK_U64(size, wanted->size);
        }
    }
    kit_free(kit);
}

static void reading_where_no_entry_is(void) {
    struct kit *kit = kit_open();
    struct faster_flog_damage damage;
    uint64_t size = 0;
    uint8_t data[64];
    (void)kit_append(kit, 0, 40);
    uint64_t end = kit_append(kit, 1, 40).end;
    (void)kit_commit(kit);
    const uint64_t outside[] = {0,
                                8,
                                FASTER_FLOG_FIRST - 8,
                                FASTER_FLOG_FIRST + 1,
                                kit_committed(kit).until,
                                kit_committed(kit).until + KIT_PAGE,
                                UINT64_MAX & ~(uint64_t)7,
                                end /* the commit's record */};
    for (uint64_t i = 0; i < sizeof outside / sizeof outside[0]; i++) {
        int result =
            faster_flog_read(kit->log, outside[i], data, sizeof data, &size, &damage);
        CHECK(result == -EINVAL, "%d at %" PRIu64, result, outside[i]);
    }
    for (uint64_t at = FASTER_FLOG_FIRST + 8; at < end; at += 8) {
        int result = faster_flog_read(kit->log, at, data, sizeof data, &size, &damage);
        if (at == kit->entries[1].address) {
            CHECK_INT(result, FASTER_OK);
            continue;
        }
        CHECK(result == FASTER_E_CORRUPT || result == -EINVAL, "%d at %" PRIu64, result,
              at);
        CHECK(result != FASTER_E_CORRUPT || damage.address == at, "%" PRIu64,
              damage.address);
    }
    kit_free(kit);
}

HARNESS_MAIN(TEST(scans_follow_what_is_committed), TEST(scans_of_every_range),
             TEST(scans_can_be_taken_up), TEST(scans_read_ahead),
             TEST(scans_end_any_time), TEST(scans_do_not_disturb_each_other),
             TEST(pieces_hold_every_entry_once), TEST(pieces_and_entries_in_turn),
             TEST(pieces_outlive_their_log), TEST(reading_one_entry),
             TEST(reading_where_no_entry_is))
