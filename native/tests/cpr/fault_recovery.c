/* SPDX-License-Identifier: MIT */
/* What a device may do to a log that is recovered (F03, F04, F07, F08, F23, F24, F86):
 * the recovery says where the damage is, or every value is right */
#include "allocation.h"
#include "cpr/recovery_kit.h"
#include "record/checksum.h"

enum { KEYS = 60, SMALL_PUTS = 150 };

/* A log of two pages, with a gap that a flush has left inside each. */
static struct vault_facts make_small(struct vault *vault, uint64_t *middle) {
    struct rng rng = rng_stream(1);
    vault_begin(vault);
    vault_fill(vault, &rng, KEYS, SMALL_PUTS / 3);
    *middle = vault_flush(vault);
    vault_fill(vault, &rng, KEYS, SMALL_PUTS / 3);
    (void)vault_flush(vault);
    vault_fill(vault, &rng, KEYS, SMALL_PUTS / 3);
    struct vault_facts facts = vault_facts(vault);
    vault_end(vault);
    return facts;
}

/* Reads of keys that are there may say that their record is damaged, no more. */
static void check_values(struct vault *vault) {
    for (uint64_t number = 0; number < KEYS; number++) {
        struct kit_bytes key = kit_key(vault->kind, number);
        uint64_t seed = vault->values[number];
        struct kit_bytes value = kit_value(vault->kind, seed, seed % 90);
        struct kit_bytes found = {.size = 0};
        int result = kit_run_read(vault->session, &key, &found);
        CHECK(result == FASTER_E_CORRUPT ||
                  result == (seed != 0 ? FASTER_OK : FASTER_NOT_FOUND),
              "key %" PRIu64 ": %d", number, result);
        CHECK(result != FASTER_OK || kit_same(&found, &value),
              "a wrong value of key %" PRIu64, number);
    }
}

/* One recovery of a damaged log, which has to be as it was for the next. */
static bool recover_damaged(struct vault *vault, const struct vault_facts *facts,
                            uint64_t place) {
    struct faster_damage damage = {0};
    uint64_t lives = vault->lives;
    int result = vault_try(vault, facts, &damage);
    CHECK(result == FASTER_OK || result == FASTER_E_CORRUPT, "%d", result);
    if (result == FASTER_OK) {
        check_values(vault);
    } else {
        uint64_t page = place & ~(uint64_t)(KIT_DISK_PAGE - 1);
        CHECK(damage.address >= page && damage.address <= place,
              "damage at %" PRIu64 " found at %" PRIu64, place, damage.address);
    }
    vault_end(vault);
    vault->lives = lives;
    vault->generations[0] = (struct faster_generation){0, 1};
    return result != FASTER_OK;
}

/* F23: one byte of the log, any byte, any change. */
static void damage_every_byte(enum kit_kind kind) {
    struct vault *vault = vault_new(kind);
    struct rng rng = rng_stream(2);
    uint64_t middle;
    uint64_t found = 0;
    struct vault_facts facts = make_small(vault, &middle);
    uint8_t *image = malloc((size_t)facts.final);
    CHECK(image != NULL, "%s", "no memory");
    vault_peek(vault, 0, image, facts.final);
    for (uint64_t place = 0; place < facts.final; place++) {
        uint8_t damaged = image[place] ^ (uint8_t)(1u << rng_below(&rng, 8));
        vault_poke(vault, place, &damaged, 1);
        found += recover_damaged(vault, &facts, place);
        vault_poke(vault, 0, image, facts.final);
    }
    /* What is not found lies in fillers, and in bits that mean nothing there. */
    CHECK(found > facts.final / 2, "%" PRIu64 " of %" PRIu64, found, facts.final);
    free(image);
    vault_free(vault);
}

static void f23_a_byte_of_a_word_store(void) { damage_every_byte(KIT_WORD); }
static void f23_a_byte_of_a_text_store(void) { damage_every_byte(KIT_TEXT); }

/* F22, F24, F30: a sector that was never written, one with noise, and one that came
 * from another place. */
static void f24_a_sector_of_something_else(void) {
    enum { SECTOR = 512 };
    struct vault *vault = vault_new(KIT_WIDE);
    struct rng rng = rng_stream(3);
    uint64_t middle;
    uint8_t other[SECTOR];
    struct vault_facts facts = make_small(vault, &middle);
    uint8_t *image = malloc((size_t)facts.final);
    CHECK(image != NULL, "%s", "no memory");
    vault_peek(vault, 0, image, facts.final);
    for (uint64_t place = 0; place < facts.final; place += SECTOR) {
        for (int kind = 0; kind < 3; kind++) {
            memset(other, 0, sizeof other);
            if (kind == 1) {
                rng_fill(&rng, other, sizeof other);
            } else if (kind == 2) {
                memcpy(other, image + (place + SECTOR) % facts.final, sizeof other);
            }
            vault_poke(vault, place, other, sizeof other);
            (void)recover_damaged(vault, &facts, place | (SECTOR - 1));
            vault_poke(vault, 0, image, facts.final);
        }
    }
    free(image);
    vault_free(vault);
}

/* F04, F25: the device ends before the log does, at any sector. */
static void f25_a_device_that_ends_early(void) {
    enum { SECTOR = 512 };
    struct vault *vault = vault_new(KIT_TEXT);
    uint64_t middle;
    struct vault_facts facts = make_small(vault, &middle);
    uint8_t *image = malloc((size_t)facts.final);
    CHECK(image != NULL, "%s", "no memory");
    vault_peek(vault, 0, image, facts.final);
    for (uint64_t size = 0; size < facts.final; size += SECTOR) {
        struct vault *cut = vault_new(KIT_TEXT);
        struct faster_damage damage;
        if (size != 0) {
            vault_poke(cut, 0, image, size);
        }
        CHECK_INT(vault_try(cut, &facts, &damage), FASTER_E_CORRUPT);
        CHECK_INT(damage.what, FASTER_DAMAGE_SHORT);
        CHECK(damage.address <= size || size == 0, "%" PRIu64, damage.address);
        vault_end(cut);
        vault_free(cut);
    }
    free(image);
    vault_free(vault);
}

/* What a device does to reads, and how the recovery ends. */
static void f07_reads_that_go_wrong(void) {
    static const struct {
        struct faster_fault_rule rule;
        int expected;
    } cases[] = {
        {{.fault = FASTER_FAULT_REFUSE, .argument = -EAGAIN, .times = 5}, FASTER_OK},
        {{.fault = FASTER_FAULT_FAIL, .argument = -EIO, .times = 1}, FASTER_OK},
        {{.fault = FASTER_FAULT_FAIL, .argument = 0, .times = 1}, FASTER_OK},
        {{.fault = FASTER_FAULT_SHORT, .argument = -512, .times = 3}, FASTER_OK},
        {{.fault = FASTER_FAULT_SHORT, .argument = -8, .times = 1}, FASTER_OK},
        {{.fault = FASTER_FAULT_BYTES, .argument = 1 << 30, .times = 1}, FASTER_OK},
        {{.fault = FASTER_FAULT_TWICE}, FASTER_OK},
        {{.fault = FASTER_FAULT_FOREIGN}, FASTER_OK},
        {{.fault = FASTER_FAULT_FAIL, .argument = -EIO, .begin = 4096, .end = 4608},
         -EIO},
        {{.fault = FASTER_FAULT_REFUSE, .argument = -ENODEV}, -ENODEV},
        {{.fault = FASTER_FAULT_FLIP, .argument = 999, .times = 1}, FASTER_E_CORRUPT},
        {{.fault = FASTER_FAULT_MISDIRECT, .argument = 512, .times = 1},
         FASTER_E_CORRUPT},
    };
    struct vault *vault = vault_new(KIT_WIDE);
    struct rng rng = rng_stream(4);
    vault_begin(vault);
    vault_fill(vault, &rng, KEYS, 2000);
    struct vault_facts facts = vault_facts(vault);
    vault_end(vault);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct faster_fault_rule rule = cases[i].rule;
        struct faster_faulty_stats stats;
        rule.kinds = FASTER_KIND_READ;
        vault->options = (struct kit_disk_options){.rules = &rule, .rules_count = 1};
        int result = vault_try(vault, &facts, NULL);
        CHECK(result == cases[i].expected, "case %zu: %d", i, result);
        faster_faulty_stats(vault->faulty, &stats);
        CHECK(stats.injected != 0, "case %zu", i);
        vault_end(vault);
        vault->options = (struct kit_disk_options){0};
        vault_recover(vault, &facts);
        vault_check(vault, KEYS);
        vault_end(vault);
    }
    vault_free(vault);
}

/* The address of the n-th record of the log, and its bytes. */
static uint64_t record_at(const struct record_layout *layout, uint8_t *image,
                          uint64_t n) {
    uint64_t address = ADDRESS_FIRST;
    for (uint64_t i = 0;;) { /* ends: the log has more records */
        struct record *record = (struct record *)(void *)(image + address);
        uint64_t info = record_info(record);
        if ((info & INFO_FILLER) != 0) {
            address += info_prev(info);
        } else if (i++ == n) {
            return address;
        } else {
            address += record_extent(layout, record);
        }
    }
}

/* F86: records whose checksum is right and whose header leads astray. */
static void f86_headers_that_lead_astray(void) {
    struct vault *vault = vault_new(KIT_TEXT);
    struct record_layout layout = {.fixed = false, .header = RECORD_VARLEN_HEADER};
    uint64_t middle;
    struct vault_facts facts = make_small(vault, &middle);
    uint8_t *image = malloc((size_t)facts.final);
    CHECK(image != NULL, "%s", "no memory");
    vault_peek(vault, 0, image, facts.final);
    uint64_t address = record_at(&layout, image, 20);
    struct record *record = (struct record *)(void *)(image + address);
    uint64_t extent = record_extent(&layout, record);
    const uint64_t infos[] = {
        info_make(address, 1, 0),                 /* itself */
        info_make(address + extent, 1, 0),        /* forward */
        info_make(INFO_PREV_MASK, 1, 0),          /* far forward */
        info_make(0, 1, (uint64_t)1 << 61),       /* a flag that nobody has */
        info_make(0, 1, 0) & ~INFO_WRITTEN,       /* not written */
        info_make(0, 0, INFO_FILLER),             /* a gap of nothing */
        info_make(12, 0, INFO_FILLER),            /* of no multiple */
        info_make(8, 0, INFO_FILLER),             /* that ends in a sector */
        info_make(KIT_DISK_PAGE, 0, INFO_FILLER), /* beyond the page */
        info_make(512, 7, INFO_FILLER),           /* with a version */
    };
    for (size_t i = 0; i < sizeof infos / sizeof infos[0]; i++) {
        struct faster_damage damage;
        struct record saved = *record;
        record_set_info(record, infos[i]);
        record->checksum =
            (infos[i] & INFO_FILLER) != 0
                ? filler_checksum(record, address, record_seed(KIT_DISK_ID, 1))
                : record_checksum(record, extent, address, record_seed(KIT_DISK_ID, 1));
        vault_poke(vault, address, record, sizeof *record);
        CHECK_INT(vault_try(vault, &facts, &damage), FASTER_E_CORRUPT);
        CHECK_U64(damage.address, address);
        CHECK_INT(damage.what, FASTER_DAMAGE_HEADER);
        CHECK_U64(damage.found, infos[i]);
        vault_end(vault);
        *record = saved;
    }
    const uint64_t lengths[] = {UINT64_MAX, lengths_make(0, 0xffff, 0),
                                lengths_make(0xffffffff, 3, 0),
                                lengths_make(3, 3, 0xffff)};
    vault_poke(vault, address, record, sizeof *record);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct faster_damage damage;
        vault_poke(vault, address + RECORD_FIXED_HEADER, &lengths[i], 8);
        CHECK_INT(vault_try(vault, &facts, &damage), FASTER_E_CORRUPT);
        CHECK_U64(damage.address, address);
        CHECK_INT(damage.what, FASTER_DAMAGE_BOUNDS);
        vault_end(vault);
    }
    free(image);
    vault_free(vault);
}

/* Memory that is refused at any moment: -ENOMEM, and the next attempt is right. */
static void every_allocation_may_fail(void) {
    struct vault *vault = vault_new(KIT_TEXT);
    uint64_t middle;
    struct vault_facts facts = make_small(vault, &middle);
    struct faster_recovery_config config = vault_config(&facts);
    struct faster_recovery *recovery;
    CHECK_INT(vault_open(vault, facts.final), FASTER_OK);
    for (uint64_t n = 0;; n++) { /* ends: a recovery takes few allocations */
        recovery = NULL;
        allocation_fail_at(n);
        int result = faster_recovery_begin(vault->kv, &config, &recovery);
        if (result == FASTER_OK) {
            result = faster_recovery_log(recovery, config.begin, config.log_until);
        }
        if (result == FASTER_OK) {
            result = faster_recovery_finish(recovery);
        }
        bool failed = allocation_failed();
        CHECK(failed ? result == -ENOMEM : result == FASTER_OK, "%" PRIu64 ": %d", n,
              result);
        if (recovery != NULL) {
            faster_recovery_free(recovery);
        }
        if (!failed) {
            break;
        }
    }
    vault->session = kit_session(vault->kv);
    vault_check(vault, KEYS);
    vault_end(vault);
    vault_free(vault);
}

HARNESS_MAIN(TEST(f23_a_byte_of_a_word_store), TEST(f23_a_byte_of_a_text_store),
             TEST(f24_a_sector_of_something_else), TEST(f25_a_device_that_ends_early),
             TEST(f07_reads_that_go_wrong), TEST(f86_headers_that_lead_astray),
             TEST(every_allocation_may_fail))
