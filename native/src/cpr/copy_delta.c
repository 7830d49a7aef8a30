/* SPDX-License-Identifier: MIT */
/* copy_delta.c: see copy_delta.h */
#include "cpr/copy_delta.h"

#include <errno.h>

#include "base/word.h"
#include "cpr/copy_record.h"

enum { OPENING = sizeof(struct delta_opening) };

/* Bytes ahead of the walk that memory is asked for. */
enum { AHEAD = 1024 };

/* The payload of the block that is being filled. */
struct payload {
    uint8_t *bytes;
    uint64_t size;
    uint64_t room;
    bool is_full;
};

int copy_delta_begin(struct copy_delta *copier, struct faster_kv *kv, uint64_t from,
                     uint64_t until, uint32_t base_version, uint32_t version,
                     uint64_t seed) {
    *copier = (struct copy_delta){.kv = kv,
                                  .from = from,
                                  .until = until,
                                  .base_version = base_version,
                                  .age = version - base_version};
    copier->position = from < until ? walk_start(&kv->log, from) : until;
    stream_begin(&copier->stream, FASTER_PART_DELTA, seed);
    return copier->age - 1 < DELTA_AGE_MAX ? FASTER_OK : -EINVAL;
}

static bool is_newer(const struct copy_delta *copier, uint64_t info) {
    uint32_t age = (info_version(info) - copier->base_version) & 0xffu;
    return age != 0 && age <= copier->age;
}

static bool is_wanted(const struct copy_delta *copier, const struct log_piece *piece) {
    return piece->is_record && piece->address + piece->extent > copier->from &&
           is_newer(copier, piece->info);
}

static void take_piece(struct copy_delta *copier, const struct log_piece *piece,
                       struct payload *payload) {
    uint8_t *to = payload->bytes + payload->size;
    word_store64(to, piece->address);
    word_store64(to + 8, piece->extent);
    copy_piece(copier->kv, piece, COPY_WHOLE, to + OPENING);
    payload->size += OPENING + piece->extent;
}

/* Go over records of one size that have not changed: most have not, and one word of
 * each says so.  Ends at anything else, below `end`, or where a record has no room. */
static void pass_unchanged(struct copy_delta *copier, uint64_t end) {
    struct faster_kv *kv = copier->kv;
    const struct record_layout *layout = &kv->layout;
    uint64_t extent = record_size(layout, layout->key_size, layout->value_size);
    uint64_t page_end = (copier->position | (kv->log.page_size - 1)) + 1;
    uint64_t last = end < page_end ? end : page_end;
    if (!layout->fixed || copier->position < ADDRESS_FIRST) {
        return;
    }
    while (copier->position + extent <= last) {
        struct record *record = hlog_record(&kv->log, copier->position);
        uint64_t info = record_info(record);
        faster_prefetch((const uint8_t *)record + AHEAD);
        if ((info & (INFO_WRITTEN | INFO_FILLER)) != INFO_WRITTEN ||
            is_newer(copier, info)) {
            return;
        }
        copier->position += extent;
    }
}

/* Inside the slot, which keeps what is in memory there: look at COPY_STEP bytes at
 * most, or up to what has no room. */
static int copy_step(struct copy_delta *copier, struct payload *payload) {
    uint64_t enough = copier->position + COPY_STEP;
    uint64_t end = enough < copier->until ? enough : copier->until;
    if (!is_in_memory(&copier->kv->log, copier->position)) {
        return FASTER_RETRY;
    }
    while (copier->position < end) {
        pass_unchanged(copier, end);
        if (copier->position >= end) {
            return FASTER_OK;
        }
        struct log_piece piece = piece_at(copier->kv, copier->position);
        if (is_wanted(copier, &piece)) {
            payload->is_full = OPENING + piece.extent > payload->room - payload->size;
            if (payload->is_full) {
                return FASTER_OK;
            }
            take_piece(copier, &piece, payload);
        }
        copier->position = piece.address + piece.extent;
    }
    return FASTER_OK;
}

static uint64_t room_of(const struct copy_delta *copier, uint64_t capacity) {
    bool usual = copier->kv->log.page_size < BLOCK_PAYLOAD_USUAL;
    uint64_t most = usual ? BLOCK_PAYLOAD_USUAL : BLOCK_PAYLOAD_MAX;
    uint64_t room = capacity > BLOCK_HEADER ? capacity - BLOCK_HEADER : 0;
    return room < most ? room : most;
}

/* Gather one block's records. */
static int fill(struct copy_delta *copier, struct epoch_slot *slot,
                struct payload *payload) {
    int result = FASTER_OK;
    while (result == FASTER_OK && !payload->is_full &&
           copier->position < copier->until) {
        result = kv_enter_slot(copier->kv, slot);
        if (result == FASTER_OK) {
            result = copy_step(copier, payload);
            epoch_leave(&copier->kv->epoch, slot);
        }
    }
    return result;
}

int copy_delta_next(struct copy_delta *copier, struct epoch_slot *slot, void *buffer,
                    uint64_t capacity, uint64_t *size) {
    uint8_t *block = buffer;
    struct payload payload = {.bytes = block + BLOCK_HEADER,
                              .room = room_of(copier, capacity)};
    int result = (uintptr_t)buffer % 8 == 0 ? FASTER_OK : -EINVAL;
    *size = 0;
    if (result == FASTER_OK) {
        result = fill(copier, slot, &payload);
    }
    if (result != FASTER_OK) {
        return result;
    }
    if (payload.size != 0) {
        *size = stream_frame(&copier->stream, block, payload.size);
        return FASTER_OK;
    }
    return payload.is_full ? FASTER_SHORT
                           : stream_end(&copier->stream, block, capacity, size);
}
