/* SPDX-License-Identifier: MIT */
/* slot.c: commit records and slots as bytes; see faster/flog.h */
#include "base/bits.h"
#include "flog/entry.h"
#include "flog/lives.h"
#include "log/hlog.h"

int faster_flog_record_read(const void *payload, uint64_t size,
                            struct faster_flog_record *record) {
    struct commit_opening opening;
    if (size < sizeof opening) {
        return FASTER_E_CORRUPT;
    }
    memcpy(&opening, payload, sizeof opening);
    if (opening.cookie > FASTER_FLOG_COOKIE_MAX ||
        opening.attachment > FASTER_FLOG_ATTACHMENT_MAX ||
        size != sizeof opening + (uint64_t)opening.cookie + opening.attachment) {
        return FASTER_E_CORRUPT;
    }
    const uint8_t *bytes = (const uint8_t *)payload + sizeof opening;
    *record = (struct faster_flog_record){
        .number = opening.number,
        .begin = opening.begin,
        .until = opening.until,
        .durable = opening.durable,
        .cookie = bytes,
        .cookie_size = opening.cookie,
        .attachment = bytes + opening.cookie,
        .attachment_size = opening.attachment,
    };
    return FASTER_OK;
}

/* --- slots ------------------------------------------------------------------------ */

enum { SLOT_SUM = 8 };

static_assert(sizeof(struct slot_opening) +
                      FASTER_FLOG_LIVES_MAX * sizeof(struct slot_life) +
                      FASTER_FLOG_SLOT_ATTACHMENT_MAX + SLOT_SUM <=
                  FASTER_FLOG_SLOT_MAX,
              "every slot fits");

static bool slot_is_sane(const struct faster_flog_slot *slot,
                         const struct faster_flog_life *lives) {
    bool counts = slot->life_count >= 1 && slot->life_count <= FASTER_FLOG_LIVES_MAX &&
                  slot->attachment_size <= FASTER_FLOG_SLOT_ATTACHMENT_MAX;
    bool page = is_power_of_two(slot->page_size) &&
                slot->page_size >= (uint64_t)1 << HLOG_PAGE_BITS_MIN &&
                slot->page_size <= (uint64_t)1 << HLOG_PAGE_BITS_MAX;
    bool addresses = slot->begin >= FASTER_FLOG_FIRST && slot->begin % 8 == 0 &&
                     slot->until >= slot->begin && slot->until % 8 == 0 &&
                     slot->until < (uint64_t)1 << ADDRESS_BITS;
    return counts && page && addresses && lives_are_sane(lives, slot->life_count) &&
           slot->until >= lives[slot->life_count - 1].first;
}

static uint64_t slot_bytes(uint64_t lives, uint64_t attachment) {
    return sizeof(struct slot_opening) + lives * sizeof(struct slot_life) +
           align_up(attachment, 8) + SLOT_SUM;
}

int faster_flog_slot_write(const struct faster_flog_slot *slot,
                           const struct faster_flog_life *lives, const void *attachment,
                           void *data, uint64_t capacity, uint64_t *size) {
    if (!slot_is_sane(slot, lives)) {
        return FASTER_E_CONFIG;
    }
    uint64_t bytes = slot_bytes(slot->life_count, slot->attachment_size);
    *size = bytes;
    if (capacity < bytes) {
        return FASTER_SHORT;
    }
    struct slot_opening opening = {
        .magic = SLOT_MAGIC,
        .format = SLOT_FORMAT,
        .bytes = (uint32_t)bytes,
        .sequence = slot->sequence,
        .log_id = slot->log_id,
        .page_size = slot->page_size,
        .begin = slot->begin,
        .until = slot->until,
        .number = slot->number,
        .lives = (uint32_t)slot->life_count,
        .attachment = (uint32_t)slot->attachment_size,
    };
    uint8_t *place = data;
    memset(place, 0, bytes);
    memcpy(place, &opening, sizeof opening);
    place += sizeof opening;
    for (uint64_t i = 0; i < slot->life_count; i++) {
        struct slot_life life = {lives[i].generation, lives[i].first, lives[i].until};
        memcpy(place, &life, sizeof life);
        place += sizeof life;
    }
    if (slot->attachment_size != 0) {
        memcpy(place, attachment, slot->attachment_size);
    }
    word_store64((uint8_t *)data + bytes - SLOT_SUM,
                 hash_xxh3(data, bytes - SLOT_SUM, SLOT_SEED));
    return FASTER_OK;
}

/* Whether the bytes are a slot of this format that is whole. */
static int check_bytes(const void *data, uint64_t size, struct slot_opening *opening) {
    if (size < sizeof *opening + SLOT_SUM) {
        return FASTER_E_CORRUPT;
    }
    memcpy(opening, data, sizeof *opening);
    if (opening->magic != SLOT_MAGIC) {
        return FASTER_E_CORRUPT;
    }
    if (opening->bytes < sizeof *opening + SLOT_SUM || opening->bytes > size ||
        opening->bytes % 8 != 0) {
        return FASTER_E_CORRUPT;
    }
    uint64_t summed = opening->bytes - SLOT_SUM;
    if (word_load64((const uint8_t *)data + summed) !=
        hash_xxh3(data, summed, SLOT_SEED)) {
        return FASTER_E_CORRUPT;
    }
    return opening->format == SLOT_FORMAT ? FASTER_OK : FASTER_E_FORMAT;
}

int faster_flog_slot_read(const void *data, uint64_t size,
                          struct faster_flog_slot *slot, struct faster_flog_life *lives,
                          const void **attachment) {
    struct slot_opening opening;
    int result = check_bytes(data, size, &opening);
    if (result != FASTER_OK) {
        return result;
    }
    if (opening.lives == 0 || opening.lives > FASTER_FLOG_LIVES_MAX ||
        opening.bytes != slot_bytes(opening.lives, opening.attachment)) {
        return FASTER_E_CORRUPT;
    }
    const uint8_t *place = (const uint8_t *)data + sizeof opening;
    for (uint32_t i = 0; i < opening.lives; i++) {
        struct slot_life life;
        memcpy(&life, place, sizeof life);
        lives[i] = (struct faster_flog_life){life.generation, life.first, life.until};
        place += sizeof life;
    }
    *slot = (struct faster_flog_slot){
        .sequence = opening.sequence,
        .log_id = opening.log_id,
        .page_size = opening.page_size,
        .begin = opening.begin,
        .until = opening.until,
        .number = opening.number,
        .life_count = opening.lives,
        .attachment_size = opening.attachment,
    };
    *attachment = place;
    return slot_is_sane(slot, lives) ? FASTER_OK : FASTER_E_CORRUPT;
}
