/* SPDX-License-Identifier: MIT */
/* pending.h when the device does wrong, late or nothing: never a wrong value, never a
 * touch of memory that is gone, and only those keys fail whose records are concerned */
#include "store/disk_kit.h"

enum { KEYS = 200, ONLY = 0 };

static struct kit_bytes word(uint64_t value) { return kit_value(KIT_WORD, value, 8); }

/* A store whose KEYS keys are on the device, and one rule that waits to be armed. */
static struct kit_disk begin(enum kit_kind kind, struct faster_fault_rule rule) {
    rule.nth = UINT64_MAX;
    struct kit_disk_options options = {.rules = &rule, .rules_count = 1};
    struct kit_disk disk = kit_disk_open(kind, &options);
    for (uint64_t i = 0; i < KEYS; i++) {
        struct kit_bytes key = kit_key(kind, i);
        struct kit_bytes value = kit_value(kind, i, 20 + i % 100);
        CHECK_INT(kit_upsert(disk.session, &key, &value), FASTER_OK);
    }
    kit_disk_evict(&disk);
    return disk;
}

static void expect_all(struct kit_disk *disk) {
    for (uint64_t i = 0; i < KEYS; i++) {
        struct kit_bytes key = kit_key(disk->kind, i);
        struct kit_bytes value = kit_value(disk->kind, i, 20 + i % 100);
        kit_disk_expect(disk->session, &key, &value);
    }
}

/* F04, F31: a bit of what is read is another.  Damage that matters is found; bits that
 * mean nothing on a device change nothing. */
static void f31_a_flipped_bit_is_never_a_value(void) {
    for (int kind = 0; kind < KIT_KINDS; kind++) {
        struct kit_disk disk =
            begin((enum kit_kind)kind,
                  (struct faster_fault_rule){.kinds = FASTER_KIND_READ,
                                             .fault = FASTER_FAULT_FLIP});
        struct kit_bytes key = kit_key(disk.kind, 7);
        struct kit_bytes value = kit_value(disk.kind, 7, 27);
        uint64_t corrupt = 0;
        for (int64_t bit = 0; bit < 8 * 60; bit++) {
            struct kit_bytes out = {.size = 0};
            disk.faulty->rules[ONLY].is.argument = bit;
            kit_disk_arm(&disk, ONLY, 0);
            int status = kit_run_read(disk.session, &key, &out);
            kit_disk_lift(&disk);
            bool right = status == FASTER_OK && kit_same(&out, &value);
            CHECK(right || status == FASTER_E_CORRUPT, "%d for bit %d", status,
                  (int)bit);
            corrupt += !right;
        }
        CHECK(corrupt >= 8 * 30 - 33 - 1, "only %" PRIu64, corrupt);
        expect_all(&disk);
        kit_disk_close(&disk);
    }
}

/* The same under an update: it fails, changes nothing, and is made when asked again. */
static void f31_a_damaged_record_is_not_updated(void) {
    struct kit_disk disk =
        begin(KIT_WORD, (struct faster_fault_rule){.kinds = FASTER_KIND_READ,
                                                   .fault = FASTER_FAULT_FLIP,
                                                   .argument = 8 * 24});
    struct kit_bytes key = word(7);
    struct kit_bytes one = word(1);
    struct kit_bytes eight = word(8);
    kit_disk_arm(&disk, ONLY, 0);
    CHECK_INT(kit_run_merge(disk.session, FASTER_MERGE_ADD, &key, &one, NULL),
              FASTER_E_CORRUPT);
    CHECK_INT(kit_run_write(disk.session, FASTER_INSERT, &key, &one), FASTER_E_CORRUPT);
    CHECK_INT(kit_run_write(disk.session, FASTER_DELETE, &key, NULL), FASTER_E_CORRUPT);
    kit_disk_lift(&disk);
    expect_all(&disk);
    CHECK_INT(kit_run_merge(disk.session, FASTER_MERGE_ADD, &key, &one, NULL),
              FASTER_OK);
    kit_disk_expect(disk.session, &key, &eight);
    kit_disk_close(&disk);
}

/* Reads that give bytes of another place, or none at all and say so as a success. */
static void f04_other_bytes_are_not_a_record(void) {
    static const struct faster_fault_rule rules[] = {
        {.kinds = FASTER_KIND_READ, .fault = FASTER_FAULT_MISDIRECT, .argument = 32},
        {.kinds = FASTER_KIND_READ, .fault = FASTER_FAULT_MISDIRECT, .argument = 4096},
        {.kinds = FASTER_KIND_READ, .fault = FASTER_FAULT_BYTES, .argument = 0},
        {.kinds = FASTER_KIND_READ, .fault = FASTER_FAULT_BYTES, .argument = 7},
        {.kinds = FASTER_KIND_READ, .fault = FASTER_FAULT_SHORT, .argument = 0},
    };
    for (int i = 0; i < 5; i++) {
        struct kit_disk disk = begin(KIT_WORD, rules[i]);
        struct kit_bytes key = word(7);
        struct kit_bytes out = {.size = 0};
        kit_disk_arm(&disk, ONLY, 0);
        CHECK_INT(kit_run_read(disk.session, &key, &out), FASTER_E_CORRUPT);
        kit_disk_lift(&disk);
        expect_all(&disk);
        kit_disk_close(&disk);
    }
}

/* F03: what a short read left out is read, and the result is the same. */
static void f03_a_short_read_is_completed(void) {
    static const int64_t lengths[] = {8, 16, 24, 31, -1, -8};
    for (int kind = 0; kind < KIT_KINDS; kind++) {
        for (int i = 0; i < 6; i++) {
            struct kit_disk disk =
                begin((enum kit_kind)kind,
                      (struct faster_fault_rule){.kinds = FASTER_KIND_READ,
                                                 .fault = FASTER_FAULT_SHORT,
                                                 .argument = lengths[i]});
            for (uint64_t number = 0; number < 20; number++) {
                struct kit_bytes key = kit_key(disk.kind, number);
                struct kit_bytes value = kit_value(disk.kind, number, 20 + number);
                kit_disk_arm(&disk, ONLY, 1);
                kit_disk_expect(disk.session, &key, &value);
            }
            CHECK_U64(faster_faulty_fired(disk.faulty, ONLY), 20);
            kit_disk_close(&disk);
        }
    }
}

/* F07: a read that fails once is made once more; one that fails again is told, and the
 * store is as healthy as before. */
static void f07_a_read_that_fails_once_is_made_again(void) {
    static const struct faster_fault_rule rules[] = {
        {.kinds = FASTER_KIND_READ, .fault = FASTER_FAULT_FAIL, .argument = -EIO},
        {.kinds = FASTER_KIND_READ, .fault = FASTER_FAULT_REFUSE, .argument = -EIO},
        {.kinds = FASTER_KIND_READ, .fault = FASTER_FAULT_CODE, .argument = 0},
        {.kinds = FASTER_KIND_READ, .fault = FASTER_FAULT_CODE, .argument = 7},
    };
    for (int i = 0; i < 4; i++) {
        struct kit_disk disk = begin(KIT_WORD, rules[i]);
        struct kit_bytes key = word(7);
        struct kit_bytes out = {.size = 0};
        struct faster_operation read_it = kit_operation(FASTER_READ, &key, NULL);
        struct faster_result result;
        kit_disk_arm(&disk, ONLY, 1);
        struct faster_pending *pending = kit_start_pending(disk.session, &read_it);
        CHECK_INT(kit_take(disk.session, pending, &out, &result), FASTER_OK);
        CHECK_U64(result.device_reads, 2);
        kit_disk_arm(&disk, ONLY, 2);
        CHECK_INT(kit_run_read(disk.session, &key, &out), -EIO);
        CHECK_U64(faster_faulty_fired(disk.faulty, ONLY), 3);
        expect_all(&disk);
        kit_disk_close(&disk);
    }
}

/* F83: a device that is full for now is asked again until it is not. */
static void f83_a_full_device_is_asked_again(void) {
    struct kit_disk disk =
        begin(KIT_WORD, (struct faster_fault_rule){.kinds = FASTER_KIND_READ,
                                                   .fault = FASTER_FAULT_REFUSE,
                                                   .argument = -EAGAIN});
    kit_disk_arm(&disk, ONLY, 50);
    expect_all(&disk);
    CHECK_U64(faster_faulty_fired(disk.faulty, ONLY), 50);
    kit_disk_close(&disk);
}

/* F08: of a bad range only the records fail that lie there. */
static void f08_a_bad_range_fails_its_keys_only(void) {
    struct kit_disk disk =
        begin(KIT_WORD, (struct faster_fault_rule){.kinds = FASTER_KIND_READ,
                                                   .fault = FASTER_FAULT_FAIL,
                                                   .argument = -EIO,
                                                   .begin = 1024,
                                                   .end = 2048});
    uint64_t failed = 0;
    kit_disk_arm(&disk, ONLY, 0);
    for (uint64_t i = 0; i < KEYS; i++) {
        struct kit_bytes key = word(i);
        struct kit_bytes out = {.size = 0};
        uint64_t address = ADDRESS_FIRST + i * 32;
        bool bad = address >= 1024 && address < 2048;
        int status = kit_run_read(disk.session, &key, &out);
        CHECK_INT(status, bad ? -EIO : FASTER_OK);
        CHECK(bad || kit_same(&out, &key), "key %" PRIu64, i);
        failed += bad;
    }
    CHECK_U64(failed, 32);
    CHECK_INT(kit_put_word(disk.session, 40, 40),
              FASTER_OK); /* F08: a write heals it */
    struct kit_bytes key = word(40);
    kit_disk_expect(disk.session, &key, &key);
    kit_disk_lift(&disk);
    expect_all(&disk);
    kit_disk_close(&disk);
}

/* F78: completions from another thread, within the submission, or twice. */
static void f78_completions_come_from_anywhere(void) {
    static const uint32_t faults[] = {FASTER_FAULT_FOREIGN, FASTER_FAULT_INLINE,
                                      FASTER_FAULT_TWICE};
    for (int i = 0; i < 3; i++) {
        struct kit_disk disk =
            begin(KIT_TEXT, (struct faster_fault_rule){.kinds = FASTER_KIND_READ |
                                                                FASTER_KIND_WRITE,
                                                       .fault = faults[i]});
        struct kit_bytes piece = kit_value(KIT_TEXT, 3, 5);
        kit_disk_arm(&disk, ONLY, 0);
        expect_all(&disk);
        for (uint64_t n = 0; n < KEYS; n++) {
            struct kit_bytes key = kit_key(KIT_TEXT, n);
            CHECK_INT(
                kit_run_merge(disk.session, FASTER_MERGE_APPEND, &key, &piece, NULL),
                FASTER_OK);
        }
        kit_disk_evict(&disk);
        for (uint64_t n = 0; n < KEYS; n++) {
            struct kit_bytes key = kit_key(KIT_TEXT, n);
            struct kit_bytes value = kit_value(KIT_TEXT, n, 20 + n % 100);
            memcpy(value.data + value.size, piece.data, 5);
            value.size += 5;
            kit_disk_expect(disk.session, &key, &value);
        }
        kit_disk_close(&disk);
    }
}

static struct faster_pending *start_read(struct kit_disk *disk, uint64_t number) {
    struct kit_bytes key = word(number);
    struct faster_operation read_it = kit_operation(FASTER_READ, &key, NULL);
    return kit_start_pending(disk->session, &read_it);
}

static void start_merge(struct kit_disk *disk, uint64_t number) {
    static const struct faster_merge add = {.kind = FASTER_MERGE_ADD};
    struct kit_bytes key = word(number);
    struct faster_operation rmw = kit_operation(FASTER_RMW, &key, &key);
    rmw.merge = &add;
    (void)kit_start_pending(disk->session, &rmw);
}

static const struct faster_fault_rule holds = {.kinds = FASTER_KIND_READ,
                                               .fault = FASTER_FAULT_HOLD};
static const struct faster_fault_rule never = {.kinds = FASTER_KIND_READ,
                                               .fault = FASTER_FAULT_NEVER};

/* A session ends while reads, updates and what waits behind them are on their way; the
 * late completions touch nothing that is gone (I2), and the budget is whole again. */
static void i2_a_session_ends_with_reads_in_flight(void) {
    struct kit_disk disk = begin(KIT_WORD, holds);
    struct faster_session *other = kit_session(disk.kv);
    kit_disk_arm(&disk, ONLY, 0);
    for (uint64_t i = 0; i < 20; i++) {
        (void)start_read(&disk, i);
        start_merge(&disk, i);
        start_merge(&disk, i); /* waits */
    }
    CHECK_INT(faster_wait(disk.session, NULL, 0), FASTER_E_TIMEOUT);
    faster_session_free(disk.session);
    CHECK(faster_faulty_release(disk.faulty) >= 20, "%s", "nothing was in flight");
    kit_disk_lift(&disk);
    disk.session = other;
    expect_all(&disk);
    kit_disk_close(&disk);
}

/* The session of what was read already, and of what nobody took. */
static void i2_a_session_ends_with_results_not_taken(void) {
    struct kit_disk disk = begin(KIT_WORD, holds);
    struct faster_session *other = kit_session(disk.kv);
    struct faster_pending *pending = start_read(&disk, 1);
    struct faster_pending *taken = NULL;
    (void)start_read(&disk, 2);
    (void)start_read(&disk, 3);
    CHECK_INT(faster_wait(disk.session, pending, KIT_DISK_WAIT_MS), FASTER_OK);
    CHECK_INT(faster_wait(disk.session, NULL, KIT_DISK_WAIT_MS), FASTER_OK);
    CHECK_INT(faster_next_finished(disk.session, &taken), FASTER_OK);
    (void)start_read(&disk, 4);
    faster_session_free(disk.session); /* one claimed, one taken, one left, one new */
    disk.session = other;
    kit_disk_close(&disk);
}

/* F76: the store is closed while reads are in flight, some of which never complete;
 * what the caller still holds is freed with the session. */
static void f76_a_store_closes_with_reads_in_flight(void) {
    static const struct faster_fault_rule *rules[] = {&holds, &never};
    for (int i = 0; i < 2; i++) {
        struct kit_disk disk = begin(KIT_WORD, *rules[i]);
        struct faster_pending *done = start_read(&disk, 1);
        struct faster_result result;
        CHECK_INT(faster_wait(disk.session, done, KIT_DISK_WAIT_MS), FASTER_OK);
        kit_disk_arm(&disk, ONLY, 0);
        struct faster_pending *pending = start_read(&disk, 2);
        start_merge(&disk, 3);
        start_merge(&disk, 3);
        CHECK_INT(faster_wait(disk.session, pending, 5), FASTER_E_TIMEOUT);
        CHECK_INT(faster_kv_close(disk.kv, 60000), FASTER_OK);
        CHECK_INT(faster_wait(disk.session, pending, 0), FASTER_E_CLOSED);
        faster_result_of(done, &result);
        CHECK_INT(result.status, FASTER_OK);
        CHECK_INT(faster_forget(disk.session, done), FASTER_E_CLOSED);
        kit_disk_close(&disk);
    }
}

/* F76: one read that never completes keeps nobody else. */
static void f76_one_read_that_never_ends_keeps_only_itself(void) {
    struct kit_disk disk = begin(KIT_WORD, never);
    kit_disk_arm(&disk, ONLY, 1);
    struct faster_pending *pending = start_read(&disk, 1);
    expect_all(&disk);
    struct kit_bytes one = word(1);
    for (uint64_t i = 0; i < KEYS; i++) {
        struct kit_bytes key = word(i);
        struct kit_bytes sum = word(i + 1);
        CHECK_INT(kit_run_merge(disk.session, FASTER_MERGE_ADD, &key, &one, NULL),
                  FASTER_OK);
        kit_disk_expect(disk.session, &key, &sum);
    }
    kit_disk_evict(&disk);
    CHECK_INT(faster_wait(disk.session, pending, 1), FASTER_E_TIMEOUT);
    CHECK_U64(faster_pending_count(disk.session), 1);
    kit_disk_close(&disk);
}

/* A device that wants to be driven is driven by who waits. */
static void a_driven_device_is_driven(void) {
    struct kit_disk_options options = {.capabilities_set = FASTER_DEVICE_DRIVEN};
    struct kit_disk disk = kit_disk_open(KIT_WORD, &options);
    for (uint64_t i = 0; i < KEYS; i++) {
        CHECK_INT(kit_put_word(disk.session, i, i), FASTER_OK);
    }
    kit_disk_evict(&disk);
    expect_all(&disk);
    kit_disk_close(&disk);
}

/* Reads that the device holds fill their share of the budget and no more; the next is
 * refused for now, and appends go on. */
static void appends_go_on_beside_what_is_held(void) {
    struct kit_disk disk = begin(KIT_WORD, holds);
    uint64_t started = 0;
    int result = FASTER_PENDING;
    kit_disk_arm(&disk, ONLY, 0);
    for (uint64_t i = 0; i < 5 * KEYS && result == FASTER_PENDING; i++) {
        struct kit_bytes key = word(i % KEYS);
        struct faster_operation read_it = kit_operation(FASTER_READ, &key, NULL);
        struct faster_pending *pending;
        uint64_t value;
        uint64_t size;
        result =
            faster_start(disk.session, &read_it, &value, sizeof value, &size, &pending);
        started += result == FASTER_PENDING;
    }
    CHECK_INT(result, FASTER_RETRY);
    CHECK(started >= 64 && started < 5 * KEYS, "%" PRIu64 " reads", started);
    CHECK_U64(faster_pending_count(disk.session), started);
    for (uint64_t i = 0; i < 25 * KEYS; i++) { /* keys that the index has: no growth */
        CHECK_INT(kit_put_word(disk.session, i % KEYS, i % KEYS), FASTER_OK);
        if (i % KEYS == KEYS - 1) {
            kit_disk_evict(&disk);
        }
    }
    kit_disk_lift(&disk);
    expect_all(&disk);
    kit_disk_close(&disk);
}

HARNESS_MAIN(TEST(f31_a_flipped_bit_is_never_a_value),
             TEST(f31_a_damaged_record_is_not_updated),
             TEST(f04_other_bytes_are_not_a_record),
             TEST(f03_a_short_read_is_completed),
             TEST(f07_a_read_that_fails_once_is_made_again),
             TEST(f83_a_full_device_is_asked_again),
             TEST(f08_a_bad_range_fails_its_keys_only),
             TEST(f78_completions_come_from_anywhere),
             TEST(i2_a_session_ends_with_reads_in_flight),
             TEST(i2_a_session_ends_with_results_not_taken),
             TEST(f76_a_store_closes_with_reads_in_flight),
             TEST(f76_one_read_that_never_ends_keeps_only_itself),
             TEST(a_driven_device_is_driven), TEST(appends_go_on_beside_what_is_held))
