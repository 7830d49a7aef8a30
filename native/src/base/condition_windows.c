/* SPDX-License-Identifier: MIT */
/* condition_windows.c: condition.h by the Win32 calls */
#ifdef _WIN32

#include "base/condition.h"

int condition_init(struct condition *condition) {
    InitializeConditionVariable(&condition->word);
    return 0;
}

void condition_destroy(struct condition *condition) { (void)condition; }

void condition_wait(struct condition *condition, struct lock *lock,
                    uint32_t timeout_ms) {
    (void)SleepConditionVariableSRW(&condition->word, &lock->word, timeout_ms, 0);
}

void condition_wake(struct condition *condition) {
    WakeAllConditionVariable(&condition->word);
}

#else
typedef int condition_windows_is_empty_elsewhere;
#endif
