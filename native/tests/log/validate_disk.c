/* SPDX-License-Identifier: MIT */
/* disk.h: what is flushed, what is freed, and what a device may do wrong.  The worker
 * is driven by hand, so every order of events here is the only one. */
#include "log/disk_kit.h"

enum { PER_PAGE = KIT_PAGE / KIT_RECORD };

static const struct kit_options plain = {.rules = NULL};

/* F77: the first write ends last, and until then nothing counts as flushed. */
static void i1_flushed_until_never_passes_a_hole(void) {
    static const struct faster_fault_rule rule = {
        .kinds = FASTER_KIND_WRITE, .fault = FASTER_FAULT_HOLD, .times = 1};
    struct kit *kit =
        kit_begin(&(struct kit_options){.rules = &rule, .rules_count = 1});
    kit_fill(kit, 3 * PER_PAGE);
    uint64_t until = kit_want(kit, KIT_SECTOR, false);
    kit_settle(kit);
    CHECK(faster_recording_count(kit->recording) >= 2, "%s", "nothing has overtaken");
    CHECK_U64(disk_flushed_until(&kit->log), 0);
    CHECK_INT(faster_faulty_release(kit->faulty), 1);
    kit_settle(kit);
    CHECK_U64(disk_flushed_until(&kit->log), until);
    CHECK_U64(kit_check_device(kit), kit->appended);
    kit_check_once(kit);
    kit_end(kit);
}

/* Writes that end in every order: each leaves exactly the prefix. */
static void i1_completions_in_any_order_give_the_prefix(void) {
    struct rng rng = rng_stream(1);
    for (uint64_t turn = 0; turn < harness_count(30); turn++) {
        struct faster_fault_rule rules[4];
        for (uint32_t i = 0; i < 4; i++) {
            rules[i] =
                (struct faster_fault_rule){.kinds = FASTER_KIND_WRITE,
                                           .fault = FASTER_FAULT_HOLD,
                                           .nth = i + 1,
                                           .times = 1,
                                           .argument = 1 + (int64_t)rng_below(&rng, 4)};
        }
        struct kit *kit =
            kit_begin(&(struct kit_options){.rules = rules, .rules_count = 4});
        kit_fill(kit, 3 * PER_PAGE);
        for (int i = 0; i < 10; i++) {
            (void)kit_want(kit, KIT_SECTOR, false);
            (void)kit_round(kit);
            (void)kit_check_device(kit);
            kit_fill(kit, 10);
        }
        (void)faster_faulty_release(kit->faulty);
        uint64_t until = kit_want(kit, KIT_SECTOR, false);
        kit_settle(kit);
        CHECK_U64(disk_flushed_until(&kit->log), until);
        CHECK_U64(kit_check_device(kit), kit->appended);
        kit_end(kit);
    }
}

static const struct faster_fault_rule bad_writes[] = {
    {.fault = FASTER_FAULT_SHORT, .argument = 512},   /* F01 */
    {.fault = FASTER_FAULT_SHORT, .argument = -1},    /* F01 */
    {.fault = FASTER_FAULT_BYTES, .argument = 0},     /* F02 */
    {.fault = FASTER_FAULT_CODE, .argument = 0},      /* F02: 0 is no success */
    {.fault = FASTER_FAULT_FAIL, .argument = -EIO},   /* F05 */
    {.fault = FASTER_FAULT_REFUSE, .argument = -EIO}, /* F05 */
};

enum { BAD_WRITES = sizeof bad_writes / sizeof bad_writes[0] };

/* F01, F02, F05: a write that fails less often than it is tried is made good, and
 * nothing is lost or counted too early. */
static void i1_a_write_that_fails_is_made_again(void) {
    for (uint32_t i = 0; i < BAD_WRITES; i++) {
        struct faster_fault_rule rule = bad_writes[i];
        rule.kinds = FASTER_KIND_WRITE;
        rule.nth = 2;
        rule.times = DISK_ATTEMPTS - 1;
        struct kit *kit =
            kit_begin(&(struct kit_options){.rules = &rule, .rules_count = 1});
        kit_fill(kit, 6 * PER_PAGE);
        uint64_t until = kit_want(kit, KIT_SECTOR, false);
        kit_settle(kit);
        CHECK_U64(faster_faulty_fired(kit->faulty, 0), DISK_ATTEMPTS - 1);
        CHECK_U64(disk_flushed_until(&kit->log), until);
        CHECK_U64(kit_check_device(kit), kit->appended);
        kit_end(kit);
    }
}

/* F83: a device that is full for now is asked until it is not, however often that is;
 * between two attempts it is polled. */
static void f83_a_full_device_is_asked_again(void) {
    static const struct faster_fault_rule rule = {.kinds = FASTER_KIND_WRITE,
                                                  .fault = FASTER_FAULT_REFUSE,
                                                  .argument = -EAGAIN,
                                                  .times = 4 * DISK_ATTEMPTS};
    struct kit *kit =
        kit_begin(&(struct kit_options){.rules = &rule, .rules_count = 1});
    struct disk_failure failure = {0, 0, 0};
    kit_fill(kit, 3 * PER_PAGE);
    uint64_t until = kit_want(kit, KIT_SECTOR, false);
    for (int round = 0; round < 2 * DISK_ATTEMPTS; round++) {
        CHECK(kit_round(kit), "%s", "the worker rests");
        CHECK_INT(disk_failed(&kit->log, &failure), FASTER_OK);
        CHECK_U64(disk_flushed_until(&kit->log), 0);
    }
    kit_settle(kit);
    CHECK_U64(disk_flushed_until(&kit->log), until);
    CHECK_U64(kit_check_device(kit), kit->appended);
    kit_end(kit);
}

/* F06, L4: after DISK_ATTEMPTS tries the failure is told, with its range; nothing in
 * memory is dropped, appends end with the error, and a resume goes on. */
static void i1_a_failure_that_stays_stops_writing_until_resumed(void) {
    for (uint32_t i = 0; i < BAD_WRITES; i++) {
        struct faster_fault_rule rule = bad_writes[i];
        rule.kinds = FASTER_KIND_WRITE;
        rule.nth = 2;
        struct kit *kit =
            kit_begin(&(struct kit_options){.rules = &rule, .rules_count = 1});
        struct disk_failure failure = {0, 0, 0};
        int result = kit_fill_up(kit);
        CHECK_INT(result, rule.argument < -1 ? rule.argument : -EIO);
        CHECK_INT(disk_failed(&kit->log, &failure), result);
        CHECK_INT(failure.status, result);
        CHECK_U64(failure.from, disk_flushed_until(&kit->log));
        CHECK(failure.until > failure.from, "%" PRIu64, failure.until);
        CHECK(disk_bytes(&kit->log) >= (KIT_FRAMES - 1) * KIT_PAGE,
              "only %" PRIu64 " bytes were filled", disk_bytes(&kit->log));
        uint64_t tries = faster_faulty_fired(kit->faulty, 0);
        for (int round = 0; round < 5; round++) { /* no write goes out by itself */
            (void)kit_round(kit);
        }
        CHECK_U64(faster_faulty_fired(kit->faulty, 0), tries);
        uint64_t kept = kit->appended;
        kit_lift(kit);
        disk_resume(&kit->log); /* who has asked is not told of the old failure */
        CHECK_INT(disk_failed(&kit->log, &failure), FASTER_OK);
        kit_settle(kit);
        CHECK_INT(disk_failed(&kit->log, &failure), FASTER_OK);
        kit_fill(kit, 4 * PER_PAGE);
        (void)kit_want(kit, KIT_SECTOR, false);
        kit_settle(kit);
        CHECK_U64(kit_check_device(kit), kept + 4 * PER_PAGE);
        kit_end(kit);
    }
}

/* F09: room on the device that comes back is used without a resume. */
static void i1_lack_of_space_ends_by_itself(void) {
    static const int codes[] = {-ENOSPC, -EDQUOT}; /* F10 */
    for (int i = 0; i < 2; i++) {
        struct faster_fault_rule rule = {.kinds = FASTER_KIND_WRITE,
                                         .fault = FASTER_FAULT_FAIL,
                                         .nth = 3,
                                         .argument = codes[i]};
        struct kit *kit =
            kit_begin(&(struct kit_options){.rules = &rule, .rules_count = 1});
        struct disk_failure failure = {0, 0, 0};
        CHECK_INT(kit_fill_up(kit), codes[i]);
        CHECK_INT(disk_failed(&kit->log, &failure), codes[i]);
        uint64_t refused = kit->appended;
        kit_lift(kit);
        int result = codes[i];
        for (int round = 0; result == codes[i] && round < 10; round++) {
            (void)kit_round(kit);
            result = kit_append_wait(kit);
        }
        CHECK_INT(result, FASTER_OK);
        CHECK_U64(kit->appended, refused + 1);
        CHECK_INT(disk_failed(&kit->log, &failure), FASTER_OK);
        kit_fill(kit, 4 * PER_PAGE);
        (void)kit_want(kit, KIT_SECTOR, false);
        kit_settle(kit);
        CHECK_U64(kit_check_device(kit), kit->appended);
        kit_end(kit);
    }
}

/* Nothing is written, so nothing leaves memory, whoever asks; and appends end in
 * FASTER_RETRY, not in an error, while the device may still answer (F76). */
static void i1_head_never_passes_flushed_until(void) {
    static const struct faster_fault_rule rule = {.kinds = FASTER_KIND_WRITE,
                                                  .fault = FASTER_FAULT_HOLD};
    struct kit *kit =
        kit_begin(&(struct kit_options){.rules = &rule, .rules_count = 1});
    CHECK_INT(kit_fill_up(kit), FASTER_RETRY);
    kit_settle(kit);
    disk_want_evict(&kit->log, hlog_tail(&kit->log) & ~(uint64_t)(KIT_PAGE - 1));
    kit_settle(kit);
    CHECK_U64(hlog_head(&kit->log), ADDRESS_FIRST);
    CHECK_U64(disk_flushed_until(&kit->log), 0);
    CHECK_U64(disk_closed_until(&kit->log), 0);
    struct record *first = hlog_record(&kit->log, ADDRESS_FIRST);
    kit_check_record(first, ADDRESS_FIRST, 0, false);
    kit_lift(kit);
    CHECK(faster_faulty_release(kit->faulty) > 0, "%s", "nothing was held");
    kit_fill(kit, 4 * PER_PAGE);
    CHECK(hlog_head(&kit->log) > ADDRESS_FIRST, "%s", "head stays");
    (void)kit_want(kit, KIT_SECTOR, false);
    kit_settle(kit);
    CHECK_U64(kit_check_device(kit), kit->appended);
    kit_end(kit);
}

/* Trap X: ring slots that are not zeroed.  A frame that is made ready has not one byte
 * of what it held before. */
static void i2_a_frame_reads_zero_when_it_is_taken_again(void) {
    struct kit *kit = kit_begin(&plain);
    uint64_t checked = 0;
    for (uint64_t page = 0; page < 5 * KIT_RING; page++) {
        kit_fill(kit, PER_PAGE);
        kit_settle(kit);
        uint64_t tail = hlog_tail(&kit->log);
        uint64_t ready = disk_closed_until(&kit->log) + disk_bytes(&kit->log);
        for (; tail < ready; tail += 8, checked++) {
            CHECK_U64(record_info(hlog_record(&kit->log, tail)), 0);
        }
    }
    CHECK(disk_closed_until(&kit->log) > 2 * KIT_RING * KIT_PAGE,
          "the ring was used only until %" PRIu64, disk_closed_until(&kit->log));
    CHECK(checked > KIT_RING * KIT_PAGE / 8, "%" PRIu64, checked);
    kit_end(kit);
}

/* A page that somebody borrows stays, with all behind it; appends are told that there
 * is no room, and go on when it is given back. */
static void i2_a_pinned_page_keeps_its_frame(void) {
    struct kit *kit = kit_begin(&plain);
    kit_fill(kit, 2 * PER_PAGE);
    CHECK_INT(epoch_enter(&kit->epoch, kit->slots[1]), FASTER_OK);
    uint64_t page = hlog_pin(&kit->log, KIT_PAGE);
    epoch_leave(&kit->epoch, kit->slots[1]);
    struct record *borrowed = hlog_record(&kit->log, KIT_PAGE);
    CHECK_INT(kit_fill_up(kit), FASTER_E_FULL);
    CHECK_U64(hlog_pinned(&kit->log), 1);
    CHECK(hlog_head(&kit->log) > KIT_PAGE, "%" PRIu64, hlog_head(&kit->log));
    CHECK_U64(disk_closed_until(&kit->log), KIT_PAGE);
    kit_check_record(borrowed, KIT_PAGE, PER_PAGE - ADDRESS_FIRST / KIT_RECORD, true);
    hlog_unpin(&kit->log, page);
    int result = FASTER_E_FULL;
    for (int round = 0; result == FASTER_E_FULL && round < 10; round++) {
        result = kit_append_wait(kit);
        (void)kit_round(kit);
    }
    CHECK_INT(result, FASTER_OK);
    kit_fill(kit, 4 * KIT_RING * PER_PAGE);
    kit_end(kit);
}

struct watcher {
    struct kit *kit;
    _Atomic bool inside;
    _Atomic bool done;
};

/* Thread 0 is inside with a pointer into the first page; thread 1 is the worker. */
static void watch(void *context, uint32_t thread) {
    struct watcher *watcher = context;
    struct kit *kit = watcher->kit;
    if (thread == 1) {
        while (!atomic_load_explicit(&watcher->inside, memory_order_acquire)) {
            thread_yield();
        }
        kit_settle(kit);
        atomic_store_explicit(&watcher->done, true, memory_order_release);
        return;
    }
    CHECK_INT(epoch_enter(&kit->epoch, kit->slots[1]), FASTER_OK);
    CHECK_U64(hlog_head(&kit->log), ADDRESS_FIRST);
    struct record *record = hlog_record(&kit->log, ADDRESS_FIRST);
    atomic_store_explicit(&watcher->inside, true, memory_order_release);
    while (hlog_head(&kit->log) == ADDRESS_FIRST) { /* ends: the worker moves it */
        thread_yield();
    }
    for (int i = 0; i < 2000; i++) { /* the worker has its chance to be wrong */
        kit_check_record(record, ADDRESS_FIRST, 0, true);
        CHECK_U64(disk_closed_until(&kit->log), 0);
        thread_yield();
    }
    CHECK(!atomic_load_explicit(&watcher->done, memory_order_acquire), "%s",
          "the worker did not wait");
    epoch_leave(&kit->epoch, kit->slots[1]);
}

/* What one thread may still look at is not freed before it has left. */
static void i2_a_frame_waits_until_everyone_has_seen_head(void) {
    struct kit *kit = kit_begin(&plain);
    struct watcher watcher = {.kit = kit};
    kit_fill(kit, 2 * PER_PAGE);
    uint64_t until = kit_want(kit, KIT_SECTOR, false);
    kit_settle(kit);
    CHECK_U64(disk_flushed_until(&kit->log), until);
    CHECK_U64(hlog_head(&kit->log), ADDRESS_FIRST);
    disk_want_evict(&kit->log, KIT_PAGE);
    harness_threads(2, watch, &watcher);
    CHECK_U64(disk_closed_until(&kit->log), KIT_PAGE);
    kit_end(kit);
}

/* Thread 0 is inside since before read_only moved; thread 1 is the worker, which may
 * write nothing before thread 0 has left. */
static void change_late(void *context, uint32_t thread) {
    struct watcher *watcher = context;
    struct kit *kit = watcher->kit;
    if (thread == 1) {
        while (!atomic_load_explicit(&watcher->inside, memory_order_acquire)) {
            thread_yield();
        }
        kit_settle(kit);
        return;
    }
    CHECK_INT(epoch_enter(&kit->epoch, kit->slots[1]), FASTER_OK);
    atomic_store_explicit(&watcher->inside, true, memory_order_release);
    while (hlog_read_only(&kit->log) == ADDRESS_FIRST) { /* ends: the worker moves it */
        thread_yield();
    }
    for (int i = 0; i < 2000; i++) {
        CHECK_U64(hlog_safe_read_only(&kit->log), ADDRESS_FIRST);
        CHECK_U64(faster_recording_count(kit->recording), 0);
        thread_yield();
    }
    uint64_t value = kit_value_of(0);
    struct record *record = hlog_record(&kit->log, ADDRESS_FIRST);
    memcpy((uint8_t *)record + RECORD_FIXED_HEADER + 8, &value, 8);
    epoch_leave(&kit->epoch, kit->slots[1]);
}

/* An update in place that began before read_only moved is on the device. */
static void i1_writes_wait_for_updates_in_place(void) {
    struct kit *kit = kit_begin(&plain);
    struct watcher watcher = {.kit = kit};
    uint64_t wrong = 0;
    kit_fill(kit, PER_PAGE / 2);
    struct record *record = hlog_record(&kit->log, ADDRESS_FIRST);
    memcpy((uint8_t *)record + RECORD_FIXED_HEADER + 8, &wrong, 8);
    uint64_t until = kit_want(kit, KIT_SECTOR, false);
    harness_threads(2, change_late, &watcher);
    CHECK_U64(disk_flushed_until(&kit->log), until);
    CHECK_U64(kit_check_device(kit), kit->appended);
    kit_end(kit);
}

struct trio {
    struct kit *kit;
    uint64_t until;
    uint64_t epoch; /* before the worker's first bump */
    _Atomic int
        stage; /* 1: the early one is inside, 2: the late one, too; 3: written */
};

static void await_stage(struct trio *trio, int stage) {
    while (atomic_load_explicit(&trio->stage, memory_order_acquire) < stage) {
        thread_yield();
    }
}

static void set_stage(struct trio *trio, int stage) {
    atomic_store_explicit(&trio->stage, stage, memory_order_release);
}

/* Thread 0 keeps safe_read_only back until thread 1 is inside, who entered before it
 * moved and may still set bits of a record below; thread 2 is the worker. */
static void seal_late(void *context, uint32_t thread) {
    struct trio *trio = context;
    struct kit *kit = trio->kit;
    if (thread == 2) {
        await_stage(trio, 1);
        kit_settle(kit);
        return;
    }
    if (thread == 0) {
        CHECK_INT(epoch_enter(&kit->epoch, kit->slots[1]), FASTER_OK);
        set_stage(trio, 1);
        await_stage(trio, 2);
        epoch_leave(&kit->epoch, kit->slots[1]);
        return;
    }
    await_stage(trio, 1);
    /* Ends: the worker bumps once read_only has moved.  Its first wait is not for who
     * enters after that. */
    while (atomic_load_explicit(&kit->epoch.current, memory_order_seq_cst) ==
           trio->epoch) {
        thread_yield();
    }
    CHECK_INT(epoch_enter(&kit->epoch, kit->slots[2]), FASTER_OK);
    set_stage(trio, 2);
    while (hlog_safe_read_only(&kit->log) < trio->until) { /* ends: likewise */
        thread_yield();
    }
    struct record *record = hlog_record(&kit->log, ADDRESS_FIRST);
    for (int i = 0; i < 2000; i++) {
        CHECK_U64(faster_recording_count(kit->recording), 0);
        thread_yield();
    }
    record_set_info(record, record_info(record) | INFO_SEALED);
    epoch_leave(&kit->epoch, kit->slots[2]);
}

/* Two epochs lie between read_only and the write: one for updates in place, one for the
 * bits that mean nothing on a device. */
static void i1_writes_wait_for_whoever_seals(void) {
    struct kit *kit = kit_begin(&plain);
    struct trio trio = {.kit = kit};
    kit_fill(kit, PER_PAGE / 2);
    trio.until = kit_want(kit, KIT_SECTOR, false);
    trio.epoch = atomic_load_explicit(&kit->epoch.current, memory_order_relaxed);
    harness_threads(3, seal_late, &trio);
    CHECK_U64(disk_flushed_until(&kit->log), trio.until);
    CHECK_U64(kit_check_device(kit), kit->appended);
    kit_end(kit);
}

/* Trap X09: what is appended to a page behind a flush in its middle is flushed too, and
 * no sector twice (I3, L5). */
static void i3_records_behind_a_flush_are_written_once(void) {
    struct kit *kit = kit_begin(&plain);
    for (int i = 0; i < 60; i++) {
        kit_fill(kit, 1 + (uint64_t)i % 23);
        uint64_t until = kit_want(kit, KIT_SECTOR, i % 10 == 9);
        kit_settle(kit);
        CHECK_U64(disk_flushed_until(&kit->log), until);
        CHECK_U64(kit_check_device(kit), kit->appended);
    }
    kit_fill(kit, 400);
    uint64_t until = kit_want(kit, KIT_PAGE, true);
    kit_settle(kit);
    CHECK_U64(disk_closed_until(&kit->log), until);
    CHECK_U64(kit_check_device(kit), kit->appended);
    kit_check_once(kit);
    kit_end(kit);
}

/* A shift of read_only to the middle of a sector, from outside: the sector waits. */
static void i3_a_shift_from_outside_leaves_the_last_sector(void) {
    struct kit *kit = kit_begin(&plain);
    for (int i = 0; i < 40; i++) {
        kit_fill(kit, 1 + (uint64_t)i % 7);
        uint64_t read_only = hlog_shift_read_only(&kit->log);
        epoch_drain(&kit->epoch);
        kit_settle(kit);
        CHECK_U64(disk_flushed_until(&kit->log), read_only & ~(uint64_t)511);
        (void)kit_check_device(kit);
    }
    (void)kit_want(kit, KIT_SECTOR, false);
    kit_settle(kit);
    CHECK_U64(kit_check_device(kit), kit->appended);
    kit_check_once(kit);
    kit_end(kit);
}

/* What is wanted only rises: an older, lower wish takes nothing back. */
static void i4_wishes_never_fall(void) {
    struct kit *kit = kit_begin(&plain);
    kit_fill(kit, 3 * PER_PAGE);
    uint64_t until = kit_want(kit, KIT_PAGE, true);
    disk_want_evict(&kit->log, KIT_PAGE);
    disk_want_flush(&kit->log, KIT_SECTOR);
    kit_settle(kit);
    CHECK_U64(disk_closed_until(&kit->log), until);
    CHECK_U64(disk_flushed_until(&kit->log), until);
    kit_end(kit);
}

/* Writes keep to the device's largest request, whatever it is. */
static void writes_keep_to_max_io(void) {
    static const uint64_t sizes[] = {512, 1024, 1536, 3000, 4096, 5000};
    for (int i = 0; i < 6; i++) {
        struct kit *kit = kit_begin(&(struct kit_options){.max_io = sizes[i]});
        kit_fill(kit, 12 * PER_PAGE);
        (void)kit_want(kit, KIT_SECTOR, false);
        kit_settle(kit);
        CHECK_U64(kit_check_device(kit), kit->appended);
        for (uint64_t n = 0; n < faster_recording_count(kit->recording); n++) {
            struct faster_recording_event event;
            CHECK_INT(faster_recording_event(kit->recording, n, &event), FASTER_OK);
            CHECK(event.length <= sizes[i], "%" PRIu64, event.length);
        }
        kit_check_once(kit);
        kit_end(kit);
    }
}

/* Sectors and alignments up to a page are kept to, whatever the other is. */
static void sectors_may_be_as_large_as_pages(void) {
    static const struct kit_options devices[] = {
        {.sector_size = KIT_PAGE, .alignment = 1},
        {.sector_size = 512, .alignment = KIT_PAGE},
        {.sector_size = KIT_PAGE, .alignment = KIT_PAGE, .max_io = KIT_PAGE},
    };
    for (int i = 0; i < 3; i++) {
        struct kit *kit = kit_begin(&devices[i]);
        for (int turn = 0; turn < 20; turn++) {
            kit_fill(kit, 100);
            uint64_t until = kit_want(kit, KIT_PAGE, false);
            kit_settle(kit);
            CHECK_U64(disk_flushed_until(&kit->log), until);
        }
        CHECK_U64(disk_unit(&kit->log), KIT_PAGE);
        CHECK_U64(kit_check_device(kit), kit->appended);
        kit_check_once(kit);
        kit_end(kit);
    }
}

/* Whatever share stays mutable, the tail finds room: what must leave is flushed. */
static void every_mutable_share_leaves_room(void) {
    static const uint32_t shares[] = {1, 250, 500, 900, 950, 999, 1000};
    for (int i = 0; i < 7; i++) {
        struct kit *kit =
            kit_begin(&(struct kit_options){.mutable_permille = shares[i]});
        kit_fill(kit, 3 * KIT_RING * PER_PAGE);
        CHECK(disk_bytes(&kit->log) <= KIT_FRAMES * KIT_PAGE, "%" PRIu64,
              disk_bytes(&kit->log));
        kit_end(kit);
    }
}

/* Others may take the whole budget and more: the log gives all but its least frames
 * back, says so (`dry`), and goes on with those. */
static void what_others_want_is_given_back(void) {
    struct kit *kit = kit_begin(&plain);
    kit_fill(kit, 10 * PER_PAGE);
    CHECK(!budget_take(&kit->budget, 3 * KIT_PAGE), "%s", "there is room");
    CHECK_INT(budget_want(&kit->budget, 3 * KIT_PAGE), FASTER_RETRY);
    kit_settle(kit);
    CHECK(budget_take(&kit->budget, 3 * KIT_PAGE), "%s", "nothing was given");
    budget_sated(&kit->budget);
    kit_fill(kit, 10 * PER_PAGE);
    CHECK(disk_bytes(&kit->log) <= (KIT_FRAMES - 3) * KIT_PAGE, "%" PRIu64,
          disk_bytes(&kit->log));
    budget_force(&kit->budget, 20 * KIT_PAGE);
    (void)budget_want(&kit->budget, KIT_PAGE);
    kit_settle(kit);
    CHECK_INT(budget_want(&kit->budget, KIT_PAGE), FASTER_E_FULL);
    budget_sated(&kit->budget);
    kit_fill(kit, 4 * KIT_RING * PER_PAGE);
    budget_give(&kit->budget, 23 * KIT_PAGE);
    kit_settle(kit);
    kit_fill(kit, 10 * PER_PAGE);
    kit_settle(kit);
    CHECK_U64(disk_bytes(&kit->log), KIT_FRAMES * KIT_PAGE); /* nobody wants anything */
    kit_end(kit);
}

HARNESS_MAIN(
    TEST(i1_flushed_until_never_passes_a_hole),
    TEST(i1_completions_in_any_order_give_the_prefix),
    TEST(i1_a_write_that_fails_is_made_again), TEST(f83_a_full_device_is_asked_again),
    TEST(i1_a_failure_that_stays_stops_writing_until_resumed),
    TEST(i1_lack_of_space_ends_by_itself), TEST(i1_head_never_passes_flushed_until),
    TEST(i1_writes_wait_for_updates_in_place), TEST(i1_writes_wait_for_whoever_seals),
    TEST(i2_a_frame_reads_zero_when_it_is_taken_again),
    TEST(i2_a_pinned_page_keeps_its_frame),
    TEST(i2_a_frame_waits_until_everyone_has_seen_head),
    TEST(i3_records_behind_a_flush_are_written_once),
    TEST(i3_a_shift_from_outside_leaves_the_last_sector), TEST(i4_wishes_never_fall),
    TEST(writes_keep_to_max_io), TEST(sectors_may_be_as_large_as_pages),
    TEST(every_mutable_share_leaves_room), TEST(what_others_want_is_given_back))
