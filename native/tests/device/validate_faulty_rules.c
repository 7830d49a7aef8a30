/* SPDX-License-Identifier: MIT */
/* faulty.h: which request a rule fires for. */
#include "device/kit.h"

enum { REQUESTS = 64 };

/* Submit syncs and tell by a bit each which failed. */
static uint64_t failing_syncs(const struct faster_fault_rule *rules, uint32_t count,
                              uint64_t seed, int reads_between) {
    struct faster_device *memory = kit_memory();
    struct faster_faulty *faulty;
    struct faster_faulty_config config = {
        .size = sizeof config, .rules = rules, .rules_count = count, .seed = seed};
    CHECK_INT(faster_faulty_open(&config, memory, &faulty), 0);
    struct faster_probe *probe = kit_probe(faster_faulty_device(faulty));
    uint64_t failed = 0;
    for (uint64_t i = 0; i < REQUESTS; i++) {
        for (int j = 0; j < reads_between; j++) {
            (void)kit_read(probe, 0, 1);
        }
        int32_t code = kit_result(probe, kit_sync(probe)).code;
        failed |= (uint64_t)(code != FASTER_DEVICE_DONE) << i;
    }
    (void)faster_probe_close(probe);
    faster_probe_free(probe);
    faster_faulty_free(faulty);
    faster_device_free(memory);
    return failed;
}

static struct faster_fault_rule failing(void) {
    return (struct faster_fault_rule){
        .kinds = FASTER_KIND_SYNC, .fault = FASTER_FAULT_FAIL, .argument = -EIO};
}

static uint64_t failing_by(struct faster_fault_rule rule) {
    return failing_syncs(&rule, 1, 1, 0);
}

static void nth_every_and_times_count(void) {
    struct faster_fault_rule rule = failing();
    CHECK_U64(failing_by(rule), UINT64_MAX); /* from the first, for ever */
    rule.nth = 4;
    CHECK_U64(failing_by(rule), UINT64_MAX << 3);
    rule.times = 1;
    CHECK_U64(failing_by(rule), 1 << 3);
    rule.times = 3;
    rule.every = 5;
    CHECK_U64(failing_by(rule), 1 << 3 | 1 << 8 | 1 << 13);
    rule.times = 0;
    rule.nth = 64;
    CHECK_U64(failing_by(rule), 1ull << 63);
}

static void chance_is_the_seeds_and_not_the_threads(void) {
    struct faster_fault_rule rule = failing();
    rule.probability = 1ull << 31;
    uint64_t first = failing_syncs(&rule, 1, 7, 0);
    CHECK_U64(failing_syncs(&rule, 1, 7, 0), first);
    CHECK_U64(failing_syncs(&rule, 1, 7, 3), first); /* other kinds change nothing */
    CHECK(failing_syncs(&rule, 1, 8, 0) != first, "%" PRIx64, first);
    int count = 0;
    for (int i = 0; i < REQUESTS; i++) {
        count += (int)(first >> i & 1);
    }
    CHECK(count > REQUESTS / 4 && count < 3 * REQUESTS / 4, "%d of %d", count,
          REQUESTS);
    rule.probability = 1;
    CHECK_U64(failing_by(rule), 0);
    rule.probability = 1ull << 32;
    CHECK_U64(failing_by(rule), UINT64_MAX);
}

static void i4_the_first_rule_that_fires_decides(void) {
    struct faster_fault_rule rules[] = {failing(), failing()};
    rules[0].nth = 3;
    rules[0].fault = FASTER_FAULT_CODE;
    rules[0].argument = FASTER_DEVICE_DONE; /* no fault at all */
    rules[0].times = 2;
    rules[1].nth = 2;
    rules[1].times = 3;
    /* 2 by the second rule; 3 and 4 by the first; then 5 and 6 by the second again. */
    CHECK_U64(failing_syncs(rules, 2, 1, 0), 1 << 1 | 1 << 4 | 1 << 5);
    /* The second rule has counted 3 although the first one decided it. */
    rules[0].times = 1;
    rules[1].every = 2;
    CHECK_U64(failing_syncs(rules, 2, 1, 0), 1 << 1 | 1 << 3 | 1 << 5);
}

static void ranges_are_what_a_request_touches(void) {
    struct faster_fault_rule rule = {
        .fault = FASTER_FAULT_FAIL, .begin = 1000, .end = 2000, .argument = -EIO};
    static const struct {
        uint64_t offset;
        uint64_t length;
        bool hit;
    } cases[] = {{0, 1000, false},  {0, 1001, true},  {999, 1, false},
                 {1000, 1, true},   {1999, 10, true}, {2000, 10, false},
                 {500, 5000, true}, {1000, 0, true},  {2000, 0, false}};
    struct faster_device *memory = kit_memory();
    struct faster_faulty *faulty;
    struct faster_faulty_config config = {
        .size = sizeof config, .rules = &rule, .rules_count = 1};
    CHECK_INT(faster_faulty_open(&config, memory, &faulty), 0);
    struct faster_probe *probe = kit_probe(faster_faulty_device(faulty));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t ticket = kit_read(probe, cases[i].offset, cases[i].length);
        CHECK_INT(kit_result(probe, ticket).code,
                  cases[i].hit ? -EIO : FASTER_DEVICE_DONE);
    }
    CHECK_INT(faster_probe_truncate_before(probe, 1500), -EIO);
    CHECK_INT(kit_result(probe, kit_sync(probe)).code, -EIO);
    (void)faster_probe_close(probe);
    faster_probe_free(probe);
    faster_faulty_free(faulty);
    faster_device_free(memory);
}

static void check_refused(struct faster_fault_rule rule) {
    struct faster_device *memory = kit_memory();
    struct faster_faulty *faulty = NULL;
    struct faster_faulty_config config = {
        .size = sizeof config, .rules = &rule, .rules_count = 1};
    CHECK_INT(faster_faulty_open(&config, memory, &faulty), -EINVAL);
    CHECK(faulty == NULL, "%p", (void *)faulty);
    CHECK_INT(faster_device_close(memory), 0);
    faster_device_free(memory);
}

static void rules_that_make_no_sense_are_refused(void) {
    struct faster_fault_rule rule = failing();
    rule.fault = 0;
    check_refused(rule);
    rule.fault = FASTER_FAULT_STALE + 1;
    check_refused(rule);
    rule.fault = FASTER_FAULT_TEAR; /* of a sync */
    check_refused(rule);
    rule = failing();
    rule.argument = 1ll << 40;
    check_refused(rule);
    rule.fault = FASTER_FAULT_REFUSE;
    rule.argument = 0; /* would be an acceptance */
    check_refused(rule);
    rule = failing();
    rule.begin = 2;
    rule.end = 1;
    check_refused(rule);
    rule = failing();
    rule.kinds = FASTER_KIND_CLOSE;
    check_refused(rule);
}

static void the_last_faults_are_remembered(void) {
    enum { FAULTS = 3000, KEPT = 1024 };
    struct faster_fault_rule rule = failing();
    struct faster_device *memory = kit_memory();
    struct faster_faulty *faulty;
    struct faster_faulty_config config = {
        .size = sizeof config, .rules = &rule, .rules_count = 1};
    struct faster_fault_event event;
    CHECK_INT(faster_faulty_open(&config, memory, &faulty), 0);
    struct faster_probe *probe = kit_probe(faster_faulty_device(faulty));
    CHECK_INT(faster_faulty_event(faulty, 0, &event), FASTER_NOT_FOUND);
    for (int i = 0; i < FAULTS; i++) {
        (void)kit_sync(probe);
    }
    CHECK_INT(faster_faulty_event(faulty, FAULTS, &event), FASTER_NOT_FOUND);
    CHECK_INT(faster_faulty_event(faulty, FAULTS - KEPT - 1, &event), FASTER_NOT_FOUND);
    for (uint64_t i = FAULTS - KEPT; i < FAULTS; i++) {
        CHECK_INT(faster_faulty_event(faulty, i, &event), FASTER_OK);
        CHECK_U64(event.number, i + 1);
        CHECK_U64(event.kind, FASTER_KIND_SYNC);
        CHECK_U64(event.fault, FASTER_FAULT_FAIL);
    }
    CHECK_U64(faster_faulty_fired(faulty, 0), FAULTS);
    CHECK_U64(faster_faulty_fired(faulty, 1), 0);
    (void)faster_probe_close(probe);
    faster_probe_free(probe);
    faster_faulty_free(faulty);
    faster_device_free(memory);
}

HARNESS_MAIN(TEST(nth_every_and_times_count),
             TEST(chance_is_the_seeds_and_not_the_threads),
             TEST(i4_the_first_rule_that_fires_decides),
             TEST(ranges_are_what_a_request_touches),
             TEST(rules_that_make_no_sense_are_refused),
             TEST(the_last_faults_are_remembered))
