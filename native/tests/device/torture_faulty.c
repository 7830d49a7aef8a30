/* SPDX-License-Identifier: MIT */
/* Every fault at once under several threads; clean under ThreadSanitizer. */
#include "device/kit.h"

enum { THREADS = 4, BLOCK = 512 };

struct shared {
    struct faster_faulty *faulty;
    struct faster_probe *probe;
    uint64_t operations;
};

static void ask(void *context, uint32_t thread) {
    struct shared *shared = context;
    struct rng rng = rng_stream(thread);
    uint8_t bytes[4 * BLOCK] = {0};
    uint64_t ticket;
    for (uint64_t i = 0; i < shared->operations; i++) {
        uint64_t offset = rng_below(&rng, 64) * BLOCK;
        uint64_t length = (1 + rng_below(&rng, 4)) * BLOCK;
        switch (rng_below(&rng, 4)) {
        case 0:
            (void)faster_probe_read(shared->probe, offset, length, 0, 0, &ticket);
            break;
        case 1:
            (void)faster_probe_write(shared->probe, offset, bytes, length, 0, 0,
                                     &ticket);
            break;
        case 2:
            (void)faster_probe_sync(shared->probe, 0, &ticket);
            break;
        default:
            (void)faster_faulty_release(shared->faulty);
            (void)faster_probe_poll(shared->probe);
            break;
        }
    }
}

/* After close every accepted request has ended: once, twice, or not at all if late. */
static void check_ends(struct shared *shared, uint64_t twice, uint64_t late) {
    uint64_t submitted = faster_probe_submitted(shared->probe);
    uint64_t completions = 0, accepted = 0, missing = 0;
    for (uint64_t ticket = 0; ticket < submitted; ticket++) {
        struct faster_probe_result result = kit_result(shared->probe, ticket);
        CHECK(result.completions <= 2, "%u completions", result.completions);
        CHECK(result.result == 0 || result.completions == 0, "refused %d, ended %u",
              result.result, result.completions);
        CHECK_U64(result.overrun, 0);
        accepted += result.result == 0;
        missing += result.result == 0 && result.completions == 0;
        completions += result.completions;
    }
    CHECK_U64(missing, late);
    CHECK_U64(completions, accepted + twice - late);
}

static void i2_i3_every_request_is_in_one_place(void) {
    struct faster_fault_rule rules[FASTER_FAULT_STALE];
    memset(rules, 0, sizeof rules);
    for (uint32_t fault = FASTER_FAULT_REFUSE; fault <= FASTER_FAULT_STALE; fault++) {
        struct faster_fault_rule *rule = &rules[fault - 1];
        rule->fault = fault;
        rule->nth = fault;
        rule->every = 17; /* so that no two always meet */
        rule->mask = 1;
        rule->argument = fault == FASTER_FAULT_TEAR ? 1 : 3 + fault;
    }
    struct faster_device *memory = kit_memory();
    struct shared shared = {.operations = harness_count(1500)};
    struct faster_faulty_config config = {
        .size = sizeof config,
        .rules = rules,
        .rules_count = FASTER_FAULT_STALE,
        .seed = harness_seed(),
    };
    CHECK_INT(faster_faulty_open(&config, memory, &shared.faulty), 0);
    shared.probe = kit_probe(faster_faulty_device(shared.faulty));
    harness_threads(THREADS, ask, &shared);
    CHECK_INT(faster_probe_close(shared.probe), 0);
    uint64_t twice = faster_faulty_fired(shared.faulty, FASTER_FAULT_TWICE - 1);
    uint64_t late = faster_faulty_fired(shared.faulty, FASTER_FAULT_LATE - 1);
    CHECK(twice > 0 && late > 0, "%" PRIu64 " and %" PRIu64, twice, late);
    check_ends(&shared, twice, late);
    CHECK_INT(faster_faulty_release(shared.faulty), (int64_t)late);
    check_ends(&shared, twice, 0);
    (void)faster_probe_close(shared.probe);
    faster_probe_free(shared.probe);
    faster_faulty_free(shared.faulty);
    faster_device_free(memory);
}

HARNESS_MAIN(TEST(i2_i3_every_request_is_in_one_place))
