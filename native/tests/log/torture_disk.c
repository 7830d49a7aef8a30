/* SPDX-License-Identifier: MIT */
/* Threads append, flush, evict, and read what they wrote, while every seventh write
 * fails and every other completion comes from a thread of the device. */
#include "log/disk_kit.h"

#include "base/thread.h"

enum { WRITERS = 3, APPENDS = 20000, LOOK_EVERY = 16 };

static const struct faster_fault_rule rules[] = {
    {.kinds = FASTER_KIND_WRITE,
     .fault = FASTER_FAULT_FAIL,
     .argument = -EIO,
     .nth = 3,
     .every = 7},
    {.kinds = FASTER_KIND_WRITE, .fault = FASTER_FAULT_FOREIGN, .every = 2},
};

struct torture {
    struct kit *kit;
    uint64_t *addresses[WRITERS]; /* each thread's own */
    _Atomic uint32_t writing;
};

static bool work(void *context) { return disk_work(context); }

static void begin(struct torture *torture, const struct kit_options *options) {
    struct kit *kit = kit_begin(options);
    torture->kit = kit;
    worker_destroy(&kit->worker);
    CHECK_INT(worker_init(&kit->worker, work, &kit->log), 0);
    CHECK_INT(worker_start(&kit->worker), 0);
    disk_ask(&kit->log);
    atomic_init(&torture->writing, WRITERS);
    for (int i = 0; i < WRITERS; i++) {
        torture->addresses[i] = calloc(harness_count(APPENDS), sizeof(uint64_t));
        CHECK(torture->addresses[i] != NULL, "%s", "no memory");
    }
}

static void end(struct torture *torture) {
    worker_stop(&torture->kit->worker);
    for (int i = 0; i < WRITERS; i++) {
        free(torture->addresses[i]);
    }
    kit_end(torture->kit);
}

/* Look at a record where it is: in memory, or on the device. */
static void look(struct kit *kit, struct epoch_slot *slot, uint64_t address,
                 uint64_t number) {
    _Alignas(8) uint8_t bytes[KIT_RECORD];
    uint64_t moved = 0;
    CHECK_INT(epoch_enter(&kit->epoch, slot), FASTER_OK);
    if (address >= hlog_head(&kit->log)) {
        kit_check_record(hlog_record(&kit->log, address), address, number, false);
        epoch_leave(&kit->epoch, slot);
        return;
    }
    epoch_leave(&kit->epoch, slot);
    CHECK_INT(device_read_wait(faster_faulty_device(kit->faulty), address, bytes,
                               sizeof bytes, &moved),
              FASTER_OK);
    CHECK_U64(moved, sizeof bytes);
    kit_check_record((struct record *)(void *)bytes, address, number, true);
}

static void append_and_look(struct torture *torture, uint32_t thread) {
    struct kit *kit = torture->kit;
    struct epoch_slot *slot = kit->slots[thread];
    struct rng rng = rng_stream(thread);
    uint64_t *addresses = torture->addresses[thread];
    for (uint64_t i = 0; i < harness_count(APPENDS); i++) {
        uint64_t number = (uint64_t)thread << 32 | i;
        int result = kit_append(kit, slot, number, &addresses[i]);
        while (result == FASTER_RETRY) { /* ends: the worker makes room */
            thread_yield();
            result = kit_append(kit, slot, number, &addresses[i]);
        }
        CHECK_INT(result, FASTER_OK);
        CHECK(i == 0 || addresses[i] > addresses[i - 1], "%" PRIu64, addresses[i]);
        if (i % LOOK_EVERY == 0) {
            uint64_t which = rng_below(&rng, i + 1);
            look(kit, slot, addresses[which], (uint64_t)thread << 32 | which);
        }
    }
    (void)atomic_fetch_sub_explicit(&torture->writing, 1, memory_order_acq_rel);
}

/* Wish for flushes and evictions of where the tail is. */
static void wish(struct torture *torture, uint32_t thread) {
    struct kit *kit = torture->kit;
    struct rng rng = rng_stream(thread);
    while (atomic_load_explicit(&torture->writing, memory_order_acquire) != 0) {
        bool evict = rng_below(&rng, 4) == 0;
        uint64_t until = 0;
        CHECK_INT(epoch_enter(&kit->epoch, kit->slots[thread]), FASTER_OK);
        int result = hlog_pad(&kit->log, evict ? KIT_PAGE : KIT_SECTOR, &until);
        epoch_leave(&kit->epoch, kit->slots[thread]);
        if (result == FASTER_OK && evict) {
            disk_want_evict(&kit->log, until);
        } else if (result == FASTER_OK) {
            disk_want_flush(&kit->log, until);
        }
        for (uint64_t i = rng_below(&rng, 2000); i > 0; i--) {
            thread_yield();
        }
    }
}

static void act(void *context, uint32_t thread) {
    if (thread < WRITERS) {
        append_and_look(context, thread);
    } else {
        wish(context, thread);
    }
}

static void i1_i2_what_was_appended_is_there(void) {
    struct torture torture;
    begin(&torture, &(struct kit_options){.rules = rules, .rules_count = 2});
    struct kit *kit = torture.kit;
    harness_threads(WRITERS + 1, act, &torture);
    for (uint32_t thread = 0; thread < WRITERS; thread++) {
        for (uint64_t i = 0; i < harness_count(APPENDS); i += 7) {
            look(kit, kit->slots[0], torture.addresses[thread][i],
                 (uint64_t)thread << 32 | i);
        }
    }
    CHECK(disk_closed_until(&kit->log) > KIT_RING * KIT_PAGE, "%s",
          "the ring was not used twice");
    kit_check_once(kit);
    end(&torture);
}

HARNESS_MAIN(TEST(i1_i2_what_was_appended_is_there))
