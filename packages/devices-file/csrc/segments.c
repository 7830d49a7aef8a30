/* SPDX-License-Identifier: MIT */
/* segments.c: see segments.h; opening a directory is in segments_open.c */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "segments_table.h"

/* ---- names -------------------------------------------------------------------------
 */

void segment_name(char *name, uint64_t base, const char *ending) {
    static const char DIGITS[] = "0123456789abcdef";
    for (int i = 0; i < SEGMENT_NAME_DIGITS; i++) {
        int shift = 4 * (SEGMENT_NAME_DIGITS - 1 - i);
        name[i] = shift < 64 ? DIGITS[(base >> shift) & 15u] : '0';
    }
    memcpy(name + SEGMENT_NAME_DIGITS, ending, strlen(ending) + 1);
}

/* ---- the latch ---------------------------------------------------------------------
 */

int segments_failed(const struct segments *segments) {
    /* relaxed: see Ordering */
    return atomic_load_explicit(&segments->failed, memory_order_relaxed);
}

int segments_latch(struct segments *segments, int status) {
    int none = 0;
    if (status != 0) {
        /* relaxed: see Ordering; of several failures the first one stays */
        (void)atomic_compare_exchange_strong_explicit(&segments->failed, &none, status,
                                                      memory_order_relaxed,
                                                      memory_order_relaxed);
    }
    return segments_failed(segments);
}

/* Only a call that was interrupted before it did anything is made again (I4). */
static int sync_file(struct segments *segments, os_file file) {
    int status = segments_failed(segments);
    if (status != 0) {
        return status;
    }
    status = -EINTR;
    for (int i = 0; i < SEGMENTS_TRIES && status == -EINTR; i++) {
        status = segments->os->sync_file(segments->os, file);
    }
    return segments_latch(segments, status);
}

int segments_sync_directory(struct segments *segments, os_file directory) {
    int status = segments_failed(segments);
    if (status != 0) {
        return status;
    }
    status = -EINTR;
    for (int i = 0; i < SEGMENTS_TRIES && status == -EINTR; i++) {
        status = segments->os->sync_directory(segments->os, directory);
    }
    return segments_latch(segments, status);
}

/* ---- the table ---------------------------------------------------------------------
 */

struct segments_geometry segments_geometry(const struct segments *segments) {
    return segments->geometry;
}

/* Have `count` slots from the number `first` on.  Inside the table's lock. */
static int table_reserve(struct segments *segments, uint64_t count) {
    if (count > SEGMENTS_MAX) {
        return -EFBIG;
    }
    if (count <= segments->room) {
        return 0;
    }
    uint64_t room = segments->room == 0 ? 16 : segments->room;
    while (room < count) {
        room *= 2;
    }
    struct segment **slots =
        realloc(segments->slots, (size_t)room * sizeof *segments->slots);
    if (slots == NULL) {
        return -ENOMEM;
    }
    segments->slots = slots;
    segments->room = room;
    return 0;
}

int segments_insert(struct segments *segments, uint64_t number,
                    struct segment *segment) {
    uint64_t first = segments->count == 0 ? number : segments->first;
    uint64_t before = number < first ? first - number : 0;
    uint64_t wanted = number < first ? segments->count + before : number - first + 1;
    wanted = wanted < segments->count ? segments->count : wanted;
    int status = table_reserve(segments, wanted);
    if (status != 0) {
        return status;
    }
    struct segment **slots = segments->slots;
    memmove(slots + before, slots, (size_t)segments->count * sizeof *slots);
    memset(slots, 0, (size_t)before * sizeof *slots);
    segments->count += before;
    memset(slots + segments->count, 0,
           (size_t)(wanted - segments->count) * sizeof *slots);
    segments->first = first - before;
    segments->count = wanted;
    slots[number - segments->first] = segment;
    return 0;
}

/* The slot of a number, or NULL outside the table.  Inside the table's lock. */
static struct segment **slot_of(const struct segments *segments, uint64_t number) {
    bool inside =
        number >= segments->first && number - segments->first < segments->count;
    return inside ? segments->slots + (number - segments->first) : NULL;
}

static void release(struct segments *segments, struct segment *segment) {
    /* The bytes are cut off: an error that they could not be kept means nothing. */
    (void)segments->os->close_file(segments->os, segment->file);
    free(segment);
}

/* Take the lowest slot out of the table; returns what nobody has pinned.  Inside the
 * table's lock. */
static struct segment *take_first(struct segments *segments) {
    struct segment *segment = segments->slots[0];
    segments->count--;
    segments->first++;
    memmove(segments->slots, segments->slots + 1,
            (size_t)segments->count * sizeof *segments->slots);
    if (segment == NULL) {
        return NULL;
    }
    segment->removed = true;
    return segment->pins == 0 ? segment : NULL;
}

/* ---- pieces ------------------------------------------------------------------------
 */

/* Say where a piece lies; what is there is the caller's to find. */
static void measure_piece(const struct segments *segments, uint64_t offset,
                          uint64_t length, struct segments_piece *piece) {
    uint64_t inside = offset & (segments->segment_size - 1);
    uint64_t left = segments->segment_size - inside;
    piece->kind = SEGMENTS_END;
    piece->last = false;
    piece->length = length < left ? length : left;
    piece->position = SEGMENT_HEADER_SIZE + inside;
    piece->file = OS_NOWHERE;
    piece->segment = NULL;
}

/* Inside the table's lock. */
static void pin(const struct segments *segments, uint64_t number,
                struct segment *segment, struct segments_piece *piece) {
    segment->pins++;
    piece->kind = SEGMENTS_FILE;
    piece->file = segment->file;
    piece->segment = segment;
    piece->last = number - segments->first + 1 == segments->count;
}

/* Inside the table's lock. */
static int find_read(const struct segments *segments, uint64_t number,
                     struct segments_piece *piece) {
    struct segment **slot = slot_of(segments, number);
    if (slot != NULL && *slot != NULL) {
        pin(segments, number, *slot, piece);
        return 0;
    }
    if (slot != NULL || number < segments->floor) {
        return -ENOENT; /* I2 */
    }
    if (segments->count != 0 && number < segments->first) {
        piece->kind = SEGMENTS_HOLE;
    } else {
        piece->kind = SEGMENTS_END;
        piece->length = 0;
    }
    return 0;
}

static int find_known(struct segments *segments, uint64_t offset, uint64_t length,
                      struct segments_piece *piece) {
    measure_piece(segments, offset, length, piece);
    os_lock_enter(&segments->table_lock);
    int status = find_read(segments, offset >> segments->shift, piece);
    os_lock_leave(&segments->table_lock);
    return status;
}

/* Look whether another process has made a file since; -ENOENT if it has not. */
static int look_for(struct segments *segments, uint64_t number) {
    struct segments_problem unused;
    int status = 0;
    os_lock_enter(&segments->change_lock);
    /* Only holders of this lock change the table. */
    struct segment **slot = slot_of(segments, number);
    if (slot == NULL || *slot == NULL) {
        status = segments_adopt(segments, number << segments->shift, &unused);
    }
    os_lock_leave(&segments->change_lock);
    return status;
}

int segments_pin_read(struct segments *segments, uint64_t offset, uint64_t length,
                      struct segments_piece *piece) {
    int status = find_known(segments, offset, length, piece);
    if (!segments->read_only || piece->kind == SEGMENTS_FILE) {
        return status;
    }
    int found = look_for(segments, offset >> segments->shift);
    if (found == 0) {
        return find_known(segments, offset, length, piece);
    }
    return found == -ENOENT ? status : found;
}

/* Returns SEGMENTS_ABSENT for a file that may be made.  Inside the table's lock. */
static int find_write(const struct segments *segments, uint64_t number,
                      struct segments_piece *piece) {
    struct segment **slot = slot_of(segments, number);
    if (slot != NULL && *slot != NULL) {
        pin(segments, number, *slot, piece);
        return 0;
    }
    if (number < segments->truncated) {
        piece->kind = SEGMENTS_GONE;
        return 0;
    }
    return slot != NULL || number < segments->floor ? -ENOENT : SEGMENTS_ABSENT;
}

int segments_pin_write(struct segments *segments, uint64_t offset, uint64_t length,
                       struct segments_piece *piece) {
    uint64_t number = offset >> segments->shift;
    measure_piece(segments, offset, length, piece);
    for (int i = 0; i < SEGMENTS_TRIES; i++) {
        int status = segments_failed(segments);
        if (status != 0) {
            return status; /* I4 */
        }
        os_lock_enter(&segments->table_lock);
        status = find_write(segments, number, piece);
        os_lock_leave(&segments->table_lock);
        if (status != SEGMENTS_ABSENT) {
            return status;
        }
        status = segments_make(segments, number);
        if (status != 0) {
            return status;
        }
    }
    return -EAGAIN; /* it was cut off each time before it could be pinned */
}

void segments_unpin(struct segments *segments, const struct segments_piece *piece,
                    bool written) {
    struct segment *segment = piece->segment;
    os_lock_enter(&segments->table_lock);
    segment->pins--;
    segment->dirty = segment->dirty || written;
    bool last = segment->removed && segment->pins == 0;
    os_lock_leave(&segments->table_lock);
    if (last) {
        release(segments, segment);
    }
}

/* ---- making files ------------------------------------------------------------------
 */

/* Write a header block; short writes go on, and end. */
static int write_header(struct segments *segments, os_file file, uint64_t base) {
    const struct segment_label label = {
        .store_id = segments->store_id,
        .base = base,
        .segment_size = segments->segment_size,
        .generation = segments->generation,
    };
    segment_header_write(segments->block, &label);
    int64_t moved = -EINTR;
    for (int i = 0; i < SEGMENTS_TRIES && moved != SEGMENT_HEADER_SIZE; i++) {
        /* From the beginning each time: a rest would not be aligned. */
        moved = segments->os->write_file(segments->os, file, segments->block,
                                         SEGMENT_HEADER_SIZE, 0);
        if (moved < 0 && moved != -EINTR && moved != -EAGAIN) {
            return (int)moved;
        }
    }
    return moved == SEGMENT_HEADER_SIZE ? 0 : -EIO;
}

/* Fill a new file and make it safe (I1). */
static int fill(struct segments *segments, os_file file, uint64_t base) {
    uint64_t size = SEGMENT_HEADER_SIZE + segments->segment_size;
    int status = segments->os->resize_file(segments->os, file, size);
    if (status == 0 && segments->preallocate) {
        status = segments->os->allocate_file(segments->os, file, size);
        status = status == -EOPNOTSUPP || status == -ENOSYS ? 0 : status;
    }
    if (status == 0) {
        status = write_header(segments, file, base);
    }
    return status == 0 ? sync_file(segments, file) : status;
}

/* Open a file that is not there, removing what an interrupted attempt left. */
static int open_new(struct segments *segments, const char *name, os_file *file) {
    const struct os *os = segments->os;
    uint32_t flags = OS_CREATE | (segments->geometry.direct ? OS_DIRECT : 0u);
    int status = os->open_file(os, segments->directory, name, flags, file);
    if (status != -EEXIST) {
        return status;
    }
    status = os->remove_file(os, segments->directory, name);
    if (status != 0) {
        return status;
    }
    return os->open_file(os, segments->directory, name, flags, file);
}

static int make_file(struct segments *segments, uint64_t base, os_file *file) {
    const struct os *os = segments->os;
    char unfinished[SEGMENT_NAME_SIZE], name[SEGMENT_NAME_SIZE];
    segment_name(unfinished, base, SEGMENT_UNFINISHED);
    segment_name(name, base, SEGMENT_ENDING);
    os_file made = OS_NOWHERE;
    int status = open_new(segments, unfinished, &made);
    if (status != 0) {
        return status;
    }
    const char *left = unfinished;
    status = fill(segments, made, base);
    if (status == 0) {
        status = os->rename_file(os, segments->directory, unfinished, name);
    }
    if (status == 0) {
        left = name;
        status = segments_sync_directory(segments, segments->directory);
    }
    if (status != 0) {
        (void)os->remove_file(os, segments->directory, left);
        (void)os->close_file(os, made);
        return status;
    }
    *file = made;
    return 0;
}

/* Make one file and show it.  Inside the lock of changes. */
static int make_one(struct segments *segments, uint64_t number) {
    struct segment *segment = calloc(1, sizeof *segment);
    if (segment == NULL) {
        return -ENOMEM;
    }
    /* Have the slot first: a file that cannot be shown should not be made. */
    os_lock_enter(&segments->table_lock);
    int status = table_reserve(segments, segments->count + 1);
    os_lock_leave(&segments->table_lock);
    if (status == 0) {
        status = make_file(segments, number << segments->shift, &segment->file);
    }
    if (status != 0) {
        free(segment);
        return status;
    }
    os_lock_enter(&segments->table_lock);
    status = segments_insert(segments, number, segment); /* cannot fail: reserved */
    os_lock_leave(&segments->table_lock);
    return status;
}

/* The number to make next on the way to `number`, neighbours first (I2). */
static uint64_t next_to_make(const struct segments *segments, uint64_t number) {
    if (segments->count == 0) {
        return number;
    }
    uint64_t behind = segments->first + segments->count;
    return number < segments->first ? segments->first - 1 : behind;
}

/* How many slots the table would have with `number` in it. */
static uint64_t count_with(const struct segments *segments, uint64_t number) {
    if (segments->count == 0) {
        return 1;
    }
    return number < segments->first ? segments->first - number + segments->count
                                    : number - segments->first + 1;
}

int segments_make(struct segments *segments, uint64_t number) {
    int status = 0;
    os_lock_enter(&segments->change_lock);
    /* Only holders of this lock move the table's ends. */
    if (count_with(segments, number) > SEGMENTS_MAX) {
        status = -EFBIG;
    }
    while (status == 0 && number >= segments->floor &&
           slot_of(segments, number) == NULL) {
        status = make_one(segments, next_to_make(segments, number));
    }
    os_lock_leave(&segments->change_lock);
    return status;
}

/* ---- syncing and truncating --------------------------------------------------------
 */

bool segments_take_dirty(struct segments *segments, uint64_t *cursor,
                         struct segments_piece *piece) {
    bool found = false;
    os_lock_enter(&segments->table_lock);
    uint64_t number = *cursor < segments->first ? segments->first : *cursor;
    for (; number - segments->first < segments->count && !found; number++) {
        struct segment *segment = *slot_of(segments, number);
        if (segment != NULL && segment->dirty) {
            segment->dirty = false; /* I3: what is written from now on is dirty anew */
            pin(segments, number, segment, piece);
            found = true;
        }
    }
    *cursor = number;
    os_lock_leave(&segments->table_lock);
    return found;
}

int segments_sync(struct segments *segments) {
    uint64_t cursor = 0;
    struct segments_piece piece;
    /* One at a time: whoever finds a file clean must know that its sync is over. */
    os_lock_enter(&segments->sync_lock);
    int status = segments_failed(segments);
    while (status == 0 && segments_take_dirty(segments, &cursor, &piece)) {
        status = sync_file(segments, piece.file);
        segments_unpin(segments, &piece, false);
    }
    os_lock_leave(&segments->sync_lock);
    return status;
}

/* Remove the lowest file.  Inside the lock of changes. */
static int remove_first(struct segments *segments, bool *removed) {
    int status = 0;
    if (segments->slots[0] != NULL) {
        char name[SEGMENT_NAME_SIZE];
        segment_name(name, segments->first << segments->shift, SEGMENT_ENDING);
        status = segments->os->remove_file(segments->os, segments->directory, name);
        status = status == -ENOENT ? 0 : status;
        *removed = *removed || status == 0;
    }
    if (status != 0) {
        return status;
    }
    os_lock_enter(&segments->table_lock);
    struct segment *unused = take_first(segments);
    os_lock_leave(&segments->table_lock);
    if (unused != NULL) {
        release(segments, unused);
    }
    return 0;
}

int segments_truncate_before(struct segments *segments, uint64_t offset) {
    uint64_t number = offset >> segments->shift;
    bool removed = false;
    int status = segments_failed(segments);
    if (status != 0) {
        return status; /* what was to replace the old bytes may be lost */
    }
    os_lock_enter(&segments->change_lock);
    os_lock_enter(&segments->table_lock);
    if (segments->truncated < number) {
        segments->truncated = number;
    }
    if (segments->floor < number) {
        segments->floor = number;
    }
    os_lock_leave(&segments->table_lock);
    while (status == 0 && segments->count > 0 && segments->first < number) {
        status = remove_first(segments, &removed);
    }
    if (removed) {
        int synced = segments_sync_directory(segments, segments->directory);
        status = status == 0 ? synced : status;
    }
    os_lock_leave(&segments->change_lock);
    return status;
}

int segments_close(struct segments *segments) {
    int status = 0;
    for (uint64_t i = 0; i < segments->count; i++) {
        struct segment *segment = segments->slots[i];
        if (segment != NULL) {
            int closed = segments->os->close_file(segments->os, segment->file);
            status = status == 0 ? closed : status;
            free(segment);
        }
    }
    segments->count = 0;
    segments_free(segments);
    return status;
}
