/* SPDX-License-Identifier: MIT */
/* recover_log.c: the part of the log that the device has, see recovery.h */
#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "cpr/read_ahead.h"
#include "cpr/recovery.h"

/* Room for what is cut by the end of a piece; it grows to what a record needs. */
enum { CARRY_MIN = 4096 };

/* A walk over pieces: what one piece cuts is gathered until it is whole. */
struct walk {
    struct replay *replay;
    uint64_t address; /* where the walk stands */
    uint8_t *carry;   /* the bytes from there on that earlier pieces had */
    uint64_t have;    /* how many */
    uint64_t need;    /* how many are wanted before it can go on */
    uint64_t room;
};

static uint64_t smaller(uint64_t a, uint64_t b) { return a < b ? a : b; }

static int make_room(struct walk *walk) {
    uint64_t room = walk->room != 0 ? walk->room : CARRY_MIN;
    while (room < walk->need) { /* ends: a record fits into a page */
        room *= 2;
    }
    if (room == walk->room) {
        return FASTER_OK;
    }
    uint8_t *carry = memory_lines_new(room);
    if (carry == NULL) {
        return -ENOMEM;
    }
    if (walk->have != 0) {
        memcpy(carry, walk->carry, (size_t)walk->have);
    }
    /* Forced: a record that is being read must be able to end; the log gives way. */
    budget_force(&walk->replay->kv->budget, room - walk->room);
    memory_lines_free(walk->carry);
    walk->carry = carry;
    walk->room = room;
    return FASTER_OK;
}

static void walk_end(struct walk *walk) {
    budget_give(&walk->replay->kv->budget, walk->room);
    memory_lines_free(walk->carry);
}

/* Keep what a piece has of something that it cuts. */
static int begin_carry(struct walk *walk, const uint8_t *bytes, uint64_t size) {
    int result = make_room(walk);
    if (result == FASTER_OK) {
        memcpy(walk->carry, bytes, (size_t)size);
        walk->have = size;
    }
    return result;
}

/* Go on with what was cut, with `left` more bytes at `bytes`; *took gets how many of
 * them belong to it.  FASTER_SHORT when it is not whole yet. */
static int walk_carry(struct walk *walk, const uint8_t *bytes, uint64_t left,
                      uint64_t *took) {
    *took = 0;
    while (walk->have != 0) { /* ends: what is needed grows to an extent */
        int result = make_room(walk);
        if (result != FASTER_OK) {
            return result;
        }
        uint64_t more = smaller(walk->need - walk->have, left - *took);
        memcpy(walk->carry + walk->have, bytes + *took, (size_t)more);
        walk->have += more;
        *took += more;
        if (walk->have < walk->need) {
            return FASTER_SHORT;
        }
        uint64_t used;
        result = replay_walk(walk->replay, walk->address, walk->carry, walk->have,
                             &used, &walk->need);
        if (result == FASTER_OK) {
            walk->address += used;
            walk->have = 0;
        } else if (result != FASTER_SHORT) {
            return result;
        }
    }
    return FASTER_OK;
}

/* Walk over a piece of bytes that begins at `from`. */
static int walk_piece(struct walk *walk, uint64_t from, uint8_t *bytes, uint64_t size) {
    struct replay *replay = walk->replay;
    uint64_t end = smaller(from + size, replay->until);
    if (walk->have != 0) {
        uint64_t took;
        int result = walk_carry(walk, bytes, size, &took);
        if (result != FASTER_OK) {
            return result == FASTER_SHORT ? FASTER_OK : result;
        }
    }
    while (walk->address < end) { /* ends: each step is up */
        uint64_t page_end = (walk->address | (replay->kv->log.page_size - 1)) + 1;
        uint64_t left = smaller(end, page_end) - walk->address;
        uint8_t *at = bytes + (walk->address - from);
        uint64_t used;
        int result = replay_walk(replay, walk->address, at, left, &used, &walk->need);
        if (result != FASTER_OK && result != FASTER_SHORT) {
            return result;
        }
        walk->address += used;
        if (result == FASTER_SHORT) {
            return begin_carry(walk, at + used, left - used);
        }
    }
    return FASTER_OK;
}

/* The pieces of a range, in order; one that ends early is where the device ends. */
static int walk_pieces(struct walk *walk, struct read_ahead *ahead) {
    for (;;) { /* ends with the range */
        uint64_t from;
        uint64_t size;
        uint8_t *bytes;
        int result = read_ahead_take(ahead, &from, &bytes, &size);
        if (result != FASTER_OK) {
            return result;
        }
        uint64_t reached = walk->address + walk->have;
        if (reached >= walk->replay->until) {
            return FASTER_OK;
        }
        if (size == 0 || reached < from) {
            return replay_damage(&walk->replay->damage, FASTER_DAMAGE_SHORT, reached,
                                 walk->replay->until, reached);
        }
        result = walk_piece(walk, from, bytes, size);
        if (result != FASTER_OK) {
            return result;
        }
    }
}

static int read_range(struct replay *replay, uint64_t from) {
    struct walk walk = {.replay = replay, .address = from};
    struct read_ahead ahead;
    int result = read_ahead_begin(&ahead, &replay->kv->log, from, replay->until);
    if (result == FASTER_OK) {
        result = walk_pieces(&walk, &ahead);
    }
    read_ahead_end(&ahead);
    walk_end(&walk);
    return result;
}

/* What api.h asks of a range. */
static bool range_is_sane(const struct faster_recovery *recovery, uint64_t from,
                          uint64_t until) {
    const struct faster_recovery_config *config = &recovery->config;
    uint64_t mask = recovery->kv->log.page_size - 1;
    bool starts = (from & mask) == 0 || from == config->begin ||
                  (from == config->index_start && config->index_bits != 0);
    bool ends = (until & mask) == 0 || until == config->log_until;
    return starts && ends && from >= config->begin && from <= until &&
           until <= config->log_until;
}

int faster_recovery_log(struct faster_recovery *recovery, uint64_t from,
                        uint64_t until) {
    struct replay replay;
    if (from == until) {
        return FASTER_OK;
    }
    if (recovery->finished || !recovery_has_index(recovery) ||
        !range_is_sane(recovery, from, until)) {
        return -EINVAL;
    }
    /* The page that log_until is in is verified in memory, with what comes behind. */
    uint64_t tail_page =
        recovery->config.log_until & ~(recovery->kv->log.page_size - 1);
    uint64_t end = until < tail_page ? until : tail_page;
    replay_init(&replay, recovery->kv, &recovery->skips, recovery->link_from, end);
    int result = from < end ? read_range(&replay, from) : FASTER_OK;
    int linked = replay_settle(&replay);
    if (result == FASTER_E_CORRUPT) {
        recovery_note(recovery, &replay.damage);
    }
    if (result == FASTER_OK && linked == FASTER_OK) {
        (void)atomic_fetch_add_explicit(&recovery->covered, until - from,
                                        memory_order_release); /* M2 */
    }
    return result != FASTER_OK ? result : linked;
}
