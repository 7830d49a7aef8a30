/* SPDX-License-Identifier: MIT */
/* Any bytes, cut anywhere, hash alike by every way (hash.h I1 to I3). */
#include <string.h>

#include "fuzz.h"
#include "hash/hash.h"

/* In memory of exactly its size, so that AddressSanitizer sees a byte too far. */
static void check_piece(const uint8_t *piece, size_t size, uint64_t seed) {
    uint8_t *exact = malloc(size > 0 ? size : 1);
    FUZZ_CHECK(exact != NULL);
    if (size > 0) {
        memcpy(exact, piece, size);
    }
    uint64_t xxh3 = hash_xxh3(piece, size, seed);
    uint64_t xxh64 = hash_xxh64(piece, size, seed);
    FUZZ_CHECK(hash_xxh3(exact, size, seed) == xxh3);
    FUZZ_CHECK(hash_xxh64(exact, size, seed) == xxh64);
    FUZZ_CHECK(faster_hash_bytes(FASTER_HASH_XXH3, exact, size, seed) == xxh3);
    FUZZ_CHECK(faster_hash_bytes(FASTER_HASH_XXH64, exact, size, seed) == xxh64);
    FUZZ_CHECK(hash_xxh3_key(exact, size) == hash_xxh3(piece, size, 0));
    FUZZ_CHECK(hash_key(FASTER_HASH_XXH64, exact, size) == hash_xxh64(piece, size, 0));
    if (size >= 8) {
        FUZZ_CHECK(hash_xxh3_8(exact) == hash_xxh3(piece, 8, 0));
    }
    free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_input input = {data, size};
    uint64_t seed = fuzz_take(&input, 4) | ((uint64_t)fuzz_take(&input, 4) << 32);
    size_t cut = input.size > 0 ? fuzz_take(&input, 2) % (input.size + 1) : 0;
    cut = cut < input.size ? cut : input.size;
    check_piece(input.data, cut, seed);
    check_piece(input.data + cut, input.size - cut, seed);
    check_piece(input.data, input.size, 0);
    return 0;
}
