/* SPDX-License-Identifier: MIT */
/* update.c: see update.h */
#include "store/update.h"

/* The old value as an update sees it: nothing, or a record that cannot change now. */
struct old_value {
    struct record *record; /* NULL when the key is absent or a tombstone */
    _Atomic uint64_t *words;
    uint64_t size;
};

/* Bytes of the caller's, who may give NULL for none. */
static void copy_bytes(void *to, const void *from, uint64_t size) {
    if (size != 0) {
        memcpy(to, from, (size_t)size);
    }
}

/* What is to be written. */
struct new_value {
    const void *data;
    uint64_t size;
    uint64_t spare; /* bytes of room worth adding to a new record */
    uint64_t kept;  /* bytes at the front that equal the old value's */
    bool tombstone;
    bool unchanged; /* the old value stays */
};

static struct old_value old_of(const struct faster_kv *kv, struct record *record) {
    struct old_value old = {NULL, NULL, 0};
    if ((record_info(record) & INFO_TOMBSTONE) == 0) {
        old.record = record;
        old.words =
            record_value(&kv->layout, record, record_key_size(&kv->layout, record));
        old.size = record_value_size(&kv->layout, record);
    }
    return old;
}

static bool equals(const struct old_value *old, const void *expected, uint64_t size) {
    const uint8_t *bytes = expected;
    if (old->size != size) {
        return false;
    }
    for (uint64_t at = 0; at < size; at += 8) {
        uint64_t word = word_load(&old->words[at / 8]);
        uint64_t count = size - at < 8 ? size - at : 8;
        if (memcmp(&word, bytes + at, (size_t)count) != 0) {
            return false;
        }
    }
    return true;
}

/* Ask for a larger scratch; the attempt is made again with it. */
static int need_scratch(struct faster_session *session, uint64_t size) {
    if (size <= session->scratch_size) {
        return FASTER_OK;
    }
    session->scratch_need = align_up(size, 256);
    return FASTER_RETRY;
}

static int merge_number(struct faster_session *session, const struct update *update,
                        const struct old_value *old, struct new_value *fresh) {
    const struct faster_kv *kv = session->kv;
    uint32_t size = merge_type_size(kv->value_type);
    uint64_t have = 0;
    uint64_t input = 0;
    uint64_t merged;
    int result = need_scratch(session, 8);
    if (result != FASTER_OK) {
        return result;
    }
    record_copy_out(old->words, &have, size);
    memcpy(&input, update->value, size);
    result = merge_words(kv->value_type, update->merge->kind, have, input, &merged);
    memcpy(session->scratch, &merged, 8);
    fresh->data = session->scratch;
    fresh->size = size;
    return result;
}

/* Old bytes, then the input's.  In place only the input is written (kept). */
static int merge_append(struct faster_session *session, const struct update *update,
                        const struct old_value *old, struct new_value *fresh) {
    uint64_t size = old->size + update->value_size;
    int result = need_scratch(session, size + 1); /* so that there is one at all */
    if (result != FASTER_OK) {
        return result;
    }
    record_copy_out(old->words, session->scratch, old->size);
    copy_bytes(session->scratch + old->size, update->value, update->value_size);
    fresh->data = session->scratch;
    fresh->size = size;
    fresh->kept = old->size;
    /* A quarter more room, so that appending n times copies each byte a few times, not
     * n times. */
    fresh->spare = size / 4;
    return FASTER_OK;
}

static int merge_newest(struct faster_session *session, const struct update *update,
                        const struct old_value *old, struct new_value *fresh) {
    uint8_t stamp[8];
    if (update->value_size < 8 || old->size < 8) {
        return FASTER_E_MERGE;
    }
    record_copy_out(old->words, stamp, 8);
    fresh->unchanged = merge_keeps_newest(stamp, update->value);
    (void)session;
    return FASTER_OK;
}

static int merge_native(struct faster_session *session, const struct update *update,
                        const struct old_value *old, struct new_value *fresh) {
    uint64_t room = old->size + update->value_size + 8;
    uint64_t fixed_size = session->kv->value_width;
    room = room > fixed_size ? room : fixed_size;
    if (session->scratch_size > room) {
        room = session->scratch_size;
    }
    int result = need_scratch(session, room);
    if (result != FASTER_OK) {
        return result;
    }
    int64_t old_size = -1;
    if (old->record != NULL) {
        record_copy_out(old->words, session->scratch, old->size);
        old_size = (int64_t)old->size;
    }
    int64_t size = update->merge->native(session->scratch, old_size, (int64_t)room,
                                         update->value, (int64_t)update->value_size);
    if (size < 0) {
        return FASTER_E_MERGE;
    }
    fresh->data = session->scratch;
    fresh->size = (uint64_t)size;
    if (fresh->size > room) {
        /* A claim beyond every page is not worth an allocation. */
        result = check_value(session->kv, update->key_size, fresh->size);
        return result != FASTER_OK ? result : need_scratch(session, fresh->size);
    }
    return check_value(session->kv, update->key_size, fresh->size);
}

static int decide_merge(struct faster_session *session, const struct update *update,
                        const struct old_value *old, struct new_value *fresh) {
    uint32_t kind = update->merge->kind;
    if (kind == FASTER_MERGE_NATIVE) {
        return merge_native(session, update, old, fresh);
    }
    if (old->record == NULL) {
        bool stamped = kind != FASTER_MERGE_PUT_NEWEST || update->value_size >= 8;
        return stamped ? FASTER_OK : FASTER_E_MERGE;
    }
    switch (kind) {
    case FASTER_MERGE_APPEND:
        return merge_append(session, update, old, fresh);
    case FASTER_MERGE_SET_IF_ABSENT:
        fresh->unchanged = true;
        return FASTER_OK;
    case FASTER_MERGE_PUT_NEWEST:
        return merge_newest(session, update, old, fresh);
    default:
        return merge_number(session, update, old, fresh);
    }
}

/* Give the caller of a read-modify-write the value that it makes, before it is made:
 * FASTER_SHORT must leave everything as it was. */
static int show_merged(const struct update *update, const struct old_value *old,
                       const struct new_value *fresh) {
    uint64_t size = fresh->unchanged ? old->size : fresh->size;
    if (update->out_size != NULL) {
        *update->out_size = size;
    }
    if (update->out == NULL) {
        return FASTER_OK;
    }
    if (size > update->capacity) {
        return FASTER_SHORT;
    }
    if (fresh->unchanged) {
        record_copy_out(old->words, update->out, size);
    } else {
        copy_bytes(update->out, fresh->data, size);
    }
    return FASTER_OK;
}

static int decide_rmw(struct faster_session *session, const struct update *update,
                      const struct old_value *old, struct new_value *fresh) {
    int result = decide_merge(session, update, old, fresh);
    if (result != FASTER_OK) {
        return result;
    }
    if (!fresh->unchanged) {
        result = check_value(session->kv, update->key_size, fresh->size);
        if (result != FASTER_OK) {
            return result;
        }
    }
    return show_merged(update, old, fresh);
}

/* What the update makes of the old value.  FASTER_OK with `fresh`, or an outcome. */
static int decide_change(struct faster_session *session, const struct update *update,
                         const struct old_value *old, struct new_value *fresh) {
    *fresh = (struct new_value){.data = update->value, .size = update->value_size};
    switch (update->kind) {
    case UPDATE_UPSERT:
        return FASTER_OK;
    case UPDATE_INSERT:
        return old->record != NULL ? FASTER_EXISTS : FASTER_OK;
    case UPDATE_DELETE:
    case UPDATE_DISCARD:
        fresh->tombstone = true;
        fresh->data = NULL;
        fresh->size = 0;
        return old->record != NULL ? FASTER_OK : FASTER_NOT_FOUND;
    case UPDATE_RMW:
        return decide_rmw(session, update, old, fresh);
    case UPDATE_COMPARE:
        if (old->record == NULL) {
            return FASTER_NOT_FOUND;
        }
        return equals(old, update->expected, update->expected_size) ? FASTER_OK
                                                                    : FASTER_MISMATCH;
    }
    return FASTER_E_CONFIG; /* not reached: every kind is above */
}

/* Whether the record can hold the value and say so in its lengths. */
static bool fits_in_place(const struct faster_kv *kv, struct record *record,
                          const struct new_value *fresh) {
    if (fresh->tombstone || kv->layout.fixed) {
        return true;
    }
    uint64_t room = record_room(&kv->layout, record);
    uint64_t taken = align_up(fresh->size, 8);
    return taken <= room && (room - taken) / 8 <= RECORD_SLACK_MAX;
}

/* R2: under the lock: the version, then the value, then the tombstone bit. */
static void write_in_place(struct faster_session *session, struct record *record,
                           const struct new_value *fresh) {
    const struct record_layout *layout = &session->kv->layout;
    uint64_t info = info_with_version(record_info(record), session->version);
    record_set_info(record, info);
    if (fresh->tombstone) {
        record_set_info(record, info | INFO_TOMBSTONE);
        return;
    }
    uint64_t key_size = record_key_size(layout, record);
    if (!layout->fixed) {
        uint64_t slack = (record_room(layout, record) - align_up(fresh->size, 8)) / 8;
        atomic_store_explicit(record_lengths_word(record),
                              lengths_make(fresh->size, key_size, slack),
                              memory_order_release); /* record.h M2 */
    }
    uint64_t kept = (info & INFO_TOMBSTONE) != 0 ? 0 : fresh->kept;
    if (fresh->size > kept) {
        record_copy_in(record_value(layout, record, key_size), kept,
                       (const uint8_t *)fresh->data + kept, fresh->size - kept);
    }
    if ((info & INFO_TOMBSTONE) != 0) {
        record_set_info(record, info & ~INFO_TOMBSTONE);
    }
}

/* Fill a record that nobody can see (record.h M4). */
static void fill_record(const struct faster_session *session, struct record *record,
                        const struct update *update, const struct new_value *fresh,
                        uint64_t room, uint64_t prev) {
    const struct record_layout *layout = &session->kv->layout;
    uint8_t *bytes = (uint8_t *)record;
    if (!layout->fixed) {
        uint64_t slack = (room - align_up(fresh->size, 8)) / 8;
        /* relaxed: before the header's release (record.h M4) */
        atomic_store_explicit(record_lengths_word(record),
                              lengths_make(fresh->size, update->key_size, slack),
                              memory_order_relaxed);
    }
    copy_bytes(bytes + layout->header, update->key, update->key_size);
    copy_bytes(bytes + record_value_offset(layout, update->key_size), fresh->data,
               fresh->size);
    record_finish(record, info_make(prev, session->version,
                                    fresh->tombstone ? INFO_TOMBSTONE : 0));
}

/* Room for the value and as much of the spare as a page and the slack field allow. */
static uint64_t room_for(const struct faster_kv *kv, const struct update *update,
                         const struct new_value *fresh) {
    if (kv->layout.fixed) {
        return align_up(kv->layout.value_size, 8);
    }
    uint64_t least = align_up(fresh->size, 8);
    uint64_t spare = fresh->spare & ~(uint64_t)7;
    uint64_t header = record_size(&kv->layout, update->key_size, 0);
    uint64_t most = hlog_record_max(&kv->log) - header - least;
    spare = spare < most ? spare : most;
    return least + (spare < RECORD_SLACK_MAX * 8 ? spare : RECORD_SLACK_MAX * 8);
}

/* R3: append a record and put it before the chain that the lookup saw. */
static int append_record(struct faster_session *session, const struct update *update,
                         const struct new_value *fresh, const struct found *found) {
    struct faster_kv *kv = session->kv;
    uint64_t room = room_for(kv, update, fresh);
    uint64_t size = record_size(&kv->layout, update->key_size, room);
    struct index_ref ref = found->ref;
    uint64_t address;
    int result = index_make_place(&ref);
    if (result == FASTER_OK) {
        result = hlog_reserve(&kv->log, size, &address);
    }
    if (result != FASTER_OK) {
        return result;
    }
    struct record *record = hlog_record(&kv->log, address);
    uint64_t prev = kv_log_address(kv, ref.seen); /* store.h I3 */
    fill_record(session, record, update, fresh, room, prev);
    result = index_publish(&kv->index, &ref, address, &session->tally);
    if (result != FASTER_OK) {
        record_invalidate(record); /* R3: before the session leaves or refreshes */
    }
    return result;
}

static int update_absent(struct faster_session *session, const struct update *update,
                         const struct found *found) {
    struct old_value none = {NULL, NULL, 0};
    struct new_value fresh;
    int result = decide_change(session, update, &none, &fresh);
    return result == FASTER_OK ? append_record(session, update, &fresh, found) : result;
}

/* The record is locked by us and not sealed. */
static int update_locked(struct faster_session *session, const struct update *update,
                         const struct found *found, bool *seal) {
    struct record *record = found->record;
    struct old_value old = old_of(session->kv, record);
    struct new_value fresh;
    int result = decide_change(session, update, &old, &fresh);
    if (result != FASTER_OK || fresh.unchanged) {
        return result;
    }
    if (found->address >= session->mutable_from &&
        session_may_change(session, record_info(record)) &&
        fits_in_place(session->kv, record, &fresh)) { /* R2, C3 */
        write_in_place(session, record, &fresh);
        return FASTER_OK;
    }
    result = append_record(session, update, &fresh, found);
    *seal = result == FASTER_OK; /* R4 */
    return result;
}

/* R2 and R4: the record may still be changed by others. */
static int update_shared(struct faster_session *session, const struct update *update,
                         const struct found *found) {
    struct record *record = found->record;
    uint32_t seq;
    bool seal = false;
    int result = record_lock(record, &seq);
    if (result != FASTER_OK) {
        return result;
    }
    uint64_t info = record_info(record);
    result = (info & INFO_SEALED) != 0 ? FASTER_RETRY
                                       : update_locked(session, update, found, &seal);
    if (seal) {
        record_set_info(record,
                        record_info(record) | INFO_SEALED); /* before the unlock */
    }
    record_unlock(record, seq);
    return result;
}

/* Nobody changes the record any more: no lock is needed to read it. */
static int update_immutable(struct faster_session *session, const struct update *update,
                            const struct found *found) {
    struct old_value old = old_of(session->kv, found->record);
    struct new_value fresh;
    int result = decide_change(session, update, &old, &fresh);
    if (result != FASTER_OK || fresh.unchanged) {
        return result;
    }
    return append_record(session, update, &fresh, found);
}

int update_fetched(struct faster_session *session, struct update *update,
                   struct found *found) {
    return found->record != NULL ? update_immutable(session, update, found)
                                 : update_absent(session, update, found);
}

int update_found(struct faster_session *session, struct update *update, int looked,
                 struct found *found) {
    static const struct new_value tombstone = {.tombstone = true};
    if (looked == FASTER_NOT_FOUND ||
        (looked == FASTER_PENDING && update->kind == UPDATE_UPSERT)) {
        return update_absent(session, update, found);
    }
    if (looked == FASTER_PENDING && update->kind == UPDATE_DISCARD) {
        return append_record(session, update, &tombstone, found);
    }
    if (looked != FASTER_OK) {
        return looked;
    }
    if (found->address >= hlog_safe_read_only(&session->kv->log)) {
        return update_shared(session, update, found);
    }
    return update_immutable(session, update, found);
}

/* A single update of a word, with what api.h promises about `out`. */
static int change_word(struct faster_session *session, struct update *update,
                       const struct found *found) {
    uint64_t input;
    uint64_t merged;
    if (update->out != NULL && update->capacity < 8) {
        return FASTER_PENDING;
    }
    memcpy(&input, update->value, 8);
    int result = update_word(session, found, update->key_size, update->kind,
                             update->merge, input, &merged);
    if (result == FASTER_OK && update->out != NULL) {
        memcpy(update->out, &merged, 8);
    }
    if (result == FASTER_OK && update->out_size != NULL) {
        *update->out_size = 8;
    }
    return result;
}

int update_once(struct faster_session *session, struct update *update) {
    struct found found;
    int looked =
        find_record(session, update->hash, update->key, update->key_size, &found);
    if (session->kv->word_values && looked == FASTER_OK &&
        update_is_word(update->kind, update->merge)) {
        int result = change_word(session, update, &found);
        if (faster_likely(result != FASTER_PENDING)) {
            return result;
        }
    }
    return update_found(session, update, looked, &found);
}

static_assert(COUNT_INSERT - COUNT_UPSERT == (int)UPDATE_INSERT &&
                  COUNT_DELETE - COUNT_UPSERT == (int)UPDATE_DELETE &&
                  COUNT_RMW - COUNT_UPSERT == (int)UPDATE_RMW &&
                  COUNT_COMPARE - COUNT_UPSERT == (int)UPDATE_COMPARE &&
                  COUNT_DISCARD - COUNT_UPSERT == (int)UPDATE_DISCARD,
              "an update's kind says where it is counted");

/* An upsert is always made; so is a merge that does not fail. */
void update_count_other(struct faster_session *session, enum update_kind kind,
                        int result) {
    static const uint8_t counts[] = {
        [UPDATE_INSERT] = COUNT_INSERT_FOUND,
        [UPDATE_DELETE] = COUNT_DELETE_MISSED,
        [UPDATE_COMPARE] = COUNT_COMPARE_REFUSED,
        [UPDATE_DISCARD] = COUNT_DELETE_MISSED,
    };
    if (result < 0) {
        session_count(session, COUNT_FAILED);
    } else if (kind != UPDATE_UPSERT && kind != UPDATE_RMW) {
        session_count(session, (enum session_count)counts[kind]);
    }
}

FASTER_NOINLINE void update_account_other(struct faster_session *session,
                                          enum update_kind kind, int result) {
    if (result == FASTER_RETRY || result == FASTER_SHORT || result == FASTER_PENDING) {
        return;
    }
    if (result > 0) {
        session_issue(session);
    }
    update_count_other(session, kind, result);
}
