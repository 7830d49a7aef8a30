/* SPDX-License-Identifier: MIT */
/* pending.h: operations on records that only the device has end as they would have in
 * memory, in the order that api.h promises */
#include <fcntl.h>
#include <unistd.h>

#include "store/disk_kit.h"

enum { KEYS = 100, HOLD_READS = 0 };

static const struct kit_disk_options plain = {.rules = NULL};

/* Holds reads once it is armed. */
static const struct faster_fault_rule holding = {
    .kinds = FASTER_KIND_READ, .fault = FASTER_FAULT_HOLD, KIT_DISK_UNARMED};
static const struct kit_disk_options held = {.rules = &holding, .rules_count = 1};

static struct kit_bytes word(uint64_t value) { return kit_value(KIT_WORD, value, 8); }

static void fill(struct kit_disk *disk, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        struct kit_bytes key = kit_key(disk->kind, i);
        struct kit_bytes value = kit_value(disk->kind, i, i % 300);
        CHECK_INT(kit_upsert(disk->session, &key, &value), FASTER_OK);
    }
}

static void fill_words(struct kit_disk *disk, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        CHECK_INT(kit_put_word(disk->session, i, 1000 + i), FASTER_OK);
    }
    kit_disk_evict(disk);
}

static void i3_reads_give_what_was_written(void) {
    for (int kind = 0; kind < KIT_KINDS; kind++) {
        struct kit_disk disk = kit_disk_open((enum kit_kind)kind, &plain);
        fill(&disk, KEYS);
        kit_disk_evict(&disk);
        for (uint64_t i = 0; i < 2 * KEYS; i++) {
            struct kit_bytes key = kit_key(disk.kind, i);
            struct kit_bytes value = kit_value(disk.kind, i, i % 300);
            kit_disk_expect(disk.session, &key, i < KEYS ? &value : NULL);
        }
        CHECK(kit_disk_reads(&disk) >= KEYS, "%" PRIu64, kit_disk_reads(&disk));
        CHECK_U64(kit_stats(disk.kv).reads_hit, KEYS);
        kit_disk_close(&disk);
    }
}

/* Traps X02 and X03: an rmw, an insert or a compare finds the key that is on the
 * device, and changes or refuses as in memory. */
static void x02_x03_updates_see_the_record_on_the_device(void) {
    for (int kind = 0; kind < KIT_KINDS; kind++) {
        struct kit_disk disk = kit_disk_open((enum kit_kind)kind, &plain);
        struct faster_session *session = disk.session;
        fill(&disk, KEYS);
        kit_disk_evict(&disk);
        for (uint64_t i = 0; i < KEYS; i++) {
            struct kit_bytes key = kit_key(disk.kind, i);
            struct kit_bytes old = kit_value(disk.kind, i, i % 300);
            struct kit_bytes new = kit_value(disk.kind, i + 7, (i + 40) % 300);
            struct faster_operation compare = kit_operation(FASTER_COMPARE, &key, &new);
            compare.expected = i % 3 == 0 ? new.data : old.data;
            compare.expected_size = i % 3 == 0 ? new.size : old.size;
            bool same = i % 3 != 0 || kit_same(&old, &new);
            CHECK_INT(kit_run_write(session, FASTER_INSERT, &key, &new), FASTER_EXISTS);
            CHECK_INT(kit_run(session, &compare, NULL),
                      same ? FASTER_OK : FASTER_MISMATCH);
            kit_disk_expect(session, &key, same ? &new : &old);
            if (i % 4 == 0) {
                CHECK_INT(kit_run_write(session, FASTER_DELETE, &key, NULL), FASTER_OK);
                kit_disk_expect(session, &key, NULL);
            }
        }
        kit_disk_close(&disk);
    }
}

static void x02_merges_add_to_what_the_device_has(void) {
    struct kit_disk disk = kit_disk_open(KIT_WORD, &plain);
    struct kit_bytes one = word(1);
    struct kit_bytes out;
    fill_words(&disk, KEYS);
    for (uint64_t turn = 1; turn <= 3; turn++) {
        for (uint64_t i = 0; i < KEYS; i++) {
            struct kit_bytes key = kit_key(KIT_WORD, i);
            struct kit_bytes sum = word(1000 + i + turn);
            CHECK_INT(kit_run_merge(disk.session, FASTER_MERGE_ADD, &key, &one, &out),
                      FASTER_OK);
            CHECK(kit_same(&out, &sum), "key %" PRIu64, i);
        }
        kit_disk_evict(&disk);
    }
    CHECK_U64(kit_stats(disk.kv).rmws, 3 * KEYS);
    CHECK_U64(faster_session_serial(disk.session), 4 * KEYS);
    kit_disk_close(&disk);
}

/* T04: a tombstone on the device is the key's newest record. */
static void t04_tombstones_on_the_device_are_absence(void) {
    struct kit_disk disk = kit_disk_open(KIT_WORD, &plain);
    struct faster_session *session = disk.session;
    fill_words(&disk, 40);
    for (uint64_t i = 0; i < 40; i++) {
        struct kit_bytes key = kit_key(KIT_WORD, i);
        uint32_t kind = i % 2 == 0 ? FASTER_DELETE : FASTER_DISCARD;
        CHECK_INT(kit_run_write(session, kind, &key, NULL), FASTER_OK);
    }
    kit_disk_evict(&disk);
    for (uint64_t i = 0; i < 40; i++) {
        struct kit_bytes key = kit_key(KIT_WORD, i);
        struct kit_bytes value = word(i);
        struct faster_operation compare = kit_operation(FASTER_COMPARE, &key, &value);
        struct kit_bytes out;
        compare.expected = value.data;
        compare.expected_size = value.size;
        kit_disk_expect(session, &key, NULL);
        CHECK_INT(kit_run(session, &compare, NULL), FASTER_NOT_FOUND);
        CHECK_INT(kit_run_write(session, FASTER_DELETE, &key, NULL), FASTER_NOT_FOUND);
        if (i % 2 == 0) {
            CHECK_INT(kit_run_write(session, FASTER_INSERT, &key, &value), FASTER_OK);
            CHECK_INT(kit_run_write(session, FASTER_INSERT, &key, &value),
                      FASTER_EXISTS);
        } else {
            CHECK_INT(kit_run_merge(session, FASTER_MERGE_ADD, &key, &value, &out),
                      FASTER_OK);
            CHECK(kit_same(&out, &value), "key %" PRIu64, i);
        }
        kit_disk_expect(session, &key, &value);
    }
    kit_disk_close(&disk);
}

/* Keys of one chain, one behind the other on the device: each is found, as deep as it
 * lies, and an absent one is not. */
static void i3_chains_are_followed_on_the_device(void) {
    struct kit_disk disk = kit_disk_open(KIT_WORD, &held);
    uint64_t numbers[6] = {1};
    struct faster_result result;
    struct kit_bytes out = {.size = 0};
    for (int i = 1; i < 6; i++) {
        uint32_t bits = index_current(&disk.kv->index)->bits;
        numbers[i] = kit_collision(disk.kv, KIT_WORD, 1, numbers[i - 1] + 1, bits);
    }
    for (uint64_t i = 0; i < 5; i++) {
        CHECK_INT(kit_put_word(disk.session, numbers[i], i), FASTER_OK);
        kit_disk_evict(&disk);
    }
    for (uint64_t i = 0; i < 6; i++) {
        struct kit_bytes key = kit_key(KIT_WORD, numbers[i]);
        struct faster_operation read = kit_operation(FASTER_READ, &key, NULL);
        struct faster_pending *pending = kit_start_pending(disk.session, &read);
        int status = kit_take(disk.session, pending, &out, &result);
        CHECK_INT(status, i < 5 ? FASTER_OK : FASTER_NOT_FOUND);
        CHECK_U64(result.device_reads, i < 5 ? 5 - i : 5);
        CHECK_U64(result.value_size, i < 5 ? 8 : 0);
    }
    for (uint64_t i = 0; i < 5; i++) {
        struct kit_bytes key = kit_key(KIT_WORD, numbers[i]);
        struct kit_bytes sum = word(i + 10);
        struct kit_bytes ten = word(10);
        CHECK_INT(kit_run_merge(disk.session, FASTER_MERGE_ADD, &key, &ten, &out),
                  FASTER_OK);
        CHECK(kit_same(&out, &sum), "number %" PRIu64, numbers[i]);
        kit_disk_evict(&disk);
    }
    kit_disk_close(&disk);
}

/* What another session did while the record was on its way. */
enum meanwhile { CHANGED, CHANGED_EVICTED, DELETED_EVICTED, NEIGHBOUR_EVICTED, TURNS };

static void change_meanwhile(struct kit_disk *disk, struct faster_session *other,
                             enum meanwhile how, uint64_t key, uint64_t neighbour) {
    struct kit_bytes bytes = kit_key(KIT_WORD, key);
    if (how == CHANGED || how == CHANGED_EVICTED) {
        CHECK_INT(kit_put_word(other, key, 5000), FASTER_OK);
    } else if (how == DELETED_EVICTED) {
        CHECK_INT(kit_run_write(other, FASTER_DISCARD, &bytes, NULL), FASTER_OK);
    } else {
        CHECK_INT(kit_put_word(other, neighbour, 6000), FASTER_OK);
    }
    if (how != CHANGED) {
        kit_disk_evict(disk);
    }
}

/* Rule 7: the completion looks again, and what is newer counts. */
static void i3_a_newer_record_overtakes_the_read(void) {
    static const uint32_t kinds[] = {FASTER_READ, FASTER_RMW, FASTER_INSERT,
                                     FASTER_DELETE};
    struct faster_merge add = {.kind = FASTER_MERGE_ADD};
    uint64_t neighbour = 0;
    for (int turn = 0; turn < 4 * TURNS; turn++) {
        enum meanwhile how = (enum meanwhile)(turn / 4);
        uint32_t kind = kinds[turn % 4];
        struct kit_disk disk = kit_disk_open(KIT_WORD, &held);
        struct faster_session *other = kit_session(disk.kv);
        if (neighbour == 0) {
            uint32_t bits = index_current(&disk.kv->index)->bits;
            neighbour = kit_collision(disk.kv, KIT_WORD, 1, 2, bits);
        }
        struct kit_bytes key = kit_key(KIT_WORD, 1);
        struct kit_bytes value = word(1);
        struct kit_bytes out = {.size = 0};
        struct faster_result result;
        fill_words(&disk, 2);
        kit_disk_arm(&disk, HOLD_READS, 1);
        struct faster_operation operation = kit_operation(kind, &key, &value);
        operation.merge = &add;
        struct faster_pending *pending = kit_start_pending(disk.session, &operation);
        change_meanwhile(&disk, other, how, 1, neighbour);
        CHECK_INT(faster_faulty_release(disk.faulty), 1);
        int status = kit_take(disk.session, pending, &out, &result);
        uint64_t was = how == NEIGHBOUR_EVICTED ? 1001 : 5000;
        bool there = how != DELETED_EVICTED;
        uint64_t seen = 0;
        memcpy(&seen, out.data, 8);
        if (kind == FASTER_READ) {
            CHECK_INT(status, there ? FASTER_OK : FASTER_NOT_FOUND);
            CHECK_U64(seen, there ? was : 0);
        } else if (kind == FASTER_RMW) {
            CHECK_INT(status, FASTER_OK);
            CHECK_U64(seen, there ? was + 1 : 1);
        } else if (kind == FASTER_INSERT) {
            CHECK_INT(status, there ? FASTER_EXISTS : FASTER_OK);
        } else {
            CHECK_INT(status, there ? FASTER_OK : FASTER_NOT_FOUND);
        }
        if (how == NEIGHBOUR_EVICTED) {
            struct kit_bytes beside = kit_key(KIT_WORD, neighbour);
            value = word(6000);
            kit_disk_expect(disk.session, &beside, &value);
        }
        faster_session_free(other);
        kit_disk_close(&disk);
    }
}

/* C1: updates on one key are made in the order of issue, and their serial numbers say
 * so; an update on another key that came before them does not wait. */
static void c1_updates_of_a_key_keep_their_order(void) {
    struct kit_disk disk = kit_disk_open(KIT_WORD, &held);
    struct faster_merge add = {.kind = FASTER_MERGE_ADD};
    struct kit_bytes keys[3] = {word(1), word(2), word(9)};
    struct kit_bytes one = word(1);
    struct kit_bytes fifty = word(50);
    struct kit_bytes out = {.size = 0};
    struct faster_operation steps[] = {
        kit_operation(FASTER_RMW, &keys[0], &one),
        kit_operation(FASTER_RMW, &keys[1], &one),
        kit_operation(FASTER_UPSERT, &keys[0], &fifty),
        kit_operation(FASTER_RMW, &keys[0], &one),
        kit_operation(FASTER_UPSERT, &keys[2], &one), /* behind those that wait */
        kit_operation(FASTER_DELETE, &keys[1], NULL),
        kit_operation(FASTER_INSERT, &keys[1], &fifty),
    };
    enum { STEPS = sizeof steps / sizeof steps[0] };
    static const uint64_t values[STEPS] = {1002, 1003, 0, 51, 0, 0, 0};
    struct faster_pending *pending[STEPS];
    fill_words(&disk, 4);
    uint64_t before = faster_session_serial(disk.session);
    kit_disk_arm(&disk, HOLD_READS, 0);
    for (int i = 0; i < STEPS; i++) {
        steps[i].merge = steps[i].kind == FASTER_RMW ? &add : NULL;
        steps[i].context = (uint64_t)i;
        pending[i] = kit_start_pending(disk.session, &steps[i]);
    }
    CHECK_U64(faster_pending_count(disk.session), STEPS);
    CHECK_U64(faster_session_serial(disk.session), before + 2);
    CHECK_INT(faster_wait(disk.session, pending[3], 0), FASTER_E_TIMEOUT);
    kit_disk_lift(&disk);
    for (int i = STEPS - 1; i >= 0; i--) {
        struct faster_result result;
        CHECK_INT(kit_take(disk.session, pending[i], &out, &result), FASTER_OK);
        CHECK_U64(result.serial, before + 1 + (uint64_t)i);
        CHECK_U64(result.context, (uint64_t)i);
        CHECK_U64(result.kind, steps[i].kind);
        if (steps[i].kind == FASTER_RMW) {
            uint64_t value;
            memcpy(&value, out.data, 8);
            CHECK_U64(value, values[i]);
        }
    }
    CHECK_U64(faster_pending_count(disk.session), 0);
    CHECK_U64(faster_session_serial(disk.session), before + STEPS);
    struct kit_bytes last = word(51);
    kit_disk_expect(disk.session, &keys[0], &last);
    kit_disk_expect(disk.session, &keys[1], &fifty);
    kit_disk_close(&disk);
}

/* While an update is on its way, batches and single calls of its session come after
 * it. */
static void c1_single_calls_come_after_what_is_on_its_way(void) {
    struct kit_disk disk = kit_disk_open(KIT_WORD, &held);
    struct faster_merge add = {.kind = FASTER_MERGE_ADD};
    struct kit_bytes key = word(1);
    struct kit_bytes one = word(1);
    struct kit_bytes out = {.size = 0};
    struct faster_operation rmw = kit_operation(FASTER_RMW, &key, &one);
    uint64_t size;
    rmw.merge = &add;
    fill_words(&disk, 2);
    kit_disk_arm(&disk, HOLD_READS, 0);
    struct faster_pending *pending = kit_start_pending(disk.session, &rmw);
    CHECK_INT(faster_upsert(disk.session, key.data, 8, one.data, 8), FASTER_PENDING);
    CHECK_INT(faster_discard(disk.session, key.data, 8), FASTER_PENDING);
    CHECK_INT(
        faster_rmw(disk.session, &add, key.data, 8, one.data, 8, out.data, 8, &size),
        FASTER_PENDING);
    kit_disk_lift(&disk);
    struct faster_items keys = {key.data, NULL, 8, 8};
    struct faster_items values = {one.data, NULL, 8, 8};
    uint64_t done = 0;
    CHECK_INT(faster_upsert_many(disk.session, &keys, &values, 1, &done), FASTER_OK);
    struct faster_result result;
    CHECK_INT(kit_take(disk.session, pending, &out, &result), FASTER_OK);
    CHECK_U64(result.serial + 1, faster_session_serial(disk.session));
    kit_disk_expect(disk.session, &key, &one);
    kit_disk_close(&disk);
}

/* What is forgotten goes on unseen: updates take place, waiting ones too, and none of
 * them is given. */
static void a_forgotten_update_takes_place(void) {
    struct kit_disk disk = kit_disk_open(KIT_WORD, &held);
    struct faster_merge add = {.kind = FASTER_MERGE_ADD};
    struct kit_bytes key = word(1);
    struct kit_bytes one = word(1);
    struct faster_operation rmw = kit_operation(FASTER_RMW, &key, &one);
    struct faster_pending *pending[4];
    rmw.merge = &add;
    fill_words(&disk, 2);
    kit_disk_arm(&disk, HOLD_READS, 0);
    for (int i = 0; i < 4; i++) { /* the first is in flight, the others wait */
        pending[i] = kit_start_pending(disk.session, &rmw);
    }
    for (int i = 0; i < 3; i++) {
        CHECK_INT(faster_forget(disk.session, pending[i]), FASTER_OK);
    }
    CHECK_U64(faster_pending_count(disk.session), 1);
    kit_disk_lift(&disk);
    CHECK_INT(faster_wait(disk.session, NULL, KIT_DISK_WAIT_MS), FASTER_OK);
    struct faster_pending *finished = NULL;
    CHECK_INT(faster_next_finished(disk.session, &finished), FASTER_OK);
    CHECK(finished == pending[3], "%s", "a forgotten one was given");
    CHECK_INT(faster_next_finished(disk.session, &finished), FASTER_NOT_FOUND);
    CHECK_INT(faster_forget(disk.session, pending[3]), FASTER_OK);
    CHECK_INT(faster_wait(disk.session, NULL, 0), FASTER_NOT_FOUND);
    struct kit_bytes sum = word(1005);
    kit_disk_expect(disk.session, &key, &sum);
    kit_disk_close(&disk);
}

/* Who waits for one operation is given it; the others come by themselves, each once. */
static void what_is_waited_for_is_not_given_again(void) {
    struct kit_disk disk = kit_disk_open(KIT_WORD, &held);
    struct faster_pending *pending[10];
    struct faster_pending *finished = NULL;
    uint64_t given = 0;
    fill_words(&disk, 10);
    kit_disk_arm(&disk, HOLD_READS, 0);
    for (uint64_t i = 0; i < 10; i++) {
        struct kit_bytes key = word(i);
        struct faster_operation read = kit_operation(FASTER_READ, &key, NULL);
        read.context = i;
        pending[i] = kit_start_pending(disk.session, &read);
    }
    CHECK_INT(faster_wait(disk.session, pending[3], 0), FASTER_E_TIMEOUT);
    CHECK_INT(faster_wait(disk.session, NULL, 0), FASTER_E_TIMEOUT);
    kit_disk_lift(&disk);
    while (faster_wait(disk.session, NULL, KIT_DISK_WAIT_MS) == FASTER_OK) {
        struct faster_result result;
        CHECK_INT(faster_next_finished(disk.session, &finished), FASTER_OK);
        faster_result_of(finished, &result);
        CHECK(finished == pending[result.context], "%" PRIu64, result.context);
        CHECK(result.context != 3, "%s", "the one that was waited for");
        CHECK_INT(faster_forget(disk.session, finished), FASTER_OK);
        given++;
    }
    CHECK_U64(given, 9);
    struct faster_result result;
    CHECK_INT(kit_take(disk.session, pending[3], NULL, &result), FASTER_OK);
    kit_disk_close(&disk);
}

/* A descriptor is told when something has come. */
static void a_descriptor_is_notified(void) {
    struct kit_disk disk = kit_disk_open(KIT_WORD, &held);
    struct kit_bytes key = word(1);
    struct faster_operation read_it = kit_operation(FASTER_READ, &key, NULL);
    struct faster_result result;
    uint64_t told = 0;
    int ends[2];
    CHECK_INT(pipe(ends), 0);
    CHECK_INT(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    CHECK_INT(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
    fill_words(&disk, 2);
    CHECK_INT(faster_session_notify(disk.session, ends[1]), FASTER_OK);
    kit_disk_arm(&disk, HOLD_READS, 0);
    struct faster_pending *pending = kit_start_pending(disk.session, &read_it);
    CHECK_INT(read(ends[0], &told, sizeof told), -1);
    kit_disk_lift(&disk);
    CHECK_INT(read(ends[0], &told, sizeof told), 8);
    CHECK_U64(told, 1);
    CHECK_INT(kit_take(disk.session, pending, NULL, &result), FASTER_OK);
    CHECK_INT(faster_session_notify(disk.session, -1), FASTER_OK);
    pending = kit_start_pending(disk.session, &read_it);
    CHECK_INT(kit_take(disk.session, pending, NULL, &result), FASTER_OK);
    CHECK_INT(read(ends[0], &told, sizeof told), -1);
    (void)close(ends[0]);
    (void)close(ends[1]);
    kit_disk_close(&disk);
}

/* Values of every size that a page can hold: the first read is a guess. */
static void i4_large_values_are_read_whole(void) {
    static const struct kit_disk_options devices[] = {
        {.max_io = 0},
        {.max_io = 512},
        {.max_io = 1024, .alignment = 512},
        {.max_io = 700, .alignment = 64},
        {.alignment = 4096},
    };
    static uint8_t large[KIT_DISK_PAGE];
    static uint8_t back[KIT_DISK_PAGE];
    for (int d = 0; d < 5; d++) {
        struct kit_disk disk = kit_disk_open(KIT_TEXT, &devices[d]);
        uint64_t most = KIT_DISK_PAGE - ADDRESS_FIRST - RECORD_VARLEN_HEADER - 8;
        for (uint64_t i = 0; i < KIT_DISK_PAGE; i++) {
            large[i] = (uint8_t)(i * 37 + (i >> 8));
        }
        for (uint64_t size = 0; size <= most; size += size < most - 97 ? 97 : 1) {
            int result;
            KIT_RETRY(disk.session, result,
                      faster_upsert(disk.session, &size, 8, large, size));
            CHECK_INT(result, FASTER_OK);
        }
        kit_disk_evict(&disk);
        for (uint64_t size = 0; size <= most; size += size < most - 97 ? 97 : 1) {
            struct faster_result result;
            struct faster_operation read_it = {
                .kind = FASTER_READ, .key = &size, .key_size = 8};
            struct faster_pending *pending;
            uint64_t got;
            int status;
            KIT_RETRY(disk.session, status,
                      faster_start(disk.session, &read_it, back, sizeof back, &got,
                                   &pending));
            CHECK_INT(status, FASTER_PENDING);
            CHECK_INT(faster_wait(disk.session, pending, KIT_DISK_WAIT_MS), FASTER_OK);
            faster_result_of(pending, &result);
            CHECK_INT(result.status, FASTER_OK);
            CHECK_U64(result.value_size, size);
            CHECK(size == 0 || memcmp(result.value, large, (size_t)size) == 0,
                  "size %" PRIu64, size);
            CHECK_INT(faster_forget(disk.session, pending), FASTER_OK);
        }
        kit_disk_close(&disk);
    }
}

/* A value that shrank and grew within its record is whole when it comes back, and may
 * be changed again. */
static void values_that_shrink_and_grow_survive_eviction(void) {
    struct kit_disk disk = kit_disk_open(KIT_TEXT, &plain);
    for (uint64_t turn = 0; turn < 6; turn++) {
        for (uint64_t i = 0; i < KEYS; i++) {
            struct kit_bytes key = kit_key(KIT_TEXT, i);
            for (uint64_t step = 0; step < 3; step++) {
                struct kit_bytes value =
                    kit_value(KIT_TEXT, i + turn, (i * 7 + step * 90 + turn) % 280);
                CHECK_INT(kit_upsert(disk.session, &key, &value), FASTER_OK);
            }
            struct kit_bytes piece = kit_value(KIT_TEXT, i, 3);
            CHECK_INT(
                kit_run_merge(disk.session, FASTER_MERGE_APPEND, &key, &piece, NULL),
                FASTER_OK);
        }
        kit_disk_evict(&disk);
        for (uint64_t i = 0; i < KEYS; i++) {
            struct kit_bytes key = kit_key(KIT_TEXT, i);
            struct kit_bytes value =
                kit_value(KIT_TEXT, i + turn, (i * 7 + 180 + turn) % 280);
            struct kit_bytes piece = kit_value(KIT_TEXT, i, 3);
            memcpy(value.data + value.size, piece.data, 3);
            value.size += 3;
            kit_disk_expect(disk.session, &key, &value);
        }
    }
    kit_disk_close(&disk);
}

/* Trap X08: what came back and was changed is written again, wherever it went. */
static void x08_changes_to_what_came_back_are_kept(void) {
    struct kit_disk disk = kit_disk_open(KIT_WORD, &plain);
    struct kit_bytes one = word(1);
    fill_words(&disk, 2000);
    for (uint64_t turn = 0; turn < 4; turn++) {
        for (uint64_t i = turn; i < 2000; i += 3) {
            struct kit_bytes key = word(i);
            CHECK_INT(kit_run_merge(disk.session, FASTER_MERGE_ADD, &key, &one, NULL),
                      FASTER_OK);
        }
        if (turn % 2 == 1) {
            CHECK_INT(faster_kv_flush(disk.kv, KIT_DISK_WAIT_MS), FASTER_OK);
        }
    }
    for (uint64_t i = 0; i < 2000; i++) {
        struct kit_bytes key = word(i);
        struct kit_bytes value = word(1000 + i + 1 + (i % 3 == 0 && i >= 3));
        kit_disk_expect(disk.session, &key, &value);
    }
    kit_disk_close(&disk);
}

/* The index doubles over chains that it cannot look into: every key is found through
 * either half, before and after it is written again. */
static void growth_keeps_what_is_on_the_device(void) {
    struct kit_disk disk =
        kit_disk_open(KIT_WORD, &(struct kit_disk_options){.memory_size = 4 << 20});
    uint64_t count = 4000;
    fill_words(&disk, count);
    for (uint64_t growth = 1; growth <= 3; growth++) {
        uint64_t before = kit_stats(disk.kv).index_growths;
        CHECK_INT(faster_kv_grow_index(disk.kv), FASTER_OK);
        for (uint64_t i = growth; i < count; i += 3) { /* while it grows */
            CHECK_INT(kit_put_word(disk.session, i, 1000 + i), FASTER_OK);
        }
        while (kit_stats(disk.kv).index_growths == before) { /* ends: it is worked on */
            faster_session_wait(disk.session);
        }
        kit_disk_evict(&disk);
        for (uint64_t i = 0; i < 2 * count; i++) {
            struct kit_bytes key = word(i);
            struct kit_bytes value = word(1000 + i);
            kit_disk_expect(disk.session, &key, i < count ? &value : NULL);
        }
    }
    CHECK_INT(index_audit(&disk.kv->index), 0);
    kit_disk_close(&disk);
}

HARNESS_MAIN(TEST(i3_reads_give_what_was_written),
             TEST(x02_x03_updates_see_the_record_on_the_device),
             TEST(x02_merges_add_to_what_the_device_has),
             TEST(t04_tombstones_on_the_device_are_absence),
             TEST(i3_chains_are_followed_on_the_device),
             TEST(i3_a_newer_record_overtakes_the_read),
             TEST(c1_updates_of_a_key_keep_their_order),
             TEST(c1_single_calls_come_after_what_is_on_its_way),
             TEST(a_forgotten_update_takes_place),
             TEST(what_is_waited_for_is_not_given_again),
             TEST(a_descriptor_is_notified), TEST(i4_large_values_are_read_whole),
             TEST(values_that_shrink_and_grow_survive_eviction),
             TEST(growth_keeps_what_is_on_the_device),
             TEST(x08_changes_to_what_came_back_are_kept))
