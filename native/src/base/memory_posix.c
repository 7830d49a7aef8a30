/* SPDX-License-Identifier: MIT */
/* memory_posix.c: memory.h by mmap, for every system but Windows */
#ifndef _WIN32

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/memory.h"

#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif

static void unmap(uint8_t *start, uint64_t size) {
    if (size != 0) {
        (void)munmap(start, (size_t)size);
    }
}

void *memory_reserve(uint64_t size) {
    uint64_t padded = align_up(size, MEMORY_HUGE) + MEMORY_HUGE;
    void *raw = mmap(NULL, (size_t)padded, PROT_NONE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (raw == MAP_FAILED) {
        return NULL;
    }
    uint8_t *start =
        (uint8_t *)(uintptr_t)align_up((uint64_t)(uintptr_t)raw, MEMORY_HUGE);
    uint64_t head = (uint64_t)(start - (uint8_t *)raw);
    uint64_t kept = align_up(size, MEMORY_HUGE);
    unmap(raw, head);
    unmap(start + kept, padded - head - kept);
#ifdef MADV_HUGEPAGE
    (void)madvise(start, (size_t)kept, MADV_HUGEPAGE);
#endif
    return start;
}

int memory_commit(void *part, uint64_t size) {
    /* A neighbour that comes along is of the same reservation and wanted next. */
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t start = (uintptr_t)part & ~(page - 1);
    uintptr_t end = (uintptr_t)align_up((uintptr_t)part + size, page);
    return mprotect((void *)start, end - start, PROT_READ | PROT_WRITE) == 0 ? 0
                                                                             : -errno;
}

/* Forget the system's pages of a part, which are whole ones.  False when the system
 * refuses: memory that is locked, above all. */
static bool forget_pages(void *part, uint64_t size) {
    /* MADV_DONTNEED on private anonymous memory drops the pages at once and gives
     * zeros on the next touch; elsewhere a fresh mapping over the part does. */
#ifdef __linux__
    return madvise(part, (size_t)size, MADV_DONTNEED) == 0;
#else
    return mmap(part, (size_t)size, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED;
#endif
}

void memory_discard(void *part, uint64_t size) {
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    bool whole = (((uint64_t)(uintptr_t)part | size) & (page - 1)) == 0;
    if (!whole || !forget_pages(part, size)) {
        memset(part, 0, (size_t)size);
    }
}

void memory_populate(void *part, uint64_t size) {
#ifdef MADV_POPULATE_WRITE
    (void)madvise(part, (size_t)size, MADV_POPULATE_WRITE);
#else
    (void)part;
    (void)size;
#endif
}

void memory_release(void *range, uint64_t size) {
    unmap(range, align_up(size, MEMORY_HUGE));
}

void *memory_lines_new(uint64_t size) {
    return aligned_alloc(CACHE_LINE, (size_t)align_up(size, CACHE_LINE));
}

void memory_lines_free(void *block) { free(block); }

uint64_t memory_physical(void) {
    long pages = sysconf(_SC_PHYS_PAGES);
    long page_size = sysconf(_SC_PAGESIZE);
    if (pages <= 0 || page_size <= 0) {
        return (uint64_t)4 << 30;
    }
    return (uint64_t)pages * (uint64_t)page_size;
}

#else
typedef int memory_posix_is_empty_on_windows;
#endif
