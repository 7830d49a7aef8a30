/* SPDX-License-Identifier: MIT */
#include "hash/hash.h"

uint64_t hash_bytes(uint32_t which, const void *data, uint64_t size, uint64_t seed) {
    switch (which) {
    case FASTER_HASH_XXH3:
        return hash_xxh3(data, size, seed);
    case FASTER_HASH_XXH64:
        return hash_xxh64(data, size, seed);
    default:
        return 0;
    }
}

uint64_t faster_hash_bytes(uint32_t hash, const void *data, uint64_t size,
                           uint64_t seed) {
    return hash_bytes(hash, data, size, seed);
}
