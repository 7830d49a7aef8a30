/* SPDX-License-Identifier: MIT */
/* validate_merge.c: every merge on every type, to the limits of each width */
#include <math.h>

#include "store/kit.h"

enum { TYPES = FASTER_TYPE_F64 + 1 };

static bool is_integer(int type) {
    return type >= FASTER_TYPE_I8 && type <= FASTER_TYPE_U64;
}

static bool is_float(int type) {
    return type == FASTER_TYPE_F32 || type == FASTER_TYPE_F64;
}

static bool is_signed(int type) {
    return type >= FASTER_TYPE_I8 && type <= FASTER_TYPE_I64;
}

/* A number of a type, as the merges hold it: in the low bytes of a word. */
static uint64_t truncated(int type, uint64_t value) {
    uint32_t bits = merge_type_size((enum faster_type)type) * 8;
    return bits == 64 ? value : value & (((uint64_t)1 << bits) - 1);
}

/* The largest and the smallest of a type, and numbers around them and 0. */
static uint64_t corner(int type, int i) {
    uint32_t bits = merge_type_size((enum faster_type)type) * 8;
    uint64_t top = (uint64_t)1 << (bits - 1);
    const uint64_t corners[] = {0,   1,       2,       top - 2,      top - 1,
                                top, top + 1, top / 2, ~(uint64_t)0, ~(uint64_t)1,
                                77};
    return truncated(type, corners[i]);
}

enum { CORNERS = 11 };

/* The same number as a signed one. */
static int64_t extended(int type, uint64_t value) {
    uint32_t bits = merge_type_size((enum faster_type)type) * 8;
    uint64_t sign = (uint64_t)1 << (bits - 1);
    return (int64_t)((value ^ sign) - sign);
}

static int expected_add(int type, uint64_t old, uint64_t input, uint64_t *sum) {
    uint32_t bits = merge_type_size((enum faster_type)type) * 8;
    if (is_signed(type)) {
        int64_t wide;
        bool over =
            __builtin_add_overflow(extended(type, old), extended(type, input), &wide);
        *sum = truncated(type, (uint64_t)wide);
        return over || extended(type, *sum) != wide ? FASTER_E_OVERFLOW : FASTER_OK;
    }
    uint64_t wide;
    bool over = __builtin_add_overflow(old, input, &wide);
    *sum = wide;
    return over || (bits < 64 && wide >> bits != 0) ? FASTER_E_OVERFLOW : FASTER_OK;
}

static int expected(int type, uint32_t kind, uint64_t old, uint64_t input,
                    uint64_t *result) {
    bool below =
        is_signed(type) ? extended(type, input) < extended(type, old) : input < old;
    switch (kind) {
    case FASTER_MERGE_ADD:
        return expected_add(type, old, input, result);
    case FASTER_MERGE_MIN:
        *result = below ? input : old;
        return FASTER_OK;
    case FASTER_MERGE_MAX:
        *result = below ? old : input;
        return FASTER_OK;
    case FASTER_MERGE_BIT_OR:
        *result = old | input;
        return FASTER_OK;
    default:
        *result = old & input;
        return FASTER_OK;
    }
}

static void check_words(int type, uint32_t kind, uint64_t old, uint64_t input) {
    uint64_t result = 0;
    uint64_t merged = 0;
    uint64_t slow = 0;
    enum faster_type of = (enum faster_type)type;
    int outcome = expected(type, kind, old, input, &result);
    CHECK_INT(merge_words(of, kind, old, input, &merged), outcome);
    CHECK_INT(merge_words_slow(of, kind, old, input, &slow), outcome);
    if (outcome == FASTER_OK) {
        CHECK_U64(truncated(type, merged), result);
        CHECK_U64(truncated(type, slow), result);
    }
}

/* Integers of each width: corners against corners, then at random; a sum that does not
 * fit is refused. */
static void integers_are_merged_to_their_limits(void) {
    struct rng rng = rng_stream(1);
    for (int type = FASTER_TYPE_I8; type <= FASTER_TYPE_U64; type++) {
        for (uint32_t kind = FASTER_MERGE_ADD; kind <= FASTER_MERGE_BIT_AND; kind++) {
            for (int i = 0; i < CORNERS * CORNERS; i++) {
                check_words(type, kind, corner(type, i / CORNERS),
                            corner(type, i % CORNERS));
            }
            for (int i = 0; i < 1000; i++) {
                check_words(type, kind, truncated(type, rng_next(&rng)),
                            truncated(type, rng_next(&rng)));
            }
        }
    }
}

static double merged_double(uint32_t kind, double old, double input) {
    uint64_t a;
    uint64_t b;
    uint64_t merged = 0;
    double result;
    memcpy(&a, &old, 8);
    memcpy(&b, &input, 8);
    CHECK_INT(merge_words(FASTER_TYPE_F64, kind, a, b, &merged), FASTER_OK);
    memcpy(&result, &merged, 8);
    return result;
}

static float merged_float(uint32_t kind, float old, float input) {
    uint64_t a = 0;
    uint64_t b = 0;
    uint64_t merged = 0;
    float result;
    memcpy(&a, &old, 4);
    memcpy(&b, &input, 4);
    CHECK_INT(merge_words(FASTER_TYPE_F32, kind, a, b, &merged), FASTER_OK);
    memcpy(&result, &merged, 4);
    return result;
}

/* Floats: sums as the machine makes them; a NaN loses against a number under min and
 * max, from either side, and spreads under add. */
static void floats_and_nan(void) {
    const double inf = INFINITY;
    CHECK(merged_double(FASTER_MERGE_ADD, 0.1, 0.2) == 0.1 + 0.2, "add");
    CHECK(merged_double(FASTER_MERGE_ADD, 1e308, 1e308) == inf, "add");
    CHECK(isnan(merged_double(FASTER_MERGE_ADD, inf, -inf)), "add");
    CHECK(isnan(merged_double(FASTER_MERGE_ADD, NAN, 1)), "add");
    CHECK(merged_double(FASTER_MERGE_MIN, -1, -2) == -2, "min");
    CHECK(merged_double(FASTER_MERGE_MAX, -1, -2) == -1, "max");
    CHECK(merged_double(FASTER_MERGE_MAX, -inf, 3) == 3, "max");
    CHECK(merged_float(FASTER_MERGE_ADD, 16777216.0f, 1.0f) == 16777216.0f, "add");
    CHECK(merged_float(FASTER_MERGE_ADD, 0.1f, 0.2f) == 0.1f + 0.2f, "add");
    CHECK(isinf(merged_float(FASTER_MERGE_ADD, 3e38f, 3e38f)), "add");
    for (uint32_t kind = FASTER_MERGE_MIN; kind <= FASTER_MERGE_MAX; kind++) {
        CHECK(merged_double(kind, NAN, 5) == 5, "kind %u", kind);
        CHECK(merged_double(kind, 5, NAN) == 5, "kind %u", kind);
        CHECK(isnan(merged_double(kind, NAN, NAN)), "kind %u", kind);
        CHECK(merged_float(kind, NAN, 5) == 5, "kind %u", kind);
        CHECK(merged_float(kind, 5, NAN) == 5, "kind %u", kind);
    }
}

static int64_t keep(uint8_t *value, int64_t size, int64_t capacity,
                    const uint8_t *input, int64_t input_size) {
    (void)value;
    (void)capacity;
    (void)input;
    (void)input_size;
    return size < 0 ? 0 : size;
}

/* api.h: which merge applies to which values. */
static bool applies(uint32_t kind, int type, bool fixed) {
    switch (kind) {
    case FASTER_MERGE_ADD:
    case FASTER_MERGE_MIN:
    case FASTER_MERGE_MAX:
        return is_integer(type) || is_float(type);
    case FASTER_MERGE_BIT_OR:
    case FASTER_MERGE_BIT_AND:
        return is_integer(type);
    case FASTER_MERGE_APPEND:
        return !fixed && type == FASTER_TYPE_TEXT;
    case FASTER_MERGE_SET_IF_ABSENT:
        return true;
    case FASTER_MERGE_PUT_NEWEST:
        return type <= FASTER_TYPE_TEXT || merge_type_size((enum faster_type)type) == 8;
    default:
        return kind == FASTER_MERGE_NATIVE;
    }
}

static struct faster_kv_config config_of(int type, bool fixed) {
    struct faster_kv_config config = kit_config(fixed ? KIT_WORD : KIT_TEXT);
    uint32_t size = merge_type_size((enum faster_type)type);
    config.value_type = (uint32_t)type;
    config.value_size = fixed ? (size != 0 ? size : 16) : 0;
    return config;
}

/* Every kind on every type in both layouts, asked and tried; a refusal
 * changes nothing. */
static void merges_apply_or_are_refused(void) {
    for (int i = 0; i < TYPES * 2; i++) {
        int type = i / 2;
        bool fixed = i % 2 == 0;
        struct faster_kv_config config = config_of(type, fixed);
        struct faster_kv *kv = kit_open_config(&config);
        struct faster_session *session = kit_session(kv);
        struct kit_bytes key = kit_key(KIT_WORD, 1);
        struct kit_bytes input = {.size = kv->sized ? kv->value_width : 16};
        CHECK_INT(kit_upsert(session, &key, &input), FASTER_OK);
        for (uint32_t kind = 0; kind < 64; kind++) {
            struct faster_merge merge = {.kind = kind, .native = keep};
            uint64_t serial = faster_session_serial(session);
            int wanted = applies(kind, type, fixed) ? FASTER_OK : FASTER_E_MERGE;
            CHECK_INT(faster_kv_check_merge(kv, &merge), wanted);
            CHECK_INT(kit_rmw(session, &merge, &key, &input, NULL), wanted);
            CHECK_U64(faster_session_serial(session), serial + (wanted == FASTER_OK));
        }
        struct faster_merge none = {.kind = FASTER_MERGE_NATIVE, .native = NULL};
        CHECK_INT(faster_kv_check_merge(kv, &none), FASTER_E_MERGE);
        CHECK_INT(kit_rmw(session, &none, &key, &input, NULL), FASTER_E_MERGE);
        kit_close(kv, session);
    }
}

/* Through the store, in place and by copying, in both layouts: what
 * merge_words says. */
static void x01_numbers_in_the_store(void) {
    for (int i = FASTER_TYPE_I8 * 2; i <= FASTER_TYPE_U64 * 2 + 1; i++) {
        int type = i / 2;
        struct faster_kv_config config = config_of(type, i % 2 == 0);
        struct faster_kv *kv = kit_open_config(&config);
        struct faster_session *session = kit_session(kv);
        struct rng rng = rng_stream((uint64_t)i);
        struct kit_bytes key = kit_key(KIT_WORD, 1);
        struct kit_bytes input = {.size = merge_type_size((enum faster_type)type)};
        struct kit_bytes out;
        uint64_t value = 0;
        memcpy(input.data, &value, 8);
        CHECK_INT(kit_upsert(session, &key, &input), FASTER_OK);
        for (int round = 0; round < 2000; round++) {
            uint32_t kind = FASTER_MERGE_ADD + (uint32_t)rng_below(&rng, 5);
            uint64_t word = rng_below(&rng, 2) == 0 ? corner(type, round % CORNERS)
                                                    : truncated(type, rng_next(&rng));
            struct faster_merge merge = {.kind = kind};
            uint64_t result = value;
            int outcome = expected(type, kind, value, word, &result);
            memcpy(input.data, &word, 8);
            if (rng_below(&rng, 4) == 0) {
                kit_settle(kv);
            }
            CHECK_INT(kit_rmw(session, &merge, &key, &input, &out), outcome);
            value = outcome == FASTER_OK ? result : value;
            CHECK(outcome != FASTER_OK ||
                      memcmp(out.data, &value, (size_t)out.size) == 0,
                  "type %d kind %u", type, kind);
            memcpy(input.data, &value, 8);
            kit_expect(session, &key, &input);
        }
        kit_close(kv, session);
    }
}

/* An absent key gets the input, whatever the merge; also after a deletion. */
static void absent_keys_get_the_input(void) {
    for (int i = 0; i < TYPES * 2; i++) {
        struct faster_kv_config config = config_of(i / 2, i % 2 == 0);
        struct faster_kv *kv = kit_open_config(&config);
        struct faster_session *session = kit_session(kv);
        for (uint32_t kind = FASTER_MERGE_ADD; kind < FASTER_MERGE_NATIVE; kind++) {
            struct faster_merge merge = {.kind = kind};
            struct kit_bytes key = kit_key(KIT_WORD, kind);
            struct kit_bytes input =
                kit_value(KIT_TEXT, kind, kv->sized ? kv->value_width : 21);
            struct kit_bytes out;
            if (faster_kv_check_merge(kv, &merge) != FASTER_OK) {
                continue;
            }
            for (int again = 0; again < 3; again++) {
                CHECK_INT(kit_rmw(session, &merge, &key, &input, &out), FASTER_OK);
                CHECK(kit_same(&out, &input), "kind %u", kind);
                kit_expect(session, &key, &input);
                if (again == 1) {
                    kit_settle(kv);
                }
                CHECK_INT(kit_delete(session, &key), FASTER_OK);
            }
        }
        kit_close(kv, session);
    }
}

/* put_newest: the larger leading u64 wins, the old one on a tie; a stamp needs
 * 8 bytes. */
static void put_newest_keeps_the_newest(void) {
    static const uint64_t stamps[] = {5, 4, 5, 6, 255, 256, UINT64_MAX, 0, UINT64_MAX};
    for (int kind = KIT_WIDE; kind <= KIT_TEXT; kind++) {
        struct faster_kv *kv = kit_open((enum kit_kind)kind);
        struct faster_session *session = kit_session(kv);
        struct faster_merge merge = {.kind = FASTER_MERGE_PUT_NEWEST};
        struct kit_bytes key = kit_key((enum kit_kind)kind, 1);
        struct kit_bytes best = {.size = 0};
        struct kit_bytes out;
        for (size_t i = 0; i < sizeof stamps / sizeof stamps[0]; i++) {
            struct kit_bytes input = kit_value((enum kit_kind)kind, i, 8 + i * 3);
            uint64_t have = 0;
            memcpy(input.data, &stamps[i], 8);
            memcpy(&have, best.data, 8);
            if (best.size == 0 || have < stamps[i]) {
                best = input;
            }
            CHECK_INT(kit_rmw(session, &merge, &key, &input, &out), FASTER_OK);
            CHECK(kit_same(&out, &best), "stamp %zu", i);
            kit_expect(session, &key, &best);
            if (i % 3 == 1) {
                kit_settle(kv);
            }
        }
        kit_close(kv, session);
    }
    struct faster_kv *kv = kit_open(KIT_TEXT);
    struct faster_session *session = kit_session(kv);
    struct faster_merge merge = {.kind = FASTER_MERGE_PUT_NEWEST};
    struct kit_bytes key = kit_key(KIT_TEXT, 1);
    struct kit_bytes small = kit_value(KIT_TEXT, 1, 7);
    struct kit_bytes enough = kit_value(KIT_TEXT, 1, 8);
    CHECK_INT(kit_rmw(session, &merge, &key, &small, NULL), FASTER_E_MERGE);
    kit_expect(session, &key, NULL);
    CHECK_INT(kit_upsert(session, &key, &small), FASTER_OK);
    CHECK_INT(kit_rmw(session, &merge, &key, &enough, NULL), FASTER_E_MERGE);
    kit_expect(session, &key, &small);
    kit_close(kv, session);
}

/* Append n bytes one by one: the value is whole each time, spare room makes most of the
 * appends go in place, and a value that a page cannot hold is refused and kept. */
static void append_grows_to_a_page(void) {
    struct faster_kv_config config = kit_config(KIT_TEXT);
    config.page_size = 4096;
    struct faster_kv *kv = kit_open_config(&config);
    struct faster_session *session = kit_session(kv);
    struct faster_merge merge = {.kind = FASTER_MERGE_APPEND};
    uint8_t all[4096];
    uint8_t out[4096];
    uint64_t size = 0;
    uint64_t appended = 0;
    uint64_t most = hlog_record_max(&kv->log) - RECORD_VARLEN_HEADER - 8;
    for (uint64_t i = 0; i < most; i++) {
        uint64_t tail = hlog_tail(&kv->log);
        all[i] = (uint8_t)(i * 7 + 1);
        CHECK_INT(
            faster_rmw(session, &merge, "k", 1, &all[i], 1, out, sizeof out, &size),
            FASTER_OK);
        CHECK(size == i + 1 && memcmp(out, all, (size_t)size) == 0, "%" PRIu64, i);
        appended += hlog_tail(&kv->log) != tail;
        if (i % 512 == 300) {
            kit_settle(kv);
        }
    }
    CHECK(appended < 50, "%" PRIu64 " of %" PRIu64 " appends copied", appended, most);
    uint64_t serial = faster_session_serial(session);
    CHECK_INT(faster_rmw(session, &merge, "k", 1, "x", 1, out, sizeof out, &size),
              FASTER_E_VALUE_SIZE);
    CHECK_U64(faster_session_serial(session), serial);
    CHECK_INT(faster_read(session, "k", 1, out, sizeof out, &size), FASTER_OK);
    CHECK(size == most && memcmp(out, all, (size_t)size) == 0, "%" PRIu64, size);
    CHECK_INT(faster_rmw(session, &merge, "k", 1, "", 0, out, sizeof out, &size),
              FASTER_OK);
    kit_close(kv, session);
}

struct native_log {
    int calls;
    int64_t capacity;
};

static struct native_log native_log;

/* Repeat the old value input[0] times, or start with one byte; 0 refuses. */
static int64_t repeat(uint8_t *value, int64_t size, int64_t capacity,
                      const uint8_t *input, int64_t input_size) {
    native_log.calls++;
    native_log.capacity = capacity;
    CHECK_INT(input_size, 1);
    if (input[0] == 0) {
        return -1;
    }
    if (size < 0) {
        value[0] = input[0];
        return 1;
    }
    int64_t wanted = size * input[0];
    for (int64_t at = size; at < wanted && wanted <= capacity; at++) {
        value[at] = value[at - size];
    }
    return wanted;
}

/* A native merge may ask for more room, shrink, refuse, and claim too much. */
static void native_merges_ask_for_room(void) {
    struct faster_kv_config config = kit_config(KIT_TEXT);
    config.page_size = 4096;
    struct faster_kv *kv = kit_open_config(&config);
    struct faster_session *session = kit_session(kv);
    struct faster_merge merge = {.kind = FASTER_MERGE_NATIVE, .native = repeat};
    static const uint8_t times[] = {7, 3, 5, 200, 1};
    uint8_t out[4096];
    uint64_t size = 0;
    uint64_t length = 1;
    for (size_t i = 0; i < sizeof times; i++) {
        length = i == 0 ? 1 : length * times[i];
        CHECK_INT(
            faster_rmw(session, &merge, "k", 1, &times[i], 1, out, sizeof out, &size),
            FASTER_OK);
        CHECK_U64(size, length);
        for (uint64_t at = 0; at < size; at++) {
            CHECK_INT(out[at], 7);
        }
    }
    CHECK(native_log.capacity >= 3000, "capacity %d", (int)native_log.capacity);
    CHECK(native_log.calls >= 6, "%d calls", native_log.calls);
    uint64_t serial = faster_session_serial(session);
    uint8_t two = 2; /* 6000 bytes are beyond a page */
    CHECK_INT(faster_rmw(session, &merge, "k", 1, &two, 1, out, sizeof out, &size),
              FASTER_E_VALUE_SIZE);
    uint8_t none = 0;
    CHECK_INT(faster_rmw(session, &merge, "k", 1, &none, 1, out, sizeof out, &size),
              FASTER_E_MERGE);
    CHECK_U64(faster_session_serial(session), serial);
    CHECK_INT(faster_read(session, "k", 1, out, sizeof out, &size), FASTER_OK);
    CHECK_U64(size, 3000);
    kit_close(kv, session);
}

static int64_t wrong_size(uint8_t *value, int64_t size, int64_t capacity,
                          const uint8_t *input, int64_t input_size) {
    (void)value;
    (void)size;
    (void)capacity;
    (void)input_size;
    return input[0];
}

/* In a fixed layout a native merge must leave a value of the layout's size. */
static void native_merges_keep_a_fixed_size(void) {
    struct faster_kv *kv = kit_open(KIT_WIDE);
    struct faster_session *session = kit_session(kv);
    struct faster_merge merge = {.kind = FASTER_MERGE_NATIVE, .native = wrong_size};
    struct kit_bytes key = kit_key(KIT_WIDE, 1);
    struct kit_bytes value = kit_value(KIT_WIDE, 1, 0);
    CHECK_INT(kit_upsert(session, &key, &value), FASTER_OK);
    for (int size = 0; size < 256; size++) {
        uint8_t input = (uint8_t)size;
        int wanted = size == KIT_WIDE_SIZE ? FASTER_OK : FASTER_E_VALUE_SIZE;
        CHECK_INT(faster_rmw(session, &merge, key.data, 8, &input, 1, NULL, 0, NULL),
                  wanted);
    }
    kit_expect(session, &key, &value);
    kit_close(kv, session);
}

HARNESS_MAIN(TEST(integers_are_merged_to_their_limits), TEST(floats_and_nan),
             TEST(merges_apply_or_are_refused), TEST(x01_numbers_in_the_store),
             TEST(absent_keys_get_the_input), TEST(put_newest_keeps_the_newest),
             TEST(append_grows_to_a_page), TEST(native_merges_ask_for_room),
             TEST(native_merges_keep_a_fixed_size))
