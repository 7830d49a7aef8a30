/* SPDX-License-Identifier: MIT */
/* lives.c: see lives.h */
#include "flog/lives.h"

#include <stdlib.h>
#include <string.h>

#include "address/address.h"

bool lives_are_sane(const struct faster_flog_life *lives, uint64_t count) {
    bool sane = lives != NULL && count >= 1 && count <= FASTER_FLOG_LIVES_MAX &&
                lives[count - 1].until == 0;
    for (uint64_t i = 0; sane && i < count; i++) {
        sane = lives[i].first >= FASTER_FLOG_FIRST && lives[i].first % 8 == 0 &&
               lives[i].first < (uint64_t)1 << ADDRESS_BITS;
    }
    for (uint64_t i = 1; sane && i < count; i++) {
        sane = lives[i].generation > lives[i - 1].generation &&
               lives[i - 1].until >= lives[i - 1].first &&
               lives[i - 1].until <= lives[i].first;
    }
    return sane;
}

const struct faster_flog_life *lives_at(const struct flog_lives *lives,
                                        uint64_t address) {
    const struct faster_flog_life *found = lives->lives;
    uint64_t low = 0;
    uint64_t high = lives->count;
    while (low < high) { /* ends: the distance halves */
        uint64_t middle = low + (high - low) / 2;
        if (lives->lives[middle].first <= address) {
            found = &lives->lives[middle];
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return found;
}

struct flog_lives *lives_copy(const struct faster_flog_life *lives, uint64_t count) {
    size_t bytes = (size_t)count * sizeof *lives;
    struct flog_lives *copy = malloc(sizeof *copy + bytes);
    if (copy != NULL) {
        copy->count = count;
        memcpy(copy->lives, lives, bytes);
    }
    return copy;
}
