/* SPDX-License-Identifier: MIT */
/* What a durable log finds on its device and in its slots (F34, F35, F86, F87): bytes
 * that are merely damaged give what was appended or say so; bytes with right checksums
 * may hold anything, and recovery, scans and reads end all the same. */
#include "device/device.h"
#include "faster/device_tools.h"
#include "faster/flog.h"
#include "flog/entry.h"
#include "fuzz.h"

enum { PAGE = 4096, LOG_ID = 77, ENTRIES = 40, IMAGE_MAX = 32 << 10, SECTOR = 512 };

/* How the bytes of the input are used. */
enum { IN_RECORD, IN_SLOT, IN_SLOT_SUMMED, IN_LOG, IN_CHANGES, IN_ENTRIES, WAYS };

/* A log that was written once, and what is in it. */
static uint8_t image[IMAGE_MAX];
static uint64_t image_size;
static uint64_t addresses[ENTRIES];

static uint64_t size_of(uint64_t number) { return number * 29 % 300; }

static void payload_of(uint64_t number, uint8_t *bytes) {
    memset(bytes, (int)(number + 1), (size_t)size_of(number));
}

/* --- logs on a device ------------------------------------------------------------- */

static struct faster_device *memory_new(const uint8_t *bytes, uint64_t size) {
    struct faster_device *device = NULL;
    FUZZ_CHECK(faster_device_memory(PAGE, 0, &device) == FASTER_OK);
    if (size != 0) {
        FUZZ_CHECK(device_write_wait(device, 0, bytes, size) == FASTER_OK);
    }
    return device;
}

static struct faster_flog *open_log(const struct faster_device *device,
                                    const struct faster_flog_life *lives,
                                    uint64_t count, uint64_t committed,
                                    uint32_t read_only) {
    struct faster_flog_config config = {
        .size = sizeof config,
        .read_only = read_only,
        .device = device,
        .log_id = LOG_ID,
        .page_size = PAGE,
        .memory = 4 * PAGE,
        .lives = lives,
        .life_count = count,
        .begin = FASTER_FLOG_FIRST,
        .committed = committed,
    };
    struct faster_flog *log = NULL;
    FUZZ_CHECK(faster_flog_open(&config, &log) == FASTER_OK);
    return log;
}

static void close_log(struct faster_flog *log, struct faster_device *device) {
    FUZZ_CHECK(faster_flog_close(log, 100000) == FASTER_OK);
    faster_flog_free(log);
    faster_device_free(device);
}

static void make_log(void) {
    static const struct faster_flog_life life = {1, FASTER_FLOG_FIRST, 0};
    struct faster_device *device = memory_new(NULL, 0);
    struct faster_flog *log = open_log(device, &life, 1, FASTER_FLOG_FIRST, 0);
    struct faster_flog_commit commit = {0, 0};
    uint8_t bytes[300];
    uint64_t end;
    uint64_t moved;
    for (uint64_t i = 0; i < ENTRIES; i++) {
        payload_of(i, bytes);
        while (faster_flog_append(log, bytes, size_of(i), &addresses[i], &end) !=
               FASTER_OK) { /* ends: pages are written */
            (void)faster_flog_wait(log, 1000);
        }
        if (i % 8 == 7) {
            FUZZ_CHECK(faster_flog_commit(log, 0, 100000, &commit) == FASTER_OK);
        }
    }
    image_size = commit.until;
    FUZZ_CHECK(image_size <= IMAGE_MAX);
    FUZZ_CHECK(device_read_wait(device, 0, image, image_size, &moved) == FASTER_OK);
    FUZZ_CHECK(moved == image_size);
    close_log(log, device);
}

/* --- reading all of it ------------------------------------------------------------ */

/* Whether an entry is one that was appended. */
static bool is_right(const struct faster_flog_entry *entry) {
    uint8_t bytes[300];
    for (uint64_t i = 0; i < ENTRIES; i++) {
        if (addresses[i] == entry->address) {
            payload_of(i, bytes);
            return entry->size == size_of(i) &&
                   (entry->size == 0 || memcmp(entry->data, bytes, entry->size) == 0);
        }
    }
    return false;
}

static int next_entry(struct faster_flog_scan *scan, struct faster_flog_entry *entry) {
    int result = faster_flog_scan_next(scan, entry);
    while (result == FASTER_PENDING) { /* ends: memory answers at once */
        result = faster_flog_scan_fill(scan, 100000);
        result = result == FASTER_OK ? faster_flog_scan_next(scan, entry) : result;
    }
    return result;
}

static int next_piece(struct faster_flog_scan *scan, struct faster_flog_piece *piece) {
    int result = faster_flog_scan_piece(scan, piece);
    while (result == FASTER_PENDING) { /* ends: as above */
        result = faster_flog_scan_fill(scan, 100000);
        result = result == FASTER_OK ? faster_flog_scan_piece(scan, piece) : result;
    }
    return result;
}

static uint64_t scan_entries(struct faster_flog *log, uint32_t commits, bool right) {
    struct faster_flog_scan_config config = {.size = sizeof config, .commits = commits};
    struct faster_flog_scan *scan = NULL;
    struct faster_flog_entry entry;
    struct faster_flog_record record;
    uint8_t bytes[PAGE];
    struct faster_flog_damage damage;
    uint64_t size = 0;
    uint64_t last = 0;
    uint64_t count = 0;
    int result;
    FUZZ_CHECK(faster_flog_scan_open(log, &config, &scan) == FASTER_OK);
    while ((result = next_entry(scan, &entry)) == FASTER_OK) {
        FUZZ_CHECK(entry.address > last && entry.next > entry.address);
        last = entry.address;
        if (entry.kind == FASTER_FLOG_COMMIT) {
            (void)faster_flog_record_read(entry.data, entry.size, &record);
            continue;
        }
        FUZZ_CHECK(!right || is_right(&entry));
        FUZZ_CHECK(faster_flog_read(log, entry.address, bytes, sizeof bytes, &size,
                                    &damage) == FASTER_OK);
        FUZZ_CHECK(size == entry.size);
        FUZZ_CHECK(size == 0 || memcmp(bytes, entry.data, size) == 0);
        count++;
    }
    FUZZ_CHECK(result == FASTER_NOT_FOUND || result == FASTER_E_CORRUPT);
    faster_flog_scan_free(scan);
    return count;
}

static uint64_t scan_pieces(struct faster_flog *log) {
    struct faster_flog_scan_config config = {.size = sizeof config};
    struct faster_flog_scan *scan = NULL;
    struct faster_flog_piece piece;
    uint64_t count = 0;
    int result;
    FUZZ_CHECK(faster_flog_scan_open(log, &config, &scan) == FASTER_OK);
    while ((result = next_piece(scan, &piece)) == FASTER_OK) {
        FUZZ_CHECK(piece.count > 0);
        for (uint64_t i = 0; i < piece.count; i++) {
            FUZZ_CHECK((uint64_t)piece.starts[i] + piece.sizes[i] <= piece.size);
        }
        count += piece.count;
        faster_flog_piece_free(piece.chunk);
    }
    FUZZ_CHECK(result == FASTER_NOT_FOUND || result == FASTER_E_CORRUPT);
    faster_flog_scan_free(scan);
    return count;
}

/* A log goes on where recovery says: what is appended then comes back. */
static void go_on(const uint8_t *bytes, uint64_t size,
                  const struct faster_flog_found *found) {
    uint64_t first = (found->until + SECTOR - 1) & ~(uint64_t)(SECTOR - 1);
    const struct faster_flog_life lives[2] = {{1, FASTER_FLOG_FIRST, found->until},
                                              {2, first, 0}};
    struct faster_device *device = memory_new(bytes, size);
    struct faster_flog *log = open_log(device, lives, 2, first, 0);
    struct faster_flog_commit commit;
    uint64_t address;
    uint64_t end;
    uint64_t before = scan_entries(log, 0, false);
    FUZZ_CHECK(faster_flog_append(log, "behind", 6, &address, &end) == FASTER_OK);
    FUZZ_CHECK(faster_flog_commit(log, 0, 100000, &commit) == FASTER_OK);
    FUZZ_CHECK(scan_entries(log, 0, false) == before + 1);
    close_log(log, device);
}

/* Recover these bytes, and read what that says is there. */
static void recover(const uint8_t *bytes, uint64_t size, bool right) {
    static const struct faster_flog_life life = {1, FASTER_FLOG_FIRST, 0};
    struct faster_device *device = memory_new(bytes, size);
    struct faster_flog_recovery_config config = {.size = sizeof config,
                                                 .device = device,
                                                 .log_id = LOG_ID,
                                                 .page_size = PAGE,
                                                 .life = life,
                                                 .from = FASTER_FLOG_FIRST};
    struct faster_flog_recovery *recovery = NULL;
    struct faster_flog_found found = {.until = FASTER_FLOG_FIRST};
    struct faster_flog_damage damage;
    int result = faster_flog_recover(&config, &recovery, &damage);
    FUZZ_CHECK(result == FASTER_OK || result == FASTER_E_CORRUPT);
    if (result == FASTER_OK) {
        faster_flog_recovery_found(recovery, &found);
        faster_flog_recovery_free(recovery);
        FUZZ_CHECK(found.until >= FASTER_FLOG_FIRST && found.until % 8 == 0);
    }
    /* A follower trusts nobody: it believes a slot, and looks for more itself. */
    struct faster_flog *log = open_log(device, &life, 1, FASTER_FLOG_FIRST, 1);
    struct faster_flog_commit commit;
    FUZZ_CHECK(faster_flog_follow(log, &commit) >= 0);
    uint64_t count = scan_entries(log, 1, right);
    FUZZ_CHECK(result != FASTER_OK || count == found.entries);
    FUZZ_CHECK(scan_pieces(log) == count);
    close_log(log, device);
    device = memory_new(bytes, size);
    log = open_log(device, &life, 1, IMAGE_MAX, 1);
    (void)scan_entries(log, 0, right);
    close_log(log, device);
    if (result == FASTER_OK && size % 8 == 0) {
        go_on(bytes, size, &found);
    }
}

/* --- the ways --------------------------------------------------------------------- */

/* Each four bytes are a change: where, and what. */
static void take_changes(const uint8_t *data, size_t size) {
    static uint8_t mutant[IMAGE_MAX];
    memcpy(mutant, image, image_size);
    for (size_t i = 0; i + 4 <= size && i < 256; i += 4) {
        uint64_t place = ((uint64_t)data[i] << 8 | data[i + 1]) % image_size;
        uint64_t count = 1 + data[i + 3] % 8u;
        for (uint64_t j = 0; j < count && place + j < image_size; j++) {
            mutant[place + j] ^= (uint8_t)(data[i + 2] + j);
        }
    }
    recover(mutant, image_size, true);
}

/* Entries with right checksums, of kinds, lengths and bytes as the input says. */
static void take_entries(const uint8_t *data, size_t size) {
    static uint8_t bytes[IMAGE_MAX];
    struct fuzz_input input = {data, size};
    uint64_t seed = entry_life_seed(LOG_ID, 1);
    uint64_t at = FASTER_FLOG_FIRST;
    memset(bytes, 0, sizeof bytes);
    while (input.size != 0 && at + 2 * PAGE < IMAGE_MAX) { /* ends: the input does */
        uint32_t kind = fuzz_take(&input, 1) % 5;
        uint64_t length = fuzz_take(&input, 2) % (kind == ENTRY_COMMIT ? 128 : 1024);
        uint64_t word = entry_word(length, kind, 1);
        uint64_t given = length < input.size ? length : input.size;
        struct entry_header header = {word, 0};
        uint8_t *payload = bytes + at + sizeof header;
        memcpy(payload, input.data, (size_t)given);
        if (kind == ENTRY_COMMIT && length >= sizeof(struct commit_opening)) {
            struct commit_opening opening;
            memcpy(&opening, payload, sizeof opening);
            opening.number = 1 + at;
            opening.until =
                opening.until % 4 != 0
                    ? (at + entry_extent(length) + SECTOR - 1) & ~(uint64_t)(SECTOR - 1)
                    : opening.until;
            opening.begin %= at + 64;
            opening.durable %= at + 64;
            opening.cookie = (uint32_t)(length - sizeof opening) % 50;
            opening.attachment = (uint32_t)(length - sizeof opening) - opening.cookie;
            memcpy(payload, &opening, sizeof opening);
        }
        uint64_t summed = kind == ENTRY_FILLER ? 0 : length;
        header.checksum = hash_xxh3(payload, summed, entry_seed(seed, at, word));
        memcpy(bytes + at, &header, sizeof header);
        uint64_t extent =
            kind == ENTRY_FILLER ? (length + 7) & ~(uint64_t)7 : entry_extent(length);
        at += extent < 8 ? 8 : extent;
        input.data += given;
        input.size -= given;
    }
    recover(bytes, at, false);
}

/* Bytes as a slot; with the sum made right, they are taken apart in full. */
static void take_slot(const uint8_t *data, size_t size, bool summed) {
    static struct faster_flog_life lives[FASTER_FLOG_LIVES_MAX];
    struct faster_flog_slot slot;
    const void *attachment = NULL;
    uint8_t *bytes = malloc(size + 8);
    uint8_t *again = malloc(size + 8);
    uint64_t length = 0;
    FUZZ_CHECK(bytes != NULL && again != NULL);
    memcpy(bytes, data, size);
    size_t whole = size & ~(size_t)7;
    if (summed && whole >= sizeof(struct slot_opening) + 8) {
        struct slot_opening opening;
        memcpy(&opening, bytes, sizeof opening);
        opening.magic = SLOT_MAGIC;
        opening.format = SLOT_FORMAT;
        opening.bytes = (uint32_t)whole;
        memcpy(bytes, &opening, sizeof opening);
        word_store64(bytes + whole - 8, hash_xxh3(bytes, whole - 8, SLOT_SEED));
    }
    int result = faster_flog_slot_read(bytes, size, &slot, lives, &attachment);
    FUZZ_CHECK(result == FASTER_OK || result == FASTER_E_CORRUPT ||
               result == FASTER_E_FORMAT);
    if (result == FASTER_OK) {
        FUZZ_CHECK(slot.attachment_size <= size && slot.life_count <= size / 24);
        /* What was taken for a slot makes sense as one. */
        FUZZ_CHECK(faster_flog_slot_write(&slot, lives, attachment, again, size,
                                          &length) == FASTER_OK);
        FUZZ_CHECK(length == whole);
    }
    free(bytes);
    free(again);
}

static void take_record(const uint8_t *data, size_t size) {
    struct faster_flog_record record;
    if (faster_flog_record_read(data, size, &record) == FASTER_OK) {
        const uint8_t *cookie = record.cookie;
        const uint8_t *attachment = record.attachment;
        FUZZ_CHECK(record.cookie_size <= size && record.attachment_size <= size);
        FUZZ_CHECK(cookie >= data && cookie + record.cookie_size <= data + size);
        FUZZ_CHECK(attachment >= data &&
                   attachment + record.attachment_size <= data + size);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (image_size == 0) {
        make_log();
    }
    if (size < 1) {
        return 0;
    }
    uint32_t way = data[0] % (uint32_t)WAYS;
    data++;
    size--;
    if (way == IN_RECORD) {
        take_record(data, size);
    } else if (way == IN_SLOT || way == IN_SLOT_SUMMED) {
        take_slot(data, size, way == IN_SLOT_SUMMED);
    } else if (way == IN_CHANGES) {
        take_changes(data, size);
    } else if (way == IN_ENTRIES) {
        take_entries(data, size);
    } else {
        recover(data, size, false);
    }
    return 0;
}
