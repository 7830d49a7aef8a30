/* SPDX-License-Identifier: MIT */
/* cache.c: see cache.h */
#include "cache/cache.h"

#include <errno.h>

#include "base/assert.h"
#include "base/bits.h"
#include "base/memory.h"
#include "base/thread.h"
#include "hash/hash.h"

enum {
    /* Pages that may be filled at once: the tail's, the next, and the last one, which
     * is for second chances only: without it those who insert would leave no room. */
    PAGES_AHEAD = 3,
    PAGES_SPARE = 1,
    /* Records that the worker looks up inside one entry, and one piece of its work. */
    EVICT_BLOCK = 64,
    EVICT_BLOCKS = 16,
    /* Lost CASes after which the worker comes back later. */
    EVICT_TRIES = 16
};

#define ORIGIN_REFERENCED ((uint64_t)1 << 63)

/* What stands before each copy. */
struct cached {
    _Atomic uint64_t origin; /* written before publication; then only the bit (I4) */
};

static_assert(sizeof(struct cached) == 8, "copies stay aligned like records");

static int check_config(const struct cache_config *config) {
    if (config->bytes < CACHE_BYTES_MIN) {
        return FASTER_E_CONFIG;
    }
    return budget_take(config->budget, config->bytes) ? FASTER_OK : FASTER_E_FULL;
}

static void size_pages(struct cache *cache, uint64_t bytes) {
    uint64_t count = CACHE_PAGES_MIN;
    while (bytes / count > CACHE_PAGE_MAX) {
        count *= 2;
    }
    cache->page_count = count;
    cache->page_size = bytes / count & ~(uint64_t)7;
    cache->page_bits = bit_highest(power_of_two_at_least(cache->page_size));
    cache->bytes = bytes;
}

/* The memory, all of it at once: what the user gave is not asked for twice. */
static int make_pages(struct cache *cache) {
    uint64_t range = align_up(cache->bytes, MEMORY_GRANULE);
    uint8_t *base = memory_reserve(range);
    if (base == NULL) {
        return -ENOMEM;
    }
    int error = memory_commit(base, range);
    if (error != 0) {
        memory_release(base, range);
        return error;
    }
    cache->base = base;
    return FASTER_OK;
}

int cache_init(struct cache *cache, const struct cache_config *config) {
    memset((void *)cache, 0, sizeof *cache);
    if (config->bytes == 0) {
        return FASTER_OK;
    }
    int error = check_config(config);
    if (error != FASTER_OK) {
        return error;
    }
    size_pages(cache, config->bytes);
    cache->layout = config->layout;
    cache->hash = config->hash;
    cache->index = config->index;
    cache->epoch = config->epoch;
    cache->worker = config->worker;
    cache->budget = config->budget;
    atomic_init(&cache->tail, 0);
    atomic_init(&cache->ready, cache->page_count);
    error = epoch_slot_take(cache->epoch, &cache->slot);
    if (error == FASTER_OK) {
        error = make_pages(cache);
        if (error != FASTER_OK) {
            epoch_slot_give(cache->slot);
        }
    }
    if (error != FASTER_OK) {
        budget_give(cache->budget, cache->bytes);
    }
    return error;
}

void cache_destroy(struct cache *cache) {
    if (cache->base == NULL) {
        return;
    }
    memory_release(cache->base, align_up(cache->bytes, MEMORY_GRANULE));
    budget_give(cache->budget, cache->bytes);
    epoch_slot_give(cache->slot);
    cache->base = NULL;
}

/* --- places ----------------------------------------------------------------------- */

/* A place is page number and offset in one word that never falls; an address is what
 * of it fits below the mark. */
static uint64_t address_of(uint64_t place) {
    return ADDRESS_CACHE | (place & (ADDRESS_CACHE - 1));
}

static uint64_t place_make(const struct cache *cache, uint64_t page, uint64_t offset) {
    return (page << cache->page_bits) + offset;
}

static uint8_t *frame_of(const struct cache *cache, uint64_t page) {
    return cache->base + (page & (cache->page_count - 1)) * cache->page_size;
}

static struct cached *cached_at(const struct cache *cache, uint64_t address) {
    uint64_t place = address & (ADDRESS_CACHE - 1);
    uint64_t offset = place & (((uint64_t)1 << cache->page_bits) - 1);
    uint8_t *frame = frame_of(cache, place >> cache->page_bits);
    return (struct cached *)(void *)(frame + offset);
}

static struct record *record_of(struct cached *cached) {
    return (struct record *)(void *)(cached + 1);
}

static uint64_t load_origin(struct cached *cached) {
    /* relaxed: written before the entry's CAS, whose word led here (index.h M1); the
     * bit is a hint */
    return atomic_load_explicit(&cached->origin, memory_order_relaxed);
}

static uint64_t prev_of(const struct cache *cache, uint64_t address) {
    return info_prev(record_info(record_of(cached_at(cache, address))));
}

/* Reserve room for one copy, in the tail's page or the next, so that `spare` pages stay
 * free.  False without room. */
static bool reserve(struct cache *cache, uint64_t size, uint64_t spare,
                    uint64_t *place) {
    uint64_t mask = ((uint64_t)1 << cache->page_bits) - 1;
    uint64_t tail =
        atomic_load_explicit(&cache->tail, memory_order_acquire); /* M1, the CAS */
    uint64_t next;
    do { /* ends: each failure means that another has reserved */
        uint64_t page = tail >> cache->page_bits;
        uint64_t offset = tail & mask;
        if (offset + size > cache->page_size) {
            page++;
            offset = 0;
        }
        if (page + spare >=
            atomic_load_explicit(&cache->ready, memory_order_acquire)) { /* M2 */
            return false;
        }
        *place = place_make(cache, page, offset);
        next = *place + size;
    } while (!atomic_compare_exchange_weak_explicit(
        &cache->tail, &tail, next, memory_order_acq_rel,
        memory_order_acquire)); /* M1, with cache_work */
    if (next >> cache->page_bits != tail >> cache->page_bits) {
        worker_post(cache->worker);
    }
    return true;
}

/* --- lookups and insertions ------------------------------------------------------- */

/* Only the first hit writes: a hot copy's line stays shared. */
static void refer(struct cached *cached) {
    if ((load_origin(cached) & ORIGIN_REFERENCED) == 0) {
        /* relaxed: a hint for the worker */
        (void)atomic_fetch_or_explicit(&cached->origin, ORIGIN_REFERENCED,
                                       memory_order_relaxed);
    }
}

/* The copy of a key in a front, or NULL; *address as cache_find says. */
static struct cached *find_copy(const struct cache *cache, uint64_t begin,
                                const void *key, uint64_t key_size, uint64_t *address) {
    while (
        address_is_cached(*address)) { /* ends: fronts are finite, and end in the log */
        struct cached *cached = cached_at(cache, *address);
        struct record *record = record_of(cached);
        uint64_t from = load_origin(cached) & ~ORIGIN_REFERENCED;
        if (record_has_key(cache->layout, record, key, key_size) && from >= begin) {
            *address = from;
            return cached;
        }
        *address = info_prev(record_info(record));
    }
    return NULL;
}

struct record *cache_find(struct cache *cache, uint64_t begin, const void *key,
                          uint64_t key_size, uint64_t *address) {
    struct cached *cached = find_copy(cache, begin, key, key_size, address);
    if (cached == NULL) {
        return NULL;
    }
    refer(cached);
    return record_of(cached);
}

uint64_t cache_below(const struct cache *cache, uint64_t address) {
    while (address_is_cached(address)) { /* ends: as in cache_find */
        address = prev_of(cache, address);
    }
    return address;
}

/* Write a copy that nobody can see yet (record.h M4). */
static struct record *write_copy(struct cache *cache, uint64_t place,
                                 struct record *record, uint64_t extent,
                                 uint64_t origin, uint64_t prev) {
    struct cached *cached = cached_at(cache, address_of(place));
    struct record *copy = record_of(cached);
    uint64_t info = record_info(record);
    memcpy((uint8_t *)copy + sizeof *copy, (const uint8_t *)record + sizeof *record,
           (size_t)(extent - sizeof *record));
    /* relaxed: before the entry's CAS */
    atomic_store_explicit(&cached->origin, origin, memory_order_relaxed);
    record_finish(copy, info_make(prev, info_version(info), 0));
    return copy;
}

/* Put a copy before what the entry leads to from `prev` on (I2). */
static int put(struct cache *cache, const struct index_ref *ref, struct record *record,
               uint64_t origin, uint64_t prev, uint64_t spare) {
    uint64_t extent = record_extent(cache->layout, record);
    uint64_t size = sizeof(struct cached) + extent;
    uint64_t place;
    if (size > cache->page_size || !reserve(cache, size, spare, &place)) {
        return FASTER_E_FULL;
    }
    struct record *copy = write_copy(cache, place, record, extent, origin, prev);
    int result = index_publish(cache->index, ref, address_of(place), NULL);
    if (result != FASTER_OK) {
        record_invalidate(copy);
    }
    return result;
}

int cache_insert(struct cache *cache, const struct index_ref *ref,
                 struct record *record, uint64_t origin) {
    faster_assert(ref->seen != 0);
    if (cache->base == NULL) {
        return FASTER_E_FULL;
    }
    int result = put(cache, ref, record, origin, entry_address(ref->seen), PAGES_SPARE);
    if (result == FASTER_OK) {
        /* relaxed: a figure */
        (void)atomic_fetch_add_explicit(&cache->insertions, 1, memory_order_relaxed);
    }
    return result;
}

/* --- eviction: the worker --------------------------------------------------------- */

/* Whether the front that begins at `address` has `wanted` in it. */
static bool leads_to(const struct cache *cache, uint64_t address, uint64_t wanted) {
    while (address_is_cached(address) && address != wanted) { /* ends: cache_find */
        address = prev_of(cache, address);
    }
    return address == wanted;
}

/* Whether a copy was asked for, and its page may still give second chances. */
static bool deserves(const struct cache *cache, struct cached *cached) {
    return (load_origin(cached) & ORIGIN_REFERENCED) != 0 &&
           cache->kept < cache->page_size / 2;
}

/* Replace the front that the entry leads to by a new copy of `cached` alone. */
static bool keep(struct cache *cache, const struct index_ref *ref,
                 struct cached *cached) {
    uint64_t below = cache_below(cache, entry_address(ref->seen));
    uint64_t origin = load_origin(cached) & ~ORIGIN_REFERENCED;
    if (put(cache, ref, record_of(cached), origin, below, 0) != FASTER_OK) {
        return false;
    }
    cache->kept +=
        sizeof(struct cached) + record_extent(cache->layout, record_of(cached));
    return true;
}

static void count_eviction(struct cache *cache) {
    /* relaxed: a figure with one writer */
    uint64_t before = atomic_load_explicit(&cache->evictions, memory_order_relaxed);
    /* relaxed: as above */
    atomic_store_explicit(&cache->evictions, before + 1, memory_order_relaxed);
}

/* See to it that no entry leads to a copy.  FASTER_OK or FASTER_RETRY. */
static int evict(struct cache *cache, uint64_t address) {
    struct cached *cached = cached_at(cache, address);
    struct record *record = record_of(cached);
    uint64_t key_size = record_key_size(cache->layout, record);
    uint64_t hash = hash_key(cache->hash, record_key(cache->layout, record), key_size);
    if ((record_info(record) & INFO_INVALID) != 0) {
        return FASTER_OK; /* lost its CAS: nothing ever led to it */
    }
    for (int tries = 0; tries < EVICT_TRIES; tries++) {
        struct index_ref ref;
        int result = index_find(cache->index, hash, &ref);
        if (result == FASTER_RETRY) {
            break; /* the chunk is being split */
        }
        if (result != FASTER_OK || !leads_to(cache, entry_address(ref.seen), address)) {
            count_eviction(cache);
            return FASTER_OK;
        }
        if (tries == 0 && deserves(cache, cached)) {
            if (keep(cache, &ref, cached)) {
                return FASTER_OK;
            }
            continue;
        }
        uint64_t below = cache_below(cache, entry_address(ref.seen));
        if (index_publish(cache->index, &ref, below, NULL) == FASTER_OK) {
            count_eviction(cache);
            return FASTER_OK;
        }
    }
    return FASTER_RETRY;
}

/* The page to empty: the one whose frame is the next to be filled. */
static uint64_t victim_of(struct cache *cache) {
    /* relaxed: the worker's own store */
    return atomic_load_explicit(&cache->ready, memory_order_relaxed) -
           cache->page_count;
}

/* The copy at `position` of a page, or NULL at the end of its written part. */
static struct cached *copy_at(const struct cache *cache, uint64_t page,
                              uint64_t position) {
    uint64_t least = sizeof(struct cached) + cache->layout->header;
    if (position + least > cache->page_size) {
        return NULL;
    }
    struct cached *cached =
        cached_at(cache, address_of(place_make(cache, page, position)));
    return load_origin(cached) != 0 ? cached : NULL;
}

static uint64_t size_of(const struct cache *cache, struct cached *cached) {
    return sizeof *cached + record_extent(cache->layout, record_of(cached));
}

/* Inside: evict a block of copies.  FASTER_OK: there may be more; FASTER_NOT_FOUND:
 * none is left; FASTER_RETRY: come again. */
static int evict_block(struct cache *cache, uint64_t page) {
    for (int i = 0; i < EVICT_BLOCK; i++) {
        struct cached *cached = copy_at(cache, page, cache->position);
        if (cached == NULL) {
            return FASTER_NOT_FOUND;
        }
        uint64_t place = place_make(cache, page, cache->position);
        if (evict(cache, address_of(place)) != FASTER_OK) {
            return FASTER_RETRY;
        }
        cache->position += size_of(cache, cached);
    }
    return FASTER_OK;
}

static int evict_blocks(struct cache *cache, uint64_t page) {
    int result = FASTER_OK;
    for (int i = 0; i < EVICT_BLOCKS && result == FASTER_OK; i++) {
        while (epoch_enter(cache->epoch, cache->slot) != FASTER_OK) {
            thread_yield(); /* ends: nobody but the worker uses its slot */
        }
        result = evict_block(cache, page);
        epoch_leave(cache->epoch, cache->slot);
    }
    return result;
}

/* Outside: let everyone leave who is inside now. */
static void let_all_leave(struct cache *cache) {
    epoch_wait(cache->epoch, epoch_bump(cache->epoch));
}

/* Go on with emptying the oldest page. */
static void empty_page(struct cache *cache) {
    uint64_t page = victim_of(cache);
    if (!cache->emptying) {
        let_all_leave(cache); /* I6: what was reserved there is written */
        cache->emptying = true;
        cache->position = 0;
        cache->kept = 0;
    }
    int result = evict_blocks(cache, page);
    if (result == FASTER_RETRY) {
        thread_yield(); /* ends with a split that another thread makes */
    }
    if (result != FASTER_NOT_FOUND) {
        return;
    }
    let_all_leave(cache); /* I5 */
    memset(frame_of(cache, page), 0, (size_t)cache->page_size);
    cache->emptying = false;
    atomic_store_explicit(&cache->ready, page + cache->page_count + 1,
                          memory_order_release); /* M2, with reserve */
}

bool cache_work(struct cache *cache) {
    if (cache->base == NULL) {
        return false;
    }
    uint64_t tail =
        atomic_load_explicit(&cache->tail, memory_order_acquire); /* M1, reserve */
    /* relaxed: the worker's own store */
    uint64_t ready = atomic_load_explicit(&cache->ready, memory_order_relaxed);
    if ((tail >> cache->page_bits) + PAGES_AHEAD <= ready) {
        return false;
    }
    empty_page(cache);
    return true;
}

/* --- audit ------------------------------------------------------------------------ */

/* A copy that its key's entry leads to must be the first of the key (I1). */
static int audit_copy(struct cache *cache, uint64_t address) {
    struct cached *cached = cached_at(cache, address);
    struct record *record = record_of(cached);
    uint64_t key_size = record_key_size(cache->layout, record);
    const uint8_t *key = record_key(cache->layout, record);
    struct index_ref ref;
    if ((record_info(record) & INFO_INVALID) != 0 ||
        index_find(cache->index, hash_key(cache->hash, key, key_size), &ref) !=
            FASTER_OK ||
        !leads_to(cache, entry_address(ref.seen), address)) {
        return 0;
    }
    uint64_t first = entry_address(ref.seen);
    return find_copy(cache, 0, key, key_size, &first) == cached ? 0 : 1;
}

static int audit_page(struct cache *cache, uint64_t page) {
    uint64_t position = 0;
    struct cached *cached = copy_at(cache, page, position);
    int broken = 0;
    while (cached != NULL && broken == 0) { /* ends with the page */
        broken = audit_copy(cache, address_of(place_make(cache, page, position)));
        position += size_of(cache, cached);
        cached = copy_at(cache, page, position);
    }
    return broken;
}

int cache_audit(struct cache *cache) {
    uint64_t ready = atomic_load_explicit(&cache->ready, memory_order_acquire); /* M2 */
    uint64_t tail = atomic_load_explicit(&cache->tail, memory_order_acquire);   /* M1 */
    int broken = 0;
    if (cache->base == NULL) {
        return 0;
    }
    uint64_t page = ready - cache->page_count;
    for (; page <= tail >> cache->page_bits && broken == 0; page++) {
        broken = audit_page(cache, page);
    }
    return broken;
}
