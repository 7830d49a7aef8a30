/* SPDX-License-Identifier: MIT */
/*
 * harness.h: what every native test is made of
 *
 * A test file is a list of functions named after the property they attack and one
 * HARNESS_MAIN(TEST(a), TEST(b)) that runs them in order.  Arguments of the program:
 * the seed (default fixed, printed first), then how many percent of the usual number of
 * operations harness_count() gives (default 100, for longer runs at night).
 * Exit: 0 all held, 1 a CHECK failed, 77 does not apply here.
 */
#ifndef HARNESS_H
#define HARNESS_H

#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__) || defined(__clang__)
#define HARNESS_FORMAT(at, first) __attribute__((format(printf, at, first)))
#else
#define HARNESS_FORMAT(at, first)
#endif

/* Stop the program unless `cond` holds; any thread.  The values are the arguments. */
#define CHECK(cond, ...)                                                               \
    ((cond) ? (void)0 : check_failed(__FILE__, __LINE__, #cond, __VA_ARGS__))

/* The two comparisons most tests consist of. */
#define CHECK_U64(actual, expected)                                                    \
    check_u64(__FILE__, __LINE__, #actual " == " #expected, (actual), (expected))
#define CHECK_INT(actual, expected)                                                    \
    check_int(__FILE__, __LINE__, #actual " == " #expected, (actual), (expected))

_Noreturn void check_failed(const char *file, int line, const char *condition,
                            const char *format, ...) HARNESS_FORMAT(4, 5);
void check_u64(const char *file, int line, const char *condition, uint64_t actual,
               uint64_t expected);
void check_int(const char *file, int line, const char *condition, int64_t actual,
               int64_t expected);

struct harness_test {
    const char *name;
    void (*run)(void);
};

/* Stringified here, so that a macro of the same name is not expanded. */
#define TEST(name)                                                                     \
    { #name, name }

#define HARNESS_MAIN(...)                                                              \
    int main(int argc, char **argv) {                                                  \
        static const struct harness_test tests[] = {__VA_ARGS__};                      \
        return harness_run(argc, argv, tests, sizeof tests / sizeof tests[0]);         \
    }

int harness_run(int argc, char **argv, const struct harness_test *tests, size_t count);

/* The seed of this run, and `usual` scaled by the second argument (at least 1). */
uint64_t harness_seed(void);
uint64_t harness_count(uint64_t usual);

/* End the program with 77: what the test needs is not there. */
_Noreturn void harness_skip(const char *why);

/* Random numbers (xoshiro256**).  One generator per thread; `stream` tells apart
 * generators of the same seed. */
struct rng {
    uint64_t state[4];
};

struct rng rng_stream(uint64_t stream);
struct rng rng_seeded(uint64_t seed);
uint64_t rng_next(struct rng *rng);
uint64_t rng_below(struct rng *rng, uint64_t bound); /* 0 ... bound - 1 */
void rng_fill(struct rng *rng, void *bytes, size_t size);

/* Run `body` in `count` threads (at most HARNESS_THREADS_MAX) that all start together,
 * and join them; `thread` is 0 ... count - 1. */
enum { HARNESS_THREADS_MAX = 64 };

void harness_threads(uint32_t count, void (*body)(void *context, uint32_t thread),
                     void *context);

#endif
