/* SPDX-License-Identifier: MIT */
/* record.c: see record.h */
#include "record/record.h"

void record_copy_out(_Atomic uint64_t *words, void *out, uint64_t size) {
    uint8_t *to = out;
    uint64_t whole = size / 8;
    for (uint64_t i = 0; i < whole; i++) {
        uint64_t word = word_load(&words[i]);
        memcpy(to + i * 8, &word, 8);
    }
    if (size % 8 != 0) {
        uint64_t word = word_load(&words[whole]);
        memcpy(to + whole * 8, &word, (size_t)(size % 8));
    }
}

/* Replace `size` bytes from `offset` on; bytes of a word that are not replaced stay. */
void record_copy_in(_Atomic uint64_t *words, uint64_t offset, const void *in,
                    uint64_t size) {
    const uint8_t *from = in;
    uint64_t end = offset + size;
    for (uint64_t at = offset; at < end;) {
        uint64_t start = at % 8;
        uint64_t count = end - at < 8 - start ? end - at : 8 - start;
        uint64_t word = 0;
        if (count != 8) {
            word = word_load(&words[at / 8]);
        }
        memcpy((uint8_t *)&word + start, from, (size_t)count);
        word_store(&words[at / 8], word);
        from += count;
        at += count;
    }
}

int record_lock_slow(struct record *record, uint32_t *seq) {
    for (int i = 0; i < RECORD_SPINS; i++) {
        /* relaxed: a guess, proved by the CAS */
        uint32_t seen = atomic_load_explicit(&record->seq, memory_order_relaxed);
        if ((seen & 1u) == 0 && atomic_compare_exchange_weak_explicit(
                                    &record->seq, &seen, seen + 1, memory_order_acquire,
                                    memory_order_relaxed)) { /* M1 */
            *seq = seen;
            return FASTER_OK;
        }
        cpu_relax();
    }
    return FASTER_RETRY;
}

static int copy_if_room(const struct record_layout *layout, struct record *record,
                        void *out, uint64_t capacity, uint64_t *size) {
    uint64_t key_size = record_key_size(layout, record);
    uint64_t value_size = record_value_size(layout, record);
    *size = value_size;
    if (value_size > capacity) {
        return FASTER_SHORT;
    }
    record_copy_out(record_value(layout, record, key_size), out, value_size);
    return FASTER_OK;
}

int record_read_value(const struct record_layout *layout, struct record *record,
                      void *out, uint64_t capacity, uint64_t *size) {
    for (int i = 0; i < RECORD_SPINS; i++) {
        uint32_t before =
            atomic_load_explicit(&record->seq, memory_order_acquire); /* M1 */
        if ((before & 1u) != 0) {
            cpu_relax();
            continue;
        }
        bool gone = (record_info(record) & INFO_TOMBSTONE) != 0;
        uint64_t found = 0;
        int result = gone ? FASTER_NOT_FOUND
                          : copy_if_room(layout, record, out, capacity, &found);
        /* relaxed: the acquire loads above keep it behind them (M2) */
        if (atomic_load_explicit(&record->seq, memory_order_relaxed) == before) {
            *size = found;
            return result;
        }
    }
    return FASTER_RETRY;
}
