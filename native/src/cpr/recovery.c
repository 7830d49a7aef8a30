/* SPDX-License-Identifier: MIT */
/* recovery.c: its beginning and its end, see recovery.h */
#include "cpr/recovery.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "log/disk.h"

/* Bytes of log that stand for one key, where nothing better is known: many small
 * varlen records.  A guess too high costs memory, one too low time. */
enum { BYTES_PER_KEY = 64 };

void recovery_note(struct faster_recovery *recovery,
                   const struct faster_damage *damage) {
    lock_enter(&recovery->lock);
    if (recovery->damage.what == FASTER_DAMAGE_NONE ||
        damage->address < recovery->damage.address) {
        recovery->damage = *damage;
    }
    lock_leave(&recovery->lock);
}

/* An address that the log may have handed out. */
static bool is_place(const struct hlog *log, uint64_t address) {
    return address % 8 == 0 && address < log->end;
}

static bool config_is_sane(const struct faster_kv *kv,
                           const struct faster_recovery_config *config) {
    const struct hlog *log = &kv->log;
    uint64_t unit = disk_unit(log);
    bool places = is_place(log, config->begin) && is_place(log, config->index_start) &&
                  is_place(log, config->fuzzy_start) && is_place(log, config->final);
    /* Nothing is cut off before it is on the device. */
    bool begins = config->begin <= config->log_until || config->begin <= ADDRESS_FIRST;
    bool order = begins && config->begin <= config->final &&
                 config->fuzzy_start <= config->final &&
                 config->index_start <= config->final &&
                 config->log_until <= config->final;
    bool units = config->final % unit == 0 && config->log_until % unit == 0;
    bool bits = config->index_bits == 0 || (config->index_bits >= INDEX_BITS_MIN &&
                                            config->index_bits <= INDEX_BITS_MAX);
    return places && order && units && bits && config->table_bits <= INDEX_BITS_MAX &&
           config->version != 0 && config->version < UINT32_MAX &&
           config->skip_count <= RECOVERY_SKIPS_MAX;
}

/* Whether the store was opened for this: its tail is at log_until, and nobody has
 * used it. */
static bool fits_store(struct faster_kv *kv,
                       const struct faster_recovery_config *config) {
    uint64_t tail = hlog_tail(&kv->log);
    lock_enter(&kv->lock);
    bool unused = kv->session_count == 0 && !kv->released;
    lock_leave(&kv->lock);
    return unused && (tail == config->log_until ||
                      (config->log_until == 0 && tail == ADDRESS_FIRST));
}

/* The given ranges, and the one that this recovery leaves behind. */
static int copy_skips(struct faster_recovery *recovery,
                      const struct faster_recovery_config *config) {
    uint64_t before = 0;
    recovery->skip_list =
        calloc((size_t)config->skip_count + 1, sizeof *recovery->skip_list);
    if (recovery->skip_list == NULL) {
        return -ENOMEM;
    }
    for (uint64_t i = 0; i < config->skip_count; i++) {
        struct faster_skip skip = config->skips[i];
        if (skip.from < before || skip.until <= skip.from) {
            return -EINVAL;
        }
        before = skip.until;
        recovery->skip_list[i] = skip;
    }
    uint64_t count = config->skip_count;
    if (config->fuzzy_start < config->final) {
        if (config->fuzzy_start < before) {
            return -EINVAL;
        }
        recovery->skip_list[count++] = (struct faster_skip){
            config->fuzzy_start, config->final, config->version + 1, 0};
    }
    recovery->skips =
        (struct replay_skips){.list = recovery->skip_list, .count = count};
    if (count != 0) {
        recovery->skips.from = recovery->skip_list[0].from;
        recovery->skips.until = recovery->skip_list[count - 1].until;
    }
    return FASTER_OK;
}

/* What the store itself has serves where the checkpoint says nothing else. */
static int copy_seeds(struct faster_recovery *recovery,
                      const struct faster_recovery_config *config) {
    return config->generations == NULL
               ? FASTER_OK
               : seeds_init(&recovery->taken_with, disk_store_id(&recovery->kv->log),
                            config->generations, config->generation_count);
}

/* Bits for the keys that are expected, within what the budget gives: a wish.  What the
 * manifest says of the table is none (I3). */
static uint32_t table_bits(const struct faster_recovery *recovery) {
    const struct faster_kv *kv = recovery->kv;
    const struct faster_recovery_config *config = &recovery->config;
    uint64_t least = config->index_bits > config->table_bits ? config->index_bits
                                                             : config->table_bits;
    uint64_t record = kv->layout.fixed ? record_size(&kv->layout, kv->layout.key_size,
                                                     kv->layout.value_size)
                                       : BYTES_PER_KEY;
    uint64_t keys = config->entries_hint;
    if (keys == 0 && least == 0) {
        keys = (config->final - config->begin) / record;
    }
    uint32_t bits = index_bits_for(keys);
    while (bits > INDEX_BITS_MIN &&
           (sizeof(struct index_bucket) << bits) > index_allowed(&kv->index) / 2) {
        bits--;
    }
    return bits > least ? bits : (uint32_t)least;
}

/* With the growth held: the log's beginning, and a table of the right size. */
static int prepare(struct faster_recovery *recovery) {
    struct faster_kv *kv = recovery->kv;
    uint64_t begin = recovery->config.begin;
    atomic_store_explicit(&kv->log.begin, begin > ADDRESS_FIRST ? begin : ADDRESS_FIRST,
                          memory_order_seq_cst); /* hlog.h M2 */
    return index_restore(&kv->index, table_bits(recovery));
}

static int build(struct faster_recovery *recovery, struct faster_kv *kv,
                 const struct faster_recovery_config *config) {
    recovery->kv = kv;
    recovery->config = *config;
    recovery->config.skips = NULL;
    recovery->config.generations = NULL;
    recovery->own_seeds = config->generations == NULL;
    recovery->link_from = config->index_bits != 0 ? config->index_start : config->begin;
    recovery->pushed = config->log_until;
    atomic_init(&recovery->covered, 0);
    int result = copy_seeds(recovery, config);
    if (result == FASTER_OK) {
        result = copy_skips(recovery, config);
    }
    if (result == FASTER_OK) {
        result = index_hold_growth(&kv->index);
        /* Nobody has inserted anything, so nothing grows. */
        result = result == FASTER_RETRY ? -EINVAL : result;
    }
    if (result != FASTER_OK) {
        return result;
    }
    result = prepare(recovery);
    if (result != FASTER_OK) {
        index_release_growth(&kv->index);
    }
    return result;
}

int faster_recovery_begin(struct faster_kv *kv,
                          const struct faster_recovery_config *config,
                          struct faster_recovery **out) {
    if (kv->generation != fork_generation()) {
        return FASTER_E_FORKED;
    }
    if (config->size < sizeof *config || kv->log.disk == NULL ||
        !config_is_sane(kv, config) || !fits_store(kv, config)) {
        return -EINVAL;
    }
    struct faster_recovery *recovery = memory_lines_new(sizeof *recovery);
    if (recovery == NULL) {
        return -ENOMEM;
    }
    memset((void *)recovery, 0, sizeof *recovery);
    int result = lock_init(&recovery->lock);
    if (result != 0) {
        memory_lines_free(recovery);
        return result;
    }
    result = build(recovery, kv, config);
    if (result != FASTER_OK) {
        seeds_destroy(&recovery->taken_with);
        free(recovery->skip_list);
        lock_destroy(&recovery->lock);
        memory_lines_free(recovery);
        return result;
    }
    *out = recovery;
    return FASTER_OK;
}

/* Whether every part was handed in. */
static bool is_complete(struct faster_recovery *recovery) {
    const struct faster_recovery_config *config = &recovery->config;
    uint64_t covered =
        atomic_load_explicit(&recovery->covered, memory_order_acquire); /* M2 */
    uint64_t wanted = config->log_until > recovery->link_from
                          ? config->log_until - recovery->link_from
                          : 0;
    return recovery_has_index(recovery) && covered >= wanted &&
           recovery->pushed == config->final;
}

/* I4: everything is read-only for all, and of an older version than what comes. */
static void open_store(struct faster_recovery *recovery) {
    struct faster_kv *kv = recovery->kv;
    struct hlog *log = &kv->log;
    uint64_t tail = hlog_tail(log);
    hlog_raise(&log->read_only, tail);
    epoch_wait(&kv->epoch, epoch_bump(&kv->epoch));
    hlog_raise(&log->safe_read_only, tail); /* hlog.h M2 */
    atomic_store_explicit(&kv->fuzzy_start, tail,
                          memory_order_release); /* store.h M2 */
    uint64_t state =
        atomic_load_explicit(&kv->state, memory_order_seq_cst); /* store.h M1 */
    uint64_t next;
    do { /* ends: only a close comes in between, once */
        next = (state & ~STATE_VERSION_MASK) | (recovery->config.version + 1);
    } while (!atomic_compare_exchange_weak_explicit(
        &kv->state, &state, next, memory_order_seq_cst,
        memory_order_seq_cst)); /* store.h M1 */
    disk_ask(log);
}

int faster_recovery_finish(struct faster_recovery *recovery) {
    struct faster_kv *kv = recovery->kv;
    if (recovery->finished || !is_complete(recovery)) {
        return -EINVAL;
    }
    int result = recovery_close_page(recovery);
    if (result == FASTER_OK) {
        result = replay_settle(&recovery->replay);
    }
    if (result != FASTER_OK) {
        return result;
    }
    index_settle(&kv->index, &recovery->restore.tally);
    open_store(recovery);
    recovery->finished = true;
    index_release_growth(&kv->index);
    return FASTER_OK;
}

int faster_recovery_damage(struct faster_recovery *recovery,
                           struct faster_damage *damage) {
    lock_enter(&recovery->lock);
    *damage = recovery->damage;
    lock_leave(&recovery->lock);
    return damage->what != FASTER_DAMAGE_NONE ? FASTER_OK : FASTER_NOT_FOUND;
}

void faster_recovery_free(struct faster_recovery *recovery) {
    if (recovery->kv->generation != fork_generation()) {
        return; /* P4: the child frees nothing of its parent's */
    }
    if (!recovery->finished) {
        index_release_growth(&recovery->kv->index);
    }
    starts_destroy(&recovery->starts, &recovery->kv->log);
    seeds_destroy(&recovery->taken_with);
    free(recovery->skip_list);
    lock_destroy(&recovery->lock);
    memory_lines_free(recovery);
}
