/* SPDX-License-Identifier: MIT */
/* validate_publish.c: an insertion stopped in its middle */
#include "index/kit.h"
#include "store/step.h"

enum { BITS = 8 };

/* An insertion stopped in its rescan. */
struct stopped {
    struct kit *kit;
    struct index_ref *ref;
    uint64_t address;
};

static void look_at_the_insertion(void *context) {
    struct stopped *stopped = context;
    struct index_ref ref;
    uint64_t tag = entry_tag_of_hash(stopped->ref->hash);
    CHECK_U64(atomic_load_explicit(stopped->ref->place, memory_order_acquire),
              entry_make(tag, stopped->address) | ENTRY_TENTATIVE);
    CHECK_INT(index_find(&stopped->kit->index, stopped->ref->hash, &ref),
              FASTER_NOT_FOUND);
}

/* M2: until its rescan is over an insertion's word is tentative, and nobody
 * finds it. */
static void m2_an_entry_is_tentative_until_the_rescan_is_over(void) {
    struct kit *kit = kit_open(BITS, 1024, UINT64_MAX, 0, false);
    struct kit_user user = kit_user(kit);
    struct overflow_pool *pool = &index_current(&kit->index)->pool;
    struct index_ref ref;
    struct index_bucket *bucket = &index_current(&kit->index)->buckets[3];
    uint64_t hash = kit_hash(200, 0, 3, BITS);
    uint64_t size = POOL_FIRST * sizeof(struct index_bucket);
    /* The pool's first part on pages of its own, to stop who looks there. */
    void *part =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(part != MAP_FAILED, "no memory");
    atomic_store_explicit(&pool->parts[0], part, memory_order_release);
    for (uint64_t other = 0; other < 9; other++) {
        kit_add(kit, &user, kit_hash(other, 0, 3, BITS));
    }
    kit_plant(&bucket->entries[2], 0);
    CHECK_INT(index_find(&kit->index, hash, &ref), FASTER_NOT_FOUND);
    struct stopped stopped = {kit, &ref, kit_take(kit, hash, 0, 5)};
    step_at(part, size, STEP_ANY, look_at_the_insertion, &stopped);
    CHECK_INT(index_publish(&kit->index, &ref, stopped.address, &user.tally),
              FASTER_OK);
    CHECK_INT(step_taken, 1);
    CHECK_U64(kit_mark(kit, &user, hash), 5);
    atomic_store_explicit(&pool->parts[0], NULL, memory_order_release);
    kit_plant(&bucket->overflow, 0);
    CHECK_INT(munmap(part, size), 0);
    kit_close(kit);
}

HARNESS_MAIN(TEST(m2_an_entry_is_tentative_until_the_rescan_is_over))
