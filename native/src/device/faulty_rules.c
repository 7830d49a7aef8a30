/* SPDX-License-Identifier: MIT */
/* Which request a fault is injected into: see faulty.h */
#include <errno.h>

#include "device/faulty.h"

enum {
    DATA = FASTER_KIND_READ | FASTER_KIND_WRITE,
    COMPLETED = DATA | FASTER_KIND_SYNC,
    ALL = COMPLETED | FASTER_KIND_TRUNCATE
};

/* The kinds of requests that each fault is known for. */
static const uint32_t known[] = {
    [FASTER_FAULT_REFUSE] = ALL,        [FASTER_FAULT_FAIL] = ALL,
    [FASTER_FAULT_CODE] = ALL,          [FASTER_FAULT_BYTES] = DATA,
    [FASTER_FAULT_SHORT] = DATA,        [FASTER_FAULT_HOLD] = COMPLETED,
    [FASTER_FAULT_NEVER] = COMPLETED,   [FASTER_FAULT_TWICE] = COMPLETED,
    [FASTER_FAULT_LATE] = COMPLETED,    [FASTER_FAULT_INLINE] = COMPLETED,
    [FASTER_FAULT_FOREIGN] = COMPLETED, [FASTER_FAULT_FLIP] = DATA,
    [FASTER_FAULT_DROP] = ALL,          [FASTER_FAULT_TEAR] = FASTER_KIND_WRITE,
    [FASTER_FAULT_MISDIRECT] = DATA,    [FASTER_FAULT_STALE] = FASTER_KIND_READ,
};
_Static_assert(sizeof known / sizeof known[0] == FASTER_FAULT_STALE + 1,
               "each fault says which kinds it is known for");

/* Whether the argument is a number that the fault can use. */
static bool argument_fits(const struct faster_fault_rule *rule) {
    bool word = rule->argument >= INT32_MIN && rule->argument <= INT32_MAX;
    switch (rule->fault) {
    case FASTER_FAULT_REFUSE:
        return word && rule->argument != 0;
    case FASTER_FAULT_FAIL:
    case FASTER_FAULT_CODE:
        return word;
    case FASTER_FAULT_BYTES:
    case FASTER_FAULT_HOLD:
    case FASTER_FAULT_FLIP:
        return rule->argument >= 0;
    case FASTER_FAULT_TEAR:
        return rule->argument == 0 || rule->argument == 1;
    default:
        return true;
    }
}

int fault_rule_complete(struct faster_fault_rule *rule) {
    if (rule->fault < FASTER_FAULT_REFUSE || rule->fault > FASTER_FAULT_STALE) {
        return -EINVAL;
    }
    if ((rule->kinds & ~known[rule->fault]) != 0 || !argument_fits(rule)) {
        return -EINVAL;
    }
    if (rule->end != 0 && rule->end < rule->begin) {
        return -EINVAL;
    }
    rule->kinds = rule->kinds != 0 ? rule->kinds : known[rule->fault];
    rule->end = rule->end != 0 ? rule->end : UINT64_MAX;
    rule->nth = rule->nth != 0 ? rule->nth : 1;
    rule->every = rule->every != 0 ? rule->every : 1;
    rule->times = rule->times != 0 ? rule->times : UINT64_MAX;
    return 0;
}

static bool matches(const struct faster_fault_rule *rule,
                    const struct fault_query *query) {
    if ((rule->kinds & query->kind) == 0) {
        return false;
    }
    if (query->kind == FASTER_KIND_SYNC) {
        return true;
    }
    uint64_t last =
        query->length > 0 ? query->offset + query->length - 1 : query->offset;
    return query->offset < rule->end && last >= rule->begin;
}

/* 32 bits that the seed, the rule and the request decide. */
static uint64_t chance(uint64_t seed, uint32_t rule, const struct fault_query *query) {
    uint64_t x = seed + query->ordinal * 0x9e3779b97f4a7c15u;
    x ^= ((uint64_t)rule << 32 | query->kind) * 0xff51afd7ed558ccdu;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u; /* splitmix64's finalizer */
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return (x ^ (x >> 31)) >> 32;
}

static bool fires(const struct fault_rule *rule, uint64_t seed, uint32_t index,
                  const struct fault_query *query) {
    const struct faster_fault_rule *is = &rule->is;
    if (rule->matched < is->nth || (rule->matched - is->nth) % is->every != 0) {
        return false;
    }
    if (rule->fired >= is->times) {
        return false;
    }
    return is->probability == 0 || chance(seed, index, query) < is->probability;
}

uint32_t fault_rules_ask(struct fault_rule *rules, uint32_t count, uint64_t seed,
                         const struct fault_query *query) {
    uint32_t chosen = count;
    for (uint32_t i = 0; i < count; i++) {
        if (!matches(&rules[i].is, query)) {
            continue;
        }
        rules[i].matched++; /* faulty.h I4 */
        if (chosen == count && fires(&rules[i], seed, i, query)) {
            rules[i].fired++;
            chosen = i;
        }
    }
    return chosen;
}
