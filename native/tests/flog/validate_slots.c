/* SPDX-License-Identifier: MIT */
/* validate_slots.c: a slot comes back as it was, or not at all (F34, F42, F43, F46). */
#include "flog/kit.h"

enum { ROOM = FASTER_FLOG_SLOT_MAX };

struct sample {
    struct faster_flog_slot slot;
    struct faster_flog_life lives[FASTER_FLOG_LIVES_MAX];
    uint8_t attachment[FASTER_FLOG_SLOT_ATTACHMENT_MAX];
    uint8_t bytes[ROOM];
    uint64_t size;
};

static struct sample *sample_new(uint64_t life_count, uint64_t attachment_size) {
    struct sample *sample = calloc(1, sizeof *sample);
    CHECK(sample != NULL, "%s", "no memory");
    for (uint64_t i = 0; i < life_count; i++) {
        sample->lives[i] = (struct faster_flog_life){
            i + 1, i == 0 ? FASTER_FLOG_FIRST : i * 4096, (i + 1) * 4096 - 512};
    }
    sample->lives[life_count - 1].until = 0;
    kit_payload(life_count, sample->attachment, attachment_size);
    sample->slot = (struct faster_flog_slot){.sequence = 7 + life_count,
                                             .log_id = KIT_ID,
                                             .page_size = KIT_PAGE,
                                             .begin = FASTER_FLOG_FIRST,
                                             .until = life_count * 4096,
                                             .number = 12345,
                                             .life_count = life_count,
                                             .attachment_size = attachment_size};
    return sample;
}

static int sample_write(struct sample *sample) {
    return faster_flog_slot_write(&sample->slot, sample->lives, sample->attachment,
                                  sample->bytes, ROOM, &sample->size);
}

static int sample_read(const void *bytes, uint64_t size) {
    static struct faster_flog_life lives[FASTER_FLOG_LIVES_MAX];
    struct faster_flog_slot slot;
    const void *attachment;
    return faster_flog_slot_read(bytes, size, &slot, lives, &attachment);
}

static void sample_is_read(const struct sample *sample, uint64_t size) {
    static struct faster_flog_life lives[FASTER_FLOG_LIVES_MAX];
    struct faster_flog_slot slot;
    const void *attachment = NULL;
    CHECK_INT(faster_flog_slot_read(sample->bytes, size, &slot, lives, &attachment),
              FASTER_OK);
    CHECK_U64(slot.sequence, sample->slot.sequence);
    CHECK_U64(slot.log_id, sample->slot.log_id);
    CHECK_U64(slot.page_size, sample->slot.page_size);
    CHECK_U64(slot.begin, sample->slot.begin);
    CHECK_U64(slot.until, sample->slot.until);
    CHECK_U64(slot.number, sample->slot.number);
    CHECK_U64(slot.life_count, sample->slot.life_count);
    CHECK_U64(slot.attachment_size, sample->slot.attachment_size);
    for (uint64_t i = 0; i < slot.life_count; i++) {
        CHECK_U64(lives[i].generation, sample->lives[i].generation);
        CHECK_U64(lives[i].first, sample->lives[i].first);
        CHECK_U64(lives[i].until, sample->lives[i].until);
    }
    CHECK(slot.attachment_size == 0 ||
              memcmp(attachment, sample->attachment, slot.attachment_size) == 0,
          "%s", "another attachment");
}

static void slots_come_back(void) {
    static const uint64_t lives[] = {1, 2, 3, 17, 1000, FASTER_FLOG_LIVES_MAX};
    static const uint64_t sizes[] = {0, 1, 7, 8, 1000, 1 << 20};
    for (uint64_t i = 0; i < sizeof lives / sizeof lives[0]; i++) {
        for (uint64_t j = 0; j < sizeof sizes / sizeof sizes[0]; j++) {
            struct sample *sample = sample_new(lives[i], sizes[j]);
            CHECK_INT(sample_write(sample), FASTER_OK);
            sample_is_read(sample, sample->size);
            sample_is_read(sample, kit_round(sample->size, 4096)); /* zeros behind it */
            free(sample);
        }
    }
}

/* Too little room tells how much it takes, and nothing is written beyond it. */
static void slots_say_how_much_they_take(void) {
    struct sample *sample = sample_new(3, 100);
    CHECK_INT(sample_write(sample), FASTER_OK);
    uint64_t whole = sample->size;
    for (uint64_t capacity = 0; capacity < whole; capacity++) {
        uint8_t *room = malloc(capacity + 1);
        CHECK(room != NULL, "%s", "no memory");
        uint64_t size = 0;
        room[capacity] = 0xa5;
        CHECK_INT(faster_flog_slot_write(&sample->slot, sample->lives,
                                         sample->attachment, room, capacity, &size),
                  FASTER_SHORT);
        CHECK_U64(size, whole);
        CHECK_U64(room[capacity], 0xa5);
        free(room);
    }
    free(sample);
}

/* F34: no bit can be another. */
static void f34_every_bit(void) {
    struct sample *sample = sample_new(4, 60);
    CHECK_INT(sample_write(sample), FASTER_OK);
    for (uint64_t bit = 0; bit < 8 * sample->size; bit++) {
        sample->bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        int result = sample_read(sample->bytes, sample->size);
        CHECK(result == FASTER_E_CORRUPT || result == FASTER_E_FORMAT,
              "%d with bit %" PRIu64 " flipped", result, bit);
        sample->bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    sample_is_read(sample, sample->size);
    free(sample);
}

/* F42: no byte may be missing.  Bytes that end with the allocation, so that reading
 * beyond them is noticed by who looks. */
static void f42_every_length(void) {
    struct sample *sample = sample_new(4, 60);
    CHECK_INT(sample_write(sample), FASTER_OK);
    for (uint64_t size = 0; size < sample->size; size++) {
        uint8_t *bytes = malloc(size + (size == 0));
        CHECK(bytes != NULL, "%s", "no memory");
        memcpy(bytes, sample->bytes, size);
        CHECK_INT(sample_read(bytes, size), FASTER_E_CORRUPT);
        free(bytes);
    }
    free(sample);
}

/* Nothing is no slot, and neither is noise. */
static void noise_is_no_slot(void) {
    struct rng rng = rng_stream(1);
    static uint8_t bytes[4096];
    for (uint64_t size = 0; size <= sizeof bytes; size += 64) {
        memset(bytes, 0, sizeof bytes);
        CHECK(sample_read(bytes, size) < 0, "%" PRIu64 " zeros", size);
        rng_fill(&rng, bytes, sizeof bytes);
        CHECK(sample_read(bytes, size) < 0, "%" PRIu64 " bytes", size);
    }
}

static void breaks_slot(void (*change)(struct sample *sample)) {
    struct sample *sample = sample_new(3, 10);
    change(sample);
    CHECK_INT(sample_write(sample), FASTER_E_CONFIG);
    free(sample);
}

static void no_lives(struct sample *s) { s->slot.life_count = 0; }
static void many_lives(struct sample *s) {
    s->slot.life_count = FASTER_FLOG_LIVES_MAX + 1;
}
static void large(struct sample *s) {
    s->slot.attachment_size = FASTER_FLOG_SLOT_ATTACHMENT_MAX + 1;
}
static void odd_page(struct sample *s) { s->slot.page_size = 5000; }
static void begin_beyond(struct sample *s) { s->slot.begin = s->slot.until + 8; }
static void descending(struct sample *s) { s->lives[1].generation = 1; }
static void overlapping(struct sample *s) { s->lives[1].first = 512; }
static void backwards(struct sample *s) { s->lives[1].until = s->lives[1].first - 8; }

static void slots_that_make_no_sense(void) {
    breaks_slot(no_lives);
    breaks_slot(many_lives);
    breaks_slot(large);
    breaks_slot(odd_page);
    breaks_slot(begin_beyond);
    breaks_slot(descending);
    breaks_slot(overlapping);
    breaks_slot(backwards);
}

/* The payload of a commit record at every length, and with noise: it is refused, or
 * what it says lies within. */
static void records_lie_within(void) {
    struct kit *kit = kit_open();
    struct rng rng = rng_stream(2);
    struct faster_flog_scan_config config = {.size = sizeof config, .commits = 1};
    struct faster_flog_scan *scan = NULL;
    struct faster_flog_entry entry;
    struct faster_flog_record record;
    struct faster_flog_commit commit;
    uint8_t payload[1024];
    CHECK_INT(faster_flog_attach(kit->log, "attached", 8), FASTER_OK);
    CHECK_INT(faster_flog_commit_strong(kit->log, "cookies", 7, KIT_WAIT_MS, &commit),
              FASTER_OK);
    CHECK_INT(faster_flog_scan_open(kit->log, &config, &scan), FASTER_OK);
    CHECK_INT(kit_next(scan, &entry), FASTER_OK);
    CHECK(entry.size <= sizeof payload, "%" PRIu64, entry.size);
    uint64_t size = entry.size;
    memcpy(payload, entry.data, size);
    faster_flog_scan_free(scan);
    kit_free(kit);
    CHECK_INT(faster_flog_record_read(payload, size, &record), FASTER_OK);
    CHECK(memcmp(record.cookie, "cookies", 7) == 0, "%s", "another cookie");
    CHECK(memcmp(record.attachment, "attached", 8) == 0, "%s", "another attachment");
    for (uint64_t turn = 0; turn < 20000; turn++) {
        uint64_t length = turn < size ? turn : rng_below(&rng, size + 1);
        uint8_t *bytes = malloc(length + (length == 0));
        CHECK(bytes != NULL, "%s", "no memory");
        memcpy(bytes, payload, length);
        if (turn >= size && length > 0) {
            bytes[rng_below(&rng, length)] ^= (uint8_t)(1 + rng_below(&rng, 255));
        }
        int result = faster_flog_record_read(bytes, length, &record);
        CHECK(result == FASTER_OK || result == FASTER_E_CORRUPT, "%d", result);
        CHECK(turn >= size || result == FASTER_E_CORRUPT, "%" PRIu64 " bytes", turn);
        if (result == FASTER_OK) {
            const uint8_t *cookie = record.cookie;
            const uint8_t *attachment = record.attachment;
            CHECK(record.cookie_size == 0 ||
                      (cookie >= bytes && record.cookie_size <= length &&
                       cookie + record.cookie_size <= bytes + length),
                  "%" PRIu64, record.cookie_size);
            CHECK(record.attachment_size == 0 ||
                      (attachment >= bytes && record.attachment_size <= length &&
                       attachment + record.attachment_size <= bytes + length),
                  "%" PRIu64, record.attachment_size);
        }
        free(bytes);
    }
}

HARNESS_MAIN(TEST(slots_come_back), TEST(slots_say_how_much_they_take),
             TEST(f34_every_bit), TEST(f42_every_length), TEST(noise_is_no_slot),
             TEST(slots_that_make_no_sense), TEST(records_lie_within))
