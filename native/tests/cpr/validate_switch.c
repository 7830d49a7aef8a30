/* SPDX-License-Identifier: MIT */
/* Sessions go over to a checkpoint's next version (C1 to C5, C8). */
#include "cpr/cpr_kit.h"

enum { KEYS = 2000, ID = 7, OTHER = 8, RESUMES_MAX = 20000 };

static const struct kit_disk_options plain = {0};
static const struct faster_merge add = {.kind = FASTER_MERGE_ADD};

static void set(struct faster_session *session, uint64_t key, uint64_t value) {
    struct kit_bytes name = kit_key(KIT_WORD, key);
    struct kit_bytes bytes = kit_value(KIT_WORD, value, 8);
    CHECK_INT(kit_upsert(session, &name, &bytes), FASTER_OK);
}

static uint64_t get(struct faster_session *session, uint64_t key) {
    struct kit_bytes name = kit_key(KIT_WORD, key);
    struct kit_bytes value = {.size = 0};
    uint64_t word;
    CHECK_INT(kit_run_read(session, &name, &value), FASTER_OK);
    memcpy(&word, value.data, 8);
    return word;
}

/* Where the newest record of a key is; it is in memory. */
static uint64_t address_of(struct faster_session *session, uint64_t key) {
    struct kit_bytes name = kit_key(KIT_WORD, key);
    struct found found;
    CHECK_INT(session_enter(session), FASTER_OK);
    uint64_t hash = kv_hash(session->kv, name.data, name.size);
    CHECK_INT(find_record(session, hash, name.data, name.size, &found), FASTER_OK);
    session_leave(session);
    return found.address;
}

static uint32_t version_of(struct faster_session *session, uint64_t key) {
    struct hlog *log = &session->kv->log;
    return info_version(record_info(hlog_record(log, address_of(session, key))));
}

/* C1, C3: what a session does in each phase belongs to the version of its entry. */
static void versions_follow_phases(void) {
    struct kit_disk disk = kit_disk_open(KIT_WORD, &plain);
    struct faster_session *session = cpr_session(disk.kv, ID);
    set(session, 1, 10);
    set(session, 2, 20);
    uint64_t first = address_of(session, 1);
    struct faster_checkpoint *checkpoint = cpr_begin(disk.kv, FASTER_SNAPSHOT);
    cpr_advance_to(checkpoint, FASTER_PHASE_PREPARE);
    set(session, 1, 11);
    CHECK_U64(address_of(session, 1), first);
    CHECK_U64(version_of(session, 1), 1);
    cpr_advance_to(checkpoint, FASTER_PHASE_IN_PROGRESS);
    CHECK_U64(cpr_point(checkpoint, ID), 3);
    set(session, 1, 12);
    CHECK(address_of(session, 1) > first, "%s", "C3: changed in place");
    CHECK_U64(version_of(session, 1), 2);
    uint64_t second = address_of(session, 1);
    set(session, 1, 13);
    CHECK_U64(address_of(session, 1), second);
    cpr_advance_to(checkpoint, FASTER_PHASE_WAIT_FLUSH);
    cpr_read_away(checkpoint, FASTER_PART_PAGES);
    cpr_advance_to(checkpoint, FASTER_PHASE_PERSIST);
    uint64_t old = address_of(session, 2);
    faster_checkpoint_end(checkpoint);
    set(session, 2, 21); /* R2: REST stamps a record of an older version */
    CHECK_U64(address_of(session, 2), old);
    CHECK_U64(version_of(session, 2), 2);
    CHECK_U64(get(session, 1), 13);
    CHECK_U64(faster_session_serial(session), 6);
    faster_session_free(session);
    kit_disk_close(&disk);
}

/* C2: a session of the old version that meets a newer record begins anew in the
 * next. */
static void newer_records_are_noticed(void) {
    struct kit_disk disk = kit_disk_open(KIT_WORD, &plain);
    struct faster_session *slow = cpr_session(disk.kv, ID);
    struct kit_bytes key = kit_key(KIT_WORD, 1);
    struct found found;
    set(disk.session, 1, 1);
    set(slow, 2, 2);
    struct faster_checkpoint *checkpoint = cpr_begin(disk.kv, FASTER_SNAPSHOT);
    cpr_advance_to(checkpoint, FASTER_PHASE_PREPARE);
    CHECK_INT(session_enter(slow), FASTER_OK);
    CHECK_INT(faster_checkpoint_advance(checkpoint, CPR_KIT_SOON_MS), FASTER_E_TIMEOUT);
    CHECK_U64(cpr_facts(checkpoint).slow_session, ID);
    set(disk.session, 1, 3);
    uint64_t hash = kv_hash(disk.kv, key.data, key.size);
    CHECK_U64(slow->version, 1);
    CHECK_INT(find_record(slow, hash, key.data, key.size, &found), FASTER_RETRY);
    session_refresh(slow);
    CHECK_U64(slow->version, 2);
    CHECK_INT(find_record(slow, hash, key.data, key.size, &found), FASTER_OK);
    session_leave(slow);
    cpr_go_on(checkpoint);
    CHECK_U64(cpr_facts(checkpoint).slow_session, 0); /* it holds nothing up any more */
    CHECK_U64(cpr_point(checkpoint, ID), 1);
    faster_checkpoint_end(checkpoint);
    faster_session_free(slow);
    kit_disk_close(&disk);
}

/* Two keys of one chain. */
static void find_twins(const struct faster_kv *kv, uint64_t *one, uint64_t *other) {
    enum { TRIED = 1 << 16, PLACES = 1 << 20 };
    uint64_t *seen = calloc(PLACES, sizeof *seen);
    CHECK(seen != NULL, "%s", "no memory");
    *one = 0;
    for (uint64_t key = 1; key < TRIED && *one == 0; key++) {
        struct kit_bytes name = kit_key(KIT_WORD, key);
        uint64_t hash = kv_hash(kv, name.data, name.size);
        uint64_t place = hash >> (64 - ENTRY_TAG_BITS) << 6 | (hash & 63);
        if (seen[place] == 0) {
            seen[place] = key;
            continue;
        }
        struct kit_bytes before = kit_key(KIT_WORD, seen[place]);
        uint64_t same = kv_hash(kv, before.data, before.size) ^ hash;
        if ((same & 0xfff) == 0) { /* more bits than the table has */
            *one = seen[place];
            *other = key;
        }
    }
    CHECK(*one != 0, "%s", "no two keys of one chain");
    free(seen);
}

/* C2: also where the session finds a copy, which stands before a newer record. */
static void newer_records_behind_copies_are_noticed(void) {
    static const struct kit_disk_options cached = {.read_cache = 64 << 10,
                                                   .memory_size = 1 << 20};
    struct kit_disk disk = kit_disk_open(KIT_WORD, &cached);
    struct faster_session *slow = cpr_session(disk.kv, ID);
    uint64_t cold;
    uint64_t warm;
    find_twins(disk.kv, &cold, &warm);
    struct kit_bytes key = kit_key(KIT_WORD, cold);
    struct found found;
    set(disk.session, cold, 1);
    kit_disk_evict(&disk);
    struct faster_checkpoint *checkpoint = cpr_begin(disk.kv, FASTER_SNAPSHOT);
    cpr_advance_to(checkpoint, FASTER_PHASE_PREPARE);
    CHECK_INT(session_enter(slow), FASTER_OK);
    CHECK_INT(faster_checkpoint_advance(checkpoint, CPR_KIT_SOON_MS), FASTER_E_TIMEOUT);
    set(disk.session, warm, 2);
    CHECK_U64(version_of(disk.session, warm), 2);
    CHECK_U64(get(disk.session, cold), 1); /* keeps a copy */
    uint64_t hash = kv_hash(disk.kv, key.data, key.size);
    CHECK_U64(slow->version, 1);
    CHECK_INT(find_record(slow, hash, key.data, key.size, &found), FASTER_RETRY);
    session_refresh(slow);
    CHECK_INT(find_record(slow, hash, key.data, key.size, &found), FASTER_OK);
    CHECK(cache_holds(&disk.kv->cache, found.record), "%s", "there is no copy");
    session_leave(slow);
    cpr_go_on(checkpoint);
    faster_checkpoint_end(checkpoint);
    faster_session_free(slow);
    kit_disk_close(&disk);
}

/* One upsert inside a slot that the test has entered. */
static uint64_t set_inside(struct faster_session *session, uint64_t number) {
    struct kit_bytes key = kit_key(KIT_WORD, number);
    struct kit_bytes value = kit_value(KIT_WORD, 77, 8);
    struct update update = {.kind = UPDATE_UPSERT,
                            .key = key.data,
                            .key_size = key.size,
                            .hash = kv_hash(session->kv, key.data, key.size),
                            .value = value.data,
                            .value_size = value.size};
    struct found found;
    CHECK_INT(update_once(session, &update), FASTER_OK);
    update_account(session, UPDATE_UPSERT, FASTER_OK);
    CHECK_INT(find_record(session, update.hash, key.data, key.size, &found), FASTER_OK);
    return found.address;
}

/* C3, C4: what a session of the old version still appends belongs to the checkpoint:
 * `final` comes behind it, and nobody of the next version changes it in place. */
static void late_records_of_the_old_version_belong_to_it(void) {
    struct kit_disk disk = kit_disk_open(KIT_WORD, &plain);
    struct faster_session *slow = cpr_session(disk.kv, ID);
    struct faster_checkpoint *checkpoint = cpr_begin(disk.kv, FASTER_SNAPSHOT);
    cpr_advance_to(checkpoint, FASTER_PHASE_PREPARE);
    CHECK_INT(session_enter(slow), FASTER_OK);
    CHECK_INT(faster_checkpoint_advance(checkpoint, CPR_KIT_SOON_MS), FASTER_E_TIMEOUT);
    uint64_t late = set_inside(slow, 1);
    session_leave(slow);
    CHECK(late >= cpr_facts(checkpoint).fuzzy_start, "%s", "not late");
    set(disk.session, 1, 5);
    CHECK(address_of(disk.session, 1) > late, "%s", "C3: changed in place");
    cpr_go_on(checkpoint);
    CHECK(cpr_facts(checkpoint).final > late, "%s", "it is left out");
    CHECK_U64(cpr_point(checkpoint, ID), 1);
    faster_checkpoint_end(checkpoint);
    faster_session_free(slow);
    kit_disk_close(&disk);
}

/* C5, X18: idle sessions hold nothing up, also over several versions, and closed ones
 * keep their points. */
static void idle_and_closed_sessions_have_points(void) {
    struct kit_disk disk = kit_disk_open(KIT_WORD, &plain);
    struct faster_session *idle = cpr_session(disk.kv, ID);
    struct faster_session *gone = cpr_session(disk.kv, OTHER);
    set(idle, 1, 1);
    set(gone, 2, 2);
    set(gone, 3, 3);
    faster_session_free(gone);
    for (int i = 0; i < 3; i++) {
        struct faster_checkpoint *checkpoint = cpr_begin(disk.kv, FASTER_FOLD_OVER);
        cpr_advance_to(checkpoint, FASTER_PHASE_PERSIST);
        CHECK_U64(cpr_point(checkpoint, ID), 1);
        CHECK_U64(cpr_point(checkpoint, OTHER), 2);
        faster_checkpoint_end(checkpoint);
    }
    set(idle, 1, 4);
    struct faster_checkpoint *checkpoint = cpr_begin(disk.kv, FASTER_FOLD_OVER);
    cpr_advance_to(checkpoint, FASTER_PHASE_IN_PROGRESS);
    gone = cpr_session(disk.kv, OTHER); /* goes on behind its last */
    CHECK_U64(faster_session_serial(gone), 2);
    set(gone, 2, 5);
    CHECK_U64(faster_session_serial(gone), 3);
    cpr_advance_to(checkpoint, FASTER_PHASE_PERSIST);
    CHECK_U64(cpr_point(checkpoint, ID), 2);
    CHECK_U64(cpr_point(checkpoint, OTHER), 2);
    faster_checkpoint_end(checkpoint);
    CHECK_INT(faster_session_forget(disk.kv, OTHER), FASTER_E_BUSY);
    faster_session_free(gone);
    CHECK_INT(faster_session_forget(disk.kv, OTHER), FASTER_OK);
    CHECK_INT(faster_session_forget(disk.kv, OTHER), FASTER_NOT_FOUND);
    faster_session_free(idle);
    kit_disk_close(&disk);
}

/* A session that is closed and opened again between the shift and the capture has the
 * point that it had, not what it did since. */
static void a_session_that_comes_again_keeps_its_point(void) {
    struct kit_disk disk = kit_disk_open(KIT_WORD, &plain);
    struct faster_session *session = cpr_session(disk.kv, ID);
    struct faster_session *inside = cpr_session(disk.kv, OTHER);
    set(session, 1, 1);
    struct faster_checkpoint *checkpoint = cpr_begin(disk.kv, FASTER_SNAPSHOT);
    cpr_advance_to(checkpoint, FASTER_PHASE_PREPARE);
    CHECK_INT(session_enter(inside), FASTER_OK);
    CHECK_INT(faster_checkpoint_advance(checkpoint, CPR_KIT_SOON_MS), FASTER_E_TIMEOUT);
    set(session, 1, 2); /* of the next version */
    faster_session_free(session);
    session = cpr_session(disk.kv, ID);
    set(session, 1, 3);
    faster_session_free(session);
    session_leave(inside);
    cpr_go_on(checkpoint);
    CHECK_U64(cpr_point(checkpoint, ID), 1);
    faster_checkpoint_end(checkpoint);
    faster_session_free(inside);
    kit_disk_close(&disk);
}

static struct kit_disk open_cold(const struct kit_disk_options *options) {
    struct kit_disk disk = kit_disk_open(KIT_WORD, options);
    for (uint64_t key = 0; key < KEYS; key++) {
        set(disk.session, key, key);
    }
    kit_disk_evict(&disk);
    while (atomic_load_explicit(&disk.kv->index.growing, memory_order_acquire)) {
        thread_yield(); /* ends: the worker walks on, and then holds nobody up */
    }
    return disk;
}

static struct faster_pending *start_add(struct faster_session *session, uint64_t key) {
    struct kit_bytes name = kit_key(KIT_WORD, key);
    struct kit_bytes one = kit_value(KIT_WORD, 1, 8);
    struct faster_operation operation = kit_operation(FASTER_RMW, &name, &one);
    operation.merge = &add;
    return kit_start_pending(session, &operation);
}

static uint64_t take_add(struct faster_session *session,
                         struct faster_pending *pending) {
    struct kit_bytes out = {.size = 0};
    struct faster_result result;
    uint64_t word;
    CHECK_INT(kit_take(session, pending, &out, &result), FASTER_OK);
    memcpy(&word, out.data, 8);
    return word;
}

/* C4: an update on its way is brought to its end although its session does nothing. */
static void updates_on_their_way_are_helped(void) {
    static const struct faster_fault_rule rules[] = {{.kinds = FASTER_KIND_READ,
                                                      .fault = FASTER_FAULT_HOLD,
                                                      KIT_DISK_UNARMED,
                                                      .argument = 0}};
    struct kit_disk_options options = {.rules = rules, .rules_count = 1};
    struct kit_disk disk = open_cold(&options);
    struct faster_session *idle = cpr_session(disk.kv, ID);
    kit_disk_arm(&disk, 0, 1);
    struct faster_pending *pending = start_add(idle, 5);
    CHECK_U64(faster_session_serial(idle), 1);
    struct faster_checkpoint *checkpoint = cpr_begin(disk.kv, FASTER_SNAPSHOT);
    CHECK_INT(faster_checkpoint_advance(checkpoint, CPR_KIT_SOON_MS), FASTER_E_TIMEOUT);
    CHECK_U64(cpr_facts(checkpoint).phase, FASTER_PHASE_PREPARE);
    CHECK_U64(cpr_facts(checkpoint).slow_session, ID);
    kit_disk_lift(&disk);
    cpr_go_on(checkpoint);
    cpr_advance_to(checkpoint, FASTER_PHASE_IN_PROGRESS);
    CHECK_U64(pending_numbered(idle->queue), 0);
    CHECK_U64(cpr_point(checkpoint, ID), 1);
    CHECK_U64(version_of(disk.session, 5), 1);
    CHECK_U64(take_add(idle, pending), 6);
    faster_checkpoint_end(checkpoint);
    faster_session_free(idle);
    kit_disk_close(&disk);
}

static const struct faster_fault_rule held[] = {
    {.kinds = FASTER_KIND_READ, .fault = FASTER_FAULT_HOLD, KIT_DISK_UNARMED}};
static const struct kit_disk_options holding = {.rules = held, .rules_count = 1};

/* A session with three updates, of which the second has to wait for the device. */
static struct faster_session *session_under_way(struct kit_disk *disk) {
    struct faster_session *session = cpr_session(disk->kv, ID);
    set(session, 6, 66);
    kit_disk_arm(disk, 0, 1);
    (void)start_add(session, 5);
    set(session, 7, 77);
    CHECK_U64(faster_session_serial(session), 3);
    CHECK_U64(faster_session_updates(session), 1);
    return session;
}

static uint32_t open_sessions(struct faster_kv *kv) {
    struct faster_kv_stats stats = {.size = sizeof stats};
    CHECK_INT(faster_kv_stats(kv, &stats), FASTER_OK);
    return stats.sessions;
}

/* Resume the session, again while its updates are on their way; each must be done. */
static struct faster_session *resume_whole(struct kit_disk *disk) {
    struct faster_session *session = NULL;
    int result = FASTER_E_BUSY;
    for (int i = 0; i < RESUMES_MAX && result == FASTER_E_BUSY; i++) {
        result = faster_session_resume(disk->kv, ID, 0, &session);
        thread_pause_us(i < 1000 ? 0 : 1000);
    }
    CHECK_INT(result, FASTER_OK);
    CHECK_U64(faster_session_serial(session), 3);
    CHECK_U64(get(session, 5), 6);
    CHECK_U64(get(session, 6), 66);
    CHECK_U64(get(session, 7), 77);
    return session;
}

/* C5: a session with an update that has its serial number and is not done does not
 * close: later ones have overtaken it. */
static void updates_under_way_keep_a_session_open(void) {
    struct kit_disk disk = open_cold(&holding);
    struct faster_session *session = session_under_way(&disk);
    CHECK_INT(faster_session_close(session), FASTER_PENDING);
    CHECK_INT(faster_session_drain(session, CPR_KIT_SOON_MS), FASTER_E_TIMEOUT);
    CHECK_INT(faster_session_close(session), FASTER_PENDING);
    set(session, 8, 88); /* it is open */
    CHECK_INT(faster_session_forget(disk.kv, ID), FASTER_E_BUSY);
    kit_disk_lift(&disk);
    CHECK_INT(faster_session_drain(session, KIT_DISK_WAIT_MS), FASTER_OK);
    CHECK_U64(faster_session_updates(session), 0);
    CHECK_INT(faster_session_close(session), FASTER_OK);
    CHECK_INT(faster_session_close(session), FASTER_OK);
    faster_session_free(session);
    CHECK_U64(get(disk.session, 5), 6);
    struct faster_checkpoint *checkpoint = cpr_begin(disk.kv, FASTER_SNAPSHOT);
    cpr_advance_to(checkpoint, FASTER_PHASE_IN_PROGRESS);
    CHECK_U64(cpr_point(checkpoint, ID), 4);
    faster_checkpoint_end(checkpoint);
    kit_disk_close(&disk);
}

/* C5: a session that is freed before its updates are done stays until they are, and
 * whoever resumes it comes behind them. */
static void a_freed_session_ends_when_its_updates_are_done(void) {
    struct kit_disk disk = open_cold(&holding);
    struct faster_session *session = session_under_way(&disk);
    uint32_t before = open_sessions(disk.kv);
    faster_session_free(session);
    CHECK_U64(open_sessions(disk.kv), before);
    CHECK_INT(faster_session_resume(disk.kv, ID, 0, &session), FASTER_E_BUSY);
    kit_disk_lift(&disk);
    faster_session_free(resume_whole(&disk));
    CHECK_U64(open_sessions(disk.kv), before - 1);
    kit_disk_close(&disk);
}

/* C4, C5: a checkpoint waits for the updates of a session that was freed, helps them,
 * and its commit point has them. */
static void a_checkpoint_helps_a_freed_session(void) {
    struct kit_disk disk = open_cold(&holding);
    faster_session_free(session_under_way(&disk));
    struct faster_checkpoint *checkpoint = cpr_begin(disk.kv, FASTER_SNAPSHOT);
    CHECK_INT(faster_checkpoint_advance(checkpoint, CPR_KIT_SOON_MS), FASTER_E_TIMEOUT);
    CHECK_U64(cpr_facts(checkpoint).slow_session, ID);
    kit_disk_lift(&disk);
    cpr_go_on(checkpoint);
    cpr_advance_to(checkpoint, FASTER_PHASE_IN_PROGRESS);
    CHECK_U64(cpr_point(checkpoint, ID), 3);
    CHECK_U64(version_of(disk.session, 5), 1);
    faster_session_free(resume_whole(&disk));
    faster_checkpoint_end(checkpoint);
    kit_disk_close(&disk);
}

/* The id of a freed session may be forgotten at once: its updates are done all the
 * same, and no commit point is kept. */
static void a_freed_session_may_be_forgotten(void) {
    struct kit_disk disk = open_cold(&holding);
    struct faster_point points[4];
    uint64_t count = 0;
    faster_session_free(session_under_way(&disk));
    CHECK_INT(faster_session_forget(disk.kv, ID), FASTER_OK);
    CHECK_INT(faster_session_forget(disk.kv, ID), FASTER_NOT_FOUND);
    struct faster_session *session = cpr_session(disk.kv, ID);
    CHECK_U64(faster_session_serial(session), 0);
    faster_session_free(session);
    CHECK_INT(faster_session_forget(disk.kv, ID), FASTER_OK);
    kit_disk_lift(&disk);
    struct faster_checkpoint *checkpoint = cpr_begin(disk.kv, FASTER_SNAPSHOT);
    cpr_advance_to(checkpoint, FASTER_PHASE_IN_PROGRESS);
    CHECK_INT(faster_checkpoint_points(checkpoint, points, 4, &count), FASTER_OK);
    CHECK_U64(count, 0);
    CHECK_U64(get(disk.session, 5), 6);
    faster_checkpoint_end(checkpoint);
    kit_disk_close(&disk);
}

/* What waits for its turn has no serial number, and goes with its session. */
static void a_freed_session_drops_what_waits(void) {
    struct kit_disk disk = open_cold(&holding);
    struct faster_session *session = session_under_way(&disk);
    (void)start_add(session, 5); /* behind the first */
    CHECK_U64(faster_session_updates(session), 2);
    CHECK_U64(faster_session_serial(session), 3);
    faster_session_free(session);
    kit_disk_lift(&disk);
    faster_session_free(resume_whole(&disk));
    kit_disk_close(&disk);
}

/* A store that is closed brings such updates to their end first, as far as its time
 * goes; else they end with it, as they do when it is freed. */
static void a_store_ends_with_freed_sessions(void) {
    for (int i = 0; i < 3; i++) {
        struct kit_disk disk = open_cold(&holding);
        faster_session_free(session_under_way(&disk));
        CHECK_U64(disk.kv->orphans, 1);
        if (i == 0) {
            kit_disk_lift(&disk);
            CHECK_INT(faster_kv_close(disk.kv, KIT_DISK_WAIT_MS), FASTER_OK);
        } else if (i == 1) {
            CHECK_INT(faster_kv_drain(disk.kv, CPR_KIT_SOON_MS), FASTER_E_TIMEOUT);
            CHECK_INT(faster_kv_close(disk.kv, CPR_KIT_SOON_MS), FASTER_OK);
        }
        CHECK_U64(disk.kv->closed_counts[COUNT_RMW], i == 0);
        CHECK_U64(disk.kv->orphans, i == 2);
        faster_session_free(disk.session);
        faster_kv_free(disk.kv);
        kit_disk_free_devices(&disk);
    }
}

/* Whoever frees a session does not wait for the store's lock; the next who opens one,
 * or looks, ends it. */
static void a_session_is_freed_beside_the_lock(void) {
    struct kit_disk disk = kit_disk_open(KIT_WORD, &plain);
    struct faster_session *session = cpr_session(disk.kv, ID);
    set(session, 1, 1);
    lock_enter(&disk.kv->lock);
    faster_session_free(session);
    lock_leave(&disk.kv->lock);
    CHECK_U64(disk.kv->session_count, 2);
    session = cpr_session(disk.kv, ID);
    CHECK_U64(faster_session_serial(session), 1);
    lock_enter(&disk.kv->lock);
    faster_session_free(session);
    lock_leave(&disk.kv->lock);
    CHECK_U64(open_sessions(disk.kv), 1);
    kit_disk_close(&disk);
}

/* C4: while it is prepared, an update that needs the device takes no serial number, and
 * those behind it wait for it. */
static void updates_that_need_the_device_are_deferred(void) {
    struct kit_disk disk = open_cold(&plain);
    struct faster_session *session = cpr_session(disk.kv, ID);
    struct faster_result result;
    struct kit_bytes key = kit_key(KIT_WORD, 6);
    struct kit_bytes value = kit_value(KIT_WORD, 66, 8);
    struct faster_operation write = kit_operation(FASTER_UPSERT, &key, &value);
    struct faster_checkpoint *checkpoint = cpr_begin(disk.kv, FASTER_SNAPSHOT);
    cpr_advance_to(checkpoint, FASTER_PHASE_PREPARE);
    struct faster_pending *first = start_add(session, 5);
    struct faster_pending *second = kit_start_pending(session, &write);
    CHECK_INT(faster_wait(session, first, CPR_KIT_SOON_MS), FASTER_E_TIMEOUT);
    CHECK_U64(faster_session_serial(session), 0);
    CHECK_U64(get(session, 7), 7); /* reads go on */
    cpr_advance_to(checkpoint, FASTER_PHASE_IN_PROGRESS);
    CHECK_U64(cpr_point(checkpoint, ID), 0);
    CHECK_U64(take_add(session, first), 6);
    CHECK_INT(kit_take(session, second, NULL, &result), FASTER_OK);
    CHECK_U64(result.serial, 2);
    CHECK_U64(version_of(session, 6), 2);
    CHECK_U64(version_of(session, 5), 2);
    faster_checkpoint_end(checkpoint);
    faster_session_free(session);
    kit_disk_close(&disk);
}

/* Hold an update whose key is in memory, let that leave memory, and release it, as a
 * batch does whose earlier items have needed the room: how it ends. */
static int make_released(struct kit_disk *disk,
                         const struct faster_operation *operation, uint64_t limit) {
    struct faster_session *session = disk->session;
    struct pending_outbox outbox = {NULL};
    struct faster_pending *pending = NULL;
    struct faster_result result;
    bool ready = false;
    CHECK_INT(session_enter(session), FASTER_OK);
    CHECK_INT(pending_begin(session, operation, true, &outbox, &pending), FASTER_OK);
    CHECK_INT(pending_state(pending), PENDING_HELD);
    session_leave(session);
    pending_send(&outbox);
    kit_disk_evict(disk);
    do { /* ends: the device completes what it accepted */
        CHECK_INT(session_enter(session), FASTER_OK);
        if (pending_state(pending) == PENDING_HELD) {
            pending_release(session, pending, limit, &outbox);
        }
        session_leave(session);
        pending_send(&outbox);
        CHECK_INT(pending_run(session, pending, &ready), FASTER_OK);
        pending_rest(session, KIT_DISK_WAIT_MS);
    } while (pending_state(pending) != PENDING_FINISHED);
    faster_result_of(pending, &result);
    CHECK_INT(faster_forget(session, pending), FASTER_OK);
    return result.status;
}

/* C1: an item of a batch takes its serial number when it is made, also if it needs the
 * device again by then; without room for its result it takes none. */
static void released_updates_are_numbered_when_made(void) {
    static const struct faster_merge append = {.kind = FASTER_MERGE_APPEND};
    struct kit_disk disk = kit_disk_open(KIT_TEXT, &plain);
    struct kit_bytes key = kit_key(KIT_TEXT, 1);
    struct kit_bytes value = kit_value(KIT_TEXT, 5, 20);
    struct kit_bytes more = kit_value(KIT_TEXT, 6, 1);
    struct faster_operation operation = kit_operation(FASTER_RMW, &key, &more);
    operation.merge = &append;
    operation.flags = FASTER_CLAIMED;
    CHECK_INT(kit_upsert(disk.session, &key, &value), FASTER_OK);
    CHECK_INT(make_released(&disk, &operation, 20), FASTER_SHORT);
    CHECK_U64(faster_session_serial(disk.session), 1);
    kit_disk_expect(disk.session, &key, &value);
    CHECK_INT(kit_upsert(disk.session, &key, &value), FASTER_OK);
    CHECK_INT(make_released(&disk, &operation, 21), FASTER_OK);
    CHECK_U64(faster_session_serial(disk.session), 3);
    value.data[value.size++] = more.data[0];
    kit_disk_expect(disk.session, &key, &value);
    CHECK_U64(pending_numbered(disk.session->queue), 0);
    kit_disk_close(&disk);
}

/* C8: one that ends early leaves everything usable, in either direction. */
static void a_checkpoint_may_end_in_any_phase(void) {
    static const uint32_t phases[] = {FASTER_PHASE_REST, FASTER_PHASE_PREPARE,
                                      FASTER_PHASE_IN_PROGRESS,
                                      FASTER_PHASE_WAIT_FLUSH};
    static const uint32_t versions[] = {1, 1, 2, 3};
    struct kit_disk disk = kit_disk_open(KIT_WORD, &plain);
    for (int i = 0; i < 4; i++) {
        set(disk.session, 1, (uint64_t)i);
        struct faster_checkpoint *checkpoint = cpr_begin(disk.kv, FASTER_SNAPSHOT);
        cpr_advance_to(checkpoint, phases[i]);
        set(disk.session, 1, (uint64_t)i + 100);
        faster_checkpoint_end(checkpoint);
        set(disk.session, 1, (uint64_t)i + 200);
        CHECK_U64(disk.session->version, versions[i]);
        CHECK_U64(get(disk.session, 1), (uint64_t)i + 200);
    }
    cpr_fold_over(disk.kv);
    kit_disk_close(&disk);
}

/* C12, F91: a record whose eight bits of version have come round again is old. */
static void version_bits_that_wrapped_are_old(void) {
    static const struct kit_disk_options large = {.memory_size = 8 << 20};
    struct kit_disk disk = kit_disk_open(KIT_WORD, &large);
    for (uint32_t version = 1; version < 258; version++) {
        if (version == 2) {
            set(disk.session, 1, 1);
        }
        struct faster_checkpoint *checkpoint = cpr_begin(disk.kv, FASTER_SNAPSHOT);
        cpr_advance_to(checkpoint, FASTER_PHASE_PREPARE);
        set(disk.session, 2, version); /* meets no newer record */
        CHECK_U64(version < 2 ? 1 : get(disk.session, 1), 1);
        cpr_advance_to(checkpoint, FASTER_PHASE_IN_PROGRESS);
        if (version == 257) {
            uint64_t first = address_of(disk.session, 1);
            CHECK_U64(version_of(disk.session, 1), 258 & 0xff);
            set(disk.session, 1, 2);
            CHECK(address_of(disk.session, 1) > first, "an old record was changed");
        }
        faster_checkpoint_end(checkpoint);
    }
    CHECK_U64(get(disk.session, 1), 2);
    kit_disk_close(&disk);
}

/* The store may be closed before the handle is ended: nothing of it is then read. */
static void a_closed_store_gives_no_streams(void) {
    static const uint32_t parts[] = {FASTER_PART_INDEX, FASTER_PART_PAGES};
    static uint64_t buffer[(KIT_DISK_PAGE + 1024) / 8]; /* a page at a time */
    for (int i = 0; i < 4; i++) {
        struct kit_disk disk = kit_disk_open(KIT_WORD, &plain);
        struct faster_checkpoint_config config = {
            .size = sizeof config, .kind = FASTER_SNAPSHOT, .with_index = i % 2 == 0};
        struct faster_checkpoint *checkpoint = NULL;
        uint64_t size = 0;
        for (uint64_t key = 0; key < KEYS; key++) {
            set(disk.session, key, key);
        }
        CHECK_INT(faster_checkpoint_begin(disk.kv, &config, &checkpoint), FASTER_OK);
        cpr_advance_to(checkpoint,
                       i % 2 == 0 ? FASTER_PHASE_INDEX_COPY : FASTER_PHASE_WAIT_FLUSH);
        if (i >= 2) { /* in the middle */
            CHECK_INT(faster_checkpoint_read(checkpoint, parts[i % 2], buffer,
                                             sizeof buffer, &size),
                      FASTER_OK);
        }
        CHECK_INT(faster_kv_close(disk.kv, KIT_DISK_WAIT_MS), FASTER_OK);
        CHECK_INT(faster_checkpoint_read(checkpoint, parts[i % 2], buffer,
                                         sizeof buffer, &size),
                  FASTER_E_CLOSED);
        CHECK_INT(faster_checkpoint_advance(checkpoint, CPR_KIT_SOON_MS),
                  FASTER_E_CLOSED);
        faster_checkpoint_end(checkpoint);
        kit_disk_close(&disk);
    }
}

static void misuse_is_refused(void) {
    struct kit_disk disk = kit_disk_open(KIT_WORD, &plain);
    struct faster_kv *memory = kit_open(KIT_WORD);
    struct faster_checkpoint_config config = {.size = sizeof config,
                                              .kind = FASTER_SNAPSHOT};
    struct faster_checkpoint *none = NULL;
    uint64_t size;
    uint64_t word;
    CHECK_INT(faster_checkpoint_begin(memory, &config, &none), FASTER_E_CONFIG);
    struct faster_checkpoint *checkpoint = cpr_begin(disk.kv, FASTER_SNAPSHOT);
    CHECK_INT(faster_checkpoint_begin(disk.kv, &config, &none), FASTER_E_BUSY);
    CHECK_INT(faster_checkpoint_read(checkpoint, FASTER_PART_PAGES, &word, sizeof word,
                                     &size),
              -EINVAL);
    cpr_advance_to(checkpoint, FASTER_PHASE_WAIT_FLUSH);
    CHECK_INT(faster_checkpoint_advance(checkpoint, KIT_DISK_WAIT_MS), -EINVAL);
    faster_checkpoint_end(checkpoint);
    config.kind = FASTER_INCREMENTAL;
    config.base_version = 2;
    CHECK_INT(faster_checkpoint_begin(disk.kv, &config, &none), FASTER_E_CONFIG);
    config.kind = 0;
    CHECK_INT(faster_checkpoint_begin(disk.kv, &config, &none), FASTER_E_CONFIG);
    CHECK_INT(faster_kv_close(memory, KIT_DISK_WAIT_MS), FASTER_OK);
    CHECK_INT(faster_checkpoint_begin(memory, &config, &none), FASTER_E_CLOSED);
    faster_kv_free(memory);
    kit_disk_close(&disk);
}

HARNESS_MAIN(TEST(versions_follow_phases), TEST(newer_records_are_noticed),
             TEST(newer_records_behind_copies_are_noticed),
             TEST(a_closed_store_gives_no_streams),
             TEST(late_records_of_the_old_version_belong_to_it),
             TEST(idle_and_closed_sessions_have_points),
             TEST(a_session_that_comes_again_keeps_its_point),
             TEST(updates_on_their_way_are_helped),
             TEST(updates_under_way_keep_a_session_open),
             TEST(a_freed_session_ends_when_its_updates_are_done),
             TEST(a_checkpoint_helps_a_freed_session),
             TEST(a_freed_session_may_be_forgotten),
             TEST(a_freed_session_drops_what_waits),
             TEST(a_store_ends_with_freed_sessions),
             TEST(a_session_is_freed_beside_the_lock),
             TEST(updates_that_need_the_device_are_deferred),
             TEST(released_updates_are_numbered_when_made),
             TEST(a_checkpoint_may_end_in_any_phase),
             TEST(version_bits_that_wrapped_are_old), TEST(misuse_is_refused))
