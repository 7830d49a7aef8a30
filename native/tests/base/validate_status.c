/* SPDX-License-Identifier: MIT */
/* Every status has its sentence. */
#include <errno.h>
#include <string.h>

#include "faster/status.h"
#include "harness.h"

static const int statuses[] = {
    FASTER_OK,         FASTER_NOT_FOUND,    FASTER_EXISTS,   FASTER_MISMATCH,
    FASTER_SHORT,      FASTER_PENDING,      FASTER_RETRY,    FASTER_MUTABLE,
    FASTER_E_CORRUPT,  FASTER_E_ABI,        FASTER_E_FORMAT, FASTER_E_CLOSED,
    FASTER_E_FULL,     FASTER_E_BUSY,       FASTER_E_FORKED, FASTER_E_SESSIONS,
    FASTER_E_KEY_SIZE, FASTER_E_VALUE_SIZE, FASTER_E_MERGE,  FASTER_E_OVERFLOW,
    FASTER_E_CONFIG,   FASTER_E_TIMEOUT,
};

enum { COUNT = sizeof statuses / sizeof statuses[0] };

static void each_status_has_a_sentence(void) {
    for (int i = 0; i < COUNT; i++) {
        const char *text = faster_strerror(statuses[i]);
        size_t length = strlen(text);
        CHECK(length > 10, "status %d: '%s'", statuses[i], text);
        CHECK(text[length - 1] == '.', "status %d: '%s'", statuses[i], text);
        CHECK(text[0] >= 'A' && text[0] <= 'Z', "status %d: '%s'", statuses[i], text);
    }
}

static void no_two_statuses_share_a_sentence(void) {
    for (int i = 0; i < COUNT; i++) {
        for (int j = 0; j < i; j++) {
            const char *text = faster_strerror(statuses[i]);
            CHECK(strcmp(text, faster_strerror(statuses[j])) != 0, "%d and %d: '%s'",
                  statuses[i], statuses[j], text);
        }
    }
}

static void the_systems_errors_are_called_that(void) {
    CHECK(strcmp(faster_strerror(-EIO), "system error") == 0, "%s",
          faster_strerror(-EIO));
    CHECK(strcmp(faster_strerror(-1), "system error") == 0, "%s", faster_strerror(-1));
    CHECK(strcmp(faster_strerror(-4095), "system error") == 0, "%s",
          faster_strerror(-4095));
}

static void other_numbers_are_unknown(void) {
    static const int unknown[] = {FASTER_MUTABLE + 1,   -4096,     -5000,
                                  FASTER_E_TIMEOUT - 1, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        const char *text = faster_strerror(unknown[i]);
        CHECK(strcmp(text, "unknown status") == 0, "status %d: '%s'", unknown[i], text);
    }
}

HARNESS_MAIN(TEST(each_status_has_a_sentence), TEST(no_two_statuses_share_a_sentence),
             TEST(the_systems_errors_are_called_that), TEST(other_numbers_are_unknown))
