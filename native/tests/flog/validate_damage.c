/* SPDX-License-Identifier: MIT */
/* validate_damage.c: bytes that are not the ones written are never given (F31, F35,
 * F38 - F42); each way of being wrong has its name. */
#include "flog/kit.h"

enum { ENTRIES = 60, LENGTH_AT = 0, KIND_AT = 4, FLAGS_AT = 5, GENERATION_AT = 6 };

/* A log of one commit whose bytes may be changed before a scan. */
static struct kit *fixture(struct rng *rng) {
    struct kit *kit = kit_open();
    kit_fill(kit, rng, ENTRIES, 300);
    (void)kit_commit(kit);
    return kit;
}

/* The scan gives what comes before entry `bad`, then says what is wrong there; so does
 * reading it alone. */
static void expect_damage(struct kit *kit, uint64_t bad, uint32_t what) {
    struct faster_flog_scan *scan = kit_scan(kit, 0, 0);
    struct faster_flog_entry entry;
    struct faster_flog_damage damage = {.address = 0};
    static uint8_t data[KIT_PAGE];
    uint64_t size;
    for (uint64_t i = 0; i < bad; i++) {
        CHECK_INT(kit_next(scan, &entry), FASTER_OK);
        kit_is(&kit->entries[i], &entry);
    }
    for (uint64_t again = 0; again < 2; again++) {
        CHECK_INT(kit_next(scan, &entry), FASTER_E_CORRUPT);
        faster_flog_scan_damage(scan, &damage);
        CHECK_U64(damage.address, kit->entries[bad].address);
        CHECK_U64(damage.what, what);
        CHECK_U64(faster_flog_scan_position(scan), kit->entries[bad].address);
    }
    faster_flog_scan_free(scan);
    memset(&damage, 0, sizeof damage);
    CHECK_INT(faster_flog_read(kit->log, kit->entries[bad].address, data, sizeof data,
                               &size, &damage),
              FASTER_E_CORRUPT);
    CHECK_U64(damage.address, kit->entries[bad].address);
    CHECK_U64(damage.what, what);
}

/* A piece ends before the damage, and the next one tells of it. */
static void expect_piece_damage(struct kit *kit, uint64_t bad, uint32_t what) {
    struct faster_flog_scan *scan = kit_scan(kit, 0, 0);
    struct faster_flog_piece piece;
    struct faster_flog_damage damage;
    uint64_t seen = 0;
    int result;
    while ((result = kit_piece(scan, &piece)) == FASTER_OK) {
        seen += piece.count;
        faster_flog_piece_free(piece.chunk);
    }
    CHECK_INT(result, FASTER_E_CORRUPT);
    CHECK_U64(seen, bad);
    faster_flog_scan_damage(scan, &damage);
    CHECK_U64(damage.address, kit->entries[bad].address);
    CHECK_U64(damage.what, what);
    faster_flog_scan_free(scan);
}

static void poke_damage(uint64_t offset, const void *bytes, uint64_t size,
                        uint32_t what) {
    struct rng rng = rng_stream(offset + size);
    struct kit *kit = fixture(&rng);
    for (uint64_t turn = 0; turn < 8; turn++) {
        uint64_t bad = rng_below(&rng, ENTRIES);
        uint8_t before[64];
        uint64_t at = kit->entries[bad].address + offset;
        kit_peek(kit, at, before, size);
        kit_poke(kit, at, bytes, size);
        expect_damage(kit, bad, what);
        expect_piece_damage(kit, bad, what);
        kit_poke(kit, at, before, size);
        kit_holds(kit, 0, ENTRIES);
    }
    kit_free(kit);
}

/* F38: zeros where an entry was. */
static void f38_absent(void) {
    static const uint8_t zeros[64];
    poke_damage(0, zeros, FASTER_FLOG_HEADER, FASTER_FLOG_ABSENT);
}

static void f35_headers_that_no_entry_has(void) {
    static const uint8_t kinds[] = {0, 4, 9, 255};
    static const uint8_t flags = 1;
    for (uint64_t i = 0; i < sizeof kinds; i++) {
        poke_damage(KIND_AT, &kinds[i], 1, FASTER_FLOG_HEADER_BAD);
    }
    poke_damage(FLAGS_AT, &flags, 1, FASTER_FLOG_HEADER_BAD);
}

/* F87: lengths beyond the page, up to those that would wrap. */
static void f87_lengths_that_do_not_fit(void) {
    static const uint32_t lengths[] = {KIT_PAGE,   1 << 20,        INT32_MAX,
                                       UINT32_MAX, UINT32_MAX - 7, UINT32_MAX - 15};
    for (uint64_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        poke_damage(LENGTH_AT, &lengths[i], 4, FASTER_FLOG_BOUNDS);
    }
}

/* F39: an entry of another life. */
static void f39_other_generations(void) {
    static const uint16_t generations[] = {0, 2, 7, UINT16_MAX};
    for (uint64_t i = 0; i < sizeof generations / sizeof generations[0]; i++) {
        poke_damage(GENERATION_AT, &generations[i], 2, FASTER_FLOG_STALE);
    }
}

/* F31: each bit of an entry's header and payload is under its checksum, its bounds or
 * its generation; padding is under nothing, and changes nothing. */
static void f31_every_bit(void) {
    struct rng rng = rng_stream(7);
    struct kit *kit = fixture(&rng);
    struct faster_flog_damage damage;
    static uint8_t data[KIT_PAGE];
    uint64_t size;
    for (uint64_t turn = 0; turn < 12; turn++) {
        const struct kit_entry *bad = &kit->entries[rng_below(&rng, ENTRIES)];
        uint64_t bytes = FASTER_FLOG_HEADER + bad->size;
        for (uint64_t bit = 0; bit < 8 * bytes; bit++) {
            kit_flip(kit, bad->address + bit / 8, (uint8_t)(1u << bit % 8));
            int result = faster_flog_read(kit->log, bad->address, data, sizeof data,
                                          &size, &damage);
            CHECK(result == FASTER_E_CORRUPT ||
                      (result == -EINVAL && bit / 8 == KIND_AT),
                  "%d with bit %" PRIu64 " of entry %" PRIu64 " flipped", result, bit,
                  bad->number);
            kit_flip(kit, bad->address + bit / 8, (uint8_t)(1u << bit % 8));
        }
    }
    kit_holds(kit, 0, ENTRIES);
    kit_free(kit);
}

/* A payload that is another says what its checksum is and was to be. */
static void f35_payloads(void) {
    struct rng rng = rng_stream(8);
    struct kit *kit = fixture(&rng);
    struct faster_flog_damage damage;
    uint64_t bad = 0;
    static uint8_t data[KIT_PAGE];
    uint64_t size;
    while (kit->entries[bad].size == 0) { /* ends: most have bytes */
        bad++;
    }
    kit_flip(kit, kit->entries[bad].address + FASTER_FLOG_HEADER, 1);
    expect_damage(kit, bad, FASTER_FLOG_CHECKSUM);
    expect_piece_damage(kit, bad, FASTER_FLOG_CHECKSUM);
    (void)faster_flog_read(kit->log, kit->entries[bad].address, data, sizeof data,
                           &size, &damage);
    CHECK(damage.expected != damage.found, "%" PRIu64, damage.found);
    kit_free(kit);
}

/* F40, F41: an entry that was copied to another entry's place, or came from another
 * log, is not one there. */
static void f40_misdirected_and_foreign(void) {
    struct kit *kit = kit_open();
    struct kit *other = kit_new();
    uint8_t bytes[64];
    for (uint64_t i = 0; i < 20; i++) {
        (void)kit_append(kit, i, 48);
    }
    (void)kit_commit(kit);
    kit_peek(kit, kit->entries[3].address, bytes, sizeof bytes);
    kit_poke(kit, kit->entries[9].address, bytes, sizeof bytes);
    expect_damage(kit, 9, FASTER_FLOG_CHECKSUM);
    uint64_t until = kit_committed(kit).until;
    kit_stop(kit);
    static uint8_t all[KIT_PAGE];
    kit_peek(kit, 0, all, until);
    kit_poke(other, 0, all, until);
    struct faster_flog_config config = kit_config(kit);
    config.log_id = KIT_ID + 1;
    config.read_only = 1;
    config.device = kit_devices(other);
    CHECK_INT(faster_flog_open(&config, &other->log), FASTER_OK);
    kit_remember(other, kit->entries[0]);
    expect_damage(other, 0, FASTER_FLOG_CHECKSUM);
    kit_free(kit);
    kit_free(other);
}

/* F42: the device ends before the log does. */
static void f42_short(void) {
    struct rng rng = rng_stream(9);
    struct kit *kit = fixture(&rng);
    static uint8_t all[ENTRIES * 512];
    uint64_t until = kit_committed(kit).until;
    kit_stop(kit);
    kit_peek(kit, 0, all, until);
    for (uint64_t length = KIT_SECTOR; length < until; length += KIT_SECTOR) {
        struct kit *cut = kit_new();
        struct faster_flog_entry entry;
        struct faster_flog_damage damage;
        uint64_t seen = 0;
        int result;
        cut->read_only = true;
        cut->committed = until;
        cut->number = 1;
        kit_poke(cut, 0, all, length);
        kit_start(cut);
        struct faster_flog_scan *scan = kit_scan(cut, 0, 0);
        while ((result = kit_next(scan, &entry)) == FASTER_OK) {
            kit_is(&kit->entries[seen], &entry);
            seen++;
        }
        CHECK(seen < kit->count || length > kit->entries[seen - 1].end - KIT_SECTOR,
              "%" PRIu64, seen);
        CHECK_INT(result, FASTER_E_CORRUPT);
        faster_flog_scan_damage(scan, &damage);
        CHECK(damage.what == FASTER_FLOG_SHORT, "%d at %" PRIu64, (int)damage.what,
              length);
        faster_flog_scan_free(scan);
        kit_free(cut);
    }
    kit_free(kit);
}

HARNESS_MAIN(TEST(f38_absent), TEST(f35_headers_that_no_entry_has),
             TEST(f87_lengths_that_do_not_fit), TEST(f39_other_generations),
             TEST(f31_every_bit), TEST(f35_payloads), TEST(f40_misdirected_and_foreign),
             TEST(f42_short))
