/* SPDX-License-Identifier: MIT */
/* Recovery of a store from damaged and from hostile bytes (F23, F86): what is merely
 * damaged gives right values or says so; what was made with right checksums may hold
 * anything, and recovery, reads and close end all the same. */
#include "cpr/recovery_kit.h"
#include "cpr/stream.h"
#include "fuzz.h"
#include "record/checksum.h"

enum { KEYS = 40, PUTS = 120, CHANGES_MAX = 64, INDEX_BITS = 8, IMAGE_MAX = 64 << 10 };

/* How the bytes of the input are used. */
enum { IN_LOG, IN_PAGES, IN_LOG_SUMMED, IN_PAGES_SUMMED, IN_INDEX, WAYS };

#define SEED UINT64_C(99)

/* A store that was written once; the image is its log. */
static struct vault *vault;
static struct vault_facts facts;
static _Alignas(8) uint8_t image[IMAGE_MAX];
static _Alignas(8) uint8_t mutant[IMAGE_MAX];

static void make_store(void) {
    struct rng rng = rng_seeded(1);
    vault = vault_new(KIT_TEXT);
    vault_begin(vault);
    vault_fill(vault, &rng, KEYS, PUTS);
    (void)vault_flush(vault);
    vault_fill(vault, &rng, KEYS, PUTS);
    facts = vault_facts(vault);
    FUZZ_CHECK(facts.final <= IMAGE_MAX);
    vault_end(vault);
    vault_peek(vault, 0, image, facts.final);
}

/* Each four bytes are a change: where, and what. */
static void change(const uint8_t *data, size_t size) {
    for (size_t i = 0; i + 4 <= size && i < 4 * (size_t)CHANGES_MAX; i += 4) {
        uint64_t place = ((uint64_t)data[i] << 8 | data[i + 1]) % facts.final;
        uint64_t count = 1 + data[i + 3] % 8u;
        for (uint64_t j = 0; j < count && place + j < facts.final; j++) {
            mutant[place + j] ^= (uint8_t)(data[i + 2] + j);
        }
    }
}

/* Give whatever is a record by its lengths the checksum that it would have. */
static void sum(void) {
    const struct record_layout layout = {.fixed = false,
                                         .header = RECORD_VARLEN_HEADER};
    uint64_t seed = record_seed(KIT_DISK_ID, 1);
    uint64_t address = ADDRESS_FIRST;
    while (address + RECORD_VARLEN_HEADER <= facts.final) { /* ends: always up */
        struct record *record = (struct record *)(void *)(mutant + address);
        uint64_t info = record_info(record);
        uint64_t left = facts.final - address;
        uint64_t extent = info_prev(info) & ~(uint64_t)7;
        if ((info & INFO_FILLER) != 0) {
            record->checksum = filler_checksum(record, address, seed);
        } else {
            uint64_t lengths = record_lengths(record);
            extent =
                record_size(&layout, lengths_key(lengths), lengths_value(lengths)) +
                lengths_slack(lengths) * 8;
            if (extent <= left) {
                record->checksum = record_checksum(record, extent, address, seed);
            }
        }
        address += extent != 0 && extent <= left ? extent : 8;
    }
}

static void read_all(bool right) {
    for (uint64_t number = 0; number < KEYS; number++) {
        struct kit_bytes key = kit_key(KIT_TEXT, number);
        uint64_t put = vault->values[number];
        struct kit_bytes value = kit_value(KIT_TEXT, put, put % 90);
        struct faster_operation read = kit_operation(FASTER_READ, &key, NULL);
        struct kit_bytes out = {.size = 0};
        struct faster_pending *pending = NULL;
        struct faster_result result = {.value = out.data};
        int status = kit_start(vault->session, &read, &out, &pending);
        result.value_size = out.size;
        if (status == FASTER_PENDING) {
            FUZZ_CHECK(faster_wait(vault->session, pending, KIT_DISK_WAIT_MS) ==
                       FASTER_OK);
            faster_result_of(pending, &result);
            status = result.status;
        }
        if (right && status != FASTER_E_CORRUPT) {
            FUZZ_CHECK(status == (put != 0 ? FASTER_OK : FASTER_NOT_FOUND));
            FUZZ_CHECK(status != FASTER_OK ||
                       (result.value_size == value.size &&
                        memcmp(result.value, value.data, (size_t)value.size) == 0));
        }
        if (pending != NULL) {
            FUZZ_CHECK(faster_forget(vault->session, pending) == FASTER_OK);
        }
    }
}

/* Some blocks of runs that the input's bytes make up, in a frame that is right. */
static int give_index(struct faster_recovery *recovery, const uint8_t *data,
                      size_t size) {
    static uint8_t bytes[IMAGE_MAX];
    struct index_opening opening = {facts.final, INDEX_BITS, 1 << INDEX_BITS};
    struct index_run all = {INDEX_RUN_MAIN, 1 << INDEX_BITS, 0};
    struct stream stream;
    stream_begin(&stream, FASTER_PART_INDEX, SEED);
    memcpy(bytes + BLOCK_HEADER, &opening, sizeof opening);
    uint64_t at = stream_frame(&stream, bytes, sizeof opening);
    uint64_t payload = sizeof all + ((uint64_t)INDEX_RUN_BUCKET << INDEX_BITS);
    memset(bytes + at, 0, (size_t)(BLOCK_HEADER + payload));
    memcpy(bytes + at + BLOCK_HEADER, &all, sizeof all);
    uint64_t used = size < payload ? size & ~(size_t)7 : payload;
    uint64_t from = size % 2 != 0 ? 0 : sizeof all;
    used = used < payload - from ? used : payload - from;
    memcpy(bytes + at + BLOCK_HEADER + from, data, (size_t)used);
    at += stream_frame(&stream, bytes + at, payload);
    struct index_run pairs = {INDEX_RUN_OVERFLOW, (uint32_t)(used / 16), 0};
    payload = sizeof pairs + used / 16 * 16;
    memcpy(bytes + at + BLOCK_HEADER, &pairs, sizeof pairs);
    memcpy(bytes + at + BLOCK_HEADER + sizeof pairs, data, (size_t)(used / 16 * 16));
    at += stream_frame(&stream, bytes + at, payload);
    uint64_t end = 0;
    FUZZ_CHECK(stream_end(&stream, bytes + at, IMAGE_MAX - at, &end) == FASTER_OK);
    return faster_recovery_index(recovery, bytes, at + end);
}

static int recover(uint32_t way, const uint8_t *data, size_t size) {
    bool pages = way == IN_PAGES || way == IN_PAGES_SUMMED;
    struct vault_facts wanted = facts;
    wanted.log_until = pages ? facts.final / 2 & ~(uint64_t)511 : facts.final;
    wanted.index_bits = way == IN_INDEX ? INDEX_BITS : 0;
    wanted.index_start = way == IN_INDEX ? facts.final : 0;
    wanted.seed_index = SEED;
    struct faster_recovery *recovery = vault_start(vault, &wanted);
    int result = way == IN_INDEX ? give_index(recovery, data, size) : FASTER_OK;
    if (result == FASTER_OK && way != IN_INDEX) {
        result = faster_recovery_log(recovery, wanted.begin, wanted.log_until);
    }
    if (result == FASTER_OK) {
        result =
            faster_recovery_pages(recovery, wanted.log_until, mutant + wanted.log_until,
                                  facts.final - wanted.log_until);
    }
    if (result == FASTER_OK) {
        result = faster_recovery_finish(recovery);
    }
    faster_recovery_free(recovery);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (vault == NULL) {
        make_store();
    }
    if (size < 1) {
        return 0;
    }
    uint32_t way = data[0] % (uint32_t)WAYS;
    data++;
    size--;
    memcpy(mutant, image, (size_t)facts.final);
    if (way != IN_INDEX) {
        change(data, size);
    }
    if (way == IN_LOG_SUMMED || way == IN_PAGES_SUMMED) {
        sum();
    }
    bool pages = way == IN_PAGES || way == IN_PAGES_SUMMED;
    vault_poke(vault, 0, pages ? image : mutant, facts.final);
    vault->lives = 1;
    vault->generations[0] = (struct faster_generation){0, 1};
    int result = recover(way, data, size);
    FUZZ_CHECK(result == FASTER_OK || result == FASTER_E_CORRUPT);
    if (result == FASTER_OK) {
        vault->session = kit_session(vault->kv);
        read_all(way == IN_LOG || way == IN_PAGES);
    }
    vault_end(vault);
    return 0;
}
