/* SPDX-License-Identifier: MIT */
/*
 * fuzz.h: what every fuzz target is made of
 *
 * A target defines LLVMFuzzerTestOneInput and states what must hold by FUZZ_CHECK.  It
 * keeps no state between inputs.  libFuzzer calls it under the fuzz preset, replay.c in
 * every other build.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* abort, not exit: libFuzzer keeps the input of an aborted run. */
#define FUZZ_CHECK(cond)                                                               \
    ((cond) ? (void)0                                                                  \
            : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond), abort()))

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input, taken from its front; zeros once it is used up. */
struct fuzz_input {
    const uint8_t *data;
    size_t size;
};

static inline uint32_t fuzz_take(struct fuzz_input *input, size_t bytes) {
    uint32_t word = 0;
    for (size_t i = 0; i < bytes && input->size > 0; i++) {
        word |= (uint32_t)*input->data << (8 * i);
        input->data++;
        input->size--;
    }
    return word;
}

#endif
