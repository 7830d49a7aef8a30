/* SPDX-License-Identifier: MIT */
/*
 * hot_table.h: the functions that are called a million times, by address
 *
 * The core exists once in a process, in one compiled module.  Another one that calls it
 * for each key or entry gets the addresses of what it calls; they mean what api.h and
 * flog.h say of the functions of the same names.
 */
#ifndef FASTER_HOT_TABLE_H
#define FASTER_HOT_TABLE_H

#include <stdint.h>

#include "faster/api.h"
#include "faster/flog.h"

/* Grows at its end. */
struct faster_hot_table {
    uint32_t abi;  /* FASTER_ABI */
    uint32_t size; /* sizeof(struct faster_hot_table) */

    int (*read)(struct faster_session *, const void *, uint64_t, void *, uint64_t,
                uint64_t *);
    int (*upsert)(struct faster_session *, const void *, uint64_t, const void *,
                  uint64_t);
    int (*insert)(struct faster_session *, const void *, uint64_t, const void *,
                  uint64_t);
    int (*remove)(struct faster_session *, const void *, uint64_t);
    int (*rmw)(struct faster_session *, const struct faster_merge *, const void *,
               uint64_t, const void *, uint64_t, void *, uint64_t, uint64_t *);
    int (*compare_and_set)(struct faster_session *, const void *, uint64_t,
                           const void *, uint64_t, const void *, uint64_t);
    int (*read_many)(struct faster_session *, const struct faster_items *, uint64_t,
                     const struct faster_results *, uint64_t *);
    int (*upsert_many)(struct faster_session *, const struct faster_items *,
                       const struct faster_items *, uint64_t, uint64_t *);
    int (*rmw_many)(struct faster_session *, const struct faster_merge *,
                    const struct faster_items *, const struct faster_items *, uint64_t,
                    const struct faster_results *, uint64_t *);
    int (*delete_many)(struct faster_session *, const struct faster_items *, uint64_t,
                       uint8_t *, uint64_t *);
    uint64_t (*session_serial)(const struct faster_session *);
    void (*session_wait)(struct faster_session *);
    int (*session_close)(struct faster_session *);
    void (*session_free)(struct faster_session *);
    const char *(*error_text)(int);
    int (*discard)(struct faster_session *, const void *, uint64_t);
    int (*start)(struct faster_session *, const struct faster_operation *, void *,
                 uint64_t, uint64_t *, struct faster_pending **);
    int (*wait)(struct faster_session *, struct faster_pending *, uint32_t);
    int (*next_finished)(struct faster_session *, struct faster_pending **);
    void (*result_of)(const struct faster_pending *, struct faster_result *);
    int (*forget)(struct faster_session *, struct faster_pending *);
    uint64_t (*pending_count)(struct faster_session *);

    int (*flog_append)(struct faster_flog *, const void *, uint64_t, uint64_t *,
                       uint64_t *);
    int (*flog_append_many)(struct faster_flog *, const struct faster_flog_batch *,
                            uint32_t, uint64_t *, uint64_t *);
    int (*flog_wait)(struct faster_flog *, uint32_t);
    uint64_t (*flog_payload_max)(const struct faster_flog *);
    int (*flog_commit)(struct faster_flog *, uint64_t, uint32_t,
                       struct faster_flog_commit *);
    int (*flog_read)(struct faster_flog *, uint64_t, void *, uint64_t, uint64_t *,
                     struct faster_flog_damage *);
    int (*flog_scan_open)(struct faster_flog *, const struct faster_flog_scan_config *,
                          struct faster_flog_scan **);
    int (*flog_scan_next)(struct faster_flog_scan *, struct faster_flog_entry *);
    int (*flog_scan_fill)(struct faster_flog_scan *, uint32_t);
    int (*flog_scan_piece)(struct faster_flog_scan *, struct faster_flog_piece *);
    uint64_t (*flog_scan_position)(const struct faster_flog_scan *);
    void (*flog_scan_damage)(const struct faster_flog_scan *,
                             struct faster_flog_damage *);
    void (*flog_scan_free)(struct faster_flog_scan *);
    void (*flog_piece_free)(void *);
};

const struct faster_hot_table *faster_hot_table(void);

#endif
