/* SPDX-License-Identifier: MIT */
/* cached.c: the read cache's part in lookups, see store.h and cache.h */
#include "store/store.h"

int kv_find_with_copies(struct faster_session *session, const void *key,
                        uint64_t key_size, struct found *found) {
    struct cache *cache = &session->kv->cache;
    uint64_t address = entry_address(found->ref.seen);
    if (session->watches && kv_begins_newer(session, cache_below(cache, address))) {
        return FASTER_RETRY; /* C2: a copy hides what it stands before */
    }
    struct record *record = cache_find(cache, session->begin, key, key_size, &address);
    if (record == NULL) {
        return find_in_log(session, key, key_size, address, found);
    }
    found->address = address;
    found->record = record;
    return FASTER_OK;
}

int kv_read_copies(struct faster_session *session, const void *key, uint64_t key_size,
                   struct found *found) {
    int result = kv_find_with_copies(session, key, key_size, found);
    if (result == FASTER_OK) {
        kv_note_read(session, found);
    }
    return result;
}

/* A copy that finds no room, or whose entry has changed, was worth a try. */
void kv_keep_copy(struct faster_session *session, const struct found *found,
                  struct record *record, uint64_t address) {
    (void)cache_insert(&session->kv->cache, &found->ref, record, address);
}
