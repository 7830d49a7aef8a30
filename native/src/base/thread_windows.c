/* SPDX-License-Identifier: MIT */
/* thread_windows.c: thread.h by the Win32 calls */
#ifdef _WIN32

#include <errno.h>

#include "base/thread.h"

int lock_init(struct lock *lock) {
    InitializeSRWLock(&lock->word);
    return 0;
}

void lock_destroy(struct lock *lock) { (void)lock; }

void lock_enter(struct lock *lock) { AcquireSRWLockExclusive(&lock->word); }

bool lock_try(struct lock *lock) {
    return TryAcquireSRWLockExclusive(&lock->word) != 0;
}

void lock_leave(struct lock *lock) { ReleaseSRWLockExclusive(&lock->word); }

int wakeup_init(struct wakeup *wakeup) {
    wakeup->semaphore = CreateSemaphoreW(NULL, 0, 0x7fffffff, NULL);
    return wakeup->semaphore != NULL ? 0 : -ENOMEM;
}

void wakeup_destroy(struct wakeup *wakeup) { (void)CloseHandle(wakeup->semaphore); }

void wakeup_post(struct wakeup *wakeup) {
    (void)ReleaseSemaphore(wakeup->semaphore, 1, NULL);
}

void wakeup_wait(struct wakeup *wakeup) {
    (void)WaitForSingleObject(wakeup->semaphore, INFINITE);
}

bool wakeup_wait_ms(struct wakeup *wakeup, uint32_t timeout_ms) {
    return WaitForSingleObject(wakeup->semaphore, timeout_ms) == WAIT_OBJECT_0;
}

static DWORD WINAPI thread_main(LPVOID argument) {
    struct thread *thread = argument;
    thread->run(thread->context);
    return 0;
}

int thread_start(struct thread *thread, void (*run)(void *), void *context) {
    thread->run = run;
    thread->context = context;
    thread->handle = CreateThread(NULL, 0, thread_main, thread, 0, NULL);
    return thread->handle != NULL ? 0 : -EAGAIN;
}

void thread_join(struct thread *thread) {
    (void)WaitForSingleObject(thread->handle, INFINITE);
    (void)CloseHandle(thread->handle);
}

void thread_yield(void) { (void)SwitchToThread(); }

void thread_pause_us(uint32_t microseconds) { Sleep((microseconds + 999u) / 1000u); }

uint64_t clock_ms(void) { return (uint64_t)GetTickCount64(); }

/* Seconds apart from the rest, or the product would run over. */
uint64_t clock_ns(void) {
    LARGE_INTEGER ticks;
    LARGE_INTEGER per_second;
    (void)QueryPerformanceCounter(&ticks);
    (void)QueryPerformanceFrequency(&per_second);
    uint64_t now = (uint64_t)ticks.QuadPart;
    uint64_t rate = (uint64_t)per_second.QuadPart;
    return now / rate * 1000000000u + now % rate * 1000000000u / rate;
}

#else
typedef int thread_windows_is_empty_elsewhere;
#endif
