/* SPDX-License-Identifier: MIT */
/* kv.c: opening and closing a store */
#include <errno.h>
#include <stdlib.h>

#include "base/memory.h"
#include "log/disk.h"
#include "store/merge.h"
#include "store/timing.h"

enum {
    /* The worker's two, for the index and for the cache, the one for figures and growth
     * asked for from outside, and a checkpoint's. */
    OWN_SLOTS = 4,
    INDEX_PERMILLE_DEFAULT = 500,
    INDEX_BITS_START = 10, /* 64 KiB, 4096 keys before the first growth */
    MUTABLE_PERMILLE_DEFAULT = 900
};

/* The worker is inside for a few chunks at a time; this is for a machine that
 * stalls. */
enum { FREE_TIMEOUT_MS = 10000 };

static_assert(KV_SESSIONS_MAX + OWN_SLOTS <= EPOCH_SLOTS_MAX,
              "every session has a slot");

/* Without a budget the log may use this many times the physical memory in addresses;
 * more would only end in the system's own refusal. */
enum { RANGE_PER_MEMORY = 4, LOG_PAGES_MIN = 2 };

/* With a budget it has addresses for this many times as much, so that the budget may be
 * raised (faster_kv_limit_memory). */
enum { RANGE_PER_BUDGET = 4 };

/* Where a recovered log begins: the page of its end, which the tail can count. */
static bool start_is_sane(const struct faster_kv_config *config) {
    uint64_t page = config->page_size != 0 ? config->page_size
                                           : (uint64_t)1 << HLOG_PAGE_BITS_DEFAULT;
    uint64_t pages = (uint64_t)1 << TAIL_PAGE_BITS;
    uint64_t until = config->log_until;
    if (until == 0) {
        return config->log_start == 0;
    }
    return config->device != NULL && until >= ADDRESS_FIRST && until % 8 == 0 &&
           until < (uint64_t)1 << ADDRESS_BITS && until / page < pages &&
           config->log_start == until - until % page;
}

static bool config_is_sane(const struct faster_kv_config *config) {
    bool fixed = config->layout == FASTER_FIXED;
    bool layout = fixed || config->layout == FASTER_VARLEN;
    bool sizes = fixed ? config->key_size >= 1 && config->key_size <= RECORD_KEY_MAX
                       : config->key_size == 0 && config->value_size == 0;
    bool hash = config->hash == FASTER_HASH_XXH3 || config->hash == FASTER_HASH_XXH64;
    bool page = config->page_size == 0 ||
                (is_power_of_two(config->page_size) &&
                 config->page_size >= (uint64_t)1 << HLOG_PAGE_BITS_MIN &&
                 config->page_size <= (uint64_t)1 << HLOG_PAGE_BITS_MAX);
    bool type = config->value_type <= FASTER_TYPE_F64;
    bool share = config->index_permille <= 1000;
    bool sessions = config->sessions_max <= KV_SESSIONS_MAX;
    bool device = config->device == NULL ||
                  (config->memory != 0 && config->mutable_permille <= 1000);
    return layout && sizes && hash && page && type && share && sessions && device &&
           start_is_sane(config) && timing_is_sane(config->sample_every);
}

/* A number type must be as wide as the values it describes; in a varlen layout it says
 * how wide they all are. */
static bool type_fits(const struct faster_kv_config *config) {
    uint32_t size = merge_type_size((enum faster_type)config->value_type);
    return size == 0 || config->layout == FASTER_VARLEN || config->value_size == size;
}

static uint32_t page_bits_of(const struct faster_kv_config *config) {
    return config->page_size != 0 ? bit_highest(config->page_size)
                                  : HLOG_PAGE_BITS_DEFAULT;
}

static bool record_fits(const struct faster_kv_config *config) {
    uint64_t room = ((uint64_t)1 << page_bits_of(config)) - ADDRESS_FIRST;
    uint64_t fixed = RECORD_FIXED_HEADER + align_up(config->key_size, 8) +
                     align_up(config->value_size, 8);
    return config->layout == FASTER_VARLEN || fixed <= room;
}

static uint64_t pages_min(const struct faster_kv_config *config) {
    return config->device != NULL ? DISK_FRAMES_MIN : LOG_PAGES_MIN;
}

static uint64_t log_range(const struct faster_kv_config *config) {
    uint64_t page = (uint64_t)1 << page_bits_of(config);
    if (config->device != NULL) {
        uint64_t ring = power_of_two_at_least(config->memory);
        uint64_t least = power_of_two_at_least(pages_min(config)) * page;
        return ring < least ? least : ring;
    }
    uint64_t most = memory_physical() * RANGE_PER_MEMORY;
    bool small = config->memory != 0 && config->memory < most / RANGE_PER_BUDGET;
    uint64_t wanted = small ? config->memory * RANGE_PER_BUDGET : most;
    uint64_t limit = (uint64_t)1 << ADDRESS_BITS;
    wanted = wanted < limit ? wanted : limit;
    return wanted < LOG_PAGES_MIN * page ? LOG_PAGES_MIN * page : wanted;
}

/* Without a budget the index may take half of the physical memory: beyond that,
 * doubling would only drive the machine out of it. */
uint64_t kv_index_limit(uint64_t memory, uint32_t permille) {
    return memory != 0 ? memory / 1000 * permille : memory_physical() / 2;
}

static uint64_t index_limit(const struct faster_kv_config *config) {
    uint32_t permille = config->index_permille;
    return kv_index_limit(config->memory,
                          permille != 0 ? permille : INDEX_PERMILLE_DEFAULT);
}

/* Whether the index to start with, and two pages, are within what may be taken. */
static bool budget_suffices(const struct faster_kv_config *config, uint32_t bits) {
    uint64_t table = sizeof(struct index_bucket) << bits;
    uint64_t pages = (pages_min(config) << page_bits_of(config)) + config->read_cache;
    if (table > index_limit(config)) {
        return false;
    }
    return config->memory == 0 ||
           (pages <= config->memory && table <= config->memory - pages);
}

static uint32_t index_start_bits(const struct faster_kv_config *config) {
    uint32_t bits = INDEX_BITS_START;
    if (config->expected_keys != 0) {
        return index_bits_for(config->expected_keys);
    }
    /* A budget too small for the usual start gets a smaller one. */
    while (bits > INDEX_BITS_MIN &&
           (sizeof(struct index_bucket) << bits) > index_limit(config) / 2) {
        bits--;
    }
    return bits;
}

static bool hash_at(void *context, uint64_t address, uint64_t *hash, uint64_t *prev) {
    struct faster_kv *kv = context;
    if (address < hlog_head(&kv->log)) {
        return false;
    }
    struct record *record = hlog_record(&kv->log, address);
    *hash = kv_hash(kv, record_key(&kv->layout, record),
                    record_key_size(&kv->layout, record));
    *prev = info_prev(record_info(record));
    return true;
}

/* A hint, also for a copy's address: that is then some other record's line. */
static void prefetch_record(void *context, uint64_t address) {
    struct faster_kv *kv = context;
    faster_prefetch(hlog_record(&kv->log, address));
}

static uint64_t below_copies(void *context, uint64_t address) {
    struct faster_kv *kv = context;
    return cache_below(&kv->cache, address);
}

static bool kv_work(void *context) {
    struct faster_kv *kv = context;
    bool log = disk_work(&kv->log);
    bool cache = cache_work(&kv->cache);
    return index_work(&kv->index) || log || cache;
}

static void describe(struct faster_kv *kv, const struct faster_kv_config *config) {
    bool fixed = config->layout == FASTER_FIXED;
    kv->layout = (struct record_layout){
        .fixed = fixed,
        .header = fixed ? RECORD_FIXED_HEADER : RECORD_VARLEN_HEADER,
        .key_size = config->key_size,
        .value_size = config->value_size,
    };
    kv->hash = (enum faster_hash)config->hash;
    kv->value_type = (enum faster_type)config->value_type;
    kv->value_width = fixed ? config->value_size : merge_type_size(kv->value_type);
    kv->sized = fixed || kv->value_width != 0;
    kv->word_values = kv->value_width == 8;
    kv->words = fixed && kv->word_values && config->key_size == 8;
    for (uint32_t kind = FASTER_MERGE_ADD; kind < FASTER_MERGE_NATIVE; kind++) {
        bool applies = merge_applies(kind, kv->value_type, kv->sized, kv->value_width);
        kv->merges |= (uint32_t)applies << kind;
    }
    kv->sessions_max =
        config->sessions_max != 0 ? config->sessions_max : KV_SESSIONS_MAX;
    kv->event_capacity = config->event_capacity;
    kv->generation = fork_generation();
    timing_init(kv, config->sample_every);
    atomic_init(&kv->state, config->version != 0 ? config->version : 1);
}

/* Whether it was addresses that were lacking, not memory for what goes with them. */
static bool lacks_addresses(uint64_t range) {
    void *base = memory_reserve(range);
    if (base != NULL) {
        memory_release(base, range);
    }
    return base == NULL;
}

/* Address space may be limited below what memory would allow (ulimit -v, a sandbox):
 * then a store without a budget takes what it can get, and one with a budget enough for
 * that. */
static int build_log(struct faster_kv *kv, const struct faster_kv_config *config) {
    uint32_t page_bits = page_bits_of(config);
    uint64_t range = log_range(config);
    uint64_t least = (uint64_t)LOG_PAGES_MIN << page_bits;
    least = config->memory > least ? config->memory : least;
    int error = hlog_init(&kv->log, &kv->epoch, &kv->budget, page_bits, range);
    while (error == -ENOMEM && config->device == NULL && range / 2 >= least &&
           lacks_addresses(range)) {
        range /= 2;
        error = hlog_init(&kv->log, &kv->epoch, &kv->budget, page_bits, range);
    }
    return error;
}

/* Let the log spill to the device, and begin to prepare pages. */
static int build_disk(struct faster_kv *kv, const struct faster_kv_config *config) {
    uint32_t permille = config->mutable_permille;
    if (config->device == NULL) {
        return FASTER_OK;
    }
    kv->device = *config->device;
    int error =
        config->log_until != 0 ? hlog_start_at(&kv->log, config->log_until) : FASTER_OK;
    if (error != FASTER_OK) {
        return error;
    }
    struct disk_config disk = {
        .device = &kv->device,
        .layout = &kv->layout,
        .worker = &kv->worker,
        .store_id = config->store_id,
        .generations = config->generations,
        .generation_count = config->generation_count,
        .mutable_permille = permille != 0 ? permille : MUTABLE_PERMILLE_DEFAULT,
    };
    return disk_attach(&kv->log, &disk);
}

/* What no device can bring back needs no cache. */
static int build_cache(struct faster_kv *kv, const struct faster_kv_config *config) {
    struct cache_config cache = {
        .bytes = config->device != NULL ? config->read_cache : 0,
        .layout = &kv->layout,
        .hash = (uint32_t)kv->hash,
        .index = &kv->index,
        .epoch = &kv->epoch,
        .worker = &kv->worker,
        .budget = &kv->budget,
    };
    return cache_init(&kv->cache, &cache);
}

/* The worker turns pages, so a store with a device needs it from the beginning. */
static int start_disk(struct faster_kv *kv) {
    if (kv->log.disk == NULL) {
        return FASTER_OK;
    }
    int error = worker_start(&kv->worker);
    if (error == FASTER_OK) {
        disk_ask(&kv->log);
    }
    return error;
}

/* Build the parts in order; what was built is taken down in reverse when one fails. */
static int build(struct faster_kv *kv, const struct faster_kv_config *config) {
    struct index_records records = {kv, hash_at, prefetch_record, below_copies};
    uint32_t bits = index_start_bits(config);
    if (!budget_suffices(config, bits)) {
        return FASTER_E_FULL;
    }
    budget_init(&kv->budget, config->memory);
    epoch_init(&kv->epoch,
               KV_SESSIONS_MAX + OWN_SLOTS); /* sessions_max may be raised */
    int error = lock_init(&kv->lock);
    if (error != 0) {
        goto no_lock;
    }
    error = worker_init(&kv->worker, kv_work, kv);
    if (error != 0) {
        goto no_worker;
    }
    error = events_init(&kv->events);
    if (error != 0) {
        goto no_events;
    }
    error = build_log(kv, config);
    if (error != 0) {
        goto no_log;
    }
    kv->log.events = &kv->events;
    error = build_disk(kv, config);
    if (error != 0) {
        goto no_disk;
    }
    error = index_init(&kv->index, &records, &kv->epoch, &kv->worker, &kv->budget,
                       index_limit(config), bits);
    if (error != 0) {
        goto no_index;
    }
    kv->index.events = &kv->events;
    error = build_cache(kv, config);
    if (error != 0) {
        goto no_cache;
    }
    error = epoch_slot_take(&kv->epoch, &kv->slot);
    if (error == 0) {
        error = start_disk(kv);
    }
    if (error == 0) {
        return FASTER_OK;
    }
    cache_destroy(&kv->cache);
no_cache:
    index_destroy(&kv->index);
no_index:
    disk_detach(&kv->log);
no_disk:
    hlog_destroy(&kv->log);
no_log:
    events_destroy(&kv->events);
no_events:
    worker_destroy(&kv->worker);
no_worker:
    lock_destroy(&kv->lock);
no_lock:
    epoch_destroy(&kv->epoch);
    return error;
}

static int open_store(const struct faster_kv_config *config, struct faster_kv **out) {
    if (!config_is_sane(config) || !type_fits(config) || !record_fits(config)) {
        return FASTER_E_CONFIG;
    }
    int error = fork_watch();
    if (error != 0) {
        return error;
    }
    struct faster_kv *kv = memory_lines_new(sizeof *kv);
    if (kv == NULL) {
        return -ENOMEM;
    }
    memset((void *)kv, 0, sizeof *kv);
    describe(kv, config);
    error = build(kv, config);
    if (error != 0) {
        memory_lines_free(kv);
        return error;
    }
    *out = kv;
    return FASTER_OK;
}

/* The device is the store's from the call on, so it is closed when opening fails. */
int faster_kv_open(const struct faster_kv_config *config, struct faster_kv **out) {
    if (config->size < sizeof *config) {
        return FASTER_E_CONFIG;
    }
    int error = config->device != NULL ? device_validate(config->device) : FASTER_OK;
    if (error != FASTER_OK) {
        return error;
    }
    error = open_store(config, out);
    if (error != FASTER_OK && config->device != NULL) {
        (void)device_close(config->device);
    }
    return error;
}

/* End the device, which completes what is in flight, before the memory goes. */
static void release_device(struct faster_kv *kv) {
    if (kv->log.disk != NULL) {
        (void)disk_close(&kv->log);
    }
}

/* Give log and index back, once nobody is inside.  Borrowed views keep the log until
 * faster_kv_free.  Only the claim is made under the lock: freeing takes long, and a
 * session that is being closed needs the lock. */
static void release_memory(struct faster_kv *kv) {
    lock_enter(&kv->lock);
    bool mine = !kv->released;
    kv->released = true;
    lock_leave(&kv->lock);
    if (!mine) {
        return;
    }
    worker_stop(&kv->worker);
    release_device(kv);
    events_end(&kv->events); /* behind what the worker and the device have told */
    sessions_free_orphans(kv);
    cache_destroy(&kv->cache);
    index_destroy(&kv->index);
    if (hlog_pinned(&kv->log) == 0) {
        hlog_destroy(&kv->log);
    }
}

/* End the store: nobody gets in any more, and who is inside leaves. */
static int end_store(struct faster_kv *kv, uint64_t deadline) {
    (void)atomic_fetch_or_explicit(&kv->state, STATE_CLOSED,
                                   memory_order_seq_cst); /* M1 */
    uint64_t closed_at = epoch_bump(&kv->epoch);
    /* Ends at the deadline at the latest. */
    while (!epoch_is_safe(&kv->epoch, closed_at)) {
        epoch_drain(&kv->epoch);
        if (clock_ms() >= deadline) {
            return FASTER_E_TIMEOUT;
        }
        thread_yield();
    }
    release_memory(kv);
    return FASTER_OK;
}

int faster_kv_close(struct faster_kv *kv, uint32_t timeout_ms) {
    if (kv->generation != fork_generation()) {
        return FASTER_E_FORKED;
    }
    uint64_t deadline = clock_ms() + timeout_ms;
    (void)sessions_drain_orphans(kv, deadline);
    return end_store(kv, deadline);
}

/* Whoever frees a store without closing it does not wait for updates: its finalizer may
 * be who calls. */
void faster_kv_free(struct faster_kv *kv) {
    if (kv->generation != fork_generation()) {
        return; /* P4: the child frees nothing of its parent's */
    }
    /* Nobody but the worker can be inside now, and it leaves by itself. */
    if (end_store(kv, clock_ms() + FREE_TIMEOUT_MS) != FASTER_OK) {
        return; /* somebody is inside: rather keep the memory than pull it away */
    }
    sessions_free_orphans(kv);
    hlog_destroy(&kv->log);
    disk_detach(&kv->log);
    events_destroy(&kv->events);
    worker_destroy(&kv->worker);
    lock_destroy(&kv->lock);
    epoch_destroy(&kv->epoch);
    free(kv->departed);
    memory_lines_free(kv);
}

int faster_kv_check_merge(struct faster_kv *kv, const struct faster_merge *merge) {
    if (merge->kind == FASTER_MERGE_NATIVE) {
        return merge->native != NULL ? FASTER_OK : FASTER_E_MERGE;
    }
    bool named = merge->kind < FASTER_MERGE_NATIVE;
    return named && (kv->merges >> merge->kind & 1u) != 0 ? FASTER_OK : FASTER_E_MERGE;
}
