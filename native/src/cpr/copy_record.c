/* SPDX-License-Identifier: MIT */
/* copy_record.c: see copy_record.h */
#include "cpr/copy_record.h"

#include <string.h>

#include "base/word.h"
#include "log/disk.h"
#include "record/checksum.h"

/* What is asked of memory ahead of the walk: small records are copied faster than the
 * processor's own guesses bring lines, so that twice as many go through with it. */
enum { AHEAD = 1024 };

struct log_piece piece_at(struct faster_kv *kv, uint64_t address) {
    struct log_piece piece = {.address = address};
    uint64_t page_end = (address | (kv->log.page_size - 1)) + 1;
    if (address < ADDRESS_FIRST) {
        piece.extent = ADDRESS_FIRST - address;
        return piece;
    }
    struct record *record = hlog_record(&kv->log, address);
    faster_prefetch((const uint8_t *)record + AHEAD);
    piece.info = record_info(record); /* I1 */
    piece.is_record = piece.info != 0 && (piece.info & INFO_FILLER) == 0;
    if (piece.is_record) {
        piece.extent = record_extent(&kv->layout, record);
    } else {
        piece.extent = piece.info != 0 ? info_prev(piece.info) : page_end - address;
    }
    return piece;
}

static void copy_words(_Atomic uint64_t *words, uint8_t *out, uint64_t size) {
    for (uint64_t i = 0; i < size / 8; i++) {
        uint64_t word = word_load(&words[i]); /* record.h M2 */
        memcpy(out + i * 8, &word, 8);
    }
}

/* I2: what follows the prefix, with or without the value. */
static void copy_body(struct faster_kv *kv, const struct log_piece *piece,
                      enum copy_as as, uint8_t *out) {
    struct record *record = hlog_record(&kv->log, piece->address);
    _Atomic uint64_t *words = (_Atomic uint64_t *)(void *)record;
    uint64_t kept = piece->extent;
    if (as == COPY_VOID) {
        uint64_t key_size = record_key_size(&kv->layout, record);
        kept = record_value_offset(&kv->layout, key_size);
    }
    copy_words(words + RECORD_FIXED_HEADER / 8, out + RECORD_FIXED_HEADER,
               kept - RECORD_FIXED_HEADER);
    memset(out + kept, 0, (size_t)(piece->extent - kept));
}

static void copy_record(struct faster_kv *kv, const struct log_piece *piece,
                        enum copy_as as, uint8_t *out) {
    struct record_prefix prefix = {.info = piece->info & ~INFO_SEALED};
    struct record *copy = (struct record *)(void *)out;
    uint64_t seed = disk_seed_at(&kv->log, piece->address);
    prefix.info |= as == COPY_VOID ? INFO_INVALID : 0;
    copy_body(kv, piece, as, out);
    memcpy(out, &prefix, sizeof prefix);
    copy->checksum = record_checksum(copy, piece->extent, piece->address, seed);
}

static void copy_filler(struct faster_kv *kv, const struct log_piece *piece,
                        uint8_t *out) {
    struct record *copy = (struct record *)(void *)out;
    uint64_t seed = disk_seed_at(&kv->log, piece->address);
    memset(out, 0, (size_t)piece->extent);
    memcpy(out, &piece->info, sizeof piece->info);
    if (piece->extent >= FILLER_SUMMED) {
        copy->checksum = filler_checksum(copy, piece->address, seed);
    }
}

void copy_piece(struct faster_kv *kv, const struct log_piece *piece, enum copy_as as,
                uint8_t *out) {
    if (piece->is_record) {
        copy_record(kv, piece, as, out);
    } else if (piece->info != 0) {
        copy_filler(kv, piece, out);
    } else {
        memset(out, 0, (size_t)piece->extent);
    }
}
