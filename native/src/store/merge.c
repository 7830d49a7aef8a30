/* SPDX-License-Identifier: MIT */
/* merge.c: see merge.h */
#include "store/merge.h"

static const uint8_t type_sizes[] = {0, 0, 1, 2, 4, 8, 1, 2, 4, 8, 4, 8};

_Static_assert(sizeof type_sizes == FASTER_TYPE_F64 + 1, "every type has a size");

uint32_t merge_type_size(enum faster_type type) { return type_sizes[type]; }

static bool is_float(enum faster_type type) {
    return type == FASTER_TYPE_F32 || type == FASTER_TYPE_F64;
}

static bool is_signed(enum faster_type type) {
    return type >= FASTER_TYPE_I8 && type <= FASTER_TYPE_I64;
}

bool merge_applies(uint32_t kind, enum faster_type type, bool sized,
                   uint32_t value_size) {
    bool number = type_sizes[type] != 0;
    switch (kind) {
    case FASTER_MERGE_ADD:
    case FASTER_MERGE_MIN:
    case FASTER_MERGE_MAX:
        return number;
    case FASTER_MERGE_BIT_OR:
    case FASTER_MERGE_BIT_AND:
        return number && !is_float(type);
    case FASTER_MERGE_APPEND:
        return !sized && type == FASTER_TYPE_TEXT;
    case FASTER_MERGE_SET_IF_ABSENT:
        return true;
    case FASTER_MERGE_PUT_NEWEST:
        return !sized || value_size >= 8;
    default:
        return false;
    }
}

/* Sign-extend the low `size` bytes. */
static int64_t as_signed(uint64_t word, uint32_t size) {
    uint32_t unused = 64 - size * 8;
    uint64_t sign = (uint64_t)1 << 63;
    uint64_t high = word << unused;
    if (unused == 0) {
        return (int64_t)word;
    }
    return (high & sign) != 0 ? -(int64_t)((~high >> unused) + 1)
                              : (int64_t)(high >> unused);
}

static int add_signed(uint32_t size, int64_t old, int64_t input, uint64_t *merged) {
    uint64_t sum = (uint64_t)old + (uint64_t)input;
    bool wrapped = ((((uint64_t)old ^ sum) & ((uint64_t)input ^ sum)) >> 63) != 0;
    if (wrapped || as_signed(sum, size) != (int64_t)sum) {
        return FASTER_E_OVERFLOW;
    }
    *merged = sum;
    return FASTER_OK;
}

static int add_unsigned(uint32_t size, uint64_t old, uint64_t input, uint64_t *merged) {
    uint64_t sum = old + input;
    bool wide = size < 8 && (sum >> (size * 8)) != 0;
    if (sum < old || wide) {
        return FASTER_E_OVERFLOW;
    }
    *merged = sum;
    return FASTER_OK;
}

static int merge_signed(uint32_t size, uint32_t kind, int64_t old, int64_t input,
                        uint64_t *merged) {
    switch (kind) {
    case FASTER_MERGE_ADD:
        return add_signed(size, old, input, merged);
    case FASTER_MERGE_MIN:
        *merged = (uint64_t)(input < old ? input : old);
        return FASTER_OK;
    default:
        *merged = (uint64_t)(input > old ? input : old);
        return FASTER_OK;
    }
}

static int merge_unsigned(uint32_t size, uint32_t kind, uint64_t old, uint64_t input,
                          uint64_t *merged) {
    switch (kind) {
    case FASTER_MERGE_ADD:
        return add_unsigned(size, old, input, merged);
    case FASTER_MERGE_MIN:
        *merged = input < old ? input : old;
        return FASTER_OK;
    default:
        *merged = input > old ? input : old;
        return FASTER_OK;
    }
}

/* A NaN loses to a number under min and max, so that one bad input cannot stick. */
static double merge_doubles(uint32_t kind, double old, double input) {
    switch (kind) {
    case FASTER_MERGE_ADD:
        return old + input;
    case FASTER_MERGE_MIN:
        return input < old || old != old ? input : old;
    default:
        return input > old || old != old ? input : old;
    }
}

static void merge_floats(enum faster_type type, uint32_t kind, uint64_t old,
                         uint64_t input, uint64_t *merged) {
    *merged = 0;
    if (type == FASTER_TYPE_F64) {
        double a;
        double b;
        memcpy(&a, &old, 8);
        memcpy(&b, &input, 8);
        a = merge_doubles(kind, a, b);
        memcpy(merged, &a, 8);
        return;
    }
    float a;
    float b;
    memcpy(&a, &old, 4);
    memcpy(&b, &input, 4);
    a = (float)merge_doubles(kind, (double)a, (double)b);
    memcpy(merged, &a, 4);
}

int merge_words_slow(enum faster_type type, uint32_t kind, uint64_t old, uint64_t input,
                     uint64_t *merged) {
    uint32_t size = type_sizes[type];
    if (kind == FASTER_MERGE_BIT_OR) {
        *merged = old | input;
        return FASTER_OK;
    }
    if (kind == FASTER_MERGE_BIT_AND) {
        *merged = old & input;
        return FASTER_OK;
    }
    if (is_float(type)) {
        merge_floats(type, kind, old, input, merged);
        return FASTER_OK;
    }
    if (is_signed(type)) {
        return merge_signed(size, kind, as_signed(old, size), as_signed(input, size),
                            merged);
    }
    return merge_unsigned(size, kind, old, input, merged);
}
