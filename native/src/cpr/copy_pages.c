/* SPDX-License-Identifier: MIT */
/* copy_pages.c: see copy_pages.h */
#include "cpr/copy_pages.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/word.h"
#include "cpr/copy_record.h"

enum { OPENING = sizeof(struct pages_opening), BEFORE = BLOCK_HEADER + OPENING };

static_assert(COPY_PAGES_ROOM >= BEFORE + BLOCK_HEADER,
              "a page's block and the end fit a page and the room beside it");

/* A page's part that is being copied. */
struct part {
    uint64_t from;
    uint64_t until;
    uint64_t walk; /* copied below, or not wanted */
    uint8_t *out;  /* where the byte at `from` goes */
};

int copy_pages_begin(struct copy_pages *copier, struct faster_kv *kv, uint64_t from,
                     uint64_t until, uint64_t fuzzy_start, uint32_t version,
                     uint64_t seed) {
    *copier = (struct copy_pages){.kv = kv,
                                  .from = from,
                                  .until = until,
                                  .fuzzy_start = fuzzy_start,
                                  .next_version = (version + 1) & 0xffu,
                                  .position = from};
    stream_begin(&copier->stream, FASTER_PART_PAGES, seed);
    return FASTER_OK;
}

/* C6, C12: below the fuzzy start no record is new. */
static bool is_new(const struct copy_pages *copier, const struct log_piece *piece) {
    return piece->is_record && piece->address >= copier->fuzzy_start &&
           info_version(piece->info) == copier->next_version;
}

/* Copy one piece to its place.  One that begins before the part is copied to the part's
 * start first, where a page has room, and then moved. */
static void place_piece(struct copy_pages *copier, struct part *part,
                        struct log_piece *piece) {
    uint64_t end = piece->address + piece->extent;
    if (end > part->until) { /* only what is behind the written part is cut */
        faster_assert(!piece->is_record);
        piece->extent = part->until - piece->address;
        end = part->until;
    }
    if (piece->address >= part->from) {
        copy_piece(copier->kv, piece, is_new(copier, piece) ? COPY_VOID : COPY_WHOLE,
                   part->out + (piece->address - part->from));
    } else if (end > part->from) {
        copy_piece(copier->kv, piece, COPY_WHOLE, part->out);
        memmove(part->out, part->out + (part->from - piece->address),
                (size_t)(end - part->from));
    }
    part->walk = end;
}

/* Inside the slot: at most COPY_STEP bytes, or one piece. */
static int copy_step(struct copy_pages *copier, struct part *part) {
    uint64_t enough = part->walk + COPY_STEP;
    if (!is_in_memory(&copier->kv->log, part->walk)) {
        return FASTER_RETRY;
    }
    while (part->walk < part->until && part->walk < enough) {
        struct log_piece piece = piece_at(copier->kv, part->walk);
        place_piece(copier, part, &piece);
    }
    return FASTER_OK;
}

static int copy_part(struct copy_pages *copier, struct epoch_slot *slot,
                     struct part *part) {
    int result = FASTER_OK;
    while (result == FASTER_OK && part->walk < part->until) {
        result = kv_enter_slot(copier->kv, slot);
        if (result == FASTER_OK) {
            result = copy_step(copier, part);
            epoch_leave(&copier->kv->epoch, slot);
        }
    }
    return result;
}

/* Write the block of the page that `position` is in. */
static int write_block(struct copy_pages *copier, struct epoch_slot *slot,
                       uint8_t *block, uint64_t capacity, uint64_t *size) {
    const struct hlog *log = &copier->kv->log;
    uint64_t page = walk_start(log, copier->position);
    uint64_t page_end = page + log->page_size;
    struct part part = {.from = copier->position, .walk = page, .out = block + BEFORE};
    part.until = page_end < copier->until ? page_end : copier->until;
    uint64_t room = part.from == page ? part.until - part.from : log->page_size;
    if (capacity < BEFORE + room) {
        return FASTER_SHORT;
    }
    int result = copy_part(copier, slot, &part);
    if (result != FASTER_OK) {
        return result;
    }
    uint64_t length = part.until - part.from;
    word_store64(block + BLOCK_HEADER, part.from);
    word_store64(block + BLOCK_HEADER + 8, length);
    *size = stream_frame(&copier->stream, block, OPENING + length);
    copier->position = part.until;
    return FASTER_OK;
}

int copy_pages_next(struct copy_pages *copier, struct epoch_slot *slot, void *buffer,
                    uint64_t capacity, uint64_t *size) {
    uint8_t *out = buffer;
    uint64_t filled = 0;
    uint64_t written = 0;
    int result = (uintptr_t)buffer % 8 == 0 ? FASTER_OK : -EINVAL;
    *size = 0;
    while (result == FASTER_OK && copier->position < copier->until) {
        result = write_block(copier, slot, out + filled, capacity - filled, &written);
        filled += result == FASTER_OK ? written : 0;
    }
    if (result == FASTER_OK) {
        result = stream_end(&copier->stream, out + filled, capacity - filled, &written);
        filled += result == FASTER_OK ? written : 0;
    }
    if (result == FASTER_SHORT && filled != 0) {
        result = FASTER_OK; /* the rest with the next call */
    }
    *size = result == FASTER_OK ? filled : 0;
    return result;
}
