/* SPDX-License-Identifier: MIT */
/* entry.c: see entry.h */
#include "flog/entry.h"

static_assert((int)ENTRY_DATA == (int)FASTER_FLOG_DATA, "one number for a kind");
static_assert((int)ENTRY_COMMIT == (int)FASTER_FLOG_COMMIT, "one number for a kind");
static_assert((int)ENTRY_FILLER == (int)FASTER_FLOG_FILLER, "one number for a kind");
static_assert(sizeof(struct entry_header) == FASTER_FLOG_HEADER, "as callers know it");

void entry_fill(uint8_t *place, uint64_t life_seed, uint64_t address, uint64_t gap,
                uint64_t generation) {
    struct entry_header header = {entry_word(gap, ENTRY_FILLER, generation), 0};
    header.checksum = hash_xxh3(NULL, 0, entry_seed(life_seed, address, header.word));
    if (gap == ENTRY_SHORT_FILLER) {
        memcpy(place, &header.word, sizeof header.word);
        return;
    }
    memcpy(place, &header, sizeof header);
    memset(place + sizeof header, 0, gap - sizeof header);
}

static int damaged(struct faster_flog_damage *damage, uint64_t address, uint32_t what,
                   uint64_t expected, uint64_t found) {
    *damage = (struct faster_flog_damage){
        .address = address, .expected = expected, .found = found, .what = what};
    return FASTER_E_CORRUPT;
}

/* What the first word says of itself, before it is believed: FASTER_FLOG_WHOLE. */
static uint32_t judge_word(const struct entry_rules *rules, uint64_t word) {
    uint32_t kind = entry_kind(word);
    if (word == 0) {
        return FASTER_FLOG_ABSENT;
    }
    if (entry_flags(word) != 0 || kind < ENTRY_DATA || kind > ENTRY_FILLER) {
        return FASTER_FLOG_HEADER_BAD;
    }
    return entry_generation(word) == (uint16_t)rules->generation ? FASTER_FLOG_WHOLE
                                                                 : FASTER_FLOG_STALE;
}

/* Bytes that may belong to what begins at an address: to the end of page and life. */
static uint64_t bound_at(const struct entry_rules *rules, uint64_t address) {
    uint64_t bound = rules->page_size - (address & (rules->page_size - 1));
    uint64_t left = rules->until - address;
    return rules->until != 0 && left < bound ? left : bound;
}

static bool fits(uint64_t word, uint64_t address, uint64_t bound) {
    uint64_t length = entry_length(word);
    if (entry_kind(word) != ENTRY_FILLER) {
        return entry_extent(length) <= bound;
    }
    bool ends = length != ENTRY_SHORT_FILLER ||
                (address + length) % ENTRY_FILL_END == 0; /* entry_format.h I2 */
    return length >= ENTRY_SHORT_FILLER && length % 8 == 0 && length <= bound && ends;
}

int entry_parse(const struct entry_rules *rules, const uint8_t *data, uint64_t address,
                uint64_t room, struct entry_place *place,
                struct faster_flog_damage *damage) {
    place->extent = ENTRY_SHORT_FILLER;
    if (room < ENTRY_SHORT_FILLER) {
        return FASTER_SHORT;
    }
    uint64_t word = word_load64(data);
    uint32_t what = judge_word(rules, word);
    if (what != FASTER_FLOG_WHOLE) {
        return damaged(damage, address, what, rules->generation, word);
    }
    uint64_t bound = bound_at(rules, address);
    bool filler = entry_kind(word) == ENTRY_FILLER;
    if (!fits(word, address, bound)) {
        return damaged(damage, address, FASTER_FLOG_BOUNDS, bound, entry_length(word));
    }
    *place = (struct entry_place){
        .extent = filler ? entry_length(word) : entry_extent(entry_length(word)),
        .length = filler ? 0 : entry_length(word),
        .kind = entry_kind(word),
    };
    if (place->extent == ENTRY_SHORT_FILLER) {
        return FASTER_OK;
    }
    uint64_t needed = filler ? sizeof(struct entry_header) : place->extent;
    if (room < needed) {
        place->extent = needed;
        return FASTER_SHORT;
    }
    uint64_t found = word_load64(data + offsetof(struct entry_header, checksum));
    uint64_t sum = hash_xxh3(data + sizeof(struct entry_header), place->length,
                             entry_seed(rules->seed, address, word));
    return found == sum ? FASTER_OK
                        : damaged(damage, address, FASTER_FLOG_CHECKSUM, sum, found);
}
