/* SPDX-License-Identifier: MIT */
/* memory_windows.c: memory.h by VirtualAlloc */
#ifdef _WIN32

#define WIN32_LEAN_AND_MEAN
#include <errno.h>
#include <malloc.h>
#include <windows.h>

#include "base/bits.h"
#include "base/memory.h"

void *memory_reserve(uint64_t size) {
    /* Reservations are 64 KiB aligned here; large pages need a privilege and are not
     * asked for. */
    return VirtualAlloc(NULL, (SIZE_T)align_up(size, MEMORY_HUGE), MEM_RESERVE,
                        PAGE_NOACCESS);
}

int memory_commit(void *part, uint64_t size) {
    void *got = VirtualAlloc(part, (SIZE_T)size, MEM_COMMIT, PAGE_READWRITE);
    return got != NULL ? 0 : -ENOMEM;
}

void memory_discard(void *part, uint64_t size) {
    (void)VirtualFree(part, (SIZE_T)size, MEM_DECOMMIT);
    (void)VirtualAlloc(part, (SIZE_T)size, MEM_COMMIT, PAGE_READWRITE);
}

void memory_populate(void *part, uint64_t size) {
    (void)part;
    (void)size;
}

void memory_release(void *range, uint64_t size) {
    (void)size;
    (void)VirtualFree(range, 0, MEM_RELEASE);
}

void *memory_lines_new(uint64_t size) {
    return _aligned_malloc((size_t)align_up(size, CACHE_LINE), CACHE_LINE);
}

void memory_lines_free(void *block) { _aligned_free(block); }

uint64_t memory_physical(void) {
    MEMORYSTATUSEX status;
    status.dwLength = sizeof status;
    if (!GlobalMemoryStatusEx(&status)) {
        return (uint64_t)4 << 30;
    }
    return status.ullTotalPhys;
}

#else
typedef int memory_windows_is_empty_elsewhere;
#endif
