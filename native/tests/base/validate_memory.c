/* SPDX-License-Identifier: MIT */
/* memory.h: reservations cost no memory, commits are zero, discards read zero again. */
#include "base/memory.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "harness.h"

enum { PART = 64 << 10, PARTS = 64, THREADS = 4 };

static uint8_t *reserve(uint64_t size) {
    uint8_t *range = memory_reserve(size);
    CHECK(range != NULL, "%" PRIu64 " bytes of address space", size);
    return range;
}

static void commit(uint8_t *part, uint64_t size) {
    CHECK_INT(memory_commit(part, size), 0);
}

/* Whether the system can read the byte: it answers EFAULT instead of a signal. */
static int is_readable(const uint8_t *byte) {
    int ends[2];
    CHECK(pipe(ends) == 0, "pipe: %d", errno);
    ssize_t sent = write(ends[1], byte, 1);
    CHECK(sent == 1 || errno == EFAULT, "write: %d", errno);
    close(ends[0]);
    close(ends[1]);
    return sent == 1;
}

static void check_all(const uint8_t *part, uint64_t size, uint8_t expected) {
    for (uint64_t i = 0; i < size; i++) {
        CHECK(part[i] == expected, "byte %" PRIu64 " is %u, expected %u", i, part[i],
              expected);
    }
}

static void reservations_are_aligned_whatever_their_size(void) {
    static const uint64_t sizes[] = {1,
                                     4096,
                                     PART,
                                     MEMORY_HUGE - 1,
                                     MEMORY_HUGE,
                                     MEMORY_HUGE + 1,
                                     5u * MEMORY_HUGE + 4096};
    enum { COUNT = sizeof sizes / sizeof sizes[0] };
    uint8_t *ranges[COUNT];
    for (int i = 0; i < COUNT; i++) {
        ranges[i] = reserve(sizes[i]);
        CHECK_U64((uintptr_t)ranges[i] % MEMORY_HUGE, 0);
    }
    for (int i = 0; i < COUNT; i++) {
        uint64_t size = align_up(sizes[i], MEMORY_GRANULE);
        commit(ranges[i], size);
        memset(ranges[i], i + 1, (size_t)size);
    }
    for (int i = 0; i < COUNT; i++) { /* so no two of them share a byte */
        check_all(ranges[i], sizes[i], (uint8_t)(i + 1));
        memory_release(ranges[i], sizes[i]);
    }
}

static void only_committed_parts_are_accessible(void) {
    uint8_t *range = reserve(4 * PART);
    CHECK(!is_readable(range), "reserved only");
    commit(range + PART, PART);
    CHECK(!is_readable(range + PART - 1), "before the part");
    CHECK(is_readable(range + PART), "first byte");
    CHECK(is_readable(range + 2 * PART - 1), "last byte");
    CHECK(!is_readable(range + 2 * PART), "after the part");
    memory_release(range, 4 * PART);
}

static void commits_are_zero_and_leave_neighbours_alone(void) {
    uint8_t *range = reserve((uint64_t)PARTS * PART);
    for (uint64_t i = 0; i < PARTS; i++) {
        uint8_t *part = range + i * PART;
        commit(part, PART);
        check_all(part, PART, 0);
        memset(part, 0xa5, PART);
    }
    check_all(range, (uint64_t)PARTS * PART, 0xa5);
    memory_release(range, (uint64_t)PARTS * PART);
}

static void discarded_parts_read_zero_and_stay_usable(void) {
    uint8_t *range = reserve(4 * PART);
    commit(range, 4 * PART);
    memset(range, 0xa5, 4 * PART);
    memory_discard(range + PART, 2 * PART);
    check_all(range, PART, 0xa5);
    check_all(range + PART, 2 * PART, 0);
    check_all(range + 3 * PART, PART, 0xa5);
    memset(range + PART, 0x5a, 2 * PART);
    check_all(range + PART, 2 * PART, 0x5a);
    memory_release(range, 4 * PART);
}

/* Where the system has larger pages than a part, the whole page must become usable. */
static void a_commit_rounds_out_to_the_systems_pages(void) {
    uint8_t *range = reserve(4 * PART);
    commit(range + PART + 512, 1024);
    CHECK(is_readable(range + PART), "start of the page");
    CHECK(is_readable(range + PART + 512 + 1024), "rest of the page");
    CHECK(!is_readable(range + PART - 1), "the page before");
    CHECK(!is_readable(range + 2 * PART), "a page behind");
    memory_release(range, 4 * PART);
}

static void populating_changes_no_byte(void) {
    uint8_t *range = reserve(2 * PART);
    commit(range, 2 * PART);
    memset(range, 0xa5, PART);
    memory_populate(range, 2 * PART);
    check_all(range, PART, 0xa5);
    check_all(range + PART, PART, 0);
    memory_release(range, 2 * PART);
}

/* 2^48 bytes one after another are more than there are addresses. */
static void released_addresses_can_be_reserved_again(void) {
    uint64_t size = (uint64_t)1 << 36;
    for (int i = 0; i < 1 << 12; i++) {
        uint8_t *range = reserve(size);
        memory_release(range, size);
    }
}

struct parts {
    uint8_t *range;
};

static void use_own_parts(void *context, uint32_t thread) {
    struct parts *parts = context;
    for (uint64_t i = thread; i < PARTS; i += THREADS) {
        uint8_t *part = parts->range + i * PART;
        commit(part, PART);
        check_all(part, PART, 0);
        memset(part, (int)thread + 1, PART);
        check_all(part, PART, (uint8_t)(thread + 1));
        memory_discard(part, PART);
        check_all(part, PART, 0);
    }
}

static void threads_commit_and_discard_parts_of_their_own(void) {
    struct parts parts = {reserve((uint64_t)PARTS * PART)};
    harness_threads(THREADS, use_own_parts, &parts);
    memory_release(parts.range, (uint64_t)PARTS * PART);
}

static void physical_memory_is_a_plausible_number(void) {
    uint64_t bytes = memory_physical();
    CHECK(bytes >= (uint64_t)16 << 20, "%" PRIu64, bytes);
    CHECK(bytes < (uint64_t)1 << 47, "%" PRIu64, bytes);
}

HARNESS_MAIN(TEST(reservations_are_aligned_whatever_their_size),
             TEST(only_committed_parts_are_accessible),
             TEST(commits_are_zero_and_leave_neighbours_alone),
             TEST(discarded_parts_read_zero_and_stay_usable),
             TEST(a_commit_rounds_out_to_the_systems_pages),
             TEST(populating_changes_no_byte),
             TEST(released_addresses_can_be_reserved_again),
             TEST(threads_commit_and_discard_parts_of_their_own),
             TEST(physical_memory_is_a_plausible_number))
