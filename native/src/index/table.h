/* SPDX-License-Identifier: MIT */
/*
 * table.h: making and ending the index's tables
 *
 * Level 2.  Includes: base, index.
 *
 * Purpose    What find and growth share about a table's memory, hidden from lookups.
 * Model
 *   A table's memory is taken from the budget when it is made; parts that a growth has
 *   emptied go back before the table ends (resident says what is left).
 * Invariants
 *   I1  The budget holds exactly `resident` bytes for each table, besides its pool.
 * Ordering   A table is published by whoever made it (index.h M3).
 * Progress   allocations
 * Threads    one maker, one freer
 * Errors     FASTER_E_FULL, -ENOMEM
 * Limits     as index.h
 * Source     none
 * Tests      tests/index/validate_grow.c
 */
#ifndef FASTER_INDEX_TABLE_H
#define FASTER_INDEX_TABLE_H

#include "base/memory.h"
#include "index/index.h"

int table_new(struct index *index, uint32_t bits, struct index_table **table);
void table_free(struct index *index, struct index_table *table);

/* Give a table its chunks' states before it is split. */
int table_chunks_new(struct index_table *table);

/* Bytes of buckets that the table still holds. */
uint64_t table_resident(struct index_table *table);
void table_set_resident(struct index_table *table, uint64_t bytes);

#endif
