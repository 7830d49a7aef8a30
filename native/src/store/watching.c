/* SPDX-License-Identifier: MIT */
/* watching.c: lookups while a checkpoint begins, see store.h */
#include "store/store.h"

/* C2, C12: below the fuzzy start no record is new.  Who has found a record of the next
 * version sees the fuzzy start that was stored before it (store.h M2). */
static bool is_newer(const struct faster_session *session, uint64_t address,
                     uint64_t info) {
    return info_version(info) == ((session->version + 1) & 0xffu) &&
           address >= atomic_load_explicit(session->fuzzy_start,
                                           memory_order_acquire); /* store.h M2 */
}

bool kv_begins_newer(const struct faster_session *session, uint64_t address) {
    const struct hlog *log = session->log;
    return address >= session->head &&
           is_newer(session, address, record_info(hlog_record(log, address)));
}

int kv_find_watching(struct faster_session *session, const void *key, uint64_t key_size,
                     uint64_t address, struct found *found) {
    const struct faster_kv *kv = session->kv;
    while (address >= session->head) { /* ends: prev is below (record_format.h I2) */
        struct record *record = hlog_record(&kv->log, address);
        uint64_t info = record_info(record);
        if (is_newer(session, address, info)) {
            return FASTER_RETRY;
        }
        if (record_has_key(&kv->layout, record, key, key_size) &&
            (info & INFO_INVALID) == 0) {
            found->address = address;
            found->record = record;
            return FASTER_OK;
        }
        address = info_prev(info);
    }
    found->address = address;
    return address >= session->begin ? FASTER_PENDING : FASTER_NOT_FOUND;
}
