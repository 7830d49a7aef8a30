/* SPDX-License-Identifier: MIT */
/* stats.c: figures, and growth asked for from outside */
#include "faster/hot_table.h"
#include "store/pending.h"
#include "store/timing.h"

int kv_enter_slot(struct faster_kv *kv, struct epoch_slot *slot) {
    uint64_t state = atomic_load_explicit(&kv->state, memory_order_seq_cst); /* M1 */
    if ((state & STATE_CLOSED) != 0) {
        return FASTER_E_CLOSED;
    }
    int result = epoch_enter(&kv->epoch, slot);
    if (result != FASTER_OK) {
        return result;
    }
    state = atomic_load_explicit(&kv->state, memory_order_seq_cst); /* M1 */
    if ((state & STATE_CLOSED) != 0) {
        epoch_leave(&kv->epoch, slot);
        return FASTER_E_CLOSED;
    }
    return FASTER_OK;
}

int kv_enter_outside(struct faster_kv *kv) { return kv_enter_slot(kv, kv->slot); }

static uint64_t figure(_Atomic uint64_t *word) {
    /* relaxed: a figure */
    return atomic_load_explicit(word, memory_order_relaxed);
}

static uint64_t count_of(struct faster_kv *kv, enum session_count kind) {
    uint64_t sum = kv->closed_counts[kind];
    for (struct faster_session *s = kv->sessions; s != NULL; s = s->next) {
        sum += figure(&s->counts[kind]);
    }
    return sum;
}

static void fill_index(struct faster_kv *kv, struct faster_kv_stats *stats) {
    /* Before the rest: with true comes the table that was to be doubled, or a later. */
    stats->index_saturated = atomic_load_explicit(
        &kv->index.saturated, memory_order_acquire); /* index.h M8 */
    struct index_table *table = index_current(&kv->index);
    struct index_table *next = table_next(table);
    struct index_table *newest = next != NULL ? next : table;
    /* Before the count of growths: who reads 0 here reads a count that has it. */
    stats->index_growing =
        atomic_load_explicit(&kv->index.growing, memory_order_acquire); /* index.h M3 */
    stats->index_bytes = index_bytes(&kv->index);
    stats->index_buckets = newest->mask + 1;
    /* relaxed: figures, both */
    stats->index_entries = atomic_load_explicit(&table->entries, memory_order_relaxed);
    stats->index_overflow = overflow_count(&newest->pool);
    stats->index_growths =
        atomic_load_explicit(&kv->index.growths, memory_order_acquire); /* index.h M7 */
}

static void fill_rest(struct faster_kv *kv, struct faster_kv_stats *stats) {
    stats->sessions = kv->session_count;
    stats->address_begin = hlog_begin(&kv->log);
    stats->address_read_only = hlog_read_only(&kv->log);
    stats->address_tail = hlog_tail(&kv->log);
    stats->log_bytes = hlog_bytes(&kv->log);
    stats->address_head = hlog_head(&kv->log);
    stats->address_safe_read_only = hlog_safe_read_only(&kv->log);
    stats->memory_used = budget_used(&kv->budget);
    uint64_t limit = budget_limit(&kv->budget);
    stats->memory_limit = limit != UINT64_MAX ? limit : 0;
    /* Read first: nobody falls behind what it was. */
    stats->epoch_safe = epoch_oldest(&kv->epoch);
    /* relaxed: a figure */
    stats->epoch = atomic_load_explicit(&kv->epoch.current, memory_order_relaxed);
    /* relaxed: as above */
    stats->sample_every =
        atomic_load_explicit(&kv->timing.sample_every, memory_order_relaxed);
}

static void fill_events(struct faster_kv *kv, struct faster_kv_stats *stats) {
    stats->events_waiting = events_waiting(&kv->events);
    stats->events_lost = events_lost(&kv->events);
}

static void fill_operations(struct faster_kv *kv, struct faster_kv_stats *stats) {
    stats->reads_hit = count_of(kv, COUNT_READ_HIT);
    stats->reads_missed = count_of(kv, COUNT_READ_MISS);
    stats->upserts = count_of(kv, COUNT_UPSERT);
    stats->inserts = count_of(kv, COUNT_INSERT);
    stats->rmws = count_of(kv, COUNT_RMW);
    stats->deletes = count_of(kv, COUNT_DELETE) + count_of(kv, COUNT_DISCARD);
    stats->compares = count_of(kv, COUNT_COMPARE);
    stats->inserts_found = count_of(kv, COUNT_INSERT_FOUND);
    stats->deletes_missed = count_of(kv, COUNT_DELETE_MISSED);
    stats->compares_refused = count_of(kv, COUNT_COMPARE_REFUSED);
    stats->failed = count_of(kv, COUNT_FAILED);
    stats->reads_pending = count_of(kv, COUNT_READ_PENDING);
    stats->updates_pending = count_of(kv, COUNT_UPDATE_PENDING);
    stats->retries = count_of(kv, COUNT_RETRY);
}

/* What the sessions hold, and what their operations do. */
static void fill_sessions(struct faster_kv *kv, struct faster_kv_stats *stats) {
    struct read_figures figures = kv->closed_figures;
    for (struct faster_session *one = kv->sessions; one != NULL; one = one->next) {
        struct pending_queue *queue = one->queue;
        stats->session_bytes += sizeof *one;
        stats->session_bytes += figure(&one->held);
        if (queue != NULL) {
            stats->session_bytes += sizeof *queue;
            stats->pending += pending_count(queue);
            stats->reads_in_flight += pending_in_flight(queue);
            stats->pending_bytes += figure(&queue->bytes);
            pending_add_figures(queue, &figures);
        }
    }
    stats->device_reads = figures.reads;
    stats->device_read_bytes = figures.bytes;
    stats->device_retries += figures.retries;
    stats->device_errors += figures.errors;
}

static void fill_device(struct faster_kv *kv, struct faster_kv_stats *stats) {
    struct log_figures *figures = disk_figures(&kv->log);
    stats->device_writes = figure(&figures->writes);
    stats->device_syncs = figure(&figures->syncs);
    stats->device_retries += figure(&figures->retries);
    stats->device_errors += figure(&figures->errors);
    stats->writes_in_flight = figure(&figures->flying);
    stats->address_flushed = disk_flushed_until(&kv->log);
    stats->device_write_bytes = disk_written(&kv->log);
    stats->pages_evicted = disk_closed_until(&kv->log) >> kv->log.page_bits;
}

static void fill_cache(struct faster_kv *kv, struct faster_kv_stats *stats) {
    struct cache *cache = &kv->cache;
    stats->cache_bytes = cache->bytes;
    stats->cache_hits = count_of(kv, COUNT_CACHE_HIT);
    /* relaxed: figures, both */
    stats->cache_insertions =
        atomic_load_explicit(&cache->insertions, memory_order_relaxed);
    /* relaxed: as above */
    stats->cache_evictions =
        atomic_load_explicit(&cache->evictions, memory_order_relaxed);
}

int faster_kv_stats(struct faster_kv *kv, struct faster_kv_stats *stats) {
    struct faster_kv_stats full = {.size = sizeof full};
    if (kv->generation != fork_generation()) {
        return FASTER_E_FORKED;
    }
    lock_enter(&kv->lock);
    (void)sessions_end_orphans(kv, false);
    int result = kv_enter_outside(kv);
    if (result == FASTER_OK) {
        fill_index(kv, &full);
        fill_rest(kv, &full);
        fill_events(kv, &full);
        fill_operations(kv, &full);
        fill_sessions(kv, &full);
        if (kv->log.disk != NULL) {
            fill_device(kv, &full);
            fill_cache(kv, &full);
        }
        epoch_leave(&kv->epoch, kv->slot);
    }
    lock_leave(&kv->lock);
    if (result == FASTER_OK) {
        uint32_t size = stats->size < full.size ? stats->size : full.size;
        full.size = size;
        memcpy(stats, &full, size);
    }
    return result;
}

int faster_kv_grow_index(struct faster_kv *kv) {
    if (kv->generation != fork_generation()) {
        return FASTER_E_FORKED;
    }
    lock_enter(&kv->lock);
    int result = kv_enter_outside(kv);
    if (result == FASTER_OK) {
        result = index_grow(&kv->index);
        epoch_leave(&kv->epoch, kv->slot);
    }
    lock_leave(&kv->lock);
    return result;
}

const struct faster_hot_table *faster_hot_table(void) {
    static const struct faster_hot_table table = {
        .abi = FASTER_ABI,
        .size = sizeof table,
        .read = faster_read,
        .upsert = faster_upsert,
        .insert = faster_insert,
        .remove = faster_delete,
        .rmw = faster_rmw,
        .compare_and_set = faster_compare_and_set,
        .read_many = faster_read_many,
        .upsert_many = faster_upsert_many,
        .rmw_many = faster_rmw_many,
        .delete_many = faster_delete_many,
        .session_serial = faster_session_serial,
        .session_wait = faster_session_wait,
        .session_close = faster_session_close,
        .session_free = faster_session_free,
        .error_text = faster_strerror,
        .discard = faster_discard,
        .start = faster_start,
        .wait = faster_wait,
        .next_finished = faster_next_finished,
        .result_of = faster_result_of,
        .forget = faster_forget,
        .pending_count = faster_pending_count,
        .flog_append = faster_flog_append,
        .flog_append_many = faster_flog_append_many,
        .flog_wait = faster_flog_wait,
        .flog_payload_max = faster_flog_payload_max,
        .flog_commit = faster_flog_commit,
        .flog_read = faster_flog_read,
        .flog_scan_open = faster_flog_scan_open,
        .flog_scan_next = faster_flog_scan_next,
        .flog_scan_fill = faster_flog_scan_fill,
        .flog_scan_piece = faster_flog_scan_piece,
        .flog_scan_position = faster_flog_scan_position,
        .flog_scan_damage = faster_flog_scan_damage,
        .flog_scan_free = faster_flog_scan_free,
        .flog_piece_free = faster_flog_piece_free,
    };
    return &table;
}
